# SPDX-License-Identifier: MIT
# encrypted: found in the data. LUKS is the guest's and kept as it is; a qcow2's own encryption is not taken.
# qemu-img times itself to choose the number of rounds, and gives up where it is scheduled badly: not what is tested here.
encrypt() {
        for _ in {1..50}; do
                qemu-img "$@" 2>qemu.err && return
        done
        fail "qemu-img $1: $(cat qemu.err)"
}
need qemu-img
start
two_regions
raise_limits
encrypt create -q -f luks --object secret,id=s,data=abc -o key-secret=s,iter-time=500 luks.raw 4M
for form in upload short; do
        if [ $form = upload ]; then
                import_raw "$R/private/luks" luks.raw
        else
                run cp luks.raw "$R/private/short.raw"
                settle "$R/private/short"
        fi
done
for name in luks short; do
        value "$R/private/$name/encrypted" yes
        value "$R/private/$name/format" raw
        same_disk "$R/private/$name/disks/vda.raw" luks.raw
done
run qemu-img convert -O qcow2 -f raw luks.raw inside.qcow2
import_raw "$R/private/inside" inside.qcow2
value "$R/private/inside/encrypted" yes
same_disk "$R/private/inside/disks/vda.raw" luks.raw

pattern plain.raw 1M 1
import_raw "$R/private/plain" plain.raw
value "$R/private/plain/encrypted" no
grep -q yes "$R/images.csv" || fail "images.csv does not say who is encrypted"

# qcow2's own encryption: its key is never asked for, and without it there is no disk. The sentence has the ways out.
encrypt create -q -f qcow2 --object secret,id=s,data=abc \
        -o encrypt.format=luks,encrypt.key-secret=s,encrypt.iter-time=500 locked.qcow2 1M
encrypt create -q -f qcow2 --object secret,id=s,data=abc -o encryption=on,encrypt.key-secret=s aes.qcow2 1M
ways="and cannot be read without its key: convert it, with the key, to a LUKS image (qemu-img convert -O luks), or decrypt it"
for name in locked aes; do
        ok mkdir "$R/private/$name"
        expect "EINVAL close" upload $name.qcow2 "$R/private/$name/upload"
        settle "$R/private/$name" error
        value "$R/private/$name/encrypted" yes
        [ $name = aes ] && how=" in the old way (AES)" || how=
        value "$R/private/$name/error" "this qcow2 file is encrypted$how, $ways (qemu-img convert -O qcow2)"
done

# The first of them.
encrypt convert --object secret,id=s,data=abc --image-opts -O luks -o key-secret=s,iter-time=10 \
        driver=qcow2,file.filename=locked.qcow2,encrypt.key-secret=s way.raw
import_raw "$R/private/way" way.raw
value "$R/private/way/encrypted" yes
restart
value "$R/private/luks/encrypted" yes
value "$R/private/locked/encrypted" yes

# SPDX-License-Identifier: MIT
# encrypted: found in the data. LUKS is the guest's and kept as it is; so is what it says of an encrypted qcow2.
# qemu-img times itself to choose the number of rounds, and gives up where it is scheduled badly: not what is tested here.
create_encrypted() {
        for _ in {1..50}; do
                qemu-img create -q "$@" 2>qemu.err && return
        done
        fail "qemu-img: $(cat qemu.err)"
}
need qemu-img
start
two_regions
create_encrypted -f luks --object secret,id=s,data=abc -o key-secret=s,iter-time=500 luks.raw 4M
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

# qcow2's own encryption: what it says is kept, its key never asked for; without the key it is not taken or taken whole.
create_encrypted -f qcow2 --object secret,id=s,data=abc \
        -o encrypt.format=luks,encrypt.key-secret=s,encrypt.iter-time=500 locked.qcow2 1M
ok mkdir "$R/private/locked"
"$FSOP" upload locked.qcow2 "$R/private/locked/upload" >/dev/null
timeout 60 cat "$R/private/locked/wait" >/dev/null 2>&1
value "$R/private/locked/encrypted" yes
if [ "$(cat "$R/private/locked/status")" != available ]; then
        value "$R/private/locked/status" error
        [[ $(cat "$R/private/locked/error") == *encrypt* ]] || fail "the reason: $(cat "$R/private/locked/error")"
fi
restart
value "$R/private/luks/encrypted" yes
value "$R/private/locked/encrypted" yes

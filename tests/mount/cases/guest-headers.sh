# SPDX-License-Identifier: MIT
# A guest may write anything into its disk, the header of an image file too. The disk stays the bytes that it is, whatever is
# made of it, and nothing ever looks for the file that such a header names.
# time limit: 200
need qemu-img curl
start -o http=127.0.0.1:0
two_regions
raise_limits
mkdir other
ok write "$R2/store" "$WORK/other"
printf 'the secret of another file %.0s' {1..5000} >secret.raw
run qemu-img create -q -f qcow2 -b "$WORK/secret.raw" -F raw qcow2.head
run qemu-img create -q -f vmdk parent.vmdk 1M
run qemu-img create -q -f vmdk -b parent.vmdk -F vmdk vmdk.head
printf '# Disk DescriptorFile\nversion=1\nCID=1\nparentCID=ffffffff\ncreateType="monolithicFlat"\nRW 64 FLAT "%s" 0\n' \
        "$WORK/secret.raw" >descriptor.head
pattern some.raw 1M 3
run qemu-img convert -O vpc some.raw vhd.head
printf 'LUKS\272\276\0\002' >luks.head
printf '\037\213\010\0' >gzip.head

pattern base.raw 3M 4
import_raw "$R/private/base" base.raw local
same_everywhere() { # IMAGE-DIR
        value "$1/status" available
        same_disk "$1/disks/vda.raw" "$guest"
        same_checksum "$1" "$guest"
        run qemu-img check -q -f qcow2 "$1/disks/vda.qcow2"
        run qemu-img compare -q -f qcow2 -F raw "$1/disks/vda.qcow2" "$guest"
}
for head in *.head; do
        name=${head%.head}
        guest=$WORK/$name.guest
        ok mkdir "$R/private/base/instances/$name"
        vm=$R/instances/$name

        # What the guest does: the header at the start, a VHD's footer at the end too.
        cp base.raw "$guest"
        run dd if="$head" of="$guest" conv=notrunc bs=64k status=none
        [ "$name" != vhd ] || tail -c 512 "$head" | dd of="$guest" bs=512 seek=$((3 * 2048 - 1)) conv=notrunc status=none
        run dd if="$guest" of="$vm/disks/vda.raw" conv=notrunc,fsync bs=64k status=none
        same_disk "$vm/disks/vda.raw" "$guest"

        # The image of it, a conversion, a copy into another store, machines and disks made of those.
        ok mkdir "$vm/images/$name"
        image=$R/private/$name
        settle "$image"
        same_everywhere "$image"
        value "$image/encrypted" "$([ "$name" = luks ] && echo yes || echo no)"
        ok write "$image/convert" cloud
        settle "$image-cloud"
        same_everywhere "$image-cloud"
        snapshot=$(realpath "$image-cloud"/snapshots/*)
        same_disk "$snapshot/data.raw" "$guest"
        run qemu-img compare -q -f qcow2 -F raw "$snapshot/data.qcow2" "$guest"
        ok mkdir "$snapshot/disks/$name"
        same_disk "$R/disks/$name/data.raw" "$guest"
        ok mkdir "$image-cloud/copies/cn-east-2"
        settle "$R2/private/$name-cloud"
        same_everywhere "$R2/private/$name-cloud"
        ok mkdir "$R2/private/$name-cloud/instances/$name"
        same_disk "$R2/instances/$name/disks/vda.raw" "$guest"

        # Out of the mount, by cp and by HTTP, in both formats; and as a qcow2 back in.
        for form in raw qcow2; do
                run cp "$image/disks/vda.$form" "out.$form"
                ok mkdir "$image/download/vda.$form"
                run curl -s --fail -o "got.$form" "$(cat "$image/download/vda.$form/url")"
                same_disk "got.$form" "out.$form"
        done
        same_disk out.raw "$guest"
        import_raw "$R/private/$name-again" out.qcow2
        same_everywhere "$R/private/$name-again"

        # The bytes alone are a file of whatever they look like, whoever says that they are a disk: that goes into a qcow2.
        ok mkdir "$R/private/$name-raw"
        ok write "$R/private/$name-raw/format" raw
        "$FSOP" upload out.raw "$R/private/$name-raw/upload" >/dev/null
        timeout 60 cat "$R/private/$name-raw/wait" >/dev/null 2>&1
        case $name-$(cat "$R/private/$name-raw/status") in
        luks-available) same_everywhere "$R/private/$name-raw" ;;
        luks-*) fail "LUKS is what raw disks hold" ;;
        *-error) [[ $(cat "$R/private/$name-raw/error") == "the format is set to raw, but this is a file of format "* ]] ||
                fail "$name: $(cat "$R/private/$name-raw/error")" ;;
        *) fail "$name was taken as a disk" ;;
        esac
        ok mkdir "$R/private/$name-probed"
        "$FSOP" upload out.raw "$R/private/$name-probed/upload" >/dev/null
        timeout 60 cat "$R/private/$name-probed/wait" >/dev/null 2>&1
        case $name-$(cat "$R/private/$name-probed/status") in
        luks-available) same_everywhere "$R/private/luks-probed" ;;
        vhd-available) value "$R/private/vhd-probed/format" vhd ;;
        *-error) [[ $(cat "$R/private/$name-probed/error") == *' '* ]] || fail "$name: no reason" ;;
        *) fail "$name was taken as it is" ;;
        esac
done

! grep -rlF "secret of another" "$MNT" || fail "bytes of another file"
restart
for head in *.head; do
        guest=$WORK/${head%.head}.guest
        same_everywhere "$R/private/${head%.head}"
        same_everywhere "$R2/private/${head%.head}-cloud"
done

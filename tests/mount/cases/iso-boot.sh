# SPDX-License-Identifier: MIT
# Bootable ISOs, which have partition tables and boot sectors of several kinds, come in as they are, and machines made
# from them boot. Debian's packages have some.
# time limit: 200
need qemu-system-x86_64
isos=(/usr/lib/grub-rescue/grub-rescue-cdrom.iso /usr/lib/ipxe/ipxe.iso /usr/lib/memtest86+/memtest86+x64.iso)
for iso in "${isos[@]}"; do
        [ -f "$iso" ] || skip "no $iso (packages grub-rescue-pc, ipxe, memtest86+)"
done
start
two_regions
run cp "${isos[@]}" "$R/iso/"
for iso in "${isos[@]}"; do
        name=$(basename "$iso" .iso)
        settle "$R/iso/$name"
        value "$R/iso/$name/format" iso
        same_disk "$R/iso/$name/disks/vda.raw" "$iso"
done

# boots ISO TEXT: what it writes to the screen, which the firmware sends to the serial line where there is none.
boots() {
        local machine
        ok mkdir "$R/iso/$1/instances/$1"
        ok truncate 1M "$R/instances/$1/disks/vda.raw"
        rm -f console
        qemu-system-x86_64 -machine pc,graphics=off -accel tcg -m 128 -nodefaults -vga none -display none \
                -serial file:console -boot d -drive "file=$R/instances/$1/disks/vda.raw,format=raw" \
                -drive "file=$R/instances/$1/disks/cdrom.iso,format=raw,media=cdrom,readonly=on" </dev/null >qemu.out 2>&1 &
        machine=$!
        until_true 60 grep -qa "$2" console || fail "$1 does not boot: $(tail -n 3 qemu.out; tr -c '[:print:]\n' . <console)"
        value "$R/instances/$1/status" running
        kill "$machine"
        wait "$machine"
}
boots grub-rescue-cdrom "GNU GRUB"
boots ipxe "iPXE initialising devices"

# SPDX-License-Identifier: MIT
# An instance made from an ISO: an empty system disk, which truncate gives its size, and the CD.
start
two_regions
pattern small.iso 64K 71
printf '\1CD001\1' | dd of=small.iso bs=1 seek=32768 conv=notrunc status=none
printf '\040\0\0\0\0\0\0\040' | dd of=small.iso bs=1 seek=$((32768 + 80)) conv=notrunc status=none
printf '\0\010\010\0' | dd of=small.iso bs=1 seek=$((32768 + 128)) conv=notrunc status=none
run cp small.iso "$R/iso/"
settle "$R/iso/small"

ok mkdir "$R/iso/small/instances/vm"
vm=$R/instances/vm
same "$(ls "$vm/disks")" $'cdrom.iso\nvda.raw' "disks"
same_disk "$vm/disks/cdrom.iso" small.iso
expect "EROFS|EACCES" open w "$vm/disks/cdrom.iso"
same "$(stat -c %a "$vm/disks/cdrom.iso")" 444 "the CD's mode"
same "$(stat -c %s "$vm/disks/vda.raw")" 0 "the disk has no size yet"
refused EBUSY "$vm" mkdir "$vm/images/empty"
refused EBUSY "$R/iso/small" rmdir "$R/iso/small"
expect ENOSPC pwrite 0 "$vm/disks/vda.raw" x
ok truncate 2M "$vm/disks/vda.raw"
same "$(stat -c '%s %b' "$vm/disks/vda.raw")" "2097152 0" "empty"
refused EINVAL "$R/disks/vm-vda" truncate 1M "$vm/disks/vda.raw"

# What was installed on it becomes an image, without the CD.
pattern installed.raw 2M 9
run dd if=installed.raw of="$vm/disks/vda.raw" bs=64k conv=notrunc status=none
ok mkdir "$vm/images/installed"
settle "$R/private/installed"
same_disk "$R/private/installed/disks/vda.raw" installed.raw
ok mkdir "$R/private/installed/instances/next"
same "$(ls "$R/instances/next/disks")" vda.raw "no CD"
restart
same_disk "$vm/disks/cdrom.iso" small.iso
ok rmdir "$vm"
ok rmdir "$R/iso/small"

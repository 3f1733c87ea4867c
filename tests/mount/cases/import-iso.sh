# SPDX-License-Identifier: MIT
# ISO files, bootable ones with partition tables among them, come into iso/, and nothing else does.
start
two_regions

# By hand: a descriptor of two blocks more than there are before it, and a partition table as bootable ones have.
pattern small.iso 64K 71
printf '\1CD001\1' | dd of=small.iso bs=1 seek=32768 conv=notrunc status=none
printf '\040\0\0\0\0\0\0\040' | dd of=small.iso bs=1 seek=$((32768 + 80)) conv=notrunc status=none
printf '\0\010\010\0' | dd of=small.iso bs=1 seek=$((32768 + 128)) conv=notrunc status=none
printf '\125\252EFI PART' | dd of=small.iso bs=1 seek=510 conv=notrunc status=none
run cp small.iso "$R/iso/"
settle "$R/iso/small"
value "$R/iso/small/format" iso
same_disk "$R/iso/small/disks/vda.raw" small.iso

fails cp small.iso "$R/private/"
ok mkdir "$R/private/no"
expect "EINVAL close" upload small.iso "$R/private/no/upload"
settle "$R/private/no" error
pattern disk.raw 1M 72
fails cp disk.raw "$R/iso/"
ok mkdir "$R/iso/no"
expect "EINVAL close" upload disk.raw "$R/iso/no/upload"
settle "$R/iso/no" error

# As a disk, if that is meant.
ok mkdir "$R/private/stick"
ok write "$R/private/stick/format" raw
ok upload small.iso "$R/private/stick/upload"
settle "$R/private/stick"
same_checksum "$R/private/stick" small.iso

head -c 60000 small.iso >cut.iso
ok mkdir "$R/iso/cut"
expect "EINVAL close" upload cut.iso "$R/iso/cut/upload"
settle "$R/iso/cut" error

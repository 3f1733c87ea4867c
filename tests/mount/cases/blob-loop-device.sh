# SPDX-License-Identifier: MIT
# A disk of the library on a loop device, with a file system in it.
need_root "loop devices"
need mke2fs losetup
start
two_regions
mkdir root
echo hello >root/greeting
head -c 300000 /dev/urandom >root/random
truncate -s 32M fs.raw
run mke2fs -q -F -t ext4 -d root fs.raw
import_raw "$R/private/fs" fs.raw
disk=$R/private/fs/disks/vda.raw
loop=$(losetup --find --show --read-only "$disk" 2>err) || skip "no loop device: $(cat err)"
mkdir inside
mount -o ro,noload "$loop" inside || { losetup -d "$loop"; fail "cannot mount"; }
value inside/greeting hello
same_disk inside/random root/random
umount inside
losetup -d "$loop"

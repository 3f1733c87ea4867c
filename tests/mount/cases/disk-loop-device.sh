# SPDX-License-Identifier: MIT
# A guest's file system, mounted by way of a loop device, written to, and made an image of.
need_root "loop devices"
need mke2fs losetup e2fsck
start
two_regions
mkdir root inside
echo hello >root/greeting
truncate -s 32M fs.raw
run mke2fs -q -F -t ext4 -d root fs.raw
import_raw "$R/private/fs" fs.raw
ok mkdir "$R/private/fs/instances/vm"
vm=$R/instances/vm
for direct in off on; do
        loop=$(losetup --find --show --direct-io=$direct "$vm/disks/vda.raw" 2>err) || skip "no loop device: $(cat err)"
        value "$vm/status" running
        mount "$loop" inside || { losetup -d "$loop"; fail "cannot mount"; }
        value inside/greeting hello
        head -c 3M /dev/urandom >random
        cp random "inside/random-$direct"
        umount inside
        losetup -d "$loop"
        until_true 10 grep -qx stopped "$vm/status" || fail "still running"
        run e2fsck -fn "$vm/disks/vda.raw" >/dev/null
done
ok mkdir "$vm/images/fs-2"
settle "$R/private/fs-2"
restart
run e2fsck -fn "$R/private/fs-2/disks/vda.raw" >/dev/null
loop=$(losetup --find --show --read-only "$R/private/fs-2/disks/vda.raw")
mount -o ro,noload "$loop" inside || { losetup -d "$loop"; fail "cannot mount"; }
cmp inside/random-on random || fail "what was written last"
umount inside
losetup -d "$loop"
same_disk "$R/private/fs/disks/vda.raw" fs.raw

# SPDX-License-Identifier: MIT
# The power goes: a store on XFS whose log is cut off, not flushed. Everything acknowledged is there at the next mount.
# time limit: 240
need_root "a loop device with a file system"
need mkfs.xfs xfs_io losetup
. "$lib/crash.sh"
truncate -s 512M disk.img
run mkfs.xfs -q disk.img
mkdir xfs
mount -o loop disk.img xfs 2>err || skip "cannot mount XFS: $(cat err)"
STORE=$WORK/xfs/store

cut_power() {
        xfs_io -x -c shutdown xfs || fail "cannot shut down the file system"
        crash
        umount -l "$MNT" 2>/dev/null
        umount xfs || fail "cannot unmount the dead file system"
        mount -o loop disk.img xfs || fail "the file system does not come back"
}

start
two_regions
raise_limits
pattern one.raw 8M 1
import_raw "$R/private/one" one.raw
ok write "$R/private/one/description" "acknowledged"
cut_power

start
same_disk "$R/private/one/disks/vda.raw" one.raw
same_checksum "$R/private/one" one.raw
value "$R/private/one/description" "acknowledged"

# Right behind an answer, and in the middle of work.
for i in 1 2 3; do
        pattern "p$i.raw" 16M $((50 + i))
        ok mkdir "$R/private/p$i"
        ok upload "p$i.raw" "$R/private/p$i/upload" # accepted
        ok mkdir "$R/private/one/copies/cn-east-2"
        [ $i = 1 ] || sleep "0.$i"
        cut_power
        start
        timeout 60 cat "$R/private/p$i/wait" >/dev/null 2>&1
        case $(cat "$R/private/p$i/status") in
        available) same_disk "$R/private/p$i/disks/vda.raw" "p$i.raw" ;;
        error) [[ $(cat "$R/private/p$i/error") == *' '* ]] || fail "no reason" ;;
        *) fail "status $(cat "$R/private/p$i/status")" ;;
        esac
        settle "$R2/private/one"
        same_disk "$R2/private/one/disks/vda.raw" one.raw
        value "$R/private/one/copies/cn-east-2/status" "done"
        same_disk "$R/private/one/disks/vda.raw" one.raw
        quota_is_true "$R"
        quota_is_true "$R2"
        ok rmdir "$R/private/one/copies/cn-east-2"
        remove_image "$R2" one
done
stop
check_store
umount xfs
NO_CHECK="checked above"

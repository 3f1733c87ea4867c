# SPDX-License-Identifier: MIT
# copy_file_range(2) between disks moves what differs: what both have of their image stays, and on a file system with
# reflinks what was changed is shared.
need_root "a loop device with a file system"
need mkfs.xfs losetup
truncate -s 512M disk.img
run mkfs.xfs -q -m reflink=1 disk.img
mkdir xfs
mount -o loop disk.img xfs 2>err || skip "cannot mount XFS: $(cat err)"
STORE=$WORK/xfs/store
start
two_regions
pattern web.raw 40M 71
import_raw "$R/private/web" web.raw
for vm in one two; do ok mkdir "$R/private/web/instances/$vm"; done
one=$R/instances/one/disks/vda.raw two=$R/instances/two/disks/vda.raw
head -c 8M /dev/urandom >noise
cp web.raw want.raw

# Bytes that the daemon has read and written, some of them in its database; MiB of the store's disk.
moved() {
        awk '/^[rw]char/ { s += $2 } END { print s }' "/proc/$daemon_pid/io"
}
used() {
        sync -f xfs
        df -B 1M --output=used xfs | tail -n 1
}
# copies_at_most MIB-MOVED MIB-USED FROM TO [COMMAND…]
copies_at_most() {
        local before space grown
        sync "$3" "$4"
        before=$(moved) space=$(used)
        if [ $# = 4 ]; then
                ok copy-range "$3" "$4"
        else
                run "${@:5}" "$3" "$4" >/dev/null
        fi
        before=$((($(moved) - before) >> 20)) grown=$(($(used) - space))
        [ "$before" -le "$1" ] || fail "$before MiB were moved"
        [ "$grown" -le "$2" ] || fail "$grown MiB more are used"
        same_disk "$4" "$3"
}

# A clone over a clone of the same image; changed here, changed there.
copies_at_most 6 4 "$one" "$two"
same "$(stat -c %b "$two")" "$(stat -c %b "$one")" "blocks"
run dd if=noise of="$one" bs=1M seek=3 conv=notrunc status=none
run dd if=noise of=want.raw bs=1M seek=3 conv=notrunc status=none
ok pwrite 30000000 "$two" "not for long"
copies_at_most 6 4 "$one" "$two"
same_disk "$two" want.raw

# They share blocks, and not what is written later.
ok pwrite 5000000 "$one" "in the one alone"
same_disk "$two" want.raw
ok pwrite 5000000 "$two" "in the other"
run dd if=want.raw of="$one" bs=1M skip=4 seek=4 count=1 conv=notrunc status=none
run dd if=want.raw of="$two" bs=1M skip=4 seek=4 count=1 conv=notrunc,fsync status=none
same_disk "$one" want.raw

# Beside a snapshot of what it overwrites, and back to that; to where no image is below, holes and all.
ok mkdir "$R/disks/d"
ok write "$R/disks/d/size" 40M
ok pwrite 4096 "$R/disks/d/data.raw" "old"
ok mkdir "$R/disks/d/snapshots/s"
until_true 20 grep -qx available "$R/snapshots/s/status" || fail "no snapshot"
copies_at_most 42 40 "$two" "$R/disks/d/data.raw"
ok fallocate punch 0 20000000 "$two"
copies_at_most 42 8 "$two" "$R/disks/d/data.raw"
restart
same_disk "$R/disks/d/data.raw" "$two"
ok copy-range "$R/snapshots/s/data.raw" "$R/disks/d/data.raw"
same_disk "$R/disks/d/data.raw" "$R/snapshots/s/data.raw"
same_disk "$one" want.raw

# Back to the image.
ok mkdir "$R/private/web/instances/three"
ok pwrite 30000000 "$R/instances/three/disks/vda.raw" "not for long"
copies_at_most 6 4 "$R/private/web/disks/vda.raw" "$R/instances/three/disks/vda.raw"

# As a program does it that may: what it copies, nobody reads.
need qemu-img
ok pwrite 20000000 "$R/instances/three/disks/vda.raw" "again"
copies_at_most 6 4 "$one" "$R/instances/three/disks/vda.raw" qemu-img convert -n -C -f raw -O raw

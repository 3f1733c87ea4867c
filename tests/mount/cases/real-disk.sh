# SPDX-License-Identifier: MIT
# A real Debian disk, raw and as compressed qcow2: equal, sparse, with the checksum that xxhsum prints; two related disks
# share what they have in common.
# time limit: 500
need qemu-img
real_disk a
a=$DISK
real_disk boot
b=$DISK
start
two_regions

run cp --sparse=always "$a" "$R/private/debian.raw"
SETTLE_SECONDS=200
settle "$R/private/debian"
disk=$R/private/debian/disks/vda.raw
same_disk "$disk" "$a"
same_checksum "$R/private/debian" "$a"
[ "$(du -k "$disk" | cut -f 1)" -le $(($(du -k "$a" | cut -f 1) + 64)) ] || fail "not sparse: $(du -k "$disk" "$a")"
"$FSOP" extents "$disk" >got
"$FSOP" data-runs "$a" >want
cmp got want || fail "SEEK_DATA and SEEK_HOLE disagree with the bytes"
# What is inside, and in no time: dpkg itself says the same of its database.
if [ -x "$(dirname "$IMAGEFS")/imagefs-fstab" ] && command -v debugfs dpkg-query >/dev/null; then
        mkdir admin
        run debugfs -R "dump /var/lib/dpkg/status admin/status" "$a" >/dev/null
        dpkg-query --admindir="$WORK/admin" -W -f '${db:Status-Abbrev}${Package} ${Version} ${Architecture}\n' |
                sed -n 's/^ii *//p' | LC_ALL=C sort >want
        cat "$R/private/debian/packages" >got
        cmp got want || fail "packages: $(diff got want | head -n 5)"
        same "$(cd "$R/private/debian" && cat os platform platform-version | paste -sd ' ')" "linux Debian 12"
fi
unique_a=$(keyed "$MNT/info/store" unique-bytes)
stored_a=$(keyed "$MNT/info/store" stored-bytes)
[ "$stored_a" -lt $((unique_a * 6 / 10)) ] || fail "stored $stored_a of $unique_a"

# The same as qcow2 takes nothing more.
qemu-img convert -c -O qcow2 "$a" debian.qcow2
run cp debian.qcow2 "$R/private/packed.qcow2"
settle "$R/private/packed"
run qemu-img compare -q -f qcow2 -F raw debian.qcow2 "$R/private/packed/disks/vda.raw"
same_checksum "$R/private/packed" "$a"
same "$(keyed "$MNT/info/store" stored-bytes)" "$stored_a" "bytes stored for the same disk again"

# The related one: what it adds is far from a whole disk.
import_raw "$R/private/related" "$b"
same_disk "$R/private/related/disks/vda.raw" "$b"
unique_b=$(($(keyed "$MNT/info/store" unique-bytes) - unique_a))
data_b=$(awk '{ s += $2 } END { print s }' < <("$FSOP" data-runs "$b"))
echo "disk a $unique_a bytes, disk b $data_b bytes of which new $unique_b"
[ "$unique_b" -lt $((data_b * 6 / 10)) ] || fail "$unique_b new bytes of $data_b: nothing was shared"

# Convert and copy move nothing.
ok mkdir "$R/private/debian/copies/cn-east-2"
settle "$R2/private/debian"
same_checksum "$R2/private/debian" "$a"

restart
same_disk "$disk" "$a"
same_checksum "$R/private/debian" "$a"
same_disk "$R/private/related/disks/vda.raw" "$b"

# The guest's file system is whole.
if losetup --find --show -r "$disk" >loop 2>/dev/null; then
        run e2fsck -fn "$(cat loop)" >/dev/null
        losetup -d "$(cat loop)"
fi
stop
run "$IMAGEFS" check --read-data "$STORE"

# SPDX-License-Identifier: MIT
# disks/*.qcow2 and data.qcow2: qemu-img accepts them and finds the same disk; the same bytes each time; never written to.
need qemu-img

start
two_regions
pattern web.raw 10000001 31
import_raw "$R/private/web" web.raw
raw=$R/private/web/disks/vda.raw
qcow2=$R/private/web/disks/vda.qcow2

same "$(stat -c '%F %a' "$qcow2")" "regular file 444" "stat"
# du counts a disk once; and who asks for holes first, as tar does of a file that takes less than its size, gets all of it.
same "$(stat -c %b "$qcow2")" 1 "blocks"
run tar -cSf sparse.tar -C "$R/private/web/disks" vda.qcow2
tar -xOf sparse.tar vda.qcow2 | cmp - "$qcow2" || fail "tar -S kept other bytes"
run cp --sparse=always "$qcow2" sparse.qcow2
same_disk sparse.qcow2 "$qcow2"
rm sparse.tar sparse.qcow2
same "$(stat -c %Y "$qcow2")" "$(stat -c %Y "$raw")" "mtime"
[ "$(stat -c %i "$qcow2")" != "$(stat -c %i "$raw")" ] || fail "two files with one inode number"
same "$(wc -c <"$qcow2")" "$(stat -c %s "$qcow2")" "size read"
expect 0 seek-data 0 "$qcow2"
expect "$(stat -c %s "$qcow2")" seek-hole 0 "$qcow2"
expect ENXIO seek-data "$(stat -c %s "$qcow2")" "$qcow2"

# accepted_disk QCOW2 RAW: in place, by a program that maps and reads as it likes.
accepted_disk() {
        run qemu-img check -q -f qcow2 "$1"
        run qemu-img compare -q -f qcow2 -F raw "$1" "$2"
}
accepted_disk "$qcow2" web.raw
snapshot=$R/private/web/snapshots/vda
accepted_disk "$snapshot/data.qcow2" web.raw
same_disk "$snapshot/data.qcow2" "$qcow2"
run qemu-img convert -f qcow2 -O raw "$qcow2" back.raw
cmp -n 10000001 back.raw web.raw || fail "converted back, it is another disk"
run cp "$qcow2" copy.qcow2
same_disk copy.qcow2 "$qcow2"
accepted_disk copy.qcow2 web.raw

# As a qcow2 backing file: the format that is named is the one that is read.
run qemu-img create -q -f qcow2 -b "$qcow2" -F qcow2 overlay.qcow2
accepted_disk overlay.qcow2 web.raw

# Parts of it are what the whole has there.
for offset in 0 1 65535 65536 131072 200001 262144 327680 1000001; do
        cmp -n 150000 -i "$offset" "$qcow2" copy.qcow2 || fail "at $offset"
done
run dd if="$qcow2" of=direct.qcow2 bs=64k iflag=direct status=none
same_disk direct.qcow2 copy.qcow2

# What is imported from it is the same disk (rounded up to a sector).
import_raw "$R/private/again" copy.qcow2
cmp -n 10000001 "$R/private/again/disks/vda.raw" web.raw || fail "imported again, it is another disk"

# A disk without data; a large sparse one that ends with data. They come as qcow2, so as not to write all the zeros.
truncate -s 3G empty.raw
run qemu-img convert -f raw -O qcow2 empty.raw empty.qcow2
import_raw "$R/private/empty" empty.qcow2
accepted_disk "$R/private/empty/disks/vda.qcow2" empty.raw
[ "$(stat -c %s "$R/private/empty/disks/vda.qcow2")" -le 300000 ] || fail "a disk without data is large"
truncate -s 20G large.raw
dd if=web.raw of=large.raw bs=1M seek=9999 conv=notrunc status=none
dd if=web.raw of=large.raw bs=64K count=1 seek=$((20 * 16384 - 1)) conv=notrunc status=none
run qemu-img convert -f raw -O qcow2 large.raw large.qcow2
import_raw "$R/private/large" large.qcow2
accepted_disk "$R/private/large/disks/vda.qcow2" large.raw

# Writing is EROFS, or what the mode says to who is not root.
refusal=EROFS
[ "$(id -u)" = 0 ] || refusal="EROFS|EACCES"
for mode in w rw trunc; do expect "$refusal" open "$mode" "$qcow2"; done
expect "EPERM|EROFS" unlink "$qcow2"

# The same file after a restart, and in a copy of the image.
before=$(xxh "$qcow2") inode=$(stat -c %i "$qcow2")
ok mkdir "$R/private/web/copies/cn-east-2"
settle "$R2/private/web"
same "$(xxh "$R2/private/web/disks/vda.qcow2")" "$before" "the copy's"
restart
same "$(xxh "$qcow2")" "$before" "after a restart"
same "$(stat -c %i "$qcow2")" "$inode" "inode number after a restart"

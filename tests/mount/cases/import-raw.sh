# SPDX-License-Identifier: MIT
# A raw disk through `upload`: what comes out, and what it leaves in the tree.
start
two_regions
pattern disk.raw 9M 42
web=$R/private/web
ok mkdir "$web"

# It reads as empty, and opening it without a byte written is nothing.
same "$(wc -c <"$web/upload")" 0 "upload reads as empty"
ok open w "$web/upload"
ok open trunc "$web/upload"
ok truncate 0 "$web/upload"
value "$web/status" queued
same "$(used "$R" snapshots)" 0 "nothing is charged for that"

run cp disk.raw "$web/upload"
settle "$web"
same_disk "$web/disks/vda.raw" disk.raw
same_checksum "$web" disk.raw
(cd "$web" && run xxhsum -c checksum) >/dev/null
value "$web/type" cloud
value "$web/format" raw
value "$web/size" "$(stat -c %s disk.raw)"
# A listing shows it, as soon as what is known of a directory has grown old, and takes no space of its own for it.
has_size() { [ "$(stat -c '%s %b' "$1")" = "$2 0" ]; }
until_true 10 has_size "$web" "$(stat -c %s disk.raw)" || fail "stat: $(stat "$web")"
same "$(ls -l "$R/private" | awk '$NF == "web" { print $5 }')" "$(stat -c %s disk.raw)" "ls -l"
same "$(find "$R/private" -mindepth 1 -maxdepth 1 -size +8M -size -10M)" "$web" "find -size"
same "$(stat -c %s "$web/disks" "$web/copies" "$R/private" | sort -u)" 0 "directories without a size"
value "$web/encrypted" no
value "$web/error" ""
same "$(cd "$web/disks" && echo *.raw)" vda.raw "disks"

value "$web/warnings" ""

# A cloud image's disk is a snapshot with the image's name.
snap=$R/snapshots/web
value "$snap/status" available
value "$snap/name" web
same_disk "$snap/data.raw" disk.raw
value "$web/device-mapping" "/dev/vda system snapshot:$(cat "$snap/id") $(stat -c %s disk.raw)"
same "$(realpath "$web/snapshots/vda")" "$(realpath "$snap")" "link to the snapshot"
value "$snap/images" "$(cat "$web/id") private/web"
same "$(used "$R" snapshots)" 1 "snapshots used"
same "$(used "$R" private-images)" 1 "images used"

# A local image's disk is its own.
local_image lo 2M 5
value "$R/private/lo/type" local
value "$R/private/lo/device-mapping" "/dev/vda system image:$(cat "$R/private/lo/id") 2097152"
expect ENOENT stat "$R/snapshots/lo"
same "$(ls "$R/private/lo/snapshots")" "" "no snapshots"
same_disk "$R/private/lo/disks/vda.raw" lo.raw
same "$(used "$R" snapshots)" 1 "snapshots used"

# Writers of any size, in any order, several at once, a sparse tail.
ok mkdir "$R/private/shuffled"
ok upload disk.raw "$R/private/shuffled/upload" 10000 7
settle "$R/private/shuffled"
same_checksum "$R/private/shuffled" disk.raw

ok mkdir "$R/private/two"
exec 5>"$R/private/two/upload" 6>"$R/private/two/upload"
value "$R/private/two/status" "uploading" 
run dd if=disk.raw bs=1M count=4 of=/dev/fd/5 conv=notrunc status=none
exec 5>&-
value "$R/private/two/status" uploading
run dd if=disk.raw bs=1M skip=4 seek=4 of="$R/private/two/upload" conv=notrunc status=none
value "$R/private/two/status" uploading
exec 6>&-
settle "$R/private/two"
same_checksum "$R/private/two" disk.raw

# A size that is no multiple of anything; and a disk that is all hole but its size.
pattern odd.raw 1000001 9
import_raw "$R/private/odd" odd.raw
value "$R/private/odd/size" 1000001
same_disk "$R/private/odd/disks/vda.raw" odd.raw
same_checksum "$R/private/odd" odd.raw

ok write "$MNT/info/limits" "private-images 20"
truncate -s 100G hole.raw
ok mkdir "$R/private/hole"
exec 5>"$R/private/hole/upload"
run dd if=/dev/zero bs=4096 count=1 seek=26214399 of=/dev/fd/5 conv=notrunc status=none
exec 5>&-
settle "$R/private/hole"
value "$R/private/hole/size" 107374182400
same "$(du -k "$R/private/hole/disks/vda.raw" | cut -f 1)" 0 "a hole takes nothing"
# What xxhsum -H2 says of 100 GiB of zeros, after some seconds.
value "$R/private/hole/checksum" "b395743fc27e480fe2472d9e3315ef5b  disks/vda.raw"

# The task that did it, and everything again after a remount.
value "$(task_of "$web" import)/status" "done"
restart
same_disk "$web/disks/vda.raw" disk.raw
same_checksum "$web" disk.raw
value "$web/status" available
same_checksum "$R/private/shuffled" disk.raw

# Any bytes are a raw disk, but such a size is no disk's: there is a warning, whichever way it came.
printf 'notes %.0s' {1..100} >notes
run cp notes "$R/private/notes.raw"
settle "$R/private/notes"
same_disk "$R/private/notes/disks/vda.raw" notes
warning="bytes, which is no multiple of 512: a machine may not see what is behind the last whole sector, and perhaps this is no disk"
value "$R/private/notes/warnings" "the file has 600 $warning"
head -c 1000001 /dev/urandom >odd-bytes.raw
import_raw "$R/private/odd-bytes" odd-bytes.raw
value "$R/private/odd-bytes/warnings" "the file has 1000001 $warning"
value "$web/warnings" ""

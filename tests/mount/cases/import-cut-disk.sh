# SPDX-License-Identifier: MIT
# A raw disk that ends before its own partitions or file system do is refused, whichever way it comes: its end is missing.
# One that ends behind them is a disk, also where the copy of its GPT is gone: then there is a warning.
need sfdisk mke2fs mkfs.xfs gzip
start
two_regions
ok write "$MNT/info/limits" "private-images 40"

table() { # FILE LABEL, and the lines for sfdisk
        truncate -s 16M "$1"
        (echo "label: $2"; cat) | sfdisk -q "$1" || fail "sfdisk: $1"
        dd if=/dev/urandom of="$1" bs=4k count=4 seek=2040 conv=notrunc status=none
}
table gpt.raw gpt <<<'start=2048, size=16384
start=18432, size=8192'
table mbr.raw dos <<<'start=2048, size=16384
start=18432, size=8192'
table logical.raw dos <<<'start=2048, size=8192
start=10240, size=16384, type=5
start=12288, size=4096'
truncate -s 16M ext.raw
run mke2fs -q -F -t ext4 -O 64bit ext.raw
truncate -s 16M ext2.raw
run mke2fs -q -F -t ext2 -b 1024 ext2.raw
truncate -s 320M xfs.raw
run mkfs.xfs -q xfs.raw

cut() { # DISK BYTES WHAT: as long as that it is whole, a sector less it is not
        cp --sparse=always "$1.raw" "whole-$1.raw"
        truncate -s "$2" "whole-$1.raw"
        run cp --sparse=always "whole-$1.raw" "$R/private/"
        settle "$R/private/whole-$1"
        cp --sparse=always "whole-$1.raw" "cut-$1.raw"
        truncate -s $(($2 - 512)) "cut-$1.raw"
        cp --sparse=always "cut-$1.raw" "$R/private/" 2>said && fail "$1: cp of what is cut says nothing"
        grep -q 'Invalid argument' said || fail "$1: $(cat said)"
        value "$R/private/cut-$1/status" error
        value "$R/private/cut-$1/error" "the file ends at byte $(($2 - 512)), and the disk's $3 at byte $2: the rest is \
missing. Upload it whole; where there never was more, make it as long first: truncate -s $2"
        ok rmdir "$R/private/cut-$1"
        ok rmdir "$R/recycle/cut-$1"
}
cut gpt $((26624 * 512)) "partition 2"
cut mbr $((26624 * 512)) "partition 2"
cut logical $((26624 * 512)) "partition 2"
cut ext $((16 << 20)) "file system (ext2, ext3 or ext4)"
cut ext2 $((16 << 20)) "file system (ext2, ext3 or ext4)"
cut xfs $((320 << 20)) "file system (XFS)"
same "$(used "$R" private-images)" 6 "images"

for disk in mbr logical ext ext2 xfs; do
        value "$R/private/whole-$disk/warnings" ""
done
run cp gpt.raw "$R/private/"
settle "$R/private/gpt"
value "$R/private/gpt/warnings" ""
value "$R/private/whole-gpt/warnings" "the file ends at byte 13631488, and the copy of its partition table (GPT) at byte \
16777216: its partitions are all there, but a disk that was not made smaller is cut off"

# Packed it is found out by the import, and of a data disk when that is closed.
gzip -c cut-gpt.raw >packed.raw.gz
run cp packed.raw.gz "$R/private/"
until_true 20 grep -qx error "$R/private/packed/status" || fail "packed: $(cat "$R/private/packed/status")"
grep -q "partition 2 at byte 13631488" "$R/private/packed/error" || fail "packed: $(cat "$R/private/packed/error")"
gzip -c whole-gpt.raw >packed-whole.raw.gz
run cp packed-whole.raw.gz "$R/private/"
settle "$R/private/packed-whole"
value "$R/private/packed-whole/warnings" "$(cat "$R/private/whole-gpt/warnings")"
ok mkdir "$R/private/two"
ok mkdir "$R/private/two/disks/vdb"
expect EINVAL upload cut-mbr.raw "$R/private/two/disks/vdb/upload"
ok upload whole-mbr.raw "$R/private/two/disks/vdb/upload"

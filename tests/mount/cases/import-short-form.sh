# SPDX-License-Identifier: MIT
# cp disk.qcow2 private/ makes the image.
need qemu-img
start
two_regions
raise_limits
pattern disk.raw 3M 21
run qemu-img convert -O qcow2 -c disk.raw debian-12.qcow2

run cp debian-12.qcow2 "$R/private/"
settle "$R/private/debian-12"
value "$R/private/debian-12/name" debian-12
value "$R/private/debian-12/type" cloud
same_checksum "$R/private/debian-12" disk.raw
same "$(ls "$R/private")" debian-12 "the file is an image now"

# The file's own name goes: at once, or when tools have had the time to set its times and mode by it.
until_true 5 test ! -e "$R/private/debian-12.qcow2" || fail "the file's name is still there"

# The name is taken: a repeated cp makes no second image, whatever the file's ending, or the quota.
refused EEXIST - open excl "$R/private/debian-12.qcow2"
[[ $(tail -n 1 "$MNT/info/errors") == *"private/debian-12: there is such an image already: choose another name" ]] ||
        fail "$(tail -n 1 "$MNT/info/errors")"
refused EEXIST - open excl "$R/private/debian-12.img"
fails cp debian-12.qcow2 "$R/private/"
ok write "$R/quota" "private-images limit=1"
refused EEXIST - open excl "$R/private/debian-12.qcow2"
ok write "$R/quota" "private-images limit=100"
number=1
for tool in "cp -p" "cp -a" "rsync --inplace -a"; do
        number=$((number + 1))
        cp debian-12.qcow2 "debian-12-$number.qcow2"
        run $tool "debian-12-$number.qcow2" "$R/private/"
        settle "$R/private/debian-12-$number"
done
value "$R/private/debian-12-3/name" debian-12-3

for ending in raw img; do
        cp disk.raw "plain-$ending.$ending"
        run cp "plain-$ending.$ending" "$R/private/"
        settle "$R/private/plain-$ending"
        same_checksum "$R/private/plain-$ending" disk.raw
done

# Other writers.
run dd if=disk.raw of="$R/private/dd.raw" bs=64k status=none
settle "$R/private/dd"
cat disk.raw >"$R/private/cat.img" || fail "cat"
settle "$R/private/cat"
same_checksum "$R/private/cat" disk.raw
mkdir many
cp disk.raw many/m1.raw
cp debian-12.qcow2 many/m2.qcow2
run cp many/* "$R/private/"
settle "$R/private/m1"
settle "$R/private/m2"
same_checksum "$R/private/m2" disk.raw
run install -m 644 disk.raw "$R/private/inst.raw"
settle "$R/private/inst"

# Into public too.
run cp debian-12.qcow2 "$R/public/"
settle "$R/public/debian-12"
value "$R/public/debian-12/type" both
value "$R/public/debian-12/source" public

# What is not an image file's name is refused when it is made.
for name in notes.txt noending debian-13 archive.tar.gz; do
        expect EINVAL create "$R/private/$name" x
done
expect "EPERM|EACCES|EINVAL" create "$R/recycle/x.raw" x
expect "EPERM|EACCES" create "$R/x.raw" x
expect "EPERM|EACCES" create "$MNT/x.raw" x

# The ending is believed, and held against the content.
cp disk.raw lie.qcow2
expect "EINVAL close" upload-new lie.qcow2 "$R/private/lie.qcow2"
value "$R/private/lie/status" error
[ -n "$(cat "$R/private/lie/error")" ] || fail "no reason given"

# Quota: nothing is made.
ok write "$R/quota" "private-images limit=0"
refused EDQUOT - open excl "$R/private/more.raw"
ok write "$R/quota" "private-images limit=100"
ok write "$R/quota" "snapshots limit=0"
refused EDQUOT - open excl "$R/private/more.raw"
expect ENOENT stat "$R/private/more"

# Made and closed without a byte: nothing is left of it.
ok write "$R/quota" "snapshots limit=100"
ok open excl "$R/private/nothing.raw"
if [ -e "$R/private/nothing" ]; then
        value "$R/private/nothing/status" queued
        ok rmdir "$R/private/nothing"
fi

# SPDX-License-Identifier: MIT
# changed/OTHER: where two snapshots differ; not listed, and right to the block.
start
two_regions
cloud_image one 5M 1
cp one.raw two.raw
printf 'changed' | dd of=two.raw bs=1 seek=1000000 conv=notrunc status=none
head -c 300000 /dev/urandom | dd of=two.raw bs=4096 seek=700 conv=notrunc status=none
dd if=/dev/zero of=two.raw bs=4096 seek=20 count=9 conv=notrunc status=none
import_raw "$R/private/two" two.raw
one=$R/snapshots/one two=$R/snapshots/two
same "$(ls -a "$one" | grep -c '^changed$')" 0 "changed is not listed"
same "$(ls "$one/changed")" "" "changed lists nothing"

same "$(cat "$one/changed/two")" "$("$FSOP" diff-runs one.raw two.raw)" "changed"
same "$(cat "$two/changed/one")" "$("$FSOP" diff-runs one.raw two.raw)" "the other way round"
same "$(wc -c <"$one/changed/one")" 0 "nothing differs from itself"
same "$(stat -c %s "$one/changed/two")" "$(wc -c <"$one/changed/two")" "its size"
expect ENOENT stat "$one/changed/nothing"
expect "EPERM|EACCES" open w "$one/changed/two"

# Of two sizes: what one has beyond the other's end is different.
cp one.raw three.raw
truncate -s 6M three.raw
printf 'tail' | dd of=three.raw bs=1 seek=6000000 conv=notrunc status=none
import_raw "$R/private/three" three.raw
same "$(cat "$one/changed/three")" "5242880 1048576" "the tail"
restart
same "$(cat "$one/changed/two")" "$("$FSOP" diff-runs one.raw two.raw)" "after a remount"

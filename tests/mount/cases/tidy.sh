# SPDX-License-Identifier: MIT
# What was stored in haste is made smaller once there is no work, and nobody can tell but by its size: what is open goes on
# reading, what is shared stays so, and what comes next finds it.
# time limit: 180
need xxhsum
stored() { sed -n 's/^stored-bytes //p' "$MNT/info/store"; }
smaller() { [ "$(stored)" -lt "$1" ]; }
quiet() {
        local before
        before=$(stored)
        sleep 3
        [ "$(stored)" = "$before" ]
}

start -o tidy=0
two_regions
# Words in no order: level 1 leaves much of them.
LC_ALL=C awk 'BEGIN { srand(7); for (i = 0; i < 900000; i++) printf "w%x ", rand() * 5000 }' >one.raw
truncate -s 4M one.raw
cp one.raw two.raw
printf 'another' | dd of=two.raw bs=1 seek=100000 conv=notrunc status=none
import_raw "$R/private/one" one.raw
import_raw "$R/private/two" two.raw
before=$(stored)
restart -o tidy=0 # what was written is sealed; and nothing is done to it that nobody asked for
sleep 2
same "$(stored)" "$before" "stored bytes with tidying off"

restart -o tidy=1
exec 3<"$R/private/one/disks/vda.raw"
until_true 90 smaller $((before * 19 / 20)) || fail "stored-bytes $(stored) of $before"
until_true 60 quiet || fail "it does not end"
same "$(xxhsum -H2 - <&3 | cut -d ' ' -f 1)" "$(xxhsum -H2 one.raw | cut -d ' ' -f 1)" "the image that was open"
exec 3<&-
same_disk "$R/private/two/disks/vda.raw" two.raw
after=$(stored)
import_raw "$R2/private/again" one.raw
same "$(stored)" "$after" "stored bytes after the same image came again"
ls "$STORE"/blobs/moved | grep -q . || fail "nothing was moved"
restart
same_disk "$R/private/one/disks/vda.raw" one.raw
same_disk "$R2/private/again/disks/vda.raw" one.raw

# The tables of what was moved are damaged, and then the index is lost as well: the segments tell where everything lies.
both_read() {
        same_disk "$R/private/one/disks/vda.raw" one.raw
        same_disk "$R2/private/again/disks/vda.raw" one.raw
        same "$(cat "$MNT/info/health")" ok
}
stop
for table in "$STORE"/blobs/moved/*; do
        byte=$(od -An -tu1 -j 36 -N 1 "$table")
        printf "\\x$(printf %02x $((byte ^ 255)))" | dd of="$table" bs=1 seek=36 conv=notrunc status=none
done
check_store
start -o tidy=0
both_read
stop
rm "$STORE"/blobs/index.db*
start -o tidy=0
both_read
ok rmdir "$R/private/two"
ok rmdir "$R/recycle/two"
restart -o tidy=0
both_read

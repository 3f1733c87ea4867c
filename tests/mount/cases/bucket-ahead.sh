# SPDX-License-Identifier: MIT
# Who reads an image in a bucket from one end to the other has what comes next fetched before it is wanted, also from the next segment;
# who jumps about has not.
# time limit: 120
need python3
# shellcheck source=tests/mount/lib/s3.sh
. "$lib/s3.sh"
grep -q libcurl <(ldd "$IMAGEFS") || skip "built without libcurl"

bucket
start
two_regions
raise_limits
ok write "$R2/store" "$FAR"
home=$(echo "$STORE"/bucket-*)
# What no codec shortens.
python3 -c 'import random, sys; sys.stdout.buffer.write(random.Random(45).randbytes(96 << 20))' >large.raw
import_raw "$R2/private/large" large.raw
mapfile -t segments < <(objects segments/)
same "${#segments[@]}" 2 "segments"

gets() { grep -c "GET some/where/$1" "$WORK/s3.log"; }
anew() {
        stop
        rm "$home"/ranges*
        start
        : >"$WORK/s3.log"
}

# The first 48 MiB are in the first segment alone, and once they are read the second one is on its way.
anew
expect 1048576 read 0 1048576 "$R2/private/large/disks/vda.raw"
same "$(gets "${segments[1]}")" 0 "requests for what nobody will want soon"
anew
cmp -n $((48 << 20)) "$R2/private/large/disks/vda.raw" large.raw || fail "other bytes"
until_true 20 grep -q "GET some/where/${segments[1]}" "$WORK/s3.log" || fail "the next segment is not fetched"
same_disk "$R2/private/large/disks/vda.raw" large.raw

# All of these are in the first segment, and what comes after them is not what is wanted next.
anew
for at in 40 5 50 20 30; do
        dd if="$R2/private/large/disks/vda.raw" bs=1M skip=$at count=1 iflag=direct status=none |
                cmp - <(dd if=large.raw bs=1M skip=$at count=1 status=none) || fail "other bytes at $at MiB"
done
same "$(gets "${segments[1]}")" 0 "requests for what nobody goes on to"

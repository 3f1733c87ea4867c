# SPDX-License-Identifier: MIT
# Tidying a region in a bucket: what is half empty there shrinks, and nothing else moves, which would be the whole bucket's traffic.
# shellcheck source=tests/mount/lib/s3.sh
. "$lib/s3.sh"
grep -q libcurl <(ldd "$IMAGEFS") || skip "built without libcurl"
bucket
start -o tidy=0
two_regions
raise_limits
ok write "$R2/store" "$FAR"
LC_ALL=C awk 'BEGIN { srand(7); for (i = 0; i < 500000; i++) printf "w%x ", rand() * 5000 }' >stays.raw
truncate -s 3M stays.raw
pattern goes.raw 6M 31
head -c 1M goes.raw >part.raw
truncate -s 3M part.raw
added() { comm -13 <(echo "$1") <(objects segments/); }
import_raw "$R2/private/stays" stays.raw
stays=$(objects segments/)
import_raw "$R2/private/goes" goes.raw
hollow=$(added "$stays")
import_raw "$R2/private/part" part.raw
[ -n "$stays" ] && [ -n "$hollow" ] || fail "segments: $(objects segments/)"
ok rmdir "$R2/private/goes"
ok rmdir "$R2/recycle/goes"
[ ! -d "$R2/snapshots/goes" ] || ok rmdir "$R2/snapshots/goes"
restart -o tidy=1,cache=64K,cache-disk=0
_moved() { ! objects segments/ | grep -qxF "$hollow"; }
until_true 60 _moved || fail "what is half empty stays: $(objects segments/)"
same "$(objects segments/ | grep -xF "$stays")" "$stays" "what was full"
same_disk "$R2/private/part/disks/vda.raw" part.raw
same_disk "$R2/private/stays/disks/vda.raw" stays.raw

# SPDX-License-Identifier: MIT
# Copies of a library with a region in a bucket, on two hosts: the last that was mounted has it, and the other finds that out before it
# removes anything there, or takes what is missing there for damage.
# shellcheck source=tests/mount/lib/s3.sh
. "$lib/s3.sh"
grep -q libcurl <(ldd "$IMAGEFS") || skip "built without libcurl"
bucket
cached() { start -o "cache=64K,cache-disk=0"; }
cached
two_regions
raise_limits
ok write "$R2/store" "$FAR"
same "$(claims)" 0000000000000001 "claims on a new store"
pattern one.raw 3M 5
pattern two.raw 3M 6
import_raw "$R2/private/one" one.raw
import_raw "$R2/private/two" two.raw
pattern cold.raw 3M 8
there=$(objects segments/)
import_raw "$R2/private/cold" cold.raw
cold=$(comm -13 <(echo "$there") <(objects segments/))
home=$(echo "$STORE"/bucket-*)
restart -o cache=64K,cache-disk=0
_claims() { [ "$(claims)" = "$1" ]; }
until_true 20 _claims 0000000000000002 || fail "claims after another start: $(claims)"

# A copy is put back elsewhere, and used, while this one is, too.
mkdir "$WORK/mnt2"
cp -a "$STORE" "$WORK/copy"
at_first() { MNT=$1 R=$1/regions/cn-north-1 R2=$1/regions/cn-east-2 STORE=$2 daemon_pid=$3; }
first=$daemon_pid
at_first "$WORK/mnt2" "$WORK/copy" ""
cached
second=$daemon_pid
until_true 20 _claims 0000000000000003 || fail "claims with the copy: $(claims)"
there=$(objects)
at_first "$WORK/mnt" "$WORK/store" "$first"
taken="another copy of this blob store, on host $(uname -n), has taken over its part of the bucket (claim 3, here it is 2)"
gone() {
        ok rmdir "$R2/private/$1"
        ok rmdir "$R2/recycle/$1"
}
gone one
_health() { grep -qF "$1" "$MNT/info/health"; }
until_true 20 _health "$FAR: $taken" || fail "health says: $(cat "$MNT/info/health")"
_health "remove $home/claim, and mount" || fail "no way out: $(cat "$MNT/info/health")"
same "$(objects)" "$there" "objects, after the first has removed an image that the copy has"
same_disk "$R2/private/two/disks/vda.raw" two.raw
pattern three.raw 1M 7
ok mkdir "$R2/private/three"
"$FSOP" upload three.raw "$R2/private/three/upload" >out # or not
same "$(objects)" "$there" "objects, after the first was to put something"

# What goes there now is none of the first's damage.
at_first "$WORK/mnt2" "$WORK/copy" "$second"
value "$MNT/info/health" ok
same_disk "$R2/private/one/disks/vda.raw" one.raw
for name in $cold; do rm "$WORK/bucket/some%2Fwhere%2F${name/\//%2F}"; done
at_first "$WORK/mnt" "$WORK/store" "$first"
if cat "$R2/private/cold/disks/vda.raw" >/dev/null 2>err; then fail "read what went"; fi
grep -q "Input/output error" err || fail "$(cat err)"
[[ $(tail -n 1 "$MNT/info/errors") == *"info/health says which one, and why" ]] || fail "says: $(tail -n 1 "$MNT/info/errors")"

# Nor does it come back by being mounted again, until it is told to.
restart -o cache=64K,cache-disk=0
until_true 20 _health "$taken" || fail "health after another start: $(cat "$MNT/info/health")"
same "$(claims)" 0000000000000003 "claims after it was mounted again"
stop
at_first "$WORK/mnt2" "$WORK/copy" "$second"
value "$MNT/info/health" ok
stop
at_first "$WORK/mnt" "$WORK/store" ""
rm "$home/claim"
cached
until_true 20 _claims 0000000000000004 || fail "claims: $(claims)"
value "$MNT/info/health" ok

# What it was to remove, and could not, it removes no more when it was taken over from meanwhile.
timeout 50 cat "$R2/private/three/wait" >/dev/null 2>&1 # its map would come with the next
pattern due.raw 1M 77
maps=$(objects maps/)
import_raw "$R2/private/due" due.raw
due=$(comm -13 <(echo "$maps") <(objects maps/))
[ -n "$due" ] || fail "no map of its own: $(objects maps/)"
bucket_does "busy DELETE some/where/$due"
ok rmdir "$R2/private/due"
ok rmdir "$R2/recycle/due"
[ ! -d "$R2/snapshots/due" ] || ok rmdir "$R2/snapshots/due"
_asked() { grep -qxF "DELETE some/where/$due" "$WORK/s3.log"; }
until_true 30 _asked || fail "nobody removes $due"
claim=$WORK/bucket/some%2Fwhere%2Fclaim%2F
sed 's/ [^ ]*$/ third/' "${claim}0000000000000004" >"$WORK/claim5" && mv "$WORK/claim5" "${claim}0000000000000005"
until_true 30 _health "on host third, has taken over its part of the bucket (claim 5, here it is 4)" || fail "health says: $(cat "$MNT/info/health")"
bucket_does
same "$(objects "$due")" "$due" "what whoever has it may need"
stop
same "$(objects "$due")" "$due" "what whoever has it may need, after the end"
rm "${claim}0000000000000005"

# Who has it may say anything of itself.
sed -i 's/ [^ ]*$/ \x1b[31mother/' "$WORK/bucket/some%2Fwhere%2Fclaim%2F0000000000000004"
at_first "$WORK/mnt2" "$WORK/copy" ""
cached
until_true 20 _health "on host ?[31mother, has taken over its part of the bucket (claim 4, here it is 3)" || fail "health says: $(cat "$MNT/info/health")"
stop
at_first "$WORK/mnt" "$WORK/store" ""
NO_CHECK=yes # what went is missing

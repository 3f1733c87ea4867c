# SPDX-License-Identifier: MIT
# kill -9 while segments go into a bucket, and go from it: an accepted copy goes on, nothing that is available is lost, and when all is
# removed the bucket is as empty as it was.
# time limit: 300
kills=${IMAGEFS_KILLS:-3}
. "$lib/crash.sh"
# shellcheck source=tests/mount/lib/s3.sh
. "$lib/s3.sh"
grep -q libcurl <(ldd "$IMAGEFS") || skip "built without libcurl"
bucket
cached() { start -o cache=64K; }
cached
two_regions
raise_limits
ok write "$MNT/info/limits" "unnamed-days 0"
ok write "$R2/store" "$FAR"
pattern kept.raw 3M 5
import_raw "$R2/private/kept" kept.raw
cloud_image web 80M 4 # more than a segment
copy=$R/private/web/copies/cn-east-2
home=$(echo "$STORE"/bucket-*)
for ((i = 1; i <= kills; i++)); do
        "$FSOP" mkdir "$copy" >answer 2>&1 &
        writer=$!
        crash_within 900
        wait "$writer"
        cached
        [ "$(cat answer)" != ok ] || [ -d "$copy" ] || fail "kill $i: an accepted copy is gone"
        if [ -d "$copy" ]; then
                settle "$R2/private/web"
                same_disk "$R2/private/web/disks/vda.raw" web.raw
                [ "$(objects maps/ | wc -l)" -ge 2 ] || fail "kill $i: available, and its map is not in the bucket"
        fi
        same_disk "$R2/private/kept/disks/vda.raw" kept.raw
        [ ! -d "$copy" ] || ok rmdir "$copy"
        if [ -d "$R2/private/web" ]; then
                remove_image "$R2" web
                crash_within 100
                cached
        fi
        same "$(cd "$R2" && ls private recycle snapshots | grep -c web)" 0 "kill $i: something is left"
        between_kills
done

# Its index is made again of what the bucket says, and so is all of its directory, when the host that had it is lost.
stop
rm "$home"/index.db
cached
same_disk "$R2/private/kept/disks/vda.raw" kept.raw
stop
rm -r "$home"
bucket_does deny
cached
until_true 20 grep -q "the blob store of region cn-east-2 is offline" "$MNT/info/health" || fail "$(cat "$MNT/info/health")"
[ ! -e "$home/format" ] || fail "made anew while the bucket does not say of what"
bucket_does
stop
cached
value "$MNT/info/health" ok
same_disk "$R2/private/kept/disks/vda.raw" kept.raw
import_raw "$R2/private/new" kept.raw
stop
check_store
cached
remove_image "$R2" new
remove_image "$R2" kept
_is_empty() { [ "$(objects)" = format ] && [ -z "$(ls "$home/segments")" ]; }
# What somebody keeps for a moment is looked at again a minute later.
until_true 20 _is_empty || { restart && until_true 100 _is_empty; } || fail "left: $(objects) $(ls "$home/segments")"

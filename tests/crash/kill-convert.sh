# SPDX-License-Identifier: MIT
# kill -9 while a conversion runs: it was accepted and comes to its end, or it never was.
# time limit: 200
kills=${IMAGEFS_KILLS:-5}
. "$lib/crash.sh"
start
two_regions
raise_limits
local_image web 4M 3
for ((i = 1; i <= kills; i++)); do
        "$FSOP" write "$R/private/web/convert" cloud >answer 2>&1 &
        writer=$!
        crash_within 20
        wait "$writer"
        start
        settle "$R/private/web"
        if [ "$(cat answer)" = ok ]; then
                [ -d "$R/private/web-cloud" ] || fail "kill $i: an accepted conversion is gone"
        fi
        if [ -d "$R/private/web-cloud" ]; then
                settle "$R/private/web-cloud"
                same "$(keyed "$R/private/web/convert" status)" "done" "kill $i: convert"
                same_checksum "$R/private/web-cloud" web.raw
                same_disk "$(realpath "$R"/private/web-cloud/snapshots/*)/data.raw" web.raw
        fi
        same_disk "$R/private/web/disks/vda.raw" web.raw
        quota_is_true "$R"
        [ ! -d "$R/private/web-cloud" ] || remove_image "$R" web-cloud
        same "$(ls "$R/snapshots")" "" "kill $i: snapshots left"
        between_kills
done
store_gives_back web.raw local

# SPDX-License-Identifier: MIT
# kill -9 while bytes move to another store: an accepted copy goes on at the next mount, without beginning anew.
# time limit: 300
kills=${IMAGEFS_KILLS:-5}
. "$lib/crash.sh"
start
two_regions
raise_limits
mkdir other
ok write "$R2/store" "$WORK/other"
cloud_image web 40M 4
copy=$R/private/web/copies/cn-east-2
for ((i = 1; i <= kills; i++)); do
        "$FSOP" mkdir "$copy" >answer 2>&1 &
        writer=$!
        crash_within 200
        wait "$writer"
        start
        [ "$(cat answer)" != ok ] || [ -d "$copy" ] || fail "kill $i: an accepted copy is gone"
        if [ -d "$copy" ]; then
                settle "$R2/private/web"
                value "$copy/status" "done"
                same_disk "$R2/private/web/disks/vda.raw" web.raw
                same_checksum "$R2/private/web" web.raw
        else
                same "$(cd "$R2" && ls private snapshots | grep -c web)" 0 "kill $i: half a copy"
        fi
        same_checksum "$R/private/web" web.raw
        quota_is_true "$R"
        quota_is_true "$R2"
        [ ! -d "$copy" ] || ok rmdir "$copy"
        [ ! -d "$R2/private/web" ] || remove_image "$R2" web
        same "$(cd "$R2" && ls private recycle snapshots | grep -c web)" 0 "kill $i: something is left"
        between_kills
done

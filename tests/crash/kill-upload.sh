# SPDX-License-Identifier: MIT
# kill -9 while an upload is being written: no image is made of a part of it, and nothing stays of it.
# time limit: 200
kills=${IMAGEFS_KILLS:-5}
. "$lib/crash.sh"
start
two_regions
raise_limits
pattern kept.raw 3M 1
import_raw "$R/private/kept" kept.raw
pattern disk.raw 30M 2
for ((i = 1; i <= kills; i++)); do
        name=u$i
        ok mkdir "$R/private/$name"
        "$FSOP" upload disk.raw "$R/private/$name/upload" 65536 $((i % 2)) >answer 2>&1 &
        writer=$!
        crash_within 60
        wait "$writer"
        start
        # Its end may have been recorded before the writer knew, and, a moment after close(2), not yet.
        timeout 60 cat "$R/private/$name/wait" >/dev/null 2>&1
        case $(cat "$R/private/$name/status") in
        error) [[ $(cat "$R/private/$name/error") == *"cut off"* ]] || fail "kill $i: $(cat "$R/private/$name/error")" ;;
        queued) [ "$(cat answer)" != ok ] || fail "kill $i: queued after it was closed" ;;
        available) same_checksum "$R/private/$name" disk.raw ;;
        *) fail "kill $i: status $(cat "$R/private/$name/status")" ;;
        esac
        same_checksum "$R/private/kept" kept.raw
        quota_is_true "$R"
        remove_image "$R" "$name"
        between_kills
done
store_gives_back kept.raw cloud

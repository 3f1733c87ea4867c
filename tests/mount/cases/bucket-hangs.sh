# SPDX-License-Identifier: MIT
# The server of a bucket stops answering, at each kind of request: what is cancelled ends at once, and so does the mount, and nothing is
# lost by it.
# shellcheck source=tests/mount/lib/s3.sh
. "$lib/s3.sh"
grep -q libcurl <(ldd "$IMAGEFS") || skip "built without libcurl"
bucket
cached() { start -o cache=64K,cache-disk=0; }
cached
two_regions
raise_limits
ok write "$R2/store" "$FAR"
cloud_image web 3M 21
import_raw "$R2/private/far" web.raw
at() { echo "$1 some/where/$2"; }
hangs() { # REQUEST [LOST]: and what is asked for before it is done, and nobody is told
        bucket_does
        : >"$WORK/s3.log"
        bucket_does "hang $1${2:+$'\n'lose $2}"
}
_asked() { grep -q "^$1" "$WORK/s3.log"; }
asked() { until_true 30 _asked "$1" || fail "nobody asks for $1: $(cat "$WORK/s3.log")"; }

# A deadline is 20 or 60 s: whoever waits for one is still there when this is over.
at_once() {
        local began=$SECONDS
        "$@"
        [ $((SECONDS - began)) -lt 15 ] || fail "$*: after $((SECONDS - began)) s"
}
_works() { grep -qs "^task-" "/proc/$daemon_pid/task"/*/comm; }
_idle() { ! _works; }

# A copy that is cancelled while it puts a segment, or its map, or asks whether that is there: nobody works on it any more.
cancelled() { # REQUEST COPY
        asked "$1"
        _works || fail "no thread has the copy's name"
        ok rmdir "$2"
        at_once until_true 30 _idle || fail "the copy is still at work at $1"
        bucket_does
}
for folder in segments/ maps/; do
        for method in PUT HEAD; do
                pattern more.raw 1M "$RANDOM"
                import_raw "$R/private/more" more.raw
                case $method in
                PUT) hangs "$(at PUT $folder)" ;;
                HEAD) hangs "$(at HEAD $folder)" "$(at PUT $folder)" ;;
                esac
                ok mkdir "$R/private/more/copies/cn-east-2"
                cancelled "$(at $method $folder)" "$R/private/more/copies/cn-east-2"
                settle "$R/private/more"
                ok rmdir "$R/private/more"
                ok rmdir "$R/recycle/more"
        done
done

# Nor does the end of the mount wait.
ended() {
        asked "$1"
        kill -TERM "$daemon_pid"
        at_once _reap "$daemon_pid" 40 || fail "the daemon gave status $? at $1"
}
healthy() {
        bucket_does
        cached
        until_true 30 eval '[ "$(cat "$MNT/info/health")" = ok ]' || fail "health: $(cat "$MNT/info/health")"
}

# For a reader, or a copy that reads.
hangs "$(at GET segments/)"
cat "$R2/private/far/disks/vda.raw" >/dev/null 2>&1 &
reader=$!
ended "$(at GET segments/)"
wait "$reader"
healthy
hangs "$(at GET segments/)"
ok mkdir "$R2/private/far/copies/cn-north-1"
cancelled "$(at GET segments/)" "$R2/private/far/copies/cn-north-1"
settle "$R2/private/far"
same_disk "$R2/private/far/disks/vda.raw" web.raw

# For what is taken in.
pattern more.raw 3M "$RANDOM"
hangs "$(at PUT segments/)"
ok mkdir "$R2/private/more"
ok upload more.raw "$R2/private/more/upload"
ended "$(at PUT segments/)"
healthy
timeout 50 cat "$R2/private/more/wait" >/dev/null 2>&1
case $(cat "$R2/private/more/status") in
available) same_disk "$R2/private/more/disks/vda.raw" more.raw ;;
error) grep -q "begin again" "$R2/private/more/error" || fail "$(cat "$R2/private/more/error")" ;;
*) fail "status $(cat "$R2/private/more/status")" ;;
esac

# For what collects, which goes on in the next mount with the next request.
hangs "$(at DELETE maps/)"
ok rmdir "$R2/private/far"
ok rmdir "$R2/recycle/far"
[ ! -d "$R2/snapshots/far" ] || ok rmdir "$R2/snapshots/far"
ended "$(at DELETE maps/)"
for request in "$(at HEAD segments/)" "$(at GET segments/)" "$(at DELETE segments/)"; do
        hangs "$request"
        cached
        ended "$request"
done

# For what the beginning of a mount asks for.
for request in "GET list" "$(at GET claim/)" "$(at PUT claim/)" "$(at DELETE claim/)" "$(at PUT catalogue/)"; do
        hangs "$request"
        cached
        ended "$request"
done
healthy
stop
check_store

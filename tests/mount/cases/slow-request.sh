# SPDX-License-Identifier: MIT
# A request that takes too long is in the log, with what it waits for, and is counted; when it has ended, that is said, too.
need_root "a blob store on a file system of the test's own"
# shellcheck source=tests/mount/lib/hang.sh
. "$lib/hang.sh"

hang_mount
start
two_regions
ok write "$R2/store" "$FAR/store"
pattern web.raw 2M 5
import_raw "$R2/private/web" web.raw
stop
hang_unmount

hang_mount
start -o slow-request=1
number() { sed -n "s/^$1 //p" "$MNT/info/metrics"; }
same "$(number imagefs_requests_slow) $(number imagefs_requests_slow_total)" "0 0" "slow requests before one"
exec 9<"$R2/private/web/disks/vda.raw"
hang
cmp web.raw - <&9 >cmp.out 2>&1 &
reader=$!
_said() { grep -q "$1" "$MNT/info/health"; }
until_true 30 _said "^[1-9][0-9]* requests\? \(is\|are\) at work for more than 1 s: the daemon's log says which, and what" ||
        fail "nothing in health: $(cat "$MNT/info/health")"
[ "$(number imagefs_requests_slow)" -ge 1 ] || fail "slow: $(number imagefs_requests_slow)"
[ "$(number imagefs_requests_slow_total)" -ge 1 ] || fail "slow in all: $(number imagefs_requests_slow_total)"
[ "$(number imagefs_health_problems)" -ge 1 ] || fail "problems: $(number imagefs_health_problems)"
_logged() { grep -qE "$1" daemon.log; }
until_true 30 _logged "slow request: read by user 0: at work for [1-9][0-9]* s: waits in [a-z]+ of $FAR/store/" ||
        fail "not what it waits for: $(tail -n 5 daemon.log)"
until_true 30 _logged "slow request: read by root: /regions/cn-east-2/private/web" ||
        fail "not which: $(tail -n 5 daemon.log)"
go_on
exec 9<&-
wait "$reader" || fail "the reader: $(cat cmp.out)"
until_true 30 _logged "slow request: read by user 0: ended after some [1-9][0-9]* s" || fail "not that it has ended"
_is_ok() { [ "$(cat "$MNT/info/health")" = ok ]; }
until_true 30 _is_ok || fail "health: $(cat "$MNT/info/health")"
same "$(number imagefs_requests_slow)" 0 "slow requests, after it"

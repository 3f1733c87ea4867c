# SPDX-License-Identifier: MIT
# The process that serves a mount dies, and the next one goes on: whoever uses the mount notices nothing.
need python3
[ "$(printf '%s\n' 6.9 "$(uname -r)" | sort -V | head -n 1)" = 6.9 ] || skip "Linux does not send again what was under way"
KILLS=${IMAGEFS_KILLS:-10}
serving() { pgrep -P "$daemon_pid" imagefs; }
# next OLD: it is another one than OLD, and serves.
_next() { [ -n "$(serving)" ] && [ "$(serving)" != "$1" ]; }
next() {
        until_true 20 _next "$1" || fail "no process followed $1"
        stat -f "$MNT" >/dev/null || fail "it does not serve"
}
trap '' HUP # as under nohup, which does not keep kill -HUP from what it is for
start -o restarts=100000
two_regions
raise_limits
first=$(serving)
[ -n "$first" ] || fail "nobody is supervised"

# A machine that was given its answer and synced nothing, and texts that are open.
pattern web.raw 3M 5
import_raw "$R/private/web" web.raw local
ok mkdir "$R/instances/vm"
ok write "$R/instances/vm/image" private/web
ok mkdir "$R/disks/load"
ok write "$R/disks/load/size" 64M
exec 5<>"$R/instances/vm/disks/vda.raw" 6<"$R/private/web/name" 7<"$R/private/web/description"
echo 'answered, not synced' | dd bs=4096 seek=3 conv=notrunc,sync status=none of="$R/instances/vm/disks/vda.raw" ||
        fail "writing"
read -r -N 1 begun <&6
value "$R/instances/vm/status" running
kill -KILL "$first"
next "$first"
value "$R/instances/vm/status" running
refused EBUSY "$R/instances/vm" rmdir "$R/instances/vm"
same "$(dd bs=4096 skip=3 count=1 iflag=direct status=none if="$R/instances/vm/disks/vda.raw" | tr -d '\0')" \
        'answered, not synced' "what was written"
cmp -n 4096 web.raw /dev/fd/5 || fail "what was there before"
same "$begun$(cat <&6)" web "a text that is the same is read on"
same "$(cat <&7)" '' "one that nobody had begun to read"
ok write "$R/private/web/description" 'another text than before'

# An upload that was under way has lost what was not stored; it never looks whole. Who waits for it is told so.
ok mkdir "$R/private/slow"
exec 8>"$R/private/slow/upload"
head -c 1M web.raw >&8
cat "$R/private/slow/wait" >waited 2>&1 &
waiter=$!
until_true 5 grep -q wait /proc/"$waiter"/stack
second=$(serving)
kill -KILL "$second"
next "$second"
{ head -c 1M web.raw >&8; } 2>err && fail "an upload went on without its beginning"
grep -q 'Input/output error' err || fail "got $(cat err)"
{ exec 8>&-; } 2>/dev/null
wait "$waiter" && fail "an upload that was cut off ended well"
value "$R/private/slow/status" error
ok rmdir "$R/private/slow"
exec 5<&- 6<&- 7<&-
until_true 5 grep -qx stopped "$R/instances/vm/status" || fail "the machine's disk is closed"

# Clients at work.
"$lib/kill-load" "$R" "$daemon_pid" "$KILLS" ${IMAGEFS_SEED:+"$IMAGEFS_SEED"} >out 2>err || fail "$(cat out err)"

grep 'died of' daemon.log | grep -v 'signal 9' && fail "it died by itself"

# A new program under a mount in use: what is open stays so.
exec 5<>"$R/disks/load/data.raw"
third=$(serving)
kill -HUP "$daemon_pid"
next "$third"
printf x >&5 || fail "writing to what was open before"
exec 5>&-
same "$(head -c 1 "$R/disks/load/data.raw")" x "what was written to it"

# It ends as it does without a supervisor.
ended=$daemon_pid
kill -TERM "$ended"
_reap "$ended" || fail "SIGTERM gave status $?"
mountpoint -q "$MNT" && fail "it is still mounted"
check_store

# One death too many: it is left down, and nobody waits for ever.
start -o restarts=1
exec 5<"$MNT/info/version"
fourth=$(serving)
kill -KILL "$fourth"
next "$fourth"
down=$daemon_pid
kill -KILL "$(serving)"
_reap "$down"
same $? 32 "its exit status"
grep -q 'is left down' daemon.log || fail "nobody said why"
cat <&5 >/dev/null 2>&1 && fail "what was open is still served"
exec 5<&-
mountpoint -q "$MNT" && fail "it is still mounted"

# Which the next start tells, once.
start -o restarts=1
grep -q 'left down, since the process that serves it died 2 times in a minute, the last time of signal 9' "$MNT/info/health" ||
        fail "info/health says $(cat "$MNT/info/health")"
restart -o restarts=1
value "$MNT/info/health" ok

# Whoever kills the supervisor has killed all of it.
fifth=$(serving)
crash
until_true 5 _ended "$fifth" || fail "the process that served goes on by itself"
expect ENOTCONN stat "$MNT/info"
start
stop
check_store

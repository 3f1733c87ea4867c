# SPDX-License-Identifier: MIT
# The process that serves a mount dies under cp, rsync -a, sed -i and mv: each ends as it would have, and what it made is there
# once, and whole. They are held where the process is to die, so that it does not matter how fast anything is: cp and rsync
# while some of it has come, the others by the call at which a thread of the process is killed. IMAGEFS_KILLS of these, with
# 200 MiB.
[ "$(printf '%s\n' 6.9 "$(uname -r)" | sort -V | head -n 1)" = 6.9 ] || skip "Linux does not send again what was under way"
need strace rsync
trap '' HUP
start -o restarts=100000
two_regions
raise_limits
RANDOM=${IMAGEFS_SEED:-17}
pattern big.raw $((${IMAGEFS_KILLS:+192} + 8))M 31
pattern small.raw 1M 32
import_raw "$R/private/web" small.raw
serving() { pgrep -P "$daemon_pid" imagefs; }
_next() { [ -n "$(serving)" ] && [ "$(serving)" != "$1" ]; }
next() {
        until_true 20 _next "$1" || fail "no process followed $1"
        stat -f "$MNT" >/dev/null || fail "it does not serve"
}

# while_some COMMAND …: killed when a part of big.raw has come, as far as COMMAND can be stopped before it is through.
_some() { [ -n "$(find "$STORE" -path '*incoming/*' -size +1M 2>/dev/null)" ] || _ended "$client"; }
while_some() {
        local old
        old=$(serving)
        "$@" >out 2>err &
        client=$!
        until_true 30 _some || fail "$1: nothing comes"
        kill -STOP "$client" 2>/dev/null
        kill -KILL "$old"
        kill -CONT "$client" 2>/dev/null
        next "$old"
        wait "$client" || fail "$*: status $?: $(cat err)"
}
made() { # IMAGE FILE
        settle "$R/private/$1"
        same_disk "$2" "$R/private/$1/disks/vda.raw"
        same "$(find "$R/private" -maxdepth 1 -name ".*" -o -name "$1*" | grep -vxc "$R/private/$1")" 0 "what else there is of it"
        ok rmdir "$R/private/$1"
        ok rmdir "$R/recycle/$1"
}

# at_call N CALLS COMMAND …: killed at the Nth of those calls that a thread makes, if it makes so many.
killed=0
_traced() { grep -q '^TracerPid:.*[1-9]' "/proc/$old/status" || _ended "$tracer"; }
at_call() {
        local old tracer
        old=$(serving)
        strace -f -qq -o trace -p "$old" -e trace="$2" -e inject="$2:signal=SIGKILL:when=$1" 2>strace.err &
        tracer=$!
        until_true 5 _traced || fail "strace cannot attach: $(tail -n 1 strace.err)"
        "${@:3}" >out 2>err || fail "${*:3}: status $?, killed at call $1 of $2: $(cat err)"
        if _ended "$old"; then
                killed=$((killed + 1))
                next "$old"
        fi
        slow_pid=$tracer
        fast_disk
}
values=0
set_value() { # N CALLS
        values=$((values + 1))
        at_call "$1" "$2" sed -i "s/.*/value $values/" "$R/private/web/description"
        value "$R/private/web/description" "value $values"
        same "$(ls -A "$R/private/web" | grep -c '^sed\|^\.')" 0 "temporary files left by sed"
}
move() { # N CALLS
        cp small.raw "$R/private/.x.tmp" || fail "cp"
        at_call "$1" "$2" mv "$R/private/.x.tmp" "$R/private/x.raw"
        made x small.raw
}
ok write "$R/private/web/description" "value 0"

while_some cp big.raw "$R/private/cp.raw"
made cp big.raw
while_some rsync -a big.raw "$R/private/"
made big big.raw
set_value 1 pwrite64
set_value 3 pwrite64
set_value 1 fdatasync # the value is there, the temporary file too
move 1 pwrite64
move 1 rename,renameat,renameat2,linkat,writev
move 1 renameat,renameat2 # between its two commits
[ "$killed" -gt 0 ] || fail "nothing was killed"

calls=(pwrite64 pwrite64,fdatasync,fsync rename,renameat,renameat2,linkat,unlinkat writev)
for ((n = 0; n < ${IMAGEFS_KILLS:-0}; n++)); do
        case $((n % 4)) in
        0)
                while_some cp big.raw "$R/private/cp.raw"
                made cp big.raw
                ;;
        1)
                while_some rsync -a big.raw "$R/private/"
                made big big.raw
                ;;
        2) set_value $((1 + RANDOM % 12)) "${calls[RANDOM % 4]}" ;;
        3) move $((1 + RANDOM % 12)) "${calls[RANDOM % 4]}" ;;
        esac
done
nothing_incoming
echo "note: $killed of the process's threads were killed at a call"

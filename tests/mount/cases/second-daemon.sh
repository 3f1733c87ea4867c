# SPDX-License-Identifier: MIT
# One daemon per store.
start
ok mkdir "$MNT/regions/r"
mkdir other
said="$STORE: another imagefs serves this library: process $daemon_pid"
[[ $(start_refused "$STORE" "$WORK/other") == *"$said: unmount that one first" ]] || fail "another sentence: $(cat out)"
if [ "$(id -u)" = 0 ]; then
        [[ $(unshare -m "$IMAGEFS" "$STORE" "$WORK/other" 2>&1) == *"$said, in another mount namespace: unmount"* ]] ||
                fail "the namespace is not told"
        [[ $(unshare -p -f --mount-proc "$IMAGEFS" "$STORE" "$WORK/other" 2>&1) == *"cannot be seen from here"* ]] ||
                fail "a process that cannot be seen is told of"
        # Another host's processes are none of ours, whatever their numbers are.
        echo 11111111-2222-3333-4444-555555555555 >boot
        elsewhere=$(unshare -m bash -c 'mount --bind boot /proc/sys/kernel/random/boot_id && exec "$0" "$1" "$2" -f' \
                "$IMAGEFS" "$STORE" "$WORK/other" 2>&1) && fail "another host may mount it, too"
        [[ $elsewhere == *"$said of the host $(uname -n): unmount it there first" ]] || fail "another sentence: $elsewhere"
fi
ln -s store alias
# It closed the lock file's descriptor twice, and wrote to whatever had come to have its number.
run strace -f -o refused.trace -e trace=close,ftruncate,pwrite64 bash -c '! "$0" "$1" "$2" -f' "$IMAGEFS" "$STORE" "$WORK/other"
! grep EBADF refused.trace || fail "a descriptor is used that is not open"
[[ $(start_refused "$WORK/alias" "$WORK/other" -f) == *' '* ]] || fail "no sentence"
! mountpoint -q other || fail "the second is mounted"
expect ok stat "$MNT/regions/r"
# A region's blobs cannot be where another library's are in use.
library "$WORK/store3"
"$IMAGEFS" "$WORK/store3" "$WORK/other" -f >daemon2.log 2>&1 &
second=$!
until_true 10 mountpoint -q other || fail "the second library is not mounted: $(cat daemon2.log)"
ok mkdir other/regions/r
expect "EBUSY|EINVAL|EUCLEAN" write other/regions/r/store "$STORE"
umount other 2>/dev/null || fusermount3 -u other
wait "$second" || fail "the second ended with $?"
check_store "$WORK/store3"
# After a kill the store is free again.
crash
start
expect ok stat "$MNT/regions/r"

# On a file system of several hosts the lock can be lost to another: then the daemon ends, and writes no more.
# lost SERVING [BEFORE]: that process is told so, after others took the place of another so many times. What other threads
# are at in that moment is their kernel's to refuse; what they are also at tears lines of the trace.
lost() {
        local who
        strace -f -qq -o lost.trace -p "$1" -e inject=flock:error=ESHUTDOWN \
                -e trace=flock,write,pwrite64,pwritev,pwritev2,fsync,fdatasync,ftruncate,fallocate,renameat,unlinkat 2>/dev/null &
        _reap "$daemon_pid"
        same $? 32 "the status of a daemon that has lost its lock"
        grep -q INJECTED lost.trace || skip "strace cannot have the lock lost"
        who=$(sed -n '/INJECTED/{s/ .*//p;q}' lost.trace)
        ! sed '1,/INJECTED/d' lost.trace | grep "^$who " | grep -v -e ' write(2, ' -e ' flock(' -e ' resumed>' || fail "it wrote after that"
        ! grep closing "$STORE/lock" || fail "it closed the library"
        grep -q "its lock is lost, and another host may have it: $(python3 -c 'import os; print(os.strerror(108))'): nothing" \
                daemon.log || fail "not said: $(tail -n 1 daemon.log)"
        same "$(grep -c "the next one goes on" daemon.log)" "${2:-0}" "how often another process took its place"
}
if command -v strace >/dev/null; then
        lost "$daemon_pid"
        rm daemon.log
        start -o restarts=2
        # Another's store alone: its region is offline from then on, and everything else as before.
        ok mkdir "$MNT/regions/far"
        mkdir "$WORK/far"
        ok write "$MNT/regions/far/store" "$WORK/far"
        first=$(pgrep -P "$daemon_pid")
        mkfifo keep
        flock -o "$WORK/far/lock" sh -c 'read -r _ <keep' &
        taker=$!
        strace -f -qq -o far.trace -P "$WORK/far/lock" -p "$first" -e inject=flock:error=ESHUTDOWN 2>/dev/null &
        tracer=$!
        _next() { [ -n "$(pgrep -P "$daemon_pid")" ] && [ "$(pgrep -P "$daemon_pid")" != "$first" ]; }
        until_true 20 _next || fail "it goes on without the lock of a store: $(cat far.trace)"
        wait "$tracer"
        grep -q INJECTED far.trace || skip "strace cannot have one lock lost"
        grep -q "$WORK/far is no longer served: its lock is lost" daemon.log || fail "not said: $(tail -n 3 daemon.log)"
        grep -q "region far is offline" "$MNT/info/health" || fail "health: $(cat "$MNT/info/health")"
        expect ok mkdir "$MNT/regions/r/private/after"
        lost "$(pgrep -P "$daemon_pid")" 1
        echo >keep
        wait "$taker" || fail "who took the lock"
        start
        expect ok stat "$MNT/regions/r"
fi

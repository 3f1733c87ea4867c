# SPDX-License-Identifier: MIT
# A mount point that a crash left is cleared at the next start.
need python3
start
two_regions
cloud_image web 1M
crash
fails stat -f "$MNT"
start
same_disk "$R/private/web/disks/vda.raw" web.raw
# As a user starts it: in the background.
crash
"$IMAGEFS" "$STORE" "$MNT" >out 2>&1 || fail "start gave $?: $(cat out)"
same_disk "$R/private/web/disks/vda.raw" web.raw
same "$(grep -c " $MNT " /proc/self/mountinfo)" 1 "mounts on the mount point"
unmount "$MNT"
ended() { [ -z "$(pgrep -f -- "^$IMAGEFS $STORE")" ]; }
until_true 10 ended || fail "the daemon stays"
# Started while the kernel does not know of the death yet, since a child of the dead daemon has the device, too: the
# first question about the mount waits, and fails in a way of its own.
if [ "$(id -u)" = 0 ]; then
        start
        cat >hold.py <<'PY'
import ctypes, os, sys, time
pid, n = int(sys.argv[1]), 0
for fd in os.listdir(f"/proc/{pid}/fd"):
    if os.readlink(f"/proc/{pid}/fd/{fd}") == "/dev/fuse":
        n += ctypes.CDLL(None).syscall(438, os.pidfd_open(pid), int(fd), 0) > 0  # pidfd_getfd(2)
print(n, flush=True)
sys.stdin.read()
PY
        mkfifo hold
        python3 hold.py "$daemon_pid" <hold >held &
        holder=$!
        exec 7>hold
        until_true 10 test -s held || fail "nothing holds the device"
        [ "$(cat held)" -gt 0 ] || fail "the daemon has no device"
        crash
        "$IMAGEFS" "$STORE" "$MNT" -f >>daemon.log 2>&1 7>&- &
        daemon_pid=$!
        asks() { [[ $(cat "/proc/$daemon_pid/wchan") == *request_wait* ]]; }
        until_true 10 asks || fail "the new daemon does not ask: $(cat "/proc/$daemon_pid/wchan")"
        exec 7>&-
        wait "$holder"
        until_true 20 test -d "$MNT/regions" || fail "not mounted: $(tail -n 1 daemon.log)"
        same_disk "$R/private/web/disks/vda.raw" web.raw
        stop
fi
# What is no daemon of ours is not cleared.
if [ "$(id -u)" = 0 ]; then
        mount -t tmpfs none "$MNT"
        echo precious >"$MNT/file"
        "$IMAGEFS" "$STORE" "$MNT" >out 2>&1 && { umount "$MNT"; }
        value "$MNT/file" precious
        umount "$MNT"
fi

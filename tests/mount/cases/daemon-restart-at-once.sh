# SPDX-License-Identifier: MIT
# umount returns before the daemon has closed its library; who checks or mounts it in the next moment used to be told that
# another daemon serves it.
unmount() {
        fusermount3 -u "$MNT" || umount "$MNT" || fail "not unmounted"
}
library "$STORE"
for _ in 1 2 3 4 5; do
        run "$IMAGEFS" "$STORE" "$MNT"
        [ -d "$MNT/regions/r" ] || ok mkdir "$MNT/regions/r"
        unmount
        run "$IMAGEFS" check "$STORE"
        run "$IMAGEFS" "$STORE" "$MNT"
        unmount
done

# However long that takes, such as on a busy disk: here its first sync.
need strace
start
ok mkdir "$MNT/regions/r2"
strace -f -qq -o strace.log -p "$daemon_pid" -e trace=fsync,fdatasync \
        -e inject=fsync,fdatasync:delay_enter=4000000:when=1 2>strace.err &
tracer=$!
until_true 5 _traced || skip "strace cannot attach: $(tail -n 1 strace.err)"
unmount
run "$IMAGEFS" "$STORE" "$MNT"
grep -q sync strace.log || fail "the first daemon did not have to wait"
expect ok stat "$MNT/regions/r2"
unmount
wait "$tracer"
_reap "$daemon_pid" || fail "the first daemon gave status $?"

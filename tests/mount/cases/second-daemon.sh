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

# SPDX-License-Identifier: MIT
# A blob store that does not answer has the end of the mount wait for a bounded time; what waits for it is left then, and the
# log says so. What was answered is there afterwards.
need_root "a blob store on a file system of the test's own"
# shellcheck source=tests/mount/lib/hang.sh
. "$lib/hang.sh"

sentence="the blob store of region cn-east-2 is offline: $FAR/store: its disk does not answer: what waits for it is left"
_logged() { grep -qE "$1" daemon.log; }
_unmounted() { ! mountpoint -q "$MNT"; }

hang_mount
start
two_regions
raise_limits
ok write "$R2/store" "$FAR/store"
pattern far.raw 2M 5
import_raw "$R2/private/far" far.raw
cloud_image here 2M
ok mkdir "$R/private/here/instances/vm"
stop
hang_unmount

# ---- a signal, while somebody reads ----

hang_mount
start -o slow-request=2
exec 9<"$R2/private/far/disks/vda.raw"
hang
cmp far.raw - <&9 >cmp.out 2>&1 &
reader=$!
exec 9<&-
until_true 60 _logged "slow request: read by user 0" || fail "it does not wait: $(tail -n 3 daemon.log)"
ok write "$R/private/here/description" "answered"
ok pwrite 4096 "$R/instances/vm/disks/vda.raw" changed
kill "$daemon_pid"
until_true 60 _unmounted || fail "it is still mounted"
wait "$reader" && fail "a reader got bytes of a store that does not answer"
_logged "$sentence, after 2 s" || fail "not that it is left: $(tail -n 3 daemon.log)"
_logged "left: read by user 0, which waits in [a-z]+ of $FAR/store/" || fail "not what is left: $(tail -n 3 daemon.log)"
[[ $(start_refused "$STORE" "$MNT") == *"another imagefs"* ]] || fail "what is left does not keep the library: $(cat out)"
go_on
_reap "$daemon_pid"
same "$?" 32 "the status of a daemon that leaves something"
: >daemon.log

# ---- an unmount, while an upload is taken in, or imported; under a supervisor ----

start -o slow-request=2,restarts=1
value "$R/private/here/description" answered
same "$(dd if="$R/instances/vm/disks/vda.raw" bs=1 skip=4096 count=7 status=none)" changed "what was written"
answered=$(pgrep -P "$daemon_pid")
for ((i = 1;; i++)); do
        pattern "in$i.raw" 24M "1$i"
        ok mkdir "$R2/private/in$i"
        ok upload "in$i.raw" "$R2/private/in$i/upload"
        hang
        [ "$(cat "$R2/private/in$i/status")" = available ] || break
        go_on # it was quicker
done
# As umount(8) does, too; somebody has the lock of the store's index by now, and waits for its disk.
timeout -k 5 30 stat -f "$MNT" >/dev/null || fail "statfs does not come back"
until_true 20 unmount "$MNT" || fail "cannot unmount"
_reap "$daemon_pid"
same "$?" 32 "the status of a supervisor whose daemon leaves something"
_logged "$sentence, after 2 s" || fail "not that it is left: $(tail -n 3 daemon.log)"
_logged "left: [a-z].*, which waits in [a-z]+ of $FAR/store" || fail "not what is left: $(tail -n 3 daemon.log)"
go_on
until_true 20 _ended "$answered" || fail "the process is still there: $(_waits "$answered")"

# ---- and what had come in whole goes on ----

start
timeout -k 5 60 cat "$R2/private/in$i/wait" >/dev/null 2>&1
case $(cat "$R2/private/in$i/status") in
available) same_disk "in$i.raw" "$R2/private/in$i/disks/vda.raw" ;;
error) [ -s "$R2/private/in$i/error" ] || fail "not why" ;;
*) fail "it is $(cat "$R2/private/in$i/status")" ;;
esac
same_disk far.raw "$R2/private/far/disks/vda.raw"

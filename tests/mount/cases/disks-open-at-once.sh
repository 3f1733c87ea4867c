# SPDX-License-Identifier: MIT
# Many disks open at once, each of which takes the daemon some files: not the soft limit on those counts, which is for
# programs that use select(2).
[ "$(ulimit -Hn)" = unlimited ] || [ "$(ulimit -Hn)" -ge 1024 ] || skip "no more than $(ulimit -Hn) open files"
library "$STORE"
(
        ulimit -Sn 64
        exec "$IMAGEFS" "$STORE" "$MNT" -f >>"$WORK/daemon.log" 2>&1
) &
daemon_pid=$!
until_true 20 _mounted || fail "not mounted: $(tail -n 3 "$WORK/daemon.log")"
two_regions
raise_limits
cloud_image web 1M 5
machines=${IMAGEFS_MACHINES:-24}
for ((i = 1; i <= machines; i++)); do
        ok mkdir "$R/private/web/instances/vm$i"
        exec {fd}<>"$R/instances/vm$i/disks/vda.raw" || fail "machine $i: its disk cannot be opened"
        fds[i]=$fd
done
for ((i = 1; i <= machines; i++)); do
        printf '%8d' $i >&"${fds[i]}"
        exec {fds[i]}>&-
done
for ((i = 1; i <= machines; i++)); do
        same "$(head -c 8 "$R/instances/vm$i/disks/vda.raw")" "$(printf '%8d' $i)" "machine $i"
done
stop
check_store

# SPDX-License-Identifier: MIT
# A library on CephFS, and two hosts, one of which serves it: the other is refused as long as the first may write, takes over
# when that was killed, and when the cluster has given it up. Of what was acknowledged nothing is lost; the first, when it
# comes to itself again, writes nothing more, and ends.
# time limit: 400
. "$lib/ceph.sh"
need flock dd
began=$SECONDS
ceph_cluster
# The shortest that Ceph takes: so long a host may be silent.
ceph_file_system '{"prefix": "fs set", "fs_name": "fs", "var": "session_timeout", "val": "30"}'
ceph_host a
a=$ceph_host_pid
ceph_host b
echo "note: a cluster with a file system and two hosts after $((SECONDS - began)) s"

# on HOST: the names of what that one serves.
on() {
        STORE=$WORK/$1/store MNT=$WORK/at-$1 R=$WORK/at-$1/regions/r
        mkdir -p "$MNT"
}
# refused_on HOST: it may not serve now.
refused_on() {
        [[ $(start_refused "$WORK/$1/store" "$WORK/at-$1" -f) == *"another imagefs serves this library"* ]] ||
                fail "another sentence: $(cat out)"
}
# filled FILE: what is on the machine's disk, and was synced there.
filled() {
        dd if="$1" of="$R/instances/vm/disks/vda.raw" bs=1M conv=notrunc,fsync status=none || fail "cannot write the disk"
}
holds() {
        head -c "$(stat -c %s "$1")" "$R/instances/vm/disks/vda.raw" | cmp - "$1" || fail "the disk does not hold $1"
}

mkdir at-b
on a
start
ok mkdir "$R"
pattern disk.raw 16M 3
import_raw "$R/private/web" disk.raw
ok mkdir "$R/private/web/instances/vm"
head -c 3M /dev/urandom >first
filled first
refused_on b

# The daemon was killed: the other host has the library at once.
crash
umount -l "$MNT"
on b
start
holds first
same_checksum "$R/private/web" disk.raw
same_disk "$R/private/web/disks/vda.raw" disk.raw
head -c 2M /dev/urandom >second
filled second
ok mkdir "$R/instances/vm/images/vm-2"
settle "$R/private/vm-2"
refused_on a

# Back, in order.
stop
on a
start
holds second
settle "$R/private/vm-2"
head -c 5M /dev/urandom >third
filled third

# The daemon stands still, but its host does not: the lock is kept.
kill -STOP "$daemon_pid"
refused_on b
kill -CONT "$daemon_pid"
filled third

# The host stands still, until the cluster gives it up. Who waits for the lock has it then.
dd if=/dev/urandom of="$R/instances/vm/disks/vda.raw" bs=64K seek=128 count=1 conv=notrunc status=none # and is not synced
stopped=$SECONDS
kill -STOP "$daemon_pid" "$a"
mkfifo locked release
timeout 300 flock b/store/lock sh -c 'echo locked >locked; read -r _ <release' &
holder=$!
read -r _ <locked
echo "note: a host that stands still was given up after $((SECONDS - stopped)) s"
lies() {
        (cd b/store && find . -type f -print0 | sort -z | xargs -0 xxhsum -q -H2)
}
before=$(lies)
kill -CONT "$a" "$daemon_pid"
stopped=$SECONDS
expect "EIO|ENOTCONN|ECONNABORTED" upload disk.raw "$R/private/late.raw"
_reap "$daemon_pid"
same $? 32 "the status of who has lost the library"
echo "note: it ended $((SECONDS - stopped)) s after it came to itself"
grep -q "its lock is lost, and another host may have it" daemon.log || fail "not said: $(tail -n 1 daemon.log)"
same "$(lies)" "$before" "what lies in the library since another host has it"
umount -l "$MNT"
echo >release
wait "$holder" || fail "the lock was not held"

on b
start
holds third
same_checksum "$R/private/web" disk.raw
[ ! -e "$R/private/late" ] || fail "what was refused is there"
value "$MNT/info/health" ok
stop

# The host is lost with all on it, and the administrator knows, and does not wait until the cluster does.
ceph_host c
c=$ceph_host_pid
on c
start
holds third
filled first
kill -KILL "$c" && crash
ceph_evict c
umount -l "$MNT" "$WORK/c"
on b
start
holds first

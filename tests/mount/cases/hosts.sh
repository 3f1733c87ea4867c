# SPDX-License-Identifier: MIT
# A library whose catalogue is in PostgreSQL and whose region is in a bucket, and two hosts, one of which serves it: the other is
# refused, or waits, as long as the first may write; it goes on when that is unmounted, killed, or stands still for longer than its
# lease. Nothing that was acknowledged is lost, and the first, when it comes to itself again, writes nothing more, and ends.
need psql
# shellcheck source=tests/mount/lib/s3.sh
. "$lib/s3.sh"
grep -q libpq <(ldd "$IMAGEFS") || skip "built without libpq"
grep -q libcurl <(ldd "$IMAGEFS") || skip "built without libcurl"
server=$lib/../../lib/postgres
chmod 711 "$WORK" # the server may be another user
mkdir -m 755 server
"$server" start "$WORK/server" || { [ $? = 77 ] && skip "PostgreSQL is not installed"; fail "the server does not start"; }
at="postgresql://imagefs:sesame@/postgres?host=$WORK/server"
bucket
NO_CHECK=yes

# What a host is called: where we may, each has its own name.
named=() real=$(uname -n)
unshare --uts true 2>/dev/null && named=(unshare --uts sh -c 'hostname "$0" && exec "$@"')
called() { if [ ${#named[@]} = 0 ]; then echo "$real"; else echo "$1"; fi; }

# host NAME: what follows is about that one.
declare -A pids
host() {
        STORE=$WORK/$1 MNT=$WORK/at-$1 R=$WORK/at-$1/regions/far log=$WORK/$1.log
        daemon_pid=${pids[$1]:-}
        [ -n "$daemon_pid" ] || mkdir "$MNT" 2>/dev/null # one that stands still would not answer
        here=$1
}
# serve [OPTION…]: in the background of this case.
serve() {
        "${named[@]}" ${named:+"$here"} "$IMAGEFS" "$STORE" "$MNT" -f "$@" >>"$log" 2>&1 &
        daemon_pid=$! pids[$here]=$!
}
serves() {
        until_true 30 mountpoint -q "$MNT" || fail "$here does not serve: $(tail -n 3 "$log")"
}
said() { grep -q "$1" "$log"; }
ends() {
        until_true 10 unmount "$MNT" || fail "$here cannot be unmounted" # a read-ahead may still be under way
        _reap "$daemon_pid" || fail "$here ended with $?: $(tail -n 3 "$log")"
}

# A second directory is of the same library, or is none.
host a
run "${named[@]}" ${named:+a} "$IMAGEFS" init "$STORE" --catalogue "$at" >/dev/null
host b
refuses_to_join() { # ADDRESS SENTENCE
        local told
        told=$("$IMAGEFS" init "$STORE" --join "$1" 2>&1) && fail "joined $1"
        [[ $told == *"$2"* && $told != *sesame* ]] || fail "joining $1: $told"
        [ ! -e "$STORE" ] || fail "joining $1 leaves $(ls -A "$STORE")"
}
refuses_to_join mysql://host/name 'name it as "postgresql://USER@HOST/DATABASE"'
refuses_to_join "postgresql://imagefs:sesame@/postgres?host=$WORK/none" "postgresql://imagefs@/postgres: the catalogue cannot be reached: "
refuses_to_join "postgresql://imagefs:sesame@/template1?host=$WORK/server" "there is no library's catalogue there"
[[ $(run "$IMAGEFS" init "$STORE" --join "$at") == *"copy the file secret of the first host's directory into $STORE"* ]] ||
        fail "the secret is not told of"
same "$(stat -c %a "$STORE/database")" 600 "the mode of the file with the address"
cp -p a/secret b/secret
[[ $("$IMAGEFS" init "$STORE" --join "$at" 2>&1) == *"there is a library already" ]] || fail "joined twice"

# One serves.
host a
mkdir fast
serve -o cache-dir="$WORK/fast"
serves
ok mkdir "$R"
ok write "$R/store" "$FAR"
pattern disk.raw 3M 5
import_raw "$R/private/web" disk.raw
ok mkdir "$R/private/web/instances/vm"
head -c 1M /dev/urandom >machine
dd if=machine of="$R/instances/vm/disks/vda.raw" conv=notrunc,fsync status=none || fail "cannot write the disk"
value "$R/instances/vm/host" "$(called a)"
for disk in data gone; do
        ok mkdir "$R/disks/$disk"
        ok write "$R/disks/$disk/size" 1M
done
dd if=machine of="$R/disks/gone/data.raw" conv=notrunc status=none || fail "cannot write a disk" # or it has no files
ok mkdir "$R/disks/unmade"
host b
[[ $(start_refused "$STORE" "$MNT" -f) == *"postgresql://imagefs@/postgres: host $(called a) serves this library, and has it until 20"*"Z unless it renews that: from $WORK/a; unmount it there first, or mount with -o standby to wait for that" ]] ||
        fail "another sentence: $(cat out)"

# Who waits goes on as soon as the other has ended.
serve -o standby,lease=1
until_true 10 said "host $(called a) serves this library.*: waiting for its end" || fail "it does not wait: $(tail -n 3 "$log")"
host a
ok write "$R/private/web/description" "said by a"
ends
host b
serves
value "$R/private/web/description" "said by a"
same_disk "$R/private/web/disks/vda.raw" disk.raw

# Its machines' disks are not here: they are neither read nor written, and who wants that is told where they are. What is made here
# is used here; and what concerns rows alone is done.
there="on the host $(called a), in $WORK/a, and can be used while that serves the library"
refuses() { # EXPECTED-REFUSAL-OF WHOSE SENTENCE COMMAND…
        local whose=$1 sentence=$2
        shift 2
        expect EBUSY "$@"
        [[ $(cat "$whose/last-error") == *"$sentence"* ]] || fail "$*: $(cat "$whose/last-error")"
}
vm=$R/instances/vm
value "$vm/host" "$(called a)"
value "$vm/status" stopped
expect "EBUSY open" open r "$vm/disks/vda.raw"
expect "EBUSY open" open rw "$vm/disks/vda.raw"
expect "EBUSY open" open r "$R/disks/data/data.raw"
refuses "$vm" "the disks of vm are $there" write "$vm/power" start
refuses "$vm" "the disks of vm are $there" write "$vm/image" private/web
refuses "$vm" "the disks of vm are $there" mkdir "$vm/images/copy"
refuses "$R/disks/data" "data is $there" write "$R/disks/data/size" 2M
refuses "$R/disks/data" "data is $there" mkdir "$R/disks/data/snapshots/s"
refuses "$vm" "the disks of vm are $there" write "$vm/attach" unmade
ok mkdir "$R/private/web/instances/here"
value "$R/instances/here/host" "$(called b)"
dd if=machine of="$R/instances/here/disks/vda.raw" conv=notrunc,fsync status=none || fail "cannot write a disk of its own"
refuses "$R/instances/here" "data is $there" write "$R/instances/here/attach" data
ok write "$R/disks/unmade/size" 1M
ok write "$R/instances/here/attach" unmade
ok write "$vm/name" other
ok rmdir "$R/disks/gone"
disks_of_a=$(find a/bucket-*/disks -type f | wc -l)

# It is killed: at once where it was, and elsewhere when its lease is over.
kill_daemon
umount -l "$MNT"
serve -o lease=1
serves
value "$R/private/web/description" "said by a"
pattern second.raw 2M 6
import_raw "$R/private/second" second.raw
ok mkdir "$R/private/half"
exec 7>"$R/private/half/upload"
echo half >&7
ok mkdir "$R/private/other"
exec 6>"$R/private/other/upload"
echo other >&6
ok mkdir "$R/private/with"
ok mkdir "$R/private/with/disks/vdb"
cat second.raw >"$R/private/with/disks/vdb/upload" || fail "cannot upload a data disk"
ok write "$R/private/web/description" "said by b"
[ ! -e "$WORK/bucket/some%2Fwhere%2Fsegments%2F00000002.seg" ] || fail "a number is given that the first host may be using"
kill_daemon
umount -l "$MNT"
host c
run "$IMAGEFS" init "$STORE" --join "$at" >/dev/null
cp -p a/secret c/secret
serve -o standby,lease=1
serves
{ exec 7>&- 6>&-; } 2>/dev/null
value "$R/private/web/description" "said by b"

# What was coming in there is that host's to go on with, or to end; it can be removed.
there="on the host $(called b), in $WORK/b, and can be used while that serves the library"
for image in half other; do value "$R/private/$image/status" uploading; done
refuses "$R/private/other" "what came of other is $there" write "$R/private/other/upload" more
refuses "$R/private/with" "the data disks of with are $there" write "$R/private/with/upload" disk
value "$MNT/info/health" "work waits for the host $(called b), where its bytes are, to serve the library again: tasks 0, uploads 2"
ok rmdir "$R/private/half"
expect ENOENT stat "$R/private/half"
ends
host b
serve
serves
value "$R/private/other/status" error
value "$R/private/other/error" "the upload was cut off before its end: remove the image and upload it again"
same "$(find b/bucket-*/incoming -type f | wc -l)" 1 "files that came in, and are not wanted any more"
ok upload second.raw "$R/private/with/upload"
settle "$R/private/with"
same_disk "$R/private/with/disks/vdb.raw" second.raw
ok rmdir "$R/private/other"
ok rmdir "$R/recycle/other"
value "$R/instances/here/host" "$(called b)"
head -c 1M "$R/instances/here/disks/vda.raw" | cmp - machine || fail "the machine's disk has changed"
value "$MNT/info/health" ok
ends
host c
serve -o standby,lease=1
serves
value "$R/private/web/description" "said by b"
same_disk "$R/private/second/disks/vda.raw" second.raw
ok write "$R/private/web/description" "said by c"

# It stands still for longer than its lease, and comes to itself again.
kill -STOP "$daemon_pid"
host d
run "$IMAGEFS" init "$STORE" --join "$at" >/dev/null
cp -p a/secret d/secret
serve -o standby,lease=60
serves
value "$R/private/web/description" "said by c"
ok write "$R/private/web/description" "said by d"
before=$(objects)
host c
kill -CONT "$daemon_pid"
expect "EIO|ENOTCONN|ECONNABORTED" write "$R/private/web/description" "said by the dead"
_reap "$daemon_pid"
same $? 32 "the status of who has lost the library"
said "no longer served: host $(called d) has taken over this library, since this one's lease had run out: nothing more is written" ||
        fail "not said: $(tail -n 1 "$log")"
umount -l "$MNT"
host d
value "$R/private/web/description" "said by d"
same "$(objects)" "$before" "objects since another host has it"
same_disk "$R/private/web/disks/vda.raw" disk.raw
import_raw "$R/private/third" second.raw
value "$MNT/info/health" ok
same "$(sed 's/lease=20[-0-9]*T[:0-9]*Z/lease=then/' "$MNT/info/hosts" | cut -d ' ' -f 1,2,4)" \
        "$(for one in d=then a=none b=none c=none; do echo "$(called "${one%=*}") lease=${one#*=} directory=$WORK/${one%=*}"; done)" "hosts"
[[ $(head -n 1 "$MNT/info/hosts") == *" version=$("$IMAGEFS" --version | cut -d ' ' -f 2) "* ]] || fail "hosts: no version"
ends

# The first, which has not seen any of that, has all of it from the bucket, and its machines' disks as they were. What it kept of
# the bucket elsewhere is of then, too.
host a
kept=$(ls fast/imagefs-*.ranges) || fail "nothing is kept of the bucket"
ln "$kept" kept
serve -o cache-dir="$WORK/fast"
serves
[ ! kept -ef "$kept" ] || fail "what was kept of the bucket is used"
value "$MNT/info/health" ok
value "$R/private/web/description" "said by d"
same_disk "$R/private/third/disks/vda.raw" second.raw
same_disk "$R/private/web/disks/vda.raw" disk.raw
head -c 1M "$R/instances/vm/disks/vda.raw" | cmp - machine || fail "the machine's disk has changed"
value "$R/instances/vm/name" other
expect "EBUSY open" open r "$R/instances/here/disks/vda.raw"
fewer() { [ "$(find a/bucket-*/disks -type f | wc -l)" = $((disks_of_a - 3)) ]; }
until_true 10 fewer || fail "the disk that was removed elsewhere is still there"
ok write "$R/instances/vm/power" start
ok write "$R/instances/vm/power" stop
pattern fourth.raw 2M 7
import_raw "$R/private/fourth" fourth.raw
kill_daemon
umount -l "$MNT"
serve
serves
value "$MNT/info/health" ok
same_disk "$R/private/fourth/disks/vda.raw" fourth.raw
ends
"$server" stop "$WORK/server"

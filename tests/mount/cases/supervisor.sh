# SPDX-License-Identifier: MIT
# The process that serves a mount dies, and the next one goes on: whoever uses the mount notices nothing.
need python3 qemu-img
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
# A layer, which the next process knows only when it has read the image's disk, too.
layers=$R/private/web/oci/blobs/sha256
layer=$(ls -S "$layers" | head -n 1)
exec 8<"$layers/$layer"
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
same "$(sha256sum <&8)" "$layer  -" "a layer that was open"
exec 8<&-
ok write "$R/private/web/description" 'another text than before'

# Uploads that are under way go on, whatever is uploaded and however: so does who waits for one.
kill_once() {
        local old
        old=$(serving)
        kill -KILL "$old"
        next "$old"
}
run qemu-img convert -f raw -O qcow2 web.raw web.qcow2
make_iso boot.iso 3
pattern more.raw 1M 9
ok mkdir "$R/private/slow"
ok mkdir "$R/private/both"
ok mkdir "$R/private/both/disks/vdb"
exec 8>"$R/private/slow/upload" 9>"$R/private/short.qcow2" 3>"$R/iso/boot.iso" 4>"$R/private/both/disks/vdb/upload"
piece() { dd if="$1" bs=65536 skip="$2" count=$(($3 - $2)) status=none; } # FILE FROM TO, of 64 KiB
piece web.raw 0 20 >&8
[ "$(stat -c %b "$(find "$STORE"/blobs/incoming -size +1M)")" -gt 0 ] || fail "what was answered is in no file"
piece web.qcow2 0 4 >&9
head -c 40000 boot.iso >&3 2>/dev/null # its close(2) says that there is no more
piece more.raw 0 7 >&4
cat "$R/private/slow/wait" >waited 2>&1 8>&- 9>&- 3>&- 4>&- &
waiter=$!
until_true 5 grep -q wait /proc/"$waiter"/stack
for to in 30 48; do
        kill_once
        value "$R/private/slow/status" uploading
        value "$R/private/short/status" uploading
        piece web.raw $((to == 30 ? 20 : 30)) "$to" >&8 || fail "the upload did not go on"
        piece web.qcow2 $((to == 30 ? 4 : 8)) $((to == 30 ? 8 : 10000)) >&9 || fail "that of the short form"
        piece more.raw $((to == 30 ? 7 : 12)) $((to == 30 ? 12 : 16)) >&4 || fail "that of a data disk"
done
tail -c +40001 boot.iso >&3 || fail "that of an ISO file"
kill_once # between the last write and the close
exec 8>&- 9>&- 3>&- 4>&-
wait "$waiter" || fail "who waited: $(cat waited)"
same "$(cat waited)" available "what who waited was told"
same_disk web.raw "$R/private/slow/disks/vda.raw"
settle "$R/private/short"
same_disk web.raw "$R/private/short/disks/vda.raw"
settle "$R/iso/boot"
same_disk boot.iso "$R/iso/boot/disks/vda.raw"
ok upload web.raw "$R/private/both/upload"
settle "$R/private/both"
same_disk more.raw "$R/private/both/disks/vdb.raw"

# A file with another name first, as rsync and browsers write it: open, closed, and called differently meanwhile.
# So is a value's; and whom a machine's disk was given to opens it, until it is taken back.
exec 8>"$R/private/.open.qcow2.x7Kq2p" 9>"$R/private/both.part"
piece web.qcow2 0 4 >&8
pattern data.raw 1M 10
cp data.raw "$R/private/.closed.tmp"
ok rename "$R/private/.closed.tmp" "$R/private/.called.tmp"
ok mkdir "$R/private/waits"
cp data.raw "$R/private/waits/.upload.Ab12cd"
printf 'a value, ' >"$R/private/waits/.name.tmp"
exec 3>>"$R/private/waits/.name.tmp"
printf 'much longer than what it is to be' >"$R/private/waits/.other.tmp"
echo short >"$R/private/waits/.other.tmp"
ok rename "$R/private/waits/.other.tmp" "$R/private/waits/.called.tmp"
ok chown 12004 -1 "$R/instances/vm/disks/vda.raw"
ok chown 12005 -1 "$R/instances/vm/disks/vda.raw"
ok chown 12004 -1 "$R/instances/vm/seed.iso"
ok chown 0 -1 "$R/instances/vm/seed.iso"
for to in 8 10000; do
        kill_once
        piece web.qcow2 $((to == 8 ? 4 : 8)) "$to" >&8 || fail "the temporary file did not go on"
        printf '%s' "$to " >&3 || fail "that of a value did not go on"
        same "$(stat -c %u "$R/instances/vm/disks/vda.raw" "$R/instances/vm/seed.iso" | tr '\n' ' ')" "12005 0 " "who may open them"
done
exec 8>&- 9>&- 3>&-
ok rename "$R/private/waits/.name.tmp" "$R/private/waits/name"
value "$R/private/waits/name" "a value, 8 10000 "
value "$R/private/waits/.called.tmp" short
run rm "$R/private/waits/.called.tmp"
ok chown 0 -1 "$R/instances/vm/disks/vda.raw"
same "$(find "$R/private" -maxdepth 2 -name '.*' -o -name '*.part' | sed 's!.*/!!' | sort | tr '\n' ' ')" \
        ".called.tmp .open.qcow2.x7Kq2p .upload.Ab12cd both.part " "the temporary files that there are"
cmp web.qcow2 "$R/private/.open.qcow2.x7Kq2p" || fail "what was written to it"
run touch -d @1000000000 "$R/private/.open.qcow2.x7Kq2p"
run chmod 644 "$R/private/.open.qcow2.x7Kq2p"
run rm "$R/private/both.part"
ok rename "$R/private/.open.qcow2.x7Kq2p" "$R/private/open.qcow2"
ok rename "$R/private/.called.tmp" "$R/private/closed.raw"
ok rename "$R/private/waits/.upload.Ab12cd" "$R/private/waits/upload"
kill_once
for image in open closed waits; do settle "$R/private/$image"; done
same_disk web.raw "$R/private/open/disks/vda.raw"
same_disk data.raw "$R/private/closed/disks/vda.raw"
same_disk data.raw "$R/private/waits/disks/vda.raw"
for image in open closed waits; do ok rmdir "$R/private/$image"; done
nothing_incoming

# What close(2) has to say it says, whoever was given the bytes; what was written back to front is whole, too.
ok mkdir "$R/private/bad"
ok write "$R/private/bad/format" qcow2
exec 8>"$R/private/bad/upload"
piece web.raw 0 20 >&8 2>/dev/null # its close(2) says it, too
kill_once
{ exec 8>&-; } 2>/dev/null
settle "$R/private/bad" error
ok rmdir "$R/private/bad"
ok mkdir "$R/private/back"
exec 8>"$R/private/back/upload"
piece web.raw 0 24 >&8
pwrite() { python3 -c 'import os, sys; os.pwrite(8, open("web.raw", "rb").read()[70000:70001] if sys.argv[1:] else b"x", 70000)' "$@"; }
pwrite
kill_once
piece web.raw 24 48 >&8
pwrite again
exec 8>&-
settle "$R/private/back"
same_disk web.raw "$R/private/back/disks/vda.raw"

# One whose writer died while nobody served it is none; nor does one that was interrupted before become whole.
exec 5<&- 6<&- 7<&- # a program that inherits them ends when they are closed
ok mkdir "$R/private/left"
mkfifo feed
cat feed >"$R/private/left/upload" &
writer=$!
exec 8>feed
piece web.raw 0 20 >&8
_came() { [ "$(keyed "$R/private/left/progress" bytes-done)" = 1310720 ]; }
until_true 10 _came || fail "$(cat "$R/private/left/progress")"
old=$(serving)
kill -STOP "$daemon_pid" # the next one is not begun before
kill -KILL "$old"
until_true 5 grep -q '^State:.Z' "/proc/$old/status" || fail "it is not dead"
kill -KILL "$writer"
disown "$writer"
kill -CONT "$daemon_pid"
exec 8>&-
next "$old"
settle "$R/private/left" error
ok rmdir "$R/private/left"
for image in slow short both back; do ok rmdir "$R/private/$image"; done
ok rmdir "$R/iso/boot"
nothing_incoming
until_true 5 grep -qx stopped "$R/instances/vm/status" || fail "the machine's disk is closed"

# Clients at work.
"$lib/kill-load" "$R" "$daemon_pid" "$KILLS" ${IMAGEFS_SEED:+"$IMAGEFS_SEED"} >out 2>err || fail "$(cat out err)"

grep 'died of' daemon.log | grep -v 'signal 9' && fail "it died by itself"

# A new program under a mount in use: what is open stays so.
exec 5<>"$R/disks/load/data.raw"
ok mkdir "$R/private/slow"
exec 8>"$R/private/slow/upload"
piece web.raw 0 20 >&8
third=$(serving)
kill -HUP "$daemon_pid"
next "$third"
fourth=$(serving)
said=$(run "$IMAGEFS" --reexec "$MNT")
next "$fourth"
version=$(cat "$MNT/info/version")
same "$said" "$MNT: served by process $(serving), $version (before: $fourth, $version)" "what --reexec says"
printf x >&5 || fail "writing to what was open before"
piece web.raw 20 48 >&8 || fail "uploading on"
exec 8>&-
settle "$R/private/slow"
same_disk web.raw "$R/private/slow/disks/vda.raw"
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

# What cannot be: a sentence, and nothing is done.
says() {
        fails "$IMAGEFS" "${@:2}"
        same "$(cat "$WORK/err")" "$1" "$*"
}
says "imagefs: $WORK: no library is mounted there" --reexec "$WORK"
says "imagefs: $WORK/none: No such file or directory" --reexec "$WORK/none"
says "imagefs: --reexec: --reexec takes one mount point (imagefs --help shows what there is)" --reexec
restart -o restarts=0
says "imagefs: $MNT: nothing supervises it, so that no other program can go on with it: unmount it, and mount it anew, with \
-o restarts=N" --reexec "$MNT"
value "$MNT/info/health" ok
restart -o restarts=1

# Whoever kills the supervisor has killed all of it.
fifth=$(serving)
crash
until_true 5 _ended "$fifth" || fail "the process that served goes on by itself"
expect ENOTCONN stat "$MNT/info"
start
stop
check_store

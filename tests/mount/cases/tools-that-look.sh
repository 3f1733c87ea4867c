# SPDX-License-Identifier: MIT
# What people look at a mount with says what is: findmnt, lsof, inotifywait; sshfs carries it to another host.
need findmnt lsof inotifywait sshfs
sftp_server=/usr/lib/openssh/sftp-server
[ -x $sftp_server ] || skip "no $sftp_server"
start
two_regions
local_image web 1M 5
web=$R/private/web
pattern disk.raw 3M 6

# findmnt: by the mount point and by what lies in it
same "$(findmnt -n -o FSTYPE,TARGET "$MNT" | tr -s ' ')" "fuse.imagefs $MNT" "findmnt"
same "$(findmnt -n -o TARGET --target "$web/name")" "$MNT" "findmnt --target"
same "$(findmnt -n -o SOURCE -t fuse.imagefs --target "$MNT")" "$(awk -v at="$MNT" '$2 == at { print $1 }' /proc/mounts)" "source"

# lsof: who has what open, by its path; and that nobody has
exec 5<"$web/disks/vda.raw"
lsof -w -Fpn "$web/disks/vda.raw" >said || fail "lsof: $(cat said)"
grep -qx "p$BASHPID" said && grep -qx "n$web/disks/vda.raw" said || fail "lsof: $(cat said)"
lsof -w -Fn +f -- "$MNT" | grep -qx "n$web/disks/vda.raw" || fail "lsof of the whole mount"
exec 5<&-
lsof -w -Fpn "$web/disks/vda.raw" >said && fail "lsof: $(cat said)"

# inotifywait: what is done on this host, each once it is done; the end of what the daemon does is in `wait` alone
mkfifo events
inotifywait -q -m -e create,delete,move,close_write,open --format '%e %f' "$R/private" "$web" >events 2>&1 &
watcher=$!
exec 6<events
looks() { [ "$(cat "/proc/$watcher/fdinfo"/* | grep -c '^inotify')" = 2 ]; }
until_true 20 looks || fail "inotifywait does not look"
seen() { # EVENT NAME
        local line
        while read -r -t 20 line <&6; do
                [ "$line" != "$*" ] || return 0
        done
        fail "inotifywait did not see $*"
}
ok mkdir "$R/private/second"
seen CREATE,ISDIR second
echo changed >"$web/description"
seen CLOSE_WRITE,CLOSE description
run cp disk.raw "$R/private/third.raw"
seen CREATE third.raw
seen CLOSE_WRITE,CLOSE third.raw
settle "$R/private/third"
mv "$R/private/third" "$R/private/fourth"
seen MOVED_FROM,ISDIR third
seen MOVED_TO,ISDIR fourth
ok rmdir "$R/private/second"
seen DELETE,ISDIR second
kill $watcher
exec 6<&-

# sshfs, with what would be at the other end of ssh
mkdir far
mkfifo there back
$sftp_server <there >back &
sshfs -f -o passive ":$MNT" "$WORK/far" >there <back 2>sshfs.log &
until_true 20 mountpoint -q far || fail "sshfs: $(cat sshfs.log)"
far=$WORK/far/regions/cn-north-1/private
same "$(ls "$far")" "$(ls "$R/private")" "a listing"
same_disk "$far/web/disks/vda.raw" "$web/disks/vda.raw"
run cp disk.raw "$far/fifth.raw"
settle "$R/private/fifth"
same_disk "$far/fifth/disks/vda.raw" disk.raw
echo 'from afar' >"$far/fifth/description"
value "$R/private/fifth/description" "from afar"
mkdir "$far/fifth/instances/vm1"
run dd if=disk.raw of="$R/instances/vm1/disks/vda.raw" bs=4k count=3 conv=notrunc status=none
value "$WORK/far/regions/cn-north-1/instances/vm1/status" stopped
mkdir "$far/web" 2>said && fail "mkdir of what is there"
mv "$far/fifth" "$far/sixth"
rmdir "$far/fourth"
value "$R/recycle/fourth/status" deleted
umount far

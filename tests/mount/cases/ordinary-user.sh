# SPDX-License-Identifier: MIT
# Mounted by an ordinary user all is that user's, root stays outside.
need_root "becoming another user"
need setpriv unshare fusermount3
# /dev/fuse is for everybody on any desktop or server; where it is not, this case has one of its own.
chmod 755 "$WORK"
mkdir home
mknod home/fuse c 10 229 && chmod 666 home/fuse
cat >home/inside <<'SCRIPT'
set -e
cd "$HOME"
"$IMAGEFS" init "$HOME/store"
"$IMAGEFS" "$HOME/store" "$HOME/mnt"
cd mnt
mkdir regions/one
cp "$HOME/disk.raw" regions/one/private/
cat regions/one/private/disk/wait
cmp regions/one/private/disk/disks/vda.raw "$HOME/disk.raw"
stat -c 'owner %u %U' regions/one/private/disk regions regions/one/public info/limits
cp "$HOME/disk.raw" regions/one/public/
cat regions/one/public/disk/wait
echo "private-images 7" >info/limits
cat info/limits | head -n 1
cat info/store | head -n 1
cat regions/one/private/disk/owner
ls -lR >/dev/null
tar cf /dev/null .
cd "$HOME"
fusermount3 -u mnt
SCRIPT
cp "$IMAGEFS" home/imagefs
pattern home/disk.raw 2M 8
mkdir home/mnt
chmod 755 home/imagefs
user=$(id -u nobody 2>/dev/null) || skip "no user nobody"
group=$(id -g nobody)
chown -R "$user:$group" home
chown root:root home/fuse
USER_ID=$user GROUP_ID=$group "$lib/apart" -- bash -c 'mount --make-rprivate /; mount --bind home/fuse /dev/fuse || exit 99
        exec setpriv --reuid "$USER_ID" --regid "$GROUP_ID" --clear-groups env HOME="$PWD/home" IMAGEFS="$PWD/home/imagefs" bash home/inside' \
        >out 2>err
r=$?
[ $r != 99 ] || skip "cannot give it a /dev/fuse"
[ $r = 0 ] || fail "status $r: $(tail -n 5 err out)"
[ "$(grep -c "^owner $user" out)" = 4 ] || fail "not all is the user's: $(cat out)"
grep -qx "private-images 7" out || fail "the user is not the administrator"
gone() { [ -z "$(pgrep -f "$WORK/home/imagefs")" ]; }
until_true 10 gone || fail "the daemon stays"
check_store "$WORK/home/store"

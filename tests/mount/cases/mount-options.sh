# SPDX-License-Identifier: MIT
# What fstab and mount(8) say is taken or honoured, what is not known is refused; statuses as mount(8) has them; one true
# reason where there can be no mount.
library "$STORE"
status() { # WANTED COMMAND…
        local wanted=$1 r
        shift
        timeout -k 5 20 "$@" >said 2>&1
        r=$?
        [ $r = "$wanted" ] || fail "$* gave $r instead of $wanted: $(cat said)"
}
_idle() { "$IMAGEFS" check "$STORE" >/dev/null 2>&1; }
unmounted() {
        unmount "$MNT" || fail "cannot unmount"
        until_true 10 _idle || fail "the daemon stays"
}
flags() { findmnt -n -o VFS-OPTIONS "$MNT"; }

status 0 "$IMAGEFS" "$STORE" "$MNT" -o defaults,_netdev,nofail,noauto,auto,user,users,nouser,owner,group,relatime,noatime \
        -o nodev,nosuid,noexec,strictatime,lazytime,nodiratime,x-systemd.automount,x-systemd.requires=a.mount,X-mount.mkdir \
        -o comment=ours,umask=022,silent,rw
[[ ,$(flags), == *,rw,nosuid,nodev,noexec,* ]] || fail "flags: $(flags)"
unmounted
status 1 "$IMAGEFS" "$STORE" "$MNT" -o defaults,no-such-option
same "$(cat said)" "imagefs: no-such-option: no such option (imagefs --help shows what there is)" "what is said"
status 1 "$IMAGEFS" "$STORE" "$MNT" -o uid=nobody-has-this-name
same "$(cat said)" "imagefs: uid=nobody-has-this-name: no such user (imagefs --help shows what there is)" "what is said"
out_of_range() { # OPTION LEAST MOST
        status 1 "$IMAGEFS" "$STORE" "$MNT" -o "$1"
        same "$(cat said)" "imagefs: $1: not a number from $2 to $3 (imagefs --help shows what there is)" "what is said"
}
out_of_range lease=0 1 3600
out_of_range lease=3601 1 3600
out_of_range slow-request=86401 0 86400
out_of_range restarts=1000001 0 1000000
status 1 "$IMAGEFS" "$STORE" "$MNT" -o umask
status 1 "$IMAGEFS" "$STORE"
status 32 "$IMAGEFS" "$WORK/none" "$MNT"
status 32 "$IMAGEFS" "$STORE" "$WORK/none"
fails mountpoint -q "$MNT"

# Letters may be grouped.
"$IMAGEFS" -fd "$STORE" "$MNT" >daemon.log 2>&1 &
daemon_pid=$!
until_true 10 _mounted || fail "not mounted: $(tail -n 3 daemon.log)"
kill -0 "$daemon_pid" || fail "it is not in the foreground"
grep -q "opcode: INIT" daemon.log || fail "it does not say what happens"
stop

# As mount(8) calls it, which has other meanings for letters.
ln -s "$IMAGEFS" mount.imagefs
ln -s "$IMAGEFS" mount.fuse.imagefs
for helper in mount.imagefs mount.fuse.imagefs; do
        status 0 "$WORK/$helper" "$STORE" "$MNT" -f -o rw
        fails mountpoint -q "$MNT" # -f: all but mounting
        status 0 "$WORK/$helper" "$STORE" "$MNT" -nv -r -t fuse.imagefs
        [[ ,$(flags), == *,ro,* ]] || fail "flags: $(flags)"
        unmounted
        status 1 "$WORK/$helper" "$STORE" "$MNT" -o no-such-option
        status 0 "$WORK/$helper" "$STORE" "$MNT" -s -o no-such-option
        unmounted
        status 32 "$WORK/$helper" "$WORK/none" "$MNT"
done
ln -s "$IMAGEFS" fsck.imagefs
status 0 ./fsck.imagefs -a "$STORE"
status 0 ./fsck.imagefs -nf "$STORE"
same "$(tail -n 1 said)" clean "what it says"
status 16 ./fsck.imagefs
status 16 ./fsck.imagefs -x "$STORE"
status 8 ./fsck.imagefs -a "$WORK/none"

need_root "namespaces and capabilities"
# The reason why there can be no mount.
reason() { # SENTENCE COMMAND…
        local sentence=$1
        shift
        status 32 "$@"
        same "$(cat said)" "imagefs: $sentence" "the reason"
}
reason "there is no /dev/fuse here: load the module (modprobe fuse), or give the device to this container (--device /dev/fuse)" \
        unshare -m sh -c 'mount -t tmpfs none /dev && exec "$@"' sh "$IMAGEFS" "$STORE" "$MNT"
reason "root may not mount here: give this container the capability CAP_SYS_ADMIN (--cap-add SYS_ADMIN)" \
        setpriv --bounding-set=-sys_admin "$IMAGEFS" "$STORE" "$MNT"
need setpriv
chmod 755 "$WORK"
mkdir -m 777 theirs
mknod fuse c 10 229
cp "$IMAGEFS" program
cat >as-user <<'SCRIPT'
#!/bin/bash
# as-user MODE of /dev/fuse COMMAND…
chmod "$1" fuse
shift
mount --make-rprivate / && mount --bind fuse /dev/fuse && exec setpriv --reuid 65534 --regid 65534 --clear-groups "$@"
SCRIPT
chmod +x as-user
unshare -m ./as-user 600 "$WORK/program" init "$WORK/theirs/store" >/dev/null || fail "init as a user"
mkdir theirs/open theirs/closed
chmod 777 theirs/open
reason "/dev/fuse is not for you to open: have the administrator open it to users (chmod 666 /dev/fuse), or mount as root" \
        unshare -m ./as-user 600 "$WORK/program" "$WORK/theirs/store" "$WORK/theirs/open"
reason "an ordinary user mounts only on a directory that is its own to write to: choose another one, or mount it as root" \
        unshare -m ./as-user 666 "$WORK/program" "$WORK/theirs/store" "$WORK/theirs/closed"
if ! grep -qs '^user_allow_other' /etc/fuse.conf; then
        reason "an ordinary user may say allow_other only where /etc/fuse.conf has a line user_allow_other: mount it as root, or leave that out" \
                unshare -m ./as-user 666 "$WORK/program" "$WORK/theirs/store" "$WORK/theirs/open" -o allow_other
fi
reason "an ordinary user mounts by fusermount3, which is not there: install the package fuse3" \
        unshare -m ./as-user 666 env PATH=/nowhere "$WORK/program" "$WORK/theirs/store" "$WORK/theirs/open"

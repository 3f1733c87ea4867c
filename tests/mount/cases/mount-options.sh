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
status 1 "$IMAGEFS" "$STORE" "$MNT" -o umask
status 1 "$IMAGEFS" "$STORE"
status 32 "$IMAGEFS" "$WORK/none" "$MNT"
status 32 "$IMAGEFS" "$STORE" "$WORK/none"
fails mountpoint -q "$MNT"

# Letters may be grouped.
"$IMAGEFS" -fd "$STORE" "$MNT" >debug.log 2>&1 &
daemon_pid=$!
until_true 10 _mounted || fail "not mounted: $(tail -n 3 debug.log)"
kill -0 "$daemon_pid" || fail "it is not in the foreground"
grep -q "opcode: INIT" debug.log || fail "it does not say what happens"
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

need_root "mount(8), namespaces and capabilities"
# mount(8) finds its helper where the package puts it; here in a view of the system that has it.
cat >as-installed <<'SCRIPT'
set -e
mount --make-rprivate /
mkdir -p sbin-work sbin-upper
mount -t tmpfs none sbin-work
mkdir sbin-work/upper sbin-work/work
mount -t overlay none -o lowerdir=/usr/sbin,upperdir=sbin-work/upper,workdir=sbin-work/work /usr/sbin
ln -s "$IMAGEFS" /usr/sbin/mount.imagefs
ln -s "$IMAGEFS" /usr/sbin/mount.fuse.imagefs
echo "$STORE $MNT imagefs allow_other,noatime,nofail,uid=nobody 0 0" >fstab
mount -T "$WORK/fstab" "$MNT"
stat -f -c %t "$MNT"
stat -c 'owner %U' "$MNT/regions"
mkdir "$MNT/regions/r"
mount -o remount,ro "$MNT"
mkdir "$MNT/regions/s" 2>&1 | grep -o "Read-only file system"
mount -o remount,rw "$MNT"
rmdir "$MNT/regions/r"
umount "$MNT"
mount -t imagefs /nowhere "$MNT" || echo "status $?"
SCRIPT
unshare -m env WORK="$WORK" MNT="$MNT" STORE="$STORE" bash as-installed >said 2>&1 || fail "as installed: $(cat said)"
same "$(cat said)" "65735546
owner nobody
Read-only file system
imagefs: /nowhere: no library of imagefs: is the disk that it lies on mounted? \"imagefs init /nowhere\" makes a new one
status 32" "as installed"
until_true 10 _idle || fail "the daemon stays"

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

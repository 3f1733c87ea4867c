# SPDX-License-Identifier: MIT
# As `cmake --install` leaves it: below any prefix the program finds its children, mount(8) its helper, a service manager
# hears from it.
need cmake python3
run env DESTDIR="$WORK/root" cmake --install "$(dirname "$IMAGEFS")" --prefix /usr --strip >installed.log
usr=$WORK/root/usr
same "$(cd "$usr" && find bin sbin libexec lib -type f -o -type l | sort | sed 's/-[a-z]*$//' | uniq)" "bin/imagefs
lib/systemd/system/imagefs@.service
libexec/imagefs/imagefs
sbin/fsck.imagefs
sbin/mount.fuse.imagefs
sbin/mount.imagefs" "what is installed"
grep -qx "ExecStart=/usr/bin/imagefs -f \${STORE} \${MOUNTPOINT} -o restarts=2 -o \${OPTIONS}" "$usr/lib/systemd/system/imagefs@.service" ||
        fail "the unit starts something else"

# Its children are those that are installed with it, not those of the build.
mkdir elsewhere
cp -a root/usr elsewhere/
IMAGEFS=$WORK/elsewhere/usr/bin/imagefs
library "$STORE"

# A service manager hears when it can be used, twice in each interval that it still answers, and that it ends.
cat >manager.py <<'SCRIPT'
import os, signal, socket, subprocess, sys
program, store, mount, name, options = sys.argv[1:]
s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
s.bind("\0" + name[1:] if name[0] == "@" else name)
s.settimeout(20)
pid = os.fork()
if pid == 0:
    os.environ.update(NOTIFY_SOCKET=name, WATCHDOG_USEC="300000", WATCHDOG_PID=str(os.getpid()))
    os.execv(program, [program, "-f", store, mount, "-o", options])
heard = [s.recv(99).decode()]
mounted = os.path.ismount(mount)
heard += [s.recv(99).decode() for _ in range(3)]
if options:
    with open(f"/proc/{pid}/task/{pid}/children") as children:
        os.kill(int(children.read().split()[0]), signal.SIGKILL)
    while s.recv(99) != b"READY=1":
        pass
    heard[2:] = [s.recv(99).decode()] * 2
subprocess.run(["sh", "-c", 'umount "$0" || fusermount3 -u "$0"', mount], check=True)
while heard[-1] != "STOPPING=1":
    heard.append(s.recv(99).decode())
print(mounted, *heard[:4], heard[-1], os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
SCRIPT
# Likewise of the process that goes on where one has died.
supervised=
[ "$(printf '%s\n' 6.9 "$(uname -r)" | sort -V | head -n 1)" != 6.9 ] || supervised=restarts=2
for how in "$WORK/notify," "@imagefs-test-$$,$supervised"; do
        same "$(python3 manager.py "$IMAGEFS" "$STORE" "$MNT" "${how%,*}" "${how#*,}" 2>manager.log)" \
                "True READY=1 WATCHDOG=1 WATCHDOG=1 WATCHDOG=1 STOPPING=1 0" "what a manager hears"
done

start
two_regions
pattern disk.raw 2M 3
run qemu-img convert -c -O qcow2 disk.raw disk.qcow2
run cp disk.qcow2 "$R/private/"
settle "$R/private/disk"
same_disk "$R/private/disk/disks/vda.raw" disk.raw
stop

need_root "mount(8)"
# mount(8) looks for its helper in /usr/sbin; here in a view of the system that has it.
cat >as-installed <<'SCRIPT'
set -e
mount --make-rprivate /
mkdir -p sbin-work sbin-upper
mount -t tmpfs none sbin-work
mkdir sbin-work/upper sbin-work/work
mount -t overlay none -o lowerdir=/usr/sbin,upperdir=sbin-work/upper,workdir=sbin-work/work /usr/sbin
for name in mount.imagefs mount.fuse.imagefs; do
        ln -s "$WORK/root/usr/sbin/$name" "/usr/sbin/$name"
done
echo "$STORE $MNT imagefs allow_other,noatime,nofail,uid=nobody 0 0" >fstab
mount -T "$WORK/fstab" "$MNT"
stat -f -c %t "$MNT"
stat -c 'owner %U' "$MNT/regions"
mkdir "$MNT/regions/x"
mount -o remount,ro "$MNT"
mkdir "$MNT/regions/s" 2>&1 | grep -o "Read-only file system"
mount -o remount,rw "$MNT"
rmdir "$MNT/regions/x"
umount "$MNT"
mount -t imagefs /nowhere "$MNT" || echo "status $?"
SCRIPT
"$lib/apart" -- env MNT="$MNT" STORE="$STORE" bash as-installed >said 2>&1 || fail "as installed: $(cat said)"
same "$(cat said)" "65735546
owner nobody
Read-only file system
imagefs: /nowhere: no library of imagefs: is the disk that it lies on mounted? \"imagefs init /nowhere\" makes a new one
status 32" "as installed"
until_true 10 eval '"$IMAGEFS" check "$STORE" >/dev/null 2>&1' || fail "the daemon stays"


# SPDX-License-Identifier: MIT
# File handles, by which NFS servers know files: they lead back to the same file when the kernel has forgotten it, and to
# none when the object is gone or elsewhere.
need_root "open_by_handle_at and dropping caches"
start -o allow_other
two_regions
cloud_image web 2M 5
cloud_image other 1M 6
ok mkdir "$R/instances/vm"
ok write "$R/instances/vm/image" private/web
ok mkdir "$R/private/web/copies/cn-east-2"
settle "$R/private/web"
ok mkdir "$R/disks/d"
ok write "$R/disks/d/size" 1M
ok mkdir "$R/private/awaited"
ok mkdir "$R/private/awaited/disks/vdb"
cat >handles.py <<'SCRIPT'
import ctypes, os, stat, sys
libc = ctypes.CDLL(None, use_errno=True)
class Handle(ctypes.Structure):
    _fields_ = [("bytes", ctypes.c_uint), ("type", ctypes.c_int), ("handle", ctypes.c_ubyte * 128)]
mount = sys.argv[1]
root = os.open(mount, os.O_RDONLY)
def handle_of(path):
    h, n = Handle(128), ctypes.c_int()
    if libc.name_to_handle_at(-100, os.fsencode(path), ctypes.byref(h), ctypes.byref(n), 0) < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()), path)
    return h
def open_handle(h, flags):
    fd = libc.open_by_handle_at(root, ctypes.byref(h), flags)
    if fd < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return fd
def drop():
    for _ in range(4): # what was used of late is spared the first time
        with open("/proc/sys/vm/drop_caches", "w") as f:
            f.write("2\n")
def error(h):
    try:
        os.close(open_handle(h, os.O_RDONLY))
        return "opened"
    except OSError as e:
        return e.strerror
known = {}
for path, dirs, files in os.walk(mount):
    if "/tasks/" in path:
        continue
    for name in [""] + files:
        whole = os.path.join(path, name) if name else path
        if not os.path.islink(whole) and name != "upload": # to open that begins something
            known[whole] = (handle_of(whole), os.stat(whole))
print("known", len(known) > 100)
os.close(root)
print("mount anew", flush=True)
sys.stdin.readline()
root = os.open(mount, os.O_RDONLY)
wrong = unknown = 0
second = []
opened = []
# The deepest first, and no listing meanwhile, which would tell the kernel of all that is in it.
for whole, (h, was) in sorted(known.items(), key=lambda one: -one[0].count("/")):
    try:
        fd = open_handle(h, os.O_RDONLY if not was.st_mode & 0o200 or stat.S_ISDIR(was.st_mode) else os.O_RDWR if was.st_mode & 0o400 else os.O_WRONLY)
    except OSError as e:
        second.append(os.path.relpath(whole, mount) + ": " + e.strerror)
        continue
    now = os.fstat(fd)
    if (now.st_ino, now.st_mode, now.st_uid) != (was.st_ino, was.st_mode, was.st_uid):
        wrong += 1
    opened.append((fd, whole, was))
for fd, whole, was in opened:
    if stat.S_ISDIR(was.st_mode):
        if os.readlink(f"/proc/self/fd/{fd}") != whole or sorted(os.listdir(fd)) != sorted(os.listdir(whole)):
            print("another directory", whole, os.readlink(f"/proc/self/fd/{fd}"))
    os.close(fd)
print("other attributes:", wrong)
print("not found again:", *sorted(second), sep="\n  ")
region = os.path.join(mount, "regions/cn-north-1")
fd = open_handle(known[region + "/private/other/disks/vda.raw"][0], os.O_RDONLY)
print("bytes", os.pread(fd, 1 << 21, 0) == open("other.raw", "rb").read())
os.close(fd)
os.rmdir(region + "/private/other")
drop()
print("in the bin:", error(known[region + "/private/other"][0]), "/", error(known[region + "/private/other/copies"][0]))
os.rename(region + "/recycle/other", region + "/private/other")
drop()
print("back:", error(known[region + "/private/other"][0]), "/", error(handle_of(region + "/private/other")))
os.rmdir(region + "/private/other")
os.rmdir(region + "/recycle/other")
drop()
print("gone:", error(known[region + "/private/other/status"][0]))
SCRIPT
# Another mount of the same library: the kernel knows nothing of it.
coproc PYTHON { exec python3 handles.py "$MNT" 2>&1; }
exec 5<&"${PYTHON[0]}" 6>&"${PYTHON[1]}"
until read -r line <&5 && echo "$line" >>said && [ "$line" = "mount anew" ]; do
        [ -n "$line" ] || fail "handles.py ended: $(cat said)"
done
restart -o allow_other
echo >&6
cat <&5 >>said
# A second place, in which there are links only, is found by its name alone.
same "$(cat said)" "known True
mount anew
other attributes: 0
not found again:
  regions/cn-north-1/snapshots/web/disks/vm-vda: Stale file handle
bytes True
in the bin: Stale file handle / Stale file handle
back: Stale file handle / opened
gone: Stale file handle" "what handles lead to"

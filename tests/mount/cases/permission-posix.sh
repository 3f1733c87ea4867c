# SPDX-License-Identifier: MIT
# What POSIX says of who may change modes, owners, groups and times, and of directories in which all make things, as far as there
# is such a thing here: the classes of pjdfstest beside those of the matrix.
need_root "several users"
need python3
chmod 755 "$WORK"
start -o allow_other
two_regions

cat >rules.py <<'END'
"""rules.py REGION TABLE: does what the table's lines say, as the user that each begins with, and prints those that differ."""
import errno
import os
import sys

A, B, GROUP, OTHER = 12001, 12002, 12100, 12200
USERS = {"a": (A, [A, GROUP]), "b": (B, [B, GROUP]), "root": (0, [0])}
region = sys.argv[1]
past = (1, 1)


OPS = {
    "mkdir": lambda p: os.mkdir(p),
    "rmdir": lambda p: os.rmdir(p),
    "rename": lambda p, q: os.rename(p, at(q)),
    "unlink": lambda p: os.unlink(p),
    "link": lambda p, q: os.link(p, at(q)),
    "symlink": lambda p: os.symlink("target", p),
    "mkfifo": lambda p: os.mkfifo(p),
    "mknod": lambda p: os.mknod(p, 0o020666, os.makedev(1, 3)),
    "chmod": lambda p, mode: os.chmod(p, int(mode, 8)),
    "chown": lambda p, uid, gid: os.chown(p, int(uid), int(gid)),
    "utime": lambda p: os.utime(p, past),
    "touch": lambda p: os.utime(p, None),
    "create": lambda p: os.close(os.open(p, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644)),
    "read": lambda p: os.close(os.open(p, os.O_RDONLY)),
    "write": lambda p: os.close(os.open(p, os.O_WRONLY)),
    "list": lambda p: os.listdir(p),
    "truncate": lambda p: os.truncate(p, 0),
    "mode": lambda p, mode: same(oct(os.stat(p).st_mode & 0o7777)[2:], mode),
    "owner": lambda p, uid, gid: same(f"{os.stat(p).st_uid} {os.stat(p).st_gid}", f"{uid} {gid}"),
}


def same(is_, wanted):
    if is_ != wanted:
        raise ValueError(f"{is_}, and not {wanted}")


def at(path):
    return f"{region}/{path}"


def do(user, op, path, *args):
    """In a child, which has nothing of what this one may."""
    uid, groups = USERS[user]
    out, into = os.pipe()
    child = os.fork()
    if child == 0:
        said = "ok"
        try:
            os.setgroups(groups)
            os.setresgid(uid, uid, uid)
            os.setresuid(uid, uid, uid)
            OPS[op](at(path), *args)
        except OSError as e:
            said = errno.errorcode[e.errno]
        except ValueError as e:
            said = str(e)
        os.write(into, said.encode())
        os._exit(0)
    os.close(into)
    with os.fdopen(out) as f:
        said = f.read()
    os.waitpid(child, 0)
    return said


failed = 0
names = {"A": A, "B": B, "GROUP": GROUP, "OTHER": OTHER}
for line in open(sys.argv[2], encoding="utf-8"):
    words = [str(names.get(w, w)) for w in line.split("#")[0].split()]
    if not words:
        continue
    said = do(*words[:-1])
    if said not in words[-1].split("|"):
        print(f"{line.strip()}: {said}")
        failed += 1
sys.exit(failed > 0)
END

cat >table <<'END'
# who  what     of                      comes of it
a      mkdir    private/mine            ok
a      mkdir    private/open            ok
b      mkdir    private/yours           ok
a      owner    private/mine A A        ok
a      mode     private/mine 700        ok

# modes: the owner's and root's, and no others'
b      chmod    private/mine 777        EPERM
a      chmod    private/mine 750        ok
a      mode     private/mine 750        ok
root   chmod    private/mine 770        ok
a      chmod    private/mine 4770       ok
a      chmod    private/mine 2770       ok
a      chmod    private/mine 1770       ok
a      mode     private/mine 770        ok       # as nobody runs what is a directory
a      chmod    private/none 700        ENOENT
a      chmod    private/mine/name 777   EPERM
a      chmod    private/mine/name/x 777 ENOTDIR
a      chmod    private 777             EPERM

# owners: root's alone; groups: the owner's, who is in the group
a      chown    private/mine B -1       EPERM
b      chown    private/mine B -1       EPERM
b      chown    private/mine -1 GROUP   EPERM
a      chown    private/mine -1 OTHER   EPERM
a      chown    private/mine -1 GROUP   ok
a      owner    private/mine A GROUP    ok
a      chown    private/mine A GROUP    ok
b      chown    private/mine -1 -1      ok
root   chown    private/open -1 OTHER   ok
b      chmod    private/mine 700        EPERM    # the group may write, and is not the owner
b      chown    private/mine -1 B       EPERM

# times: an object has its own; of what is written they are taken, and mean nothing
a      utime    private/mine            EPERM
b      utime    private/mine            EPERM
a      touch    private/mine            EPERM
b      touch    private/mine            EPERM
a      utime    private/mine/name       ok
b      utime    private/yours           EPERM
a      utime    private/yours           EPERM

# a directory in which all make things, and nobody removes or renames what is another's
a      rmdir    private/yours           EPERM|EACCES
a      rename   private/yours private/theirs  EPERM|EACCES
a      rename   private/open private/yours    EEXIST
b      rename   private/yours private/open    EEXIST
b      rmdir    private/open            EPERM|EACCES
a      mkdir    private/yours           EEXIST
a      rmdir    private                 EACCES
a      rename   private private2        EACCES
a      list     private/yours           EACCES
a      read     private/yours/name      EACCES
a      write    private/yours/name      EACCES
a      truncate private/yours/name      EACCES
a      mkdir    private/yours/shares/12003    EACCES

# what there is none of
a      symlink  private/sym             EPERM
a      link     private/mine/name private/mine/name2  EPERM
a      link     private/mine/name private/hard  EPERM
a      link     private/yours/name private/hard  EACCES
a      mkfifo   private/fifo            EPERM
root   mknod    private/dev             EPERM
a      mknod    private/dev             EPERM
a      symlink  private/mine/sym        EPERM
b      symlink  public/sym              EPERM
a      unlink   private/mine/name       EPERM
a      unlink   private/mine            EISDIR
a      rmdir    private/mine/name       ENOTDIR
a      create   private/mine/new        EPERM
a      create   public/new.raw          EACCES
a      create   private/yours/new       EACCES
a      mkdir    private/yours/new       EACCES
a      rename   private/mine/name private/mine/name2   EPERM

# nothing of that was done; and the group that may write manages it
a      owner    private/mine A GROUP    ok
a      mode     private/mine 770        ok
b      mode     private/yours 700       ok
b      rename   private/mine private/ours      ok
a      owner    private/ours A GROUP    ok
b      rmdir    private/ours            ok
END
python3 rules.py "$R" table >differs || fail "not as POSIX has it:
$(cat differs)"

# SPDX-License-Identifier: MIT
# Extended attributes of every kind of object are its one-line files, for whoever may read those; and statfs, for all.
need_root "several users"
need setpriv python3
chmod 755 "$WORK"
A=12001 B=12002
cp "$FSOP" fsop
chmod 755 fsop
as() { # UID COMMAND …
        setpriv --reuid "$1" --regid "$1" --clear-groups "${@:2}"
}
cat >walk.py <<'PY'
# Holds each attribute of each directory against the file that it mirrors; prints how many there were of each directory.
import errno, os, sys

PREFIX = "user.imagefs."
top, uid = sys.argv[1], int(sys.argv[2])
os.setgroups([])  # by itself: python may be installed where the user cannot go
os.setresgid(uid, uid, uid)
os.setresuid(uid, uid, uid)
for dir, dirs, files in os.walk(top):
    names = os.listxattr(dir)
    for name in names:
        assert name.startswith(PREFIX), (dir, name)
        with open(os.path.join(dir, name[len(PREFIX):]), "rb") as f:
            text = f.read()
        assert os.getxattr(dir, name) + b"\n" == text, (dir, name, text)
        for change in (lambda: os.setxattr(dir, name, b"x"), lambda: os.removexattr(dir, name)):
            try:
                change()
                raise AssertionError("changed", dir, name)
            except OSError as e:
                assert e.errno in (errno.EPERM, errno.EACCES), (dir, name, e)
    for file in files:
        assert os.listxattr(os.path.join(dir, file), follow_symlinks=False) == [], (dir, file)
    print(len(names), os.path.relpath(dir, top))
PY
start -o allow_other
two_regions
pattern disk.raw 256K 5
chmod 644 disk.raw
import_raw "$R/public/base" disk.raw
web=$R/private/web
same "$(as $A ./fsop mkdir "$web")" ok mkdir
same "$(as $A ./fsop upload "$WORK/disk.raw" "$web/upload")" ok upload
settle "$web"
for dir in "$web/instances/vm" "$web/copies/cn-east-2" "$web/shares/$B" "$R/snapshots/web/disks/d1"; do
        same "$(as $A ./fsop mkdir "$dir")" ok "mkdir $dir"
done
settle "$R2/private/web"

for user in $A 0; do
        python3 walk.py "$MNT" $user >seen 2>&1 || fail "of $user: $(cat seen)"
        for object in regions/cn-north-1 regions/cn-north-1/{public/base,private/web,snapshots/web,disks/d1,instances/vm} \
                regions/cn-north-1/private/web/{copies/cn-east-2,shares/$B} regions/cn-east-2/private/web \
                "tasks/$(basename "$(task_of "$web" copy)")" info; do
                grep -q "^[1-9][0-9]* $object$" seen || fail "$user sees no attributes of $object: $(grep " $object$" seen)"
        done
done
for user in $B 12004; do
        python3 walk.py "$MNT" $user >seen 2>&1 || fail "of $user: $(cat seen)"
        grep -q '^[1-9][0-9]* regions/cn-north-1/public/base$' seen || fail "$user does not see those of a public image"
        grep -q private/web seen && fail "$user sees what is A's"
        same "$(as $user ./fsop getxattr user.imagefs.id "$web" | cut -d ' ' -f 1)" EACCES "an attribute of A's"
done
python3 walk.py "$R/shared/web" $B >seen 2>&1 || fail "shared: $(cat seen)"
same "$(as $B ./fsop getxattr user.imagefs.source "$R/shared/web")" shared "its source"
same "$(as 12004 ./fsop getxattr user.imagefs.source "$R/shared/web" | cut -d ' ' -f 1)" EACCES "a stranger"

# One answer wherever it is asked, in numbers that make sense, the same for all.
for user in 0 $A $B; do
        for path in "$MNT" "$R" "$R/public/base/disks/vda.raw" "$R/quota"; do
                read -r type size blocks free avail names < <(as $user stat -f -c '%t %s %b %f %a %l' "$path")
                same "$type $size $names" "65735546 4096 128" "statfs of $path for $user"
                [ "$blocks" -ge "$free" ] && [ "$free" -ge "$avail" ] && [ "$avail" -gt 0 ] || fail "$blocks $free $avail"
        done
done

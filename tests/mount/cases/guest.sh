# SPDX-License-Identifier: MIT
# guest/: the files on the disks of images and snapshots, read-only, as the guest has them: held against what Linux shows of
# the same disk. Who may read the disk may read them, and nobody else; a process that dies takes nothing of it along; what
# makes no sense is refused with a sentence.
need mke2fs e2fsck debugfs sfdisk python3
[ -x "$(dirname "$IMAGEFS")/imagefs-fstab" ] || skip "built without libext2fs"
. "$lib/users.sh"

# look DIR: a line for each file in it: its name, and all that a guest's file has.
look() {
        python3 - "$1" <<'END'
import os, stat, sys

def look(top, name):
    path = os.path.join(top, name)
    s = os.lstat(path)
    mode = s.st_mode
    try:  # what is shown lets everybody read
        if not stat.S_ISLNK(mode):
            mode = int(os.getxattr(path, "user.imagefs.mode", follow_symlinks=False), 8)
            if not stat.S_ISREG(s.st_mode) and not stat.S_ISDIR(s.st_mode):
                print(name, "is no file")
            if s.st_mode & 0o7777 != mode & 0o7777 | (0o555 if stat.S_ISDIR(mode) else 0o444):
                print(name, "has another mode than shown")
    except OSError:
        pass
    special = not (stat.S_ISREG(mode) or stat.S_ISDIR(mode) or stat.S_ISLNK(mode))
    print(ascii(name), oct(mode), s.st_uid, s.st_gid, s.st_nlink, 0 if special else s.st_size, s.st_blocks,
          s.st_atime_ns, s.st_mtime_ns, s.st_ctime_ns, os.readlink(path) if stat.S_ISLNK(mode) else "")
    if stat.S_ISDIR(mode):
        with os.scandir(path) as names:
            for n in sorted(names, key=lambda n: n.name):
                shown = n.stat(follow_symlinks=False).st_mode
                if n.is_dir(follow_symlinks=False) != stat.S_ISDIR(shown) or n.is_symlink() != stat.S_ISLNK(shown):
                    print(ascii(n.name), "is listed as something else")
                if n.inode() != n.stat(follow_symlinks=False).st_ino:
                    print(ascii(n.name), "is listed with another number")
                look(top, os.path.join(name, n.name))

os.chdir(sys.argv[1])
look(".", "")
END
}

# told ERRNO WORDS OP …: is refused, and the image's last-error has these words.
told() {
        expect "$1" "${@:3}"
        [[ $(cat "$image/last-error") == *"$2"* ]] || fail "${*:3}: $(cat "$image/last-error")"
}

# broken WORDS COMMAND …: a program is told EIO, or another error, and the image's last-error has these words.
broken() {
        fails "${@:2}"
        [[ $(cat "$image/last-error") == *"$1"* ]] || fail "${*:2}: $(cat "$image/last-error")"
}

# ---- what is to be shown ----

mkdir -p root/etc root/many root/deep/er/est root/empty
printf 'a line\n' >root/etc/fstab
printf x >root/etc/tiny
: >root/etc/nothing
truncate -s 100000 root/etc/unwritten
pattern root/etc/data 300K 5
printf end | dd of=root/etc/holes bs=1 seek=3M conv=notrunc status=none
ln -s fstab root/etc/short
ln -s "/$(printf 'long/%.0s' {1..40})end" root/etc/long
ln root/etc/fstab root/deep/hard
# In pieces, so that their places are a tree of two floors.
python3 - root/etc/pieces <<'END'
import sys
with open(sys.argv[1], "wb") as f:
    for i in range(600):
        f.seek(i * 8192)
        f.write(b"piece %d" % i)
END
mkfifo root/etc/pipe
[ "$(id -u)" != 0 ] || { mknod root/etc/null c 1 3 && mknod root/etc/disk b 8 1 && chown 1000:70000 root/etc/data; }
for i in {1..150}; do echo "$i" >"root/many/a file with a rather long name, number $i"; done
echo >"root/deep/er/$(printf 'with\nnewline \303\274')"
chmod 600 root/etc/data
chmod 4755 root/etc/tiny
chmod 700 root/deep/er

# The same in each way of keeping it; the last two are no file system, and one that was damaged.
kinds=("-t ext4 -b 4096 -I 256" "-t ext4 -b 1024 -I 256 -O inline_data" "-t ext4 -b 4096 -O bigalloc -C 16384"
        "-t ext3 -b 1024 -I 128" "-t ext2 -b 4096 -O ^filetype")
truncate -s 132M disk.raw
{
        echo 'label: gpt'
        for i in {1..7}; do echo size=16MiB; done
} | run sfdisk -q disk.raw
for i in {0..5}; do
        truncate -s 0 fs$i
        truncate -s 16M fs$i
        # shellcheck disable=SC2086
        run mke2fs -q -F ${kinds[$i]:--t ext4 -b 1024 -O ^metadata_csum} -d root fs$i >/dev/null
        e2fsck -fyD fs$i >/dev/null 2>&1 # which makes indices of directories
        case $i in
        0) run debugfs -w -R 'fallocate /etc/unwritten 0 24' fs0 2>/dev/null &&
                run debugfs -w -R 'sif /etc/tiny mtime_extra 3141592652' fs0 2>/dev/null ;;
        5) run debugfs -w -f - fs5 >/dev/null 2>&1 <<'END'
sif /etc/data flags 0x80800
sif /etc/long flags 0x800
sif /deep/er flags 0x80800
sif /etc/fstab mode 0170644
sif /etc/holes block[5] 0x7fff0000
sif /many block[5] 0xfffffff0
link /deep /deep/circle
link <8> /etc/journal
END
                ;;
        esac
        run dd if=fs$i of=disk.raw bs=1M seek=$((1 + i * 16)) conv=notrunc,sparse status=none
done
: | dd of=disk.raw bs=1 seek=$((97 << 20)) conv=notrunc status=none

start -o allow_other,restarts=100
two_regions
raise_limits
run cp disk.raw "$R/private/web.raw"
settle "$R/private/web"
image=$R/private/web
guest=$image/guest
same "$(ls -a "$image" | grep -c guest)" 0 "what is listed of it"
same "$(ls "$guest" | paste -sd ' ')" "vda1 vda2 vda3 vda4 vda5 vda6"
same "$(stat -c '%F %h' "$guest")" "directory 1"
for dir in "$guest" "$guest/vda1" "$guest/vda1/etc"; do
        same "$(ls -a "$dir" | grep -cx '\.\.\?')" 2 "itself and what it is in, in $dir"
done

# All that Linux shows, and all bytes, through its caches and past them.
for i in {0..4}; do
        look "$guest/vda$((i + 1))" >got
        mkdir -p loop
        if mount -o ro,loop,noload fs$i loop 2>/dev/null || mount -o ro,loop fs$i loop 2>/dev/null; then
                look loop >want
                umount loop
                cmp -s got want || fail "${kinds[$i]}: $(diff want got | head -n 5)"
        fi
        diff -r --no-dereference root "$guest/vda$((i + 1))" >differ 2>&1
        grep -vE ': lost\+found$|^File .* is a (fifo|character special file|block special file) while file .* is a regular empty file$' \
                differ >left && fail "${kinds[$i]}: $(head -n 5 left)"
done

# What programs do with it: copies, archives, and names that lead out of it, which are shown as they are.
run cp -a "$guest/vda1" copy
grep -q . <(diff -r --no-dereference copy "$guest/vda1" 2>&1) && fail "cp -a: $(diff -r --no-dereference copy "$guest/vda1" 2>&1 | head -n 3)"
run tar -cf all.tar -C "$guest/vda1" .
run tar -df all.tar -C "$guest/vda1"
same "$(find "$guest/vda1" -samefile "$guest/vda1/etc/fstab" | wc -l)" 2 "hard links"
same "$(readlink "$guest/vda1/etc/long")" "$(readlink root/etc/long)"
same "$(stat -c %a "$guest/vda1/etc/tiny" "$guest/vda1/etc/data" "$guest/vda1/deep/er" | paste -sd ' ')" "4755 644 755"
inode=$(stat -c %i "$guest/vda1/etc/fstab")

# Nothing in it changes.
expect "EROFS open" open w "$guest/vda1/etc/fstab"
expect EROFS unlink "$guest/vda1/etc/fstab"
expect EROFS mkdir "$guest/vda1/new"
expect EROFS mkdir "$guest/new"
expect EROFS chmod 600 "$guest/vda1/etc/fstab"
expect EROFS rename "$guest/vda1/etc/fstab" "$guest/vda1/etc/other"
refused EROFS "$image" rmdir "$guest/vda1/empty"

# ---- what makes no sense, or cannot be read ----

odd=$guest/vda6
expect ENOENT stat "$odd/none"
expect ENOENT stat "$guest/vdb1"
expect ENOENT stat "$guest/vda9"
told EOPNOTSUPP "partitions/vda7.raw" stat "$guest/vda7"
told EOPNOTSUPP encrypted open r "$odd/etc/data"
broken encrypted readlink -v "$odd/etc/long"
broken encrypted ls "$odd/deep/er"
told EIO damaged stat "$odd/deep/circle"
[[ $(cat "$image/last-error") == *' look up guest/…/circle: '* ]] || fail "where it is: $(cat "$image/last-error")"
told EIO damaged stat "$odd/etc/journal"
told EIO damaged stat "$odd/etc/fstab"
broken damaged ls "$odd/many"
broken damaged cat "$odd/etc/holes"
cmp "$odd/etc/tiny" root/etc/tiny || fail "what is whole beside it"
timeout 20 find "$odd" >/dev/null 2>&1
[ $? = 1 ] || fail "what cannot be read ends the walk"
ok mkdir "$R/private/queued"
expect EBUSY stat "$R/private/queued/guest/vda"

# ---- the process dies, and the library is mounted anew ----

serving() { pgrep -P "$daemon_pid" imagefs; }
old=$(serving)
exec 5<"$guest/vda1/etc/data"
cmp -n 10000 <(head -c 10000 <&5) root/etc/data || fail "its beginning"
python3 - "$guest/vda2/many" "$old" "$guest/vda1/deep" >names <<'END' || fail "a walk that a process died in"
import os, select, signal, sys
os.chdir(sys.argv[3])
with os.scandir(sys.argv[1]) as names:
    for i, n in enumerate(names):
        print(n.name)
        if i == 10:
            # What is asked while it dies may be answered by Linux, with EIO: it is to be dead first.
            old = os.pidfd_open(int(sys.argv[2]))
            signal.pidfd_send_signal(old, signal.SIGKILL)
            select.select([old], [], [])
if os.listdir("er/est") or os.lstat("er").st_mode & 0o777 != 0o755:
    sys.exit(1)
END
cmp <(sort names) <(ls root/many | sort) || fail "other names: $(diff <(sort names) <(ls root/many | sort) | head -n 3)"
cmp <(cat <&5) <(tail -c +10001 root/etc/data) || fail "the rest of a file that was open"
exec 5<&-
same "$(stat -c %i "$guest/vda1/etc/fstab")" "$inode" "the inode number"
restart -o allow_other,restarts=100
same "$(stat -c %i "$guest/vda1/etc/fstab")" "$inode" "the inode number"
cmp "$R/snapshots/web/guest/vda5/etc/data" root/etc/data || fail "of the snapshot"

# ---- the image goes, while it is looked at ----

(
        cd "$guest/vda1/etc" || fail cd
        exec 5<fstab
        ok rename "$image" "$R/private/other"
        value fstab "a line"
        cmp "$R/private/other/guest/vda1/etc/data" data || fail "renamed"
        ok rmdir "$R/private/other"
        value "$R/recycle/other/guest/vda1/etc/fstab" "a line"
        ok rmdir "$R/recycle/other"
        expect 'ESTALE|ENOENT' open r data
        fails cat nothing
        same "$(cat <&5)" "a line" "what was open"
) || exit 1

# ---- several users ----

[ "$(id -u)" = 0 ] || exit 0
A=12001 B=12002
users $A $B
chmod 644 disk.raw
image=$R/private/hers
by $A ok mkdir "$image"
by $A ok upload disk.raw "$image/upload"
settle "$image"
cmp <(as $A cat "$image/guest/vda1/etc/data") root/etc/data || fail "a file of the guest's root, for who owns the image"
same "$(as $A ls -A "$image/guest/vda1/deep/er" | wc -l)" 3 "in a directory of the guest's root"
by $B expect EACCES open r "$image/guest/vda1/etc/fstab"
by $B expect EACCES stat "$image/guest"
by $A ok mkdir "$image/shares/$B"
hers=$R/shared/hers/guest
same "$(as $B cat "$hers/vda3/etc/fstab")" "a line" "of a shared image"
by $B expect 'EROFS|EACCES' open w "$hers/vda1/etc/fstab"
by $A ok rmdir "$image/shares/$B"
for file in vda1/etc/fstab vda1/etc/tiny vda3/etc/fstab; do
        by $B expect EACCES open r "$hers/$file"
done
by $B expect EACCES opendir "$hers/vda1/etc"
by $B expect EACCES opendir "$hers"
cmp <(as $A cat "$image/guest/vda4/etc/data") root/etc/data || fail "the owner's, afterwards"

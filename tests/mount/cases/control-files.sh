# SPDX-License-Identifier: MIT
# One write is one command, whoever writes it; a refused one changes nothing; sizes are true; text is frozen at open.
start
two_regions
web=$R/private/web
ok mkdir "$web"

echo one >"$web/name" && value "$web/name" one || fail "echo >"
echo two >>"$web/name" && value "$web/name" two || fail "echo >>"
printf three >"$web/name" && value "$web/name" three || fail "printf"
echo four | tee "$web/name" >/dev/null && value "$web/name" four || fail "tee"
echo five | tee -a "$web/name" >/dev/null && value "$web/name" five || fail "tee -a"
echo six | dd of="$web/name" status=none && value "$web/name" six || fail "dd"
echo seven | dd of="$web/name" conv=notrunc oflag=append status=none && value "$web/name" seven || fail "dd append"
echo eight >eight && cat eight >"$web/name" && value "$web/name" eight || fail "cat >"
cp eight "$web/name" && value "$web/name" eight || fail "cp over it"
sh -c "echo nine >'$web/name'" && value "$web/name" nine || fail "sh"
python3 -c 'import sys; open(sys.argv[1], "w").write("ten")' "$web/name" 2>/dev/null && value "$web/name" ten

# Truncating, touching, opening and closing do nothing.
ok write "$web/name" kept
: >"$web/name"
ok truncate 0 "$web/name"
ok truncate 100 "$web/name"
ok open trunc "$web/name"
ok open rw "$web/name"
ok open a "$web/name"
ok touch "$web/name"
run touch -d 2001-01-01 "$web/name"
value "$web/name" kept
expect EPERM chmod 600 "$web/name"
expect EPERM chown 1 1 "$web/name"
expect EPERM unlink "$web/name"
expect EPERM unlink "$MNT/README"
fails rm -rf "$web/name"

# What follows a value through one open does not replace it without a word: bash writes each line by itself.
says() { [[ $(tail -n 1 "$MNT/info/errors") == *"$1" ]] || fail "not '$1' but: $(tail -n 1 "$MNT/info/errors")"; }
expect "EINVAL write" write "$web/os" windows linux
value "$web/os" windows
says "os takes one line in one write: the line before this one was taken, and this is not"
if printf 'cloud-init\nqemu-ga\nhot-upgrade\n' >"$web/features" 2>err; then fail "three lines were one value"; fi
value "$web/features" cloud-init
if printf 'qemu-ga\nhot-upgrade\n' >>"$web/features" 2>err; then fail "two lines were one value"; fi
value "$web/features" qemu-ga
if echo $'no feature!\nq' >"$web/features" 2>err; then fail "two lines were one value"; fi # bash writes an empty one after it
value "$web/features" qemu-ga
if printf '%5000s\n' 'too long' >"$web/name" 2>err; then fail "5000 bytes were a name"; fi
value "$web/name" kept
python3 - "$web/os" <<'END' || fail "a value that is written again"
import os, sys
fd = os.open(sys.argv[1], os.O_WRONLY)
os.pwrite(fd, b"linux\n", 0)
os.pwrite(fd, b"windows\n", 0)
END
value "$web/os" windows
# What is open says how long it is, and not what another has written since: who trusts st_size got half of it.
ok write "$web/description" "short"
ok frozen "$web/description" "a longer text than it was when it was opened"
ok frozen "$web/description" "short"
ok write "$web/description" "short"
# Whichever thread of the process opened it.
run python3 - "$web/description" <<'END'
import os, sys, threading
fds, sizes = [], []
def in_thread(what):
    t = threading.Thread(target=what)
    t.start()
    t.join()
fds.append(os.open(sys.argv[1], os.O_RDONLY))
writer = os.open(sys.argv[1], os.O_WRONLY)
os.write(writer, b"longer than it was\n")
in_thread(lambda: sizes.append(os.fstat(fds[0]).st_size))
assert sizes == [6], sizes
os.close(fds.pop())
def keeps():
    fds.append(os.open(sys.argv[1], os.O_RDONLY))
    os.write(writer, b"short\n")
in_thread(keeps)
assert os.fstat(fds[0]).st_size == 19, os.fstat(fds[0]).st_size
END
ok write "$web/description" ""
# Commands may follow each other.
{ echo "private-images limit=7" && echo "snapshots limit=8" && ! echo "sheep limit=9" 2>err &&
        echo "disks limit=9"; } >"$R/quota" || fail "commands through one open"
same "$(grep -cE '^(private-images used=1 limit=7|snapshots used=0 limit=8|disks used=0 limit=9)$' "$R/quota")" 3 "quota"

# A text is all of what came through one open, or what it was before.
printf 'a\nb\nc\n' >"$web/description" || fail "three lines"
value "$web/description" $'a\nb\nc'
printf 'd\n%s\n' e >>"$web/description" || fail "lines more"
value "$web/description" $'a\nb\nc\nd\ne'
for way in '>' '>>'; do
        if bash -c "for i in {1..50}; do printf 'line %s of %90s\n' \$i x; done $way'$web/description'" 2>err; then
                fail "more than 4 KiB were a description"
        fi
        value "$web/description" $'a\nb\nc\nd\ne'
done
if printf '%5000s\n' x >"$web/description" 2>err; then fail "5000 bytes were a description"; fi
value "$web/description" $'a\nb\nc\nd\ne'
fails dd if=/dev/zero of="$web/description" bs=1k count=1 status=none
head -c 5000 /dev/zero | tr '\0' x >5000
fails dd if=5000 of="$web/description" bs=1k status=none
says "description: 5000 bytes, and it takes 4096 at most"
value "$web/description" $'a\nb\nc\nd\ne'
if printf 'a=1\nb=2\nb=3\nc=4\n' >"$web/labels" 2>err; then fail "a key twice"; fi
value "$web/labels" ""
# What somebody else has written meanwhile stays.
exec 5>"$web/description"
echo half >&5
ok write "$web/description" "of another"
if head -c 5000 5000 >&5 2>err; then fail "too much of a description"; fi
exec 5>&-
value "$web/description" "of another"
ok write "$web/description" $'\n'

# Text that comes at an offset without what stood before is a command all the same for append, else the offset is no matter.
refused EINVAL "$web" write "$web/name" $'two\nlines'
refused EINVAL "$web" write "$web/name" $'nul'"$(printf '\x01')"
refused EINVAL "$web" write "$web/name" $'bad\xff'
refused "E2BIG" "$web" write-bytes 65537 "$web/name"
refused "E2BIG" "$web" write-bytes 100000 "$web/description"
refused "E2BIG" "$web" write-bytes 1M "$web/description"
refused EINVAL "$web" write-bytes 65536 "$web/description"
refused E2BIG - write-bytes 70000 "$R/batch"
refused E2BIG - write-bytes 70000 "$MNT/info/limits"

# A shell sees the errno of write.
if echo beos >"$web/os" 2>err; then fail "echo of a bad value succeeded in bash"; fi
if sh -c "echo beos >'$web/os'" 2>err; then fail "echo of a bad value succeeded in sh"; fi
echo beos >beos
fails dd if=beos of="$web/os" status=none

# True sizes.
find "$MNT" -type f ! -name '*.raw' -size +0 -printf '%s %p\n' | while read -r size path; do
        got=$(wc -c <"$path")
        [ "$size" = "$got" ] || echo "$path: stat says $size, reading gives $got"
done >sizes
[ ! -s sizes ] || fail "$(head -n 5 sizes)"
for file in "$web"/{name,status,description,metadata.json,device-mapping} "$R/quota" "$R/images.csv" "$MNT/info/limits"; do
        [ "$(stat -c %s "$file")" -gt 0 ] || fail "$file has size 0"
done

# Frozen at open.
exec 5<"$web/description"
ok write "$web/description" "written after the open"
same "$(cat <&5)" "" "content of a file that was open"
exec 5<&-
value "$web/description" "written after the open"

# Small reads add up.
same "$(dd if="$web/metadata.json" bs=1 status=none)" "$(cat "$web/metadata.json")" "read byte by byte"
same "$(tail -c 5 "$R/quota")" "$(cat "$R/quota" | tail -c 5)" "tail"

# What can only be written reads as empty.
for file in "$R/batch" "$web/upload"; do
        same "$(wc -c <"$file")" 0 "$file"
done

# What the kernel does not refuse names what is possible there.
while IFS='|' read -r what way; do
        # shellcheck disable=SC2086
        expect EPERM $what
        says "$way"
done <<END
mkdir $R/snapshots/s|directories cannot be made here: a snapshot is taken with mkdir disks/<disk>/snapshots/<name>
create $MNT/tasks/t x|files cannot be made here: tasks are made by operations, such as mkdir private/<image>/copies/<region>
mkdir $MNT/tasks/t|directories cannot be made here: tasks are made by operations, such as mkdir private/<image>/copies/<region>
create $R/instances/vm.raw x|files cannot be made here: a machine is made with mkdir instances/<name>
create $R/disks/d.raw x|files cannot be made here: a disk is made with mkdir disks/<name>; then its size is written into size, and its bytes into data.raw
symlink x $R/private/l|links cannot be made here: an image is made with mkdir <name>, or with cp of a disk file such as web.qcow2
rename $web $R/snapshots|an image stays among the images of its region: an image is made with mkdir or cp in private/, a machine with mkdir in instances/, a disk with mkdir in disks/
rename $web $R/shared/web|an image stays among the images of its region: images come here when their owner shares them, with mkdir private/<image>/shares/<user>
rename $web $R/iso/web|web: images do not move from private to iso: only between private and public or marketplace, by the administrator
create $R/recycle/x x|recycle: images come here when they are deleted; make them in private
create $R/recycle/x.raw x|recycle: images come here when they are deleted; make them in private
END
# Nothing else is made or linked anywhere.
expect "EPERM|EACCES" create "$web/new" x
expect "EPERM" mkdir "$web/new"
expect "EPERM" link "$web/name" "$web/title"
expect "EPERM" symlink x "$web/link"
expect "EPERM" symlink x "$R/private/link"
expect "EPERM" fifo "$R/private/fifo"
expect "EPERM" rmdir "$web/disks"
expect "EPERM" rename "$web/name" "$web/title"
expect "EINVAL|EPERM" exchange "$web" "$R/private"

# SPDX-License-Identifier: MIT
# Programs that write a file under another name and rename it when it is whole: the image is made by the rename, of all of
# the file. It used to be refused where the file was made.
need rsync qemu-img python3
start
two_regions
raise_limits
pattern disk.raw 8M 95
pattern other.raw 3M 96
qemu-img convert -f raw -O qcow2 disk.raw disk.qcow2 || fail "qemu-img"
P=$R/private

files_are() { # an import's goes a moment after its status says how it ended
        until_true 30 eval "[ \"\$(find \"$STORE/blobs/incoming\" -type f | wc -l)\" = $1 ]" ||
                fail "$1 files wanted: $(ls "$STORE/blobs/incoming")"
}

# rsync as it is, and with what people add; the second time the name is taken.
for options in "" -a "-a --sparse" "-aX --delay-updates --whole-file" "-a --fsync"; do
        [[ $options == *delay* ]] && continue # makes a directory first
        n=$((${n:-0} + 1))
        cp disk.qcow2 "rsync$n.qcow2"
        # shellcheck disable=SC2086
        run rsync $options "rsync$n.qcow2" "$P/"
        settle "$P/rsync$n"
        same_checksum "$P/rsync$n" disk.raw
        value "$P/rsync$n/format" qcow2
done
fails rsync rsync1.qcow2 "$P/"
[[ $(grep -c 'rsync1: there is such an image already' "$MNT/info/errors") != 0 ]] || fail "$(cat "$MNT/info/errors")"
same "$(ls -A "$P" | grep -v '^rsync[1-4]$')" "" "left by rsync"
[ ! -d "$P/rsync1-2" ] || fail "a second image"

# Ansible's copy and get_url: its atomic_move, with what they do to the file afterwards.
run python3 - disk.qcow2 "$P/ansible.qcow2" <<'END2'
import os, shutil, sys, tempfile
src, dest = sys.argv[1:]
fd, tmp = tempfile.mkstemp(prefix=".ansible_tmp", dir=os.path.dirname(dest), suffix=os.path.basename(dest))
os.close(fd)
shutil.copyfile(src, "moved.qcow2")
shutil.move("moved.qcow2", tmp, copy_function=shutil.copy2)
os.stat(tmp)
os.rename(tmp, dest)
os.chmod(dest, 0o644)
os.chown(dest, os.geteuid(), os.getegid())
os.stat(dest)
END2
settle "$P/ansible"
same_checksum "$P/ansible" disk.raw

# What browsers, rclone and WinSCP call it; mktemp; and one name after the other.
for temporary in web.qcow2.part web.qcow2.f1a2b3c4.partial web.qcow2.crdownload web.qcow2.filepart tmp.aBcDeFgHiJ; do
        cp disk.qcow2 "$P/$temporary" || fail "cp to $temporary"
        same_disk disk.qcow2 "$P/$temporary"
        ok rename "$P/$temporary" "$P/.another"
        ok rename "$P/.another" "$P/web.qcow2"
        settle "$P/web"
        same_checksum "$P/web" disk.raw
        ok rmdir "$P/web"
        ok rmdir "$R/recycle/web"
done
if command -v rclone >/dev/null; then
        mkdir from
        cp disk.qcow2 from/rclone.qcow2
        run rclone --config /dev/null copy from "$P"
        settle "$P/rclone"
        same_checksum "$P/rclone" disk.raw
fi

# Written in any order and read back, by several; the rename takes what is there, whoever has it open still.
run python3 - disk.raw "$P" <<'END2'
import errno, os, sys
data = open(sys.argv[1], "rb").read()
os.chdir(sys.argv[2])
fd = os.open(".any", os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o644)
os.ftruncate(fd, len(data))
os.pwrite(fd, data[4 << 20:], 4 << 20)
again = os.open(".any", os.O_RDWR)
os.pwrite(again, data[:4 << 20], 0)
assert os.pread(fd, 1 << 20, 1 << 20) == data[1 << 20:2 << 20]
st = os.stat(".any")
assert st.st_size == len(data) and st.st_blocks > 0 and st.st_mode & 0o777 == 0o600, st
assert ".any" in os.listdir()
os.rename(".any", "any.raw")
assert not os.path.exists(".any")
for call in lambda: os.pwrite(fd, bytes(100), 0), lambda: os.ftruncate(again, 0):
    try:
        call()
        raise SystemExit("an image was written to")
    except OSError as e:
        assert e.errno == errno.ESTALE, e
assert os.pread(fd, 100, 0) == data[:100]
END2
settle "$P/any"
same_checksum "$P/any" disk.raw
ok rmdir "$P/any"

# Onto upload itself, with attributes set before: by rsync as it is, by what Ansible does, and by mv.
U=$P/queued
for tool in 'rsync disk.qcow2 "$U/upload"' 'rsync -a --sparse disk.qcow2 "$U/upload"' \
        'cp disk.qcow2 "$U/.ansible_tmpupload" && mv "$U/.ansible_tmpupload" "$U/upload"'; do
        ok mkdir "$U"
        run sed -i 's/.*/ready/' "$U/description"
        eval "$tool" >out 2>err || fail "$tool: $(cat err)"
        settle "$U"
        value "$U/description" ready
        same_checksum "$U" disk.raw
        same "$(ls -A "$U" | grep '^\.')" "" "left by $tool"
        ok rmdir "$U"
        ok rmdir "$R/recycle/queued"
done
# With a data disk that came before; refused, the image waits as before, and the file is kept.
ok mkdir "$U"
ok mkdir "$U/disks/vdb"
ok upload other.raw "$U/disks/vdb/upload"
head -c 100000 disk.qcow2 >"$U/.cut" || fail "a file beside upload"
refused EINVAL "$U" rename "$U/.cut" "$U/upload"
value "$U/status" queued
ok unlink "$U/.cut"
cp disk.qcow2 "$U/.x" || fail "cp"
fails cp disk.raw "$U/.second" # one at a time
[[ $(cat err) == *'File too large'* ]] || fail "$(cat err)"
[[ $(cat "$U/last-error") == *"write a disk to upload itself"* ]] || fail "$(cat "$U/last-error")"
ok unlink "$U/.second"
refused EPERM - rename "$U/.x" "$R2/private/x.raw"
exec 7>"$U/upload"
printf x >&7
refused EBUSY "$U" rename "$U/.x" "$U/upload"
[[ $(cat "$U/last-error") == *"queued: a file is on its way into it, or came"* ]] || fail "$(cat "$U/last-error")"
same_disk disk.qcow2 "$U/.x"
ok unlink "$U/.x"
exec 7>&-
settle "$U"
ok rmdir "$U"
ok rmdir "$R/recycle/queued"
files_are 0
ok mkdir "$U"
ok mkdir "$U/disks/vdb"
ok upload other.raw "$U/disks/vdb/upload"
run rsync disk.qcow2 "$U/upload"
settle "$U"
same_disk "$U/disks/vda.raw" disk.raw
same_disk "$U/disks/vdb.raw" other.raw

# What is refused leaves no image, and the file under its name: a name that is taken or no image's, a content that is none,
# another place.
ok write "$P/ansible/name" kept
cp other.raw "$P/.x" || fail "cp"
while read -r errno target sentence; do
        refused "$errno" - rename "$P/.x" "$target"
        [[ $(tail -n 1 "$MNT/info/errors") == *"$sentence"* ]] || fail "$target: $(tail -n 1 "$MNT/info/errors")"
        cmp -s other.raw "$P/.x" || fail "the file after it was refused: $target"
done <<END2
EEXIST $P/ansible.raw there is such an image already
EINVAL $P/x.qcow2 x.qcow2
EINVAL $P/x.txt must end in
EINVAL $P/x.iso ISO files go into iso/
EPERM $R/iso/x.raw in the directory that it was made in
EPERM $R2/private/x.raw in the directory that it was made in
EPERM $P/ansible/status can only be read
E2BIG $P/ansible/description at most 64 KiB
EPERM $R/x.raw files cannot be made here
END2
expect EISDIR rename "$P/.x" "$P/ansible"
ok create "$P/.empty" ""
refused EINVAL - rename "$P/.empty" "$P/empty.raw"
ok unlink "$P/.empty"
head -c 100000 disk.qcow2 >"$P/.cut"
refused EINVAL - rename "$P/.cut" "$P/cut.qcow2"
ok unlink "$P/.cut"
refused EPERM - create "$R/recycle/.x" x
value "$P/ansible/name" kept

# Each counts as the image that it may become.
ok write "$MNT/info/limits" "private-images $(($(used "$R" private-images) + 1))"
refused EDQUOT - create "$P/.y" y
[[ $(tail -n 1 "$MNT/info/errors") == *"private images"* ]] || fail "$(tail -n 1 "$MNT/info/errors")"
ok create "$R2/private/.y" y
ok rename "$P/.x" "$P/x.raw"
settle "$P/x"
same_checksum "$P/x" other.raw
cp "$P/x/disks/vda.raw" "$P/.y" 2>/dev/null && fail "beyond the quota"
ok unlink "$R2/private/.y"

# What an import takes besides is refused with the rename, and the file kept: snapshots, and the store that it lies in.
raise_limits
cp other.raw "$P/.z" || fail "cp"
ok write "$MNT/info/limits" "snapshots 0"
refused EDQUOT - rename "$P/.z" "$P/z.raw"
cmp -s other.raw "$P/.z" || fail "the file after its snapshot was refused"
raise_limits
ok rename "$P/.z" "$P/z.raw"
settle "$P/z"
same_checksum "$P/z" other.raw
Q=$MNT/regions/another
ok mkdir "$Q"
cp other.raw "$Q/private/.z" || fail "cp"
mkdir elsewhere
ok write "$Q/store" "$WORK/elsewhere/blobs"
refused EBUSY - rename "$Q/private/.z" "$Q/private/z.raw"
files_are 1 # the file that was refused
ok rmdir "$Q"
files_are 0

# Its space comes back when it is removed, and with the mount; also after a crash.
files_are 0
ok create "$P/.one" x
cp other.raw "$P/.two" || fail "cp"
files_are 2
ok unlink "$P/.one"
files_are 1
crash
start
same "$(ls -A "$P" | grep -c '^\.')" 0 "files after a crash"
files_are 0
cp other.raw "$P/.two" || fail "cp"
restart
same "$(ls -A "$P" | grep -c '^\.')" 0 "files after a restart"
files_are 0
cp disk.qcow2 "$R/public/.p" || fail "cp"
ok rename "$R/public/.p" "$R/public/p.qcow2"
settle "$R/public/p"

# Others' are not seen, and are in nobody's way.
[ "$(id -u)" = 0 ] || exit 0
need setpriv
chmod 755 "$WORK"
chmod 644 disk.qcow2
stop
start -o allow_other
as() {
        setpriv --reuid "$1" --regid "$1" --clear-groups "${@:2}"
}
as 12001 cp disk.qcow2 "$P/.x" || fail "a user's"
as 12002 cp disk.qcow2 "$P/.x" || fail "another's"
[ ! -e "$P/.x" ] || fail "the administrator sees it"
as 12002 mv "$P/.x" "$P/two.qcow2" || fail "another's image"
value "$P/two/owner" 12002
as 12001 mv "$P/.x" "$P/one.qcow2" || fail "a user's image"
settle "$P/one"
settle "$P/two"
value "$P/one/owner" 12001
as 12001 touch "$R/public/.x" 2>/dev/null && fail "a user's in public/"
true

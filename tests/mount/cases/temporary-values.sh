# SPDX-License-Identifier: MIT
# Programs that write a temporary file beside a control file, and rename it over that: the value is written, as `cat` of the
# file would. It used to be refused where the temporary file was made.
need rsync
vim=$(command -v vim.tiny || command -v vim) || skip "no vim"
start
two_regions
pattern disk.raw 2M 91
import_raw "$R/private/web" disk.raw
web=$R/private/web
names=$(ls -A "$web")
ok write "$web/features" cloud-init
ok mkdir "$web/instances/vm1"
vm=$R/instances/vm1

# Each tool that people set values with.
ok write "$web/description" "an old one"
run sed -i 's/an old/a new/' "$web/description"
value "$web/description" "a new one"
run sed -i 's/.*/cn/' "$vm/hostname"
value "$vm/hostname" cn
fails sed -i 's/private-images.*/private-images 17/' "$MNT/info/limits" # several lines at once
echo 'private-images 17' >line
run rsync -a line "$MNT/info/limits"
same "$(grep private-images "$MNT/info/limits")" "private-images 17" "a limit by rsync"
printf 'from\nelsewhere\n' >description
run rsync -a description "$web/"
same "$(cat "$web/description")" $'from\nelsewhere' "rsync"
(
        cd "$web" || exit 1
        t=$(mktemp -p .) && echo "by mktemp" >"$t" && mv "$t" name && [ ! -e "$t" ]
) || fail "mktemp and mv"
value "$web/name" "by mktemp"
# As Ansible's atomic_move does: it copies to a name of its own in the directory, then renames.
run python3 - "$web/description" line <<'END2'
import os, shutil, sys, tempfile
dest, src = sys.argv[1:]
fd, tmp = tempfile.mkstemp(prefix=".ansible_tmp", dir=os.path.dirname(dest), suffix=os.path.basename(dest))
os.close(fd)
shutil.copy2(src, "moved")
shutil.move("moved", tmp, copy_function=shutil.copy2)
st = os.stat(dest)
os.chmod(tmp, st.st_mode & 0o7777)
os.chown(tmp, st.st_uid, st.st_gid)
os.rename(tmp, dest)
END2
value "$web/description" "private-images 17"
# As Python's atomicwrites, Rust's tempfile and Go's renameio do.
for temporary in tmpab12_xyz .tmpAbCdEf .description123 description.tmp; do
        ok create "$web/$temporary" "$temporary"
        same "$(cat "$web/$temporary")" "$temporary" "read back"
        ok rename "$web/$temporary" "$web/description"
        value "$web/description" "$temporary"
done
for setting in "" "set backup" "set backupcopy=no" "set noswapfile"; do
        HOME=$WORK "$vim" -N -u NONE -i NONE -c "$setting" -c 's/$/+/' -c wq "$web/description" </dev/null >out 2>err ||
                fail "vim with '$setting': $(cat out err)"
done
value "$web/description" "description.tmp++++"
same "$(ls -A "$web")" "$names" "names left by the tools"

# Nothing in the file: nothing in the value. What is no value, and what has no file.
ok create "$web/.empty" ""
ok rename "$web/.empty" "$web/description"
value "$web/description" ""

# A file from another file system would be put in the place of the value, which is refused; and a text in pieces is a whole.
mv description "$web/description" 2>/dev/null && fail "a value was removed"
[[ $(cat "$web/last-error") == *"cat FILE > NAME" ]] || fail "$(cat "$web/last-error")"
[ -e description ] || fail "the file is gone"
ok mkdir "$R/private/queued"
ok write "$web/platform" Debian
cp "$web/metadata.json" "$R/private/queued/.saved" || fail "cp"
ok rename "$R/private/queued/.saved" "$R/private/queued/metadata.json"
value "$R/private/queued/platform" Debian
printf '{ "platform": "Ubuntu", ' >"$R/private/queued/.cut" || fail "printf"
refused EINVAL "$R/private/queued" rename "$R/private/queued/.cut" "$R/private/queued/metadata.json"
ok rmdir "$R/private/queued"

# What is refused is what writing it would be, says the same, and leaves everything as it was, with the file.
ok write "$web/labels" "a=b"
while read -r errno file text; do
        ok create "$web/.x" "$text"
        expect "$errno" write "$web/$file" "$text"
        sentence=$(sentence_alone <"$web/last-error")
        refused "$errno" "$web" rename "$web/.x" "$web/$file"
        same "$(sentence_alone <"$web/last-error")" "$sentence" "the sentence for $file"
        [[ $(cat "$web/last-error") == *" rename .x to $file: "* ]] || fail "$(cat "$web/last-error")"
        same "$(cat "$web/.x")" "$text" "the file after it was refused"
        ok unlink "$web/.x"
done <<END2
EINVAL name $(printf 'a\001b')
EBUSY type local
EOPNOTSUPP convert cloud
EINVAL labels no pair
END2
ok create "$web/.x" x
for file in status disks/vda.raw; do
        refused EPERM "$web" rename "$web/.x" "$web/$file"
done
ok mkdir "$R/private/queued"
refused EPERM "$R/private/queued" rename "$web/.x" "$R/private/queued/upload"
refused EPERM "$web" rename "$web/.x" "$web/another"
refused EPERM "$vm" rename "$web/.x" "$vm/.x"
expect EISDIR rename "$web/.x" "$web/disks"
ok unlink "$web/.x"
expect ENOENT stat "$web/.x"
ok rmdir "$R/private/queued"

# Only what is called like one, in directories that have values; not what vim would rename values away with.
for file in "$web/new" "$web/4913" "$web/disks/.x" "$R/instances/.x" "$MNT/.x" "$MNT/regions/.x"; do
        expect EPERM create "$file" x
done
refused EINVAL "$web" create "$web/.$(printf 'a\001')" x

# They are files: read and written anywhere, cut, made longer, opened again, listed, and renamed to others.
run python3 - "$web" <<'END2'
import errno, os, sys
os.chdir(sys.argv[1])
fd = os.open(".a", os.O_RDWR | os.O_CREAT | os.O_EXCL)
os.pwrite(fd, b"world", 6)
os.pwrite(fd, b"hello,", 0)
assert os.stat(".a").st_size == 11 and os.fstat(fd).st_mode & 0o777 == 0o600
os.truncate(".a", 5)
assert open(".a").read() == "hello"
os.ftruncate(fd, 65536)
for call in lambda: os.pwrite(fd, b"x", 65536), lambda: os.ftruncate(fd, 65537):
    try:
        call()
        raise SystemExit("not too long")
    except OSError as e:
        assert e.errno == errno.EFBIG, e
assert b"rsync --inplace" in open("last-error", "rb").read()
open(".b", "w").write("replaced")
os.rename(".a", ".b")
assert os.fstat(fd).st_size == 65536 and [n for n in os.listdir() if n[0] == "."] == [".b"]
os.utime(".b"), os.chmod(".b", 0o644), os.fsync(fd)
os.unlink(".b")
assert os.pread(fd, 5, 0) == b"hello" and not os.path.exists(".b")
open(".c", "w").write("first")
open(".c", "w").write("2")
assert open(".c").read() == "2"
for i in range(63):
    open(".%d" % i, "w").close()
try:
    open(".64", "w")
    raise SystemExit("not too many")
except OSError as e:
    assert e.errno == errno.EDQUOT, e
END2
[[ $(cat "$web/last-error") == *"64 temporary files: remove some"* ]] || fail "$(cat "$web/last-error")"
# They go with what they are in, and with the mount.
ok rmdir "$vm"
run rm -r "$web"
ok rename "$R/recycle/web" "$web"
same "$(ls -A "$web")" "$names" "names after it was away"
restart
ok create "$web/.a" x
restart
same "$(ls -A "$web")" "$names" "names after a restart"

# Each is its maker's: others neither see it nor are in its way.
[ "$(id -u)" = 0 ] || exit 0
need setpriv
chmod 755 "$WORK"
stop
start -o allow_other
ok chown 12001 12003 "$web"
ok chmod 770 "$web"
as() {
        setpriv --reuid "$1" --regid "$1" --groups "$1,12003" "${@:2}"
}
as 12001 bash -c 'echo one >"$1/.x"' - "$web" || fail "the owner's"
as 12002 bash -c '[ ! -e "$1/.x" ] && echo other >"$1/.x"' - "$web" || fail "the group's"
same "$(as 12001 cat "$web/.x") $(as 12002 cat "$web/.x") $(as 12001 ls -A "$web" | grep -c '^\.x')" "one other 1" "two of one name"
[ ! -e "$web/.x" ] || fail "the administrator sees it"
as 12002 mv "$web/.x" "$web/description" || fail "the group's value"
value "$web/description" other
value_of_owner=$(as 12001 cat "$web/.x")
same "$value_of_owner" one "the owner's file"
setpriv --reuid 12004 --regid 12004 --clear-groups touch "$web/.x" 2>/dev/null && fail "a stranger's"
as 12001 touch "$MNT/info/.x" 2>/dev/null && fail "beside the limits"
true

# SPDX-License-Identifier: MIT
# rm -r and its kin, which remove a directory file by file: what is generated goes with its directory, so that the way to
# the last rmdir is open, and only that rmdir removes, by its own rules. It used to be refused at each file.
need find
python=$(PATH=/usr/bin:$PATH command -v python3) # one that other users may run
[ -n "$python" ] || skip "no python3"
user=
if [ "$(id -u)" = 0 ]; then
        need setpriv
        chmod 755 "$WORK"
        user=12001
        start -o allow_other
else
        start
fi
# As a user who is not the administrator, where there can be one.
as_user() {
        if [ -n "$user" ]; then setpriv --reuid $user --regid $user --clear-groups "$@"; else "$@"; fi
}
mine() {
        [ -z "$user" ] || ok chown "$user" "$user" "$1"
}
two_regions
raise_limits
pattern disk.raw 2M 91
errors() {
        grep -c . "$MNT/info/errors"
}
image() { # NAME
        import_raw "$R/private/$1" disk.raw "${2:-cloud}"
        mine "$R/private/$1"
}
# The whole tree below DIR but for what refusals leave, as TEXT was made by the same.
seen() {
        tree_contents "$1"
}

# Each tool, of an image that is shared, has a link to download and an ended copy: it is in the recycle bin, whole.
before=$(errors)
while read -r name tool; do
        image "$name"
        ok mkdir "$R/private/$name/shares/daemon"
        ok mkdir "$R/private/$name/copies/cn-east-2"
        settle "$R/private/$name"
        settle "$R2/private/$name"
        eval "run as_user $tool"
        [ ! -d "$R/private/$name" ] || fail "$tool: it is still there"
        value "$R/recycle/$name/status" deleted
        same_checksum "$R/recycle/$name" disk.raw
done <<'END2'
one rm -rf "$R/private/one"
two rm -r "$R/private/two" </dev/null
three rm -rf "$R/private/three/"
four find "$R/private/four" -delete
five "$python" -c "import shutil, sys; shutil.rmtree(sys.argv[1])" "$R/private/five"
END2
same "$(errors)" "$before" "lines in info/errors"
ok rename "$R/recycle/one" "$R/private/one"
settle "$R/private/one"

# Where the end is refused nothing was done on the way: not to the machine, nor to its disk or the shares. One thing is said.
web=$R/private/one
ok mkdir "$web/shares/daemon"
ok mkdir "$web/instances/vm1"
mine "$R/instances/vm1"
printf written | dd of="$web/instances/vm1/disks/vda.raw" bs=512 seek=3 conv=notrunc,sync,fsync status=none || fail "dd"
while read -r tool; do
        all=$(seen "$MNT")
        eval "as_user $tool" >out 2>err && fail "$tool: nothing was refused"
        same "$(grep -c . err)" "${lines:-1}" "lines of $tool"
        [[ $(cat err) == *busy* ]] || fail "$tool: $(cat err)"
        [[ $(cat "$web/last-error") == *"rmdir one: "*vm1* ]] || fail "$(cat "$web/last-error")"
        same "$(seen "$MNT")" "$all" "what is left by $tool"
done <<'END2'
rm -rf "$web"
rm -r "$web" </dev/null
find "$web" -delete
"$python" -c "import shutil, sys; shutil.rmtree(sys.argv[1])" "$web" 2>&1 | tail -n 1 >&2
END2
# Others hold what it went through: they go on.
(
        cd "$web/shares" || exit 1
        exec 7<"$web/disks/vda.raw"
        as_user rm -rf "$web" 2>/dev/null && exit 1
        [ "$(ls)" = daemon ] && cmp - "$WORK/disk.raw" <&7 && [ "$(stat -c %h "$web/disks/vda.raw")" = 1 ]
) || fail "who was at work there"

# A file by itself, or some, even of who has listed the directory; and what a directory holds that is named.
for tool in 'rm -f "$web/description"' 'rm -f "$web"/*' 'find "$web" -name description -delete' \
        '"$python" -c "import os, sys; os.chdir(sys.argv[1]); os.listdir(); os.unlink(\"id\")" "$web"' \
        'rm "$web/disks/vda.raw"' 'rm -rf "$web/disks"'; do
        all=$(seen "$MNT")
        eval "as_user $tool" >out 2>err && fail "$tool: nothing was refused"
        same "$(seen "$MNT")" "$all" "what is left by $tool"
done
refused EPERM "$web" unlink "$web/description"
[[ $(cat "$web/last-error") == *"rmdir removes the directory with them, as does rm -r of it; what it holds is changed by writing"* ]] ||
        fail "$(cat "$web/last-error")"
refused EPERM "$web" unlink "$web/status"
[[ $(cat "$web/last-error") == *"as does rm -r of it" ]] || fail "$(cat "$web/last-error")"
run as_user find "$R/private" -path '*/shares/daemon' -delete
[ ! -d "$web/shares/daemon" ] || fail "still shared"

# Machines, disks, snapshots, tasks, and a machine through its image.
ok mkdir "$R/disks/d1"
mine "$R/disks/d1"
ok write "$R/disks/d1/size" 1M
ok mkdir "$R/disks/d1/snapshots/s1"
mine "$R/snapshots/s1"
_s1_is_made() { [ "$(cat "$R/snapshots/s1/status")" = available ] && grep -q . "$R/snapshots/s1/checksum"; }
until_true 30 _s1_is_made || fail "s1: $(cat "$R/snapshots/s1/status")"
all=$(seen "$R/snapshots")
run as_user rm -rf "$R/disks/d1"
same "$(seen "$R/snapshots")" "$all" "the snapshot of a disk that went"
run as_user rm -rf "$R/snapshots/s1"
ok mkdir "$web/instances/vm2/"
mine "$R/instances/vm2"
ok mkdir "$R/instances/vm2/images/captured"
settle "$R/private/captured"
mine "$R/private/captured"
run as_user rm -rf "$web/instances/vm2"
value "$R/private/captured/status" available
exec 8<>"$R/instances/vm1/disks/vda.raw"
as_user rm -rf "$R/instances/vm1" 2>err && fail "a machine that runs was removed"
[[ $(cat err) == *busy ]] || fail "$(cat err)"
exec 8>&-
value "$R/instances/vm1/status" stopped
same "$(dd if="$R/instances/vm1/disks/vda.raw" bs=512 skip=3 count=1 status=none | head -c 7)" written "the disk"
run as_user rm -rf "$R/instances/vm1"
same "$(cd "$R" && ls instances disks snapshots | grep -cE 'vm|d1|s1')" 0 "things left"
run rm -rf "$MNT"/tasks/*
same "$(ls "$MNT/tasks")" "" "tasks"

# What moves things to a wastebasket of its own finds no place for one, says so, and leaves nothing.
if command -v gio >/dev/null; then
        all=$(seen "$MNT")
        gio trash "$R/private/captured" >out 2>err && fail "gio trash did something"
        [[ $(cat err) == *"Unable to find or create trash directory"* ]] || fail "$(cat err)"
        same "$(seen "$MNT")" "$all" "what is left by gio trash"
fi

# Who closes a directory before removing what was in it cannot be told from who removes single files, and is refused at the
# first: one thing is said, with the way, and nothing changed. Perl's rmtree goes on, and comes to the rmdir that does it.
image walked
all=$(seen "$MNT")
before=$(errors)
as_user "$python" - "$R/private/walked" >out 2>err <<'END2' && fail "os.walk: nothing was refused"
import os, sys
for path, directories, files in os.walk(sys.argv[1], topdown=False):
    for name in files:
        os.remove(os.path.join(path, name))
    for name in directories:
        os.rmdir(os.path.join(path, name))
os.rmdir(sys.argv[1])
END2
[[ $(tail -n 1 err) == "PermissionError: "*/walked/disks/vda.raw* ]] || fail "$(cat err)"
[[ $(cat "$R/private/walked/last-error") == *"rm disks/vda.raw: generated files cannot be removed: rmdir removes the directory \
with them, as does rm -r of it" ]] || fail "$(cat "$R/private/walked/last-error")"
same "$(($(errors) - before))" 1 "lines in info/errors by os.walk"
same "$(seen "$MNT")" "$all" "what is left by os.walk"
if perl -MFile::Path -e 1 2>/dev/null; then
        as_user perl -MFile::Path -e 'rmtree($ARGV[0])' "$R/private/walked" 2>err
        [ ! -d "$R/private/walked" ] || fail "it is still there: $(tail -n 1 err)"
        value "$R/recycle/walked/status" deleted
        same_checksum "$R/recycle/walked" disk.raw
        ok rmdir "$R/recycle/walked"
fi

# From above the images nothing goes, neither what is there nor what is in the recycle bin.
all=$(seen "$R")
rm -rf "$R" 2>/dev/null && fail "a region with images in it was removed"
rm -rf "$MNT/regions" 2>/dev/null && fail "all regions were removed"
same "$(seen "$R")" "$all" "what is left in the region"
# The directory of a class stays, without its images.
as_user rm -rf "$R/private" 2>err && fail "a class was removed"
same "$(ls "$R/private")" "" "what is left in private/"
run rm -rf "$R/recycle"/*
same "$(ls "$R/recycle")" "" "the recycle bin"

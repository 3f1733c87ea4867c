# SPDX-License-Identifier: MIT
# What was removed and comes back is there for everybody, whoever still stands in the directory that was removed, or has
# a file of it open. For the kernel it was the same directory, which rmdir(2) had killed: mv was refused with ESTALE, or
# brought back an empty one. IMAGEFS_ROUNDS makes more of it than a suite has time for.

need_root "chown"
need python3
rounds=${IMAGEFS_ROUNDS:-8}

start -o allow_other
two_regions
raise_limits
P=$R/private

local_image cut
exec 3<"$P/cut/status"
cd "$P/cut/disks" || fail "cannot enter"
number=$(stat -c %i "$P/cut")
for ((i = 0; i < rounds; i++)); do
        ok rmdir "$P/cut"
        value "$R/recycle/cut/status" deleted
        ok rename "$R/recycle/cut" "$P/cut"
        value "$P/cut/status" available
        same_disk "$P/cut/disks/vda.raw" "$WORK/cut.raw"
done
same "$(stat -c %i "$P/cut")" "$number" "its inode number"
# what was open and where one stood goes on
same "$(cat <&3)" available "what was frozen"
exec 3<&-
cmp vda.raw "$WORK/cut.raw" || fail "the working directory is gone"
cd "$P/cut" || fail "cannot enter"

# one that stands in the directory itself
for ((i = 0; i < rounds; i++)); do
        ok rmdir "$P/cut"
        ok rename "$R/recycle/cut" "$P/cut"
        value "$P/cut/status" available
        same "$(ls "$P/cut" | wc -l)" "$(ls "$P/cut/../cut" | wc -l)"
        [ -d "$P/cut/disks" ] || fail "round $i: it came back empty"
        cd "$P/cut" || fail "round $i: cannot enter"
done

# by batch, behind the kernel's back
for ((i = 0; i < rounds; i++)); do
        ok write "$R/batch" "delete cut"
        value "$R/recycle/cut/status" deleted
        ok rename "$R/recycle/cut" "$P/cut"
        value "$P/cut/status" available
done

# A listing that was opened before and is read after tells of a name that is gone: the kernel took that for where the
# directory is, and refused to rename it from where it was.
read_after() {
        python3 - "$P" "$@" <<'END' || fail "a listing from before: $*"
import os, sys
private, how = sys.argv[1], sys.argv[2:]
fd = os.open(private, os.O_RDONLY | os.O_DIRECTORY)
os.rename(*how[1:]) if how[0] == "rename" else os.rmdir(how[1])
assert "cut" in os.listdir(fd), "what was there when it was opened"
assert not os.path.exists(private + "/cut"), "it is back for the kernel"
END
}
for ((i = 0; i < rounds / 2; i++)); do
        read_after rename "$P/cut" "$R/recycle/cut"
        ok rename "$R/recycle/cut" "$P/cut"
        read_after rmdir "$P/cut"
        ok rename "$R/recycle/cut" "$P/cut"
        read_after rename "$P/cut" "$P/renamed"
        ok mkdir "$P/cut"
        ok rmdir "$P/cut"
        ok rename "$P/renamed" "$P/cut"
        value "$P/cut/status" available
done

# renamed, and handed over
for ((i = 0; i < rounds; i++)); do
        ok rename "$P/cut" "$P/renamed"
        ok rename "$P/renamed" "$P/cut"
        value "$P/cut/status" available
        ok chown 4711 4711 "$P/cut"
        value "$P/cut/status" available
        ok chown 0 0 "$P/cut"
        value "$P/cut/status" available
done
cd /

stop
check_store

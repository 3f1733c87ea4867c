# SPDX-License-Identifier: MIT
# Each caller, each node, each operation: as tests/mount/lib/matrix.table has it, when nobody has asked before and when
# all have.
# time limit: 200
need_root "several users"
need setpriv
chmod 755 "$WORK"
OWNER=12001 MEMBER=12002 SHAREE=12003 STRANGER=12004 GROUP=12100
callers=("owner=$OWNER:$OWNER,$GROUP" "member=$MEMBER:$MEMBER,$GROUP" "sharee=$SHAREE:$SHAREE" "stranger=$STRANGER:$STRANGER" "root=0:0")
MATRIX=$(dirname "$FSOP")/matrix
if [ ! -x "$MATRIX" ]; then
        MATRIX=$WORK/matrix
        run cc -std=gnu17 -D_GNU_SOURCE -O1 -o "$MATRIX" "$lib/matrix.c"
fi
cp "$FSOP" fsop
chmod 755 fsop
as() { # UID COMMAND …
        setpriv --reuid "$1" --regid "$1" --groups $GROUP "${@:2}"
}
mine() { # OP … as the owner
        same "$(as $OWNER "$WORK/fsop" "$@")" ok "$*"
}

# Thousands of refusals, each of them recorded: not for a real disk.
mkdir fast
mount -t tmpfs -o mode=755 tmpfs fast || skip "no tmpfs"
STORE=$WORK/fast/store

start -o allow_other
raise_limits
two_regions
pattern disk.raw 256K 5
make_iso cd.iso 6
chmod 644 disk.raw cd.iso

# What root shows to all, and the owner's machines made from it.
for class in public marketplace; do
        import_raw "$R/$class/base" disk.raw
        mine mkdir "$R/$class/base/instances/closed-$class"
done
rmdir "$MNT"/tasks/* # root's

# One of everything, for each of the modes that the table has.
for access in closed:700 read:750 write:770 shown:755; do
        mode=${access#*:} name=${access%:*}
        image=$R/private/$name
        mine mkdir "$image"
        mine upload "$WORK/disk.raw" "$image/upload"
        settle "$image"
        mine mkdir "$R/private/$name-queued"
        mine mkdir "$R/private/$name-parts" # a disk of it is awaited
        mine mkdir "$R/private/$name-parts/disks/vdb"
        mine mkdir "$R/private/$name-bin"
        mine upload "$WORK/disk.raw" "$R/private/$name-bin/upload"
        settle "$R/private/$name-bin"
        mine rmdir "$R/private/$name-bin"
        mine mkdir "$image/shares/$SHAREE"
        mine mkdir "$image/instances/$name-vm"
        mine mkdir "$image/copies/cn-east-2"
        settle "$R2/private/$name"
        mine mkdir "$R/snapshots/$name/disks/$name-disk"
        mine mkdir "$R/disks/$name-disk/snapshots/$name-taken"
        until_true 30 grep -q data.raw "$R/snapshots/$name-taken/checksum" || fail "no snapshot"
        mine mkdir "$R/instances/$name-vm/images/$name-made"
        settle "$R/private/$name-made"
        mine mkdir "$R/follows/$name"
        mine mkdir "$R/iso/$name"
        mine upload "$WORK/cd.iso" "$R/iso/$name/upload"
        settle "$R/iso/$name"
        mine write "$R/instances/$name-vm/cdrom" "iso/$name"
        for object in "$R"/{private,iso,recycle,snapshots,disks,instances,follows}/"$name"* "$R2"/{private,snapshots}/"$name"*; do
                mine chmod $mode "$object"
                as $OWNER chgrp $GROUP "$object" || fail "chgrp $object"
        done
done

same "$(as $SHAREE "$WORK/fsop" mkdir "$R/shared/read/instances/guests")" ok "a machine of the guest's"

# The nodes, and those that are not listed. Tasks have no names to choose: one for each of the modes.
tasks=("$MNT"/tasks/*)
mine chmod 750 "${tasks[0]}"
mine chmod 770 "${tasks[1]}"
as $OWNER chgrp $GROUP "${tasks[@]:0:2}" || fail "chgrp of tasks"
cp "$lib/matrix.table" table
for i in 0 1 2; do
        id=$(basename "${tasks[i]}") name=("read" "write" "closed")
        sed -i "s|^realm\( *\)tasks/${name[i]} |realm\1tasks/$id |" table
done
for name in closed read write; do
        id=$(cat "$R/private/$name/id")
        sed -i "s|^realm\( *\)regions/\*/copy-targets/$name |realm\1regions/*/copy-targets/$id |" table
        selections+=("$id")
done
{
        # of what there are many of, one
        find "$MNT" -printf '%y %P\n' | grep -vE \
                -e "^. tasks/[^/]+/" -e "^. regions/cn-east-2/[^/]+/[^/]+/" -e "^. [^ ]*-(queued|bin|made|vm-vda)/[^/]+/" -e "-parts/" \
                -e "^. regions/cn-north-1/(recycle|marketplace)/[^/]+/[^/]+/" -e "/shared/(closed|write|shown)/" -e "/shown-[a-z]+/"
        find "${tasks[@]:0:3}" -mindepth 1 -printf '%y %p\n' | sed "s|$MNT/||"
        for name in shares copies; do
                echo "d regions/cn-north-1/shared/read/$name"
        done
        echo "f regions/cn-north-1/shared/read/convert"
        printf 'f regions/cn-north-1/copy-targets/%s\n' "${selections[@]}"
        for name in closed read write; do
                find "$R/private/$name-parts/disks" -printf '%y %p\n' | sed "s|$MNT/||"
                echo "f regions/cn-north-1/private/$name/wait"
                echo "f regions/cn-north-1/instances/$name-vm/wait"
                echo "f regions/cn-north-1/follows/$name/wait"
                echo "d regions/cn-north-1/snapshots/$name/changed"
                echo "f regions/cn-north-1/snapshots/$name/changed/$name-taken"
        done
} >nodes
wc -l nodes

# Opening a disk or an upload for writing, as those do who may, moves its times; whoever may not moves nothing.
lasting() {
        tree_contents | grep -vE -e '-(queued|parts)/(updated|metadata.json)'
}
compare() { # BEFORE AFTER
        cmp -s "$1" "$2" || { diff "$1" "$2" | head -n 20; fail "something changed"; }
}
matrix() {
        "$MATRIX" "$@" table nodes "$MNT" "${callers[@]}" || failed=1
}
failed=0
restart -o allow_other
tree_snapshot >before
matrix -c stranger
tree_snapshot >after
compare before after
lasting >before
for caller in owner member sharee root; do
        restart -o allow_other
        matrix -c $caller
done
matrix # all of them, with what the others left in the kernel's caches
lasting >after
compare before after
[ $failed = 0 ] || fail "not as the table has it"

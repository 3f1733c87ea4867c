# SPDX-License-Identifier: MIT
# A library on a file system that can only be read, such as a snapshot of its disk, is mounted with -o ro: all in it can be
# read, also after a crash, nothing of it changes.
need_root "mounting a file system read-only"
start
two_regions
cloud_image web 3M 5
local_image plain 1M 6
ok mkdir "$R/instances/vm"
ok write "$R/instances/vm/image" private/web
pattern written 64K 9
run dd if=written of="$R/instances/vm/disks/vda.raw" bs=4k seek=3 conv=notrunc,fsync status=none
run cat "$R/instances/vm/disks/vda.raw" >vm.raw
ok write "$R/private/web/description" "before the snapshot"
# What store says is where the library lies.
tree_of() { (cd "$MNT" && find . -path ./tasks -prune -o -path ./info -prune -o -name store -o -printf '%p %y %m %s %u\n' | sort); }
tree_of >before

look() { # WHAT: at a copy of the library as it is, mounted read-only
        local copy=$WORK/$1
        cp -a "$STORE" "$copy"
        mount --bind "$copy" "$copy"
        mount -o remount,bind,ro "$copy"
        bytes=$(cd "$copy" && find . -type f -exec xxhsum -q -H2 {} + | sort)
        same "$(start_refused "$copy" "$MNT")" \
                "imagefs: the library lies on a file system that can only be read: mount it with -o ro" "what is said of $1"
        library=$STORE STORE=$copy
        start -o ro
        STORE=$library
        tree_of | diff before - >&2 || fail "$1: another tree"
        same_disk "$R/private/web/disks/vda.raw" web.raw
        same_disk "$R/private/plain/disks/vda.raw" plain.raw
        same_disk "$R/instances/vm/disks/vda.raw" vm.raw
        value "$R/private/web/description" "before the snapshot"
        run cat "$R/images.csv" "$R/images.json" >/dev/null
        tar cf /dev/null -C "$MNT" . || fail "$1: tar"
        expect EROFS write "$R/private/web/description" after
        expect EROFS mkdir "$R/private/new"
        # The kernel lets it, the library does not.
        mount -i -o remount,rw "$MNT"
        expect EROFS write "$R/private/web/description" after
        expect EROFS mkdir "$R/private/new"
        expect EROFS rmdir "$R/private/web"
        expect EROFS mkdir "$R/private/web/instances/vm2"
        expect EROFS write "$R/instances/vm/power" start
        expect EROFS write "$MNT/info/limits" "private-images 9"
        dd if=written of="$R/instances/vm/disks/vda.raw" bs=4k conv=notrunc status=none 2>/dev/null && fail "$1: a disk is written to"
        same_disk "$R/instances/vm/disks/vda.raw" vm.raw
        value "$R/private/web/description" "before the snapshot"
        stop
        same "$(cd "$copy" && find . -type f -exec xxhsum -q -H2 {} + | sort)" "$bytes" "$1: the library's files"
        umount "$copy"
}
# Copied while it is in use and killed then: what the database's log holds has to be read.
crash
umount -l "$MNT"
look crashed
start
stop
look clean

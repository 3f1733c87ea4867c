# SPDX-License-Identifier: MIT
# A library with a blob store of version 3, whose maps share no pages: the first mount brings it to version 4 without
# making anything again, its maps stay as they are, and what is made from now on borrows of them.
need xxhsum sha256sum strace
need_root "the library of the fixture is root's"
one=6d1cbb0457930f7dc1574e3fe91690a2
two=6c5ba52ab5a40a7cc4662ee72fd74edb
vm=dd687681de6288b5b016dcd29ad7948f

fixture() {
        rm -rf "$STORE"
        run mkdir -m 700 "$STORE"
        run tar -C "$STORE" -xJf "$lib/../../fixtures/store-3.tar.xz"
}

all_is_there() {
        R=$MNT/regions/here
        for name in one two; do
                same "$(cat "$R/private/$name/status")" available
                same "$(xxhsum -H2 "$R/private/$name/disks/vda.raw" | cut -d ' ' -f 1)" "${!name}" "$name"
        done
        same "$(xxhsum -H2 "$R/instances/vm/disks/vda.raw" | cut -d ' ' -f 1)" $vm "the instance's disk"
        same "$(ls "$R/recycle")" gone
        same "$(head -n 1 "$STORE/blobs/format")" "imagefs blob store 4"
}

maps() {
        (cd "$STORE/blobs/maps" && find . -type f -exec sha256sum {} + | sort)
}

# Only looked at, it stays what it is.
fixture
find "$STORE" -type f ! -name lock -exec sha256sum {} + | sort >before
id=$(sed -n 2p "$STORE/blobs/format" | cut -d ' ' -f 2)
maps >maps.before
fails "$IMAGEFS" check "$STORE"
grep -qE "(older|earlier) version" "$WORK/out" "$WORK/err" || fail "check says: $(cat "$WORK/out" "$WORK/err")"
find "$STORE" -type f ! -name lock -exec sha256sum {} + | sort >after
run cmp before after

start
all_is_there
same "$(sed -n 2p "$STORE/blobs/format" | cut -d ' ' -f 2)" "$id" "the store's name"
maps >maps.after
run cmp maps.before maps.after

# An image of the instance borrows the pages of its base's old map, and outlives it.
ok write "$R/instances/vm/image-disks" none
ok mkdir "$R/instances/vm/images/three"
settle "$R/private/three"
same "$(xxh "$R/private/three/disks/vda.raw")" $vm "the new image"
maps >maps.after
new=$(comm -13 maps.before maps.after | sed 's/.* //')
same "$(wc -l <<<"$new")" 1 "new maps"
new=$(stat -c %s "$STORE/blobs/maps/$new")
old=$(stat -c %s "$STORE/blobs/maps/"??/* | sort -n | tail -n 1)
[ "$new" -lt "$old" ] || fail "the new map has $new bytes, those before it up to $old"
ok rmdir "$R/instances/vm"
for name in one two; do
        ok rmdir "$R/private/$name"
        ok rmdir "$R/recycle/$name"
done
ok rmdir "$R/recycle/gone"
same "$(ls "$R/snapshots" | grep -xE 'one|two|gone')" two "what no import made"
ok rmdir "$R/snapshots/two"
same "$(xxh "$R/private/three/disks/vda.raw")" $vm "when what it borrows of is gone"
restart
same "$(xxh "$R/private/three/disks/vda.raw")" $vm "after a start"
same "$(keyed "$MNT/info/store" blobs)" 1 "blobs"
find "$STORE/blobs/maps" -name '*.dead' | grep -q . || fail "nothing is lent any more"
stop
check_store
start
ok rmdir "$R/private/three"
ok rmdir "$R/recycle/three"
ok rmdir "$R/snapshots/three"
restart
stop
check_store
same "$(find "$STORE/blobs/maps" -type f | wc -l)" 0 "maps that are left"

# Killed at any moment of it, the next mount goes on from there.
for n in 1 2 3 4 5 7 9 12; do
        fixture
        timeout -k 1 20 strace -f -qq -o trace -e trace=pwrite64,fsync,fdatasync,renameat,unlinkat \
                -e inject=pwrite64,fsync,fdatasync,renameat,unlinkat:signal=SIGKILL:when=$n \
                "$IMAGEFS" "$STORE" "$MNT" -f >/dev/null 2>&1
        grep -q "killed by SIGKILL" trace || fail "nothing was killed at call $n"
        while mountpoint -q "$MNT"; do
                run umount -l "$MNT"
        done
        start
        all_is_there
        stop
        check_store
done

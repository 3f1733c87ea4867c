# SPDX-License-Identifier: MIT
# A library with a blob store of version 3, whose maps share no pages: the first mount brings it to version 4 without
# making anything again, its maps stay as they are, and what is made from now on borrows of them.
need xxhsum sha256sum strace
need_root "the library of the fixture is root's"
fixture=store-3
one=6d1cbb0457930f7dc1574e3fe91690a2
two=6c5ba52ab5a40a7cc4662ee72fd74edb
vm=dd687681de6288b5b016dcd29ad7948f
. "$lib/old-library.sh"

maps() {
        (cd "$STORE/blobs/maps" && sums .)
}

fixture
id=$(sed -n 2p "$STORE/blobs/format" | cut -d ' ' -f 2)
maps >maps.before
check_leaves_it

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
until_true 30 eval '[ -z "$(find "$STORE/blobs/maps" -type f)" ]' || fail "maps that are left: $(find "$STORE/blobs/maps" -type f)"
stop
check_store

# Killed at any moment of it, the next mount goes on from there.
killed_at 1 2 3 4 5 7 9 12

# SPDX-License-Identifier: MIT
# A library with a blob store of version 2, as it was before segments described themselves: the first mount brings it up to
# date, and everything in it is what it was. Before that, nothing touches it that only looks.
need xxhsum sha256sum strace
need_root "the library of the fixture is root's"
fixture=store-2
one=64dde944c41b895e5eb9aec4ace3c6c2
two=77ca94e62ede1e39e5a4a50e272bf988
vm=0a3b16e92f410f9b0c4a3749442eec47
. "$lib/old-library.sh"

fixture
check_leaves_it

start
all_is_there
stored=$(sed -n 's/^stored-bytes //p' "$MNT/info/store")

# What was there is found by what comes: nothing is stored again.
cp "$R/private/one/disks/vda.raw" again.raw
import_raw "$R/private/again" again.raw
same "$(sed -n 's/^stored-bytes //p' "$MNT/info/store")" "$stored" "stored bytes after the same image came again"
ok rmdir "$R/private/again"
ok rmdir "$R/recycle/again"
ok rmdir "$R/recycle/gone"
restart
same "$(cat "$MNT/regions/here/private/one/status")" available
stop
check_store

# Another library's is left as it is, by whoever is given it.
fixture
mv "$STORE/blobs" theirs
rm -rf "$STORE"
sums theirs >before
start
ok mkdir "$MNT/regions/theirs"
expect EINVAL write "$MNT/regions/theirs/store" "$WORK/theirs"
grep -q "older version" "$MNT/info/errors" || fail "$(tail -n 2 "$MNT/info/errors")"
expect EINVAL write "$MNT/regions/theirs/store" "adopt $WORK/theirs"
stop
sums theirs >after
run cmp before after

# Killed at any moment of it, the next mount goes on from there.
killed_at 1 2 3 4 6 9 13 18 24 31

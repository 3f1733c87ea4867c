# SPDX-License-Identifier: MIT
# A library with a blob store of version 2, as it was before segments described themselves: the first mount brings it up to
# date, and everything in it is what it was. Before that, nothing touches it that only looks.
need xxhsum sha256sum
need_root "the library of the fixture is root's"
one=64dde944c41b895e5eb9aec4ace3c6c2
two=77ca94e62ede1e39e5a4a50e272bf988
vm=0a3b16e92f410f9b0c4a3749442eec47

fixture() {
        rm -rf "$STORE"
        run mkdir -m 700 "$STORE"
        run tar -C "$STORE" -xJf "$lib/../../fixtures/store-2.tar.xz"
}

all_is_there() {
        R=$MNT/regions/here
        for name in one two; do
                same "$(cat "$R/private/$name/status")" available
                same "$(xxhsum -H2 "$R/private/$name/disks/vda.raw" | cut -d ' ' -f 1)" "${!name}" "$name"
        done
        same "$(xxhsum -H2 "$R/instances/vm/disks/vda.raw" | cut -d ' ' -f 1)" $vm "the instance's disk"
        same "$(ls "$R/recycle")" gone
}

fixture
find "$STORE" -type f ! -name lock -exec sha256sum {} + | sort >before
fails "$IMAGEFS" check "$STORE"
grep -qE "(older|earlier) version" "$WORK/out" "$WORK/err" || fail "check says: $(cat "$WORK/out" "$WORK/err")"
find "$STORE" -type f ! -name lock -exec sha256sum {} + | sort >after
run cmp before after

start
all_is_there
same "$(head -n 1 "$STORE/blobs/format")" "imagefs blob store 4"
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
find theirs -type f ! -name lock -exec sha256sum {} + | sort >before
start
ok mkdir "$MNT/regions/theirs"
expect EINVAL write "$MNT/regions/theirs/store" "$WORK/theirs"
grep -q "older version" "$MNT/info/errors" || fail "$(tail -n 2 "$MNT/info/errors")"
expect EINVAL write "$MNT/regions/theirs/store" "adopt $WORK/theirs"
stop
find theirs -type f ! -name lock -exec sha256sum {} + | sort >after
run cmp before after

# Killed at any moment of it, the next mount goes on from there.
need strace
for n in 1 2 3 4 6 9 13 18 24 31; do
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

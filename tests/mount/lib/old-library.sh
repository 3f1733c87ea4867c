# SPDX-License-Identifier: MIT
# A library as an earlier version made it, from tests/fixtures: $fixture is its name there; $one, $two and $vm are what is
# to be read in it.

fixture() {
        rm -rf "$STORE"
        run mkdir -m 700 "$STORE"
        run tar -C "$STORE" -xJf "$lib/../../fixtures/$fixture.tar.xz"
}

all_is_there() {
        R=$MNT/regions/here
        for name in one two; do
                same "$(cat "$R/private/$name/status")" available
                same "$(xxhsum -H2 "$R/private/$name/disks/vda.raw" | cut -d ' ' -f 1)" "${!name}" "$name"
        done
        same "$(xxhsum -H2 "$R/instances/vm/disks/vda.raw" | cut -d ' ' -f 1)" "$vm" "the instance's disk"
        same "$(ls "$R/recycle")" gone
        same "$(head -n 1 "$STORE/blobs/format")" "imagefs blob store 4"
}

# sums DIRECTORY: of all that lies below it.
sums() { find "$1" -type f ! -name lock -exec sha256sum {} + | sort; }

# Only looked at, it stays what it is.
check_leaves_it() {
        sums "$STORE" >before
        fails "$IMAGEFS" check "$STORE"
        grep -qE "(older|earlier) version" "$WORK/out" "$WORK/err" || fail "check says: $(cat "$WORK/out" "$WORK/err")"
        sums "$STORE" >after
        run cmp before after
}

# killed_at CALL…: by these calls of the first mount's; the next one goes on from there.
killed_at() {
        local n calls=pwrite64,fsync,fdatasync,renameat,unlinkat
        for n in "$@"; do
                fixture
                { # the shell, too, says that it was killed
                        timeout -k 1 20 strace -f -qq -o trace -e trace=$calls \
                                -e inject=$calls:signal=SIGKILL:when="$n" "$IMAGEFS" "$STORE" "$MNT" -f
                } >/dev/null 2>&1
                grep -q "killed by SIGKILL" trace || fail "nothing was killed at call $n"
                while mountpoint -q "$MNT"; do
                        run umount -l "$MNT"
                done
                start
                all_is_there
                stop
                check_store
        done
}

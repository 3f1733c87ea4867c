# SPDX-License-Identifier: MIT
# What a store says of itself and is wrong is made again by `check --repair`: a segment's description, the index. What is
# lost of an image stays a problem, by its name.
need python3
start -o tidy=0
two_regions
pattern one.raw 4M 11
pattern two.raw 4M 12
import_raw "$R/private/one" one.raw
import_raw "$R/private/two" two.raw
stop
check_store

segment=$(find "$STORE" -name '*.seg' -printf '%s %p\n' | sort -n | tail -n 1 | cut -d ' ' -f 2-)
flip() {
        local byte
        byte=$(od -An -tu1 -j "$1" -N 1 "$segment")
        printf "\\x$(printf %02x $((byte ^ 255)))" | dd of="$segment" bs=1 seek="$1" conv=notrunc status=none
}
checked() {
        local want=$1 r
        shift
        "$IMAGEFS" check "$STORE" "$@" >found 2>&1
        r=$?
        [ $r = "$want" ] || fail "check $* gave $r: $(cat found)"
}

# The description: nothing is wrong with any image, and everything can be said anew.
flip $(($(stat -c %s "$segment") - 10))
checked 4
grep -q "does not say what is in it" found || fail "$(cat found)"
checked 1 --repair
grep -q "made again" found || fail "$(cat found)"
checked 0 --read-data
start -o tidy=0
same_disk "$R/private/one/disks/vda.raw" one.raw
cp one.raw again.raw
before=$(sed -n 's/^stored-bytes //p' "$MNT/info/store")
import_raw "$R/private/again" again.raw # found by its name
same "$(sed -n 's/^stored-bytes //p' "$MNT/info/store")" "$before" "stored bytes"
stop

# The index: counts that are too small.
python3 - "$STORE/blobs/index.db" <<'P'
import sqlite3, sys
db = sqlite3.connect(sys.argv[1])
db.execute("UPDATE chunk SET refs = 1 WHERE refs > 1")
db.commit()
P
checked 4
grep -q "rows are damaged" found || fail "$(cat found)"
checked 1 --repair
checked 0

# The whole index, as a backup leaves it out.
rm "$STORE/blobs/index.db" "$STORE/blobs/state"
checked 4
grep -q "index is missing" found || fail "$(cat found)"
checked 1 --repair
checked 0 --read-data

# A chunk: that is nothing that could be made again.
flip 70000
checked 4 --read-data --repair
grep -qE "one|two" found || fail "the image is not named: $(cat found)"
NO_CHECK="the store was damaged on purpose"

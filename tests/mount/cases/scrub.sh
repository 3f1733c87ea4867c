# SPDX-License-Identifier: MIT
# A byte that the disk has lost is found before anybody reads it, and those whose it is are named: by `imagefs scrub`, and by the
# daemon when it is time; what is whole has since when. scrub-days 0: never.
need python3
start
two_regions
pattern one.raw 4M 101
pattern two.raw 1M 202
import_raw "$R/private/one" one.raw local
cloud_image two 1M
value "$R/private/one/last-verified" ""
value "$R/snapshots/two/last-verified" ""
same "$(keyed "$MNT/info/store" last-scrub)" never "last-scrub of a new library"
same "$(keyed "$MNT/info/store" damaged-blobs)" 0 "damaged-blobs"
fails "$IMAGEFS" scrub "$STORE" # it is mounted
stop

scrub() { # STATUS
        "$IMAGEFS" scrub "$STORE" >said 2>&1
        same $? "$1" "status of scrub, which says $(cat said)"
}
# aged N: as if the last passes had begun N days before.
aged() {
        python3 - "$STORE/imagefs.db" "$1" <<'END' || fail "the last passes cannot be made older"
import sqlite3, sys
db = sqlite3.connect(sys.argv[1])
n = db.execute("UPDATE scrub SET since = since - ? * 86400000000", (int(sys.argv[2]),)).rowcount
db.commit()
sys.exit(n < 1)
END
}
flip() { # FILE AT
        python3 - "$@" <<'END' || fail "$1 cannot be damaged"
import sys
with open(sys.argv[1], "r+b") as f:
    f.seek(int(sys.argv[2]))
    byte = f.read(1)
    f.seek(int(sys.argv[2]))
    f.write(bytes([byte[0] ^ 255]))
END
}
# events: of the administrator's on damage to a store, what, which and of what kind.
events() {
        sed -nE 's/.*"what": "(damaged|healed)", "region": "", .*"detail": "([^:]*): 1 ([a-z]*) .*/\1 \2: \3/p' "$MNT/info/events"
}
now=$(date -u +%Y-%m-%dT%H:%M)
scrub 0
same "$(tail -n 1 said)" "all is whole" "of a library that is whole"
fails "$IMAGEFS" scrub
"$IMAGEFS" scrub "$STORE/none" >said 2>&1
same $? 8 "status of what is no library"

start
verified=$(cat "$R/private/one/last-verified")
[[ $verified > $now ]] || fail "last-verified: $verified"
value "$R/private/two/last-verified" "$verified"
value "$R/snapshots/two/last-verified" "$verified"
same "$(getfattr --only-values -n user.imagefs.last-verified "$R/private/one" 2>/dev/null || echo "$verified")" "$verified" "xattr"
[[ $(keyed "$MNT/info/store" last-scrub) > $now ]] || fail "last-scrub: $(keyed "$MNT/info/store" last-scrub)"
value "$MNT/info/health" ok
ok mkdir "$R/private/one/instances/vm"
import_raw "$R/private/three" two.raw local # came later
value "$R/private/three/last-verified" ""
stop

# In the largest segment: one's. Its clone is named, too.
segment=$(find "$STORE" -name '*.seg' -printf '%s %p\n' | sort -n | tail -n 1 | cut -d ' ' -f 2-)
flip "$segment" 200000
scrub 4
same "$(tail -n 1 said)" "2 damaged" "count"
grep -q 'image cn-north-1/private/one, vda: 1 chunks are missing or damaged, the first one at byte ' said || fail "$(cat said)"
grep -q 'disk cn-north-1/instances/vm/vda, which is a clone: ' said || fail "$(cat said)"
start
value "$R/private/one/last-verified" ""
[[ $(cat "$R/private/three/last-verified") > $now ]] || fail "what is whole is not verified"
grep -q 'bytes of 1 blob are damaged' "$MNT/info/health" || fail "$(cat "$MNT/info/health")"
grep -q 'image cn-north-1/private/one, vda: ' "$MNT/info/health" || fail "$(cat "$MNT/info/health")"
grep -q 'disks/vda.raw is damaged: 1 chunks' "$R/private/one/warnings" || fail "$(cat "$R/private/one/warnings")"
value "$R/private/two/warnings" ""
same "$(keyed "$MNT/info/store" damaged-blobs)" 1 "damaged-blobs"
cat "$R/private/one/disks/vda.raw" >out.raw 2>err && fail "damaged bytes were read"
grep -q "Input/output error" err || fail "$(cat err)"
same_disk "$R/private/three/disks/vda.raw" two.raw
stop

# The daemon finds by itself that it is whole again, when it is time: 15 days after the last pass began, of 30.
flip "$segment" 200000
aged 16
start
healthy() { [ "$(cat "$MNT/info/health")" = ok ]; }
until_true 60 healthy || fail "the daemon did not scrub: $(cat "$MNT/info/health")"
[[ $(cat "$R/private/one/last-verified") > $now ]] || fail "last-verified after the daemon's pass"
value "$R/private/one/warnings" ""
same_disk "$R/private/one/disks/vda.raw" one.raw

# And that it is not. Not with scrub-days 0; the limit holds at once.
ok write "$MNT/info/limits" "scrub-days 0"
stop
flip "$segment" 200000
aged 16
start
import_raw "$R/private/four" two.raw local # work that wakes who looks for some
healthy || fail "scrubbed with scrub-days 0: $(cat "$MNT/info/health")"
ok write "$MNT/info/limits" "scrub-days 30"
damaged() { [ "$(keyed "$MNT/info/store" damaged-blobs)" = 1 ]; }
until_true 60 damaged || fail "the daemon found nothing"
grep -q 'image cn-north-1/private/one, vda: ' "$MNT/info/health" || fail "$(cat "$MNT/info/health")"

# The image gone, what is damaged is nobody's.
ok rmdir "$R/private/one/instances/vm"
ok rmdir "$R/private/one"
ok rmdir "$R/recycle/one"
until_true 60 healthy || fail "the image is gone, and health says $(cat "$MNT/info/health")"
stop
scrub 0

# What another store of the library has whole is healed with that: offline, and by the daemon.
start
ok mkdir "$MNT/regions/far"
ok write "$MNT/regions/far/store" "$WORK/far"
import_raw "$R/private/again" one.raw
ok mkdir "$R/private/again/copies/far"
settle "$MNT/regions/far/private/again"
stop

# So is its map, which says where its bytes are: a page from the same content, and what is around pages from these.
map=$(find "$STORE/blobs/maps" -type f -printf '%T@ %p\n' | sort -n | tail -n 1 | cut -d ' ' -f 2-)
cp "$map" whole.map
run dd if=/dev/zero of="$map" bs=4096 seek=1 count=1 conv=notrunc status=none
scrub 1
grep -q '/blobs: 1 page of a map was damaged on the disk, and healed' said || fail "$(cat said)"
cmp "$map" whole.map || fail "the map is not what it was"
run dd if=/dev/zero of="$map" bs=4096 count=1 conv=notrunc status=none
scrub 1
cmp "$map" whole.map || fail "its header is not what it was"
run dd if=/dev/zero of="$map" bs=4096 count=2 conv=notrunc status=none
scrub 4 # nothing is left that proves it
grep -q 'image cn-north-1/private/again, vda: the map is damaged' said || fail "$(cat said)"
cp whole.map "$map"
scrub 0
segment=$(find "$STORE" -name '*.seg' -printf '%T@ %s %p\n' | awk '$2 > 1000000' | sort -n | tail -n 1 | cut -d ' ' -f 3-)
flip "$segment" 200000
scrub 1
grep -q '1 chunk was damaged on the disk, and healed' said || fail "$(cat said)"
same "$(tail -n 1 said)" "healed: all is whole" "of a library that was healed"
scrub 0
start
same_disk "$R/private/again/disks/vda.raw" one.raw
stop
flip "$segment" 700000
aged 16
start
healed() { grep -q '1 chunk was damaged on the disk, and healed' daemon.log; }
until_true 60 healed || fail "the daemon healed nothing"
value "$MNT/info/health" ok
# Health has nothing to say of what is whole again; who follows the events hears of the disk. What was healed offline is there, too.
same "$(events | tail -n 2)" "damaged ${segment%/segments/*}: chunk
healed ${segment%/segments/*}: chunk" "events of what the daemon has healed"
same "$(events | grep -c "^healed .*/blobs: page")" 2 "events of maps that were healed"
same_disk "$R/private/again/disks/vda.raw" one.raw

# So it is with what the disk still has that a snapshot was taken of, where it was not written to since: only that.
ok mkdir "$R/disks/d"
ok write "$R/disks/d/size" 16M
pattern written.raw 6M 14
run dd if=written.raw of="$R/disks/d/data.raw" bs=1M conv=notrunc status=none
ok mkdir "$R/disks/d/snapshots/kept"
until_true 20 grep -qx available "$R/snapshots/kept/status" || fail "the snapshot is $(cat "$R/snapshots/kept/status")"
stop
segment=$(find "$STORE" -name '*.seg' -printf '%T@ %s %p\n' | awk '$2 > 1000000' | sort -n | tail -n 1 | cut -d ' ' -f 3-)
flip "$segment" 200000
scrub 1
grep -q '1 chunk was damaged on the disk, and healed' said || fail "$(cat said)"
scrub 0
start
cmp -n 6291456 "$R/snapshots/kept/data.raw" written.raw || fail "what was healed is not what was there"
run dd if=/dev/zero of="$R/disks/d/data.raw" bs=1M count=16 conv=notrunc status=none
stop
flip "$segment" 3000000
scrub 4
grep -q 'snapshot cn-north-1/snapshots/kept' said || fail "$(cat said)"
NO_CHECK=1

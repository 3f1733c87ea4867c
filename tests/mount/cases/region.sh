# SPDX-License-Identifier: MIT
# Regions: making, naming, removing, and where their blobs are.
start
r=$MNT/regions/one
ok mkdir "$r"
unchanged EEXIST mkdir "$r"
for entry in public marketplace private iso recycle snapshots quota quota-by-user images.csv images.json batch store; do
        expect ok stat "$r/$entry"
done
for entry in $(ls -A "$r"); do
        [[ $entry == @(public|marketplace|private|shared|iso|recycle|snapshots|disks|instances|families|follows|quota|quota-by-user|images.csv|images.json|images.xlsx|batch|store) ]] ||
                fail "$entry is no part of a region"
done
refused "EPERM" - mkdir "$r/extra"
refused "EPERM" - rmdir "$r/private"
refused "EPERM" - rmdir "$MNT/regions"
refused "EPERM" - mkdir "$MNT/extra"

# A name of its own.
ok rename "$r" "$MNT/regions/two"
expect ENOENT stat "$r"
r=$MNT/regions/two

# Empty it must be to be removed, and to get another store.
ok mkdir "$r/private/web"
refused EBUSY - rmdir "$r"
mkdir elsewhere
refused EBUSY - write "$r/store" "$WORK/elsewhere"
ok rmdir "$r/private/web"

# Where its blobs are.
same "$(cat "$r/store" | cut -c 1)" / "the store is a path"
refused EINVAL - write "$r/store" "relative/path"
refused EINVAL - write "$r/store" "$MNT/regions"
refused EINVAL - write "$r/store" "$MNT"
refused "EINVAL|ENOENT" - write "$r/store" "$WORK/no/such/parent"
echo text >file
refused "EINVAL|ENOTDIR" - write "$r/store" "$WORK/file"
mkdir occupied
echo mine >occupied/something
refused "EINVAL|EUCLEAN|EBUSY|ENOTEMPTY" - write "$r/store" "$WORK/occupied"
same "$(ls -A occupied)" something "a directory of others was touched"
ok write "$r/store" "$WORK/elsewhere"
value "$r/store" "$WORK/elsewhere"
pattern disk.raw 2M 1
import_raw "$r/private/web" disk.raw
[ "$(du -sk elsewhere | cut -f 1)" -gt 500 ] || fail "the blobs are not there"

# Two regions of one store share.
ok mkdir "$MNT/regions/three"
ok write "$MNT/regions/three/store" "$WORK/elsewhere"
import_raw "$MNT/regions/three/private/web" disk.raw
same_disk "$MNT/regions/three/private/web/disks/vda.raw" disk.raw

# Recycled images and snapshots count as something in it.
ok rmdir "$r/private/web"
refused EBUSY - rmdir "$r"
ok mkdir "$r/snapshots/web/disks/d"
ok rmdir "$r/recycle/web"
refused EBUSY - rmdir "$r"
ok mkdir "$r/disks/d/snapshots/s"
until_true 20 grep -q data.raw "$r/snapshots/s/checksum" || fail "no snapshot"
ok rmdir "$r/disks/d"
refused EBUSY - rmdir "$r"
ok rmdir "$r/snapshots/s"
ok rmdir "$r"
expect ENOENT stat "$r"

restart
same "$(ls "$MNT/regions")" three "regions"
value "$MNT/regions/three/store" "$WORK/elsewhere"
same_disk "$MNT/regions/three/private/web/disks/vda.raw" disk.raw

# Another library's store is refused, until somebody says that it may be taken over; nothing in it is removed.
mkdir theirs
library "$WORK/lib2"
"$IMAGEFS" "$WORK/lib2" "$WORK/theirs" -f >daemon2.log 2>&1 &
second=$!
until_true 10 mountpoint -q theirs || fail "the second library is not mounted: $(cat daemon2.log)"
run mkdir theirs/regions/far
run cp disk.raw theirs/regions/far/private/
same "$(cat theirs/regions/far/private/disk/wait)" available "their image"
fusermount3 -u theirs
wait "$second" || fail "the second ended with $?"
ok mkdir "$MNT/regions/new"
n=$MNT/regions/new
before=$(cat "$n/store")
run chmod 755 "$WORK/lib2/blobs"
run chmod 644 "$WORK/lib2/blobs/format"
refused EBUSY - write "$n/store" "$WORK/lib2/blobs"
same "$(stat -c %a "$WORK/lib2/blobs" "$WORK/lib2/blobs/format")" "755
644" "modes of what was refused"
grep -qF "adopt $WORK/lib2/blobs" "$MNT/info/errors" || fail "no way out is told"
same "$(cat "$n/store")" "$before" "the store after a refusal"
check_store "$WORK/lib2"
value "$MNT/info/health" ok

# A library whose catalogue is gone keeps what is in its store, and says so.
run cp disk.raw "$n/private/"
settle "$n/private/disk"
stop
rm "$STORE"/imagefs.db* "$STORE/reserve"
blobs() { find "$STORE/blobs/maps" -type f | wc -l; }
same "$(blobs)" 1 "maps before"
[[ $(start_refused "$STORE" "$MNT") == *"imagefs check $STORE --restore-catalogue"* ]] || fail "another sentence: $(cat out)"
fails "$IMAGEFS" init "$STORE"
rm -r "$STORE/blobs/catalogue" # and its copies are gone
[[ $(start_refused "$STORE" "$MNT") == *"no library of imagefs"* ]] || fail "another sentence: $(cat out)"
same "$(blobs)" 1 "maps after refusals"
run "$IMAGEFS" init "$STORE" >/dev/null
start
ok mkdir "$MNT/regions/new"
grep -qF "adopt $STORE/blobs" "$MNT/info/health" || fail "health says: $(cat "$MNT/info/health")"
restart
same "$(blobs)" 1 "maps of a catalogue that is gone"
ok write "$n/store" "adopt $STORE/blobs"
value "$MNT/info/health" ok
restart
same "$(blobs)" 1 "maps of what was adopted, for unnamed-days"
ok write "$MNT/info/limits" "unnamed-days 0"
restart
until_true 20 eval '[ "$(blobs)" = 0 ]' || fail "what was adopted is not collected"

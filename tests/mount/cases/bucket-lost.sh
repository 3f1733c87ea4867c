# SPDX-License-Identifier: MIT
# A library whose host was lost comes back from the bucket of a region: its catalogue as it was copied there, that region's images, and
# not what was nowhere else.
# shellcheck source=tests/mount/lib/s3.sh
. "$lib/s3.sh"
grep -q libcurl <(ldd "$IMAGEFS") || skip "built without libcurl"
bucket
start
two_regions
ok write "$R2/store" "$FAR"
pattern far.raw 3M 5
import_raw "$R2/private/far" far.raw
ok write "$R2/private/far/description" "kept far away"
cloud_image near 1M
ok mkdir "$R2/private/far/instances/vm"
restart
# That of the end of the mount: one that was made before may be there, too.
newest=$(cd "$STORE"/bucket-*/catalogue && ls -- *.db | tail -n 1 | sed 's|:|%3A|g')
_has_copy() { copies | grep -qx "$newest"; }
until_true 20 _has_copy || fail "no copy of the catalogue in the bucket"
same "$(cat "$WORK/bucket/some%2Fwhere%2Fcatalogue%2F$newest" | head -c 15)" "SQLite format 3" "what is in the copy"
cloud_image later 1M 6
ok mkdir "$R/private/later/copies/cn-east-2"
settle "$R2/private/later"
stop
there=$(objects)
mv "$STORE" lost

# refused_from PLACE WORDS: says why, and leaves nothing.
refused_from() {
        fails "$IMAGEFS" init --from "$1" "$STORE"
        grep -qF "$2" err || fail "$1: $(cat err)"
        [ ! -e "$STORE" ] || fail "$1 leaves $(ls -A "$STORE")"
}
refused_from "/srv/images" "write s3://BUCKET/PREFIX endpoint=https://HOST"
refused_from "s3://lib/nothing ${FAR#* }" "there is no catalogue in this part of the bucket"
bucket_does deny
refused_from "$FAR" "403 AccessDenied"
bucket_does
before=$(claims)
run "$IMAGEFS" init --from "$FAR" "$STORE" >said
grep -q "imagefs.db is the catalogue of 20" said || fail "says: $(cat said)"
fails "$IMAGEFS" init --from "$FAR" "$STORE"
grep -q "there is a library already" err || fail "says: $(cat err)"

start
same "$(claims)" "$(printf '%016x' $((16#$before + 1)))" "claims, for whoever still has the old directory"
value "$R2/store" "$FAR"
value "$R2/private/far/description" "kept far away"
same_disk "$R2/private/far/disks/vda.raw" far.raw
if cat "$R/private/near/disks/vda.raw" >/dev/null 2>&1; then fail "read what is lost"; fi
# A machine's disk was in the directory that was lost: not that there is none here, but that it is elsewhere.
expect "EBUSY open" open r "$R2/instances/vm/disks/vda.raw"
ok rmdir "$R2/instances/vm"
same "$(ls "$R2/private")" far "images of the catalogue as it was"
same "$(objects)" "$there" "objects: what is not named yet stays for unnamed-days"
import_raw "$R2/private/new" far.raw
ok rmdir "$R/private/near"
ok rmdir "$R/recycle/near"
for snapshot in "$R"/snapshots/*/; do [ ! -d "$snapshot" ] || ok rmdir "${snapshot%/}"; done

# A map that the disk here has lost is there, too: all of it, and one page.
stop
map=$(find "$STORE"/bucket-*/maps -type f -printf '%T@ %p\n' | sort -n | tail -n 1 | cut -d ' ' -f 2-)
cp "$map" whole.map
for lost in "count=2" "seek=1 count=1"; do
        # shellcheck disable=SC2086 # two words
        run dd if=/dev/zero of="$map" bs=4096 $lost conv=notrunc status=none
        "$IMAGEFS" scrub "$STORE" >said 2>&1
        same $? 1 "status of scrub, which says $(cat said)"
        grep -q '1 page of a map was damaged on the disk, and healed' said || fail "$(cat said)"
        cmp "$map" whole.map || fail "the map is not what it was"
done
start
same_disk "$R2/private/new/disks/vda.raw" far.raw
NO_CHECK=yes # blobs without a name are told

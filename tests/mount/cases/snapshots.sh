# SPDX-License-Identifier: MIT
# A snapshot's files, and how it goes.
start
two_regions
cloud_image web 3M
snap=$R/snapshots/web
[[ $(cat "$snap/id") == snap-?* ]] || fail "id is $(cat "$snap/id")"
value "$snap/name" web
value "$snap/size" 3145728
value "$snap/status" available
value "$snap/owner" "$(id -un)"
[[ $(cat "$snap/created") =~ ^20.*Z$ ]] || fail "created"
[[ $(cat "$snap/source") == *"$(cat "$R/private/web/id")"* ]] || fail "source is $(cat "$snap/source")"
value "$snap/checksum" "$(xxh web.raw)  data.raw"
(cd "$snap" && run xxhsum -c checksum) >/dev/null
same_disk "$snap/data.raw" web.raw
for file in images used-by last-error description; do
        expect ok stat "$snap/$file"
done

ok write "$snap/name" "first"
value "$snap/name" "first"
ok write "$snap/description" $'some\ntext'
value "$snap/description" $'some\ntext'
refused EINVAL "$snap" write "$snap/name" $'\n'
expect "EPERM|EACCES" write "$snap/size" 1
expect "EROFS|EACCES" open rw "$snap/data.raw"

# Not while an image refers to it, a recycled one too.
refused EBUSY "$snap" rmdir "$snap"
value "$snap/images" "$(cat "$R/private/web/id") private/web"
value "$snap/used-by" "image private/web"
ok rmdir "$R/private/web"
refused EBUSY "$snap" rmdir "$snap"
value "$snap/images" "$(cat "$R/recycle/web/id") recycle/web"
ok rmdir "$R/recycle/web"
expect ENOENT stat "$snap" # the import had made it

# One that was taken of a disk is on its own.
cloud_image web 3M
ok mkdir "$snap/disks/d"
ok mkdir "$R/disks/d/snapshots/taken"
until_true 20 grep -q data.raw "$R/snapshots/taken/checksum" || fail "no snapshot"
ok rmdir "$R/disks/d"
ok rmdir "$R/private/web"
ok rmdir "$R/recycle/web"
snap=$R/snapshots/taken
same "$(cat "$snap/images" "$snap/used-by")" "" "nothing refers to it"

# Its name is a handle as an image's is; nothing is made here by mkdir.
ok rename "$snap" "$R/snapshots/base"
snap=$R/snapshots/base
value "$snap/name" base
refused EPERM - mkdir "$R/snapshots/new"
restart
same_disk "$snap/data.raw" web.raw
unique=$(keyed "$MNT/info/store" unique-bytes)
[ "$unique" -gt 0 ] || fail "info/store: unique-bytes $unique"
ok rmdir "$snap"
same "$(used "$R" snapshots)" 0 "quota"
# The bytes follow: at once or with the next collection, a remount at the latest.
store_is_empty() { [ "$(keyed "$MNT/info/store" blobs)" = 0 ]; }
until_true 20 store_is_empty || { restart; until_true 20 store_is_empty || fail "the blob stays"; }

# SPDX-License-Identifier: MIT
# disks/ of a region: empty ones, ones from snapshots, snapshots of them, and what keeps what.
start
two_regions
cloud_image web 2M
snapshot=$R/snapshots/web
stored=$(keyed "$MNT/info/store" stored-bytes)

# An empty one waits for its size.
ok mkdir "$R/disks/d1"
d=$R/disks/d1
[[ $(cat "$d/id") == disk-?* ]] || fail "id: $(cat "$d/id")"
value "$d/name" d1
value "$d/size" ""
value "$d/status" available
value "$d/instance" ""
value "$d/source" ""
expect ENOENT stat "$d/data.raw"
refused EPERM "$d" create "$d/data.raw" x
[[ $(cat "$d/last-error") == *": a disk has no bytes before it has a size: echo 20G > size, and then dd conv=notrunc of=data.raw" ]] ||
        fail "not: write its size first, but: $(cat "$d/last-error")"
refused EBUSY "$d" mkdir "$d/snapshots/s1"
for size in 0 -5 $'\n' x "1 2" 99999999T; do refused EINVAL "$d" write "$d/size" "$size"; done
ok write "$d/size" 2M
value "$d/size" 2097152
same "$(stat -c '%s %b %a' "$d/data.raw")" "2097152 0 600" "data.raw"
expect ENXIO seek-data 0 "$d/data.raw"
ok write "$d/size" 3M
refused EINVAL "$d" write "$d/size" 2M
ok write "$d/name" "Data of the web"
ok rename "$d" "$R/disks/data"
d=$R/disks/data
value "$d/name" data
unchanged EEXIST mkdir "$d"
refused EINVAL - mkdir "$R/disks/.x"
ok mkdir "$R/disks/other"
refused EEXIST "$d" rename "$d" "$R/disks/other"
refused EPERM "$d" rename "$d" "$R2/disks/data"
ok rmdir "$R/disks/other"

# From a snapshot: a clone.
ok mkdir "$snapshot/disks/clone"
c=$R/disks/clone
value "$c/source" "snapshot:$(cat "$snapshot/id")"
same_disk "$c/data.raw" web.raw
value "$snapshot/disks/clone/id" "$(cat "$c/id")"
same "$(keyed "$MNT/info/store" stored-bytes)" "$stored" "no bytes moved"
refused EEXIST "$snapshot" mkdir "$snapshot/disks/data"
ok pwrite 1000000 "$c/data.raw" "of the clone"
same_disk "$snapshot/data.raw" web.raw

# The image and its snapshot may go, the clone keeps what it needs.
ok rmdir "$R/private/web"
ok rmdir "$R/recycle/web"
expect ENOENT stat "$snapshot"
restart
cp web.raw want.raw
printf 'of the clone' | dd of=want.raw bs=1 seek=1000000 conv=notrunc status=none
same_disk "$c/data.raw" want.raw

# A snapshot of it.
ok mkdir "$c/snapshots/s1"
s=$R/snapshots/s1
until_true 20 grep -q . "$s/checksum" || fail "no checksum" # which is worked out later, and is a change of the snapshot
until_true 20 grep -qx available "$s/status" || fail "the snapshot: $(cat "$s/status")"
same_disk "$s/data.raw" want.raw
value "$s/source" "disk:$(cat "$c/id")"
value "$c/snapshots/s1/id" "$(cat "$s/id")"
same "$(used "$R" snapshots)" 1 "charged"
unchanged EEXIST mkdir "$c/snapshots/s1"
refused EEXIST "$d" mkdir "$d/snapshots/s1"
refused EINVAL "$d" mkdir "$d/snapshots/.s"
ok pwrite 0 "$c/data.raw" later
same_disk "$s/data.raw" want.raw
ok write "$R/quota" "snapshots limit=1"
refused EDQUOT "$c" mkdir "$c/snapshots/s2"
ok write "$R/quota" "snapshots limit=20"

# Its checksum is worked out afterwards.
summed() { [ -n "$(cat "$s/checksum")" ]; }
until_true 20 summed || fail "no checksum"
value "$s/checksum" "$(xxh want.raw)  data.raw"

# A disk goes when it is free.
exec 5<"$c/data.raw"
ok rmdir "$c"
same "$(head -c 5 <&5)" later "an open disk stays readable"
exec 5<&-
same_disk "$s/data.raw" want.raw
ok rmdir "$s"
ok rmdir "$d"
same "$(ls "$R/disks" "$R/snapshots" | grep -vc :)" 1 "all is gone"

# SPDX-License-Identifier: MIT
# local -> cloud: what is made, what is shared, what the source remains.
start
two_regions
local_image web
web=$R/private/web
ok write "$web/description" "base"
ok write "$web/os" linux
ok write "$web/name" "The web"
stored=$(keyed "$MNT/info/store" stored-bytes)

ok write "$web/convert" cloud
settle "$web"
new=$R/private/web-cloud
settle "$new"
value "$new/type" cloud
value "$new/name" "The web"
value "$new/os" linux
same_disk "$new/disks/vda.raw" web.raw
value "$new/checksum" "$(cat "$web/checksum")"
same "$(keyed "$web/convert" status)" "done" "convert"
same "$(keyed "$web/convert" image)" "$(cat "$new/id") private/${new##*/}" "convert"
same "$(keyed "$web/convert" percent)" 100 "convert"

# A snapshot of the system disk with the image's name.
snap=$(realpath "$new"/snapshots/*)
value "$snap/name" "The web"
value "$new/device-mapping" "/dev/vda system snapshot:$(cat "$snap/id") $(cat "$web/size")"
same_disk "$snap/data.raw" web.raw
same "$(used "$R" snapshots)" 1 "snapshots"
same "$(used "$R" private-images)" 2 "images"

# The source is as it was; the data is there once.
value "$web/status" available
value "$web/type" local
value "$web/device-mapping" "/dev/vda system image:$(cat "$web/id") $(cat "$web/size")"
same "$(keyed "$MNT/info/store" stored-bytes)" "$stored" "bytes stored"

# Again, with a name, as the shell does it.
echo "cloud second one" >"$web/convert" || fail "convert"
settle "$web"
second=$(image_by_id "$R" "$(keyed "$web/convert" image | cut -d " " -f 1)") || fail "the second is not there"
value "$second/name" "second one"
settle "$second"

# Either can go without the other.
ok rmdir "$web"
ok rmdir "$R/recycle/web"
same_disk "$new/disks/vda.raw" web.raw
restart
same_disk "$new/disks/vda.raw" web.raw
value "$(task_of "$second" convert 2>/dev/null || echo "$MNT/tasks/$(ls -t "$MNT/tasks" | head -n 1)")/status" "done"

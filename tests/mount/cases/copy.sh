# SPDX-License-Identifier: MIT
# mkdir copies/REGION, in one store: no byte moves.
start
two_regions
cloud_image web 5M
web=$R/private/web
ok write "$web/name" "The web"
ok write "$web/description" "our base"
ok write "$web/os" linux
ok write "$web/labels" "a=b"

# What it would take.
same "$(cat "$web/copy-targets")" "cn-east-2 private-images=0/5 snapshots=0/20 needs-snapshots=1 bytes-to-move=0" "copy-targets"
stored=$(keyed "$MNT/info/store" stored-bytes)

ok mkdir "$web/copies/cn-east-2"
copy=$web/copies/cn-east-2
replica=$R2/private/web
settle "$replica"
value "$copy/status" "done"
value "$copy/error" ""
same "$(keyed "$copy/progress" percent)" 100 "progress"
same "$(realpath "$copy/image")" "$(realpath "$replica")" "image"
task=$MNT/tasks/$(basename "$(cat "$copy/task" 2>/dev/null || readlink "$copy/task")")
value "$task/kind" copy
value "$task/status" "done"
value "$task/region" cn-east-2
value "$task/image" "$(cat "$web/id") private/web"

value "$replica/name" "The web"
value "$replica/type" cloud
value "$replica/os" linux
value "$replica/labels" "a=b"
value "$replica/checksum" "$(cat "$web/checksum")"
value "$replica/description" "our base
copied from cn-north-1/$(cat "$web/id")"
[ "$(cat "$replica/id")" != "$(cat "$web/id")" ] || fail "two images with one id"
same_disk "$replica/disks/vda.raw" web.raw
snap=$(realpath "$replica"/snapshots/*)
same "$(dirname "$snap")" "$(realpath "$R2/snapshots")" "the replica's snapshot is in its own region"
value "$replica/device-mapping" "/dev/vda system snapshot:$(cat "$snap/id") 5242880"
same "$(used "$R2" private-images) $(used "$R2" snapshots)" "1 1" "quota of the target"
same "$(used "$R" private-images) $(used "$R" snapshots)" "1 1" "quota of the source"
same "$(keyed "$MNT/info/store" stored-bytes)" "$stored" "bytes stored"

# Once is enough, until it is forgotten; then there is a second replica.
unchanged EEXIST mkdir "$copy"
ok rmdir "$copy"
expect ENOENT stat "$copy"
value "$replica/status" available
ok mkdir "$copy"
settle "$R2/private/web-2"
value "$R2/private/web-2/name" "The web"

# The source can go; so can the replica.
ok rmdir "$web"
ok rmdir "$R/recycle/web"
expect ENOENT stat "$R/snapshots/web"
restart
same_disk "$replica/disks/vda.raw" web.raw
value "$replica/description" "$(cat "$R2/private/web-2/description")"

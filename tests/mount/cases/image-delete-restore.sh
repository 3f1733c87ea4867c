# SPDX-License-Identifier: MIT
# rmdir, the recycle bin, restoring, destroying.
start
two_regions
cloud_image web
web=$R/private/web
id=$(cat "$web/id") sum=$(cat "$web/checksum")
ok write "$web/description" keep

ok rmdir "$web"
expect ENOENT stat "$web"
bin=$R/recycle/web
value "$bin/status" deleted
same "$(stat -c %s "$bin")" "$(stat -c %s web.raw)" "its size there"
value "$bin/id" "$id"
same "$(used "$R" private-images)" 0 "recycled images do not count"
same "$(used "$R" snapshots)" 1 "snapshots count as long as they exist"
same_disk "$bin/disks/vda.raw" web.raw

[[ $(cat "$bin/deleted") == 20*T*Z ]] || fail "deleted: $(cat "$bin/deleted")"
same "$(date -ud "$(cat "$bin/deleted") + 30 days" +%FT%T)" "$(sed 's/[.Z].*//' "$bin/destroyed-on")" "destroyed-on"
ok write "$MNT/info/limits" "recycle-days 3"
same "$(date -ud "$(cat "$bin/deleted") + 3 days" +%FT%T)" "$(sed 's/[.Z].*//' "$bin/destroyed-on")" "destroyed-on"
ok write "$MNT/info/limits" "recycle-days 30"

# Nothing is made in the bin; mv into it deletes, as rmdir does, and under the image's own name.
refused "EPERM" - mkdir "$R/recycle/new"
cloud_image other 1M 3
expect ENOENT stat "$R/private/other/deleted"
refused EINVAL "$R/private/other" rename "$R/private/other" "$R/recycle/another"
says() { [[ $(cat "$R/private/other/last-error") == *": $1" ]] || fail "not '$1' but: $(cat "$R/private/other/last-error")"; }
refused EEXIST "$R/private/other" rename "$R/private/other" "$bin"
says "recycle has one of the name web already: rmdir deletes this one, too, and numbers it"
refused EPERM "$R/private/other" rename "$R/private/other" "$bin/other"
says "there is one of that name, which holds no other: choose a name that is free"
ok mkdir "$R/private/other/instances/keeps"
refused EBUSY "$R/private/other" rename "$R/private/other" "$R/recycle/other"
ok rmdir "$R/instances/keeps"
ok mkdir "$R/private/empty"
refused EBUSY "$R/private/empty" rename "$R/private/empty" "$R/recycle/empty"
ok rmdir "$R/private/empty"
run mv "$R/private/other" "$R/recycle/"
value "$R/recycle/other/status" deleted
expect ENOENT stat "$R/private/other"
run mv "$R/recycle/other" "$R/private/"
value "$R/private/other/status" available

# The name was free meanwhile: a second web, then restoring is EEXIST until it has another name.
ok mkdir "$web"
refused EEXIST "$bin" rename "$bin" "$web"
ok rename "$bin" "$R/private/web-restored"
value "$R/private/web-restored/status" available
value "$R/private/web-restored/id" "$id"
value "$R/private/web-restored/description" keep
value "$R/private/web-restored/checksum" "$sum"
ok rmdir "$web"
expect ENOENT stat "$R/recycle/web" # queued: gone at once
ok rename "$R/private/web-restored" "$web"

# Two of a name in the bin.
ok rmdir "$web"
import_raw "$web" web.raw
ok rmdir "$web"
same "$(ls "$R/recycle")" $'web\nweb-2' "names in the bin"

# Restoring needs quota.
ok write "$R/quota" "private-images limit=1"
refused EDQUOT "$bin" rename "$bin" "$web"
ok write "$R/quota" "private-images limit=5"
run mv "$bin" "$R/private/"
value "$web/status" available

# In the bin, operations are refused.
bin=$R/recycle/web-2
refused "EBUSY|EPERM" "$bin" mkdir "$bin/copies/cn-east-2"
local_image lo 1M 4
ok rmdir "$R/private/lo"
refused "EBUSY|EPERM" "$R/recycle/lo" write "$R/recycle/lo/convert" cloud
ok rmdir "$R/recycle/lo"

# Destroying. The snapshot that the import made goes along.
same "$(ls "$R/snapshots")" $'other\nweb\nweb-2' "snapshots"
refused EBUSY "$R/snapshots/web-2" rmdir "$R/snapshots/web-2" # the bin refers to it
ok rmdir "$bin"
expect ENOENT stat "$bin"
same "$(ls "$R/snapshots")" $'other\nweb' "the import's snapshot has gone along"

# What a conversion or a capture made stays, and goes by itself.
local_image own 1M 5
ok write "$R/private/own/convert" cloud
settle "$R/private/own-cloud"
ok mkdir "$R/private/other/instances/vm"
ok mkdir "$R/instances/vm/images/taken"
settle "$R/private/taken"
for name in own-cloud taken; do
        ok rmdir "$R/private/$name"
        ok rmdir "$R/recycle/$name"
        ok rmdir "$R/snapshots/${name%-cloud}"
done
ok rmdir "$R/instances/vm"
ok rmdir "$R/private/own"
ok rmdir "$R/recycle/own"

restart
value "$web/checksum" "$sum"
same "$(ls "$R/recycle")" "" "the bin is empty"

# An image in error can be deleted too, and restored as it was.
ok mkdir "$R/private/bad"
ok write "$R/private/bad/format" qcow2
expect "EINVAL close" upload web.raw "$R/private/bad/upload"
value "$R/private/bad/status" error
ok rmdir "$R/private/bad"
value "$R/recycle/bad/status" deleted
ok rename "$R/recycle/bad" "$R/private/bad"
value "$R/private/bad/status" error

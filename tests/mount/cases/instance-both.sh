# SPDX-License-Identifier: MIT
# A published image is both: its instances are cloud unless they are told otherwise before they have run.
need_root "publishing is the administrator's"
start
two_regions
cloud_image web 1M
ok rename "$R/private/web" "$R/public/web"
web=$R/public/web
value "$web/type" both
ok mkdir "$web/instances/vm"
vm=$R/instances/vm
value "$vm/type" cloud
value "$vm/image" public/web
same "$(ls "$R/disks")" vm-vda "a cloud disk"
ok write "$vm/type" local
value "$vm/type" local
same "$(ls "$R/disks")" "" "its own disk"
same_disk "$vm/disks/vda.raw" web.raw
ok write "$vm/type" cloud
same "$(ls "$R/disks")" vm-vda "a cloud disk again"
ok write "$vm/type" local
ok pwrite 0 "$vm/disks/vda.raw" "it ran" # as a guest does
refused EBUSY "$vm" write "$vm/type" cloud
ok mkdir "$vm/images/ours"
settle "$R/private/ours"
value "$R/private/ours/type" local
same "$(ls "$R/snapshots")" web "no snapshot of a local disk"

ok mkdir "$web/instances/vm-2"
ok write "$R/instances/vm-2/power" start
ok write "$R/instances/vm-2/power" stop
refused EBUSY "$R/instances/vm-2" write "$R/instances/vm-2/type" local
refused EBUSY "$web" rmdir "$web"
restart
value "$vm/type" local
value "$R/instances/vm-2/type" cloud
refused EBUSY "$R/instances/vm-2" write "$R/instances/vm-2/type" local

# SPDX-License-Identifier: MIT
# An instance runs from start to stop, and while a disk of it is open for writing: what is EBUSY then.
start
two_regions
cloud_image web 1M
web=$R/private/web
ok mkdir "$web/instances/vm"
vm=$R/instances/vm
ok mkdir "$R/disks/d1"
ok write "$R/disks/d1/size" 1M
ok write "$vm/attach" d1
ok mkdir "$R/disks/spare"
ok write "$R/disks/spare/size" 1M

refused_while_running() {
        value "$vm/status" running
        refused EBUSY "$vm" mkdir "$vm/images/new"
        refused EBUSY "$vm" rmdir "$vm"
        refused EBUSY "$vm" write "$vm/attach" spare
        refused EBUSY "$vm" write "$vm/detach" vdb
        refused EBUSY "$vm" write "$vm/image" private/web
        refused EBUSY "$vm" write "$vm/type" cloud
        refused EBUSY "$R/disks/d1" write "$R/disks/d1/size" 2M
        refused EBUSY "$R/disks/d1" mkdir "$R/disks/d1/snapshots/s"
        refused EBUSY "$R/disks/vm-vda" mkdir "$R/disks/vm-vda/snapshots/s"
        refused EBUSY "$R/disks/d1" truncate 2M "$vm/disks/vdb.raw"
        refused EBUSY "$R/disks/d1" rmdir "$R/disks/d1"
        refused EBUSY "$web" rmdir "$web"
        ok write "$vm/name" "while it runs"
        ok write "$vm/image-disks" vdb
        ok write "$vm/image-disks" all
}

refused EBUSY "$vm" write "$vm/power" stop
for word in $'\n' on START "start stop" restart; do refused EINVAL "$vm" write "$vm/power" "$word"; done
ok write "$vm/power" start
refused EBUSY "$vm" write "$vm/power" start
refused_while_running
ok mkdir "$web/instances/other" # the image is not busy with it
ok rmdir "$R/instances/other"
restart
value "$vm/status" running
ok write "$vm/power" stop
value "$vm/status" stopped

# A disk that is open for writing, of two any one; reading is not running.
exec 5<"$vm/disks/vda.raw"
value "$vm/status" stopped
exec 6<>"$vm/disks/vdb.raw"
refused_while_running
refused EBUSY "$vm" write "$vm/power" stop
exec 6>&-
value "$vm/status" stopped
exec 6<>"$R/disks/d1/data.raw" # the same disk by its other name
value "$vm/status" running
exec 6>&- 5<&-
value "$vm/status" stopped

# A detached disk that is open for writing.
exec 6<>"$R/disks/spare/data.raw"
refused EBUSY "$vm" write "$vm/attach" spare
refused EBUSY "$R/disks/spare" mkdir "$R/disks/spare/snapshots/s"
refused EBUSY "$R/disks/spare" rmdir "$R/disks/spare"
refused EBUSY "$R/disks/spare" write "$R/disks/spare/size" 2M
exec 6>&-
ok write "$vm/attach" spare

# A crash ends the writers, and with them the running that came from them.
exec 6<>"$vm/disks/vda.raw"
value "$vm/status" running
crash
exec 6>&-
start
value "$vm/status" stopped
ok write "$vm/power" start
crash
start
value "$vm/status" running
ok write "$vm/power" stop

# Twice the same at the same time: one is carried out.
for word in start stop; do
        racers=()
        for i in 1 2 3 4; do
                "$FSOP" write "$vm/power" "$word" >"race$i" &
                racers+=($!)
        done
        wait "${racers[@]}"
        same "$(cat race? | sort | tr '\n' ' ')" "EBUSY write EBUSY write EBUSY write ok " "$word"
done

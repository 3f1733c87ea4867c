# SPDX-License-Identifier: MIT
# While an image is made of an instance: its status, what is EBUSY, cancelling, a crash, and a part that fails.
start
two_regions
pattern web.raw 16M 12
import_raw "$R/private/web" web.raw
ok mkdir "$R/private/web/instances/vm"
vm=$R/instances/vm
pattern new.raw 16M 13
run dd if=new.raw of="$vm/disks/vda.raw" bs=1M conv=notrunc status=none
ok mkdir "$R/disks/d1"
ok write "$R/disks/d1/size" 64K
ok write "$vm/attach" d1
task_of_vm() { sed "s|^task |$MNT/tasks/|" "$vm/used-by"; }

# Cancelled: as if it had not been.
slow_disk 100
ok mkdir "$vm/images/web-2"
image=$R/private/web-2
task=$(task_of_vm)
value "$task/kind" capture
ok rmdir "$task"
fast_disk
gone() { ! [ -e "$image" ] && [ -z "$(cat "$vm/used-by")" ]; }
until_true 20 gone || fail "still there: $(ls "$R/private") $(cat "$vm/used-by")"
same "$(ls "$R/snapshots")" web "snapshots"
same "$(used "$R" private-images) $(used "$R" snapshots)" "1 1" "charged"

# The tree changes while it runs, so that only the errno and the sentence can be looked at.
slow_disk 100
ok mkdir "$vm/images/web-2"
[[ $(cat "$image/status") == @(pending|replicating) ]] || fail "status: $(cat "$image/status")"
value "$vm/status" stopped
expect EBUSY write "$vm/power" start
[[ $(cat "$vm/last-error") == *"being read for an image"*/tasks/* ]] || fail "last-error: $(cat "$vm/last-error")"
expect EBUSY open rw "$vm/disks/vda.raw"
ok open r "$vm/disks/vda.raw"
expect EBUSY mkdir "$vm/images/web-3"
expect EBUSY rmdir "$vm"
expect EBUSY write "$vm/detach" vdb
expect EBUSY mkdir "$R/disks/d1/snapshots/s"
expect EBUSY mkdir "$image/instances/early"
[[ $(cat "$image/status") == @(pending|replicating) ]] || echo "note: it was done before all was asked"

# A crash in the middle: it goes on.
crash
fast_disk
start
settle "$image"
same_disk "$image/disks/vda.raw" new.raw
ok pwrite 0 "$vm/disks/vda.raw" "free again"
same_disk "$image/disks/vda.raw" new.raw

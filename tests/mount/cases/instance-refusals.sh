# SPDX-License-Identifier: MIT
# What instances and disks refuse in a state that takes some making, and what no other case asks of them.
start
two_regions
raise_limits
local_image lo 1M
cloud_image web 1M
ok mkdir "$R/private/lo/instances/own"
ok mkdir "$R/private/web/instances/vm"
own=$R/instances/own
vm=$R/instances/vm
for d in d1 d2; do
        ok mkdir "$R/disks/$d"
        ok write "$R/disks/$d/size" 1M
done
ok mkdir "$R2/disks/east"
ok write "$R2/disks/east/size" 1M

# Texts.
refused EINVAL "$vm" write "$vm/name" $'\n'
refused EINVAL "$vm" write "$vm/name" a/b
refused EINVAL "$vm" write "$vm/name" "$(printf 'x%.0s' {1..129})"
refused EINVAL "$vm" write "$vm/description" "$(printf 'x%.0s' {1..4097})"
refused EINVAL "$vm" write "$vm/description" $'a\001b'
refused EINVAL "$R/disks/d1" write "$R/disks/d1/name" a/b
refused EINVAL "$R/disks/d1" write "$R/disks/d1/name" $'\n'

# The system disk, of a machine that stands still.
refused EBUSY "$R/disks/vm-vda" rmdir "$R/disks/vm-vda"
refused EBUSY "$vm" write "$vm/attach" vm-vda
refused EBUSY "$own" write "$own/attach" vm-vda
[[ $(cat "$own/last-error") == *"vm-vda is the system disk of vm, which stays there: attach a disk that is made of a snapshot of it (mkdir disks/vm-vda/snapshots/<name>, then mkdir snapshots/<name>/disks/<disk>)" ]] ||
        fail "$(cat "$own/last-error")"
refused EINVAL "$own" write "$own/detach" vda
refused EINVAL "$own" truncate 512K "$own/disks/vda.raw"
refused EINVAL "$own" truncate 65T "$own/disks/vda.raw"
exec 5<>"$own/disks/vda.raw"
refused EBUSY "$own" truncate 2M "$own/disks/vda.raw"
refused EBUSY "$own" mkdir "$own/images/x"
refused EBUSY "$own" rmdir "$own"
exec 5>&-
value "$own/status" stopped

# What is not of this region.
refused ENOENT "$vm" write "$vm/attach" east
refused ENOENT "$vm" write "$vm/attach" "$(cat "$R2/disks/east/id")"

# An image with data disks, for a machine that has a disk at one of their devices.
ok write "$vm/attach" d1
ok mkdir "$vm/images/pair"
settle "$R/private/pair"
ok mkdir "$R/instances/late"
late=$R/instances/late
ok write "$late/attach" d2
refused EBUSY "$late" write "$late/image" private/pair
value "$late/image" ""
ok write "$late/detach" vdb
ok write "$late/image" private/pair
same "$(ls "$late/disks")" $'vda.raw\nvdb.raw' "the image's disks"

# Images that make no machines: deleted ones, by any name.
ok rmdir "$late"
pair=$(cat "$R/private/pair/id")
ok rmdir "$R/private/pair"
refused "EBUSY|EPERM" "$R/recycle/pair" mkdir "$R/recycle/pair/instances/x"
refused EBUSY "$vm" write "$vm/image" "$pair"
refused EBUSY "$vm" write "$vm/image" recycle/pair

# A disk that a snapshot is being taken of, and that snapshot. The tree changes meanwhile, so that the errno and the
# sentence are all that can be looked at.
busy() {
        local object=$1 sentence=$2
        shift 2
        expect EBUSY "$@"
        # shellcheck disable=SC2053
        [[ $(sentence_alone <"$object/last-error") == $sentence ]] || fail "$*: $(cat "$object/last-error")"
}
pattern new.raw 16M 13
ok write "$R/disks/d2/size" 16M
run dd if=new.raw of="$R/disks/d2/data.raw" bs=1M conv=notrunc status=none
slow_disk 100
ok mkdir "$R/disks/d2/snapshots/slow"
busy "$vm" "d2 is being read for a snapshot: wait for it, or cancel it with rmdir /tasks/task-*" write "$vm/attach" d2
busy "$R/disks/d2" "d2 is being read for a snapshot: wait for it, or cancel it with rmdir /tasks/task-*" write "$R/disks/d2/size" 32M
busy "$R/disks/d2" "d2 is being read for a snapshot: wait for it, or cancel it with rmdir /tasks/task-*" truncate 32M "$R/disks/d2/data.raw"
busy "$R/disks/d2" "d2 is being read for a snapshot: wait for it, or cancel it with rmdir /tasks/task-*" open rw "$R/disks/d2/data.raw"
busy "$R/disks/d2" "d2 is being read for a snapshot: wait for it, or cancel it with rmdir /tasks/task-*" mkdir "$R/disks/d2/snapshots/other"
busy "$R/disks/d2" "d2 is being read for a snapshot: wait for it, or cancel it with rmdir /tasks/task-*" rmdir "$R/disks/d2"
busy "$R/snapshots/slow" "slow is being created*" mkdir "$R/snapshots/slow/disks/early"
busy "$R/snapshots/slow" "*" rmdir "$R/snapshots/slow"
fast_disk
until_true 20 grep -qx available "$R/snapshots/slow/status" || fail "the snapshot: $(cat "$R/snapshots/slow/status")"
same "$(ls "$R/disks")" $'d1\nd2\nvm-vda' "disks"
value "$R/disks/d2/size" 16777216
same_disk "$R/snapshots/slow/data.raw" new.raw
ok write "$vm/attach" d2

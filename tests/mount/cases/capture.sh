# SPDX-License-Identifier: MIT
# Images of instances: which disks go along, what they hold and cost, and what is refused.
start
two_regions
raise_limits
pattern web.raw 16M 12
import_raw "$R/private/web" web.raw
ok write "$R/private/web/os" linux
ok mkdir "$R/private/web/instances/vm"
vm=$R/instances/vm
for d in d1 d2 d3; do
        ok mkdir "$R/disks/$d"
        ok write "$R/disks/$d/size" 1M
        ok write "$vm/attach" "$d"
        ok pwrite 0 "$R/disks/$d/data.raw" "this is $d"
done
cp web.raw want.raw
printf 'changed by the guest' | dd of=want.raw bs=1 seek=5000000 conv=notrunc status=none
ok pwrite 5000000 "$vm/disks/vda.raw" "changed by the guest"

for disks in vda vdz vdbvdc "vdb vdz" $'\n' ALL "all none" "vdb,vdc"; do
        refused "EINVAL|ENOENT" "$vm" write "$vm/image-disks" "$disks"
done
value "$vm/image-disks" all

# The system disk alone, then two of the others, then all.
unique=$(keyed "$MNT/info/store" unique-bytes)
ok write "$vm/image-disks" none
ok mkdir "$vm/images/plain"
settle "$R/private/plain"
p=$R/private/plain
same "$(ls "$p/disks" | grep raw)" vda.raw "none"
same_disk "$p/disks/vda.raw" want.raw
value "$p/type" cloud
value "$p/os" "$(cat "$R/private/web/os")"
value "$vm/images/plain/id" "$(cat "$p/id")"
grown=$(($(keyed "$MNT/info/store" unique-bytes) - unique))
[ "$grown" -le $((512 * 1024)) ] || fail "the image of 4 KiB of changes took $grown bytes"
same_disk "$R/private/web/disks/vda.raw" web.raw

ok write "$vm/image-disks" "vdd  vdb"
value "$vm/image-disks" "vdb vdd"
before=$(used "$R" snapshots)
ok mkdir "$vm/images/two"
settle "$R/private/two"
same "$(ls "$R/private/two/disks" | grep raw)" $'vda.raw\nvdb.raw\nvdd.raw' "vdb vdd"
same "$(head -c 10 "$R/private/two/disks/vdd.raw")" "this is d3" "vdd"
same "$(used "$R" snapshots)" $((before + 3)) "a snapshot per disk"
same "$(cut -d ' ' -f 1,2,4 "$R/private/two/device-mapping")" $'/dev/vda system 16777216\n/dev/vdb data 1048576\n/dev/vdd data 1048576' "mapping"
same "$(ls "$R/private/two/snapshots" | wc -l)" 3 "snapshots of the image"

# A machine of that image: the same devices, sizes as presets that can be grown.
ok mkdir "$R/private/two/instances/next"
next=$R/instances/next
same "$(ls "$next/disks")" $'vda.raw\nvdb.raw\nvdd.raw' "devices"
same_disk "$next/disks/vda.raw" want.raw
same "$(head -c 10 "$next/disks/vdb.raw")" "this is d1" "vdb"
ok truncate 2M "$next/disks/vdb.raw"
same "$(ls "$R/disks" | tr '\n' ' ')" "d1 d2 d3 next-vda next-vdb next-vdd vm-vda " "the region's disks"
ok rmdir "$next"
same "$(ls "$R/disks" | tr '\n' ' ')" "d1 d2 d3 vm-vda " "gone with it"

# A chosen disk that is not there any more.
ok write "$vm/detach" vdd
refused ENOENT "$vm" mkdir "$vm/images/three"
ok write "$vm/image-disks" all
ok mkdir "$vm/images/three"
settle "$R/private/three"
same "$(ls "$R/private/three/disks" | grep raw | wc -l)" 3 "all that are attached"

# Names and quota.
unchanged EEXIST mkdir "$vm/images/three"
refused EEXIST "$vm" mkdir "$vm/images/web"
refused EINVAL "$vm" mkdir "$vm/images/.x"
ok write "$R/quota" "private-images limit=4"
refused EDQUOT "$vm" mkdir "$vm/images/four"
ok write "$R/quota" "private-images limit=100"
ok write "$R/quota" "snapshots limit=$(($(used "$R" snapshots) + 2))"
refused EDQUOT "$vm" mkdir "$vm/images/four"
ok write "$vm/image-disks" vdb
ok mkdir "$vm/images/four"
settle "$R/private/four"
ok write "$R/quota" "snapshots limit=1000"

# Below the instance it can be deleted too; what is there of it elsewhere goes with it.
ok rmdir "$vm/images/four"
expect ENOENT rmdir "$vm/images/four" # in the recycle bin it is not one of the machine's
value "$R/recycle/four/status" deleted
ok rmdir "$R/recycle/four"

# From a local one: the system disk is the image's own, data disks are snapshots.
local_image lo 1M
ok mkdir "$R/private/lo/instances/own"
own=$R/instances/own
ok write "$own/attach" d3
before=$(used "$R" snapshots)
ok mkdir "$own/images/lo-2"
settle "$R/private/lo-2"
value "$R/private/lo-2/type" local
same "$(used "$R" snapshots)" $((before + 1)) "the data disk's snapshot"
same_disk "$R/private/lo-2/disks/vda.raw" lo.raw
same "$(head -c 10 "$R/private/lo-2/disks/vdb.raw")" "this is d3" "vdb"

# The instances may go, and the first images.
ok rmdir "$own"
ok rmdir "$vm"
ok rmdir "$R/private/web"
ok rmdir "$R/recycle/web"
restart
same_disk "$R/private/plain/disks/vda.raw" want.raw
same "$(head -c 10 "$R/private/two/disks/vdd.raw")" "this is d3" "vdd"

# SPDX-License-Identifier: MIT
# Writing `image` to a stopped instance makes its system disk anew; the rest stays. Images with instances stay too.
start
two_regions
cloud_image one 1M 1
cloud_image two 2M 2
local_image three 1M 3
ok mkdir "$R/private/one/instances/vm"
vm=$R/instances/vm
ok mkdir "$R/disks/data"
ok write "$R/disks/data/size" 1M
ok write "$vm/attach" data
ok pwrite 0 "$vm/disks/vdb.raw" precious
ok pwrite 0 "$vm/disks/vda.raw" changed
ident=$(cat "$vm/id")

refused EBUSY "$R/private/one" rmdir "$R/private/one"
ok write "$vm/image" private/two
same_disk "$vm/disks/vda.raw" two.raw
same "$(head -c 8 "$vm/disks/vdb.raw")" precious "the data disk"
value "$vm/id" "$ident"
value "$vm/image" private/two
same "$(cd "$R/private/one" && cat used-by && ls instances)" "" "it is free again"
ok rmdir "$R/private/one"
refused EBUSY "$R/private/two" rmdir "$R/private/two"
same "$(ls "$R/disks" | wc -l)" 2 "one system disk: $(ls "$R/disks")"

# The next command by its path finds the new one, whatever the kernel remembers of the disk that was there: truncate(2)
# said ENOENT, and stat(2) the size of before.
for image in one-more two one-more two; do
        [ -d "$R/private/$image" ] || cloud_image "$image" 1M 4
        stat "$vm/disks/vda.raw" >"$WORK/seen"
        ok write "$vm/image" "private/$image"
        same "$(stat -c %s "$vm/disks/vda.raw")" "$(stat -c %s "$R/private/$image/disks/vda.raw")" "its size"
        stat "$vm/disks/vda.raw" >"$WORK/seen"
        ok write "$vm/image" "private/$image"
        ok truncate 3M "$vm/disks/vda.raw"
        same "$(stat -c %s "$vm/disks/vda.raw")" $((3 << 20)) "its size"
done

# The same image once more throws away what was written.
ok pwrite 0 "$vm/disks/vda.raw" changed
ok write "$vm/image" private/two
same_disk "$vm/disks/vda.raw" two.raw

# To a local one: then it is the instance's own.
ok write "$vm/image" private/three
value "$vm/type" local
same_disk "$vm/disks/vda.raw" three.raw
same "$(ls "$R/disks")" data "the region's disks"
ok rmdir "$R/private/two"

refused ENOENT "$vm" write "$vm/image" private/one # recycled
refused EBUSY "$vm" write "$vm/image" recycle/one
exec 5<>"$vm/disks/vda.raw"
refused EBUSY "$vm" write "$vm/image" private/three
exec 5>&-
value "$vm/status" stopped

restart
same_disk "$vm/disks/vda.raw" three.raw
same "$(head -c 8 "$vm/disks/vdb.raw")" precious "the data disk"

# With all gone, so are the bytes of the clones; the snapshots are what stays.
ok rmdir "$vm"
ok rmdir "$R/disks/data"
ok rmdir "$R/private/three"
for image in one two three; do ok rmdir "$R/recycle/$image"; done

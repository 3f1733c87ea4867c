# SPDX-License-Identifier: MIT
# Disks of instances: attaching, detaching, names of devices, growing.
start
two_regions
local_image lo 1M
ok mkdir "$R/private/lo/instances/vm"
vm=$R/instances/vm
disks() { ls "$vm/disks" | tr '\n' ' '; }

for d in d1 d2 d3 d4; do
        ok mkdir "$R/disks/$d"
        ok write "$R/disks/$d/size" 1M
done
ok mkdir "$R/disks/unmade"
refused EBUSY "$vm" write "$vm/attach" unmade
refused ENOENT "$vm" write "$vm/attach" nothing
refused "ENOENT|EINVAL" "$vm" write "$vm/attach" $'\n'
refused "EINVAL|ENOENT" "$vm" write "$vm/attach" $'d1\nd2'
ok write "$vm/attach" d1
ok write "$vm/attach" "$(cat "$R/disks/d2/id")"
same "$(disks)" "vda.raw vdb.raw vdc.raw " "in order of attaching"
value "$R/disks/d1/status" in-use
value "$R/disks/d1/instance" vm
value "$R/disks/d3/status" available
value "$R/disks/d3/instance" ""
refused EBUSY "$vm" write "$vm/attach" d1
ok mkdir "$R/private/lo/instances/vm-2"
refused EBUSY "$R/instances/vm-2" write "$R/instances/vm-2/attach" d1
[[ $(sed -n 2p "$vm/device-mapping") == "/dev/vdb data disk:$(cat "$R/disks/d1/id") 1048576" ]] || fail "$(cat "$vm/device-mapping")"

# The bytes are those of the disk, through both names and across detaching.
ok pwrite 5000 "$vm/disks/vdb.raw" "on d1"
same "$(dd if="$R/disks/d1/data.raw" bs=1 skip=5000 count=5 status=none)" "on d1" "the same bytes"
same "$(stat -c %i "$vm/disks/vdb.raw")" "$(stat -c %i "$R/disks/d1/data.raw")" "one file"
ok write "$vm/detach" vdb
same "$(disks)" "vda.raw vdc.raw " "after detaching"
value "$R/disks/d1/status" available
ok write "$vm/attach" d3
same "$(disks)" "vda.raw vdb.raw vdc.raw " "the first free letter"
value "$R/disks/d3/instance" vm
ok write "$vm/attach" d1
same "$(dd if="$vm/disks/vdd.raw" bs=1 skip=5000 count=5 status=none)" "on d1" "the bytes came along"

refused EINVAL "$vm" write "$vm/detach" vda
refused ENOENT "$vm" write "$vm/detach" vdz
for device in $'\n' vd vdbb sdb /dev/vdb d1; do refused EINVAL "$vm" write "$vm/detach" "$device"; done
refused EBUSY "$R/disks/d1" rmdir "$R/disks/d1"

# Growing, with zeros behind; never shrinking; nothing but a size.
ok truncate 3M "$vm/disks/vdb.raw"
value "$R/disks/d3/size" 3145728
same "$(stat -c %s "$vm/disks/vdb.raw")" 3145728 "size"
same "$(od -An -tx1 -v "$vm/disks/vdb.raw" | tr -d ' 0\n')" "" "zeros"
ok truncate 3M "$vm/disks/vdb.raw"
refused EINVAL "$R/disks/d3" truncate 1M "$vm/disks/vdb.raw"
# The machine says it, too, in its own words, until something succeeds there; the list of all once.
[[ $(cat "$vm/last-error") == *"Z truncate disks/vdb.raw: d3 has 3145728 bytes: a disk grows, but never shrinks" ]] ||
        fail "the machine: $(cat "$vm/last-error")"
same "$(grep -c 'never shrinks' "$MNT/info/errors")" 1 "refusals in the list of all"
ok truncate 3M "$vm/disks/vdb.raw"
value "$vm/last-error" ""
refused EINVAL "$R/disks/d3" truncate 1M "$vm/disks/vdb.raw"
ok write "$vm/description" "another command"
value "$vm/last-error" ""
refused EINVAL "$R/disks/d3" truncate 0 "$vm/disks/vdb.raw"
refused EINVAL "$R/disks/d3" write "$R/disks/d3/size" 2M
refused EINVAL "$R/disks/d3" open trunc "$vm/disks/vdb.raw"
for size in 0 -1 $'\n' many 10Q; do refused EINVAL "$R/disks/d3" write "$R/disks/d3/size" "$size"; done
ok truncate 5000000 "$vm/disks/vda.raw"
cmp -n 1048576 "$vm/disks/vda.raw" lo.raw || fail "the old bytes"
run truncate -s 4M "$vm/disks/vdb.raw"
same "$(stat -c %s "$R/disks/d3/data.raw")" 4194304 "by truncate(1)"
cmp lo.raw "$R/private/lo/disks/vda.raw" || fail "the image"

# As many as there are letters.
for i in $(seq 5 26); do
        ok mkdir "$R/disks/x$i"
        ok write "$R/disks/x$i/size" 4K
        ok write "$vm/attach" "x$i"
done
same "$(ls "$vm/disks" | wc -l)" 26 "vda to vdz"
refused EBUSY "$vm" write "$vm/attach" d4

tree_contents >before
restart
tree_contents >after
cmp before after || fail "$(diff before after | head)"

# Removing it removes what was made with it, and leaves the disks that were attached.
ok rmdir "$vm"
expect ENOENT stat "$vm"
value "$R/disks/d1/status" available
same "$(dd if="$R/disks/d1/data.raw" bs=1 skip=5000 count=5 status=none)" "on d1" "the disk stays"

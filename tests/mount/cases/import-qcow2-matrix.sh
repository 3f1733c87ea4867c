# SPDX-License-Identifier: MIT
# Every qcow2 that qemu writes comes out as the disk that went in.
# time limit: 300
need qemu-img
start
two_regions
raise_limits
pattern disk.raw 7M 77
truncate -s 20M disk.raw
n=0
one() { # OPTIONS [CONVERT-OPTION…]
        local options=$1 name
        shift
        n=$((n + 1))
        name=q$n
        qemu-img convert -q -O qcow2 ${options:+-o "$options"} "$@" disk.raw "$name.qcow2" 2>err ||
                { echo "note: this qemu-img cannot make $options: $(cat err)"; return; }
        ok mkdir "$R/private/$name"
        ok upload "$name.qcow2" "$R/private/$name/upload"
        settle "$R/private/$name"
        value "$R/private/$name/format" qcow2
        value "$R/private/$name/size" 20971520
        same_checksum "$R/private/$name" disk.raw
        run qemu-img compare -q -f qcow2 -F raw "$name.qcow2" "$R/private/$name/disks/vda.raw"
        rm "$name.qcow2"
}
for cluster in 512 4096 65536 2097152; do
        one "compat=0.10,cluster_size=$cluster"
        one "compat=0.10,cluster_size=$cluster" -c
        one "compat=1.1,cluster_size=$cluster"
        one "compat=1.1,cluster_size=$cluster" -c
        one "compat=1.1,cluster_size=$cluster,compression_type=zstd" -c
done
one "extended_l2=on,cluster_size=131072"
one "lazy_refcounts=on"
one "refcount_bits=1"
one "refcount_bits=64"
one "preallocation=metadata"
one "preallocation=full"

# They are one disk: the blobs are many, their chunks shared.
unique=$(keyed "$MNT/info/store" unique-bytes)
data=$(awk '{ s += $2 } END { print s }' < <("$FSOP" data-runs disk.raw))
[ "$unique" -le "$data" ] || fail "$n images of one disk hold $unique bytes, the disk has $data"

# With snapshots inside: the present state counts.
qemu-img convert -q -O qcow2 disk.raw snap.qcow2
run qemu-img snapshot -c before snap.qcow2
run qemu-io -f qcow2 -c 'write -P 0xab 1M 1M' snap.qcow2 >/dev/null
import_raw "$R/private/snap" snap.qcow2
run qemu-img compare -q -f qcow2 -F raw snap.qcow2 "$R/private/snap/disks/vda.raw"

# Short form, empty disk, odd size.
run qemu-img create -q -f qcow2 empty.qcow2 1G
run cp empty.qcow2 "$R/private/"
settle "$R/private/empty"
value "$R/private/empty/size" 1073741824
same "$(du -k "$R/private/empty/disks/vda.raw" | cut -f 1)" 0 "an empty disk takes nothing"

restart
same_checksum "$R/private/q1" disk.raw
run qemu-img compare -q -f raw -F raw disk.raw "$R/private/q$n/disks/vda.raw"

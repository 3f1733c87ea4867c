# SPDX-License-Identifier: MIT
# copy_file_range(2) inside the mount: from images and disks to disks, sparse as they are.
need python3
start
two_regions
pattern web.raw 12345678 61
import_raw "$R/private/web" web.raw
ok mkdir "$R/private/web/instances/vm"
disk=$R/instances/vm/disks/vda.raw
cp web.raw want.raw
ok pwrite 1000000 "$disk" "by the guest"
printf 'by the guest' | dd of=want.raw bs=1 seek=1000000 conv=notrunc status=none
for d in one two; do
        ok mkdir "$R/disks/$d"
        ok write "$R/disks/$d/size" 12345678
done
one=$R/disks/one/data.raw two=$R/disks/two/data.raw

# An image's disk, over what was there; then an instance's, of which something is in the page cache still.
run dd if=/dev/zero of="$one" bs=1M count=11 conv=notrunc status=none
ok copy-range "$R/private/web/disks/vda.raw" "$one"
same_disk "$one" web.raw
diff <("$FSOP" extents "$one") <("$FSOP" data-runs web.raw) >holes || fail "holes: $(head -n 4 holes)"
run dd if="$two" of=/dev/null bs=1M status=none
ok mmap-put 2000000 "$disk" "mapped"
printf 'mapped' | dd of=want.raw bs=1 seek=2000000 conv=notrunc status=none
ok copy-range "$disk" "$two"
same_disk "$two" want.raw
ok copy-range "$two" "$one"
same_disk "$one" want.raw

# Not past the end of a disk, and not into what never changes.
ok mkdir "$R/disks/small"
ok write "$R/disks/small/size" 5000
expect ENOSPC copy-range "$two" "$R/disks/small/data.raw"
cmp -n 5000 "$R/disks/small/data.raw" want.raw || fail "up to its end"
expect "EROFS|EACCES" copy-range "$two" "$R/private/web/disks/vda.raw"

# A big hole takes no time, and an upload can be fed from a disk.
ok mkdir "$R/disks/big"
ok write "$R/disks/big/size" 8G
ok mkdir "$R/disks/big-2"
ok write "$R/disks/big-2/size" 8G
ok copy-range "$R/disks/big/data.raw" "$R/disks/big-2/data.raw"
same "$(stat -c %b "$R/disks/big-2/data.raw")" 0 "blocks"
# … and is told in 32 bits, whatever the kernel asks for.
python3 -c 'import os, sys; print(os.copy_file_range(*(os.open(p, os.O_RDWR) for p in sys.argv[1:]), 8 << 30, 0, 0))' \
        "$R/disks/big/data.raw" "$R/disks/big-2/data.raw" >copied || fail "in one call"
same "$(cat copied)" $((1 << 30)) "bytes copied in one call"

# Where a run of data ends is looked for once, not for each piece of it: that would take as many reads of the map again.
head -c 128M /dev/urandom >long.raw
import_raw "$R/private/long" long.raw
ok mkdir "$R/disks/long"
ok write "$R/disks/long/size" 128M
reads() {
        awk '/^syscr/ { print $2 }' "/proc/$daemon_pid/io"
}
before=$(reads)
run dd if="$R/private/long/disks/vda.raw" of=/dev/null bs=1M iflag=direct status=none
alone=$(($(reads) - before)) before=$(reads)
ok copy-range "$R/private/long/disks/vda.raw" "$R/disks/long/data.raw"
copying=$(($(reads) - before))
[ "$copying" -lt $((alone + alone / 2)) ] || fail "$copying reads to copy what took $alone to read"

# … nor is for each hole, to discard it, where the data of the base ends, or for each run between them, what is shared.
ok mkdir "$R/private/long/instances/vm-2"
disk=$R/instances/vm-2/disks/vda.raw
discards() {
        local before i
        before=$(reads)
        for ((i = 0; i < 10; i++)); do ok fallocate punch $(($1 + (i << 20))) 4096 "$disk"; done
        echo $(($(reads) - before))
}
# The least of three, since the daemon reads for others, too.
last=$(for at in 118 108 98; do discards $((at << 20)); done | sort -n | head -n 1)
first=$(for at in 0 10 20; do discards $((at << 20)); done | sort -n | head -n 1)
[ "$first" -lt $((last + 120)) ] || fail "$first reads for what took $last at the end of the disk"
python3 -c 'for i in range(2000): print("%28672d" % i + "\0" * 4096, end="")' >holes.raw
import_raw "$R/private/holes" holes.raw
before=$(reads)
ok copy-range "$R/private/holes/disks/vda.raw" "$disk"
copying=$(($(reads) - before))
[ "$copying" -lt 20000 ] || fail "$copying reads to copy 2000 runs"
same_disk <(head -c 65536000 "$disk") holes.raw

ok mkdir "$R/private/fed"
ok copy-range "$two" "$R/private/fed/upload"
settle "$R/private/fed"
same_disk "$R/private/fed/disks/vda.raw" want.raw
restart
same_disk "$one" want.raw
same_disk "$two" want.raw

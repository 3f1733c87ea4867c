# SPDX-License-Identifier: MIT
# disks/*.raw of an instance as files: every way of reading and writing, against a plain file.
start
two_regions
pattern web.raw 6000000 61
import_raw "$R/private/web" web.raw
ok mkdir "$R/private/web/instances/vm"
disk=$R/instances/vm/disks/vda.raw
cp web.raw want.raw
# both OPERATION…: the same on the disk and on the plain file.
both() {
        local args=("$@")
        ok "${args[@]//DISK/$disk}"
        ok "${args[@]//DISK/want.raw}"
}
dd_both() {
        run dd of="$disk" conv=notrunc status=none "$@"
        run dd of=want.raw conv=notrunc status=none "$@"
}

# In the page cache, off the blocks and across them.
for offset in 0 1 4095 4096 999999 5999980; do both pwrite "$offset" DISK "text at $offset"; done
pattern noise 700001 62
dd_both if=noise bs=100001 seek=7
same_disk "$disk" want.raw
# Past the page cache.
run dd if=noise of="$disk" bs=64K count=10 seek=3 oflag=direct conv=notrunc iflag=fullblock status=none
run dd if=noise of=want.raw bs=64K count=10 seek=3 conv=notrunc iflag=fullblock status=none
same_disk "$disk" want.raw
run dd if="$disk" of=direct.raw bs=64K iflag=direct status=none
same_disk direct.raw want.raw
# Mapped.
both mmap-put 4000 DISK "through a mapping, across two pages of the disk"
both mmap-put 3333333 DISK "and another"
same_disk "$disk" want.raw
ok mmap-cmp "$disk" want.raw
dd_both if=noise bs=4096 count=20 seek=100 conv=notrunc,fsync
dd_both if=noise bs=4096 count=20 seek=200 oflag=dsync

# It does not grow by writing.
expect "ENOSPC write" pwrite 6000000 "$disk" x
expect "ENOSPC write" pwrite 99999999 "$disk" x
same "$(stat -c %s "$disk")" 6000000 "size"
ok truncate 7000001 "$disk"
truncate -s 7000001 want.raw
both pwrite 6500000 DISK "in the new part"
same_disk "$disk" want.raw
expect "EINVAL truncate" truncate 100 "$disk"

# Holes: punched and zeroed the bytes are zeros, and whole blocks cost nothing.
both fallocate punch 100000 500000 DISK
both fallocate zero 2000000 300001 DISK
both fallocate punch 5 10 DISK
both fallocate punch 6990000 10001 DISK
both fallocate zero 6500001 4 DISK
same_disk "$disk" want.raw
expect 102400 seek-hole 100000 "$disk"
expect 598016 seek-data 110592 "$disk"
expect EOPNOTSUPP fallocate allocate 0 4096 "$disk"
expect EOPNOTSUPP fallocate collapse 0 4096 "$disk"
expect ENXIO seek-data 7000001 "$disk"
expect ENXIO seek-hole 7000001 "$disk"
expect 6999999 seek-hole 6999999 "$disk"
expect 6500352 seek-hole 6500000 "$disk"
blocks=$(stat -c %b "$disk")
data=$("$FSOP" extents "$disk" | awk '{ s += $2 } END { print s }')
[ $((blocks * 512)) -ge $((data - 4096)) ] || fail "st_blocks $blocks, data $data"

# Locks, as qemu takes them.
ok lock "$disk"
ok write-lock "$disk"
exec 5<>"$disk"
run flock -n 5
fails flock -n "$disk" true
exec 5>&-

# Copies in and out.
run cp --sparse=always "$disk" out.raw
same_disk out.raw want.raw
ok mkdir "$R/disks/d"
ok write "$R/disks/d/size" 7000001
ok copy-range "$disk" "$R/disks/d/data.raw"
same_disk "$R/disks/d/data.raw" want.raw
ok copy-range "$R/private/web/disks/vda.raw" "$R/disks/d/data.raw"
cmp -n 6000000 "$R/disks/d/data.raw" web.raw || fail "from an image's disk"
cmp -i 6000000 "$R/disks/d/data.raw" want.raw || fail "what lies behind it"
cat noise >"$R/disks/d/data.raw" 2>err && fail "a shell's > truncates, which is not for disks"
same_disk "$R/private/web/disks/vda.raw" web.raw

# qemu, with every cache and aio mode.
if command -v qemu-io >/dev/null; then
        for how in none:native none:io_uring none:threads writeback:threads writethrough:threads directsync:native unsafe:threads; do
                qemu-io -t "${how%:*}" -i "${how#*:}" -f raw -c "write -P 7 1M 64K" -c "read -P 7 1M 64K" \
                        -c "write -z -u 2M 64K" -c "read -P 0 2M 64K" -c "discard 3M 64K" -c flush "$disk" >out 2>&1 ||
                        fail "$how: $(tail -n 3 out)"
                grep -qiE 'failed|error' out && fail "$how: $(cat out)"
                value "$R/instances/vm/status" stopped
        done
fi
cp "$disk" last.raw
restart
same_disk "$disk" last.raw

# SPDX-License-Identifier: MIT
# Files that are made first, closed, and opened again for their data, as qemu-img and libvirt do: one import, of the data.
# qemu-img convert used to fail, and with -O raw left an available image of zeros.
need qemu-img jq python3
start
two_regions
raise_limits
pattern disk.raw 24M 73

for format in qcow2 raw vmdk vdi vhdx; do
        ending=$format
        run qemu-img convert -f raw -O $format disk.raw "$R/private/to-$format.$ending"
        settle "$R/private/to-$format"
        run qemu-img compare -q -f raw -F raw disk.raw "$R/private/to-$format/disks/vda.raw"
done
same_checksum "$R/private/to-raw" disk.raw

# Made by one program, which says what it is, and filled by another.
run qemu-img create -q -f qcow2 "$R/private/two.qcow2" 24M
same "$(qemu-img info --output=json "$R/private/two.qcow2" | jq -r '.format, ."virtual-size"' | xargs)" "qcow2 25165824" "info"
run qemu-img convert -n -f raw -O qcow2 disk.raw "$R/private/two.qcow2"
settle "$R/private/two"
same_checksum "$R/private/two" disk.raw
truncate -s 24M "$R/private/dd.raw" || fail "truncate"
run dd if=disk.raw of="$R/private/dd.raw" bs=1M conv=notrunc status=none
settle "$R/private/dd"
same_checksum "$R/private/dd" disk.raw

# Into upload, and read back while it is written; by others, too. Written by who cannot read, it reads as empty.
web=$R/private/web
ok mkdir "$web"
run python3 - "$web/upload" disk.raw <<'END'
import os, sys
fd = os.open(sys.argv[1], os.O_RDWR)
data = open(sys.argv[2], "rb").read()
os.pwrite(fd, data[1 << 20:], 1 << 20)
assert os.pread(fd, 100, 1 << 20) == data[1 << 20:][:100]
assert os.pread(fd, 100, 0) == bytes(100)
os.pwrite(fd, data[:1 << 20], 0)
assert os.fstat(fd).st_size == len(data) == os.lseek(fd, 0, os.SEEK_END), os.fstat(fd)
assert os.pread(fd, 100, len(data)) == b""
assert open(sys.argv[1], "rb").read() == data
END
settle "$web"
same_checksum "$web" disk.raw
plain=$R/private/plain
ok mkdir "$plain"
exec 8>"$plain/upload"
cat disk.raw >&8
same "$(wc -c <"$plain/upload")" 0 "what can only be written"
exec 9<>"$plain/upload"
cat <&9 >got 2>err && fail "what is stored already was read"
[[ $(cat err) == *"resource busy" ]] || fail "$(cat err)"
[[ $(cat "$plain/last-error") == *"can be read when the import is done" ]] || fail "$(cat "$plain/last-error")"
exec 8>&- 9>&-
settle "$plain"
same_checksum "$plain" disk.raw

# Nobody comes back: an empty disk of that size. Or it is removed first, or the library is unmounted.
run qemu-img create -q -f qcow2 "$R/private/empty.qcow2" 3M
run qemu-img create -q -f qcow2 "$R/private/gone.qcow2" 3M
value "$R/private/empty/status" uploading
ok rmdir "$R/private/gone"
settle "$R/private/empty"
value "$R/private/empty/size" 3145728
run qemu-img create -q -f qcow2 "$R/private/last.qcow2" 3M
restart
settle "$R/private/last"
value "$R/private/last/size" 3145728
nothing_incoming

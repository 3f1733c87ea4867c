# SPDX-License-Identifier: MIT
# disks/*.raw as files: every way of reading, and that none writes.
start
two_regions
pattern web.raw 10000001 61
import_raw "$R/private/web" web.raw
disk=$R/private/web/disks/vda.raw
same "$(stat -c '%F %a %s' "$disk")" "regular file 444 10000001" "stat"

# Reading.
same_disk "$disk" web.raw
ok mmap-cmp "$disk" web.raw
truncate -s 9M aligned.raw
pattern aligned.raw 9M 62
import_raw "$R/private/aligned" aligned.raw
run dd if="$R/private/aligned/disks/vda.raw" of=direct.raw bs=64k iflag=direct status=none
same_disk direct.raw aligned.raw
expect ok open direct "$disk"
for offset in 0 1 4095 4096 999999 9999990; do
        cmp -n 70000 -i "$offset" "$disk" web.raw || fail "at $offset"
done
expect 0 read 10000001 10 "$disk"
expect 1 read 10000000 10 "$disk"
ok lock "$disk"

# Sparse, exactly to 4 KiB.
diff <("$FSOP" extents "$disk") <("$FSOP" data-runs web.raw) || fail "extents"
expect ENXIO seek-data 10000001 "$disk"
expect ENXIO seek-hole 10000001 "$disk"
expect ENXIO seek-data 99999999 "$disk"
data=$("$FSOP" data-runs web.raw | awk '{ s += $2 } END { print s }')
blocks=$(stat -c %b "$disk")
[ $((blocks * 512)) -ge "$((data - 4096))" ] && [ $((blocks * 512)) -le $((data + 8192)) ] ||
        fail "st_blocks says $((blocks * 512)), the data are $data"

head -c 64K /dev/urandom >head.raw
truncate -s 1G head.raw
import_raw "$R/private/sparse" head.raw
sparse=$R/private/sparse/disks/vda.raw
end=$("$FSOP" data-runs head.raw | awk 'END { print $1 + $2 }')
expect ENXIO seek-data "$end" "$sparse"
expect "$end" seek-hole $((end - 1)) "$sparse"
[ "$(du -k "$sparse" | cut -f 1)" -le 68 ] || fail "du says $(du -k "$sparse")"

# Copying out, sparse as it is.
run cp --sparse=auto "$sparse" out.raw
same_disk out.raw head.raw
[ "$(du -k out.raw | cut -f 1)" -le 200 ] || fail "the copy is not sparse"
run rsync -aS "$disk" rsynced.raw
same_disk rsynced.raw web.raw

# Writing is EROFS, or what the mode says to who is not root; and the file does not go away.
refusal=EROFS
[ "$(id -u)" = 0 ] || refusal="EROFS|EACCES"
for mode in w rw a trunc; do expect "$refusal" open "$mode" "$disk"; done
expect "$refusal" truncate 0 "$disk"
expect "$refusal" mmap-write "$disk"
expect "EPERM|EROFS" unlink "$disk"
expect "EPERM|EROFS" chmod 644 "$disk"
expect "EPERM|EROFS" rename "$disk" "$R/private/web/disks/vdb.raw"
expect "EPERM|EROFS|EACCES" create "$R/private/web/disks/vdb.raw" x
same_disk "$disk" web.raw

# Open files stay readable when the image goes.
exec 5<"$disk"
ok rmdir "$R/private/web"
cmp /dev/fd/5 web.raw || fail "an open disk changed when its image was deleted"
exec 5<&-

# qemu reads it.
if command -v qemu-img >/dev/null; then
        run qemu-img compare -q -f raw -F raw aligned.raw "$R/private/aligned/disks/vda.raw"
fi

# SPDX-License-Identifier: MIT
# A disk of 100 GiB, IMAGEFS_LARGE_MIB (256) of it data in 16 places: taken in with little memory, handed on without a byte moved.
: "${IMAGEFS_LARGE_MIB:=256}"
start
two_regions
truncate -s 100G large.raw
for i in {0..15}; do
        run dd if=/dev/urandom of=large.raw bs=1M count="$((IMAGEFS_LARGE_MIB / 16))" seek="$((i * 6500))" conv=notrunc status=none
done
large=$R/private/large
ok mkdir "$large"
ok write "$large/type" local
run cp large.raw "$large/upload"
settle "$large"
value "$large/size" 107374182400
same "$(du -k "$large/disks/vda.raw" | cut -f 1)" "$((IMAGEFS_LARGE_MIB / 16 * 16 * 1024))" "data in it"
for i in 0 7 15; do
        run cmp -i "$((i * 6500))M" -n "$((IMAGEFS_LARGE_MIB / 16 + 1))M" large.raw "$large/disks/vda.raw"
done
peak=$(awk '/^VmHWM:/ { print $2 }' "/proc/$daemon_pid/status")
[ "$peak" -lt $((300 << 10)) ] || fail "importing took $peak KiB of memory"

stored=$(keyed "$MNT/info/store" stored-bytes)
ok write "$large/convert" "cloud cloudy"
settle "$large"
settle "$R/private/cloudy"
ok mkdir "$R/private/cloudy/copies/cn-east-2"
settle "$R2/private/cloudy"
ok mkdir "$R2/private/cloudy/instances/vm"
same "$(keyed "$MNT/info/store" stored-bytes)" "$stored" "bytes stored"
for image in "$R/private/cloudy" "$R2/private/cloudy"; do
        same "$(cat "$image/checksum")" "$(cat "$large/checksum")" "checksum of $image"
done
run cmp -i 6500M -n 8M large.raw "$R2/instances/vm/disks/vda.raw"

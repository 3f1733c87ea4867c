# SPDX-License-Identifier: MIT
# Random operations on an instance's disk, by the page cache, past it and mapped, held against memory; snapshots, growth
# and remounts between. IMAGEFS_TEST_COUNT makes it more operations than 8000; IMAGEFS_CASE_SECONDS gives them time.
disk_stress
count=${IMAGEFS_TEST_COUNT:-8000}
start
two_regions
raise_limits
pattern web.raw 6M 61
import_raw "$R/private/web" web.raw
ok mkdir "$R/private/web/instances/vm"
vm=$R/instances/vm
disk=$vm/disks/vda.raw
cp web.raw want.raw
size=6291456
rounds=$((count / 10000 < 8 ? 8 : count / 10000))
for ((i = 0; i < rounds; i++)); do
        run "$STRESS" run "$disk" want.raw $((SEED * 1000 + i)) $((count / rounds))
        case $((i % 4)) in
        0) restart ;;
        1)
                ok mkdir "$vm/images/made-$i"
                settle "$R/private/made-$i"
                same_disk "$R/private/made-$i/disks/vda.raw" want.raw
                ;;
        2)
                # as a clone of what was made of it; the clone before goes
                ok rmdir "$vm"
                ok mkdir "$R/private/made-$((i - 1))/instances/vm"
                [ "$i" -lt 6 ] || ok rmdir "$R/private/made-$((i - 5))"
                cp "$R/private/made-$((i - 1))/disks/vda.raw" want.raw
                ;;
        3)
                [ $((i % 8)) = 3 ] || continue
                size=$((size < 30000000 ? size + 1234567 : size))
                ok truncate "$size" "$disk"
                truncate -s "$size" want.raw
                ;;
        esac
        same_disk "$disk" want.raw
done

# SPDX-License-Identifier: MIT
# kill -9 of the daemon: what was synced to a disk is there, in each of the ways to sync.
start
two_regions
pattern web.raw 2M 61
import_raw "$R/private/web" web.raw
ok mkdir "$R/private/web/instances/vm"
disk=$R/instances/vm/disks/vda.raw
cp web.raw want.raw
pattern noise 256K 63
at=0

for how in conv=notrunc,fsync conv=notrunc,fdatasync "conv=notrunc oflag=dsync" "conv=notrunc oflag=direct,sync"; do
        for i in 1 2; do
                at=$((at + 37))
                # shellcheck disable=SC2086
                run dd if=noise of="$disk" bs=4096 count=32 seek="$at" $how status=none
                dd if=noise of=want.raw bs=4096 count=32 seek="$at" conv=notrunc status=none
                crash
                start
                cmp -n $(((at + 32) * 4096)) "$disk" want.raw || fail "$how: lost at $at"
        done
done
# Not synced: the old or the new, nothing else; and what was synced before stays.
run dd if=noise of="$disk" bs=4096 count=32 seek=400 conv=notrunc status=none
crash
start
cmp -n $((400 * 4096)) "$disk" want.raw || fail "what was synced"
# Punched, grown, synced.
ok fallocate punch 0 8192 "$disk"
ok truncate 3M "$disk"
run sync "$disk"
crash
start
same "$(stat -c %s "$disk")" 3145728 "size"
same "$(head -c 8192 "$disk" | tr -d '\0' | wc -c)" 0 "punched"

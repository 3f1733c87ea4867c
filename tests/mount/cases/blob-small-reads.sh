# SPDX-License-Identifier: MIT
# A small read gives the kernel the whole chunk, and the right bytes; a daemon that is stopped under such readers ends.
need fincore
start
two_regions
web=$R/private/web disk=$R/private/web/disks/vda.raw
head -c 32M /dev/urandom >disk.raw
import_raw "$web" disk.raw
more_than_read() { [ "$(fincore -b -n -r -o RES "$disk")" -gt 4096 ]; }

# A block in the middle: the kernel asks for that one alone.
dd if="$disk" of=block bs=4k skip=1003 count=1 status=none
until_true 10 more_than_read || fail "only the block that was read is in the page cache"
same_disk disk.raw "$disk" # what came that way is what was stored

for _ in 1 2 3 4 5; do
        readers=()
        for _ in 1 2 3 4; do
                (while dd if="$disk" of=/dev/null bs=4k skip=$((RANDOM % 8192)) count=1; do :; done) >/dev/null 2>&1 &
                readers+=($!)
        done
        sleep 0.2
        kill -TERM "$daemon_pid"
        _reap "$daemon_pid" 10 || fail "the daemon gave status $?"
        for reader in "${readers[@]}"; do
                wait "$reader"
        done
        start
        same_disk disk.raw "$disk"
done

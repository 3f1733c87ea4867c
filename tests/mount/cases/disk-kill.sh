# SPDX-License-Identifier: MIT
# kill -9 of the daemon under a writer: what it was told to be synced is there, and nothing that it never wrote.
# IMAGEFS_KILLS makes it more often than five times.
disk_stress
start
two_regions
pattern web.raw 3M 64
import_raw "$R/private/web" web.raw
ok mkdir "$R/private/web/instances/vm"
disk=$R/instances/vm/disks/vda.raw
cp web.raw before.raw

# Something was.
synced() {
        [ "$(od -An -tu8 synced.log 2>/dev/null | tr -d ' ')" ]
}

for ((i = 0; i < ${IMAGEFS_KILLS:-5}; i++)); do
        rm -f synced.log
        "$STRESS" write "$disk" synced.log $((SEED + i)) 2>writer.err &
        writer=$!
        until_true 20 synced || fail "nothing was synced: $(cat writer.err)"
        sleep "0.$((RANDOM % 3))"
        crash
        until_true 20 _ended "$writer" || fail "the writer goes on without a daemon"
        wait "$writer" || fail "the writer: $(cat writer.err)"
        start
        run "$STRESS" verify "$disk" before.raw synced.log $((SEED + i))
        cp "$disk" before.raw
done
restart
same_disk "$disk" before.raw
same_disk "$R/private/web/disks/vda.raw" web.raw

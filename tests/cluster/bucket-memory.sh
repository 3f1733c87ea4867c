# SPDX-License-Identifier: MIT
# Memory with a hundred images of a region in a bucket open, and read all at once, with nothing of them kept here yet: 300 MiB at the most,
# also where each request takes a tenth of a second.
# time limit: 600
# shellcheck source=tests/mount/lib/s3.sh
. "$lib/s3.sh"
grep -q libcurl <(ldd "$IMAGEFS") || skip "built without libcurl"
bucket
start
two_regions
raise_limits
ok write "$R2/store" "$FAR"
for ((i = 0; i < 100; i++)); do
        pattern "$i.raw" 6M $((i + 100))
        ok mkdir "$R2/private/n$i"
        ok upload "$i.raw" "$R2/private/n$i/upload"
done
for ((i = 0; i < 100; i++)); do settle "$R2/private/n$i"; done
for how in "" "slow GET some/where/segments/"; do
        bucket_does "$how"
        restart -o cache-disk=0
        readers=()
        for ((i = 0; i < 100; i++)); do
                cmp "$R2/private/n$i/disks/vda.raw" "$i.raw" &
                readers+=($!)
        done
        for reader in "${readers[@]}"; do wait "$reader" || fail "read something else"; done
        peak=$(awk '/^VmHWM:/ { print $2 }' "/proc/$daemon_pid/status")
        echo "note: 100 images read at once: $((peak / 1024)) MiB of memory ${how%% *}"
        [ "$peak" -le $((300 << 10)) ] || fail "$peak KiB of memory"
done

# SPDX-License-Identifier: MIT
# kill -9 while an import runs, of a raw disk, which is stored while it comes, or of a qcow2, which is a file first: what was
# accepted is finished at the next mount or ends in error with a reason, what was there is there, and nothing is half
# there.
# time limit: 200
kills=${IMAGEFS_KILLS:-5}
. "$lib/crash.sh"
start
two_regions
raise_limits
pattern kept.raw 3M 1
import_raw "$R/private/kept" kept.raw
for ((i = 1; i <= kills; i++)); do
        pattern disk.raw 24M $((1000 + i))
        sum=$(xxh disk.raw)
        file=disk.raw
        if ((i % 2)); then
                file=disk.qcow2
                run qemu-img convert -O qcow2 disk.raw disk.qcow2
        fi
        ok mkdir "$R/private/i$i"
        ok upload "$file" "$R/private/i$i/upload" # accepted
        crash_within 250
        start
        timeout 60 cat "$R/private/i$i/wait" >/dev/null 2>&1
        case $(cat "$R/private/i$i/status") in
        available)
                value "$R/private/i$i/checksum" "$sum  disks/vda.raw"
                same_disk "$R/private/i$i/disks/vda.raw" disk.raw
                same_disk "$R/snapshots/i$i/data.raw" disk.raw
                ;;
        error)
                [[ $(cat "$R/private/i$i/error") == *' '* ]] || fail "kill $i: no reason"
                expect ENOENT stat "$R/snapshots/i$i"
                ;;
        *) fail "kill $i: status $(cat "$R/private/i$i/status")" ;;
        esac
        same_checksum "$R/private/kept" kept.raw
        quota_is_true "$R"
        remove_image "$R" "i$i"
        between_kills
done
store_gives_back kept.raw cloud

# SPDX-License-Identifier: MIT
# shellcheck shell=bash disable=SC2154,SC2034
# What is done under a kill or an error at the nth call of the daemon: each verb once. Each step's answer is noted, and what was
# acknowledged must be there afterwards. For a case: scenario_begin; then, as often as it likes, scenario_disk, steps,
# scenario_holds, scenario_sweep.

. "$lib/crash.sh"

scenario_begin() {
        need xxhsum
        start
        two_regions
        raise_limits
        mkdir other
        ok write "$R2/store" "$WORK/other"
        pattern kept.raw 2M 1
        import_raw "$R/private/kept" kept.raw
        ok write "$R/private/kept/description" "kept"
        lo=$R/private/lo
}

# scenario_disk SEED: what is imported next.
scenario_disk() {
        pattern disk.raw 3M "$1"
        : >answers
}

steps() {
        local answer name args
        while read -r name args; do
                # shellcheck disable=SC2086
                answer=$(timeout -k 1 60 "$FSOP" $args 2>/dev/null)
                echo "$name ${answer:-none}" >>answers
                case $name in
                upload) await "$name" "$lo" ;;
                convert) await "$name" "$lo-cloud" ;;
                copy) await "$name" "$R2/private/lo-cloud" ;;
                capture) await "$name" "$R/private/made" ;;
                esac
        done <<STEPS
mkdir mkdir $lo
type write $lo/type local
upload upload disk.raw $lo/upload
convert write $lo/convert cloud
copy mkdir $lo-cloud/copies/cn-east-2
machine mkdir $R/private/kept/instances/vm
bytes pwrite 4096 $R/instances/vm/disks/vda.raw written
volume mkdir $R/disks/vol
size write $R/disks/vol/size 4M
attach write $R/instances/vm/attach vol
capture mkdir $R/instances/vm/images/made
detach write $R/instances/vm/detach vdb
snapshot mkdir $R/disks/vol/snapshots/shot
rename rename $R/disks/vol $R/disks/moved
delete rmdir $lo
destroy rmdir $R/recycle/lo
STEPS
}
acked() { grep -qx "$1 ok" answers; }
# Also notes what work did not come to a good end, or to none yet: where a disk is full, it waits for room.
await() {
        timeout -k 1 8 cat "$2/wait" >/dev/null 2>&1 || echo "$1-work failed" >>answers
}

# work_ends WHERE
work_ends() {
        local image
        for image in "$R"/private/*/ "$R2"/private/*/; do
                [ -d "$image" ] || continue
                timeout -k 1 60 cat "${image}wait" >/dev/null 2>&1
                [ $? -lt 124 ] || fail "$1: ${image}wait does not come back: $(cat "${image}status")"
        done
}

# scenario_calls CALLS: how many of these a thread makes when nothing befalls it.
scenario_calls() {
        strace -f -qq -o trace -p "$daemon_pid" -e trace="$1" 2>strace.err &
        slow_pid=$!
        until_true 5 _traced || skip "strace cannot attach: $(tail -n 1 strace.err)"
        scenario_disk 999
        steps
        fast_disk
        ! grep -qv ' ok$' answers || fail "refused: $(grep -v ' ok$' answers)"
        awk '{ n[$1]++ } END { for (p in n) if (n[p] > max) max = n[p]; print max + 0 }' trace
}

# scenario_holds WHERE [may-fail]: tasks have come to their end, and what was acknowledged is there; with may-fail, work that
# was accepted may have ended in error, with a reason.
scenario_holds() {
        local where=$1 may_fail=${2:-} image
        work_ends "$where"
        for image in "$R"/private/*/ "$R2"/private/*/; do
                [ -d "$image" ] || continue
                [[ $(cat "${image}status") == @(queued|available|error) ]] || fail "$where: $image is $(cat "${image}status")"
                [ "$(cat "${image}status")" != error ] || [[ $(cat "${image}error") == *' '* ]] || fail "$where: no reason in $image"
        done
        if acked mkdir; then
                [ -d "$lo" ] || [ -d "$R/recycle/lo" ] || grep -q '^destroy' answers || fail "$where: an image is gone"
        fi
        if acked type && [ -d "$lo" ]; then value "$lo/type" local; fi
        if acked upload && [ -d "$lo" ]; then
                [ "$(cat "$lo/status")" != queued ] || fail "$where: an accepted upload is forgotten"
        fi
        [ ! -e "$lo/disks/vda.raw" ] || same_disk "$lo/disks/vda.raw" disk.raw
        if acked convert; then [ -d "$lo-cloud" ] || [ "$may_fail" ] || fail "$where: an accepted conversion is gone"; fi
        if acked copy; then
                if [ "$may_fail" ] && [ "$(cat "$lo-cloud/copies/cn-east-2/status")" = error ]; then
                        [[ $(cat "$lo-cloud/copies/cn-east-2/error") == *' '* ]] || fail "$where: a copy failed without a reason"
                else
                        value "$lo-cloud/copies/cn-east-2/status" "done"
                        same_disk "$R2/private/lo-cloud/disks/vda.raw" disk.raw
                fi
        fi
        [ ! -e "$lo-cloud/disks/vda.raw" ] || same_disk "$lo-cloud/disks/vda.raw" disk.raw
        if acked machine; then [ -d "$R/instances/vm" ] || fail "$where: a machine is gone"; fi
        if acked bytes; then
                same "$(dd if="$R/instances/vm/disks/vda.raw" bs=4096 skip=1 count=1 status=none | head -c 7)" written \
                        "$where: what a machine wrote"
        fi
        if acked volume; then [ -d "$R/disks/vol" ] || [ -d "$R/disks/moved" ] || fail "$where: a disk is gone"; fi
        if acked rename; then [ -d "$R/disks/moved" ] || fail "$where: a disk has its old name"; fi
        if acked size && [ -d "$R/disks/vol" ]; then value "$R/disks/vol/size" 4194304; fi
        if acked attach && ! grep -q '^detach' answers; then value "$R/disks/vol/status" in-use; fi
        if acked detach; then value "$(ls -d "$R"/disks/vol "$R"/disks/moved 2>/dev/null)/status" available; fi
        if acked snapshot; then
                [ -d "$R/snapshots/shot" ] || [ "$may_fail" ] || fail "$where: a snapshot is gone"
        fi
        if acked capture; then
                [ -d "$R/private/made" ] || fail "$where: an accepted image of a machine is gone"
                [ "$may_fail" ] || value "$R/private/made/status" available
        fi
        if acked capture && acked bytes && [ -e "$R/private/made/disks/vda.raw" ]; then
                same_disk "$R/private/made/disks/vda.raw" "$R/instances/vm/disks/vda.raw"
        fi
        if acked delete; then [ ! -d "$lo" ] || fail "$where: deleted and there"; fi
        if acked destroy; then [ ! -d "$R/recycle/lo" ] || fail "$where: destroyed and there"; fi
        value "$R/private/kept/description" kept
        same_disk "$R/private/kept/disks/vda.raw" kept.raw
        quota_is_true "$R"
        quota_is_true "$R2"
}

# Of the scenario nothing is left, nor anything in its way.
scenario_sweep() {
        local image dir
        for dir in "$R"/instances/vm "$R"/disks/vol "$R"/disks/moved; do
                [ ! -d "$dir" ] || ok rmdir "$dir"
        done
        for image in "$lo-cloud" "$lo" "$R2/private/lo-cloud" "$R/private/made"; do
                [ ! -d "$image" ] || remove_image "$(dirname "$(dirname "$image")")" "$(basename "$image")"
        done
        for image in "$R/recycle/lo" "$R/recycle/lo-cloud" "$R2/recycle/lo-cloud" "$R/recycle/made"; do
                [ ! -d "$image" ] || ok rmdir "$image"
        done
        for dir in "$R/snapshots"/*; do
                [ ! -d "$dir" ] || [ "$dir" = "$R/snapshots/kept" ] || ok rmdir "$dir"
        done
        same "$(ls "$R/private") $(ls "$R/recycle") $(ls "$R/snapshots") $(cd "$R2" && ls private recycle snapshots | grep -c lo)" \
                "kept  kept 0" "something is left"
        same "$(ls "$R/instances" "$R/disks" | grep -v :)" "" "something is left"
}

# SPDX-License-Identifier: MIT
# SIGKILL at the n-th write, sync or change of a name that a thread of the daemon makes, for n = 1, 1 + step …: import, conversion,
# copy, deletion. IMAGEFS_KILLS many, spread over the run; with hundreds every call is met.
# time limit: 300
need strace
kills=${IMAGEFS_KILLS:-12}
. "$lib/crash.sh"
calls=pwrite64,write,pwritev,fsync,fdatasync,rename,renameat,renameat2,unlink,unlinkat,ftruncate,fallocate,copy_file_range

start
two_regions
raise_limits
mkdir other
ok write "$R2/store" "$WORK/other"
pattern kept.raw 2M 1
import_raw "$R/private/kept" kept.raw
ok write "$R/private/kept/description" "kept"

# What is done under the kill; each step's answer is noted, since what was acknowledged must be there.
steps() {
        local answer name args
        while read -r name args; do
                # shellcheck disable=SC2086
                answer=$(timeout -k 1 20 "$FSOP" $args 2>/dev/null)
                echo "$name ${answer:-none}" >>answers
                [ "$name" != upload ] || timeout -k 1 20 cat "$R/private/lo/wait" >/dev/null 2>&1
                [ "$name" != copy ] || timeout -k 1 20 cat "$R2/private/lo-cloud/wait" >/dev/null 2>&1
        done <<STEPS
mkdir mkdir $R/private/lo
type write $R/private/lo/type local
upload upload disk.raw $R/private/lo/upload
convert write $R/private/lo/convert cloud
copy mkdir $R/private/lo-cloud/copies/cn-east-2
delete rmdir $R/private/lo
destroy rmdir $R/recycle/lo
STEPS
}
acked() { grep -qx "$1 ok" answers; }

# How many calls a thread makes when nobody kills it: the range to spread the kills over.
count_calls() {
        strace -f -qq -o trace -p "$daemon_pid" -e trace="$calls" 2>strace.err &
        slow_pid=$!
        until_true 5 _traced || skip "strace cannot attach: $(tail -n 1 strace.err)"
        pattern disk.raw 3M 999
        : >answers
        steps
        fast_disk
        awk '{ n[$1]++ } END { for (p in n) if (n[p] > max) max = n[p]; print max }' trace
}
sweep() {
        for image in "$R/private/lo-cloud" "$R/private/lo" "$R2/private/lo-cloud"; do
                [ ! -d "$image" ] || remove_image "$(dirname "$(dirname "$image")")" "$(basename "$image")"
        done
        for image in "$R/recycle/lo" "$R/recycle/lo-cloud" "$R2/recycle/lo-cloud"; do
                [ ! -d "$image" ] || ok rmdir "$image"
        done
        same "$(ls "$R/private") $(ls "$R/recycle") $(ls "$R/snapshots") $(cd "$R2" && ls private recycle snapshots | grep -c lo)" \
                "kept  kept 0" "something is left"
}
most=$(count_calls)
sweep
step=$(((most + kills - 1) / kills))
met=0
for ((n = 1, i = 1; n <= most; n += step, i++)); do
        pattern disk.raw 3M $((5000 + n))
        : >answers
        strace -f -qq -o trace -p "$daemon_pid" -e trace="$calls" -e inject="$calls:signal=SIGKILL:when=$n" 2>strace.err &
        slow_pid=$!
        until_true 5 _traced || fail "strace cannot attach: $(tail -n 1 strace.err)"
        steps
        fast_disk
        if _ended "$daemon_pid"; then
                met=$((met + 1))
                { _reap "$daemon_pid"; } 2>/dev/null
                start
        fi

        # Tasks have come to their end, and what was acknowledged is there.
        for image in "$R"/private/*/ "$R2"/private/*/; do
                [ -d "$image" ] || continue
                timeout 60 cat "${image}wait" >/dev/null 2>&1
                [[ $(cat "${image}status") == @(queued|available|error) ]] || fail "call $n: $image is $(cat "${image}status")"
                [ "$(cat "${image}status")" != error ] || [[ $(cat "${image}error") == *' '* ]] || fail "call $n: no reason in $image"
        done
        lo=$R/private/lo
        if acked mkdir; then
                [ -d "$lo" ] || [ -d "$R/recycle/lo" ] || grep -q '^destroy' answers || fail "call $n: an image is gone"
        fi
        if acked type && [ -d "$lo" ]; then value "$lo/type" local; fi
        if acked upload && [ -d "$lo" ]; then
                [ "$(cat "$lo/status")" != queued ] || fail "call $n: an accepted upload is forgotten"
        fi
        [ ! -e "$lo/disks/vda.raw" ] || same_disk "$lo/disks/vda.raw" disk.raw
        if acked convert; then [ -d "$R/private/lo-cloud" ] || fail "call $n: an accepted conversion is gone"; fi
        if acked copy; then
                value "$R/private/lo-cloud/copies/cn-east-2/status" "done"
                same_disk "$R2/private/lo-cloud/disks/vda.raw" disk.raw
        fi
        [ ! -d "$R/private/lo-cloud" ] || same_disk "$R/private/lo-cloud/disks/vda.raw" disk.raw
        if acked delete; then [ ! -d "$lo" ] || fail "call $n: deleted and there"; fi
        if acked destroy; then [ ! -d "$R/recycle/lo" ] || fail "call $n: destroyed and there"; fi
        value "$R/private/kept/description" kept
        same_disk "$R/private/kept/disks/vda.raw" kept.raw
        quota_is_true "$R"
        quota_is_true "$R2"
        sweep
        between_kills
done
echo "note: $met kills at one of up to $most calls"
[ "$met" -gt 0 ] || fail "nothing was killed"

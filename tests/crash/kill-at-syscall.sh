# SPDX-License-Identifier: MIT
# SIGKILL at the n-th write, sync or change of a name that a thread of the daemon makes, for n = 1, 1 + step …, while it does
# what scenario.sh tells; and once more at the m-th of those that the next mount makes. IMAGEFS_KILLS many, spread over the
# run; with hundreds every call is met.
# time limit: 300
need strace
kills=${IMAGEFS_KILLS:-12}
calls=pwrite64,write,pwritev,fsync,fdatasync,rename,renameat,renameat2,unlink,unlinkat,ftruncate,fallocate,copy_file_range
. "$lib/scenario.sh"

# start_killed M: a start that is killed at its M-th call, wherever that is, if it comes so far.
start_killed() {
        { # the shell, too, says that it was killed
                strace -f -qq -o trace -e trace="$calls" -e inject="$calls:signal=SIGKILL:when=$1" \
                        "$IMAGEFS" "$STORE" "$MNT" -f
        } >>daemon.log 2>&1 &
        daemon_pid=$!
        until_true 20 _started || fail "neither mounted nor killed after 20 seconds"
        if _mounted; then
                for image in "$R"/private/*/ "$R2"/private/*/; do
                        timeout 5 cat "${image}wait" >/dev/null 2>&1
                done
                until_true 10 unmount "$MNT" || fail "cannot unmount"
        fi
        { _reap "$daemon_pid"; } 2>/dev/null
        ! grep -q 'killed by SIGKILL' trace || again=$((again + 1))
}

scenario_begin
most=$(scenario_calls "$calls")
scenario_sweep
step=$(((most + kills - 1) / kills))
met=0 again=0
for ((n = 1, i = 1; n <= most; n += step, i++)); do
        scenario_disk $((5000 + n))
        strace -f -qq -o trace -p "$daemon_pid" -e trace="$calls" -e inject="$calls:signal=SIGKILL:when=$n" 2>strace.err &
        slow_pid=$!
        until_true 5 _traced || fail "strace cannot attach: $(tail -n 1 strace.err)"
        steps
        fast_disk
        if _ended "$daemon_pid"; then
                met=$((met + 1))
                { _reap "$daemon_pid"; } 2>/dev/null
                start_killed $((1 + RANDOM % 24))
                start
        fi
        scenario_holds "call $n"
        scenario_sweep
        between_kills
done
echo "note: $met kills at one of up to $most calls, $again at one of the next mount's"
[ "$met" -gt 0 ] || fail "nothing was killed"

# SPDX-License-Identifier: MIT
# The n-th call of the daemon's fails, or so do the hundred after it, while it does what scenario.sh tells: nobody is answered
# something else than that error, nobody waits for ever once the errors end, the daemon lives, ends well, and afterwards all
# that was acknowledged is there. IMAGEFS_ERRORS many, spread over the errors, calls and n.
# time limit: 300
need strace
errors=${IMAGEFS_ERRORS:-10}
. "$lib/scenario.sh"

# ERROR CALLS ANSWERS: what fails so, and what may be answered then, beside ok.
changing=pwrite64,pwritev,fallocate,ftruncate,mkdirat,renameat,renameat2,linkat,copy_file_range
kinds=(
        "EIO    $changing,pread64,preadv,fsync,fdatasync,unlinkat,openat,fstat,getdents64  EIO|EROFS"
        "ENOSPC $changing                       ENOSPC"
        "EDQUOT $changing                       EDQUOT|ENOSPC"
        "EMFILE openat,pipe2,socket,memfd_create,dup,fcntl EMFILE"
        "ENOMEM mmap,mremap,mprotect,clone3,clone          ENOMEM" # brk(2) has no errors, only addresses
)

scenario_begin
declare -A most
for kind in "${kinds[@]}"; do
        read -r error calls _ <<<"$kind"
        most[$error]=$(scenario_calls "$calls")
        scenario_sweep
done
rounds=$(((errors + 2 * ${#kinds[@]} - 1) / (2 * ${#kinds[@]})))
met=0
for ((i = 0; i < errors; i++)); do
        read -r error calls answers <<<"${kinds[i % ${#kinds[@]}]}"
        step=$(((${most[$error]} + rounds - 1) / rounds))
        n=$((1 + i / (2 * ${#kinds[@]}) * step + RANDOM % step))
        # A hundred are all that come, but for memory, which malloc asks for in four ways each time.
        [ $((i / ${#kinds[@]} % 2)) = 0 ] || n+=..$((n + 100))
        scenario_disk $((7000 + i))
        strace -f -qq -o trace -p "$daemon_pid" -e trace="$calls" -e inject="$calls:error=$error:when=$n" 2>strace.err &
        slow_pid=$!
        until_true 5 _traced || fail "strace cannot attach: $(tail -n 1 strace.err)"
        steps
        fast_disk
        where="$error at call $n"
        ! _ended "$daemon_pid" || fail "$where: the daemon is gone"
        ! grep none answers || fail "$where: no answer after 60 seconds"
        first=$(grep -m 1 -v ' ok$' answers)
        [[ -z $first || $first == *" "@($answers)" "* || $first == *-work\ failed ]] || fail "$where: $first"
        ! grep -q INJECTED trace || met=$((met + 1))
        work_ends "$where"
        stop
        # An index that could not be read is made again at the next start.
        [ "$error" != EIO ] || [ -z "$(find "$STORE" -name index.stale)" ] || { start && stop; }
        check_store
        start
        scenario_holds "$where" may-fail
        scenario_sweep
done
echo "note: $met errors at one of up to ${most[*]} calls"
[ "$met" -gt 0 ] || fail "nothing failed"

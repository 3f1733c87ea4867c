# SPDX-License-Identifier: MIT
# changed/OTHER: where two snapshots differ; not listed, and right to the block.
need strace python3
start
two_regions
cloud_image one 5M 1
cp one.raw two.raw
printf 'changed' | dd of=two.raw bs=1 seek=1000000 conv=notrunc status=none
head -c 300000 /dev/urandom | dd of=two.raw bs=4096 seek=700 conv=notrunc status=none
dd if=/dev/zero of=two.raw bs=4096 seek=20 count=9 conv=notrunc status=none
import_raw "$R/private/two" two.raw
one=$R/snapshots/one two=$R/snapshots/two
same "$(ls -a "$one" | grep -c '^changed$')" 0 "changed is not listed"
same "$(ls "$one/changed")" "" "changed lists nothing"

same "$(cat "$one/changed/two")" "$("$FSOP" diff-runs one.raw two.raw)" "changed"
same "$(cat "$two/changed/one")" "$("$FSOP" diff-runs one.raw two.raw)" "the other way round"
same "$(wc -c <"$one/changed/one")" 0 "nothing differs from itself"
same "$(stat -c %s "$one/changed/two")" "$(wc -c <"$one/changed/two")" "its size"
expect ENOENT stat "$one/changed/nothing"
expect "EPERM|EACCES" open w "$one/changed/two"

# Of two sizes: what one has beyond the other's end is different.
cp one.raw three.raw
truncate -s 6M three.raw
printf 'tail' | dd of=three.raw bs=1 seek=6000000 conv=notrunc status=none
import_raw "$R/private/three" three.raw
same "$(cat "$one/changed/three")" "5242880 1048576" "the tail"
restart
same "$(cat "$one/changed/two")" "$("$FSOP" diff-runs one.raw two.raw)" "after a remount"

# Comparing takes its time where little is shared. A few do it at once, and everybody else is answered meanwhile; whoever
# gives up is gone at once.
cloud_image four 1M 4
cloud_image apart 5M 7
apart=$R/snapshots/apart

# Each piece of a disk takes that long to read, until fast_disk.
slow_segments() {
        local segment only=()
        while read -r segment; do
                only+=(-P "$segment")
        done < <(find "$STORE" -name '*.seg')
        strace -f -qq -o strace.log -p "$daemon_pid" "${only[@]}" -e trace=pread64 \
                -e inject=pread64:delay_enter=200000 2>strace.err &
        slow_pid=$!
        until_true 5 _traced || skip "strace cannot attach: $(tail -n 1 strace.err)"
}
slow_segments
comparing=()
for snapshot in one two three four apart; do
        [ $snapshot = apart ] && other=one || other=apart
        "$FSOP" stat "$R/snapshots/$snapshot/changed/$other" >"answer.$snapshot" 2>&1 &
        comparing+=($!)
done
until_true 10 test -s strace.log || fail "nothing is read"
same "$(ls "$R/snapshots" | wc -l)" 5 "a listing meanwhile"
kill -KILL "${comparing[@]}" 2>/dev/null
for pid in "${comparing[@]}"; do
        { until_true 2 _ended "$pid"; } 2>/dev/null || fail "a comparison goes on when nobody waits for it"
done
fast_disk
same "$(cat "$apart/changed/one")" "$("$FSOP" diff-runs apart.raw one.raw)" "after all that"

# Who has it open is told what it is, and nothing is compared for that again, which it cannot be any more.
run python3 - "$one/changed/three" "$R/private/three" "$R/recycle/three" <<'END'
import os, sys
fd = os.open(sys.argv[1], os.O_RDONLY)
os.rmdir(sys.argv[2])
os.rmdir(sys.argv[3])
assert os.fstat(fd).st_size == 16, os.fstat(fd).st_size
assert os.read(fd, 100) == b"5242880 1048576\n"
END
expect ENOENT stat "$one/changed/three"

# Nor does the daemon wait for one when it is to stop.
slow_segments
"$FSOP" stat "$one/changed/apart" >answer 2>&1 &
asked=$!
until_true 10 test -s strace.log || fail "nothing is read"
kill -TERM "$daemon_pid"
ended() { _ended "$daemon_pid" || grep -q '^State:[[:space:]]*Z' "/proc/$daemon_pid/status"; } # strace holds it still
until_true 4 ended || fail "a comparison keeps the daemon"
fast_disk
_reap "$daemon_pid" || fail "status $?"
wait "$asked"

# SPDX-License-Identifier: MIT
# Who opens a disk and closes copies of it in a loop is answered in turn, and so leaves the processors to others. What was written
# is there all the same.
. "$lib/users.sh"
A=12001
users $A
start -o allow_other
two_regions
pattern web.raw 4M 5
import_raw "$R2/public/web" web.raw
as $A mkdir "$R2/public/web/instances/vm" || fail "no machine"
disk=$R2/instances/vm/disks/vda.raw
in_turn() { sed -n 's/^imagefs_requests_in_turn_total //p' "$MNT/info/metrics"; }
closing() { # TIMES: copies of the disk, each closed; a byte is written before every hundredth
        as $A bash -c 'exec 4<>"$1"
                for ((i = 0; i < $2; i++)); do
                        ((i % 100)) || printf x >&4
                        exec 5>&4 5>&-
                done' - "$disk" "$1"
}

before=$(in_turn)
for i in {1..10}; do
        as $A cat "$R2/instances/vm/status" >/dev/null || fail "no status"
        sleep 0.1 # nobody is slowed who does what a shell does
done
same "$(in_turn)" "$before" "of who asked for little"

closing 20000 &
pid=$!
_some() { [ "$(in_turn)" -gt $((before + 100)) ]; }
until_true 60 _some || fail "nothing was answered in turn, of $(grep 'request="flush"' "$MNT/info/metrics")"
wait $pid || fail "closing failed"
same "$(head -c 200 "$disk" | tr -d x | wc -c)" 0 "what was written"

# Killed and unmounted in the middle of it: nothing hangs, and nothing is lost.
before=$(in_turn)
closing 100000000 &
pid=$!
until_true 60 _some
pkill -KILL -u $A bash
wait $pid && fail "it was killed"
stop
check_store

# SPDX-License-Identifier: MIT
# While a copy runs: what is seen, what is refused, what cancelling leaves.
start
two_regions
mkdir other
ok write "$R2/store" "$WORK/other"
ok mkdir "$MNT/regions/third"
cloud_image web 12M
web=$R/private/web

slow_disk 40
ok mkdir "$web/copies/cn-east-2"
copy=$web/copies/cn-east-2
replica=$R2/private/web
value "$copy/status" running
[[ $(cat "$replica/status") == @(pending|replicating) ]] || fail "the replica is $(cat "$replica/status")"
[ "$(keyed "$replica/progress" percent)" -lt 100 ] || fail "100 % of a running copy"
same "$(used "$R2" private-images) $(used "$R2" snapshots)" "1 1" "accepted work counts at once"
value "$web/used-by" "task $(basename "$(task_of "$web" copy)")"

# The source: not deleted, not copied again; all else works.
expect EBUSY rmdir "$web"
[[ $(cat "$web/last-error") == *"web is being copied to cn-east-2: wait for it (cat wait), or cancel it with rmdir /tasks/task-"* ]] ||
        fail "$(cat "$web/last-error")"
expect EBUSY mkdir "$web/copies/third"
expect EEXIST mkdir "$copy"
ok write "$web/description" "still editable"
same_disk "$web/disks/vda.raw" web.raw
expect EBUSY rmdir "$MNT/regions/cn-east-2"

# The replica: viewing and editing work, operations do not.
ok write "$replica/description" "mine"
value "$replica/description" "mine"
expect EBUSY mkdir "$replica/copies/cn-north-1"
expect EBUSY rmdir "$replica"

# wait blocks while the work goes on, and can be interrupted.
timeout -s INT -k 3 0.5 cat "$replica/wait" >/dev/null
same $? 124 "an interrupted wait"

# Cancel.
value "$copy/status" running
ok rmdir "$copy"
fast_disk
until_true 20 test ! -e "$replica" || fail "the replica is still there"
same "$(cd "$R2" && ls private snapshots | grep -c web)" 0 "the replica has left something"
same "$(used "$R2" private-images) $(used "$R2" snapshots)" "0 0" "quota came back"
[ ! -e "$copy" ] || value "$copy/status" cancelled
same "$(cat "$web/used-by")" "" "used-by"

# Cancelling by the task. With bytes of its own, since those that the first had brought over are found again.
pattern second.raw 12M 77
import_raw "$R/private/second" second.raw
web=$R/private/second copy=$web/copies/cn-east-2 replica=$R2/private/second
slow_disk 40
ok mkdir "$copy"
task=$(task_of "$web" copy)
[[ $(cat "$task/status") == @(queued|running) ]] || fail "the task is $(cat "$task/status")"
ok rmdir "$task"
fast_disk
until_true 20 test ! -e "$replica" || fail "the replica is still there"
same "$(used "$R2" private-images) $(used "$R2" snapshots)" "0 0" "quota came back"

# An unmount in the middle: the copy goes on at the next mount.
pattern third.raw 12M 78
import_raw "$R/private/third" third.raw
web=$R/private/third copy=$web/copies/cn-east-2 replica=$R2/private/third
slow_disk 40
ok mkdir "$copy"
value "$copy/status" running
fast_pid=$slow_pid
unmount "$MNT" || fail "cannot unmount while a copy runs"
# Not before: who traces and goes takes signals along that are on their way, and libfuse cancels its threads by one.
_reap "$daemon_pid" || fail "the daemon gave $?"
kill "$fast_pid" 2>/dev/null
start
settle "$replica"
value "$copy/status" "done"
same_disk "$replica/disks/vda.raw" third.raw
value "$replica/checksum" "$(cat "$web/checksum")"

# SPDX-License-Identifier: MIT
# close(2) of one of two descriptors of a disk, over and over: what others do with theirs used to wait for it, a second
# for each look at an instance.
. "$lib/users.sh"
A=12001 B=12002
users $A $B
start -o allow_other
two_regions
pattern disk.raw 1M 5
chmod 644 disk.raw
for u in $A $B; do
        by $u ok mkdir "$R/private/web-$u"
        by $u ok upload disk.raw "$R/private/web-$u/upload"
        settle "$R/private/web-$u"
        by $u ok mkdir "$R/private/web-$u/instances/vm-$u"
done
by $B ok mkdir "$R/disks/d-$B"
touch busy
for n in 1 2 3; do
        # each ( ) ends with a close of the descriptor that it has inherited
        as $A bash -c 'exec 6<>"$1"; while [ -e "$2" ]; do (:); done' - "$R/instances/vm-$A/disks/vda.raw" "$WORK/busy" &
        busy[n]=$!
done
until_true 10 grep -q running "$R/instances/vm-$A/status" || fail "the disk is not open"
began=${EPOCHREALTIME/./}
for i in {1..20}; do
        same "$(as $B cat "$R/instances/vm-$B/status")" stopped "B's instance"
        value "$R/instances/vm-$A/status" running
        by $B ok write "$R/instances/vm-$B/name" "name $i"
        by $B ok write "$R/disks/d-$B/size" "${i}M"
done
took=$(((${EPOCHREALTIME/./} - began) / 1000))
rm busy
wait "${busy[@]}"
[ $took -lt 4000 ] || fail "20 rounds took $took ms"
until_true 5 grep -q stopped "$R/instances/vm-$A/status" || fail "still running"

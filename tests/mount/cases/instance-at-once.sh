# SPDX-License-Identifier: MIT
# The same asked of instances and disks several times at the same moment: as often as it can be true it is carried out.
start
two_regions
raise_limits
cloud_image web 1M
web=$R/private/web
ok mkdir "$web/instances/vm"
ok mkdir "$web/instances/vm-2"
vm=$R/instances/vm
vm2=$R/instances/vm-2
for d in d1 d2 d3; do
        ok mkdir "$R/disks/$d"
        ok write "$R/disks/$d/size" 1M
done

# at_once OUTCOMES OP … [-- OP …]: four of them, of both in turn where there are two; the outcomes are sorted.
at_once() {
        local want=$1 first=() second=() racers=() i
        shift
        while [ $# -gt 0 ] && [ "$1" != -- ]; do first+=("$1"); shift; done
        second=("${first[@]}")
        [ $# = 0 ] || second=("${@:2}")
        for i in 1 3; do
                "$FSOP" "${first[@]}" >"race$i" &
                racers+=($!)
                "$FSOP" "${second[@]}" >"race$((i + 1))" &
                racers+=($!)
        done
        wait "${racers[@]}"
        same "$(cut -d ' ' -f 1 race[1-4] | sort | tr '\n' ' ')" "$want " "${first[*]} -- ${second[*]}"
}
made_of() { ls "$1/images" | wc -l; }
there() { ls "$1" | tr '\n' ' '; }

# Disks.
at_once "EEXIST EEXIST EEXIST ok" mkdir "$R/disks/new"
at_once "ok ok ok ok" write "$R/disks/new/size" 1M # as it is
value "$R/disks/new/size" 1048576
at_once "EEXIST EEXIST EEXIST ok" mkdir "$R/disks/new/snapshots/s"
until_true 20 grep -qx available "$R/snapshots/s/status" || fail "the snapshot: $(cat "$R/snapshots/s/status")"
same "$(there "$R/snapshots")" "s web " "one snapshot"
same "$(used "$R" snapshots)" 2 "charged once"
at_once "EEXIST EEXIST EEXIST ok" mkdir "$R/disks/new/snapshots/t" -- mkdir "$R/disks/d1/snapshots/t"
until_true 20 grep -qx available "$R/snapshots/t/status" || fail "the snapshot: $(cat "$R/snapshots/t/status")"
ok rmdir "$R/snapshots/t"
at_once "EEXIST EEXIST EEXIST ok" mkdir "$R/snapshots/s/disks/clone" -- mkdir "$R/disks/clone"
same "$(there "$R/disks")" "clone d1 d2 d3 new vm-2-vda vm-vda " "one clone"
at_once "ENOENT ENOENT ENOENT ok" rmdir "$R/disks/clone"
at_once "EBUSY EBUSY EBUSY ok" write "$vm/attach" d1
at_once "EBUSY EBUSY EBUSY ok" write "$vm/attach" d2 -- write "$vm2/attach" d2
value "$R/disks/d2/status" in-use
same "$(cat "$vm/device-mapping" "$vm2/device-mapping" | grep -c "$(cat "$R/disks/d2/id")")" 1 "in one of them"
at_once "EBUSY EBUSY ok ok" write "$vm/attach" d3 -- write "$vm/attach" new
same "$(cut -d ' ' -f 1 "$vm/device-mapping" | sort -u | wc -l)" "$(wc -l <"$vm/device-mapping")" "a letter each"
at_once "ENOENT ENOENT ENOENT ok" write "$vm/detach" vdb
value "$R/disks/d1/status" available

# Instances.
at_once "EEXIST EEXIST EEXIST ok" mkdir "$web/instances/both" -- mkdir "$R/instances/both"
ok rmdir "$R/instances/both"
same "$(ls "$R/disks" | grep -c both)" 0 "no disk is left of the others"
ok mkdir "$R/instances/empty"
at_once "ok ok ok ok" write "$R/instances/empty/image" private/web # one after the other
same "$(there "$R/instances/empty/disks")" "vda.raw " "one disk"
same_disk "$R/instances/empty/disks/vda.raw" web.raw
same "$(ls "$R/disks" | grep -c empty)" 1 "the others left none"
at_once "ENOENT ENOENT ENOENT ok" rmdir "$R/instances/empty"
same "$(ls "$R/disks" | grep -c empty)" 0 "its disk went with it"

# Images of one.
ok pwrite 0 "$vm/disks/vda.raw" changed
ok write "$vm/image-disks" none
ok write "$vm2/image-disks" none
before=$(used "$R" snapshots)
at_once "EEXIST EEXIST EEXIST ok" mkdir "$vm/images/next" -- mkdir "$vm2/images/next"
settle "$R/private/next"
same "$(used "$R" private-images) $(used "$R" snapshots)" "2 $((before + 1))" "charged once"
same "$(there "$R/private")" "next web " "one image"

# Of two names one is first; the other waits for its turn, or is refused when the first is still being made.
for i in 1 2 3 4; do
        "$FSOP" mkdir "$vm/images/turn-$i" >"race$i" &
        racers[i]=$!
done
wait "${racers[@]}"
made=$(cat race[1-4] | grep -c '^ok')
same "$(cat race[1-4] | grep -vc '^EBUSY')" "$made" "$(cat race[1-4])"
[ "$made" -ge 1 ] || fail "none was made: $(cat race[1-4])"
for image in "$R"/private/turn-*; do settle "$image"; done
same "$(used "$R" private-images) $(used "$R" snapshots)" "$((made + 2)) $((before + 1 + made))" "charged for those"
same "$(($(made_of "$vm") + $(made_of "$vm2")))" $((made + 1)) "images"

# With the instances all goes that was made with them, whoever asks first.
at_once "ENOENT ENOENT ok ok" rmdir "$vm" -- rmdir "$vm2"
same "$(there "$R/disks")" "d1 d2 d3 new " "disks"
for d in d1 d2 d3 new; do value "$R/disks/$d/status" available; done

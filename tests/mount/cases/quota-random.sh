# SPDX-License-Identifier: MIT
# Three users at once make, import, copy, convert, share, capture and remove what they come across, while the
# administrator changes limits and hands things over: what is counted in the end is what is listed, and when all is
# removed nothing counts and nothing is stored. IMAGEFS_TEST_SEED sets the seed, IMAGEFS_TEST_COUNT the operations of each.
# time limit: 600
need_root "several users"
need setpriv
chmod 755 "$WORK"
seed=${IMAGEFS_TEST_SEED:-$$} count=${IMAGEFS_TEST_COUNT:-60}
echo "IMAGEFS_TEST_SEED=$seed IMAGEFS_TEST_COUNT=$count"
users="12001 12002 12003"
read -ra everybody <<<"$users"
as() { # UID COMMAND …
        setpriv --reuid "$1" --regid "$1" --clear-groups "${@:2}"
}
start -o allow_other
two_regions
for n in 1 2 3; do pattern "d$n.raw" 300000 "$n"; done
chmod 644 ./*.raw

cat >worker <<'END'
# worker SEED COUNT: what does not work now says why on stderr, and that is that.
RANDOM=$1
users=(12001 12002 12003)
one() { ls "$1" | shuf -n 1 --random-source=<(yes $RANDOM); } # of what one sees in a directory
for ((i = 0; i < $2; i++)); do
        regions=("$R" "$R2")
        r=${regions[RANDOM % 2]} other=$([ $((RANDOM % 2)) = 0 ] && echo cn-east-2 || echo cn-north-1)
        name=n$((RANDOM % 9)) image=$r/private/$(one "$r/private")
        case $((RANDOM % 24)) in
        0) mkdir "$r/private/$name" ;;
        1 | 2 | 3) cp "d$((RANDOM % 3 + 1)).raw" "$r/private/$name.raw" ;;
        4) mkdir "$r/private/$name" && echo local >"$r/private/$name/type" && cp d1.raw "$r/private/$name/upload" ;;
        5) echo cloud >"$image/convert" ;;
        6) mkdir "$image/copies/$other" ;;
        7) rmdir "$image/copies/$other" ;;
        8 | 9) rmdir "$image" ;;
        10) mv "$r/recycle/$(one "$r/recycle")" "$r/private/" ;;
        11) rmdir "$r/recycle/$(one "$r/recycle")" ;;
        12) rmdir "$r/snapshots/$(one "$r/snapshots")" ;;
        13) mkdir "$image/instances/$name" ;;
        14) rmdir "$r/instances/$(one "$r/instances")" ;;
        15) mkdir "$r/instances/$(one "$r/instances")/images/$name" ;;
        16) mkdir "$r/snapshots/$(one "$r/snapshots")/disks/$name" ;;
        17) rmdir "$r/disks/$(one "$r/disks")" ;;
        18) mkdir "$image/shares/${users[RANDOM % 3]}" ;;
        19) rmdir "$MNT/tasks/$(one "$MNT/tasks")" ;;
        20) mkdir "$r/disks/$name" && echo $((RANDOM % 4))M >"$r/disks/$name/size" ;;
        21) truncate -s "+$((RANDOM % 4))M" "$r/disks/$(one "$r/disks")/data.raw" ;;
        22) echo "private/$(basename "$image")" >"$r/instances/$(one "$r/instances")/image" ;;
        23) one "$r/disks" >"$r/instances/$(one "$r/instances")/attach" ;;
        esac
done
exit 0
END
export R R2 MNT
number=0
for uid in $users; do
        number=$((number + 1))
        as "$uid" bash worker $((seed % 10000 + number)) "$count" 2>"err.$uid" &
        workers+=" $!"
done
RANDOM=$((seed % 10000))
working() { kill -0 $workers; }
while working 2>/dev/null; do
        "$FSOP" write "$R/quota" "${everybody[RANDOM % 3]} private-images limit=$((RANDOM % 9))" >>answers
        "$FSOP" write "$R2/quota" "snapshots limit=$((RANDOM % 12))" >>answers
        "$FSOP" write "$R/quota" "${everybody[RANDOM % 3]} disk-bytes limit=$((RANDOM % 20))M" >>answers
        "$FSOP" write "$R2/quota" "disks limit=$((RANDOM % 6))" >>answers
        image=$R/private/$(ls "$R/private" | shuf -n 1 --random-source=<(yes $RANDOM))
        "$FSOP" chown "${everybody[RANDOM % 3]}" "${everybody[RANDOM % 3]}" "$image" >>answers
        sleep 0.1
done
for pid in $workers; do wait "$pid" || fail "a worker gave status $?"; done
same "$(grep -hE 'Input/output|Bad message|Structure needs|not recovered|Cannot allocate' err.*)" "" "errors that nobody should see"

# Nothing is at work any more.
idle() { ! cat "$MNT"/tasks/*/status | grep -qE 'queued|running'; }
until_true 60 idle || fail "tasks go on: $(cat "$MNT"/tasks/*/status)"
for uid in $users; do
        [ "$(grep -c . "err.$uid")" -lt "$count" ] || fail "$uid could do nothing: $(tail -n 3 "err.$uid")"
        for r in "$R" "$R2"; do
                same "$(as $uid cat "$r/quota" | sed 's/ limit=.*//')" \
                        "private-images used=$(as $uid ls "$r/private" | wc -l)
snapshots used=$(as $uid ls "$r/snapshots" | wc -l)
shared-images used=$(as $uid ls "$r/shared" | wc -l)
instances used=$(as $uid ls "$r/instances" | wc -l)
disks used=$(as $uid ls "$r/disks" | wc -l)
disk-bytes used=$(as $uid cat "$r"/instances/*/device-mapping "$r"/disks/*/size 2>/dev/null |
                                awk '$3 !~ /^disk:/ { sum += $NF } END { print sum + 0 }')" "what counts for $uid in $r"
        done
done
restart -o allow_other
for uid in $users; do
        for r in "$R" "$R2"; do
                for d in instances disks private recycle snapshots; do
                        as $uid ls "$r/$d" | while read -r name; do
                                as $uid rmdir "$r/$d/$name" || echo "$r/$d/$name is used"
                        done
                done
        done
done >first 2>&1
# What another's machine was made from could not go before that was gone.
for r in "$R" "$R2"; do
        for d in private recycle snapshots; do
                for name in "$r/$d"/*/; do [ ! -d "$name" ] || ok rmdir "${name%/}"; done
        done
done
for uid in $users; do
        same "$(as $uid cat "$R/quota" "$R2/quota" | grep -c used=0)" 12 "what counts for $uid when all is removed"
        same "$(as $uid ls "$R/private" "$R2/private" "$R/recycle" "$R/shared" "$R/disks" "$R2/instances" | grep -v :)" "" "what is left"
done
nothing_stored() { [ "$(keyed "$MNT/info/store" blobs) $(keyed "$MNT/info/store" chunks)" = "0 0" ]; }
until_true 30 nothing_stored || fail "still stored: $(cat "$MNT/info/store")"

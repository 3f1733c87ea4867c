# SPDX-License-Identifier: MIT
# The process that serves a mount dies when it has done what it was asked for, with temporary files above all, and before it says so.
# The next one is asked again: for the program all went well, and what it made is there once.
[ "$(printf '%s\n' 6.9 "$(uname -r)" | sort -V | head -n 1)" = 6.9 ] || skip "Linux does not send again what was under way"
dies=$(dirname "$IMAGEFS")/unanswered.so
[ -e "$dies" ] || skip "no unanswered beside the program"
trap '' HUP
export UNANSWERED=$WORK/unanswered
LD_PRELOAD=$dies start -o restarts=100000
two_regions
pattern small.raw 1M 32
import_raw "$R/private/web" small.raw
serving() { pgrep -P "$daemon_pid" imagefs; }
_next() { [ -n "$(serving)" ] && [ "$(serving)" != "$1" ]; }

# unanswered KIND COMMAND …: in place of the first answer of that kind.
unanswered() {
        local old
        old=$(serving)
        echo "$1" >"$UNANSWERED"
        run "${@:2}"
        [ ! -e "$UNANSWERED" ] || fail "nobody died of ${*:2}"
        until_true 20 _next "$old" || fail "no process followed"
}
temporary() { ls -A "$1" | grep '^sed\|^\.'; }
none_in() {
        for dir; do
                same "$(temporary "$dir")" "" "temporary files in $dir"
        done
}

# Made once.
ok write "$R/private/web/description" zero
unanswered create sed -i 's/.*/one/' "$R/private/web/description"
value "$R/private/web/description" one
none_in "$R/private/web"
unanswered create cp small.raw "$R/private/.x.tmp"
same "$(temporary "$R/private")" .x.tmp "what cp made"
run mv "$R/private/.x.tmp" "$R/private/x.raw"
none_in "$R/private"
settle "$R/private/x"
same_disk small.raw "$R/private/x/disks/vda.raw"

# Renamed, and removed: of a temporary file nothing is in the catalogue.
for dir in "$R/private" "$R/private/web"; do
        run cp small.raw "$R/private/.a.tmp"
        [ "$dir" = "$R/private" ] || { run rm "$R/private/.a.tmp"; echo two >"$dir/.a.tmp"; }
        unanswered success mv "$dir/.a.tmp" "$dir/.b.tmp"
        same "$(temporary "$dir")" .b.tmp "what was renamed"
        unanswered success rm "$dir/.b.tmp"
        none_in "$dir"
done

# What is in the catalogue. What the kernel knows it does not look up in between.
known() {
        ls -d "$R/private/web/instances" "$R/instances" "$R/disks" "$R/recycle" "$R/private/web/shares" >/dev/null
}
known
vm=$R/instances/vm
unanswered entry mkdir "$R/private/web/instances/vm"
same "$(ls "$R/instances")" vm "machines"
unanswered write tee "$vm/name" <<<"a name" >/dev/null
value "$vm/name" "a name"
unanswered write tee "$vm/power" <<<start >/dev/null
value "$vm/status" running
unanswered write tee "$vm/power" <<<stop >/dev/null
value "$vm/status" stopped
unanswered attr chmod 750 "$vm"
same "$(stat -c %a "$vm")" 750 "its mode"
unanswered attr "$FSOP" truncate 4M "$vm/disks/vda.raw"
same "$(stat -c %s "$vm/disks/vda.raw")" 4194304 "its disk's size"
unanswered entry mkdir "$vm/images/taken"
settle "$R/private/taken"
unanswered success rmdir "$R/private/taken"
same "$(ls "$R/recycle")" taken "the recycle bin"
unanswered success mv "$R/recycle/taken" "$R/private/taken"
same "$(ls "$R/recycle")" "" "the recycle bin"
unanswered entry mkdir "$R/private/web/shares/12001"
unanswered success rmdir "$R/private/web/shares/12001"
unanswered write tee "$R/quota" <<<"private-images limit=77" >/dev/null
grep -q "^private-images used=3 limit=77$" "$R/quota" || fail "$(cat "$R/quota")"
unanswered success mv "$vm" "$R/instances/vm2"
unanswered success rmdir "$R/instances/vm2"
same "$(ls "$R/instances")" "" "machines"
ok mkdir "$R/private/y"
unanswered open cp small.raw "$R/private/y/upload"
unanswered write cp small.raw "$R/private/z.raw"
for name in y z; do
        settle "$R/private/$name"
        same_disk small.raw "$R/private/$name/disks/vda.raw"
done
same "$(ls "$R/private" | xargs)" "taken web x y z" "images"
unanswered success mv "$R/private/web" "$R/private/web2"
value "$R/private/web2/description" one
[ ! -e "$R/private/web" ] || fail "it has two names"
nothing_incoming

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

# Renamed, and removed, of which nothing is in the catalogue.
for dir in "$R/private" "$R/private/web"; do
        run cp small.raw "$R/private/.a.tmp"
        [ "$dir" = "$R/private" ] || { run rm "$R/private/.a.tmp"; echo two >"$dir/.a.tmp"; }
        unanswered done mv "$dir/.a.tmp" "$dir/.b.tmp"
        same "$(temporary "$dir")" .b.tmp "what was renamed"
        unanswered done rm "$dir/.b.tmp"
        none_in "$dir"
done
unanswered done mv "$R/private/web" "$R/private/web2"
value "$R/private/web2/description" one
[ ! -e "$R/private/web" ] || fail "it has two names"
nothing_incoming

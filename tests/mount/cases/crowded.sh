# SPDX-License-Identifier: MIT
# While a user's mkdir, rmdir or rename is on its way to the disk nobody waits for the directory; and it is not acknowledged before
# it is durable.
# shellcheck source=tests/mount/lib/users.sh
. "$lib/users.sh"
# shellcheck source=tests/mount/lib/hang.sh
. "$lib/hang.sh"
A=12001 B=12002
users $A $B
hang_mount syncs
STORE=$FAR/store
start -o allow_other
two_regions
pattern base.raw 1M 5
import_raw "$R/public/base" base.raw

# changes HOW PATH: A does that, in the background; `changed` is there when she was told that it is done.
changes() {
        rm -f changed
        { as $A "$@" >said 2>err && touch changed; } &
        changing=$!
}
# Root sees all. Listing takes the kernel's lock of the directory, and who waits for that cannot be ended.
_is_there() {
        rm -f listed
        { ls "$(dirname "$1")" >listing && mv listing listed; } &
        lister=$!
        until_true 3 test -e listed && grep -qx "$(basename "$1")" listed
}
_is_gone() { ! _is_there "$1" && [ -e listed ]; }
_is_renamed() { _is_there "$1-next" && ! grep -qx "$(basename "$1")" listed; }
printf '#!/bin/sh\nexec %s rename "$1" "$1-next"\n' "$WORK/bin/fsop" >bin/rename
chmod 755 bin/rename
done_at_last() {
        wait "$changing" || fail "$1: $(cat err)"
        [ -e changed ] || fail "$1: not done"
}

# begins HOW PATH SEEN: A does that while the disk hangs, and it is SEEN by others. Where upkeep was syncing the log already,
# the kernel keeps that file from who writes to it, as it does for all of FUSE, on which this store lies, and not for disks:
# then it is undone, and tried once more; and at last done while the disk answers.
early=0
begins() {
        local try undo=(rmdir "$2")
        case ${1##*/} in
        rmdir-left) undo=(stat "$2") ;; # has made it again
        rmdir*) undo=(mkdir "$2") ;;
        rename) undo=(rename "$2-next" "$2") ;;
        esac
        for try in 1 2; do
                hang
                hangs=1
                changes "$1" "$2"
                if until_true 5 "$3" "$2"; then
                        early=$((early + 1))
                        return
                fi
                go_on
                wait "$changing" "$lister"
                [[ $1 != */name-file ]] || as $A cat "$2/wait" >/dev/null # until then it cannot be removed
                by $A ok "${undo[@]}"
        done
        echo "note: $1 $2 waited for the disk in the directory"
        hangs=''
        changes "$1" "$2"
        until_true 20 "$3" "$2" || fail "$1 $2: not seen"
}
not_acknowledged() {
        [ ! "$hangs" ] || [ ! -e changed ] || fail "$1 was acknowledged before it was durable"
}
# go_on, if it hangs.
answers() {
        [ ! "$hangs" ] || go_on
}

# A log that has begun and is short: its first commit, and the one that ends it, are synced before anything else.
short_log() {
        restart "$@"
        ok write "$R/public/base/name" base
}

renamed=0
for path in "$R/disks/new" "$R/instances/new" "$R/private/new" "$R/public/base/instances/machine"; do
        short_log -o allow_other
        begins mkdir "$path" _is_there
        as $B ls -l "$(dirname "$path")" >/dev/null || fail "listing beside $path"
        not_acknowledged "mkdir $path"
        answers
        done_at_last "mkdir $path"
        same "$(stat -c '%F %u' "$path")" "directory $A" "$path"
        by $A expect EEXIST mkdir "$path"

        if [[ $path != */base/* ]]; then # where names are not to be changed
                begins "$WORK/bin/rename" "$path" _is_renamed
                renamed=$((renamed + ${hangs:-0}))
                for i in 1 2 3; do _is_renamed "$path" || fail "the directory is kept by who renames in it"; done
                not_acknowledged "rename $path"
                answers
                done_at_last "rename $path"
                by $A expect ENOENT stat "$path"
                by $A ok rename "$path-next" "$path"
                by $A ok rename "$path" "$path-next"
                by $A ok rename "$path-next" "$path"
                same "$(as $A stat -c '%F %u' "$path")" "directory $A" "$path, renamed and back"
        fi

        begins rmdir "$path" _is_gone
        as $B ls -l "$(dirname "$path")" >/dev/null || fail "listing beside $path"
        not_acknowledged "rmdir $path"
        answers
        done_at_last "rmdir $path"
        by $A expect ENOENT rmdir "$path"
        by $A ok mkdir "$path" # which the kernel takes for another one
        same "$(as $A stat -c '%F %u' "$path")" "directory $A" "$path"
        by $A ok rmdir "$path"
done

[ "$early" -gt 0 ] || fail "others wait for the directory whatever is made or removed"
[ "$renamed" -gt 0 ] || fail "others wait for the directory in which something is renamed"

# From within the directory, where there is no name on the way.
early=0
for how in mkdir rmdir; do
        # shellcheck disable=SC2016
        printf '#!/bin/sh\ncd "${1%%/*}" && exec %s "${1##*/}"\n' "$how" >bin/$how-within
        chmod 755 bin/$how-within
done
short_log -o allow_other
begins "$WORK/bin/mkdir-within" "$R/disks/here" _is_there
not_acknowledged "mkdir in the directory itself"
answers
done_at_last "mkdir in the directory itself"
begins "$WORK/bin/rmdir-within" "$R/disks/here" _is_gone
answers
done_at_last "rmdir in the directory itself"
[ "$early" -gt 0 ] || fail "others wait for the directory that something is made in from within"

# A file that is begun there: what a power cut takes of it is an upload that it has cut off.
early=0
printf '#!/bin/sh\nexec %s create "$1.raw"\n' "$WORK/bin/fsop" >bin/begin-file
chmod 755 bin/begin-file
short_log -o allow_other
begins "$WORK/bin/begin-file" "$R/private/file" _is_there
[ ! "$hangs" ] || until_true 5 test -e changed || fail "who begins a file waits for the disk"
answers
done_at_last "a file that is begun"
by $A ok rmdir "$R/private/file"
[ "$early" -gt 0 ] || fail "others wait for the directory that a file is begun in"

# A file that is whole, and gets its name.
early=0
# shellcheck disable=SC2016
printf '#!/bin/sh\ncp "%s" "${1%%/*}/.whole.tmp" && exec %s rename "${1%%/*}/.whole.tmp" "$1.raw"\n' \
        "$WORK/base.raw" "$WORK/bin/fsop" >bin/name-file
chmod 755 bin/name-file
chmod 644 base.raw
short_log -o allow_other
begins "$WORK/bin/name-file" "$R/private/whole" _is_there
as $B ls -l "$R/private" >/dev/null || fail "listing beside a file that gets its name"
not_acknowledged "the name of a file"
answers
done_at_last "a file that gets its name"
by $A expect ENOENT stat "$R/private/.whole.tmp"
same "$(as $A cat "$R/private/whole/wait")" available "what came of the file"
as $A cmp base.raw "$R/private/whole/disks/vda.raw" || fail "what is in the image"
by $A ok rmdir "$R/private/whole"
[ "$early" -gt 0 ] || fail "others wait for the directory in which a file gets its name"

# The second request does not come: the path leads elsewhere by then. What its thread asks next finds what is there.
early=0
for how in mkdir rmdir; do
        rm -f way
        ln -s "$R/disks" way
        if [ $how = mkdir ]; then seen=_is_there finds="EEXIST mkdir"; else seen=_is_gone finds=ok; fi
        printf '#!/bin/sh\n%s %s "%s/${1##*/}" then mkdir "$1"\nexit 0\n' "$WORK/bin/fsop" $how \
                "$MNT/regions/../../way" >bin/$how-left
        chmod 755 bin/$how-left
        short_log -o allow_other
        begins "$WORK/bin/$how-left" "$R/disks/left" $seen
        rm way
        answers
        wait "$changing"
        [ ! "$hangs" ] || same "$(cat said)" "ENOENT $how"$'\n'"$finds" "what a thread finds whose second request did not come"
done
[ "$early" -gt 0 ] || fail "no second request was kept from coming"
by $A ok rmdir "$R/disks/left"

# More such than one user may have between their requests: they are given up when another one comes.
need python3
raise_limits
mkdir -m 777 turning
cp "$lib/leave-behind" bin
as $A bin/leave-behind 66 "$WORK/turning/way" "$R2/disks" 2>err || fail "what is left of others is not given up: $(cat err)"

# All at once, of one name.
for i in 1 2 3 4 5 6 7 8; do
        { as $A mkdir "$R/disks/same" 2>/dev/null && echo made >>made; } &
        makers[i]=$!
done
wait "${makers[@]}"
same "$(cat made)" made "one name made by many"
by $A ok rmdir "$R/disks/same"

# Many at once, of two users.
at_once() { # COMMAND
        for i in {1..16}; do
                as $((i % 2 ? A : B)) "$1" "$R/disks/many$i" &
                makers[i]=$!
        done
        for i in {1..16}; do wait "${makers[i]}" || fail "$1 many$i"; done
}
at_once mkdir
same "$(ls "$R/disks" | wc -l)" 16 "what many made"
at_once rmdir
same "$(ls "$R/disks")" "" "what is left of it"

# The process that serves dies in between: the next one is asked the second time.
[ "$(printf '%s\n' 6.9 "$(uname -r)" | sort -V | head -n 1)" = 6.9 ] || exit 0
_next() { serving=$(pgrep -P "$daemon_pid" imagefs) && [ "$serving" != "$1" ]; }
at=kept
for how in mkdir rename rmdir; do
        short_log -o allow_other,restarts=1000 # what a process does when it has just taken over may hold the writer
        _next "" || fail "nobody is supervised"
        case $how in
        mkdir) begins mkdir "$R/disks/kept" _is_there ;;
        rename) begins "$WORK/bin/rename" "$R/disks/kept" _is_renamed && at=kept-next ;;
        rmdir) begins rmdir "$R/disks/$at" _is_gone ;;
        esac
        kill -KILL "$serving"
        answers
        done_at_last "$how, answered by the next process"
        until_true 20 _next "$serving" || fail "none followed"
done
same "$(ls "$R/disks")" "" "what is left of it"
by $A ok mkdir "$R/disks/kept"
by $A ok rmdir "$R/disks/kept"

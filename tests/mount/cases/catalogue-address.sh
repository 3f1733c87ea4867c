# SPDX-License-Identifier: MIT
# A library that is named by the address of its catalogue: imagefs init postgresql://…, imagefs postgresql://… MOUNTPOINT. What this
# host has of it is in a directory of its own, the same each time, made where it is missing; and no password is shown.
need psql
server=$lib/../../lib/postgres
chmod 711 "$WORK" # the server may be another user
mkdir -m 755 server
"$server" start "$WORK/server" || { [ $? = 77 ] && skip "PostgreSQL is not installed"; fail "the server does not start"; }
grep -q libpq <(ldd "$IMAGEFS") || skip "built without libpq"
sql() { psql -AtqX -v ON_ERROR_STOP=1 "postgresql://imagefs@/postgres?host=$WORK/server" "$@" 2>&1; }
at="postgresql://imagefs:sesame@/postgres?host=$WORK/server"
export XDG_STATE_HOME=$WORK/state
STORE=$XDG_STATE_HOME/imagefs/postgres_${WORK//\//_}_server
refuses() { # SENTENCE ARGUMENT …
        local said sentence=$1
        shift
        said=$(timeout 60 "$IMAGEFS" "$@" 2>&1) && fail "$* succeeded"
        [[ $said == *"$sentence"* && $said != *sesame* ]] || fail "$*: $said"
        [ ! -e "$STORE" ] || fail "$* leaves $(ls -a "$STORE")"
}

refuses "there is no library's catalogue there: was the database restored from a copy? \"imagefs init\" with that address makes a new one" \
        "$at" "$MNT"
refuses 'name it as "postgresql://USER@HOST/DATABASE"' mysql://host/name "$MNT"
refuses 'name it as "postgresql://USER@HOST/DATABASE"' init mysql://host/name
refuses "the address of the catalogue names no database" "postgresql://imagefs@" "$MNT"
refuses "too long to be a directory's name" "postgresql://imagefs@/$(printf 'x%.0s' {1..300})" "$MNT"
refuses "the catalogue cannot be reached" init "postgresql://imagefs:sesame@/postgres?host=$WORK/none"
refuses "the library is named by the address of its catalogue: --from, --catalogue and --join want a directory" init "$at" --join "$at"
same "$(sql -c "SELECT count(*) FROM pg_namespace WHERE nspname = 'imagefs'")" 0 "catalogues on the server"

# Made, and mounted as it was typed.
said=$(run "$IMAGEFS" init "$at")
[[ $said == *"imagefs $STORE MOUNTPOINT" ]] || fail "$said"
same "$(stat -c '%a %a' "$STORE")" "700 700" "its mode"
[[ $("$IMAGEFS" init "$at" 2>&1) == *"there is a library already" ]] || fail "made twice"
run "$IMAGEFS" "$at" "$MNT" -o restarts=3 >out
grep -q "$STORE" /proc/self/mounts || fail "$(cat /proc/self/mounts)"
two_regions
pattern disk.raw 1M 3
import_raw "$R/private/web" disk.raw
before=$(tree_snapshot "$R")
shown=$(for one in /proc/[0-9]*/cmdline; do tr '\0' ' ' <"$one" && echo; done 2>/dev/null | grep -F "$MNT")
[[ -n $shown && $shown != *sesame* ]] || fail "a password is shown: $shown"

# A process that dies is followed by one that finds the same.
died=$(head -1 "$STORE/lock")
kill -9 "${died%% *}"
until_true 30 eval '[ "$(head -1 "$STORE/lock")" != "$died" ]' || fail "nobody goes on"
same "$(tree_snapshot "$R")" "$before" "the region after a death"
unmounted() { "$IMAGEFS" stat "$STORE" >/dev/null 2>&1; }
umount "$MNT"
until_true 30 unmounted || fail "it does not end"

# Another password is another line of the same directory.
run "$IMAGEFS" "${at/sesame/open}" "$MNT" >out
same "$(cat "$STORE/database")" "${at/sesame/open}" "the address"
same "$(tree_snapshot "$R")" "$before" "the region with another password"
umount "$MNT"
until_true 30 unmounted || fail "it does not end"

# All that is done to a library that nobody serves.
same "$("$IMAGEFS" check "$at" 2>&1)" clean "imagefs check of the address"
same "$("$IMAGEFS" scrub "$at" 2>&1 | tail -1)" "all is whole" "imagefs scrub of the address"
[[ $("$IMAGEFS" stat "$at" 2>&1) == *private/web* ]] || fail "$("$IMAGEFS" stat "$at" 2>&1)"
for command in check scrub stat; do
        said=$(XDG_STATE_HOME=$WORK/none "$IMAGEFS" $command "$at" 2>&1) && fail "imagefs $command where there is no directory"
        [[ $said == *"$WORK/none/imagefs/"*": this host has nothing of that library: mount it by that address"* && $said != *sesame* && ! -e $WORK/none ]] || fail "imagefs $command: $said"
done
said=$("$IMAGEFS" migrate "$at" --catalogue "$at" 2>&1) && fail "migrated to itself"
[[ $said == imagefs:* && $said != *sesame* ]] || fail "$said"

# Another host has another directory, which says what it wants.
said=$(XDG_STATE_HOME=$WORK/other run "$IMAGEFS" "$at" "$MNT" 2>&1; cat "$WORK/err")
[[ $said == *"what this host has of the library is in ${STORE/state/other}, which was made: copy the file secret"* ]] || fail "$said"
value "$R/private/web/status" available
umount "$MNT"
STORE=${STORE/state/other}
until_true 30 unmounted || fail "it does not end"
STORE=${STORE/other/state}

# A directory of that name that is another library's is left alone.
sed -i "s,/postgres?,/another?," "$STORE/database"
said=$(timeout 60 "$IMAGEFS" "$at" "$MNT" 2>&1) && fail "it is mounted"
[[ $said == *"$STORE: it is of the library with another catalogue: mount that directory by its name"* ]] || fail "$said"
NO_CHECK=yes
"$server" stop "$WORK/server"

# SPDX-License-Identifier: MIT
# imagefs migrate whose way to the server is cut: before it has said that all is to be kept, or when it has, and the answer is
# lost. It finds out, and the library uses the one catalogue or the other, and nothing is left of the one that it does not use.
# time limit: 240
need psql
need python3
server=$lib/../../lib/postgres
chmod 711 "$WORK" # the server may be another user
mkdir -m 755 server
"$server" start "$WORK/server" || { [ $? = 77 ] && skip "PostgreSQL is not installed"; fail "the server does not start"; }
grep -q libpq <(ldd "$IMAGEFS") || skip "built without libpq"
sql() { psql -AtqX -v ON_ERROR_STOP=1 "postgresql://imagefs@/postgres?host=$WORK/server" "$@" 2>&1; }
way= # the process that is cut at
cut_at() { # TEXT before|after [shut]
        [ -z "$way" ] || { kill "$way" && wait "$way"; } 2>/dev/null
        rm -f port
        "$lib/cut-at" "$WORK/server/.s.PGSQL.5432" "$WORK/port" "$@" &
        way=$!
        until_true 60 test -e port || fail "no way"
        at="postgresql://imagefs@127.0.0.1:$(cat port)/postgres"
        # The way is the same for the library, whose address has the port.
        [ ! -e "$STORE/database" ] || echo "$at" >"$STORE/database"
}
migrate() { timeout 100 "$IMAGEFS" migrate "$STORE" --catalogue "$1" 2>&1; }
catalogues() { sql -c "SELECT count(*) FROM pg_namespace WHERE nspname = 'imagefs'"; }

start
two_regions
pattern disk.raw 1M 3
import_raw "$R/private/web" disk.raw
before=$(tree_snapshot "$R")
stop
file=$(sha256sum <"$STORE/imagefs.db")
beside=$(ls "$STORE")

stays() { # SAID: nothing is changed, here or there
        [[ $1 == *": nothing is changed" ]] || fail "it does not say what is: $1"
        same "$(ls "$STORE")" "$beside" "the library's directory"
        same "$(sha256sum <"$STORE/imagefs.db")" "$file" "the catalogue"
        same "$(catalogues)" 0 "catalogues on the server"
}

# There: among the rows; before the commit; when it was done; when this host was to serve it.
cut_at "CREATE TABLE" before
said=$(migrate "$at") && fail "it succeeded"
stays "$said"
cut_at "COMMENT ON SCHEMA" before
said=$(migrate "$at") && fail "it succeeded"
stays "$said"
cut_at "INSERT INTO host" before
said=$(migrate "$at") && fail "it succeeded"
stays "$said"
cut_at "INSERT INTO host" after
said=$(migrate "$at") && fail "it succeeded"
stays "$said"

# Nobody can tell, and it says that.
cut_at "COMMENT ON SCHEMA" after shut
said=$(migrate "$at") && fail "it succeeded"
[[ $said == *"the server went away before it said whether the catalogue was made, and did not come back"*": nothing is changed here" ]] ||
        fail "$said"
same "$(ls "$STORE")" "$beside" "the library's directory"
same "$(sha256sum <"$STORE/imagefs.db")" "$file" "the catalogue"
same "$(catalogues)" 1 "catalogues on the server"
sql -c "DROP SCHEMA imagefs CASCADE" >/dev/null

cut_at "COMMENT ON SCHEMA" after
said=$(migrate "$at") || fail "it failed, and the catalogue is there: $said"
[[ $said == *" rows of "*" tables, compared"*"the catalogue is on the server now" ]] || fail "$said"
same "$(cat "$STORE"/imagefs.db.*.aside | sha256sum)" "$file" "the old catalogue, aside"
[ -e "$STORE/database" ] && [ ! -e "$STORE/imagefs.db" ] || fail "$(ls "$STORE")"
start
same "$(tree_snapshot "$R")" "$before" "the region with the catalogue on the server"
stop

# And back: the old one has its other name, however often that is asked for. What is read before is asked for by nobody else.
cut_at "SELECT id" before
said=$(migrate sqlite) && fail "it succeeded"
[ -e "$STORE/database" ] && [ ! -e "$STORE/imagefs.db" ] || fail "$said: $(ls "$STORE")"
for when in after before; do
        cut_at "ALTER SCHEMA imagefs RENAME" "$when"
        said=$(migrate sqlite) || fail "back: $said"
        [[ $said == *"the schema imagefs on the server is \"imagefs."*".aside\" now"*"the catalogue is in a file now" ]] || fail "$said"
        same "$(catalogues)" 0 "catalogues that another host would find"
        [ ! -e "$STORE/database" ] || fail "$(ls "$STORE")"
        start
        same "$(tree_snapshot "$R")" "$before" "the region with the catalogue in a file again"
        stop
        [ "$when" = after ] || break
        cut_at "nothing at all" before
        said=$(migrate "$at") || fail "there again: $said"
done
kill "$way"
"$server" stop "$WORK/server"

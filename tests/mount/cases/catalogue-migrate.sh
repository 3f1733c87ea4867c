# SPDX-License-Identifier: MIT
# imagefs migrate: the catalogue goes from its file to a server of PostgreSQL and back, with all that is in it, and the old one
# stays aside. Whatever is refused, spoilt on the way or killed in the middle leaves the library as it was.
need psql
need python3
server=$lib/../../lib/postgres
chmod 711 "$WORK" # the server may be another user
mkdir -m 755 server
"$server" start "$WORK/server" || { [ $? = 77 ] && skip "PostgreSQL is not installed"; fail "the server does not start"; }
at="postgresql://imagefs:sesame@/postgres?host=$WORK/server"
sql() { psql -AtqX -v ON_ERROR_STOP=1 "$at" "$@" 2>&1; }
migrate() { timeout 60 "$IMAGEFS" migrate "$STORE" --catalogue "$1" 2>&1; }
of_file() { python3 -c 'import sqlite3, sys; print(sqlite3.connect(sys.argv[1]).execute(sys.argv[2]).fetchone()[0])' "$STORE/imagefs.db" "$1"; }

start
two_regions
migrate "$at" >served.log & # it waits for a moment, as for one that is being unmounted
refused=$!
pattern disk.raw 1M 3
import_raw "$R/private/web" disk.raw
ok write "$R/private/web/description" $'our "base"\nsystem \\ ü'
ok mkdir "$R/private/web/shares/12001"
ok mkdir "$R/private/web/instances/vm"
dd if=disk.raw of="$R/instances/vm/disks/vda.raw" bs=1M count=1 conv=notrunc,fsync status=none || fail "cannot write the disk"
ok mkdir "$R/private/gone"
ok rmdir "$R/private/gone"
ok write "$R/quota" "private-images limit=7"
wait "$refused" && fail "a library that is served was migrated"
[[ $(cat served.log) == *": another imagefs serves this library"* ]] || fail "$(cat served.log)"
before=$(tree_snapshot "$R")
events=$(wc -l <"$MNT/info/events")
stop
last=$(of_file "SELECT seq FROM sqlite_sequence WHERE name = 'image'")
file=$(sha256sum <"$STORE/imagefs.db")
beside=$(ls "$STORE")

# What is refused: nothing changes, here or there.
refuses() { # ADDRESS SENTENCE
        local said
        said=$(migrate "$1") && fail "migrate to $1 succeeded"
        [[ $said == *"$2"* ]] || fail "migrate to $1: $said"
        [[ $said != *sesame* ]] || fail "a password: $said"
        same "$(ls "$STORE")" "$beside" "the library's directory after migrate to $1"
        same "$(sha256sum <"$STORE/imagefs.db")" "$file" "the catalogue after migrate to $1"
        same "$(sql -c "SELECT count(*) FROM pg_namespace WHERE nspname = 'imagefs'")" "${3:-0}" "catalogues on the server"
}
said=$("$IMAGEFS" migrate "$STORE" 2>&1) && fail "migrate to nowhere"
[[ $said == *"where to?"* ]] || fail "$said"
[[ $(migrate "postgresql://imagefs@/postgres?host=$WORK/none") != *"built without libpq"* ]] || skip "built without libpq"
refuses sqlite "the catalogue is in a file already"
refuses mysql://host/name 'name it as "postgresql://USER@HOST/DATABASE"'
refuses "postgresql://imagefs:sesame@/postgres?host=$WORK/none" "postgresql://imagefs@/postgres: the catalogue cannot be reached: "
[[ $("$IMAGEFS" migrate "$WORK/server" --catalogue "$at" 2>&1) == *"$WORK/server: no library of imagefs: "* ]] || fail "it is none"
: >"$STORE/imagefs.db.migrating"
beside=$(ls "$STORE")
refuses "$at" "$STORE/imagefs.db.migrating: cannot be made: Not a directory"
rm "$STORE/imagefs.db.migrating"
beside=$(ls "$STORE")
sql -c "CREATE SCHEMA imagefs" -c "COMMENT ON SCHEMA imagefs IS 'imagefs 8'"
refuses "$at" "postgresql://imagefs@/postgres: there is a library's catalogue already: name another database" 1
sql -c "DROP SCHEMA imagefs"

# A catalogue that cannot be read.
cp "$STORE/imagefs.db" good.db
dd if=/dev/zero of="$STORE/imagefs.db" bs=4096 count=1 conv=notrunc status=none
good=$file
file=$(sha256sum <"$STORE/imagefs.db")
refuses "$at" "$STORE/imagefs.db: "
cat good.db >"$STORE/imagefs.db"
file=$good

# What makes the library use it cannot be written: it goes on with its file, and who does so hears what is left on the server.
mkdir "$STORE/database.tmp"
beside=$(ls "$STORE")
refuses "$at" "cannot be put in place: Is a directory: nothing is changed here; its rows are on the server, where nobody uses them: drop the schema imagefs there" 1
rmdir "$STORE/database.tmp"
beside=$(ls "$STORE")
sql -c "DROP SCHEMA imagefs CASCADE" >/dev/null

# A server that does otherwise with the rows than it was told to.
spoil() {
        sql -c "CREATE OR REPLACE FUNCTION spoil() RETURNS trigger LANGUAGE plpgsql AS \$\$ BEGIN $1 RETURN new; END \$\$"
}
spoil "new.gid := 77;"
sql -c "CREATE FUNCTION lie_in_wait() RETURNS event_trigger LANGUAGE plpgsql AS \$\$ BEGIN
        IF EXISTS (SELECT 1 FROM pg_event_trigger_ddl_commands() WHERE object_identity = 'imagefs.region') THEN
                CREATE TRIGGER spoil BEFORE INSERT ON imagefs.region FOR EACH ROW EXECUTE FUNCTION public.spoil();
        END IF; END \$\$" -c "CREATE EVENT TRIGGER lie_in_wait ON ddl_command_end WHEN TAG IN ('CREATE TABLE')
        EXECUTE FUNCTION lie_in_wait()"
refuses "$at" "the rows of the table region are not there as they were here: nothing is changed"
spoil "RAISE 'no room';"
refuses "$at" "the rows of the table region cannot be taken there: "

# Killed among the rows.
spoil "PERFORM pg_sleep(60);"
"$IMAGEFS" migrate "$STORE" --catalogue "$at" >killed.log 2>&1 &
killed=$!
disown
until_true 60 eval '[ "$(sql -c "SELECT count(*) FROM pg_stat_activity WHERE wait_event = '"'PgSleep'"'")" = 1 ]' ||
        fail "it does not come to the rows: $(cat killed.log)"
[[ $(tr '\0' ' ' <"/proc/$killed/cmdline") != *sesame* ]] || fail "a password is shown"
kill -9 "$killed"
until_true 60 eval '! kill -0 "$killed" 2>/dev/null' || fail "it does not end"
sql -c "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity WHERE wait_event = 'PgSleep'" -c "DROP EVENT TRIGGER lie_in_wait" >/dev/null
same "$(sql -c "SELECT count(*) FROM pg_namespace WHERE nspname = 'imagefs'")" 0 "catalogues after a kill"
[ ! -e "$STORE/database" ] || fail "it is on the server after a kill"

# There.
said=$(migrate "$at") || fail "migrate: $said"
[[ $said == *" rows of "*" tables, compared"*"the catalogue is on the server now" ]] || fail "$said"
[[ $said != *sesame* ]] || fail "a password: $said"
same "$(cat "$STORE"/imagefs.db.*.aside | sha256sum)" "$file" "the old catalogue, aside"
same "$(stat -c %a "$STORE/database")" 600 "the mode of the file with the address"
[ ! -e "$STORE/imagefs.db" ] && [ ! -e "$STORE/imagefs.db.migrating" ] || fail "$(ls "$STORE")"
same "$(sql -c "SELECT last_value FROM imagefs.image_id_seq")" "$last" "the last number of an image"
start
same "$(tree_snapshot "$R")" "$before" "the region with the catalogue on the server"
same "$(wc -l <"$MNT/info/events")" "$events" "events"
same_disk "$R/private/web/disks/vda.raw" disk.raw
ok rmdir "$R/private/web/shares/12001"
ok mkdir "$R/private/more"
expect EEXIST mkdir "$R/private/more"
before=$(tree_snapshot "$R")
stop
[[ $(migrate "$at") == *"the catalogue is on a server already"* ]] || fail "twice"

# What is refused on the way back leaves it there.
refuses_back() { # SENTENCE
        local said before
        before=$(ls "$STORE")
        said=$(migrate sqlite) && fail "migrate to a file succeeded"
        [[ $said == *"$1"* && $said != *sesame* ]] || fail "migrate to a file: $said"
        same "$(ls "$STORE")" "$before" "the library's directory after a migration back that was refused"
}
mv server/.s.PGSQL.5432 server/away # a crash would have it skip numbers
refuses_back "postgresql://imagefs@/postgres: the catalogue cannot be reached: "
mv server/away server/.s.PGSQL.5432
sql -c "COMMENT ON SCHEMA imagefs IS 'imagefs 7'"
refuses_back "postgresql://imagefs@/postgres: made by another version of imagefs: use that one"
sql -c "COMMENT ON SCHEMA imagefs IS 'imagefs 9'"

# And back, from where a crash left the file that the server took the place of.
mv "$STORE"/imagefs.db.*.aside "$STORE/imagefs.db"
said=$(migrate sqlite) || fail "back: $said"
[[ $said == *"the catalogue is in a file now" ]] || fail "$said"
same "$(cat "$STORE"/imagefs.db.*.aside | sha256sum)" "$file" "what was beside it"
same "$(cat "$STORE"/database.*.aside)" "$at" "the old address, aside"
same "$(stat -c %a "$STORE/imagefs.db")" 600 "the mode of the file"
[ ! -e "$STORE/database" ] && [ ! -e "$STORE/imagefs.db.migrating" ] || fail "$(ls "$STORE")"
same "$(of_file "SELECT seq FROM sqlite_sequence WHERE name = 'image'")" $((last + 1)) "the last number of an image"
schemas=$(sql -c "SELECT nspname FROM pg_namespace WHERE nspname LIKE 'imagefs%'")
[[ $schemas == imagefs.*.aside ]] || fail "another host would find the old catalogue: $schemas"
[[ $said == *"the schema imagefs on the server is \"$schemas\" now"* ]] || fail "$said"
start
same "$(tree_snapshot "$R")" "$before" "the region with the catalogue in a file again"
same_disk "$R/private/web/disks/vda.raw" disk.raw
ok rmdir "$R/private/more"
stop
[ "$("$IMAGEFS" check "$STORE")" = clean ] || fail "check: $("$IMAGEFS" check "$STORE")"
"$server" stop "$WORK/server"

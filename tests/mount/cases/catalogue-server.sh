# SPDX-License-Identifier: MIT
# The catalogue on a server of PostgreSQL: what users do goes as with a file. While the server is away all that asks it is EIO with
# a sentence, within a bound, and what was acknowledged is there when it is back, as after a crash of the daemon. No password is
# shown.
need psql
server=$lib/../../lib/postgres
chmod 711 "$WORK" # the server may be another user
mkdir -m 755 server
"$server" start "$WORK/server" || { [ $? = 77 ] && skip "PostgreSQL is not installed"; fail "the server does not start"; }
at="postgresql://imagefs:sesame@/postgres?host=$WORK/server"

# Making one: each refusal leaves nothing behind.
made() { run "$IMAGEFS" init "$STORE" --catalogue "$1" 2>&1; }
refuses() { # ADDRESS SENTENCE
        local said
        said=$(timeout 20 "$IMAGEFS" init "$STORE" --catalogue "$1" 2>&1) && fail "init with $1 succeeded"
        [[ $said == *"$2"* ]] || fail "init with $1: $said"
        [[ $said != *sesame* ]] || fail "a password: $said"
        same "$(ls -A "$STORE" 2>&1)" "$kept" "what init with $1 leaves"
}
said=$("$IMAGEFS" init "$STORE" --catalogue "$at" 2>&1) || {
        [[ $said == *"built without libpq"* ]] && skip "built without libpq"
        fail "$said"
}
rm -r "$STORE"
kept="ls: cannot access '$STORE': No such file or directory"
refuses mysql://host/name 'name it as "postgresql://USER@HOST/DATABASE"'
refuses "postgresql://imagefs:sesame@/nowhere?host=$WORK/server" 'database "nowhere" does not exist'
refuses "postgresql://imagefs:sesame@/postgres?host=$WORK/none" "postgresql://imagefs@/postgres: the catalogue cannot be reached: "
refuses "$at" "postgresql://imagefs@/postgres: there is a library's catalogue already: name another database"
mkdir "$STORE"
kept=
refuses "postgresql://imagefs:sesame@/postgres?host=$WORK/none" "the catalogue cannot be reached: "
: >"$STORE/lock"
kept=lock
refuses "postgresql://imagefs:sesame@/postgres?host=$WORK/none" "the catalogue cannot be reached: "
psql -qX "$at" -c "DROP SCHEMA imagefs CASCADE" 2>/dev/null
made "$at" >/dev/null
same "$(stat -c %a "$STORE/database")" 600 "the mode of the file with the address"
[ ! -e "$STORE/imagefs.db" ] || fail "there is a file, too"
[[ $("$IMAGEFS" init "$STORE" --catalogue "$at" 2>&1) == *"there is a library already" ]] || fail "made twice"

# What users do.
start
two_regions
pattern disk.raw 2M 3
import_raw "$R/private/web" disk.raw
ok write "$R/private/web/description" "our base system"
ok mkdir "$R/private/web/copies/cn-east-2"
settle "$R2/private/web"
same_disk "$R2/private/web/disks/vda.raw" disk.raw
ok mkdir "$R/private/web/shares/12001"
expect EEXIST mkdir "$R/private/web/shares/12001"
ok mkdir "$R/instances/vm"
expect EEXIST mkdir "$R/instances/vm"
ok rmdir "$R/instances/vm"
ok mkdir "$R/private/web/instances/vm"
dd if=disk.raw of="$R/instances/vm/disks/vda.raw" bs=1M count=1 conv=notrunc,fsync status=none || fail "cannot write the disk"
ok write "$R/instances/vm/power" start
expect EBUSY rmdir "$R/instances/vm"
ok write "$R/instances/vm/power" stop
ok mkdir "$R/instances/vm/images/next"
settle "$R/private/next"
ok write "$R/private/next/family" web
value "$R/families/web/latest/description" ""
ok rmdir "$R/private/next"
run mv "$R/recycle/next" "$R/private/"
ok write "$R/quota" "private-images limit=2"
expect EDQUOT mkdir "$R/private/more"
grep -q '^.*,web,' "$R/images.csv" || fail "images.csv: $(cat "$R/images.csv")"
[ "$(wc -l <"$MNT/info/events")" -gt 10 ] || fail "events: $(cat "$MNT/info/events")"
value "$MNT/info/health" ok
if tr '\0' ' ' <"/proc/$daemon_pid/cmdline" | cat - "$WORK/daemon.log" "$MNT"/info/* 2>/dev/null | grep -a sesame; then
        fail "a password is shown"
fi

# The daemon dies.
before=$(tree_snapshot "$R")
crash
umount -l "$MNT"
start
same "$(tree_snapshot "$R")" "$before" "the region after a crash of the daemon"

# The server is away, and back. An import is about to end meanwhile: it begins again.
psql -qX -v ON_ERROR_STOP=1 "$at" >/dev/null 2>psql.err <<'SQL' || fail "$(cat psql.err)"
SELECT format('CREATE FUNCTION public.hold() RETURNS trigger LANGUAGE plpgsql AS %L', format('BEGIN
        IF pg_postmaster_start_time() = %L THEN PERFORM pg_sleep(600); END IF; RETURN new; END', pg_postmaster_start_time())) \gexec
CREATE TRIGGER hold BEFORE INSERT ON imagefs.blob FOR EACH ROW EXECUTE FUNCTION public.hold();
SQL
ok mkdir "$R2/private/held"
pattern held.raw 1M 9
gzip -1 <held.raw >held.gz
cp held.gz "$R2/private/held/upload" || fail "cannot upload"
until_true 20 eval '[ "$(psql -AtqX "$at" -c "SELECT count(*) FROM pg_stat_activity WHERE wait_event = '"'PgSleep'"'")" = 1 ]' ||
        fail "it does not come to its end: $(cat "$R2/private/held/status")"
"$server" stop "$WORK/server"
began=$SECONDS
expect EIO mkdir "$R/private/other"
expect EIO write "$R/private/web/description" "another"
[ $((SECONDS - began)) -lt 30 ] || fail "EIO after $((SECONDS - began)) s"
grep -q "the server that has the catalogue cannot be used now: " "$MNT/info/errors" || fail "$(cat "$MNT/info/errors")"
grep -q "the server that has the catalogue cannot be used now: .*; all goes on when it is back" "$MNT/info/health" ||
        fail "health: $(cat "$MNT/info/health")"
"$server" start "$WORK/server"
until_true 20 eval '[ "$(cat "$MNT/info/health")" = ok ]' || fail "health: $(cat "$MNT/info/health")"
settle "$R2/private/held"
same_disk "$R2/private/held/disks/vda.raw" held.raw
ok rmdir "$R2/private/held"
ok rmdir "$R2/recycle/held"
same "$(tree_snapshot "$R")" "$before" "the region after a crash of the server"
ok write "$R/private/web/description" "another"
same_disk "$R/private/web/disks/vda.raw" disk.raw
stop
"$server" stop "$WORK/server"
[[ $(start_refused "$STORE" "$MNT" -f) == *"postgresql://imagefs@/postgres: the catalogue cannot be reached: "* ]] ||
        fail "$(cat out)"
[[ $("$IMAGEFS" check "$STORE" --restore-catalogue 2>&1) == *"on a server of PostgreSQL"* ]] || fail "it restores"
"$server" start "$WORK/server"

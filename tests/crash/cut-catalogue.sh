# SPDX-License-Identifier: MIT
# A catalogue on a server of PostgreSQL, and the way there cut, held up and closed under four clients, who note what they were
# answered: it is there, of what was under way all or nothing, and nobody waits for ever.
# time limit: 300
need python3 psql
rounds=${IMAGEFS_KILLS:-5}
. "$lib/crash.sh"
server=$lib/../../lib/postgres
chmod 711 "$WORK" # the server may be another user
mkdir -m 755 server
"$server" start "$WORK/server" || { [ $? = 77 ] && skip "PostgreSQL is not installed"; fail "the server does not start"; }
grep -q libpq <(ldd "$IMAGEFS") || skip "built without libpq"
run "$IMAGEFS" init "$STORE" --catalogue "postgresql://imagefs@/postgres?host=$WORK/server" >/dev/null
start
two_regions
raise_limits
pattern kept.raw 1M 1
import_raw "$R/private/kept" kept.raw
ok mkdir "$R/disks/load"
ok write "$R/disks/load/size" 64M
stop
"$lib/cut-clients" "$IMAGEFS" "$STORE" "$MNT" "$R" "$rounds" "$IMAGEFS_SEED" "$WORK/server/.s.PGSQL.5432" >out 2>err ||
        fail "$(cat out err)"
echo "note: $(cat out)"
check_store
NO_CHECK=yes
"$server" stop "$WORK/server"

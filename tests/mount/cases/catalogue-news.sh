# SPDX-License-Identifier: MIT
# What another host commits to a catalogue on a server is heard here: who waits for events, for the end of work, or for work is told
# as if it had been done here; also after the server was away. psql is that host.
need psql
. "$lib/serve.sh"
server=$lib/../../lib/postgres
chmod 711 "$WORK" # the server may be another user
mkdir -m 755 server
"$server" start "$WORK/server" || { [ $? = 77 ] && skip "PostgreSQL is not installed"; fail "the server does not start"; }
at="postgresql://imagefs@/postgres?host=$WORK/server"
said=$("$IMAGEFS" init "$STORE" --catalogue "$at" 2>&1) || {
        [[ $said == *"built without libpq"* ]] && skip "built without libpq"
        fail "$said"
}
start
two_regions
pattern disk.raw 2M 3
import_raw "$R/private/web" disk.raw
ok mkdir "$R/private/web/instances/vm"

elsewhere() { # SQL: a host commits it, and says so
        psql -qXAt -v ON_ERROR_STOP=1 "$at" -c "SET search_path = imagefs, pg_catalog" -c "BEGIN" -c "$1" -c "NOTIFY imagefs_news, 'a host'" -c COMMIT ||
                fail "psql: $1"
}
last() { tail -n 1 "$MNT/info/events" | sed 's/^{"seq": \([0-9]*\),.*/\1/'; }
waits() { grep -qs request_wait_answer "/proc/$reader/stack" "/proc/$reader/wchan"; }
reads() { # FILE: somebody begins to read it, and waits
        cat "$1" >told &
        reader=$!
        until_true 60 waits || fail "who reads $1 does not wait: $(cat told)"
}
has_ended() { ! kill -0 "$reader" 2>/dev/null; }
answered() { # TEXT
        until_true 60 has_ended || { kill "$reader"; fail "the reader was not answered: $1"; }
        wait "$reader" || fail "the reader was refused: $1"
        grep -q -- "$1" told || fail "the reader was told: $(cat told), and not $1"
}

# Events.
reads "$MNT/info/events-after/$(last)"
elsewhere "UPDATE image SET family = 'web' WHERE handle = 'web'"
answered '"private/web"'
value "$R/private/web/family" web

# The end of work.
elsewhere "UPDATE image SET status = 'replicating' WHERE handle = 'web'"
reads "$R/private/web/wait"
elsewhere "UPDATE image SET status = 'available' WHERE handle = 'web'"
answered available

# Work: what lies in the recycle bin for too long is for the upkeep, which had nothing to do until next month.
pattern old.raw 1M 4
import_raw "$R/private/old" old.raw
ok rmdir "$R/private/old"
is_gone() { [ ! -e "$R/recycle/old" ]; }
is_gone && fail "not in the recycle bin"
elsewhere "UPDATE image SET deleted = 1 WHERE handle = 'old'"
until_true 60 is_gone || fail "the upkeep was not told"

# Work that was cancelled there: the server that it fetches from says nothing any more, and is waited for no longer.
pattern served 8M 51
serve
ok mkdir "$R/private/far"
ok write "$R/private/far/import-url" "http://$AT/stall/x.raw"
until_true 60 _arrived "$R/private/far" 1 || fail "nothing arrives"
task=$(task_of "$R/private/far" fetch)
works() { grep -qx "$(basename "$task" | head -c 15)" "/proc/$daemon_pid"/task/*/comm 2>/dev/null; }
rests() { ! works; }
works || fail "no thread has the name of $task"
elsewhere "UPDATE task SET status = 'cancelled', finished = created WHERE ident = '$(basename "$task")'"
until_true 60 rests || fail "the work was not ended"

# After the server was away nobody knows what was said meanwhile.
elsewhere "UPDATE image SET status = 'replicating' WHERE handle = 'web'"
reads "$R/private/web/wait"
psql -qXAt "$at" -c "UPDATE imagefs.image SET status = 'available' WHERE handle = 'web'" \
        -c "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE query LIKE 'LISTEN%' OR query = 'SELECT'" >/dev/null
answered available

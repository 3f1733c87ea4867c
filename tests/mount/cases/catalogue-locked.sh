# SPDX-License-Identifier: MIT
# The catalogue of a mounted library is the daemon's: another program that opens it is told that it is locked, and changes
# nothing. Not mounted it can be looked at; and while somebody does, the daemon says so instead of starting.
need python3
start
two_regions
local_image web 1M 5
open_as() { # URI-PARAMETERS SQL: the first value that comes, or the error
        python3 - "file:$STORE/imagefs.db$1" "$2" <<'END_OF_PYTHON'
import sqlite3, sys
try:
    db = sqlite3.connect(sys.argv[1], uri=True, timeout=0, isolation_level=None)
    print(db.execute(sys.argv[2]).fetchone()[0])
    db.close()
except sqlite3.Error as error:
    print(error)
END_OF_PYTHON
}
files() { (cd "$STORE" && ls -A | sort | tr '\n' ' '); }
before=$(files)
[[ $before != *-shm* ]] || fail "a -shm file: $before"
count="SELECT count(*) FROM image"
for how in "" "?mode=ro" "?mode=rw"; do
        for sql in "$count" "DELETE FROM image" "PRAGMA wal_checkpoint(TRUNCATE)" "PRAGMA journal_mode = DELETE" "VACUUM"; do
                same "$(open_as "$how" "$sql")" "database is locked" "$sql, opened with '$how'"
        done
done
if command -v sqlite3 >/dev/null; then
        same "$(sqlite3 "$STORE/imagefs.db" .tables 2>&1 | grep -o "database is locked")" "database is locked" "sqlite3"
fi
same "$(files)" "$before" "what lies in the library"
ok write "$R/private/web/description" "still here"
cp "$STORE"/imagefs.db* . # reading the files is no harm either
crash

# After a crash another program takes the log over, which is how sqlite does it, and leaves a -shm if it crashes as well.
same "$(open_as "" "SELECT description FROM image")" "still here" "after a crash"
python3 -c 'import os, signal, sqlite3, sys
db = sqlite3.connect(sys.argv[1])
db.execute("UPDATE image SET description = \"changed\"")
db.commit()
os.kill(os.getpid(), signal.SIGKILL)' "$STORE/imagefs.db" 2>/dev/null
[ -f "$STORE/imagefs.db-shm" ] || fail "no -shm: this tests nothing"
touch -d @1000000000 "$STORE"/imagefs.db* "$STORE"
check_store
same "$(stat -c %Y "$STORE"/imagefs.db* "$STORE" | sort -u)" 1000000000 "what a check has changed last"
start
value "$R/private/web/description" changed
[ ! -e "$STORE/imagefs.db-shm" ] || fail "the -shm of another program is still there"
stop
same "$(open_as "" "$count")" 1 "of a library that is not mounted"

# Somebody looks at it all the time.
mkfifo hold
python3 -c 'import sqlite3, sys
db = sqlite3.connect(sys.argv[1])
db.execute("SELECT count(*) FROM image").fetchone()
print(1, flush=True)
sys.stdin.read()' "$STORE/imagefs.db" <hold >held &
holder=$!
exec 6>hold
until_true 10 test -s held || fail "nobody holds it"
said=$(start_refused "$STORE" "$MNT" -f)
[[ $said == *"imagefs.db: another program has it open"* ]] || fail "said: $said"
exec 6>&-
wait "$holder"
start
value "$R/private/web/description" changed

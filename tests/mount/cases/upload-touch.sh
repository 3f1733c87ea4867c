# SPDX-License-Identifier: MIT
# A file that is only made (touch, or tools that make it first and open it again for its bytes) is no upload yet: its image
# waits some seconds, and goes. One that was made by mkdir stays queued, for a day. And how far an upload is.
need python3
start
two_regions
pattern disk.raw 8M 7
there() { [ -d "$R/private/$1" ]; }
gone() { ! there "$1"; }

# Made by one process, opened again by its name by another.
ok mkdir "$R/private/kept"
run touch "$R/private/kept/upload"
value "$R/private/kept/status" queued
run touch "$R/private/empty.raw" "$R/private/again.raw"
value "$R/private/empty/status" queued
same "$(used "$R" private-images)" 3 "they count"
same "$(used "$R" snapshots)" 0 "without an upload, no snapshot"
run cp disk.raw "$R/private/again.raw"
settle "$R/private/again"
same_checksum "$R/private/again" disk.raw

# Nothing came.
until_true 20 gone empty || fail "an image for a file without a byte is still there"
value "$R/private/again/status" available
value "$R/private/kept/status" queued
same "$(ls "$R/private")" "again
kept" "what is there"
same "$(used "$R" private-images)" 2 "they count"
expect ENOENT stat "$R/private/empty.raw"
import_raw "$R/private/empty" disk.raw

# How far it is: what came, and what was announced.
ok mkdir "$R/private/way"
exec 5>"$R/private/way/upload"
run dd if=disk.raw of=/dev/fd/5 bs=1M count=1 conv=notrunc status=none
same "$(cat "$R/private/way/progress")" "percent 0
bytes-done 1048576
bytes-total 0" "nobody said how much"
run truncate -s 0 /dev/fd/5
run truncate -s 8M /dev/fd/5
run dd if=disk.raw of=/dev/fd/5 bs=1M count=2 conv=notrunc status=none
same "$(cat "$R/private/way/progress")" "percent 25
bytes-done 2097152
bytes-total 8388608" "a quarter"
run dd if=disk.raw of=/dev/fd/5 bs=1M conv=notrunc status=none
exec 5>&-
settle "$R/private/way"
same_checksum "$R/private/way" disk.raw

# A day.
ok mkdir "$R/private/old"
stop
run python3 - "$STORE/imagefs.db" <<'END'
import sqlite3, sys, time
db = sqlite3.connect(sys.argv[1])
for handle, hours in (("old", 25), ("kept", 23)):
    then = int((time.time() - hours * 3600) * 1000000)
    assert db.execute("UPDATE image SET updated = ? WHERE handle = ?", (then, handle)).rowcount == 1
db.commit()
END
start
until_true 20 gone old || fail "what was queued for a day is still there"
value "$R/private/kept/status" queued
value "$R/private/again/status" available

# SPDX-License-Identifier: MIT
# A file was copied in, close(2) was answered, and the server that has the catalogue is away: what came in waits for it, whatever it
# is, and is imported when it is back, or refused with the sentence that it would have had. So it is where the server was told, and
# went away before it could answer.
# time limit: 240
need psql python3 qemu-img
server=$lib/../../lib/postgres
chmod 711 "$WORK" # the server may be another user
mkdir -m 755 server
"$server" start "$WORK/server" || { [ $? = 77 ] && skip "PostgreSQL is not installed"; fail "the server does not start"; }
at="postgresql://imagefs@/postgres?host=$WORK/server"
sql() { psql -AtqX -v ON_ERROR_STOP=1 "$at" "$@" 2>&1; }
said=$("$IMAGEFS" init "$STORE" --catalogue "$at" 2>&1) || {
        [[ $said == *"built without libpq"* ]] && skip "built without libpq"
        fail "$said"
}
start
two_regions
raise_limits
P=$R/private

# Writes FILE into the upload of each image, and closes it when it is told to: the last line is what each close was answered.
cat >uploader.py <<'PY'
import os, sys
open_ = []
for name, file, first_last in (line.split() for line in sys.argv[2:]):
    fd = os.open(f"{sys.argv[1]}/{name}/upload", os.O_WRONLY)
    data = open(file, "rb").read()
    os.pwrite(fd, data, 0)
    if first_last == "again":  # what was stored while it came has to be read back
        os.pwrite(fd, data[:1], 0)
    open_.append((name, fd))
print("written", flush=True)
sys.stdin.readline()
for name, fd in open_:
    try:
        os.close(fd)
        print(name, "closed", flush=True)
    except OSError as e:
        print(name, e.strerror, flush=True)
PY
pattern disk.raw 3M 5
run qemu-img convert -O qcow2 disk.raw disk.qcow2
gzip -1 <disk.raw >disk.gz
run qemu-img create -q -f qcow2 -b disk.raw -F raw backed.qcow2
: >nothing
images=(raw qcow2 packed again backed empty)
for image in "${images[@]}"; do ok mkdir "$P/$image"; done
mkfifo go
python3 uploader.py "$P" "raw disk.raw -" "qcow2 disk.qcow2 -" "packed disk.gz -" "again disk.raw again" "backed backed.qcow2 -" \
        "empty nothing -" <go >closed &
uploader=$!
exec 7>go
until_true 60 grep -q written closed || fail "nothing is written"
"$server" stop "$WORK/server"
echo >&7
exec 7>&-
until_true 60 eval '! kill -0 "$uploader" 2>/dev/null' || fail "a close hangs: $(cat closed)"
same "$(grep -c closed closed)" 6 "files that were closed: $(cat closed)"
until_true 20 grep -q "cannot be used now" "$MNT/info/health" || fail "health: $(cat "$MNT/info/health")"
"$server" start "$WORK/server"
until_true 60 eval '[ "$(cat "$MNT/info/health")" = ok ]' || fail "health: $(cat "$MNT/info/health")"
until_true 60 eval '! grep -q uploading "$P"/*/status' || fail "$(grep . "$P"/*/status)"
for image in raw qcow2 packed again; do
        settle "$P/$image"
        same_disk "$P/$image/disks/vda.raw" disk.raw
done
value "$P/backed/status" error
[[ $(cat "$P/backed/error") == *backing* ]] || fail "$(cat "$P/backed/error")"
value "$P/empty/status" queued
run cp disk.raw "$P/empty/upload"
settle "$P/empty"
nothing_incoming

# The commit was done, and who asked for it was not told, for as long as it could wait: a standby that there is not is waited for.
# It is taken for done, and the file for what it was.
uploaders=()
ok mkdir "$P/told"
ok mkdir "$P/told-packed"
ok mkdir "$P/told-again"
for image in "told disk.raw -" "told-packed disk.gz -" "told-again disk.raw again"; do
        mkfifo "go-${image%% *}"
        python3 uploader.py "$P" "$image" <"go-${image%% *}" >"closed-${image%% *}" &
        uploaders+=($!)
done
exec 4>go-told 5>go-told-packed 6>go-told-again
for image in told told-packed told-again; do
        until_true 60 grep -q written "closed-$image" || fail "nothing is written"
done
unanswered() { # FD: closes a file; its commit is done, and the server away for longer than its answer is waited for
        sql -c "ALTER SYSTEM SET synchronous_standby_names = 'nobody'" -c "SELECT pg_reload_conf()" >/dev/null
        echo >&"$1"
        until_true 20 eval '[ "$(sql -c "SELECT count(*) FROM pg_stat_activity WHERE wait_event = '"'SyncRep'"' AND query LIKE '"'%COMMIT'"'")" != 0 ]' ||
                fail "nothing is committed"
        "$server" stop "$WORK/server"
        sed -i /synchronous_standby_names/d "$WORK/server/data/postgresql.auto.conf"
}
for image in told:4 told-packed:5 told-again:6; do
        unanswered "${image#*:}"
        sleep 22 # twice an answer's deadline, and a bit
        "$server" start "$WORK/server"
        until_true 60 eval '[ "$(cat "$MNT/info/health")" = ok ]' || fail "health: $(cat "$MNT/info/health")"
        settle "$P/${image%:*}"
        same_disk "$P/${image%:*}/disks/vda.raw" disk.raw
done
exec 4>&- 5>&- 6>&-
wait "${uploaders[@]}"
nothing_incoming
stop
check_store
NO_CHECK=yes
"$server" stop "$WORK/server"

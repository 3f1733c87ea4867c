# SPDX-License-Identifier: MIT
# Whatever runs, whoever closes a file has an answer within seconds, a cancel ends it within one, and so does the daemon's
# end. Here the child that looks at headers never answers.
need cc qemu-img python3
mkdir bin
cp "$IMAGEFS" bin/imagefs
for program in "$(dirname "$IMAGEFS")"/imagefs-*; do
        [ ! -x "$program" ] || [ -d "$program" ] || cp "$program" bin/
done
printf '#include <unistd.h>\nint main(void) { for (;;) pause(); }\n' >silent.c
run cc -O1 -static -o silent silent.c
judge=$(basename "$(find bin -name '*judge*')")
mv "bin/$judge" whole-judge
IMAGEFS=$WORK/bin/imagefs

within() { # SECONDS COMMAND …
        local began=${EPOCHREALTIME/./} limit=$(($1 * 1000000))
        "${@:2}" || fail "${*:2}: status $?"
        local took=$((${EPOCHREALTIME/./} - began))
        [ $took -lt $limit ] || fail "${*:2} took $((took / 1000)) ms"
}
hang() {
        cp silent "bin/$judge"
}
heal() {
        cp --remove-destination whole-judge "bin/$judge"
}

hang
start
two_regions
run qemu-img create -q -f qcow2 disk.qcow2 1G

# The handler leaves it to the import, which waits for the child; the task is cancelled.
ok mkdir "$R/private/web"
within 10 ok upload disk.qcow2 "$R/private/web/upload"
until_true 8 grep -qx pending "$R/private/web/status" || fail "status $(cat "$R/private/web/status")"
running() {
        grep -qx running "$MNT"/tasks/*/status
}
until_true 10 running || fail "no import"
within 2 ok rmdir "$MNT"/tasks/task-*
until_true 2 grep -qx error "$R/private/web/status" || fail "status $(cat "$R/private/web/status")"
ok rmdir "$R/private/web"
ok rmdir "$R/recycle/web"

# Unmounted while the import waits for it, and while a close(2) does. The import begins anew, with a child that answers.
ok mkdir "$R/private/web"
ok upload disk.qcow2 "$R/private/web/upload"
until_true 10 running || fail "no import"
within 5 stop
heal
start
settle "$R/private/web"
value "$R/private/web/size" $((1 << 30))
hang
stop
start
ok mkdir "$R/private/late"
"$FSOP" upload disk.qcow2 "$R/private/late/upload" >closed &
writer=$!
uploading() {
        pgrep -P "$daemon_pid" -f "$judge" >/dev/null
}
until_true 10 uploading || fail "the header is not looked at"
kill -TERM "$daemon_pid"
within 8 wait "$daemon_pid"
wait $writer || true
heal
start
timeout 60 cat "$R/private/late/wait" >/dev/null || true
[[ $(cat "$R/private/late/status") == @(available|error) ]] || fail "status $(cat "$R/private/late/status")"
ok rmdir "$R/private/late"
stop
check_store

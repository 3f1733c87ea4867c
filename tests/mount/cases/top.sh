# SPDX-License-Identifier: MIT
# imagefs top: a page on a terminal, which q and Ctrl-C end; lines in a pipe. Tasks, and counters for who may read them.
# shellcheck source=tests/mount/lib/serve.sh
. "$lib/serve.sh"
pattern served 30M 5
serve
start
two_regions

fails "$IMAGEFS" top "$WORK"
same "$(cat err)" "imagefs: $WORK: no library is mounted there" "no mount"
fails "$IMAGEFS" top "$MNT" --count
same "$(cat err)" "imagefs: --count: wants a number after it; usage: imagefs top MOUNTPOINT [--count N]" "no number"
fails "$IMAGEFS" top
same "$(cat err)" "imagefs: MOUNTPOINT: missing; usage: imagefs top MOUNTPOINT [--count N]" "no mount point"

# A fetch that takes as long as we like.
ok mkdir "$R/private/web"
ok write "$R/private/web/import-url" "http://$AT/slow/web.raw"
until_true 10 _arrived "$R/private/web" 1 || fail "nothing comes"
"$IMAGEFS" top "$MNT" --count 2 >lines &
top=$!
for _ in 1 2 3 4 5 6 7 8; do cat "$MNT/info/version"; done >/dev/null
wait "$top" || fail "top gave $?"
same "$(wc -l <lines)" 2 "lines"
! grep -vE '^20[0-9-]{8}T[0-9:]{8}Z [0-9]+ requests/s, reads [0-9.]+ [KM]?i?B/s, writes [0-9.]+ [KM]?i?B/s, cache hits ([0-9]+ %|-), 1 running, 0 queued$' \
        lines || fail "a line: $(cat lines)"
! grep -q $'\033' lines || fail "a terminal's codes in a pipe"
[ "$(sed 's/^[^ ]* \([0-9]*\) .*/\1/' lines | sort -n | tail -n 1)" -ge 10 ] || fail "requests: $(cat lines)"

# On a terminal, driven as by a person.
cat >person <<'END'
import os, pty, re, select, signal, sys
def run(end):
    pid, fd = pty.fork()
    if pid == 0:
        os.execv(sys.argv[1], [sys.argv[1], "top", sys.argv[2]])
    seen, asked = b"", False
    while select.select([fd], [], [], 20)[0]:
        try:
            piece = os.read(fd, 65536)
        except OSError: # it has closed its end
            break
        seen += piece
        if not asked and seen.count(b"\033[H") >= 2 and b"queued" in seen:
            os.write(fd, end)
            asked = True
    status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    assert asked and status == 0, (status, seen)
    assert b"  fetch of " in seen and b" of 30.0 MiB" in seen, seen
    assert b" 1 running, " in seen and b"requests/s" in seen, seen
run(b"q")
run(b"\003")
END
run timeout 40 python3 person "$IMAGEFS" "$MNT"
ok rmdir "$R/private/web"

if [ "$(id -u)" = 0 ] && command -v setpriv >/dev/null; then
        # shellcheck source=tests/mount/lib/users.sh
        . "$lib/users.sh"
        users 40001
        cp "$IMAGEFS" "$WORK/bin/imagefs"
        restart -o allow_other
        [[ $(as 40001 "$WORK/bin/imagefs" top "$MNT" --count 1) == *" counters are the administrator's to read, 0 running, 0 queued" ]] ||
                fail "top of a tenant's: $(as 40001 "$WORK/bin/imagefs" top "$MNT" --count 1)"
fi

# SPDX-License-Identifier: MIT
# The log: start, stop, each operation that was accepted and how it ended, with user, time and path; no reads and writes of
# data, and no refusals unless -d asks for them. The journal's priorities, where standard error is the journal's.
# shellcheck source=tests/mount/lib/serve.sh
. "$lib/serve.sh"
me=$(id -un)
pattern served 64K 3
serve

# said: the lines of the log, without the time that each must have; T in place of the names of tasks.
said() {
        ! grep -vE '^20[0-9-]{8}T[0-9:]{8}Z imagefs: ' "$WORK/daemon.log" || fail "a line without time"
        sed -E 's/^[^ ]* imagefs: //; s/task-[a-z0-9]+/T/g' "$WORK/daemon.log"
}

# What was asked for, then how work ended: it may end before the line of who asked for it is written.
_ends_last() {
        sed -n '/(T)$/!p; /(T)$/H; ${ g; s/^\n//; /./p; }'
}

# logged LINES: nothing but these, in this order (but for the ends of work, which have their own), since the last call.
logged() {
        local want
        want=$(_ends_last <<<"$1")
        _same_log() { [ "$(said | _ends_last)" = "$want" ]; }
        until_true 5 _same_log || fail "the log: $(diff <(echo "$want") <(said | _ends_last))"
        : >"$WORK/daemon.log"
}

start
logged "imagefs $(cat "$MNT/info/version") serves $STORE on $MNT"

two_regions
pattern web.raw 3M 5
ok mkdir "$R/private/web"
ok write "$R/private/web/description" "not for the log"
ok upload web.raw "$R/private/web/upload"
settle "$R/private/web"
logged "$me: mkdir /regions/cn-north-1
$me: mkdir /regions/cn-east-2
$me: mkdir /regions/cn-north-1/private/web
$me: write /regions/cn-north-1/private/web/description
$me: open /regions/cn-north-1/private/web/upload
$me: import of /regions/cn-north-1/private/web: done (T)"

ok chmod 0750 "$R/private/web"
ok mkdir "$R/private/web/copies/cn-east-2"
settle "$R2/private/web"
until_true 5 grep -q "copy of" daemon.log
ok mkdir "$R/private/web/instances/vm"
ok pwrite 0 "$R/instances/vm/disks/vda.raw" x
ok mkdir "$R/instances/vm/images/next"
settle "$R/private/next"
until_true 5 grep -q "capture of" daemon.log
ok rmdir "$R/instances/vm"
ok rename "$R2/private/web" "$R2/recycle/web"
ok rmdir "$R2/recycle/web"
logged "$me: chmod /regions/cn-north-1/private/web
$me: mkdir /regions/cn-north-1/private/web/copies/cn-east-2
$me: copy of /regions/cn-north-1/private/web to /regions/cn-east-2/private/web: done (T)
$me: mkdir /regions/cn-north-1/private/web/instances/vm
$me: open /regions/cn-north-1/disks/vm-vda/data.raw
$me: mkdir /regions/cn-north-1/instances/vm/images/next
$me: capture of /regions/cn-north-1/instances/vm to /regions/cn-north-1/private/next: done (T)
$me: rmdir /regions/cn-north-1/instances/vm
$me: rename /regions/cn-east-2/private/web to /regions/cn-east-2/recycle/web
$me: rmdir /regions/cn-east-2/recycle/web"

# Looking at things, and being refused them, is not worth a line; a work that fails is.
cat "$R"/private/web/* "$R/images.csv" >/dev/null 2>&1
ls -lR "$MNT" >/dev/null
expect EEXIST rename "$R2" "$R"
expect EINVAL write "$R/private/web/os" beos
[[ $(tail -n 1 "$MNT/info/errors") == 20*" $me EINVAL /regions/cn-north-1/private/web: write os: "* ]] ||
        fail "info/errors has no path: $(tail -n 1 "$MNT/info/errors")"
expect EPERM mkdir "$MNT/new"
[[ $(tail -n 1 "$MNT/info/errors") == 20*" $me EPERM /: mkdir new: "* ]] || fail "$(tail -n 1 "$MNT/info/errors")"
ok mkdir "$R/private/bad"
ok write "$R/private/bad/import-url" "http://$AT/x.raw sha256=$(printf '%064d' 0)"
settle "$R/private/bad" error
until_true 5 grep -q "fetch of" daemon.log
[[ $(said) == "$me: mkdir /regions/cn-north-1/private/bad
$me: write /regions/cn-north-1/private/bad/import-url
$me: fetch of /regions/cn-north-1/private/bad: error: "*" (T)" ]] || fail "$(said)"
: >daemon.log

stop
logged "$STORE is no longer served: unmounted"

# Refusals too, with the errno and the sentence; a name cannot make a second line.
start -d
R=$MNT/regions/cn-north-1
expect EINVAL write "$R/private/web/os" beos
grep -qE "imagefs: $me: write /regions/cn-north-1/private/web/os: EINVAL: os: nothing, or one of" daemon.log ||
        fail "a refusal: $(grep EINVAL daemon.log)"
expect EINVAL mkdir "$R/private/a"$'\n'"b"
grep -qE "imagefs: $me: mkdir /regions/cn-north-1/private/a b: EINVAL: " daemon.log || fail "$(grep "private/a" daemon.log)"
kill -TERM "$daemon_pid"
_reap "$daemon_pid"
grep -q "imagefs: $STORE is no longer served: Terminated" daemon.log || fail "$(tail -n 1 daemon.log)"

# systemd says which file the journal is; it has times itself.
: >journal
JOURNAL_STREAM=$(stat -c %d:%i journal) "$IMAGEFS" "$STORE" "$MNT" -f 2>>journal &
daemon_pid=$!
until_true 20 _started
ok write "$R/private/web/name" web2
same "$(cat journal)" "<6>imagefs $(cat "$MNT/info/version") serves $STORE on $MNT
<6>$me: write /regions/cn-north-1/private/web/name" "the journal"
start_refused "$STORE" "$WORK" >/dev/null
: >refused
JOURNAL_STREAM=$(stat -c %d:%i refused) "$IMAGEFS" "$STORE" "$WORK/nowhere" 2>>refused && fail "mounted on nothing"
same "$(cat refused)" "<3>mount point $WORK/nowhere: No such file or directory" "a failure in the journal"

# SPDX-License-Identifier: MIT
# However many read what was open already in a blob store that does not answer, or open it: they have their share of the daemon's threads,
# and everything else goes on. Once the store is known to hang, those beyond the share are refused.
# time limit: 100
need_root "a blob store on a file system of the test's own"
need python3
# shellcheck source=tests/mount/lib/hang.sh
. "$lib/hang.sh"

# As gate.c has it.
SHARE=16
MANY=200

hang_mount
start
two_regions
raise_limits
ok write "$R2/store" "$FAR/store"
head -c 16M /dev/urandom >far.raw
import_raw "$R2/private/far" far.raw
pattern far2.raw 2M 6
import_raw "$R2/private/far2" far2.raw
cloud_image here 2M
cloud_image there 2M 13
stop
hang_unmount

answers() {
        timeout -k 5 30 "$@" >"$WORK/out" 2>"$WORK/err" || fail "$*: status $?: $(tail -n 3 "$WORK/err")"
}
_says() { [ "$(grep -cxE "$1" "$2")" -ge "$3" ]; }
_requests() { sed -n "s/^imagefs_requests_total{request=\"$1\"} //p" "$MNT/info/metrics"; }
_asked() { [ "$(_requests "$1")" -ge "$2" ]; }

_is_ok() { [ "$(cat "$MNT/info/health")" = ok ]; }

# Opens temporary files, more than there are threads, and writes to each when a line comes.
cat >temporary.py <<'PY'
import os, sys, threading
fds = [os.open(f"{sys.argv[1]}/.t{i}.tmp", os.O_WRONLY | os.O_CREAT) for i in range(40)]
print("open", flush=True)
sys.stdin.readline()
threads = [threading.Thread(target=os.write, args=(fd, b"x" * 4096)) for fd in fds]
for t in threads:
    t.start()
for t in threads:
    t.join()
print("written", flush=True)
PY
# MANY read it, and MANY open it first, while nothing of it is cached: first.out and second.out say how each ended.
everybody_reads() {
        hang_mount
        start -o slow-request="$1"
        rm -f go first.out second.out && mkfifo go
        "$lib/many-readers" "$MANY" "$R2/private/far/disks/vda.raw" far.raw <go >first.out &
        first=$!
        exec 8>go
        until_true 30 _says open first.out 1 || fail "it is not open"
        rm -f go && mkfifo go
        "$lib/many-readers" "$MANY" "$R2/private/far/disks/vda.raw" far.raw each <go >second.out &
        second=$!
        exec 7>go
        until_true 30 _says open second.out 1 || fail "the others do not run"
        [ "$#" -lt 2 ] || "$2"
        hang
        [ "$#" -lt 2 ] || echo >&6
        # Of which a user has one at a time.
        for i in 1 2 3; do
                cat "$R2/snapshots/far/changed/far2" >"changed.$i" 2>&1 &
                comparing[i]=$!
        done
        opened=$(_requests open)
        echo >&8
        exec 8>&-
        # None is answered before all have come: else there would be room again.
        until_true 60 _asked read "$MANY" || fail "they do not come: $(cat "$MNT/info/metrics")"
        echo >&7
        exec 7>&-
        until_true 60 _asked open $((opened + MANY)) || fail "they do not come to open it: $(cat "$MNT/info/metrics")"
}

texts_are_there() {
        answers ls -lR "$R/private" "$R2/private"
        answers cat "$R/quota" "$R2/quota" "$R2/private/far/status" "$MNT/info/health"
}

go_on_elsewhere() {
        texts_are_there
        answers cat "$R/snapshots/here/changed/there"
        answers cmp here.raw "$R/private/here/disks/vda.raw"
        pattern "$1.raw" 1M 7
        import_raw "$R/private/$1" "$1.raw"
        answers cmp "$1.raw" "$R/private/$1/disks/vda.raw"
}

# ---- nobody knows that it hangs ----

# The kernel sends only so many at once (24) that nobody waits for by itself, as reading ahead and closing: more of them for
# this store are no reason for others to wait.
BEHIND=40
connection=/sys/fs/fuse/connections
_is_raised() { [ "$(cat "$connection/max_background")" -gt 24 ]; }
_is_as_ever() { [ "$(cat "$connection/max_background")" = 24 ]; }
find_connection() {
        connection=/sys/fs/fuse/connections/$(($(stat -c %d "$MNT") & 0xff | ($(stat -c %d "$MNT") >> 12) & 0xfff00))
}
# Mounted by the case, where no systemd has done so; in a layer of its own, of which each that runs beside it takes off one.
layers=0
lay() { mount "$@" /sys/fs/fuse/connections 2>/dev/null && layers=$((layers + 1)); }
[ -n "$(ls /sys/fs/fuse/connections)" ] || lay -t fusectl none
lay --bind /sys/fs/fuse/connections
open_temporary() {
        mkfifo go-too
        python3 temporary.py "$R2/private" <go-too >temporary.out &
        temporary=$!
        exec 6>go-too
        until_true 30 _says open temporary.out 1 || fail "temporary files cannot be made"
}
everybody_reads 60 open_temporary
exec 6>&-
find_connection

behind=()
if [ -e "$connection" ]; then
        asked=$(_requests read)
        for ((i = 0; i < BEHIND; i++)); do
                dd if="$R2/private/far/disks/vda.raw" bs=4096 skip=$((i * 100)) count=1 of=/dev/null status=none &
                behind+=($!)
        done
        until_true 60 _asked read $((asked + BEHIND)) || fail "they do not come: $(($(_requests read) - asked))"
        _is_raised || fail "max_background is $(cat "$connection/max_background")"
        go_on_elsewhere unknown
else
        echo "note: no control files of connections here"
fi
texts_are_there
answers df "$MNT"
go_on
for reader in "${behind[@]}"; do wait "$reader" || fail "who read ahead"; done
wait "$first" || fail "the readers"
wait "$second" || fail "who opened it"
wait "$temporary" || fail "who wrote to temporary files"
for i in 1 2 3; do wait "${comparing[i]}" || fail "a comparison: $(cat "changed.$i")"; done
same "$(grep -cx same first.out) $(grep -cx same second.out)" "$MANY $MANY" "how many had the bytes"
stop
hang_unmount

# ---- it is known ----

everybody_reads 4
until_true 60 _says EIO first.out $((MANY - SHARE)) || fail "not refused: $(sort first.out | uniq -c)"
until_true 60 _says EIO second.out "$MANY" || fail "not refused when it was opened: $(sort second.out | uniq -c)"
wait "$second" || fail "who opened it"
same "$(sentence_alone <"$R2/private/far/last-error")" \
        "the blob store of region cn-east-2 is offline: $FAR/store: its disk does not answer; what waits for it goes on as soon as it does" \
        "last-error"
same "$(grep -c . first.out)" $((1 + MANY - SHARE)) "how many have an answer: the others wait"
go_on_elsewhere known

# ---- it answers again ----

go_on
wait "$first" || fail "the readers"
same "$(sort first.out | uniq -c | tr -s ' ' | tr '\n' ,)" " $((MANY - SHARE)) EIO, 1 open, $SHARE same," "how they ended"
until_true 60 _is_ok || fail "health: $(cat "$MNT/info/health")"
find_connection
[ ! -e "$connection" ] || until_true 20 _is_as_ever || fail "max_background stays $(cat "$connection/max_background")"
# Each was refused, and the log says it once.
for (( ; layers > 0; layers--)); do umount /sys/fs/fuse/connections; done
for i in 1 2 3; do wait "${comparing[i]}" || grep -q 'Input/output error' "changed.$i" || fail "a comparison: $(cat "changed.$i")"; done
[ "$(grep -c ': EIO: the blob store of region cn-east-2 is offline' daemon.log)" -le 2 ] ||
        fail "the log is full of it: $(grep -c 'is offline' daemon.log)"
answers cmp far.raw "$R2/private/far/disks/vda.raw"

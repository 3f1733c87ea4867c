# SPDX-License-Identifier: MIT
# However many read what was open already in a blob store that does not answer: they have their share of the daemon's threads,
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
cloud_image here 2M
stop
hang_unmount

answers() {
        timeout -k 5 30 "$@" >"$WORK/out" 2>"$WORK/err" || fail "$*: status $?: $(tail -n 3 "$WORK/err")"
}
_says() { [ "$(grep -cxE "$1" "$2")" -ge "$3" ]; }
_asked() { [ "$(sed -n 's/^imagefs_requests_total{request="read"} //p' "$MNT/info/metrics")" -ge "$1" ]; }

_is_ok() { [ "$(cat "$MNT/info/health")" = ok ]; }

hang_mount
start -o slow-request=4
mkfifo go
"$lib/many-readers" "$MANY" "$R2/private/far/disks/vda.raw" far.raw <go >many.out &
many=$!
exec 8>go
until_true 30 _says open many.out 1 || fail "it is not open"
hang
echo >&8
# None is answered before all have come: else there would be room again.
until_true 60 _asked "$MANY" || fail "they do not come: $(cat "$MNT/info/metrics")"

# ---- before anybody knows, and after ----

go_on_elsewhere() {
        answers ls -lR "$R/private" "$R2/private"
        answers cat "$R/quota" "$R2/quota" "$R2/private/far/status" "$MNT/info/health"
        answers cmp here.raw "$R/private/here/disks/vda.raw"
        pattern "$1.raw" 1M 7
        import_raw "$R/private/$1" "$1.raw"
        answers cmp "$1.raw" "$R/private/$1/disks/vda.raw"
}

go_on_elsewhere first
until_true 60 _says EIO many.out $((MANY - SHARE)) || fail "not refused: $(sort many.out | uniq -c)"
same "$(sentence_alone <"$R2/private/far/last-error")" \
        "the blob store of region cn-east-2 is offline: $FAR/store: its disk does not answer; what waits for it goes on as soon as it does" \
        "last-error"
same "$(grep -c . many.out)" $((1 + MANY - SHARE)) "how many have an answer: the others wait"
go_on_elsewhere second

# ---- it answers again ----

go_on
wait "$many" || fail "the readers"
same "$(sort many.out | uniq -c | tr -s ' ' | tr '\n' ,)" " $((MANY - SHARE)) EIO, 1 open, $SHARE same," "how they ended"
until_true 60 _is_ok || fail "health: $(cat "$MNT/info/health")"
answers cmp far.raw "$R2/private/far/disks/vda.raw"

# ---- and as long as it does, all of them come to their turn ----

"$lib/many-readers" "$MANY" "$R2/private/far/disks/vda.raw" far.raw <go >again.out &
many=$!
until_true 30 _says open again.out 1 || fail "it is not open again"
echo >&8
exec 8>&-
wait "$many" || fail "the readers, again"
same "$(grep -cx same again.out)" "$MANY" "how many had the bytes"

# SPDX-License-Identifier: MIT
# shellcheck shell=bash
# A disk that stops answering, as a network mount does whose server is gone: hang_mount, then hang and go_on.
# shellcheck disable=SC2154

FAR=$WORK/far
HANG_FS=$(dirname "$IMAGEFS")/hang-fs
[ -x "$HANG_FS" ] || skip "no hang-fs beside the program"
mkdir "$FAR" "$WORK/behind"

_hang_mounted() {
        mountpoint -q "$FAR"
}

# hang_mount [syncs]: what the kernel has cached of it is gone then.
hang_mount() {
        "$HANG_FS" "$WORK/behind" "$FAR" "$WORK/hung" "$@" >>"$WORK/hang.log" 2>&1 &
        hang_pid=$!
        until_true 20 _hang_mounted || fail "hang-fs is not mounted: $(tail -n 3 "$WORK/hang.log")"
}

hang_unmount() {
        run umount "$FAR"
        wait "$hang_pid"
}

hang() {
        kill -USR1 "$hang_pid"
        until_true 20 test -e "$WORK/hung" || fail "it still answers"
}

go_on() {
        kill -USR2 "$hang_pid"
        until_true 20 test ! -e "$WORK/hung" || fail "it does not answer again"
}

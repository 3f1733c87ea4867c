# SPDX-License-Identifier: MIT
# shellcheck shell=bash disable=SC2154
# What the cases of follows/ share: an upstream on this machine that has releases, and looking at it.

need python3

# upstream: serves $WORK/up at http://$AT; what was asked for is in $WORK/requests.
upstream() {
        mkdir "$WORK/up"
        : >"$WORK/port"
        : >"$WORK/requests"
        "$lib/upstream-server" "$WORK/up" "$WORK/requests" >"$WORK/port" 2>"$WORK/server.err" &
        server_pid=$!
        until_true 20 test -s "$WORK/port" || fail "no server: $(tail -n 1 "$WORK/server.err")"
        AT=127.0.0.1:$(cat "$WORK/port")
        releases=0
}

# dated FILE …: so much later than the last that no server can take it for that.
dated() {
        releases=$((releases + 1))
        touch -d "2020-01-01 00:00:00 UTC + $releases hours" "$@"
}

# release SEED: another disk, and its sum.
release() {
        pattern "$WORK/up/disk.raw" 1M "$1"
        (cd "$WORK/up" && sha256sum disk.raw >SHA256SUMS)
        dated "$WORK/up/disk.raw" "$WORK/up/SHA256SUMS"
}

# look FOLLOW STATUS: at once, and waits for the end.
look() {
        ok write "$1/run" now
        looked "$@"
}

looked() {
        timeout -k 5 100 cat "$1/wait" >/dev/null 2>&1
        [ $? -lt 124 ] || fail "$1/wait did not come back"
        [ "$(cat "$1/status")" = "$2" ] || fail "$1 is $(cat "$1/status"), not $2: $(cat "$1/last-error")"
}

# look_fails FOLLOW WORDS: it says them, and nothing is there that was not.
look_fails() {
        local before
        before=$(ls "$R/private" "$R/recycle" "$R/snapshots" "$R/families")
        look "$1" error
        [[ $(cat "$1/last-error") == *" run: "*"$2"* ]] || fail "last-error is '$(cat "$1/last-error")', want '$2'"
        same "$(ls "$R/private" "$R/recycle" "$R/snapshots" "$R/families")" "$before" "what is there after a run that failed"
        nothing_incoming
}

# requested PATH: the statuses of what was asked for, since the log was emptied.
requested() {
        awk -v path="$1" '$1 == path { print $2 }' "$WORK/requests" | xargs
}

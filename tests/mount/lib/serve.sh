# SPDX-License-Identifier: MIT
# shellcheck shell=bash disable=SC2154
# What the cases of import-url share: a server on this machine that hands out $WORK/served, and counts.

need python3

# serve [--ftp | --tls PEM]: sets $AT, to which a path is added (see file-server).
serve() {
        : >"$WORK/port"
        "$lib/file-server" "$WORK/served" "$WORK/requests" "$@" >"$WORK/port" 2>"$WORK/server.err" &
        server_pid=$!
        until_true 20 test -s "$WORK/port" || fail "no server: $(tail -n 1 "$WORK/server.err")"
        AT=127.0.0.1:$(cat "$WORK/port")
        : >"$WORK/requests"
}

unserve() {
        : >"$WORK/port"
        kill "$server_pid"
        wait "$server_pid" 2>/dev/null
}

# fetch NAME TEXT [STATUS]: makes the image $R/private/NAME, writes TEXT to its import-url, and waits for the end.
fetch() {
        : >"$WORK/requests"
        ok mkdir "$R/private/$1"
        ok write "$R/private/$1/import-url" "$2"
        settle "$R/private/$1" "${3:-available}"
}

# fetch_fails NAME TEXT WORDS: the same, and the image says why.
fetch_fails() {
        fetch "$1" "$2" error
        [[ $(cat "$R/private/$1/error") == *"$3"* ]] || fail "error is '$(cat "$R/private/$1/error")', want '$3'"
        same "$(ls "$R/snapshots")" "${KEPT:-}" "snapshots after a fetch that failed"
        nothing_incoming
        ok rmdir "$R/private/$1"
        ok rmdir "$R/recycle/$1"
}

# requests: what was asked for, as "FIRST-BYTE BYTES" in one line.
requests() {
        awk '{ printf "%s%s %s", n++ ? ", " : "", $3, $4 } END { print "" }' "$WORK/requests"
}

nothing_incoming() {
        until_true 5 _incoming_is_empty || fail "left behind: $(ls "$STORE/blobs/incoming")"
}

_incoming_is_empty() {
        [ -z "$(ls "$STORE/blobs/incoming")" ]
}

# The bytes that have come so far.
arrived() {
        keyed "$1/progress" bytes-done
}

_arrived() {
        [ "$(arrived "$1")" -ge "$2" ]
}

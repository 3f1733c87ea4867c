# SPDX-License-Identifier: MIT
# shellcheck shell=bash disable=SC2034,SC2154
# What the cases of buckets share: a server on this machine that has a bucket in $WORK/bucket.

need python3
export AWS_ACCESS_KEY_ID=AKID AWS_SECRET_ACCESS_KEY="open sesame"
unset AWS_SESSION_TOKEN AWS_PROFILE AWS_SHARED_CREDENTIALS_FILE

# bucket: starts it, or starts it again at the same port. Sets $FAR, a place in it.
bucket() {
        [ -z "${IMAGEFS_TEST_BUCKET:-}" ] || skip "has a bucket of its own"
        _bucket_start
}

_bucket_start() {
        rm -f "$WORK/s3.port"
        "$lib/s3-server" "$WORK/bucket" "$WORK/s3.log" ${S3_PORT:+"$S3_PORT"} >"$WORK/s3.port" 2>"$WORK/s3.err" &
        s3_pid=$!
        until_true 20 test -s "$WORK/s3.port" || fail "no server: $(tail -n 1 "$WORK/s3.err")"
        S3_PORT=$(cat "$WORK/s3.port")
        FAR="s3://lib/some/where endpoint=http://127.0.0.1:$S3_PORT"
}

bucket_gone() {
        kill "$s3_pid"
        wait "$s3_pid" 2>/dev/null || true
}

# bucket_does [WORD]: what s3-server has for it.
bucket_does() { echo "$*" >"$WORK/bucket.mode.new" && mv "$WORK/bucket.mode.new" "$WORK/bucket.mode"; }

# objects [START]: their names, after the prefix; but for copies of the catalogue, which come when they are due, and claims, of which
# each start makes one.
objects() { _objects | sed -n '\|^catalogue/|d; \|^claim/|d; \|^'"${1:-}"'|p'; }
_objects() { (cd "$WORK/bucket" && ls) | sed -n 's/^some%2Fwhere%2F//; s/%2F/\//g; /\.new$/d; p'; }
copies() { _objects | sed -n 's|^catalogue/||p'; }
claims() { _objects | sed -n "s|^claim/||p"; }

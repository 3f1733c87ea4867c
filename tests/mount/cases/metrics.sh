# SPDX-License-Identifier: MIT
# info/metrics: as promtool would have it, each metric in its manual page, and numbers that follow what is done; for the
# administrator alone, and over http for whom she opens it to.
need curl
# shellcheck source=tests/mount/lib/serve.sh
. "$lib/serve.sh"
pattern served 64K 3
serve
start -o http=127.0.0.1:0
two_regions
metrics=$MNT/info/metrics

# number NAME: of a metric, with its labels.
number() { sed -n "s/^${1//\"/\\\"} //p" "$metrics"; }

# promtool's rules that hold for a page by itself.
check='
import re, sys
types, seen, last = {}, set(), None
for line in sys.stdin.read().split("\n")[:-1]:
    m = re.fullmatch(r"# (HELP|TYPE) ([a-z_]+) (.+)", line)
    if m and m[1] == "HELP":
        assert m[2] not in types and m[3].strip(), line
        last = m[2]
    elif m:
        assert m[2] == last and m[3] in ("counter", "gauge"), line
        assert (m[3] == "counter") == last.endswith("_total"), line
        types[last] = m[3]
    else:
        m = re.fullmatch(r"([a-z_]+)(\{[a-z]+=\"[a-z0-9._]*\"(?:,[a-z]+=\"[a-z0-9._]*\")*\})? ([0-9.]+)", line)
        assert m and m[1] == last and last in types, line
        assert m[1] + (m[2] or "") not in seen, line
        seen.add(m[1] + (m[2] or ""))
        float(m[3])
assert all(any(s.startswith(t) for s in seen) for t in types)
print("\n".join(sorted(types)))'
run python3 -c "$check" <"$metrics" >names
same "$(sed -n 's/^\.It Va //p' "$lib/../../../fs/man/imagefs-metrics.7" | sort)" "$(cat names)" \
        "what imagefs-metrics(7) has"
same "$(ls "$MNT/info" | grep -c metrics)" 0 "it is another text each time: not listed"
same "$(stat -c %a "$metrics")" 400 "its mode"

same "$(number 'imagefs_tasks_ended_total{status="done"}')" 0 "tasks before one"
cloud_image web 3M
same "$(number 'imagefs_tasks_ended_total{status="done"}')" 1 "tasks"
same "$(number 'imagefs_tasks{status="running"}')" 0 "what runs"
same "$(number imagefs_store_blobs)" "$(keyed "$MNT/info/store" blobs)" "blobs"
same "$(number imagefs_store_stored_bytes)" "$(keyed "$MNT/info/store" stored-bytes)" "bytes"
[ "$(number imagefs_written_bytes_total)" -ge "$("$FSOP" data-runs web.raw | awk '{ s += $2 } END { print s }')" ] ||
        fail "written: $(number imagefs_written_bytes_total)"
[ "$(number process_resident_memory_bytes)" -gt 1000000 ] || fail "memory: $(number process_resident_memory_bytes)"
[[ $(number imagefs_uptime_seconds) =~ ^[0-9]+\.[0-9]{3}$ ]] || fail "uptime: $(number imagefs_uptime_seconds)"
refusals=$(number imagefs_refusals_total) mkdirs=$(number 'imagefs_requests_total{request="mkdir"}')
expect EPERM mkdir "$R/copy-targets/x"
same "$(number imagefs_refusals_total)" $((refusals + 1)) "refusals"
same "$(number 'imagefs_requests_total{request="mkdir"}')" $((mkdirs + 1)) "requests"
same_disk web.raw "$R/private/web/disks/vda.raw"
[ "$(number imagefs_read_bytes_total)" -ge 3145728 ] || fail "read: $(number imagefs_read_bytes_total)"
[ "$(number imagefs_cache_misses_total)" -gt 0 ] || fail "misses: $(number imagefs_cache_misses_total)"
same "$(number imagefs_health_problems)" 0 "health"
ok mkdir "$R/private/bad"
ok write "$R/private/bad/import-url" "http://$AT/x.raw sha256=$(printf '%064d' 0)"
settle "$R/private/bad" error
_failed() { [ "$(number 'imagefs_tasks_ended_total{status="error"}')" = 1 ]; }
until_true 5 _failed || fail "a task that failed: $(number 'imagefs_tasks_ended_total{status="error"}')"

# Over http nobody gets it unasked.
ok mkdir "$R/private/web/download/vda.raw"
address() { cut -d / -f 1-3 "$R/private/web/download/vda.raw/url"; }
same "$(curl -s -o page -w '%{http_code}' "$(address)/metrics")" 404 "metrics without the option"
restart -o http=127.0.0.1:0,http-metrics=loopback
same "$(curl -s -o page -w '%{http_code} %{content_type}' "$(address)/metrics")" \
        "200 text/plain; version=0.0.4; charset=utf-8" "metrics for this machine"
run python3 -c "$check" <page >names.http
same "$(cat names.http)" "$(cat names)" "names over http"
! grep -q -e web -e cn-north -e "$(id -un)" page || fail "names of what is stored"
# Another address of this machine's is not the loopback.
other=$(hostname -I 2>/dev/null | tr ' ' '\n' | grep -m 1 '^[0-9.]*$')
if [ -n "$other" ]; then
        restart -o "http=$other:0,http-metrics=loopback"
        same "$(curl -s -o page -w '%{http_code}' "$(address)/metrics")" 404 "metrics for others"
        restart -o "http=$other:0,http-metrics=all"
        same "$(curl -s -o page -w '%{http_code}' "$(address)/metrics")" 200 "metrics for all"
fi
stop
[[ $(start_refused "$STORE" "$MNT" -o http=127.0.0.1:0,http-metrics=me) == *"say http-metrics=loopback or http-metrics=all"* ]] ||
        fail "another sentence: $(cat out)"
[[ $(start_refused "$STORE" "$MNT" -o http-metrics=all) == *"only beside http"* ]] || fail "another sentence: $(cat out)"
start

# A tenant gets neither text nor size.
if [ "$(id -u)" = 0 ] && command -v setpriv >/dev/null; then
        # shellcheck source=tests/mount/lib/users.sh
        . "$lib/users.sh"
        users 40001
        restart -o allow_other
        by 40001 expect EACCES open r "$metrics"
        same "$(as 40001 stat -c %s "$metrics")" 0 "its size for others"
fi

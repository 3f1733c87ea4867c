# SPDX-License-Identifier: MIT
# kill -9 while things happen and somebody follows them: who asks again for what came after the last event that she has
# misses none, sees none twice, and sees none that the library does not know at the end.
# time limit: 300
need python3
kills=${IMAGEFS_KILLS:-5}
. "$lib/crash.sh"
start
two_regions
raise_limits
ok write "$MNT/info/limits" "events 1000000"

# Ends when it has the event of the region `end`; while nobody serves the mount it tries again.
cat >follower.py <<'PY'
import json, sys, time
directory, seq = sys.argv[1], 0
with open("followed", "w") as out:
    while True:
        try:
            with open(f"{directory}/{seq}") as f:
                lines = f.read().splitlines()
        except OSError:
            time.sleep(0.02)  # between the kill and the next mount there is nothing to wait for
            continue
        for line in lines:
            event = json.loads(line)
            assert event["seq"] == seq + 1, (seq, line)
            seq = event["seq"]
            out.write(line + "\n")
            if event["object"] == "" and event["region"] == "end":
                sys.exit()
PY
python3 follower.py "$MNT/info/events-after" 2>follower.err &
follower=$!

changes() {
        local n
        for ((n = 0; ; n++)); do
                mkdir "$R/instances/c$1-$n" "$R/private/q$1-$n" || return
                rmdir "$R/instances/c$1-$n" || return
        done
}
for ((i = 1; i <= kills; i++)); do
        changes "$i" 2>/dev/null &
        client=$!
        crash_within 600
        { wait "$client"; } 2>/dev/null
        start
done
ok mkdir "$MNT/regions/end"
until_true 60 _ended "$follower" || fail "the follower waits: $(tail -n 1 followed)"
wait "$follower" || fail "the follower: $(cat follower.err)"
timeout 60 cat "$MNT/info/events-after/0" >known || fail "what is known cannot be read"
cmp known followed || fail "followed is not what is known: $(diff known followed | head -n 5)"
echo "note: $(wc -l <followed) events over $kills kills"

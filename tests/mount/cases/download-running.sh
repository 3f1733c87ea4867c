# SPDX-License-Identifier: MIT
# Downloads at work: ended in the middle, slow, many at once, with TLS; and an unmount does not wait for them.
# time limit: 120
need curl python3

start -o http=127.0.0.1:0
two_regions
pattern web.raw 40000000 83
import_raw "$R/private/web" web.raw
web=$R/private/web
ok mkdir "$web/download/vda.raw"
url=$(cat "$web/download/vda.raw/url")

_grows() {
        [ "$(wc -c <"$1")" -gt 100000 ]
}

# rmdir ends what is running: the client sees that it is not whole.
curl -s --limit-rate 2M -o partial.raw "$url" &
client=$!
until_true 20 _grows partial.raw || fail "nothing came"
ok rmdir "$web/download/vda.raw"
wait "$client"
status=$?
same "$status" 18 "curl's status, as for a file cut short"
[ "$(wc -c <partial.raw)" -lt 40000000 ] || fail "the whole file came"
cmp -n "$(wc -c <partial.raw)" partial.raw web.raw || fail "what came is wrong"

# With another address it goes on.
ok mkdir "$web/download/vda.raw"
url=$(cat "$web/download/vda.raw/url")
run curl -s -C - -o partial.raw "$url"
same_disk partial.raw web.raw

# Other changes of the image do not end one; nor does its going to another name.
curl -s --limit-rate 20M -o renamed.raw "$url" &
client=$!
until_true 20 _grows renamed.raw || fail "nothing came"
ok write "$web/description" "while it is downloaded"
ok rename "$web" "$R/private/other"
ok rename "$R/private/other" "$web"
wait "$client" || fail "curl gave status $?"
same_disk renamed.raw web.raw

# Clients that take nothing keep nobody waiting.
slow=()
for _ in $(seq 50); do
        curl -s --limit-rate 1K -o /dev/null "$url" &
        slow+=($!)
done
for _ in 1 2 3; do
        run curl -s -m 30 -o fast.raw "$url"
        same_disk fast.raw web.raw
done
ok write "$web/description" "slow clients wait"
kill "${slow[@]}"
wait "${slow[@]}"

# at_once N [FIRST]: N downloads, FIRST of them while all of those run; the daemon's memory then goes into $rss, in KiB.
at_once() {
        local pid answer
        rm -f go said && mkfifo go
        "$lib/downloads" "$small" small.raw "$@" <go >said 2>downloads.err &
        pid=$!
        exec 7>go
        until_true 60 grep -q open said || fail "not all are answered: $(cat downloads.err)"
        rss=$(awk '/^VmRSS/ { print $2 }' "/proc/$daemon_pid/status")
        echo note: "$(cat said), $rss KiB"
        expect EEXIST mkdir "$web" # the others go on
        echo >&7
        exec 7>&-
        wait "$pid" || fail "$(tail -n 1 downloads.err)"
}

# A thousand at once, each of a file or most of it; what a client costs is the same for each, and little.
pattern small.raw 4M 84
import_raw "$R/private/small" small.raw
ok mkdir "$R/private/small/download/vda.raw"
small=$(cat "$R/private/small/download/vda.raw/url")
at_once 100
before=$rss
at_once 1000
[ "$rss" -le $((before + 900 * 160)) ] || fail "the daemon took $rss KiB for 1000 clients, $before for 100"
peak=$(awk '/^VmHWM/ { print $2 }' "/proc/$daemon_pid/status")
[ "$peak" -le $((300 * 1024)) ] || fail "the daemon took $peak KiB"

# From one place come a quarter of all clients that there may be, 2048, at most; others have theirs.
held=$(python3 - "${small#http://}" <<'END'
import socket, subprocess, sys, time
host, port = sys.argv[1].split("/")[0].split(":")
held = [socket.create_connection((host, int(port))) for i in range(600)]
got = subprocess.run(["curl", "-s", "--interface", "127.0.0.2", "-o", "other.raw", "http://" + sys.argv[1]]).returncode
left = 0
for s in held:
    s.setblocking(False)
    try:
        s.recv(1)
    except BlockingIOError:
        left += 1
    except ConnectionError:
        pass
print(left if got == 0 else f"curl from another place: {got}")
END
)
[ "$held" -gt 0 ] && [ "$held" -le 516 ] || fail "one place holds $held of 600 connections"
cmp other.raw small.raw || fail "another place got other bytes"

# With few files allowed there are fewer clients, which the log says; the others wait for their turn, and so does no file.
stop
(ulimit -n 128; exec "$IMAGEFS" "$STORE" "$MNT" -f -o http=127.0.0.1:0 >>"$WORK/daemon.log" 2>&1) &
daemon_pid=$!
until_true 20 _started || fail "not mounted after 20 seconds"
small=$(cat "$R/private/small/download/vda.raw/url")
grep -q "64 downloads at once" "$WORK/daemon.log" || fail "nothing in the log: $(tail -n 3 "$WORK/daemon.log")"
at_once 200 64
same_disk "$R/private/small/disks/vda.raw" small.raw

# Where each of its threads has as many clients as it may, who all say nothing, the daemon ends at once: not when they are
# given up, after a minute.
cat >silent.py <<'END'
import socket, sys
host, port = sys.argv[1].split("/")[0].split(":")
held = [socket.create_connection((host, int(port)), source_address=(f"127.0.0.{2 + i // 10}", 0)) for i in range(100)]
print("held", flush=True)
sys.stdin.read()
END
rm -f go said && mkfifo go
python3 silent.py "${small#http://}" <go >said &
silent=$!
exec 7>go
until_true 60 grep -q held said || fail "they cannot come"
until_true 20 unmount "$MNT" || fail "cannot unmount"
_reap "$daemon_pid" 30 || fail "the daemon gave status $?: $(tail -n 3 "$WORK/daemon.log")"
exec 7>&-
wait "$silent" || fail "the silent clients"

# Damage breaks off, and is never sent.
segment=$(find "$STORE" -name '*.seg' -size +1M | head -n 1)
size=$(stat -c %s "$segment")
printf 'damage damage damage' | dd of="$segment" bs=1 seek=$((size / 2)) conv=notrunc status=none
NO_CHECK=1
start -o http=127.0.0.1:0
url=$(cat "$web/download/vda.raw/url")
curl -s -o damaged.raw "$url"
same "$?" 18 "curl's status for a damaged file"
cmp -n "$(wc -c <damaged.raw)" damaged.raw web.raw || fail "what came is wrong"

# Unmounting breaks off. What is on its way by then, some megabytes, the client still takes.
curl -s --limit-rate 4M -o stopped.raw "$url" &
client=$!
until_true 20 _grows stopped.raw || fail "nothing came"
stop
wait "$client"
same "$?" 18 "curl's status at the unmount"

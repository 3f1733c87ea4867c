# SPDX-License-Identifier: MIT
# Downloads from a blob store that does not answer keep no others waiting, and not the end of the mount either; once the store
# is known to hang they are broken off, and can go on when it answers again.
# time limit: 100
need_root "a blob store on a file system of the test's own"
need curl python3
# shellcheck source=tests/mount/lib/hang.sh
. "$lib/hang.sh"

hang_mount
start -o http=127.0.0.1:0
two_regions
raise_limits
ok write "$R2/store" "$FAR/store"
head -c 16M /dev/urandom >far.raw
import_raw "$R2/private/far" far.raw
pattern near.raw 4M 7
import_raw "$R/private/near" near.raw
run mkdir "$R2/private/far/download/vda.raw" "$R2/private/far/download/vda.qcow2" "$R/private/near/download/vda.raw"
stop
hang_unmount

# More clients than the server has threads: how each ended goes into a line.
cat >clients.py <<'END'
import socket, sys, urllib.parse
url, wanted, n = urllib.parse.urlsplit(sys.argv[1]), open(sys.argv[2], "rb").read(), int(sys.argv[3])
clients = []
for i in range(n):
    s = socket.socket()
    s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
    s.connect((url.hostname, url.port))
    s.sendall(f"GET {url.path} HTTP/1.1\r\nHost: {url.netloc}\r\nConnection: close\r\n\r\n".encode())
    clients.append(s)
if sys.argv[4] == "begun":
    clients = [(s, s.recv(65536)) for s in clients]
else:
    clients = [(s, b"") for s in clients]
print("open", flush=True)
sys.stdin.readline()
for s, data in clients:
    while more := s.recv(1 << 20):
        data += more
    head, _, body = data.partition(b"\r\n\r\n")
    status = head.split()[1].decode()
    print("wrong" if not wanted.startswith(body) else status if status != "200" else
          "whole" if len(body) == len(wanted) else "cut", flush=True)
END
clients() {
        local name=$1
        rm -f "$name.go" "$name.out" && mkfifo "$name.go"
        python3 clients.py "$2" far.raw "$3" "$4" <"$name.go" >"$name.out" 2>&1 &
}
_says() { [ "$(grep -cx "$1" "$2")" -ge "$3" ]; }
_health() { grep -qF "does not answer" "$MNT/info/health"; }
_is_ok() { [ "$(cat "$MNT/info/health")" = ok ]; }
near_comes() {
        rm -f near.out
        timeout -k 5 30 curl -sf -o near.out "$near" || fail "a download from another store: status $?"
        cmp near.raw near.out || fail "a download from another store has other bytes"
}
urls() {
        far=$(cat "$R2/private/far/download/vda.raw/url")
        far_qcow2=$(cat "$R2/private/far/download/vda.qcow2/url")
        near=$(cat "$R/private/near/download/vda.raw/url")
}

# ---- those that have begun, and those that come ----

MANY=20
hang_mount
start -o http=127.0.0.1:0,slow-request=1
urls
clients begun "$far" "$MANY" begun
begun=$!
exec 7>begun.go
until_true 30 _says open begun.out 1 || fail "they do not begin: $(cat begun.out)"
hang
clients come "$far_qcow2" "$MANY" come
come=$!
exec 8>come.go
until_true 30 _says open come.out 1 || fail "they cannot come: $(cat come.out)"
echo >&7
echo >&8
exec 7>&- 8>&-
for _ in 1 2 3 4 5 6; do near_comes; done
until_true 60 _health || fail "health: $(cat "$MNT/info/health")"
wait "$begun" || fail "those that had begun: $(cat begun.out)"
wait "$come" || fail "those that came: $(cat come.out)"
same "$(sort begun.out | uniq -c | tr -s ' ' | tr '\n' ,)" " $MANY cut, 1 open," "how those ended that had begun"
same "$(sort come.out | uniq -c | tr -s ' ' | tr '\n' ,)" " $MANY 503, 1 open," "how those ended that came"
same "$(curl -s -o out -w '%{http_code}' -m 30 "$far")" 503 "the answer for a store that is known to hang"
near_comes
grep -q 'ERROR.*download' daemon.log && fail "the log has each: $(grep -c download daemon.log)"

# ---- it answers again ----

go_on
until_true 60 _is_ok || fail "health: $(cat "$MNT/info/health")"
head -c 5000000 far.raw >again.raw
run curl -sf -C - -o again.raw -m 60 "$far"
same_disk again.raw far.raw
near_comes
stop
hang_unmount

# ---- the end ----

_unmounted() { ! mountpoint -q "$MNT"; }
_logged() { grep -qE "$1" daemon.log; }
hang_mount
start -o http=127.0.0.1:0,slow-request=1
urls
clients left "$far" "$MANY" begun
left=$!
exec 7>left.go
until_true 30 _says open left.out 1 || fail "they do not begin: $(cat left.out)"
hang
echo >&7
exec 7>&-
kill "$daemon_pid"
until_true 60 _unmounted || fail "it is still mounted"
wait "$left" || fail "those at the end: $(cat left.out)"
same "$(sort left.out | uniq -c | tr -s ' ' | tr '\n' ,)" " $MANY cut, 1 open," "how those ended that were left"
go_on
_reap "$daemon_pid"
case $? in
0 | 32) ;; # 0: none was at the disk when the end came
*) fail "the status at the end" ;;
esac

# SPDX-License-Identifier: MIT
# Downloads at work: ended in the middle, slow, many at once, with TLS; and an unmount does not wait for them.
need curl

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

# A thousand at once, each another part; and the daemon stays small.
begin=$(awk '/^VmRSS/ { print $2 }' "/proc/$daemon_pid/status")
for i in $(seq 0 999); do
        printf 'next\nurl = "%s"\nrange = %d-%d\noutput = "part.%03d"\nsilent\nfail\n' "$url" $((i * 40000)) $((i * 40000 + 39999)) "$i"
done >parts.curl
mkdir parts
(cd parts && curl -s --parallel --parallel-immediate --parallel-max 300 -K ../parts.curl) ||
        fail "curl gave status $?"
cat parts/part.* | cmp - web.raw || fail "the parts are not the whole"
seq 60 | xargs -P 30 -I{} curl -s -m 200 --fail -o /dev/null "$url" || fail "whole files at once"
end=$(awk '/^VmHWM/ { print $2 }' "/proc/$daemon_pid/status")
[ "$end" -le $((300 * 1024)) ] || fail "the daemon took $end KiB, $begin before"

# Damage breaks off, and is never sent.
stop
segment=$(find "$STORE" -name '*.seg' -size +1M | head -n 1)
size=$(stat -c %s "$segment")
printf 'damage damage damage' | dd of="$segment" bs=1 seek=$((size / 2)) conv=notrunc status=none
NO_CHECK=1
start -o http=127.0.0.1:0
url=$(cat "$web/download/vda.raw/url")
curl -s -o damaged.raw "$url"
same "$?" 18 "curl's status for a damaged file"
cmp -n "$(wc -c <damaged.raw)" damaged.raw web.raw || fail "what came is wrong"

# Unmounting breaks off.
curl -s --limit-rate 100K -o stopped.raw "$url" &
client=$!
until_true 20 _grows stopped.raw || fail "nothing came"
stop
wait "$client"
same "$?" 18 "curl's status at the unmount"

# SPDX-License-Identifier: MIT
# mkdir download/vda.qcow2 makes an address; HTTP as clients expect it: whole files, ranges, HEAD, ETag, resuming.
need curl qemu-img

start -o http=127.0.0.1:0
two_regions
pattern web.raw 10000001 81
import_raw "$R/private/web" web.raw
web=$R/private/web

ok mkdir "$web/download/vda.qcow2"
ok mkdir "$web/download/vda.raw"
same "$(ls "$web/download")" $'vda.qcow2\nvda.raw' "download/"
same "$(ls "$web/download/vda.raw")" $'expires\nurl' "download/vda.raw/"
qcow2=$(cat "$web/download/vda.qcow2/url")
raw=$(cat "$web/download/vda.raw/url")
[[ $raw =~ ^http://127\.0\.0\.1:[0-9]+/[0-9a-f]{64}/vda\.raw$ ]] || fail "url is $raw"
expires=$(date -d "$(cat "$web/download/vda.raw/expires")" +%s)
left=$((expires - $(date +%s)))
[ "$left" -gt $((24 * 3600 - 60)) ] && [ "$left" -le $((24 * 3600)) ] || fail "expires in $left seconds"
same "$(stat -c %s "$web/download/vda.raw/url")" "$((${#raw} + 1))" "size of url"

# status URL [CURL OPTION …]: the status; headers in $WORK/headers, body in $WORK/body.
status() {
        local url=$1
        shift
        curl -s -m 60 -D headers -o body -w '%{http_code}' "$@" "$url"
}
header() {
        tr -d '\r' <headers | sed -n "s/^$1: //Ip"
}

# Whole.
same "$(status "$raw")" 200 "status"
same_disk body web.raw
same "$(header content-length)" 10000001 "Content-Length"
same "$(header accept-ranges)" bytes "Accept-Ranges"
etag=$(header etag)
[[ $etag =~ ^\"[^\"]+\"$ ]] || fail "ETag is $etag"
same "$(status "$qcow2")" 200 "status of qcow2"
same_disk body "$web/disks/vda.qcow2"
run qemu-img compare -q -f qcow2 -F raw body web.raw
[ "$(header etag)" != "$etag" ] || fail "two files with one ETag"

# HEAD.
same "$(curl -s -I -o headers -w '%{http_code}' "$raw")" 200 "HEAD"
same "$(header content-length)" 10000001 "Content-Length of HEAD"
same "$(header etag)" "$etag" "ETag of HEAD"

# part RANGE BEGIN LENGTH: a range of the raw file, and what the answer says about it.
part() {
        same "$(status "$raw" -H "Range: bytes=$1")" 206 "status of $1"
        same "$(header content-range)" "bytes $2-$(($2 + $3 - 1))/10000001" "Content-Range of $1"
        same "$(header content-length)" "$3" "Content-Length of $1"
        cmp body <(tail -c +$(($2 + 1)) web.raw | head -c "$3") || fail "range $1"
}
part 0-0 0 1
part 0-99 0 100
part 4095-4096 4095 2
part 65530-200000 65530 134471
part 10000000- 10000000 1
part 9999990-99999999 9999990 11
part -1 10000000 1
part -5000 9995001 5000
part -99999999 0 10000001
for range in 10000001- 10000001-10000002 -0; do
        same "$(status "$raw" -H "Range: bytes=$range")" 416 "status of $range"
        same "$(header content-range)" "bytes */10000001" "Content-Range of $range"
done
for range in 0-1,5-6 5-4 x- - "" 1-2x; do
        same "$(status "$raw" -H "Range: bytes=$range")" 200 "status of $range"
        same "$(header content-length)" 10000001 "Content-Length of $range"
done

# On condition.
same "$(status "$raw" -H "Range: bytes=0-9" -H "If-Range: $etag")" 206 "If-Range of this file"
same "$(status "$raw" -H "Range: bytes=0-9" -H 'If-Range: "other"')" 200 "If-Range of another file"
same "$(status "$raw" -H "Range: bytes=0-9" -H 'If-Range: Wed, 21 Oct 2015 07:28:00 GMT')" 200 "If-Range of a time"
same "$(status "$raw" -H "If-None-Match: \"x\", $etag")" 304 "If-None-Match of this file"
same "$(status "$raw" -H 'If-None-Match: "x"')" 200 "If-None-Match of another file"
same "$(status "$raw" -H 'If-Match: "x"')" 412 "If-Match of another file"
same "$(status "$raw" -H "If-Match: $etag")" 200 "If-Match of this file"

# Resumed, from anywhere, after a restart too (the address is the same but for the port, which was any that is free).
for size in 1 65536 1000000; do
        head -c "$size" "$web/disks/vda.qcow2" >resumed.qcow2
        run curl -s -C - -o resumed.qcow2 "$qcow2"
        same_disk resumed.qcow2 "$web/disks/vda.qcow2"
done
run qemu-img check -q -f qcow2 resumed.qcow2
restart -o http=127.0.0.1:0
again=$(cat "$web/download/vda.qcow2/url")
same "${again#http://*/}" "${qcow2#http://*/}" "address after a restart"
head -c 300000 "$web/disks/vda.qcow2" >resumed.qcow2
same "$(status "$again" -I)" 200 "HEAD after a restart"
same "$(curl -s -C - -w '%{http_code}' -H "If-Range: $(header etag)" -o resumed.qcow2 "$again")" 206 "resumed after a restart"
same_disk resumed.qcow2 "$web/disks/vda.qcow2"

# Nothing else is there.
raw=$(cat "$web/download/vda.raw/url")
base=${raw%/*/*}
token=${raw#"$base/"}
token=${token%/*}
wrong=$(tr 0-9a-f 1-9a-f0 <<<"$token")
half=${token:0:32}${wrong:32}
for path in "" / /x "/$token" "/$token/" "/$token/vda.qcow2" "/$token/vda.raw/" "/$token/vdb.raw" "/$wrong/vda.raw" \
        "/$half/vda.raw" "/${token^^}/vda.raw" "/${token:0:63}/vda.raw" "/0$token/vda.raw" "//$token/vda.raw"; do
        same "$(status "$base$path" --path-as-is)" 404 "status of $path"
        same "$(wc -c <body)" 0 "answer to $path"
        : >body
done
same "$(status "$raw" -X POST -d x)" 405 "status of POST"
same "$(status "$raw" -X DELETE)" 405 "status of DELETE"
same "$(status "$raw")" 200 "status afterwards"

# SPDX-License-Identifier: MIT
# What download/ refuses, and how an address ends: rmdir, its time, the image's end.
need curl

# Off unless the mount says so.
start
two_regions
pattern web.raw 300000 82
import_raw "$R/private/web" web.raw
web=$R/private/web
refused EOPNOTSUPP "$web" mkdir "$web/download/vda.raw"
same "$(ls "$web/download")" "" "download/"

restart -o http=127.0.0.1:0
for name in vda raw .raw vda. vda.vmdk vda.raw.raw longerthanit.raw VDA.RAW; do
        refused "EINVAL|ENOENT" "$web" mkdir "$web/download/$name"
done
refused ENOENT "$web" mkdir "$web/download/vdb.raw"
ok mkdir "$R/private/queued"
refused EBUSY "$R/private/queued" mkdir "$R/private/queued/download/vda.raw"
expect EEXIST mkdir "$web/download"

status() {
        curl -s -m 30 -o /dev/null -w '%{http_code}' "$1"
}

# rmdir.
ok mkdir "$web/download/vda.raw"
unchanged EEXIST mkdir "$web/download/vda.raw"
url=$(cat "$web/download/vda.raw/url")
same "$(status "$url")" 200 "status"
refused EPERM "$web" rmdir "$web/download"
expect "EPERM" unlink "$web/download/vda.raw/url"
expect "EPERM|EACCES" write "$web/download/vda.raw/url" x
ok rmdir "$web/download/vda.raw"
same "$(status "$url")" 404 "status after rmdir"
expect ENOENT stat "$web/download/vda.raw"
ok mkdir "$web/download/vda.raw"
[ "$(cat "$web/download/vda.raw/url")" != "$url" ] || fail "the same address again"

# Nothing tells an address that was one from one that never was, and a right beginning is as good as none.
answer() {
        curl -s -m 30 -i "$@" | grep -vi '^date:'
}
server=${url%/*/*}
token=${url#"$server/"}
token=${token%/*}
answer "$url" >gone
[[ $(head -n 1 gone) == *404* ]] || fail "an address that was removed: $(head -n 1 gone)"
for other in "${token:0:32}$(printf '%032d' 0)" "$(printf '%032d' 0)${token:32}" "$(printf '%064d' 0)" "${token:0:63}" "${token}0" ""; do
        answer "$server/$other/vda.raw" >never
        cmp gone never || fail "the answer to the token $other is another: $(cat never)"
        answer -I "$server/$other/vda.raw" >never
        [[ $(head -n 1 never) == *404* ]] || fail "HEAD of the token $other: $(head -n 1 never)"
done
present=$(cat "$web/download/vda.raw/url")
answer "${present%/*}/vdb.raw" | cmp gone - || fail "the answer to a right token with another name is another"

# Its image's end: also when that comes back.
url=$(cat "$web/download/vda.raw/url")
ok rmdir "$web"
same "$(status "$url")" 404 "status when the image is in the recycle bin"
ok rename "$R/recycle/web" "$web"
same "$(status "$url")" 404 "status when it came back"
same "$(ls "$web/download")" "" "download/"

# The administrator's limit counts for new addresses; 0 allows none.
ok write "$MNT/info/limits" "download-hours 2"
ok mkdir "$web/download/vda.raw"
left=$(($(date -d "$(cat "$web/download/vda.raw/expires")" +%s) - $(date +%s)))
[ "$left" -gt 7100 ] && [ "$left" -le 7200 ] || fail "expires in $left seconds"
ok write "$MNT/info/limits" "download-hours 0"
refused EOPNOTSUPP "$web" mkdir "$web/download/vda.qcow2"

# Without the option addresses stay, but lead nowhere.
restart
value "$web/download/vda.raw/url" ""
restart -o http=127.0.0.1:0
same "$(status "$(cat "$web/download/vda.raw/url")")" 200 "status after two restarts"
stop

# A server that cannot be started keeps the mount from being there.
for option in http=nonsense http=127.0.0.1 http=127.0.0.1:port http=::1:80 http=192.0.2.1:0 \
        http=127.0.0.1:0,http-cert=missing.pem http=127.0.0.1:0,http-cert=/dev/null,http-key=/dev/null http-name=host; do
        [ -n "$(start_refused "$STORE" "$MNT" -f -o "$option")" ] || fail "$option: no message"
        [ -z "$(ls "$MNT")" ] || fail "$option: mounted"
done
start

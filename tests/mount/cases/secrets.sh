# SPDX-License-Identifier: MIT
# The catalogue, and every copy of it, can be read without learning a password or the address of a download: those need
# the key, which lies in a file of its own. With it they go on after a restart; without it they end, and say so.
. "$lib/serve.sh"
need curl sqlite3
start -o http=127.0.0.1:0
two_regions
mkdir other
ok write "$R2/store" "$WORK/other"
pattern web.raw 1M 5
import_raw "$R/private/web" web.raw
download=$R/private/web/download/vda.raw
ok mkdir "$download"
url=$(cat "$download/url")
token=$(basename "$(dirname "$url")")
# The server that it is for is not there just now: it is tried again for a while.
pattern served 2M 7
serve --ftp
address=ftp://user:open%20sesame@$AT/later.raw
unserve
coming() { # NAME
        ok mkdir "$R/private/$1"
        ok write "$R/private/$1/import-url" "$address"
}
coming later

# As text, as the bytes that the text stands for, and as what the fields hold.
told() { # FILE …
        python3 - "$token" "$@" <<'END'
import sys
token = sys.argv[1]
wanted = [token.encode(), bytes.fromhex(token), token[:32].encode(), bytes.fromhex(token)[:16], bytes.fromhex(token)[16:],
          b"sesame", b"user:open"]
for name in sys.argv[2:]:
        text = open(name, "rb").read()
        for w in wanted:
                if w in text or w.hex().encode() in text:
                        print(name, w)
END
}
same "$(told "$STORE"/imagefs.db*)" "" "what the database tells"
same "$(stat -c '%a %s' "$STORE/secret")" "600 32" "the key"
! ls -d "$STORE"/blobs/secret* other/secret* 2>/dev/null || fail "the key is in a blob store"

restart -o http=127.0.0.1:0
same "$(basename "$(dirname "$(cat "$download/url")")")" "$token" "the token after a restart"
same_disk <(curl -sf "$(cat "$download/url")") web.raw
value "$R/private/later/import-url" "ftp://$AT/later.raw"
crash
same "$(told "$STORE"/imagefs.db* "$STORE"/blobs/catalogue/* other/catalogue/*)" "" "what the database and its copies tell"

# An earlier version left the address open: the next start seals it.
sqlite3 "$STORE/imagefs.db" "PRAGMA journal_mode" "UPDATE fetch SET url = '$address'" >/dev/null
start -o http=127.0.0.1:0
value "$R/private/later/import-url" "ftp://$AT/later.raw"
stop
same "$(sqlite3 "$STORE/imagefs.db" "SELECT url LIKE 'sealed:%' FROM fetch")" 1 "the address is sealed"

# Without the key.
rm "$STORE/secret"
start -o http=127.0.0.1:0
same "$(ls "$R/private/web/download")" "" "addresses"
ok mkdir "$download"
url=$(cat "$download/url")
same_disk <(curl -sf "$url") web.raw
same "$(curl -s -o out -w '%{http_code}' "$(dirname "$(dirname "$url")")/$token/vda.raw")" 404 "the old address"
settle "$R/private/later" error
[[ $(cat "$R/private/later/error") == *"key that this library has lost"* ]] || fail "error is $(cat "$R/private/later/error")"
stop
check_store

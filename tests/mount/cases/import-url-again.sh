# SPDX-License-Identifier: MIT
# An import from an address that failed can be tried again: with the address that it has, or another. What came stays, as
# long as the server has the same file.
. "$lib/serve.sh"
start
two_regions
raise_limits
pattern served 8M 51
size=8388608
serve
web=$R/private/web

# The login is kept, and not shown.
ok mkdir "$web"
refused EINVAL "$web" write "$web/import-url" again
[[ $(cat "$web/last-error") == *"nothing to try again"* ]] || fail "the sentence: $(cat "$web/last-error")"
ok write "$web/import-url" "http://user:open%20sesame@$AT/auth/error-404-1/x.raw"
settle "$web" error
same "$(used "$R" snapshots)" 0 "snapshots of what failed"
value "$web/import-url" "http://$AT/auth/error-404-1/x.raw"
ok write "$web/import-url" again
settle "$web"
same_checksum "$web" served
value "$web/error" ""
expect ENOENT stat "$web/import-url"
same "$(used "$R" snapshots)" 1 "its snapshot"
nothing_incoming

# Cancelled in the middle, and the library closed meanwhile: it goes on from the bytes that are there.
half=$R/private/half
: >"$WORK/requests"
ok mkdir "$half"
ok write "$half/import-url" "http://$AT/slow/x.raw"
until_true 20 _arrived "$half" 3000000 || fail "no progress"
expect EBUSY write "$half/import-url" again
ok rmdir "$(task_of "$half" fetch)"
settle "$half" error
restart
have=$(stat -c %s "$STORE"/blobs/incoming/*)
[ "$have" -ge 3000000 ] && [ "$have" -lt "$size" ] || fail "$have bytes are there"
ok write "$half/import-url" again
settle "$half"
same "$(tail -n 1 "$WORK/requests" | cut -d' ' -f3-)" "$have $((size - have))" "the request after again"
same_checksum "$half" served
nothing_incoming

# What came was wrong: another address. And what fails again.
ok mkdir "$R/private/sum"
ok write "$R/private/sum/import-url" "http://$AT/x.raw md5=00112233445566778899aabbccddeeff"
settle "$R/private/sum" error
nothing_incoming
ok write "$R/private/sum/import-url" "http://$AT/html/x.raw"
settle "$R/private/sum" error
ok write "$R/private/sum/import-url" again
settle "$R/private/sum" error
[[ $(cat "$R/private/sum/error") == *"web page"* ]] || fail "the error: $(cat "$R/private/sum/error")"
nothing_incoming
ok write "$R/private/sum/import-url" "http://$AT/y.raw"
settle "$R/private/sum"
same_checksum "$R/private/sum" served

# What is kept of one that failed goes with it.
ok mkdir "$R/private/gone"
ok write "$R/private/gone/import-url" "http://$AT/stall/x.raw"
until_true 20 _arrived "$R/private/gone" 1 || fail "no progress"
ok rmdir "$(task_of "$R/private/gone" fetch)"
settle "$R/private/gone" error
ok rmdir "$R/private/gone"
nothing_incoming
ok rmdir "$R/recycle/gone"

# With data disks that were uploaded before: they stay for another try, charged with it, and go with the image.
ok mkdir "$R/private/with"
with=$R/private/with
before=$(used "$R" snapshots)
pattern data 1M 52
ok mkdir "$with/disks/vdb"
ok upload data "$with/disks/vdb/upload"
ok write "$with/import-url" "http://$AT/error-404-1/w.raw"
settle "$with" error
same "$(used "$R" snapshots)" "$before" "snapshots of what failed"
ok write "$with/import-url" again
settle "$with"
same "$(sed -n 's/  disks\/vdb.raw//p' "$with/checksum")" "$(xxh data)" "the data disk"
same "$(used "$R" snapshots)" $((before + 2)) "its snapshots"
nothing_incoming
ok mkdir "$R/private/gone"
ok mkdir "$R/private/gone/disks/vdb"
ok upload data "$R/private/gone/disks/vdb/upload"
ok write "$R/private/gone/import-url" "http://$AT/error-404-9/w.raw"
settle "$R/private/gone" error
compgen -G "$STORE/blobs/incoming/*.vdb" >/dev/null || fail "it could not be tried again"
ok rmdir "$R/private/gone"
ok rmdir "$R/recycle/gone"
nothing_incoming

# An upload has no address.
ok mkdir "$R/private/up"
head -c 100 /dev/zero | sed 's/^/QFI\xfb/' >bad.qcow2
"$FSOP" upload bad.qcow2 "$R/private/up/upload" >/dev/null
settle "$R/private/up" error
expect ENOENT stat "$R/private/up/import-url"
stop
[ -z "$(python3 -c 'import sqlite3, sys; print(*sqlite3.connect(sys.argv[1]).execute("SELECT * FROM fetch").fetchall())' \
        "$STORE/imagefs.db")" ] || fail "an address is kept for an image that has its bytes, or is gone"

# SPDX-License-Identifier: MIT
# A URL written to import-url is fetched and imported; user and password are never shown again.
. "$lib/serve.sh"
start
two_regions
raise_limits
pattern served 8M 51
serve

# Unset, it reads as an empty line; while it is fetched, as the URL without the login; then it is gone.
web=$R/private/web
ok mkdir "$web"
value "$web/import-url" ""
ls "$web" | grep -qx import-url || fail "import-url is not listed"
ok write "$web/import-url" "http://user:open%20sesame@$AT/auth/slow/web.raw"
value "$web/import-url" "http://$AT/auth/slow/web.raw"
value "$web/status" uploading
value "$(task_of "$web" fetch)/kind" fetch
same "$(used "$R" snapshots)" 1 "a fetch holds its snapshot"
ok write "$web/description" "coming"
until_true 20 _arrived "$web" 1000000 || fail "no progress"
same "$(keyed "$web/progress" bytes-total)" 8388608 "total"

# Neither now nor after the end is the password anywhere that can be read.
nowhere() {
        ! grep -rE 'open( |%20)sesame' "$MNT" "$WORK/daemon.log" || fail "the password is shown"
}
nowhere
settle "$web"
same_checksum "$web" served
expect ENOENT stat "$web/import-url"
value "$(task_of "$web" fetch)/status" "done"
value "$(task_of "$web" import)/status" "done"
nowhere
nothing_incoming

fetch wrong "http://user:wrong@$AT/auth/web.raw" error
value "$R/private/wrong/error" "the server says 401 Wrong: ***:***"

# A qcow2, by way of a redirect, and the checksums of the file.
run qemu-img convert -f raw -O qcow2 -c served served.qcow2
mv served served.raw
mv served.qcow2 served
fetch sha256 "http://$AT/a/x.qcow2 sha256=$(sha256sum served | cut -d' ' -f1)"
same_checksum "$R/private/sha256" served.raw
fetch md5 "http://$AT/to/x?http%3A//$AT/x.qcow2   md5=$(md5sum served | cut -d' ' -f1 | tr a-f A-F)"
same_checksum "$R/private/md5" served.raw
fetch xxh128 "http://$AT/x.qcow2 xxh128=$(xxh served)"
value "$R/private/xxh128/format" qcow2

# Another one: both values are said.
ok mkdir "$R/private/other"
ok write "$R/private/other/import-url" "http://$AT/x.qcow2 md5=00112233445566778899aabbccddeeff"
settle "$R/private/other" error
[[ $(cat "$R/private/other/error") == *"md5=$(md5sum served | cut -d' ' -f1)"*"md5=00112233445566778899aabbccddeeff"* ]] ||
        fail "error is $(cat "$R/private/other/error")"
nothing_incoming

# Others of the classes, by the administrator; their disks are no snapshots.
ok mkdir "$R/public/web"
ok write "$R/public/web/import-url" "http://$AT/x.qcow2"
settle "$R/public/web"
same_checksum "$R/public/web" served.raw

# What was written with the password is overwritten in the database.
stop
! grep -rE 'open( |%20)sesame' "$STORE" || fail "the password is still in the store"

# SPDX-License-Identifier: MIT
# rmdir of an image that is being fetched cancels and leaves nothing behind; nothing waits for a server that says nothing.
. "$lib/serve.sh"
start
two_regions
pattern served 8M 51
serve
web=$R/private/web

gone() {
        until_true 5 _gone || fail "$web is still there"
        same "$(ls "$R/recycle" "$R/snapshots")" "$(printf '%s:\n\n%s:' "$R/recycle" "$R/snapshots")" "left"
        same "$(used "$R" private-images)" 0 "image quota"
        same "$(used "$R" snapshots)" 0 "snapshot quota"
        nothing_incoming
}

_gone() {
        [ ! -e "$web" ]
}

for path in stall slow error-503; do
        ok mkdir "$web"
        ok write "$web/import-url" "http://user:sesame@$AT/$path/x.raw"
        [ "$path" = error-503 ] || until_true 20 _arrived "$web" 1 || fail "no progress"
        ok rmdir "$web"
        gone
done

# Several at once, by batch.
ok mkdir "$web"
ok write "$web/import-url" "http://$AT/stall/x.raw"
ok write "$R/batch" "delete web"
gone

# A server that is not there: the daemon waits before it tries again, and the cancel does not wait for that.
unserve
ok mkdir "$web"
ok write "$web/import-url" "http://$AT/x.raw"
sleep 1.5
value "$web/status" uploading
ok rmdir "$web"
gone
serve

# rmdir of the task: the image says so.
ok mkdir "$web"
ok write "$web/import-url" "http://$AT/stall/x.raw"
until_true 20 _arrived "$web" 1 || fail "no progress"
ok rmdir "$(task_of "$web" fetch)"
settle "$web" error
[[ $(cat "$web/error") == *cancelled* ]] || fail "error is $(cat "$web/error")"
same "$(used "$R" snapshots)" 0 "snapshot quota"
ok rmdir "$web"
ok rmdir "$R/recycle/web"
gone

# While it comes: no upload beside it, no other URL, and no work on what is not there yet.
ok mkdir "$web"
ok write "$web/import-url" "http://$AT/stall/x.raw"
until_true 20 _arrived "$web" 1 || fail "no progress"
refused EBUSY "$web" write "$web/import-url" "http://$AT/y.raw"
refused EBUSY "$web" write "$web/convert" cloud
expect "EBUSY open" upload served "$web/upload"
[[ $(cat "$web/last-error") == *"being fetched"* ]] || fail "last-error is $(cat "$web/last-error")"
value "$web/status" uploading

# The end of the daemon does not wait for the server either.
before=$SECONDS
stop
[ $((SECONDS - before)) -lt 10 ] || fail "stopping took $((SECONDS - before)) seconds"
start
until_true 20 _arrived "$web" 1 || fail "it did not go on"
ok rmdir "$web"
gone

# And an upload keeps a URL away.
ok mkdir "$web"
exec 5>"$web/upload"
refused EBUSY "$web" write "$web/import-url" "http://$AT/x.raw"
exec 5>&-

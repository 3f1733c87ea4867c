# SPDX-License-Identifier: MIT
# The top of the tree: README and info/.
start
same "$(ls "$MNT" | tr '\n' ' ')" "README info regions tasks " "ls"
same "$(ls "$MNT/info" | tr '\n' ' ')" "errors health limits store version " "ls info"
value "$MNT/info/health" ok
[ "$(wc -l <"$MNT/README")" -ge 10 ] || fail "the README is short"
grep -q 'cp .*private/' "$MNT/README" || fail "the README does not say how to import"
[[ $(cat "$MNT/info/version") =~ [0-9]+\.[0-9]+ ]] || fail "version: $(cat "$MNT/info/version")"
for key in logical-bytes unique-bytes stored-bytes free-bytes blobs chunks; do
        [[ $(keyed "$MNT/info/store" "$key") =~ ^[0-9]+$ ]] || fail "info/store has no $key"
done
same "$(wc -c <"$MNT/info/errors")" 0 "no errors yet"

two_regions
cloud_image web 3M
same "$(keyed "$MNT/info/store" blobs)" 1 "blobs"
data=$("$FSOP" data-runs web.raw | awk '{ s += $2 } END { print s }')
same "$(keyed "$MNT/info/store" logical-bytes)" "$data" "logical-bytes"
[ "$(keyed "$MNT/info/store" chunks)" -gt 5 ] || fail "chunks"
ok mkdir "$R/private/again"
ok upload web.raw "$R/private/again/upload"
settle "$R/private/again"
same "$(keyed "$MNT/info/store" logical-bytes)" $((2 * data)) "logical-bytes of two"
[ "$(keyed "$MNT/info/store" unique-bytes)" -le "$data" ] || fail "unique-bytes of two equal disks"
[ "$(keyed "$MNT/info/store" stored-bytes)" -le "$(keyed "$MNT/info/store" unique-bytes)" ] || fail "stored-bytes"

# Refusals, in order, still there after a remount.
expect EINVAL write "$R/private/web/os" beos
expect EBUSY write "$R/private/web/type" local
before=$(wc -l <"$MNT/info/errors")
[ "$before" -ge 2 ] || fail "errors has $before lines"
grep -qF -- "$(cat "$R/private/web/last-error")" "$MNT/info/errors" || fail "last-error is not in info/errors"
restart
same "$(wc -l <"$MNT/info/errors")" "$before" "errors after a remount"
expect "EPERM|EACCES" write "$MNT/info/errors" x
expect "EPERM|EACCES" write "$MNT/info/version" x
expect "EPERM|EACCES" write "$MNT/README" x

# statfs answers, with the disk's numbers.
run df "$MNT" >/dev/null
[ "$(stat -f -c %b "$MNT")" -gt 0 ] || fail "statfs"

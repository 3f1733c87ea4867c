# SPDX-License-Identifier: MIT
# The top of the tree: README and info/.
start
same "$(ls "$MNT" | tr '\n' ' ')" "README images.csv images.json images.xlsx info regions tasks " "ls"
same "$(ls "$MNT/info" | tr '\n' ' ')" "errors events health limits store version " "ls info"
value "$MNT/info/health" ok
[ "$(wc -l <"$MNT/README")" -ge 10 ] || fail "the README is short"
grep -q 'cp .*private/' "$MNT/README" || fail "the README does not say how to import"
[[ $(cat "$MNT/info/version") =~ [0-9]+\.[0-9]+ ]] || fail "version: $(cat "$MNT/info/version")"
for key in logical-bytes unique-bytes stored-bytes free-bytes blobs chunks; do
        [[ $(keyed "$MNT/info/store" "$key") =~ ^[0-9]+$ ]] || fail "info/store has no $key"
done
same "$(wc -c <"$MNT/info/errors")" 0 "no errors yet"
same "$(cat "$MNT/info/hosts")" "$(uname -n) lease=none version=$(cat "$MNT/info/version") directory=$STORE" "info/hosts"

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

# Refusals, in order, until the mount ends.
expect EINVAL write "$R/private/web/os" beos
expect EBUSY write "$R/private/web/type" local
before=$(wc -l <"$MNT/info/errors")
[ "$before" -ge 2 ] || fail "errors has $before lines"
last=$(cat "$R/private/web/last-error")
[[ $last =~ ^20[0-9-]+T[0-9:]+Z\ write\ type:\ .*\ .* ]] || fail "last-error: $last"
[[ $(tail -n 1 "$MNT/info/errors") == *" EBUSY /regions/cn-north-1/private/web: ${last#* }" ]] || fail "last-error is not in info/errors"

# operation TEXT ERRNO OP …: last-error says so. The next command there that succeeds empties it, and that alone.
web=$R/private/web
operation() {
        local text=$1 last
        shift
        expect "$@"
        last=$(cat "$web/last-error")
        [[ ${last#* } == "$text: "* ]] || fail "$*: last-error says $last"
}
operation "mkdir copies/nowhere" ENOENT mkdir "$web/copies/nowhere"
operation "rename web to again" EEXIST rename "$web" "$R/private/again"
operation "write os" EINVAL write "$web/os" beos
operation "rm size" EPERM unlink "$web/size"
operation "rmdir disks" EPERM rmdir "$web/disks"
operation "ln -s disks/x" EPERM symlink target "$web/disks/x"
ok mkdir "$R/disks/d1"
expect EINVAL write "$R/disks/d1/size" x
ok write "$web/name" web2
value "$web/last-error" ""
[[ $(cat "$R/disks/d1/last-error") == *" write size: "* ]] || fail "another object's was emptied"
operation "write os" EINVAL write "$web/os" beos
ok chmod 0750 "$web"
value "$web/last-error" ""
operation "mkdir instances/.x" EINVAL mkdir "$web/instances/.x"
ok mkdir "$web/instances/vm"
value "$web/last-error" ""
expect ENOSPC pwrite 100G "$R/instances/vm/disks/vda.raw" x
grep -q " write data.raw: the disk ends" "$R"/disks/vm*/last-error || fail "$(tail -n 1 "$MNT/info/errors")"
ok rmdir "$R/instances/vm"
[ "$(wc -l <"$MNT/info/errors")" -gt "$before" ] || fail "what is over is gone from errors"
restart
same "$(wc -c <"$MNT/info/errors")" 0 "errors after a remount"
value "$R/disks/d1/last-error" ""
expect "EPERM|EACCES" write "$MNT/info/errors" x
expect "EPERM|EACCES" write "$MNT/info/version" x
expect "EPERM|EACCES" write "$MNT/README" x

# statfs answers, with the disk's numbers.
run df "$MNT" >/dev/null
[ "$(stat -f -c %b "$MNT")" -gt 0 ] || fail "statfs"

# SPDX-License-Identifier: MIT
# An upstream is followed: what is new is imported, into its family, and what is beyond keep goes; what is not what it
# should be never becomes available, and leaves nothing.
. "$lib/upstream.sh"
start
two_regions
raise_limits
upstream
F=$R/follows/debian

# As it begins, and what it takes.
ok mkdir "$F"
value "$F/url" ""
value "$F/every" 1d
value "$F/keep" 3
value "$F/family" ""
value "$F/sums" ""
value "$F/keyring" ""
value "$F/status" idle
value "$F/last-run" ""
value "$F/next-run" ""
value "$F/last-error" ""
value "$F/wait" idle
value "$F/run" ""
same "$(ls "$F/images")" "" "images"
same "$(stat -c %a "$F")" 700 "mode"
unchanged EEXIST mkdir "$F"
refused EINVAL "$F" write "$F/run" now
expect EINVAL write "$F/run" later
refused EINVAL "$F" write "$F/url" "file:///etc/passwd"
expect EINVAL write "$F/url" "http://$AT/"
expect EINVAL write "$F/sums" "gopher://$AT/x"
for bad in 30m 0h 31d 721h 1 h 1w "1 h" -1h 99999999h; do expect EINVAL write "$F/every" "$bad"; done
for bad in 0 1001 x -1; do expect EINVAL write "$F/keep" "$bad"; done
expect EINVAL write "$F/family" a/b
refused EINVAL "$F" write "$F/status" running
refused EINVAL "$F" write "$F/keyring" "no keys"
refused EPERM "$F" mkdir "$F/images/x"
ok write "$F/every" 24h
value "$F/every" 1d
ok write "$F/every" 90h
value "$F/every" 90h
ok write "$F/every" 1h
ok write "$F/url" "http://user:secret@$AT/disk.raw"
value "$F/url" "http://$AT/disk.raw"
ok write "$F/sums" "http://$AT/SHA256SUMS"
ok write "$F/family" debian
ok write "$F/keep" 2
value "$F/status" idle
[[ $(cat "$F/next-run") > $(date -u +%FT%TZ) ]] || fail "next-run is $(cat "$F/next-run")"
! grep -rE 'user:secret' "$STORE" "$MNT" || fail "the login can be read"

# The first look imports; what is the same is not fetched again.
release 1
look "$F" idle
value "$F/last-error" ""
for word in made status; do
        grep -F '"object": "follows/debian"' "$MNT/info/events" | grep -qF "\"what\": \"$word\"" || fail "no event $word"
done
one=$(ls "$F/images")
[[ $one == debian-20[0-9][0-9]-[01][0-9]-[0-3][0-9] ]] || fail "the image is $one"
same "$(readlink "$F/images/$one")" "../../../private/$one" "the link"
same_checksum "$F/images/$one" up/disk.raw
value "$R/families/debian/latest/id" "$(cat "$R/private/$one/id")"
same "$(requested /SHA256SUMS) $(requested /disk.raw)" "200 200" "requests"
last=$(cat "$F/last-run")
[[ $last > 2026 && $(cat "$F/next-run") > $last ]] || fail "last-run is $last, next-run $(cat "$F/next-run")"
: >requests
look "$F" idle
same "$(requested /SHA256SUMS) $(requested /disk.raw)" "304 " "requests for what is the same"
same "$(cat "$MNT"/tasks/*/kind | sort | xargs)" "fetch import" "tasks after looks that went well"
dated up/SHA256SUMS
: >requests
look "$F" idle
same "$(requested /SHA256SUMS) $(requested /disk.raw)" "200 " "requests for a list that names the same"
same "$(ls "$F/images")" "$one" "images"

# The next ones, of which one is cut on its way; two are kept. A list as Fedora has it.
release 2
touch up/disk.raw.cut
look "$F" idle
value "$R/families/debian/latest/checksum" "$(xxh up/disk.raw)  disks/vda.raw"
same "$(ls "$F/images" | wc -l)" 2 "images"
two=$(basename "$(readlink "$R/families/debian/latest")")
release 3
(cd up && sha512sum --tag disk.raw >SHA256SUMS)
dated up/SHA256SUMS
look "$F" idle
value "$R/families/debian/latest/checksum" "$(xxh up/disk.raw)  disks/vda.raw"
same "$(ls "$R/recycle")" "$one" "what is beyond keep"
same "$(ls "$F/images" | wc -l)" 2 "images"

# What is protected, or has a machine, stays, and the run says so.
ok write "$R/private/$two/protected" yes
three=$(basename "$(readlink "$R/families/debian/latest")")
ok mkdir "$R/private/$three/instances/vm"
ok write "$F/keep" 1
release 4
look "$F" idle
[[ $(cat "$F/last-error") == *" run: "*"$two is beyond keep, and stays: "*protected* ]] || fail "$(cat "$F/last-error")"
[[ $(cat "$F/last-error") == *"$three is beyond keep, and stays: "* ]] || fail "$(cat "$F/last-error")"
same "$(ls "$F/images" | wc -l)" 3 "images"
ok write "$R/private/$two/protected" no
ok rmdir "$R/instances/vm"
release 5
look "$F" idle
value "$F/last-error" ""
same "$(ls "$F/images" | wc -l)" 1 "images"
: >requests

# What was imported once is not imported again, when a server has it once more.
release 2
look "$F" idle
same "$(requested /disk.raw)" "" "requests for an older release"
same "$(ls "$F/images" | wc -l)" 1 "images"

# What is not what the list says, what it does not name, or names twice; what is not there.
release 6
pattern up/disk.raw 1M 7
look_fails "$F" "the file has sha256="
printf '%064d  other.raw\n' 0 >up/SHA256SUMS
look_fails "$F" "sums has no SHA-256 or SHA-512 of disk.raw"
printf '%064d  disk.raw\n%064d *./disk.raw\n' 0 1 >up/SHA256SUMS
look_fails "$F" "more than once"
head -c 2M /dev/zero | tr '\0' x >up/SHA256SUMS
look_fails "$F" "more than a list"
head -c 100 /dev/zero >up/SHA256SUMS
look_fails "$F" "no list of sums"
rm up/SHA256SUMS
look_fails "$F" "404"
release 8
rm up/disk.raw
look_fails "$F" "404"
printf 'QFI\xfb cut' >up/disk.raw
(cd up && sha256sum disk.raw >SHA256SUMS)
look_fails "$F" "qcow2"
release 9
ok write "$MNT/info/limits" "private-images 1"
look_fails "$F" "1 of 1 private"
ok write "$MNT/info/limits" "private-images 1000"
look "$F" idle
value "$F/last-error" ""
value "$R/families/debian/latest/checksum" "$(xxh up/disk.raw)  disks/vda.raw"

# While it runs: what is refused; and it can be cancelled.
held() { grep -qx "$1 held" requests; }
: >requests
touch up/SHA256SUMS.held
ok write "$F/run" now
value "$F/status" running
until_true 60 held /SHA256SUMS || fail "it does not look"
refused EBUSY "$F" write "$F/run" now
expect EBUSY write "$F/url" "http://$AT/x.raw"
expect EBUSY write "$F/status" paused
refused EBUSY - rmdir "$F"
task=$(grep -lx follow "$MNT"/tasks/*/kind | while read -r kind; do grep -lx running "${kind%kind}status"; done)
ok rmdir "$(dirname "$task")"
looked "$F" error
[[ $(cat "$F/last-error") == *"run: the run was cancelled" ]] || fail "$(cat "$F/last-error")"
rm up/SHA256SUMS.held

# Killed while it looks, and while it fetches: it goes on by itself.
next=100
for at in SHA256SUMS disk.raw; do
        release $((next += 11))
        : >requests
        touch "up/$at.held"
        ok write "$F/run" now
        until_true 60 held "/$at" || fail "it does not ask for $at"
        crash
        rm "up/$at.held"
        start
        looked "$F" idle
        value "$R/families/debian/latest/checksum" "$(xxh up/disk.raw)  disks/vda.raw"
done
nothing_incoming

# An image that somebody removes before it is whole.
release 20
: >requests
touch up/disk.raw.held
ok write "$F/run" now
until_true 60 held /disk.raw || fail "it does not fetch"
coming=$(grep -lx uploading "$R"/private/*/status)
ok rmdir "$(dirname "$coming")"
looked "$F" error
[[ $(cat "$F/last-error") == *"removed before it was whole" ]] || fail "$(cat "$F/last-error")"
rm up/disk.raw.held
look "$F" idle

# Without a list the server's word for the version is enough, and without that it is refused.
P=$R/follows/plain
ok mkdir "$P"
ok write "$P/url" "http://$AT/disk.raw"
look "$P" idle
look "$P" idle
same "$(ls "$P/images" | wc -l)" 1 "images"
release 21
look "$P" idle
same "$(ls "$P/images" | wc -l)" 2 "images"
release 22
touch up/disk.raw.nodate
look_fails "$P" "neither ETag nor Last-Modified"
rm up/disk.raw.nodate
look "$P" idle

# By its time: what was missed is done once; what is paused is not.
for name in missed paused far; do
        ok mkdir "$R/follows/$name"
        ok write "$R/follows/$name/url" "http://$AT/$name"
        ok write "$R/follows/$name/every" 1h
done
ok write "$R/follows/paused/status" paused
value "$R/follows/paused/next-run" ""
expect EBUSY write "$R/follows/paused/run" now
stop
python3 - "$STORE/imagefs.db" <<'END' || fail "the clock cannot be set"
import sqlite3, sys
db = sqlite3.connect(sys.argv[1])
db.execute("UPDATE follow SET next_run = 1, last_run = 1 WHERE handle IN ('missed', 'paused')")
db.executemany("INSERT INTO follow_image (follow, sum) SELECT id, ? FROM follow WHERE handle = 'debian'",
               [("sha256=%064x" % i,) for i in range(1500)])
db.execute("UPDATE follow SET next_run = 4000000000000000 WHERE handle = 'far'") # the clock was in 2096
db.commit()
END
: >requests
start
missed() { [ "$(cat "$R/follows/missed/status")" = error ]; }
until_true 60 missed || fail "what was missed is not looked at: $(cat "$R/follows/missed/status")"
[[ $(cat "$R/follows/missed/next-run") > $(date -u +%FT%TZ) ]] || fail "next-run is $(cat "$R/follows/missed/next-run")"
ok write "$R/follows/missed/run" now
looked "$R/follows/missed" error
same "$(requested /missed)" "404 404" "requests of what was missed"
same "$(requested /paused)" "" "requests of what is paused"
ok write "$R/follows/paused/status" idle
looked_at() { [ -n "$(requested /paused)" ]; }
until_true 60 looked_at || fail "what is idle again is not looked at"
looked "$R/follows/paused" error

# Sums of what is gone are kept, but not for ever.
release 30
look "$F" idle
sums() { python3 -c 'import sqlite3, sys
print(sqlite3.connect("file:%s/imagefs.db?mode=ro" % sys.argv[1], uri=True).execute(
    "SELECT count(*) FROM follow_image WHERE image IS NULL").fetchone()[0])' "$STORE"; }

# Its name, its end, and how many there may be.
ok rename "$R/follows/missed" "$R/follows/gone"
expect EEXIST rename "$R/follows/gone" "$F"
expect EPERM rename "$R/follows/gone" "$R2/follows/gone"
ok rmdir "$R/follows/gone"
ok rmdir "$R/follows/paused"
[[ $(cat "$R/follows/far/next-run") < $(date -u -d '2 hours' +%FT%TZ) ]] || fail "next-run is $(cat "$R/follows/far/next-run")"
ok rmdir "$R/follows/far"
ok write "$MNT/info/limits" "follows 2"
refused EDQUOT - mkdir "$R/follows/third"

# Addresses are of use with the library's key alone.
stop
[ "$(sums)" -le 1001 ] || fail "$(sums) sums are kept"
rm "$STORE/secret"
start
value "$F/url" ""
look_fails "$F" "sealed with a key that this library has lost"
kept=$(ls "$R/private")
ok rmdir "$F"
same "$(ls "$R/private")" "$kept" "images of what is followed no more"
ok mkdir "$R2/follows/alone"
refused EBUSY - rmdir "$R2"
ok rmdir "$R2/follows/alone"
ok rmdir "$R2"
stop
check_store

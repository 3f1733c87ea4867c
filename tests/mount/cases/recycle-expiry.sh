# SPDX-License-Identifier: MIT
# What is in the recycle bin goes after recycle-days, and addresses for downloads after download-hours: no sooner, also
# when the daemon was away meanwhile, and by the limit as it is now. recycle-days 0: what is deleted is gone.
need python3 curl
start -o http=127.0.0.1:0
two_regions
raise_limits
pattern disk.raw 1M 5

# aged IMAGE-HANDLE SECONDS, while the daemon is away: as if it had been deleted that long ago. The address, likewise.
aged() {
        python3 - "$STORE/imagefs.db" "$@" <<'END' || fail "$1 cannot be made older"
import sqlite3, sys, time
db = sqlite3.connect(sys.argv[1])
then = int((time.time() - int(sys.argv[3])) * 1000000)
if sys.argv[2] == "address":
    n = db.execute("UPDATE download SET expires = ? + 86400000000", (then,)).rowcount
else:
    n = db.execute("UPDATE image SET deleted = ? WHERE handle = ?", (then, sys.argv[2])).rowcount
db.commit()
sys.exit(n != 1)
END
}
day=86400
there() { [ -d "$R/recycle/$1" ]; }
gone() { ! there "$1"; }
deleted() { # IMAGE …: imported, and in the bin
        local i
        for i; do
                import_raw "$R/private/$i" disk.raw local
                ok rmdir "$R/private/$i"
        done
}

deleted young old due
ok mkdir "$R/private/web"
ok upload disk.raw "$R/private/web/upload"
settle "$R/private/web"
ok mkdir "$R/private/web/download/vda.raw"
stop
aged old $((31 * day))
aged young $((29 * day))
now=$(date +%s)
aged due $((30 * day - 6)) # six seconds are left
aged address $((day - 6))
start -o http=127.0.0.1:0
url=$(cat "$R/private/web/download/vda.raw/url" 2>/dev/null)
if there due; then
        status() { curl -s -m 30 -o body -w '%{http_code}' "$url"; }
        same "$(status)" 200 "an address in its last seconds"
fi
until_true 10 gone old || fail "what was due while the daemon was away is still there"
until_true 20 gone due || fail "what is due now is still there"
[ $(($(date +%s) - now)) -ge 6 ] || fail "it went before its time"
until_true 20 eval '[ ! -d "$R/private/web/download/vda.raw" ]' || fail "the address is still there"
same "$(curl -s -m 30 -o body -w '%{http_code}' "$url")" 404 "an address after its time"
there young || fail "what had a day left is gone"
same "$(used "$R" private-images)" 1 "quota"

# The limit as it is now, for what was deleted before as well.
ok write "$MNT/info/limits" "recycle-days 40"
stop
aged young $((35 * day))
start -o http=127.0.0.1:0
deleted fresh
there young || fail "gone after 35 of 40 days"
ok write "$MNT/info/limits" "recycle-days 36"
there young || fail "gone after 35 of 36 days"
ok write "$MNT/info/limits" "recycle-days 35"
until_true 10 gone young || fail "there after 35 of 35 days"
there fresh || fail "fresh is gone"

# 0: the bin keeps nothing. What is open stays readable; the snapshot that a cloud image's import made goes along.
exec 7<"$R/recycle/fresh/disks/vda.raw"
ok write "$MNT/info/limits" "recycle-days 0"
until_true 10 gone fresh || fail "fresh is there after 0 days"
cmp - disk.raw <&7 || fail "an open file of an image whose time is up"
exec 7<&-
ok rmdir "$R/private/web"
until_true 10 gone web || fail "what was deleted is still there"
same "$(ls "$R/recycle" "$R/private" | grep -v :)" "" "what is left"
same "$(ls "$R/snapshots")" "" "snapshots"
nothing_stored() { [ "$(keyed "$MNT/info/store" chunks)" = 0 ]; }
until_true 90 nothing_stored || fail "chunks are left: $(cat "$MNT/info/store")"
restart
same "$(keyed "$MNT/info/limits" recycle-days)" 0 "the limit after a restart"

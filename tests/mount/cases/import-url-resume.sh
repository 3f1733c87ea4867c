# SPDX-License-Identifier: MIT
# A transfer that is cut off goes on from the bytes that are there, if the server still has the same file.
# time limit: 200
. "$lib/serve.sh"
start
two_regions
raise_limits
pattern served 16M 51
size=16777216
serve

fetch cut "http://$AT/cut-3000000-3/x.raw"
same "$(requests)" "0 3000000, 3000000 3000000, 6000000 3000000, 9000000 $((size - 9000000))" "requests"
same_checksum "$R/private/cut" served

# A server without ranges sends all of it again.
fetch norange "http://$AT/norange/cut-3000000-1/x.raw"
same "$(requests)" "0 3000000, 0 $size" "requests"
same_checksum "$R/private/norange" served

# Without a version nobody can tell whether it is the same file, unless there is a checksum.
fetch noversion "http://$AT/noversion/cut-3000000-1/x.raw"
same "$(requests)" "0 3000000, 0 $size" "requests"
fetch summed "http://$AT/noversion/cut-3000000-1/y.raw xxh128=$(xxh served)"
same "$(requests)" "0 3000000, 3000000 $((size - 3000000))" "requests"

# Errors of the server are tried again.
fetch error "http://$AT/error-503-2/x.raw"
same "$(requests)" "0 503, 0 503, 0 $size" "requests"

# Another file meanwhile: nothing of the first is left.
pattern served.2 9M 52
fetch change "http://$AT/change-2/cut-3000000-1/x.raw"
same "$(requests)" "0 3000000, 0 9437184" "requests"
same_checksum "$R/private/change" served.2

# Killed in the middle, and unmounted in the middle: the bytes that are there are not asked for again.
for how in crash stop; do
        web=$R/private/$how
        : >"$WORK/requests"
        ok mkdir "$web"
        ok write "$web/import-url" "http://$AT/slow/$how.raw"
        until_true 20 _arrived "$web" 3000000 || fail "no progress"
        "$how"
        check_store
        have=$(stat -c %s "$STORE"/blobs/incoming/*)
        [ "$have" -ge 3000000 ] && [ "$have" -lt "$size" ] || fail "$have bytes are there"
        start
        settle "$web"
        same "$(tail -n 1 "$WORK/requests" | cut -d' ' -f3-)" "$have $((size - have))" "the request after $how"
        same_checksum "$web" served
        nothing_incoming
done

# The machine stops: what was not synced may be anything, and is fetched again.
web=$R/private/power
ok mkdir "$web"
ok write "$web/import-url" "http://$AT/slow/power.raw"
until_true 20 _arrived "$web" 3000000 || fail "no progress"
crash
run python3 -c 'import sqlite3, sys
db = sqlite3.connect(sys.argv[1])
db.execute("UPDATE fetch SET place = \"another\", safe = 1000000")
db.commit()' "$STORE/imagefs.db"
start
settle "$web"
same "$(tail -n 1 "$WORK/requests" | cut -d' ' -f3-)" "1000000 $((size - 1000000))" "the request after a power cut"
same_checksum "$web" served

# The file changes while nobody looks.
web=$R/private/later
ok mkdir "$web"
ok write "$web/import-url" "http://$AT/slow/change-2/later.raw"
until_true 20 _arrived "$web" 1000000 || fail "no progress"
crash
start
settle "$web"
same_checksum "$web" served.2

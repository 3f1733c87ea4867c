# SPDX-License-Identifier: MIT
# info/store-history.csv and .svg: what the library held day by day, and what of it was stored.
. "$lib/users.sh"
A=12001
users $A
need python3
# Days are told from today, which is not to become another one.
while [ $((86400 - $(date +%s) % 86400)) -lt 120 ]; do sleep 1; done
start -o allow_other
csv=$MNT/info/store-history.csv svg=$MNT/info/store-history.svg
header=day,region,images,snapshots,size-bytes,data-bytes,unique-bytes,stored-bytes

# The table, without today's date: the lines of the day that many days ago.
lines() { awk -F , -v day="$(date -ud "$1 days ago" +%F)" '$1 == day' "$csv" | cut -d , -f 2-; }
# SQL on the catalogue, of a library that nobody serves.
catalogue() {
        python3 - "$STORE/imagefs.db" "$1" <<'END' || fail "the catalogue does not take it: $1"
import sqlite3, sys
db = sqlite3.connect(sys.argv[1])
for row in db.execute(sys.argv[2]):
    print(*row)
db.commit()
END
}
# What the picture says, once a parser has taken it.
said() {
        python3 - "$svg" <<'END'
import sys, xml.etree.ElementTree as tree
root = tree.parse(sys.argv[1]).getroot()
svg = "{http://www.w3.org/2000/svg}"
assert root.tag == svg + "svg"
print("\n".join(t.text for t in root.iter(svg + "text")))
for path in root.iter(svg + "path"):
    if path.get("fill"):
        print(path.get("d"))
END
}

# A library of one day that holds nothing: a table with one line, and a picture all the same.
same "$(cat "$csv")" "$header"$'\n'"$(date -u +%F),,0,0,0,0,0,0" "the first day"
said >picture || fail "no picture: $(cat "$svg")"
same "$(head -n 1 picture)" "0 images and 0 snapshots hold 0 bytes of data; 0 bytes are stored" "title"
same "$(ls "$MNT/info" | grep -c history)" 0 "listed: each reading may be another text"
same "$(stat -c '%a %U' "$csv" "$svg" | sort -u)" "400 root" "modes"

# It follows what happens. The same twice is stored once.
two_regions
ok rename "$MNT/regions/cn-east-2" "$MNT/regions/a, \"b\""
cloud_image web 3M
local_image lo 2M 7
cloud_image again 3M
[ "$(cat "$R/private/web/checksum")" = "$(cat "$R/private/again/checksum")" ] || fail "not the same bytes"
data=$(($("$FSOP" data-runs web.raw | awk '{ s += $2 } END { print s }') * 2 +
        $("$FSOP" data-runs lo.raw | awk '{ s += $2 } END { print s }')))
now=",3,2,8388608,$data
\"a, \"\"b\"\"\",0,0,0,0
cn-north-1,3,2,8388608,$data"
held() { lines "$1" | sed 's/,[0-9]*,[0-9]*$//'; } # without what is stored
same "$(held 0)" "$now" "today"
# What is stored is the stores', in which things are collected at their time.
as_stored() {
        [ "$(lines 0 | sed -n '1s/.*,\([0-9]*,[0-9]*\)$/\1/p')" = \
                "$(keyed "$MNT/info/store" unique-bytes),$(keyed "$MNT/info/store" stored-bytes)" ]
}
until_true 20 as_stored || fail "today: $(cat "$csv" "$MNT/info/store")"
same "$(python3 -c 'import csv, sys; print(sorted({r["region"] for r in csv.DictReader(open(sys.argv[1]))}))' "$csv")" \
        "['', 'a, \"b\"', 'cn-north-1']" "as a reader of CSV has it"
has_its_size() { [ "$(wc -c <"$1")" = "$(stat -c %s "$1")" ]; }
for file in "$csv" "$svg"; do until_true 20 has_its_size "$file" || fail "size of $file"; done
said >picture || fail "no picture"
grep -q "^3 images and 2 snapshots hold .* MiB of data; .* are stored, [0-9.]* times less$" picture || fail "title: $(head -n 1 picture)"

# Nobody else's, and nobody's to write.
for file in "$csv" "$svg"; do
        by $A expect EACCES open r "$file"
        expect "EACCES|EPERM" write "$file" x
        unchanged EPERM unlink "$file"
done

# Kept when the library is unmounted, and shown for ever: also of days before an image went, and of a region that has gone.
stop
same "$(catalogue "SELECT count(*) FROM history")" 3 "rows"
today=$(($(date +%s) / 86400))
catalogue "UPDATE history SET day = $today - 40"
catalogue "INSERT INTO history VALUES ($today - 20, '', 1, 0, 5242880, 5242880, NULL, NULL)"
start -o allow_other
ok rmdir "$MNT/regions/a, \"b\""
ok rmdir "$R/private/again"
same "$(held 40)" "$now" "40 days ago"
same "$(lines 20)" ",1,0,5242880,5242880,," "while a store was offline"
same "$(lines 0 | cut -d , -f 1-3)" ",3,2"$'\n'"cn-north-1,3,2" "today" # in the recycle bin
same "$(sed 1d "$csv" | cut -d , -f 1 | uniq | wc -l)" 3 "days"
said >picture || fail "no picture"
for day in 40 0; do grep -qx "$(date -ud "$day days ago" +%F)" picture || fail "no date of $day days ago"; done
same "$(grep -c '^M90,370V' picture)" 3 "areas"
same "$(grep -o 'Z' picture | wc -l)" 5 "stored and distinct are not known on one of the days"

# Ten years of days make no larger picture than it has columns.
stop
catalogue "WITH RECURSIVE n(i) AS (SELECT 41 UNION ALL SELECT i + 1 FROM n WHERE i < 3600)
        INSERT INTO history SELECT $today - i, '', 1, 0, i * 1000000, i * 1000000, i * 1000, i * 100 FROM n"
start -o allow_other
same "$(sed 1d "$csv" | cut -d , -f 1 | uniq | wc -l)" 3563 "days"
said >picture || fail "no picture"
[ "$(stat -c %s "$svg")" -lt 65536 ] || fail "a picture of $(stat -c %s "$svg") bytes"
grep -qx "3 GiB" picture || fail "axis: $(grep iB picture)"

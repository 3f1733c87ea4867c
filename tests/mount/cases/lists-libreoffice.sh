# SPDX-License-Identifier: MIT
# time limit: 300 seconds (a spreadsheet program starts slowly)
# A spreadsheet program reads the lists of 10 000 images: the same rows, and cells that look like formulas are text.
need python3 soffice
images=${IMAGEFS_TEST_COUNT:-2000}
start
two_regions
[ -e "$R/images.xlsx" ] || skip "built without zlib"
raise_limits
for name in "=1+1" "=cmd|' -C calc'!A0" "+1" "-1" "@SUM(1)" '"quoted", and more' " blanks  " "_x0041_" "<b>&amp;" "00123" "1e5" \
        "2026-01-31" "TRUE" "名前 עברית" "👩‍🔧" $'\xef\xbf\xbe' "'apostrophe"; do
        ok mkdir "$R/private/$name"
        ok write "$R/private/$name/platform" "$name"
        ok write "$R/private/$name/description" "$name"$'\n'"$name"
done

# The rest at once, in the stopped library's database: the mount would sync each of them.
stop
python3 - "$STORE/imagefs.db" "$images" <<'END' || fail "cannot make images"
import contextlib, sqlite3, sys
with contextlib.closing(sqlite3.connect(sys.argv[1])) as db, db:
    columns = [row[1] for row in db.execute("PRAGMA table_info(image)")]
    have, first = db.execute("SELECT count(*), min(id) FROM image").fetchone()
    own = {"id": "NULL", "ident": "printf('img-%012d', n)", "handle": "printf('filler-%06d', n)",
           "os": "iif(n % 2, 'linux', 'windows')", "project_group": "'group ' || n % 7"}
    db.execute(f"""WITH RECURSIVE filler(n) AS (SELECT {have + 1} UNION ALL SELECT n + 1 FROM filler WHERE n < ?)
                   INSERT INTO image SELECT {', '.join(own.get(c, c) for c in columns)}
                   FROM image, filler WHERE id = {first}""", (int(sys.argv[2]),))
END
start
same "$(run "$lib/lists-agree" "$R/images.csv" "$R/images.json" "$R/images.xlsx")" "$images" "rows"

# convert FILE [OPTION]: to CSV in UTF-8, each cell as it is kept.
convert() {
        HOME=$WORK timeout -k 5 200 soffice "-env:UserInstallation=file://$WORK/office" --headless "${@:2}" \
                --convert-to "csv:Text - txt - csv (StarCalc):44,34,76,1,,0,false,true,false" --outdir "$WORK/said" "$1" \
                >"$WORK/office.log" 2>&1 || fail "LibreOffice: $(tail -n 3 "$WORK/office.log")"
}
columns=$(seq -s / 18 | sed 's,[0-9]*,&/2,g') # in a CSV file nothing says that a cell is text: whoever opens it does
cp "$R/images.xlsx" sheet.xlsx
cp "$R/images.csv" table.csv
convert sheet.xlsx
convert table.csv "--infilter=CSV:44,34,76,1,$columns"
same "$(run "$lib/lists-agree" "$R/images.csv" "$R/images.json" "$R/images.xlsx" said/sheet.csv said/table.csv)" "$images" "rows"

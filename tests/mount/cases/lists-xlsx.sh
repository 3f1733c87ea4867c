# SPDX-License-Identifier: MIT
# images.xlsx says what images.csv says, and text stays text. Lists that did not change are not made again, and show
# every change at once.
need python3
start
two_regions
if [ ! -e "$R/images.xlsx" ]; then
        # Built without zlib: nothing that is listed fails, and who opens it is told why.
        expect EOPNOTSUPP open r "$MNT/images.xlsx"
        expect EOPNOTSUPP open r "$R/images.xlsx"
        [[ $(tail -n 1 "$MNT/info/errors") == *"without zlib"* ]] || fail "no sentence"
        find "$MNT" | grep -q xlsx && fail "it is listed"
        skip "built without zlib"
fi
raise_limits

agree() {
        run "$lib/lists-agree" "$R/images.csv" "$R/images.json" "$R/images.xlsx"
}
same "$(agree)" 0 "rows of an empty region"

cloud_image web 2M
ok write "$R/private/web/name" "=cmd|' -C calc'!A0"
ok write "$R/private/web/platform" '<&>"_x0041_'
ok write "$R/private/web/description" $'=1+1\n\tof "two" lines,\n\nand a third'
ok write "$R/private/web/labels" $'a=1\nb=<&>'
ok mkdir "$R/private/@SUM(1+1)"
ok mkdir "$R/private/ -1 "
ok mkdir "$R/private/"$'\xef\xbf\xbe\xef\xbf\xbf' # U+FFFE and U+FFFF, which XML cannot have
ok mkdir "$R/private/名前 עברית"
pattern pub.raw 1M 2
import_raw "$R/public/pub" pub.raw
same "$(agree)" 6 "rows"

# Frozen and of its true size, the same bytes each time and after a restart.
for list in "$R"/images.*; do
        same "$(stat -c %s "$list")" "$(wc -c <"$list")" "the size of $list"
done
sum=$(cat "$R"/images.* | xxhsum -q -H2 -)
times=$(stat -c %Y%Z%i "$R"/images.*)
same "$(cat "$R"/images.* | xxhsum -q -H2 -)" "$sum" "content again"
restart
same "$(cat "$R"/images.* | xxhsum -q -H2 -)" "$sum" "content after a remount"
same "$(stat -c %Y%Z%i "$R"/images.*)" "$times" "times and numbers after a remount"

# Every change shows at once, in sizes and times too: what a backup looks at.
for name in one two; do
        before=$(stat -c %.Y "$R/images.csv")
        ok write "$R/private/web/name" "$name"
        grep -q ",$name," "$R/images.csv" || fail "not in the list: $name"
        [ "$(stat -c %.Y "$R/images.csv")" != "$before" ] || fail "the list's time stayed"
        same "$(stat -c %s "$R/images.csv")" "$(wc -c <"$R/images.csv")" "size"
        agree >/dev/null
done
exec 5<"$R/images.xlsx"
ok rmdir "$R/private/@SUM(1+1)"
same "$(agree)" 5 "rows without the removed one"
cat <&5 >open.xlsx
exec 5<&-
python3 -m zipfile -t open.xlsx >/dev/null || fail "an open list changed"
ok mkdir "$R2/private/other" # of another region
same "$(agree)" 5 "rows"

# Of all regions.
same "$(run "$lib/lists-agree" "$MNT")" 6 "rows of all regions"
ok write "$R2/private/other/name" another
ok write "$R/private/web/description" ""
same "$(run "$lib/lists-agree" "$MNT")" 6 "rows of all regions, changed"
grep -q ",another," "$MNT/images.csv" || fail "not in the list of all regions"
ok rename "$R2" "$MNT/regions/a"
same "$(run "$lib/lists-agree" "$MNT")" 6 "rows of all regions, one with another name"

# SPDX-License-Identifier: MIT
# imagefs stat: what images take, of a store chunk by chunk, of a mount by its files; a table, or JSON.
need python3
start
two_regions
pattern web.raw 3M 5
pattern other.raw 2M 6
import_raw "$R/private/web" web.raw
import_raw "$R/private/again" web.raw
import_raw "$R/private/other" other.raw
ok mkdir "$R/private/other/copies/cn-east-2"
settle "$R2/private/other"
ok mkdir "$R/private/queued"
data_of() { "$FSOP" data-runs "$1" | awk '{ s += $2 } END { print s }'; }
web=$(data_of web.raw) other=$(data_of other.raw)

# number JSON PATH: of the answer in a file.
number() { python3 -c 'import json, sys
v = json.load(open(sys.argv[1]))
for key in sys.argv[2].split("."):
    v = v[int(key)] if isinstance(v, list) else v[key]
print(v)' "$1" "$2"; }

# Of the mount, without what is whose alone.
run "$IMAGEFS" stat "$MNT" --json >mount.json
same "$(number mount.json regions.1.name) $(number mount.json regions.1.images.3.name)" "cn-north-1 web" "names"
same "$(number mount.json regions.1.images.3.size)" 3145728 "size"
[ "$(number mount.json regions.1.images.3.logical)" -ge "$web" ] || fail "data of web: $(number mount.json regions.1.images.3.logical)"
same "$(number mount.json total.stored)" "$(keyed "$MNT/info/store" stored-bytes)" "stored"
fails grep -q '"unique"' <(grep '"name"' mount.json)
run "$IMAGEFS" stat "$MNT" >mount.txt
same "$(grep -c private/ mount.txt)" 5 "rows"
grep -qE '^  private/web +3.0 MiB +[0-9.]+ [KM]iB +- +- +-$' mount.txt || fail "$(cat mount.txt)"
! grep -q $'\033\|█' mount.txt || fail "bars in a pipe"

# A store that is served is not counted; one that is not is, and nothing in it changes.
fails "$IMAGEFS" stat "$STORE"
grep -q "$STORE" err || fail "why not: $(cat err)"
unique=$(keyed "$MNT/info/store" unique-bytes) stored=$(keyed "$MNT/info/store" stored-bytes)
stop
before=$(find "$STORE" -type f ! -name lock -exec xxhsum -q -H2 {} + | sort)
run "$IMAGEFS" stat "$STORE" --json >store.json
same "$(find "$STORE" -type f ! -name lock -exec xxhsum -q -H2 {} + | sort)" "$before" "the store"
one() { number store.json "regions.$1"; }
# In cn-north-1 (region 1): again, other, queued, web.
same "$(one 1.images.3.name) $(one 1.images.3.size) $(one 1.images.3.logical)" "web 3145728 $web" "web"
same "$(one 1.images.3.unique) $(one 1.images.3.stored)" "0 0" "what web has alone"
[ "$(one 1.images.3.shared)" -gt 0 ] || fail "web shares $(one 1.images.3.shared)"
same "$(one 1.images.0.shared)" "$(one 1.images.3.shared)" "again shares what web does"
same "$(one 1.images.1.unique) $(one 0.images.0.unique)" "0 0" "other has a copy in another region"
same "$(one 1.images.2.name) $(one 1.images.2.size)" "queued 0" "an image without a disk"
# The region has what web and again share alone, and shares other with the second one.
same "$(one 1.unique)" "$(one 1.images.3.shared)" "what the region has alone"
same "$(one 1.shared) $(one 0.shared)" "$(one 1.images.1.shared) $(one 0.images.0.shared)" "what regions share"
same "$(one 0.unique)" 0 "what the second region has alone"
same "$(($(one 1.unique) + $(one 1.shared)))" "$unique" "all of it"
same "$(number store.json total.unique) $(number store.json total.stored)" "$unique $stored" "totals"

# What removing an image would give back, once another that is gone is collected.
_blobs_are() {
        [ "$(keyed "$MNT/info/store" blobs)" = "$1" ]
}
start
blobs=$(keyed "$MNT/info/store" blobs)
ok rmdir "$R/private/again"
ok rmdir "$R/recycle/again"
until_true 20 _blobs_are $((blobs - 1)) || fail "not collected: $(cat "$MNT/info/store")"
stop
run "$IMAGEFS" stat "$STORE" --json >store.json
[ "$(one 1.images.2.unique)" -gt 0 ] && [ "$(one 1.images.2.stored)" -gt 0 ] || fail "web has nothing alone: $(cat store.json)"
same "$(one 1.images.2.shared)" 0 "nobody shares it"
run "$IMAGEFS" stat "$STORE" >store.txt
same "$(sed -n '$p' store.txt | cut -d ' ' -f 1-2)" "all data" "the last line"
same "$(wc -c <err)" 0 "no progress where there is no terminal"

# On a terminal bars, for rows and while it counts.
run python3 -c 'import pty, sys
sys.exit(pty.spawn(sys.argv[1:]))' "$IMAGEFS" stat "$STORE" >page </dev/null
grep -q '█' page && grep -q 'imagefs: maps: ' page || fail "no bar: $(cat page)"
run python3 -c 'import pty, sys
sys.exit(pty.spawn(sys.argv[1:]))' "$IMAGEFS" check "$STORE" --read-data >page </dev/null
grep -q "imagefs: chunks: ████████████████████████ $(number store.json total.chunks) of" page && grep -q '^clean' page ||
        fail "check shows no bar: $(cat page)"
same "$(run "$IMAGEFS" check "$STORE" --read-data 2>&1)" clean "check in a pipe"
fails "$IMAGEFS" stat "$WORK/nothing"
grep -q "$WORK/nothing: no library" err || fail "$(cat err)"

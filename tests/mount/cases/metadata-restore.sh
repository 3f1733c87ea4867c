# SPDX-License-Identifier: MIT
# A metadata.json that was saved sets the attributes of another image, all of them or none.
start
two_regions
old=$R/private/old new=$R/private/new
pattern disk.raw 1M 5
ok mkdir "$old"
ok write "$old/name" 'Web "server" \ one'
ok write "$old/description" $'two\nlines, "quoted" and ümlauts\\'
ok write "$old/type" local
ok write "$old/os" kylin
ok write "$old/platform" Kylin
ok write "$old/platform-version" 10
ok write "$old/architecture" aarch64
ok write "$old/boot-mode" uefi
ok write "$old/features" "cloud-init qemu-ga"
ok write "$old/labels" $'role=a=b\nstage="x"\nempty='
ok write "$old/project-group" "team a"
ok write "$old/provider" someone
ok upload disk.raw "$old/upload"
settle "$old"
cat "$old/metadata.json" >saved.json

# saved FILE: without what no two images share, and without the file's format.
saved() {
        grep -v -e '^  "id"' -e '^  "created"' -e '^  "updated"' -e '^  "snapshot"' -e '"owner"' <"$1"
}

ok mkdir "$new"
cat saved.json >"$new/metadata.json" || fail "not taken"
for file in name description type os platform platform-version architecture boot-mode features labels project-group \
        provider; do
        cmp "$old/$file" "$new/$file" || fail "$file"
done
value "$new/status" queued
[ "$(cat "$new/id")" != "$(cat "$old/id")" ] || fail "its id was set"
ok upload disk.raw "$new/upload"
settle "$new"
cmp <(saved "$old/metadata.json") <(saved "$new/metadata.json") || fail "it is not the same again"

# No longer, when it has its data; in a listing that is read anew, the file is as long as it says.
refused EBUSY "$new" write "$new/metadata.json" '{}'
same "$(stat -c %s "$new/metadata.json")" "$(wc -c <"$new/metadata.json")" "size"

# In pieces; and what ends before its end is refused at close, and changes nothing.
ok mkdir "$R/private/pieces"
pieces=$R/private/pieces
run dd if=saved.json of="$pieces/metadata.json" bs=100 conv=notrunc status=none
cmp "$old/labels" "$pieces/labels" || fail "in pieces"
ok rmdir "$pieces"
ok mkdir "$pieces"
before=$(cat "$pieces/metadata.json")
head -c 300 saved.json >cut.json
fails cp cut.json "$pieces/metadata.json"
[[ $(cat "$pieces/last-error") == *"nothing was changed"* ]] || fail "no sentence: $(cat "$pieces/last-error")"
same "$(cat "$pieces/metadata.json")" "$before" "after a cut one"

# All or nothing, whatever comes.
deep=$(printf '[%.0s' {1..3000})$(printf ']%.0s' {1..3000})
for text in 'x' '[]' '"name"' '{"name": 5}' '{"name": "a", "os": "solaris"}' '{"name": "a", "name": "b"}' '{"name": "a",}' \
        '{"labels": "a=b"}' '{"labels": {"a": 1}}' '{"labels": {"a=b": "c"}}' '{"labels": {"a": "b\nc=d"}}' \
        '{"features": ["cloud-init", 1]}' '{"features": ["other"]}' '{"features": {}}' '{"name": "a\u0000b"}' \
        '{"name": "\u001b[2J"}' '{"name": ""}' '{"name": "../x/y"}' "{\"name\": \"a\", \"x\": $deep}" '{} {}'; do
        expect EINVAL write "$pieces/metadata.json" "$text"
done
same "$(cat "$pieces/metadata.json")" "$before" "after bad ones"
printf '{"name": "%s"}' "$(head -c 70000 /dev/zero | tr '\0' n)" >long.json
fails cp long.json "$pieces/metadata.json"
same "$(cat "$pieces/metadata.json")" "$before" "after a long one"
ok write "$pieces/metadata.json" \
        '{"type": "both", "id": "img-x", "status": "available", "owner": "nobody", "os": "linux", "what": [1]}'
value "$pieces/type" cloud
value "$pieces/os" linux
value "$pieces/name" pieces
value "$pieces/status" queued

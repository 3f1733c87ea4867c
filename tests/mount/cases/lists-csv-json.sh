# SPDX-License-Identifier: MIT
# images.csv and images.json: one row per image that the caller may see.
need jq
start
two_regions
columns=class,directory,id,name,status,type,encrypted,features,os,platform,platform-version,architecture,size,owner,project-group,created
same "$(cat "$R/images.csv")" "$columns" "an empty region"
same "$(jq -c . "$R/images.json")" "[]" "an empty region"

cloud_image web 2M
ok write "$R/private/web/name" 'a "quoted", name'
ok write "$R/private/web/os" linux
ok write "$R/private/web/features" "cloud-init qemu-ga"
ok write "$R/private/web/platform" "Ünï"
ok mkdir "$R/private/queued"
ok write "$R/private/queued/name" "=1+1"
pattern pub.raw 1M 2
import_raw "$R/public/pub" pub.raw
ok mkdir "$R/private/old"
ok upload pub.raw "$R/private/old/upload"
settle "$R/private/old"
ok rmdir "$R/private/old"

same "$(jq length "$R/images.json")" 4 "rows"
row() { jq -r --arg d "$1" ".[] | select(.directory == \$d) | .\"$2\"" "$R/images.json"; }
same "$(row web class)" private "class"
same "$(row web name)" 'a "quoted", name' "name"
same "$(row web id)" "$(cat "$R/private/web/id")" "id"
same "$(row web status)" available "status"
same "$(row web type)" cloud "type"
same "$(row web encrypted)" "$(jq -r '.[] | select(.directory == "queued") | .encrypted' "$R/images.json")" "encrypted"
same "$(row web os)" linux "os"
same "$(row web platform)" "Ünï" "platform"
same "$(row web size)" 2097152 "size"
same "$(row web owner)" "$(id -un)" "owner"
same "$(row web created)" "$(cat "$R/private/web/created")" "created"
same "$(row queued status)" queued "status"
same "$(row pub class)" public "class"
same "$(row old class)" recycle "class"
same "$(row old status)" deleted "status"
same "$(jq -r '.[0] | keys_unsorted | join(",")' "$R/images.json")" "$columns" "keys"

# CSV: the same, quoted as RFC 4180 has it.
same "$(wc -l <"$R/images.csv")" 5 "lines"
same "$(head -n 1 "$R/images.csv" | tr -d '\r')" "$columns" "header"
grep -qF '"a ""quoted"", name"' "$R/images.csv" || fail "no quoting: $(grep web "$R/images.csv")"

# The same content twice, with its true size, also after a remount.
sum=$(cat "$R"/images.* | xxhsum -q -H2 -)
same "$(stat -c %s "$R/images.csv")" "$(wc -c <"$R/images.csv")" "size"
restart
same "$(cat "$R"/images.* | xxhsum -q -H2 -)" "$sum" "content after a remount"

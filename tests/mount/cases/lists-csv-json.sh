# SPDX-License-Identifier: MIT
# images.csv and images.json: one row per image that the caller may see.
need jq python3
start
two_regions
columns=class,directory,id,name,description,labels,status,type,encrypted,features,os,platform,platform-version,architecture,size,owner,project-group,created
same "$(cat "$R/images.csv")" "$columns" "an empty region"
same "$(jq -c . "$R/images.json")" "[]" "an empty region"
same "$(cat "$MNT/images.csv")" "region,$columns" "an empty library"
same "$(jq -c . "$MNT/images.json")" "[]" "an empty library"

cloud_image web 2M
ok write "$R/private/web/name" 'a "quoted", name'
ok write "$R/private/web/os" linux
ok write "$R/private/web/features" "cloud-init qemu-ga"
ok write "$R/private/web/platform" "Ünï"
ok write "$R/private/web/description" $'two\n"lines", and more'
ok write "$R/private/web/labels" $'a=1\nb=2'
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
same "$(row web description)" "$(cat "$R/private/web/description")" "description"
same "$(row web labels)" $'a=1\nb=2' "labels"
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
same "$(wc -l <"$R/images.csv")" 7 "lines, of which two texts have two"
same "$(head -n 1 "$R/images.csv" | tr -d '\r')" "$columns" "header"
grep -qF '"a ""quoted"", name","two' "$R/images.csv" || fail "no quoting: $(grep web "$R/images.csv")"

# Of all regions: the same with the region's name, which may change.
ok mkdir "$R2/private/web"
same "$(jq -r '.[0] | keys_unsorted | join(",")' "$MNT/images.json")" "region,$columns" "keys"
all() { jq -r '.[] | .region + "/" + .class + "/" + .directory' "$MNT/images.json" | paste -sd' '; }
of_r="cn-north-1/private/queued cn-north-1/private/web cn-north-1/public/pub cn-north-1/recycle/old"
same "$(all)" "cn-east-2/private/web $of_r" "rows of all regions"
times=$(stat -c %.Y "$MNT/images.csv")
ok rename "$R2" "$MNT/regions/x"
same "$(all)" "$of_r x/private/web" "after a region was given another name"
[ "$(stat -c %.Y "$MNT/images.csv")" != "$times" ] || fail "the time of the list of all regions stayed"
# Who has a list open is told of that one: no other is made for fstat(2), which says when what is in it changed.
run python3 - "$MNT/images.csv" "$MNT/regions/x/private/more" <<'END'
import os, sys
fd = os.open(sys.argv[1], os.O_RDONLY)
was = os.fstat(fd)
os.mkdir(sys.argv[2])
now = os.fstat(fd)
assert (now.st_size, now.st_mtime_ns) == (was.st_size, was.st_mtime_ns), "another list was made"
assert len(os.read(fd, 1 << 20)) == now.st_size
os.close(fd)
by_name = os.stat(sys.argv[1])
assert by_name.st_size > was.st_size and by_name.st_mtime_ns > was.st_mtime_ns, "it is the old one by its name, too"
END
ok rmdir "$MNT/regions/x/private/more"
ok rmdir "$MNT/regions/x/private/web"
same "$(all)" "$of_r" "without its image"
ok rmdir "$MNT/regions/x"
same "$(all)" "$of_r" "without the region"
for list in "$MNT"/images.*; do
        expect "EPERM|EACCES" unlink "$list"
        expect "EPERM|EACCES" open w "$list"
done

# The same content twice, with its true size, also after a remount.
sum=$(cat "$R"/images.* "$MNT"/images.* | xxhsum -q -H2 -)
for list in "$R"/images.* "$MNT"/images.*; do
        same "$(stat -c %s "$list")" "$(wc -c <"$list")" "size of $list"
done
restart
same "$(cat "$R"/images.* "$MNT"/images.* | xxhsum -q -H2 -)" "$sum" "content after a remount"

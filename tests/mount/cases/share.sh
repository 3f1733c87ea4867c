# SPDX-License-Identifier: MIT
# An image shared with a user: what she gets, what nobody else gets, and how it ends.
. "$lib/users.sh"
A=12001 B=12002 C=12003
users $A $B $C
start -o allow_other
two_regions
pattern disk.raw 3M 5
chmod 644 disk.raw
web=$R/private/web
view=$R/shared/web

upload() { # UID FILE IMAGE TYPE: an image of that user's
        by "$1" ok mkdir "$3"
        by "$1" ok write "$3/type" "$4"
        by "$1" ok upload "$2" "$3/upload"
        settle "$3"
}
upload $A disk.raw "$web" cloud
by $A ok write "$web/description" "a web server"
same "$(ls "$R/shared")" "" "nothing is shared yet"
for uid in $A $B $C; do
        by $uid expect ENOENT stat "$view"
done

# What copies would take is told to who may read the image, also of a selection that another has just asked about.
selected=$R/copy-targets/$(cat "$web/id")
same "$(as $A cat "$selected")" "$(as $A cat "$web/copy-targets")" "A's copy-targets"
by $B expect ENOENT stat "$selected"
by $B expect ENOENT open r "$selected"
by $B expect ENOENT stat "$selected,$(cat "$web/id")"
same "$(cat "$selected")" "$(cat "$web/copy-targets")" "root's copy-targets"
ok mkdir "$R/private/roots"
unchanged EINVAL open r "$selected,$(cat "$R/private/roots/id")" # whose quotas?
[[ $(tail -n 1 "$MNT/info/errors") == *"several users"* ]] || fail "$(tail -n 1 "$MNT/info/errors")"
ok rmdir "$R/private/roots"

# Shared with B: in B's listings only, to read.
by $A ok mkdir "$web/shares/$B"
same "$(as $A ls "$web/shares")" $B "shares/"
value "$web/shares/$B/user" $B
same "$(as $B ls "$R/shared") $(ls "$R/shared")" "web web" "B's and root's listing"
same "$(as $A ls "$R/shared")$(as $C ls "$R/shared")" "" "the others' listings"
same "$(used "$R" shared-images)" 0 "root's quota"
same "$(as $B sed -n 's/^shared-images used=\([0-9]*\) limit=5/\1/p' "$R/quota")" 1 "B's quota"
for file in id name description status type owner created updated size os checksum device-mapping wait; do
        same "$(as $B cat "$view/$file")" "$(cat "$web/$file")" "$file"
done
same "$(as $B cat "$view/source") $(cat "$web/source")" "shared private" "source"
same "$(as $B jq -r .source "$view/metadata.json")" shared "source in metadata.json"
same "$(as $B getfattr --only-values -n user.imagefs.source "$view" 2>/dev/null)" shared "source as an attribute"
same "$(as $B stat -c %s "$view")" "$(stat -c %s disk.raw)" "its directory's size"
cmp <(as $B cat "$view/disks/vda.raw") disk.raw || fail "B cannot read the disk"
as $B cat "$view/disks/vda.qcow2" >copy.qcow2 || fail "B cannot read the qcow2"
same "$(xxh copy.qcow2)" "$(xxh "$web/disks/vda.qcow2")" "the qcow2"
same "$(as $B grep -c "^shared,web,$(cat "$web/id"),web,a web server,,available,cloud," "$R/images.csv")" 1 "B's row"
same "$(as $B grep -c "^cn-north-1,shared,web," "$MNT/images.csv") $(as $C grep -c web "$MNT/images.csv")" "1 0" "rows of all regions"
same "$(as $B jq -r '.[] | .class + "/" + .directory' "$R/images.json")" shared/web "B's object"
same "$(as $A grep -c '^private,web,' "$R/images.csv") $(grep -c '^private,web,' "$R/images.csv")" "1 1" "A's and root's row"
same "$(as $C cat "$R/images.csv" | wc -l)" 1 "C's rows"
as $B tar -cf /dev/null -C "$R" shared || fail "tar by B"
manifest=$(jq -r '.manifests[0].digest | ltrimstr("sha256:")' "$web/oci/index.json")
same "$(as $B sha256sum "$view/oci/blobs/sha256/$manifest")" "$manifest  $view/oci/blobs/sha256/$manifest" "the OCI manifest"
cmp <(as $B cat "$view/oci/index.json") "$web/oci/index.json" || fail "B's index.json is another"

# Closed to all others, the owner included, whatever root and B had looked up.
closed() { # UID
        by "$1" expect EACCES opendir "$view"
        by "$1" expect EACCES opendir "$view/disks"
        by "$1" expect EACCES opendir "$view/instances"
        by "$1" expect EACCES opendir "$view/copies"
        by "$1" expect EACCES stat "$view/status"
        by "$1" expect EACCES stat "$view/disks/vda.raw"
        by "$1" expect EACCES stat "$view/oci/index.json"
        by "$1" expect EACCES opendir "$view/oci/blobs/sha256"
        by "$1" expect EACCES stat "$view/oci/blobs/sha256/$manifest"
        by "$1" expect EACCES open r "$view/oci/blobs/sha256/$manifest"
        by "$1" expect EACCES stat "$view/disks/vdz.raw"
        by "$1" expect EACCES stat "$view/nothing"
        by "$1" expect EACCES open r "$view/status"
        by "$1" expect EACCES open r "$view/disks/vda.raw"
        by "$1" expect EACCES open w "$view/convert"
        by "$1" expect EACCES getxattr user.imagefs.name "$view"
        by "$1" expect EACCES mkdir "$view/instances/mine"
        by "$1" expect EACCES mkdir "$view/shares/$C"
}
for round in cold warm; do
        ls -lR "$R/shared" >/dev/null
        as $B ls -lR "$R/shared" >/dev/null || fail "B's ls ($round)"
        closed $A
        closed $C
        by $B ok opendir "$view/disks"
        by $B expect ok stat "$view/disks/vda.raw"
done

# What B may not: each with its sentence, and nothing changes.
by $B refused EPERM "$view" write "$view/convert" cloud
same "$(as $B cat "$view/last-error" | sentence_alone)" "web: ask $A to convert it and share it again" "the sentence"
by $B refused EPERM "$view" mkdir "$view/copies/cn-east-2"
same "$(as $B cat "$view/last-error" | sentence_alone)" "web is shared with you, and only its owner copies and shares it: ask $A" "the sentence"
by $B refused EPERM "$view" mkdir "$view/shares/$C"
refused EPERM "$view" write "$view/convert" cloud
refused EPERM - rmdir "$view"
refused EPERM - mkdir "$R/shared/other"
for file in name description os labels; do
        by $B unchanged EACCES write "$view/$file" mine
done
by $B unchanged EACCES rename "$view" "$R/private/mine"
by $B unchanged EPERM rename "$view" "$R/shared/mine"
by $B unchanged "EPERM|EACCES" chmod 777 "$view"
by $B unchanged "EPERM|EACCES" chown $B $B "$view"
by $B unchanged "EPERM|EACCES" unlink "$view/name"
by $B unchanged EACCES open w "$view/disks/vda.raw"
by $B unchanged EACCES write "$R/batch" "delete web"
by $B unchanged EACCES write "$R/batch" "copy cn-east-2 web"

# It ends at once for what is opened, listed and looked up from then on; what B has open stays, and so does her place.
mkfifo go
as $B sh -c 'cd "$1/disks" && exec 9<vda.raw && echo in && read -r _ <"$2" && pwd -P && cat <&9' - "$view" "$WORK/go" >out &
reader=$!
until_true 10 grep -q in out || fail "B did not get in"
mkfifo list
"$WORK/bin/fsop.$B" list-later "$view" <list >listed &
lister=$!
exec 8>list
until_true 10 grep -q open listed || fail "B did not open the directory"
by $A ok mkdir "$web/shares/$C"
by $A ok rmdir "$web/shares/$B"
closed $B
echo >&8
exec 8>&-
wait $lister
same "$(tail -n 1 listed)" "EACCES readdir" "the listing that B had opened"
sleep 1.1 # after a second the kernel asks again for what it knows, on behalf of A
same "$(as $B ls "$R/shared")$(as $B grep -c web "$R/images.csv")" 0 "B's listings"
same "$(as $B grep -c web "$MNT/images.csv")" 0 "B's rows of all regions"
same "$(as $B sed -n 's/^shared-images used=\([0-9]*\) limit=5/\1/p' "$R/quota")" 0 "B's quota"
closed $A
echo >go
wait $reader || fail "B's open file"
same "$(sed -n 2p out)" "$view/disks" "B's working directory"
same_disk <(tail -n +3 out) disk.raw

# With the last share the name goes.
by $C ok opendir "$view"
by $A ok rmdir "$web/shares/$C"
by $C expect "EACCES|ENOENT" opendir "$view"
gone() { [ "$("$WORK/bin/fsop.$1" stat "$view")" = "ENOENT lstat" ]; }
until_true 2 gone $C || fail "the name is still there"
until_true 2 gone $B || fail "the name is still there for B"
same "$(as $A ls "$web/shares")" "" "shares/"

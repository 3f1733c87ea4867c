# SPDX-License-Identifier: MIT
# Shares end with the image's being private, and for its new owner. What is open then stays open.
. "$lib/users.sh"
A=12001 B=12002 C=12003
users $A $B $C
start -o allow_other
two_regions
pattern disk.raw 3M 5
chmod 644 disk.raw
view=$R/shared/web
image() { # NAME: an image of A's, shared with B and C
        by $A ok mkdir "$R/private/$1"
        by $A ok upload disk.raw "$R/private/$1/upload"
        settle "$R/private/$1"
        by $A ok mkdir "$R/private/$1/shares/$B"
        by $A ok mkdir "$R/private/$1/shares/$C"
}
shares_of() { as "$1" sed -n 's/^shared-images used=\([0-9]*\) .*/\1/p' "$R/quota"; }
gone() { # UID PATH
        [ "$("$WORK/bin/fsop.$1" stat "$2")" = "ENOENT lstat" ]
}
open_to() {
        [ "$("$WORK/bin/fsop.$1" opendir "$2")" = ok ]
}
mkfifo go
# inside UID DIR: goes there and opens vda.raw; after `echo >go` says how `.` is, and prints the file.
inside() {
        rm -f out # else the word of the reader before is taken for this one's
        as "$1" sh -c 'cd "$1" && exec 9<vda.raw && echo in && read -r _ <"$2" && { ls; echo "ls $?"; } 2>&1 && cat <&9' \
                - "$2" "$WORK/go" >out &
        reader=$!
        until_true 10 grep -q in out || fail "$1 did not get in"
}
outside() { # the answer of ls
        echo >go
        wait $reader || fail "the open file"
        same "$(sed -n 2p out | sed 's/.*: //')" "$1" "the working directory"
        same "$(sed -n 3p out)" "ls 2" "ls of it"
        same_disk <(tail -n +4 out) disk.raw
}

# The last share: the name goes, and what is open stays.
image web
web=$R/private/web
by $A ok rmdir "$web/shares/$C"
inside $B "$view/disks"
by $A ok rmdir "$web/shares/$B"
until_true 2 gone $B "$view" || fail "the name is still there"
outside "Permission denied"
by $A ok mkdir "$web/shares/$B"
by $A ok mkdir "$web/shares/$C"
until_true 2 open_to $B "$view/disks" || fail "B is not let in"

# Again and again, with programs of B's at work in it: the answer to rmdir is the end.
touch busy
for n in 1 2 3; do
        as $B sh -c 'while [ -e "$2" ]; do ls -lR "$1"; cat "$1/disks/vda.raw" "$1/status"; done' - "$view" "$WORK/busy" \
                >/dev/null 2>&1 &
        busy[n]=$!
done
for ((i = 0; i < ${IMAGEFS_TEST_COUNT:-20}; i++)); do
        by $B ok open r "$view/disks/vda.raw"
        by $A ok rmdir "$web/shares/$B"
        by $B expect EACCES open r "$view/disks/vda.raw"
        by $B expect EACCES stat "$view/status"
        by $B expect EACCES opendir "$view"
        same "$(as $B ls "$R/shared")" "" "B's listing"
        by $A ok mkdir "$web/shares/$B"
done
rm busy
wait "${busy[@]}"

# A new name of the image is one in shared/, too.
by $A ok rename "$web" "$R/private/site"
same "$(as $B ls "$R/shared")" site "B's listing"
until_true 2 gone $B "$view" || fail "the old name is still there"
same_disk <(as $B cat "$R/shared/site/disks/vda.raw") disk.raw
by $A ok rename "$R/private/site" "$web"
until_true 2 open_to $B "$view/disks" || fail "B is not let in"

# Deleted: they end, and do not come back with the image.
inside $B "$view/disks"
by $A ok rmdir "$web"
same "$(shares_of $B) $(shares_of $C)$(as $B ls "$R/shared")$(ls "$R/shared")" "0 0" "what is left"
same "$(ls "$R/recycle/web/shares")" "" "shares in the bin"
until_true 2 gone $B "$view" || fail "the name is still there"
outside "Permission denied"
by $A ok rename "$R/recycle/web" "$web"
same "$(ls "$web/shares")$(as $B ls "$R/shared")" "" "shares after the restore"

# Destroyed, what is open is still the file that it was.
by $A ok mkdir "$web/shares/$B"
until_true 2 open_to $B "$view/disks" || fail "B is not let in"
inside $B "$view/disks"
by $A ok rmdir "$web"
by $A ok rmdir "$R/recycle/web"
echo >go
wait $reader || fail "the open file"
same_disk <(tail -n +4 out) disk.raw

# Published: it is everybody's.
image web
ok rename "$web" "$R/public/web"
same "$(shares_of $B) $(shares_of $C)$(ls "$R/shared")$(ls "$R/public/web/shares")" "0 0" "shares after publishing"
same_disk <(as $B cat "$R/public/web/disks/vda.raw") disk.raw

# Handed over to B: B's share ends, C's is now B's to end; A is a stranger.
image app
ok chown $B $B "$R/private/app"
same "$(ls "$R/private/app/shares") $(shares_of $B) $(shares_of $C)" "$C 0 1" "shares after the handover"
same_disk <(as $C cat "$R/shared/app/disks/vda.raw") disk.raw
by $A expect EACCES opendir "$R/shared/app"
by $C refused EPERM - write "$R/shared/app/convert" cloud
same "$(as $C cat "$R/shared/app/last-error" | sentence_alone)" "app: ask $B to convert it and share it again" "whom to ask"
restart -o allow_other
same "$(as $C ls "$R/shared")" app "C's listing after a remount"
by $B ok rmdir "$R/private/app/shares/$C"
by $C expect "EACCES|ENOENT" opendir "$R/shared/app"

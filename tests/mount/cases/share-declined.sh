# SPDX-License-Identifier: MIT
# Who was given what she does not want gives it back, and makes room; whoever else has it is not disturbed.
. "$lib/users.sh"
A=12001 B=12002 C=12003 D=12004
users $A $B $C $D
start -o allow_other
two_regions
ok write "$R/quota" "$A private-images limit=20"
pattern disk.raw 1M 5
chmod 644 disk.raw
image() { # NAME: an image of A's
        by $A ok mkdir "$R/private/$1"
        by $A ok upload disk.raw "$R/private/$1/upload"
        settle "$R/private/$1"
}
for i in 1 2 3 4 5 6; do image "i$i"; done

# Filled up by somebody else: B makes room, and has what she wants.
for i in 1 2 3 4 5; do by $A ok mkdir "$R/private/i$i/shares/$B"; done
by $A refused EDQUOT "$R/private/i6" mkdir "$R/private/i6/shares/$B"
by $B ok mkdir "$R/shared/i2/instances/vm"
for i in 1 2; do by $B ok rmdir "$R/shared/i$i"; done
by $A ok mkdir "$R/private/i6/shares/$B"
same "$(as $B ls "$R/shared" | tr '\n' ' ')" "i3 i4 i5 i6 " "what B has"
same "$(as $B sed -n 's/^shared-images //p' "$R/quota")" "used=4 limit=5" "what counts"
same "$(ls "$R/private/i1/shares")$(ls "$R/private/i2/shares")" "" "shares of what was given back"
by $B expect "EACCES|ENOENT" opendir "$R/shared/i1"
same_disk <(as $B cat "$R/instances/vm/disks/vda.raw") disk.raw
by $A ok rmdir "$R/private/i2" # which her machine does not keep

# Not hers, or not there.
by $D refused EACCES - rmdir "$R/shared/i3"
by $B expect ENOENT rmdir "$R/shared/i1"
by $A refused EACCES - rmdir "$R/shared/i3"
refused EPERM - rmdir "$R/shared/i3"
by $B refused EPERM - mkdir "$R/shared/mine"
by $B expect EPERM rename "$R/shared/i3" "$R/shared/mine"
same "$(as $B ls "$R/shared" | tr '\n' ' ')" "i3 i4 i5 i6 " "what B has"

# Others who have it go on in it: names, working directory, open files; again and again.
by $A ok mkdir "$R/private/i3/shares/$C"
mkfifo go came
as $C bash -c 'cd "$1" && exec 9<disks/vda.raw && while read -r _; do cat status && ls >/dev/null && stat -c %i . && ls instances && cmp - disks/vda.raw <&9 >/dev/null; echo $?; exec 9<disks/vda.raw; done' \
        - "$R/shared/i3" <go >came 2>&1 &
reader=$!
exec 7>go 8<came
there() { # C, from where she is
        local status ino result
        echo >&7
        read -r -t 10 status <&8 && read -r -t 10 ino <&8 && read -r -t 10 result <&8
        same "$status $ino $result" "available $(stat -c %i "$R/shared/i3") 0" "C in her directory $1"
}
there "at first"
for ((i = 0; i < ${IMAGEFS_TEST_COUNT:-20}; i++)); do
        by $B ok open r "$R/shared/i3/disks/vda.raw"
        by $B ok rmdir "$R/shared/i3"
        there "in round $i"
        by $B expect EACCES opendir "$R/shared/i3"
        by $B expect EACCES open r "$R/shared/i3/disks/vda.raw"
        by $C ok open r "$R/shared/i3/disks/vda.raw"
        by $C ok opendir "$R/shared/i3/instances"
        by $A ok mkdir "$R/private/i3/shares/$B"
        by $B ok opendir "$R/shared/i3"
done
exec 7>&- 8<&-
wait $reader

# Many at once, of several images, and the owner in between.
for i in 3 4 5; do
        (for ((k = 0; k < 20; k++)); do
                "$WORK/bin/fsop.$B" rmdir "$R/shared/i$i" >>got
                "$WORK/bin/fsop.$A" mkdir "$R/private/i$i/shares/$B" >>got
        done) &
        pids[i]=$!
done
wait "${pids[@]}"
same "$(sort got | uniq -c | tr -s ' ')" " 120 ok" "what came of it"
restart -o allow_other
same "$(as $B ls "$R/shared" | tr '\n' ' ')" "i3 i4 i5 i6 " "what B has after a remount"
same "$(as $B sed -n 's/^shared-images //p' "$R/quota")" "used=4 limit=5" "what counts"

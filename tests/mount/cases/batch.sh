# SPDX-License-Identifier: MIT
# Several at once: all accepted, or none.
start
two_regions
raise_limits
for i in 1 2 3 4 5 6; do
        cloud_image "i$i" 1M "$i"
done
local_image lo 1M 9
batch=$R/batch
same "$(wc -c <"$batch")" 0 "batch reads as empty"

refused E2BIG - write "$batch" "copy cn-east-2 i1 i2 i3 i4 i5 i6"
refused E2BIG - write "$batch" "delete i1 i2 i3 i4 i5 i6"
refused EOPNOTSUPP - write "$batch" "copy cn-east-2 i1 lo"
refused ENOENT - write "$batch" "copy cn-east-2 i1 nothing"
refused ENOENT - write "$batch" "copy nowhere i1"
refused EINVAL - write "$batch" "copy cn-north-1 i1"
refused EINVAL - write "$batch" "copy cn-east-2"
refused EINVAL - write "$batch" "copy"
refused EINVAL - write "$batch" "delete"
refused EINVAL - write "$batch" "burn i1"
refused EINVAL - write "$batch" $'\n'
refused EINVAL - write "$batch" $'delete i1\ndelete i2'
refused ENOENT - write "$batch" "delete i1 nothing"
ok write "$R2/quota" "snapshots limit=1"
refused EDQUOT - write "$batch" "copy cn-east-2 i1 i2"
# What all of them need together, and what there is without them.
[[ $(tail -n 1 "$MNT/info/errors") == *"cn-east-2 has 0 of 1 snapshot for $(id -un), and this needs 2: have the limit raised" ]] ||
        fail "$(tail -n 1 "$MNT/info/errors")"
ok write "$R2/quota" "snapshots limit=50"
same "$(ls "$R2/private")" "" "nothing was copied"

# What that would take, of the selection together.
ids() { for i; do cat "$R/private/$i/id"; done | paste -sd,; }
targets=$R/copy-targets
same "$(ls "$R" | grep -c targets)$(ls -A "$targets")" 0 "what is not listed"
same "$(cat "$targets/$(ids i1)")" "$(cat "$R/private/i1/copy-targets")" "of one image"
same "$(cat "$targets/$(ids i1 i2 i3 i4 i5)")" \
        "cn-east-2 private-images=0/1000 snapshots=0/50 needs-snapshots=5 bytes-to-move=0" "of five"
same "$(stat -c %s "$targets/$(ids i1 i2)")" "$(wc -c <"$targets/$(ids i1 i2)")" "size"
same "$(cat "$targets/$(ids i1 lo)")" "" "with one that can never be copied"
unchanged E2BIG stat "$targets/$(ids i1 i2 i3 i4 i5 i6)"
[[ $(tail -n 1 "$MNT/info/errors") == *"6 images at once: at most 5"* ]] || fail "$(tail -n 1 "$MNT/info/errors")"
unchanged EINVAL open r "$targets/$(ids i1 i2 i1)"
[[ $(tail -n 1 "$MNT/info/errors") == *"named twice"* ]] || fail "$(tail -n 1 "$MNT/info/errors")"
for name in i1 "$(ids i1)," ",$(ids i1)" img-nothing "$(ids i1),i2" "$(ids i1),,$(ids i2)"; do
        expect ENOENT stat "$targets/$name"
        expect ENOENT stat "$R2/copy-targets/$name"
done
expect ENOENT open r "$R2/copy-targets/$(ids i1)" # of another region
refused EPERM - mkdir "$targets/x"
# Many are asked for, few are kept: one that was forgotten is asked for again.
exec 5<"$targets/$(ids i1 i2)"
for a in 1 2 3 4 5 6; do
        for b in 1 2 3 4 5 6; do
                [ $a = $b ] || same "$(sed 's/.*needs-snapshots=\([0-9]*\) .*/\1/' "$targets/$(ids i$a i$b)")" 2 "of i$a and i$b"
        done
done
read -r line <&5
exec 5<&-
same "$(cat "$targets/$(ids i1 i2)")" "$line" "the first again"

echo "copy cn-east-2 i1 i2 i3" >"$batch" || fail "batch"
for i in 1 2 3; do
        settle "$R2/private/i$i"
        same_disk "$R2/private/i$i/disks/vda.raw" "i$i.raw"
        value "$R/private/i$i/copies/cn-east-2/status" "done"
done
# By id too, and with blanks as in a shell.
ok write "$batch" "copy cn-east-2 $(cat "$R/private/i4/id")"
settle "$R2/private/i4"

refused EEXIST - write "$batch" "copy cn-east-2 i5 i1"
expect ENOENT stat "$R2/private/i5"

ok write "$batch" "delete i1 i2 lo"
same "$(ls "$R/recycle")" $'i1\ni2\nlo' "the bin"
same "$(ls "$R/private")" $'i3\ni4\ni5\ni6' "private"

for name in "with a blank" "it's" 'a "b" \c' 'x\y'; do ok mkdir "$R/private/$name"; done
refused EINVAL - write "$batch" "delete 'with a blank"
refused EINVAL - write "$batch" 'delete i3 with\ a\ blank\'
refused EINVAL - write "$batch" 'delete "with a blank\"'
refused ENOENT - write "$batch" "delete with a blank"
refused ENOENT - write "$batch" "delete ''"
[[ $(tail -n 1 "$MNT/info/errors") == *"there is no image  in private" ]] || fail "$(tail -n 1 "$MNT/info/errors")"
ok write "$batch" "delete 'with a blank' it\\'s \"a \\\"b\\\" \\\\c\" 'x\\y' i\"3\""
same "$(ls "$R/private")" $'i4\ni5\ni6' "private"
same "$(ls "$R/recycle")" $'i1\ni2\ni3\nlo' "the bin"


# SPDX-License-Identifier: MIT
# A flipped byte in the store: EIO with a sentence, never wrong bytes; check finds it; the other images are not harmed.
start
two_regions
pattern one.raw 4M 101
pattern two.raw 4M 202
import_raw "$R/private/one" one.raw
import_raw "$R/private/two" two.raw
stop
check_store

# In the middle of the largest segment.
segment=$(find "$STORE" -name '*.seg' -printf '%s %p\n' | sort -n | tail -n 1 | cut -d ' ' -f 2-)
[ -n "$segment" ] || fail "no segment file"
at=$(($(stat -c %s "$segment") / 4))
byte=$(od -An -tu1 -j $at -N 1 "$segment")
printf "\\x$(printf %02x $((byte ^ 255)))" | dd of="$segment" bs=1 seek=$at conv=notrunc status=none
same "$(od -An -tu1 -j $at -N 1 "$segment" | tr -d ' ')" $((byte ^ 255)) "the damage"

fails "$IMAGEFS" check --read-data "$STORE"
"$IMAGEFS" check --read-data "$STORE" >found 2>&1
same $? 4 "check's status"
grep -q one found || fail "check does not name the image: $(cat found)"

start
bad=0
for name in one two; do
        if cat "$R/private/$name/disks/vda.raw" >out.raw 2>err; then
                same_disk out.raw "$name.raw"
        else
                grep -q "Input/output error" err || fail "$(cat err)"
                bad=$((bad + 1))
                size=$(stat -c %s out.raw)
                cmp -n "$size" out.raw "$name.raw" || fail "wrong bytes before the error"
                [[ $(cat "$R/private/$name/last-error") == *' '* ]] || fail "no sentence about the damage"
        fi
done
same "$bad" 1 "images with an error"
ok write "$R/private/two/description" "still here"
pattern three.raw 1M 303
import_raw "$R/private/three" three.raw
NO_CHECK="the store was damaged on purpose"

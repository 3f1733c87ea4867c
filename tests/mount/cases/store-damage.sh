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
                ok stat "$R/private/$name/oci/index.json"
        else
                grep -q "Input/output error" err || fail "$(cat err)"
                bad=$((bad + 1))
                size=$(stat -c %s out.raw)
                cmp -n "$size" out.raw "$name.raw" || fail "wrong bytes before the error"
                [[ $(cat "$R/private/$name/last-error") == *' '* ]] || fail "no sentence about the damage"
                expect EIO stat "$R/private/$name/oci/index.json"
                [[ $(cat "$R/private/$name/last-error") == *"stored data of $name is damaged: "* ]] ||
                        fail "$(cat "$R/private/$name/last-error")"
        fi
done
same "$bad" 1 "images with an error"
ok write "$R/private/two/description" "still here"
pattern three.raw 1M 303
import_raw "$R/private/three" three.raw
NO_CHECK="the store was damaged on purpose"

# The file that names the store: without it, or damaged anywhere, nothing is opened, nothing is given back, and a sentence
# says what is the matter. With it again everything is there.
stop
cp "$STORE/blobs/format" format
files() { (cd "$STORE/blobs" && find . -type f ! -name lock ! -name format -exec sha256sum {} + | sort); }
files >before
for at in 3 19 20 23 40 65 gone; do
        if [ $at = gone ]; then
                rm "$STORE/blobs/format"
                says="there is no blob store"
        else
                byte=$(od -An -tu1 -j $at -N 1 format)
                printf "\\x$(printf %02x $((byte ^ 1)))" | dd of="$STORE/blobs/format" bs=1 seek=$at conv=notrunc status=none
                says="the blob store is damaged: restore it from a copy"
        fi
        start
        grep -q "$says" "$MNT/info/health" || fail "format damaged at $at: $(cat "$MNT/info/health")"
        expect EIO read 0 10 "$R/private/three/disks/vda.raw"
        [[ $(cat "$R/private/three/last-error") == *"$says"* ]] || fail "$(cat "$R/private/three/last-error")"
        ok rmdir "$R/private/three"
        ok rename "$R/recycle/three" "$R/private/three"
        stop
        "$IMAGEFS" check "$STORE" >found 2>&1
        same $? 4 "check's status"
        files >after
        run cmp before after
        cp format "$STORE/blobs/format"
done
start
same_disk "$R/private/three/disks/vda.raw" three.raw

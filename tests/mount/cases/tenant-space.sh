# SPDX-License-Identifier: MIT
# Space is used again, and what was in it is not: what one tenant wrote in every way there is, and removed, is in nothing
# that another reads: holes, grown disks, blocks written in part, what was truncated, punched, or never written.
need_root "several users"
need setpriv fallocate python3
chmod 755 "$WORK"
A=12001 B=12002
as() { # UID COMMAND …
        PATH=/usr/bin:/bin setpriv --reuid "$1" --regid "$1" --clear-groups "${@:2}"
}
try() { # UID COMMAND …
        as "$@" 2>"$WORK/err" || fail "${*:2}: $(tail -n 2 "$WORK/err")"
}
stored() { keyed "$MNT/info/store" chunks; }
nothing_stored() { [ "$(stored)" = 0 ] && [ -z "$(find "$STORE/blobs/incoming" "$STORE/blobs/disks" -type f)" ]; }
start -o allow_other
two_regions

# Bytes that no compression hides, with a word in every 512 of them.
python3 - <<'END'
import os
with open("secret.raw", "wb") as f:
    for i in range(8192):
        f.write(b"zqx-secret" + os.urandom(502))
END
chmod 644 secret.raw
same "$(grep -c zqx-secret -a secret.raw | awk '{ print ($1 > 1000) }')" 1 "the secret"

# ---- A: an image, a cloud image, an upload that is given up, a disk, a machine's disk, a snapshot of it ----

try $A mkdir "$R/private/a1" "$R/private/a2" "$R/private/a3" "$R/disks/a4"
try $A sh -c "echo local >'$R/private/a1/type' && cat secret.raw >'$R/private/a1/upload'"
try $A sh -c "cat secret.raw >'$R/private/a2/upload'"
settle "$R/private/a1"
settle "$R/private/a2"
coproc UPLOAD { as $A sh -c "exec 3>'$R/private/a3/upload'; cat secret.raw >&3; echo written; read -r x"; }
upload_pid=$UPLOAD_PID
read -r -t 30 answer <&"${UPLOAD[0]}"
same "$answer" written "the upload"
try $A rmdir "$R/private/a3"
echo end >&"${UPLOAD[1]}"
wait "$upload_pid"
try $A sh -c "echo 8M >'$R/disks/a4/size'"
try $A dd if=secret.raw of="$R/disks/a4/data.raw" bs=64K conv=notrunc,fsync
try $A mkdir "$R/private/a1/instances/a5"
try $A truncate -s 12M "$R/instances/a5/disks/vda.raw"
try $A dd if=secret.raw of="$R/instances/a5/disks/vda.raw" bs=64K seek=100 conv=notrunc,fsync
try $A mkdir "$R/instances/a5/images/a6"
settle "$R/private/a6"
[ "$(stored)" -gt 0 ] || fail "nothing was stored"
try $A rmdir "$R/instances/a5" "$R/disks/a4" "$R/private/a1" "$R/private/a2" "$R/private/a6"
try $A rmdir "$R/recycle/a1" "$R/recycle/a2" "$R/recycle/a6"
same "$(ls "$R/snapshots")" "" "snapshots"
until_true 20 nothing_stored || fail "$(stored) chunks are left, and $(find "$STORE/blobs" -type f | head -n 20)"

# ---- B: everything is done to a plain file as well, and must read the same ----

alike() { # DISK FILE
        cmp "$1" "$2" || fail "$1 is not what was written to it"
        grep -qa zqx-secret "$1" && fail "$1 holds another's bytes"
        return 0
}
# pieces DISK FILE: parts of blocks, across blocks, what is punched and zeroed, mapped, at the very end.
pieces() {
        local target size
        size=$(stat -c %s "$1")
        for target in "$1" "$2"; do
                {
                        printf B | dd of="$target" bs=1 seek=5000 conv=notrunc
                        printf 'BB' | dd of="$target" bs=1 seek=$((3 * 4096 - 1)) conv=notrunc
                        head -c 6000 /dev/zero | tr '\0' B | dd of="$target" bs=6000 seek=7 conv=notrunc
                        head -c 40000 /dev/zero | tr '\0' C | dd of="$target" bs=40000 seek=3 conv=notrunc
                        fallocate -p -o 130000 -l 9000 "$target"
                        fallocate -z -o 150001 -l 5 "$target"
                        "$WORK/fsop" mmap-put 300000 "$target" DDD
                        printf E | dd of="$target" bs=1 seek=$((size - 1)) conv=notrunc,fsync
                } >"$WORK/out" 2>&1 || fail "pieces of $target: $(tail -n 3 "$WORK/out")"
        done
        alike "$1" "$2"
}
cp "$FSOP" fsop
try $B mkdir "$R/disks/b1"
try $B sh -c "echo 8M >'$R/disks/b1/size'"
disk=$R/disks/b1/data.raw
truncate -s 8M b1.raw
alike "$disk" b1.raw
pieces "$disk" b1.raw
try $B truncate -s 12M "$disk"
truncate -s 12M b1.raw
alike "$disk" b1.raw
pieces "$disk" b1.raw

# An upload that is truncated and goes on further behind; its last block is not a whole one.
cat >again.py <<'END'
import os, sys
f = os.open(sys.argv[1], os.O_WRONLY | os.O_CREAT)
os.pwrite(f, b"F" * 900000, 0)
os.ftruncate(f, 0)
os.pwrite(f, b"G" * 100, 3000000)
os.ftruncate(f, 2000000)
os.ftruncate(f, 4000000)
os.pwrite(f, b"H" * 1001, 4000000)
os.close(f)
END
try $B mkdir "$R/private/b2"
try $B sh -c "echo raw >'$R/private/b2/format'; echo local >'$R/private/b2/type'"
try $B python3 again.py "$R/private/b2/upload"
python3 again.py b2.raw
settle "$R/private/b2"
alike "$R/private/b2/disks/vda.raw" b2.raw

# A machine of it, whose disk grows: its first block beyond the image is one that the image's last bytes are in.
try $B mkdir "$R/private/b2/instances/b3"
disk=$R/instances/b3/disks/vda.raw
cp b2.raw b3.raw
alike "$disk" b3.raw
for target in "$disk" b3.raw; do
        run truncate -s 6000001 "$target"
        printf I | dd of="$target" bs=1 seek=4010000 conv=notrunc 2>err || fail "$(cat err)"
done
alike "$disk" b3.raw
pieces "$disk" b3.raw
try $B mkdir "$R/instances/b3/images/b4" # what was made of the parts
settle "$R/private/b4"
alike "$R/private/b4/disks/vda.raw" b3.raw
try $B mkdir "$R/disks/b1/snapshots/b5"
until_true 20 grep -q available "$R/snapshots/b5/status" || fail "no snapshot"
alike "$R/snapshots/b5/data.raw" b1.raw

# Nor in any file, in any other form, that she can read.
as $B find "$MNT" -type f ! -name wait -print0 | as $B xargs -0 grep -la zqx-secret -- >found 2>/dev/null
same "$(cat found)" "" "files with another's bytes"

# Both at once: what is read into a buffer for the one is not what the other is given.
try $A mkdir "$R/private/a7"
try $A sh -c "echo local >'$R/private/a7/type' && cat secret.raw >'$R/private/a7/upload'"
settle "$R/private/a7"
for uid in $A $B; do
        image=$R/private/a7 want=secret.raw
        [ "$uid" = $A ] || { image=$R/private/b2 want=b2.raw; }
        for i in 1 2 3 4 5; do
                as $uid dd if="$image/disks/vda.raw" bs=5000 iflag=direct 2>/dev/null | cmp - "$want" || exit 1
                as $uid cat "$image/disks/vda.qcow2" | sha256sum >&2
        done 2>"sums.$uid" &
        readers+=" $!"
done
for pid in $readers; do wait "$pid" || fail "a reader got other bytes"; done
same "$(sort -u sums.$A | wc -l) $(sort -u sums.$B | wc -l)" "1 1" "what the qcow2 files read as"

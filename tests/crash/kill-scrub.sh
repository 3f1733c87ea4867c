# SPDX-License-Identifier: MIT
# A scrub that heals is killed at its n-th call, or that fails: what is damaged is found and healed by the next one, and
# nothing else has become another. IMAGEFS_KILLS of them, and as many errors.
# time limit: 200
need strace python3
kills=${IMAGEFS_KILLS:-5}
calls=pwrite64,pwritev,fsync,fdatasync,rename,renameat,renameat2,unlink,unlinkat,ftruncate,fallocate,copy_file_range
. "$lib/crash.sh"
start -o tidy=0
two_regions
mkdir other
ok write "$R2/store" "$WORK/other"
cloud_image one 4M
cloud_image two 3M 7
ok mkdir "$R/private/one/copies/cn-east-2"
settle "$R2/private/one"
stop
run "$IMAGEFS" scrub "$STORE" >/dev/null
segment=$(find "$STORE" -name '*.seg' -printf '%s %p\n' | sort -n | tail -n 1 | cut -d ' ' -f 2-)
cp -a "$STORE" whole

# damaged: the library as it was, but for some bytes.
damaged() {
        rm -rf "$STORE"
        cp -a whole "$STORE"
        python3 - "$segment" "$1" <<'END' || fail "no damage"
import random, sys
rng = random.Random(int(sys.argv[2]))
with open(sys.argv[1], "r+b") as f:
    for at in (200000, 700000, 900000 + rng.randrange(100000)):
        f.seek(at)
        byte = f.read(1)
        f.seek(at)
        f.write(bytes([byte[0] ^ 255]))
END
}
scrub_under() { # STRACE-OPTION…
        { strace -f -qq -o trace -e trace="$calls" "$@" "$IMAGEFS" scrub "$STORE" >said 2>&1; } 2>/dev/null
}

damaged 0
scrub_under
same $? 1 "a scrub that heals, which says $(cat said)"
most=$(awk '{ n[$1]++ } END { for (p in n) if (n[p] > max) max = n[p]; print max + 0 }' trace)
step=$(((most + kills - 1) / kills))
met=0
for ((i = 0; i < 2 * kills; i++)); do
        what=signal=SIGKILL
        [ $((i % 2)) = 0 ] || what=error=EIO
        n=$((1 + i / 2 * step + RANDOM % step))
        damaged $((IMAGEFS_SEED + i))
        scrub_under -e inject="$calls:$what:when=$n"
        r=$?
        if grep -qE 'INJECTED|killed by SIGKILL' trace; then
                met=$((met + 1))
        fi
        "$IMAGEFS" scrub "$STORE" >said 2>&1
        [ $? -le $((r != 0)) ] || fail "$what at $n: the next scrub says $(cat said)"
        "$IMAGEFS" scrub "$STORE" >said 2>&1 || fail "$what at $n: it did not heal: $(cat said)"
        check_store
        start -o tidy=0
        value "$MNT/info/health" ok
        same_disk "$R/private/one/disks/vda.raw" one.raw
        same_disk "$R/private/two/disks/vda.raw" two.raw
        same_disk "$R2/private/one/disks/vda.raw" one.raw
        stop
done
echo "note: $met kills and errors at one of $most calls of a scrub that heals"
[ "$met" -gt 0 ] || fail "nothing befell it"

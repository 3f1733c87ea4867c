# SPDX-License-Identifier: MIT
# Files made to do harm, and good ones with bytes changed: none opens any file but itself, hangs, takes much memory, or leaves
# anything behind. IMAGEFS_TEST_COUNT says how many are changed, IMAGEFS_TEST_SEED how; tests/unit/test_mutations.c does it for
# more of them, without a mount.
# time limit: 600
need qemu-img strace gzip tar
start
two_regions
raise_limits
RANDOM=${IMAGEFS_TEST_SEED:=$$}
echo "IMAGEFS_TEST_SEED=$IMAGEFS_TEST_SEED"

printf 'the secret of another file %.0s' {1..2000} >secret.raw
chmod 0644 secret.raw
pattern disk.raw 2M 61
strace -f -q -o trace -e trace="$("$lib/opened-by-children" --calls)" -p "$daemon_pid" 2>strace.err &
strace_pid=$!
until_true 5 _traced || skip "strace cannot attach: $(tail -n 1 strace.err)"

n=0
# import FILE [STATUS]: within ten seconds it is refused, or also taken where STATUS is not given.
import() {
        n=$((n + 1))
        image=$R/private/h$n
        ok mkdir "$image"
        "$FSOP" upload "$1" "$image/upload" >/dev/null
        timeout 20 cat "$image/wait" >/dev/null 2>&1
        [ $? -lt 124 ] || fail "$1 hangs"
        case $(cat "$image/status") in
        error) [[ $(cat "$image/error") == *' '* ]] || fail "$1: refused without a reason" ;;
        available) [ -z "${2:-}" ] || fail "$1 was taken" ;;
        *) fail "$1 is $(cat "$image/status")" ;;
        esac
        if grep -qF "secret of another" "$image"/disks/* 2>/dev/null; then
                fail "$1 shows bytes of another file"
        fi
        timeout 30 cat "$image/packages" "$image/partitions/table" >/dev/null 2>&1 # who asks for them is told, or why not
        [ $? -lt 124 ] || fail "$1 hangs who looks into it"
        ok rmdir "$image"
        ok rmdir "$R/recycle/h$n"
        for snapshot in "$R"/snapshots/*/; do
                [ ! -d "$snapshot" ] || ok rmdir "${snapshot%/}"
        done
}

# Other files, by every way to name one.
for backing in "$WORK/secret.raw" "json:{\"driver\":\"file\",\"filename\":\"$WORK/secret.raw\"}" "nbd://127.0.0.1:1"; do
        qemu-img create -q -u -f qcow2 -b "$backing" -F raw evil.qcow2 1M
        import evil.qcow2 refused
done
qemu-img create -q -u -f vmdk -b "$WORK/secret.raw" evil.vmdk 1M 2>/dev/null && import evil.vmdk refused
cat >evil.vmdk <<VMDK
# Disk DescriptorFile
version=1
CID=12345678
parentCID=ffffffff
createType="monolithicFlat"
RW 64 FLAT "$WORK/secret.raw" 0
VMDK
import evil.vmdk refused
truncate -s 64K evil.vmdk
import evil.vmdk refused
qemu-img convert -O vmdk disk.raw good.vmdk
cp good.vmdk evil.vmdk
printf '\0\0\0\0\0\0\0\0' | dd of=evil.vmdk bs=1 seek=12 conv=notrunc status=none # the description is all there is
printf '# Disk DescriptorFile\nversion=1\nCID=1\nparentCID=ffffffff\ncreateType="monolithicFlat"\nRW 64 FLAT "%s" 0\n\0' \
        "$WORK/secret.raw" | dd of=evil.vmdk bs=512 seek=1 conv=notrunc status=none
import evil.vmdk refused
ln -s "$WORK/secret.raw" m-disk.vmdk
printf '<E><File id="f" href="m-disk.vmdk"/><Disk fileRef="f"/></E>' >m.ovf
tar --format=ustar -cf evil.ova m.ovf m-disk.vmdk
import evil.ova refused
printf '<!DOCTYPE e [<!ENTITY s SYSTEM "%s">]><E>&s;<File id="f" href="m-disk.vmdk"/></E>' "$WORK/secret.raw" >m.ovf
tar --format=ustar -cf evil.ova m.ovf m-disk.vmdk
import evil.ova refused

# Good files with bytes changed.
qemu-img convert -O qcow2 -c disk.raw good.qcow2
qemu-img convert -O vmdk -o subformat=streamOptimized disk.raw good.stream
qemu-img convert -O vpc disk.raw good.vhd
qemu-img convert -O vdi disk.raw good.vdi
qemu-img convert -O vhdx -o block_size=1M disk.raw good.vhdx
gzip -c disk.raw >good.gz
rm m-disk.vmdk
cp good.stream m-disk.vmdk
printf '<E><File id="f" href="m-disk.vmdk"/><Disk fileRef="f"/></E>' >m.ovf
tar --format=ustar -cf good.ova m.ovf m-disk.vmdk
if command -v mke2fs >/dev/null; then
        mkdir -p root/etc root/var/lib/dpkg
        printf 'ID=debian\n' >root/etc/os-release
        printf 'Package: p\nStatus: install ok installed\nVersion: 1\nArchitecture: all\n' >root/var/lib/dpkg/status
        truncate -s 256K good.ext
        run mke2fs -q -F -b 1024 -N 32 -O ^metadata_csum -d root good.ext
fi
goods=(good.*)
for ((i = 0; i < ${IMAGEFS_TEST_COUNT:-25}; i++)); do
        cp "${goods[i % ${#goods[@]}]}" mutant
        size=$(stat -c %s mutant)
        for ((j = RANDOM % 8; j >= 0; j--)); do
                span=$((RANDOM % 3 ? (size < 4096 ? size : 4096) : size))
                printf "\\x$(printf %02x $((RANDOM % 256)))" |
                        dd of=mutant bs=1 seek=$(((RANDOM * 32768 + RANDOM) % span)) conv=notrunc status=none
        done
        import mutant
done

kill "$strace_pid"
wait "$strace_pid" 2>/dev/null

"$lib/opened-by-children" trace >opened
case $? in
0) ;;
1) fail "a child opened other files: $(head -n 5 opened)" ;;
*) fail "the trace shows no child" ;;
esac
# The daemon itself looks up who a user is, for its log.
ls "/proc/$daemon_pid/task" >threads
if grep -E 'secret\.raw|/etc/passwd' trace |
        awk 'NR == FNR { own[$1] = 1; next } !($1 in own && /"\/etc\/passwd"/)' threads - | grep .; then
        fail "somebody tried another file"
fi
peak=$(awk '/^VmHWM:/ { print $2 }' "/proc/$daemon_pid/status")
echo "note: $n files, the daemon took $((peak / 1024)) MiB at most"
[ "$peak" -lt $((300 * 1024)) ] || fail "$peak KiB of memory"
nothing_incoming
same "$(pgrep -f 'qemu-nbd.*read-only' -P "$daemon_pid"; pgrep -f 'imagefs-(unpack|judge)' -P "$daemon_pid")" "" "children left"

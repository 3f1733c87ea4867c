# SPDX-License-Identifier: MIT
# Files that are not accepted: the errno at close(), status error with a sentence, and never a byte of another file.
need qemu-img
start
two_regions
raise_limits
pattern disk.raw 2M 31
printf 'the secret of another file %.0s' {1..2000} >secret.raw

n=0
# bad FILE [FORMAT]: refused at close(), since its header shows it.
bad() {
        n=$((n + 1))
        bad_image=$R/private/bad$n
        ok mkdir "$bad_image"
        [ -z "${2:-}" ] || ok write "$bad_image/format" "$2"
        expect "EINVAL close" upload "$1" "$bad_image/upload"
        refused_image
}
# Not available, with a sentence in `error`, and nothing of it left in disks or snapshots.
refused_image() {
        settle "$bad_image" error
        [[ $(cat "$bad_image/error") == *' '* ]] || fail "no sentence in error"
        same "$(ls "$bad_image/snapshots")" "" "no snapshot is left"
        same "$(used "$R" snapshots)" 0 "no snapshot is charged"
        if grep -rqF "secret of another" "$bad_image"; then
                fail "bytes of another file"
        fi
        fails cat "$bad_image/wait"
}

run qemu-img create -q -f qcow2 -b "$WORK/secret.raw" -F raw backing.qcow2
bad backing.qcow2
qemu-img create -q -u -f qcow2 -b nbd://127.0.0.1:1 -F raw remote.qcow2 1M
bad remote.qcow2
run qemu-img create -q -f qcow2 -o data_file=secret.raw,data_file_raw=on data.qcow2 1M
bad data.qcow2
run qemu-img create -q -u -f qcow2 -b 'json:{"driver":"file","filename":"/etc/passwd"}' -F raw json.qcow2 1M
bad json.qcow2

run qemu-img convert -O qcow2 disk.raw good.qcow2
patched() { # NAME OFFSET HEX
        cp good.qcow2 "$1"
        printf "$(sed 's/../\\x&/g' <<<"$3")" | dd of="$1" bs=1 seek="$2" conv=notrunc status=none
}
patched unknown.qcow2 72 8000000000000000 # an incompatible feature of the future
bad unknown.qcow2
patched corrupt.qcow2 72 0000000000000002
bad corrupt.qcow2
patched version.qcow2 4 00000009
bad version.qcow2
patched huge.qcow2 24 7fffffffffffffff # virtual size
bad huge.qcow2
patched l1.qcow2 36 7fffffff # entries of the first table
bad l1.qcow2
patched l1off.qcow2 40 00ffffffffff0000 # its place
bad l1off.qcow2
patched cluster.qcow2 20 00000040
bad cluster.qcow2
patched snapshots.qcow2 60 0000ffff # a list that takes qemu minutes to read
bad snapshots.qcow2
patched comp.qcow2 104 07
if [ "$(od -An -tx1 -j 100 -N 4 comp.qcow2 | tr -d ' ')" = 00000070 ]; then
        bad comp.qcow2
fi
head -c 20 good.qcow2 >short.qcow2
bad short.qcow2 qcow2
head -c 70 good.qcow2 >short.qcow2
bad short.qcow2

# Cut off in the data: found while it is read, at the latest.
size=$(stat -c %s good.qcow2)
for keep in $((size / 2)) $((size - 70000)); do
        head -c "$keep" good.qcow2 >cut.qcow2
        n=$((n + 1))
        bad_image=$R/private/bad$n
        ok mkdir "$bad_image"
        "$FSOP" upload cut.qcow2 "$bad_image/upload" >/dev/null
        refused_image
done

# What the content says must agree with `format`; raw agrees with what is no other format.
bad disk.raw qcow2
bad good.qcow2 raw
value "$bad_image/error" "the format is set to raw, but this is a file of format qcow2: set format to auto or qcow2"

# What is known and no disk is refused, not stored as if it were raw.
printf '<!DOCTYPE html><html><title>404</title></html>\n' >error.html
bad error.html
tar cf disk.tar disk.raw
bad disk.tar

# An empty file, by cp: no byte was written, so that nothing has started.
: >empty
ok mkdir "$R/private/empty"
run cp empty "$R/private/empty/upload"
value "$R/private/empty/status" queued

# Hostile content behind a good header: no crash, no hang, no other outcome than these two.
for i in 1 2 3 4 5 6; do
        cp good.qcow2 mutant.qcow2
        for j in 1 2 3 4 5 6 7 8; do
                at=$(((i * 7919 + j * 104729) % (size > 400000 ? 400000 : size)))
                printf '\xff\xfe' | dd of=mutant.qcow2 bs=1 seek="$at" conv=notrunc status=none
        done
        ok mkdir "$R/private/mutant$i"
        "$FSOP" upload mutant.qcow2 "$R/private/mutant$i/upload" >/dev/null
        timeout 60 cat "$R/private/mutant$i/wait" >/dev/null 2>&1
        case $(cat "$R/private/mutant$i/status") in
        available | error) ;;
        *) fail "mutant $i is $(cat "$R/private/mutant$i/status")" ;;
        esac
        ok rmdir "$R/private/mutant$i"
done

# A shell's cat cannot see close(), so that the status must say it.
ok mkdir "$R/private/by-cat"
cat backing.qcow2 >"$R/private/by-cat/upload"
settle "$R/private/by-cat" error

# An image in error can be thrown away, and its error is still there after a remount.
restart
value "$R/private/by-cat/status" error
[[ $(cat "$R/private/by-cat/error") == *' '* ]] || fail "the reason was forgotten"
ok rmdir "$R/private/bad1"
ok rmdir "$R/recycle/bad1"

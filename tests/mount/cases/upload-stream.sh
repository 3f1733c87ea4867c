# SPDX-License-Identifier: MIT
# A plain disk that comes in order is stored while it comes: no file of its own, nothing left to be done at its end. What
# comes otherwise is imported all the same, and a stream that comes to nothing leaves nothing.
need python3 qemu-img xxhsum
start
two_regions
raise_limits
incoming_kib() { du -ck "$STORE"/blobs/incoming/ | awk 'END { print $1 }'; }
stored() { keyed "$MNT/info/store" stored-bytes; }
pattern disk.raw 40M 71

# While it comes.
ok mkdir "$R/private/web"
same "$(stat -c %o "$R/private/web/upload")" 1048576 "so much cp writes at once"
exec 5>"$R/private/web/upload"
head -c 30M disk.raw >&5
[ "$(incoming_kib)" -lt 4096 ] || fail "$(incoming_kib) KiB of 30 MiB are kept in a file"
value "$R/private/web/status" uploading
tail -c +31457281 disk.raw >&5
exec 5>&-
settle "$R/private/web"
same_disk "$R/private/web/disks/vda.raw" disk.raw
same_checksum "$R/private/web" disk.raw
value "$R/private/web/format" raw
same "$(keyed "$R/private/web/progress" bytes-done)" 41943040 "progress"
[ "$(incoming_kib)" -lt 100 ] || fail "the file stayed"

# Its task is there, and done.
task=$(grep -l "$(cat "$R/private/web/id")" "$MNT"/tasks/*/image)
task=$(dirname "$task")
value "$task/kind" import
value "$task/status" done
[ -s "$task/started" ] && [ -s "$task/finished" ] && [ "$(cat "$task/started")" != "" ] || fail "when?"

# Back to front; the first byte once more at the end; cut off and longer again; twice over itself.
backwards() {
        exec 5>"$1" 6>"$1"
        run dd if=disk.raw bs=1M skip=20 seek=20 status=none >&5
        run dd if=disk.raw bs=1M count=20 status=none >&6
        exec 5>&- 6>&-
}
first_byte_last() {
        exec 5>"$1" 6>"$1"
        (printf x && tail -c +2 disk.raw) >&5
        head -c 1 disk.raw >&6
        exec 5>&- 6>&-
}
cut_off() {
        exec 5>"$1"
        head -c 25M disk.raw >&5
        run truncate -s 10M "/proc/$$/fd/5"
        run dd if=disk.raw bs=1M skip=10 seek=10 conv=notrunc of="/proc/$$/fd/5" status=none
        exec 5>&-
}
anew() {
        exec 5>"$1"
        head -c 20M /dev/urandom >&5
        run cp disk.raw "/proc/$$/fd/5"
        exec 5>&-
}
# >>, where somebody looks meanwhile: the kernel took the end from what she was told, and wrote over the beginning.
appended() {
        exec 5>>"$1"
        head -c 10M disk.raw >&5
        same "$(stat -c %s "$1")" 0 "what comes reads as empty"
        tail -c +10485761 disk.raw >&5
        same "$(python3 -c 'import os; print(os.lseek(5, 0, os.SEEK_END))')" 41943040 "its end, for who writes"
        exec 5>&-
}
for way in backwards first_byte_last cut_off anew appended; do
        ok mkdir "$R/private/$way"
        $way "$R/private/$way/upload"
        settle "$R/private/$way"
        same_disk "$R/private/$way/disks/vda.raw" disk.raw
        same_checksum "$R/private/$way" disk.raw
done

# Whoever goes back does not wait until all that was streamed is read back: that is the import's.
ok mkdir "$R/private/back"
exec 5>"$R/private/back/upload"
head -c 30M disk.raw >&5
printf x | dd of=/dev/fd/5 conv=notrunc status=none
printf yz | dd of=/dev/fd/5 bs=1 seek=20000001 conv=notrunc status=none
[ "$(incoming_kib)" -lt 4096 ] || fail "$(incoming_kib) KiB were read back"
exec 5>&-
settle "$R/private/back"
head -c 30M disk.raw >back.raw
printf x | dd of=back.raw conv=notrunc status=none
printf yz | dd of=back.raw bs=1 seek=20000001 conv=notrunc status=none
same_disk "$R/private/back/disks/vda.raw" back.raw
same_checksum "$R/private/back" back.raw

# With holes, and a length that is no multiple of anything; sparse as it was.
truncate -s 3000000001 holes.raw
run dd if=disk.raw of=holes.raw bs=1M count=8 seek=100 conv=notrunc status=none
ok mkdir "$R/private/holes"
run cp --sparse=always holes.raw "$R/private/holes/upload"
settle "$R/private/holes"
same_checksum "$R/private/holes" holes.raw
[ "$(du -k "$R/private/holes/disks/vda.raw" | cut -f 1)" -lt 9000 ] || fail "holes became data"

# What its end alone tells: a VHD without tables.
run qemu-img convert -O vpc -o subformat=fixed,force_size=on disk.raw disk.vhd
ok mkdir "$R/private/vhd"
ok upload disk.vhd "$R/private/vhd/upload"
settle "$R/private/vhd"
value "$R/private/vhd/format" vhd
same_disk "$R/private/vhd/disks/vda.raw" disk.raw

# A web page is refused at close, whatever follows its first lines; nothing of it stays.
before=$(stored)
{ echo '<!doctype html>' && head -c 5000000 /dev/urandom; } >page.raw
ok mkdir "$R/private/page"
expect "EINVAL close" upload page.raw "$R/private/page/upload"
settle "$R/private/page" error
[[ $(cat "$R/private/page/error") == *"web page"* ]] || fail "the error: $(cat "$R/private/page/error")"
ok rmdir "$R/private/page"
same "$(stored)" "$before" "bytes of what was refused"

# Many at once, more than are streamed.
for i in {1..14}; do
        ok mkdir "$R/private/many$i"
        pattern "many$i.raw" 3M $((100 + i))
done
copies=()
for i in {1..14}; do
        cp "many$i.raw" "$R/private/many$i/upload" &
        copies+=($!)
done
wait "${copies[@]}"
for i in {1..14}; do
        settle "$R/private/many$i"
        same_checksum "$R/private/many$i" "many$i.raw"
done

# One that the end of the daemon cuts off.
ok mkdir "$R/private/cut"
exec 5>"$R/private/cut/upload"
head -c 20M /dev/urandom >&5
crash
exec 5>&- 2>/dev/null
start
value "$R/private/cut/status" error
[[ $(cat "$R/private/cut/error") == *"cut off"* ]] || fail "the error: $(cat "$R/private/cut/error")"
ok rmdir "$R/private/cut"
same_disk "$R/private/web/disks/vda.raw" disk.raw

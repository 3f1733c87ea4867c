# SPDX-License-Identifier: MIT
# An image with data disks comes back from a backup: its attributes, then each data disk, then the system disk.
need tar rsync qemu-img
start
two_regions
raise_limits
pattern system.raw 3M 5
pattern data.raw 2M 6
pattern more.raw 1M 7
pattern other.raw 1M 8

_none_left() { [ -z "$(ls "$STORE/blobs/incoming")" ]; }

# Refusals.
queued=$R/private/queued
says() { same "$(sentence_alone <"$queued/last-error")" "$1" "sentence"; }
ok mkdir "$queued"
refused EINVAL "$queued" mkdir "$queued/disks/vda"
says "vda is the system disk: its data goes into the image's upload"
for name in vdB vd vdbb data vd1 xvdb "vd{"; do expect EINVAL mkdir "$queued/disks/$name"; done
says "a data disk is named by its device: vdb, vdc … vdz"
ok mkdir "$queued/disks/vdb"
unchanged EEXIST mkdir "$queued/disks/vdb"
refused EBUSY "$queued" upload system.raw "$queued/upload"
says "disks/vdb has no data yet: cp it to disks/vdb/upload before the system disk, or give it up with rmdir disks/vdb"
refused EBUSY "$queued" write "$queued/import-url" http://127.0.0.1:1/x.raw
ok upload data.raw "$queued/disks/vdb/upload"
mkfifo pipe
cat pipe >"$queued/disks/vdb/upload" 2>err &
exec 5>pipe
echo half >&5
until_true 10 grep -q half "$STORE"/blobs/incoming/*.part || fail "nothing came"
expect EBUSY upload system.raw "$queued/upload"
says "disks/vdb is being uploaded: close the file that is being written to first"
# Given up while it is written: who writes is told, and nothing is left.
ok rmdir "$queued/disks/vdb"
echo more >&5
exec 5>&-
if wait $!; then fail "written to a disk that is gone"; fi
[[ $(cat "$MNT/info/errors") == *"vdb was removed, or its image's import has begun"* ]] || fail "who wrote was not told"
nothing_incoming
same "$(ls "$queued/disks")" "" "it is left"
# A writer that is ended by a signal has brought no disk.
ok mkdir "$queued/disks/vdb"
cp pipe "$queued/disks/vdb/upload" 2>err &
exec 5>pipe
cat data.raw >&5
until_true 10 grep -q . "$STORE"/blobs/incoming/*.part || fail "nothing came"
kill -KILL $!
{ wait $!; } 2>/dev/null
exec 5>&-
until_true 10 _none_left || fail "a file of it is left"
expect EBUSY upload system.raw "$queued/upload"
ok rmdir "$queued/disks/vdb"
# What is no disk is refused at its close, and the disk waits still.
ok mkdir "$queued/disks/vdc"
head -c 1M system.raw | gzip -1 >packed.gz
refused "EINVAL close" "$queued" upload packed.gz "$queued/disks/vdc/upload"
says "a data disk is taken as it is, and not packed: unpack it first"
run qemu-img create -q -f qcow2 -b "$WORK/other.raw" -F raw backed.qcow2
refused "EINVAL close" "$queued" upload backed.qcow2 "$queued/disks/vdc/upload"
expect EBUSY upload system.raw "$queued/upload"
# Opened and closed without a byte, it is as before; a second upload is in the place of the first.
ok open w "$queued/disks/vdc/upload"
ok upload data.raw "$queued/disks/vdc/upload"
ok open w "$queued/disks/vdc/upload"
ok upload other.raw "$queued/disks/vdc/upload"
# A descriptor that was copied is closed several times; what is written after the import has begun is refused.
exec 5>"$queued/disks/vdc/upload"
head -c 512K other.raw >&5
tail -c +524289 other.raw >&5
# The system disk that was opened without a byte takes nothing with it.
ok open w "$queued/upload"
value "$queued/status" queued
same "$(ls "$queued/disks")" vdc "disks"
ok upload system.raw "$queued/upload"
if echo more >&5 2>err; then fail "written to a disk that is being imported"; fi
exec 5>&-
settle "$queued"
same_disk "$queued/disks/vdc.raw" other.raw
refused EBUSY "$queued" mkdir "$queued/disks/vdd"
says "queued is available: data disks come in before its own upload, while it is queued"
expect "EPERM" rmdir "$queued/disks"
refused EINVAL - create "$R/iso/x" x
ok mkdir "$R/iso/cd"
refused EOPNOTSUPP "$R/iso/cd" mkdir "$R/iso/cd/disks/vdb"
ok rmdir "$R/iso/cd"

# Quota: a disk is a snapshot.
ok mkdir "$R/private/much"
ok write "$R/quota" "snapshots limit=$(used "$R" snapshots)"
refused EDQUOT "$R/private/much" mkdir "$R/private/much/disks/vdb"
ok write "$R/quota" "snapshots limit=100"

# Removed while it waits: nothing is left, and nothing is charged.
before=$(used "$R" snapshots)
ok mkdir "$R/private/much/disks/vdb"
ok upload data.raw "$R/private/much/disks/vdb/upload"
ok rmdir "$R/private/much"
same "$(used "$R" snapshots)" "$before" "snapshots"
nothing_incoming

# A system disk that fails takes its data disks with it: status error, nothing charged.
ok mkdir "$R/private/bad"
ok mkdir "$R/private/bad/disks/vdb"
ok upload data.raw "$R/private/bad/disks/vdb/upload"
expect "EINVAL close" upload backed.qcow2 "$R/private/bad/upload"
settle "$R/private/bad" error
same "$(used "$R" snapshots)" "$before" "snapshots"
until_true 10 _none_left || fail "files are left over"
same "$(ls "$R/private/bad/disks")" "" "disks of what failed"

# A cloud image of three disks, the last of which is not the next device, as when one was left out of it.
import_raw "$R/private/base" system.raw
ok mkdir "$R/private/base/instances/vm"
vm=$R/instances/vm
for name in data skip more; do
        ok mkdir "$R/disks/$name"
        ok write "$R/disks/$name/size" "$([ $name = data ] && echo 2M || echo 1M)"
        ok write "$vm/attach" $name
done
run dd if=data.raw of="$vm/disks/vdb.raw" bs=1M conv=notrunc status=none
run dd if=more.raw of="$vm/disks/vdd.raw" bs=1M conv=notrunc status=none
ok write "$vm/image-disks" "vdb vdd"
ok mkdir "$vm/images/web"
web=$R/private/web
settle "$web"
ok write "$web/labels" "role=db"
ok write "$web/os" linux

# It is saved by tar and by rsync, and lost. What the kernel still has of the directory's time is a second old at most.
restart
run tar --sparse -cf web.tar -C "$R/private" web
run rsync -a "$web/" saved/
mapping=$(sed 's/snapshot:snap-[^ ]*/snapshot/' "$web/device-mapping")
checksums=$(cat "$web/checksum")
same "$(wc -l <"$web/checksum")" 3 "disks"
same "$(stat -c %s "$web")" "$(cat "$web"/disks/*.raw | wc -c)" "the size of all disks"
ok rmdir "$web"
ok rmdir "$R/recycle/web"
before=$(used "$R" snapshots)

# restored NAME: is it the same image again?
restored() {
        local image=$R/private/$1
        settle "$image"
        same "$(cat "$image/checksum")" "$checksums" "$1: checksums"
        same "$(sed 's/snapshot:snap-[^ ]*/snapshot/' "$image/device-mapping")" "$mapping" "$1: mapping"
        value "$image/labels" "role=db"
        value "$image/os" linux
        same_disk "$image/disks/vdb.raw" data.raw
        same "$(ls "$image/snapshots")" "$(printf 'vda\nvdb\nvdd')" "$1: snapshots"
        until_true 10 _none_left || fail "$1: files are left over"
}

# Out of the archive, as a stream; the disks come as the tar's members do.
ok mkdir "$web"
run tar -xOf web.tar web/metadata.json >metadata.json
run cp metadata.json "$web/metadata.json"
same "$(ls "$web/disks")" "" "disks of a queued image"
for disk in vdb vdd; do
        ok mkdir "$web/disks/$disk"
        same "$(ls "$web/disks/$disk")" upload "$disk"
        same "$(wc -c <"$web/disks/$disk/upload")" 0 "upload reads as empty"
        tar -xOf web.tar "web/disks/$disk.raw" >"$web/disks/$disk/upload" || fail "tar into $disk"
        value "$web/status" queued
done
same "$(used "$R" snapshots)" $((before + 2)) "they are charged"
same "$(ls "$web/disks")" "$(printf 'vdb\nvdd')" "disks that wait"
# What waits is on the disk, and survives a crash.
crash
umount -l "$MNT" 2>/dev/null || fusermount3 -u -z "$MNT"
start
value "$web/status" queued
tar -xOf web.tar web/disks/vda.raw >"$web/upload" || fail "tar into the system disk"
restored web
same "$(used "$R" snapshots)" $((before + 3)) "charged once"
same "$(cat "$web"/snapshots/vdb/name)" web "the snapshot has the image's name"

# Out of a directory, as qcow2 files, by rsync.
again=$R/private/again
ok mkdir "$again"
run cp saved/metadata.json "$again/metadata.json"
ok write "$again/name" again
for disk in vdd vdb; do
        ok mkdir "$again/disks/$disk"
        run rsync --inplace "saved/disks/$disk.qcow2" "$again/disks/$disk/upload"
done
run rsync --inplace saved/disks/vda.qcow2 "$again/upload"
restored again

# A local one: only its system disk is its own.
own=$R/private/own
ok mkdir "$own"
ok write "$own/type" local
ok mkdir "$own/disks/vdb"
ok upload data.raw "$own/disks/vdb/upload"
ok upload system.raw "$own/upload"
settle "$own"
[[ $(cat "$own/device-mapping") == "/dev/vda system image:"*$'\n'"/dev/vdb data snapshot:"* ]] || fail "mapping of a local one"

# Killed in the middle of the import, which goes on; and of the upload, which does not: nothing is left of either.
_mount_again() {
        crash
        umount -l "$MNT" 2>/dev/null || fusermount3 -u -z "$MNT"
        start
}
run qemu-img convert -f raw -O qcow2 system.raw system.qcow2
killed=$R/private/killed
ok mkdir "$killed"
ok mkdir "$killed/disks/vdb"
ok upload data.raw "$killed/disks/vdb/upload"
slow_disk 20
ok upload system.qcow2 "$killed/upload"
until_true 10 grep -q pending "$killed/status" || fail "not pending: $(cat "$killed/status")"
fast_disk
_mount_again
settle "$killed"
same_disk "$killed/disks/vda.raw" system.raw
same_disk "$killed/disks/vdb.raw" data.raw
cut=$R/private/cut
ok mkdir "$cut"
ok mkdir "$cut/disks/vdb"
ok upload data.raw "$cut/disks/vdb/upload"
before=$(used "$R" snapshots)
exec 5>"$cut/upload"
echo half >&5
crash
exec 5>&-
umount -l "$MNT" 2>/dev/null || fusermount3 -u -z "$MNT"
start
value "$cut/status" error
same "$(used "$R" snapshots)" $((before - 1)) "snapshots"
until_true 10 _none_left || fail "files are left over"

# SPDX-License-Identifier: MIT
# The disk that holds the store is full: a clear error, nothing else harmed, and deleting still works.
need_root "a small tmpfs"
mkdir small
mount -t tmpfs -o size=69M none small # of which the log of the catalogue has 5
STORE=$WORK/small/store
start
two_regions
head -c 10M /dev/urandom >first.raw
import_raw "$R/private/first" first.raw

# An upload that does not fit: the writer is told.
head -c 90M /dev/urandom >big.raw
ok mkdir "$R/private/big"
expect "ENOSPC write|ENOSPC close" upload big.raw "$R/private/big/upload"
cp big.raw "$R/private/.big" 2>err && fail "a temporary file that does not fit"
[[ $(cat err) == *"No space left on device" ]] || fail "$(cat err)"
[[ $(tail -n 1 "$MNT/info/errors") == *"the store's disk is full"* ]] || fail "$(tail -n 1 "$MNT/info/errors")"
ok unlink "$R/private/.big"
rm big.raw
if [ "$(cat "$R/private/big/status")" = uploading ]; then settle "$R/private/big" error; fi
[ "$(cat "$R/private/big/status")" != available ] || fail "a part of an upload became an image"
ok rmdir "$R/private/big"
free_mib() { df --output=avail -BM small | tr -dc 0-9; }
has_room() { [ "$(free_mib)" -ge 44 ]; }
until_true 10 has_room || fail "no room: $(free_mib) MiB" # what was stored of it before the disk was full is given back
same_disk "$R/private/first/disks/vda.raw" first.raw

# One that fits once, and not twice: as a raw disk it is stored while it comes. As a qcow2, which is imported from a
# file of its own, it ends in status error, with a sentence that says so.
head -c 30M /dev/urandom >middle.raw
import_raw "$R/private/raw" middle.raw
same_disk "$R/private/raw/disks/vda.raw" middle.raw
ok rmdir "$R/private/raw"
ok rmdir "$R/recycle/raw"
until_true 10 has_room || fail "no room: $(free_mib) MiB"
qemu-img convert -O qcow2 middle.raw middle.qcow2
ok mkdir "$R/private/middle"
ok upload middle.qcow2 "$R/private/middle/upload"
settle "$R/private/middle" error
[[ $(cat "$R/private/middle/error") == *' '* ]] || fail "no reason"
same_disk "$R/private/first/disks/vda.raw" first.raw

# Filled to the last byte by somebody else: what is there can be read, and deleting gives room.
dd if=/dev/zero of=small/filler bs=1M status=none 2>/dev/null
sync -f small
same_disk "$R/private/first/disks/vda.raw" first.raw
ok rmdir "$R/private/middle"
ok rmdir "$R/private/first"
ok rmdir "$R/recycle/middle"
ok rmdir "$R/recycle/first"
rm small/filler

head -c 8M /dev/urandom >again.raw

# Filled while an upload was open, and the reserve is gone as well: its end, which cannot be recorded, is an error all the same.
ok mkdir "$R/private/cut"
exec 5>"$R/private/cut/upload"
head -c 1000000 again.raw >&5
fill() { dd if=/dev/zero of=small/filler bs=64k status=none oflag=append conv=notrunc 2>/dev/null; sync -f small; }
fill
for _ in 1 2 3; do "$FSOP" write "$R/private/cut/description" "$RANDOM" >/dev/null; fill; done
exec 5>&-
settle "$R/private/cut" error
[[ $(cat "$R/private/cut/error") == *full* ]] || fail "the error: $(cat "$R/private/cut/error")"
rm small/filler
ok rmdir "$R/private/cut"
ok mkdir "$R/private/gone"
ok rmdir "$R/private/gone"

# And there is work again.
import_raw "$R/private/again" again.raw
same_disk "$R/private/again/disks/vda.raw" again.raw
stop
check_store
umount small
NO_CHECK="the store is gone with its tmpfs"

# SPDX-License-Identifier: MIT
# The kernel used to ask for security.capability before each write, so that every write cost two requests.
library "$STORE"
"$IMAGEFS" -d "$STORE" "$MNT" >requests.log 2>&1 &
daemon=$!
until_true 10 mountpoint -q "$MNT" || fail "not mounted"
ok mkdir "$MNT/regions/r"
ok mkdir "$MNT/regions/r/disks/d"
ok write "$MNT/regions/r/disks/d/size" 1M
: >requests.log
run dd if=/dev/zero of="$MNT/regions/r/disks/d/data.raw" bs=4k count=50 conv=notrunc oflag=direct
umount "$MNT" 2>/dev/null || fusermount3 -u "$MNT" || fail "not unmounted"
wait "$daemon" || fail "the daemon ended with $?"
same "$(grep -ac 'opcode: WRITE ' requests.log)" 50 "writes"
asked=$(grep -ac 'opcode: GETXATTR ' requests.log)
[ "$asked" -le 2 ] || fail "$asked questions for 50 writes"

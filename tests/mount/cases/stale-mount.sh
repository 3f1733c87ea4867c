# SPDX-License-Identifier: MIT
# A mount point that a crash left is cleared at the next start.
start
two_regions
cloud_image web 1M
crash
fails stat -f "$MNT"
start
same_disk "$R/private/web/disks/vda.raw" web.raw
# As a user starts it: in the background.
crash
"$IMAGEFS" "$STORE" "$MNT" >out 2>&1 || fail "start gave $?: $(cat out)"
same_disk "$R/private/web/disks/vda.raw" web.raw
same "$(grep -c " $MNT " /proc/self/mountinfo)" 1 "mounts on the mount point"
unmount "$MNT"
ended() { [ -z "$(pgrep -f -- "^$IMAGEFS $STORE")" ]; }
until_true 10 ended || fail "the daemon stays"
# What is no daemon of ours is not cleared.
if [ "$(id -u)" = 0 ]; then
        mount -t tmpfs none "$MNT"
        echo precious >"$MNT/file"
        "$IMAGEFS" "$STORE" "$MNT" >out 2>&1 && { umount "$MNT"; }
        value "$MNT/file" precious
        umount "$MNT"
fi

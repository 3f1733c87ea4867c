# SPDX-License-Identifier: MIT
# umount returns before the daemon has closed its library; who checks or mounts it in the next moment used to be told that
# another daemon serves it.
unmount() {
        fusermount3 -u "$MNT" || umount "$MNT" || fail "not unmounted"
}
for _ in 1 2 3 4 5; do
        run "$IMAGEFS" "$STORE" "$MNT"
        [ -d "$MNT/regions/r" ] || ok mkdir "$MNT/regions/r"
        unmount
        run "$IMAGEFS" check "$STORE"
        run "$IMAGEFS" "$STORE" "$MNT"
        unmount
done

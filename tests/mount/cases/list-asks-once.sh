# SPDX-License-Identifier: MIT
# `ls -l` of many images used to ask for the attributes of each one: three requests for each name on Debian 13, where it
# wants to see the names of all extended attributes, on top of the one pass that lists them.
library "$STORE"
"$IMAGEFS" -d "$STORE" "$MNT" >requests.log 2>&1 &
daemon=$!
until_true 10 mountpoint -q "$MNT" || fail "not mounted"
raise_limits
ok mkdir "$MNT/regions/r"
for n in {1..50}; do
        ok mkdir "$MNT/regions/r/private/web-$n"
done
: >requests.log
same "$(run ls -l "$MNT/regions/r/private" | grep -c web)" 50 "images"
same "$(cat err)" "" "what ls says of the answers"
umount "$MNT" 2>/dev/null || fusermount3 -u "$MNT" || fail "not unmounted"
wait "$daemon" || fail "the daemon ended with $?"
asked=$(grep -acE 'opcode: (GETXATTR|LISTXATTR|GETATTR|LOOKUP) ' requests.log)
[ "$asked" -le 10 ] || fail "$asked questions for 50 images: $(grep -aoE 'opcode: [A-Z]+' requests.log | sort | uniq -c)"

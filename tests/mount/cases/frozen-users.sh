# SPDX-License-Identifier: MIT
# The size of a text that is open is its opener's alone to be told: of two users' texts of one file, each has her own
# size, whatever number the kernel has for their processes.
. "$lib/users.sh"
need python3 unshare
A=12001 B=12002
users $A $B

# Opens FILE as UID, and keeps it open until `close`.
hold() {
        # shellcheck disable=SC2016
        coproc HOLDER { as "$1" sh -c 'exec 3<"$1" && echo open && read -r _' sh "$2"; }
        read -r _ <&"${HOLDER[0]}" || fail "cannot open $2"
}

close() {
        local pid=$HOLDER_PID
        eval "exec ${HOLDER[1]}>&-"
        wait "$pid" 2>/dev/null
        return 0
}

# of UID FILE: how long stat(2) says it is, and how long it is.
of() {
        same "$(as "$1" stat -c %s "$2")" "$(as "$1" cat "$2" | wc -c)" "$1: size of $2"
}

other_texts() {
        ok write "$R/quota" "$A private-images limit=1000000"
        [ "$(as $A cat "$R/quota" | wc -c)" != "$(as $B cat "$R/quota" | wc -c)" ] || fail "they read the same"
}

start -o allow_other
two_regions
other_texts
hold $A "$R/quota"
of $A "$R/quota"
of $B "$R/quota"
close

# One process that was another user's, as a number that is used again.
run python3 - "$R/quota" $A $B <<'END'
import os, sys
path, a, b = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
os.seteuid(a)
fd = os.open(path, os.O_RDONLY)
assert os.fstat(fd).st_size == len(os.read(fd, 65536)), "one's own"
os.seteuid(0)
os.seteuid(b)
size = os.stat(path).st_size
assert size == len(open(path).read()), "another's size: %d" % size
END
stop

# A daemon in a PID namespace of its own is told no numbers.
daemon=$IMAGEFS
printf '#!/bin/sh\nexec unshare --pid --fork --kill-child "%s" "$@"\n' "$daemon" >"$WORK/bin/apart"
chmod 755 "$WORK/bin/apart"
unshare --pid --fork true 2>/dev/null || skip "no PID namespaces"
IMAGEFS=$WORK/bin/apart
start -o allow_other
hold $A "$R/quota"
of $B "$R/quota"
of $A "$R/quota"
close
stop
IMAGEFS=$daemon

# SPDX-License-Identifier: MIT
# Users may have to be looked up on another machine, which does not answer. Who asked for such names, or for events that have
# such users in them, which may be a thousand, and stat(2) is enough, had the threads that answer everybody's requests.
. "$lib/users.sh"
slow=$(dirname "$IMAGEFS")/slow-users.so
[ -e "$slow" ] || skip "no slow-users beside the program"
A=12001 B=12002
users $A $B
export SLOW_USERS=$WORK/slow-users
LD_PRELOAD=$slow start -o allow_other
two_regions
for uid in $A $B; do
        by $uid ok mkdir "$R/private/of-$uid"
        : | as $uid tee "$R/private/of-$uid/upload" >/dev/null
        head -c 1M /dev/urandom | as $uid tee "$R/private/of-$uid/upload" >/dev/null
        settle "$R/private/of-$uid"
done
hers=$R/private/of-$A/shares
by $A ok mkdir "$hers/800001"

mkfifo "$SLOW_USERS"
for n in {1..40}; do
        setpriv --reuid $A --regid $A --clear-groups stat "$MNT/info/events" "$hers/slow-$n" "$hers/800001/user" >/dev/null 2>&1 &
        asking[n]=$!
done
_all_wait() {
        local pid
        for pid in "${asking[@]}"; do
                grep -qsE "request_wait_answer|fuse_lock_inode" "/proc/$pid/stack" "/proc/$pid/wchan" || return 1
        done
}
until_true 20 _all_wait || fail "not all wait"
# B is answered, and so are A's other requests, those for users, too, where there is a thread left for B's
timeout 20 setpriv --reuid $B --regid $B --clear-groups cat "$R/quota" >/dev/null || fail "no quota for B"
timeout 20 setpriv --reuid $A --regid $A --clear-groups cat "$R/quota" >/dev/null || fail "no quota for A"
timeout 20 "$WORK/bin/fsop.$B" mkdir "$R/private/of-$B/shares/12003" || fail "B shares nothing"
same "$(as $B ls "$R/private/of-$B/shares")" 12003 "with whom B shares"
same "$(timeout 20 setpriv --reuid $B --regid $B --clear-groups grep -c '"shared"' "$MNT/info/events")" 1 "B's events"
timeout 20 "$WORK/bin/fsop.$B" rmdir "$R/private/of-$B/shares/12003" || fail "B shares it still"
# who is killed waits no more
kill -KILL "${asking[@]:20}"
wait "${asking[@]:20}" 2>/dev/null
exec 9<>"$SLOW_USERS"
rm "$SLOW_USERS"
wait "${asking[@]:0:20}"
same "$(as $A cat "$hers/800001/user")" 800001 "with whom A shares"
exec 9>&-

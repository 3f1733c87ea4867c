# SPDX-License-Identifier: MIT
# Users may have to be looked up on another machine, which does not answer. Who asked for such names, or for events that have
# such users in them, which may be a thousand, and stat(2) is enough, had the threads that answer everybody's requests; so had
# who read whose something is, and who was refused with a sentence that says it. Who looked for a name in shares/ kept all others
# from that directory for as long. Who made four names there had all that ask who has one: nobody else's new ones were found.
. "$lib/users.sh"
slow=$(dirname "$IMAGEFS")/slow-users.so
[ -e "$slow" ] || skip "no slow-users beside the program"
A=12001 B=12002 SLOW=800001
users $A $B $SLOW
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
by $A ok mkdir "$hers/$SLOW"
# asked for now, so that an old answer is not what is given below
by $SLOW ok mkdir "$R/private/theirs"
: | as $SLOW tee "$R/private/theirs/upload" >/dev/null
head -c 1M /dev/urandom | as $SLOW tee "$R/private/theirs/upload" >/dev/null
settle "$R/private/theirs"
by $SLOW ok mkdir "$R/private/theirs/shares/$B"

by $A ok mkdir "$hers/12004"
by_now_nobody() { [ "$("$WORK/bin/fsop.$A" mkdir "$hers/slow-1")" = "ENOENT mkdir" ]; }
mkfifo "$SLOW_USERS"
sentence='this machine, which may ask another for it, does not say who'
# who looks for a name that is not there does not ask whose it is
by $A expect ENOENT stat "$hers/slow-1"
# nor waited for for ever by who makes it, who keeps all others from the directory
by $A expect EBUSY mkdir "$hers/slow-1" &
making=$!
for n in {1..40}; do
        setpriv --reuid $A --regid $A --clear-groups stat "$MNT/info/events" >/dev/null 2>&1 &
        asking[n]=$!
done
# whose something is, the threads that answer requests do not wait to hear, nor whom a sentence is about
for n in {1..40}; do
        timeout 20 setpriv --reuid $SLOW --regid $SLOW --clear-groups cat "$R/private/theirs/owner" >"$WORK/owner.$n" &
        reading[n]=$!
done
for n in {1..40}; do
        wait "${reading[n]}" || fail "cannot read whose it is"
        same "$(cat "$WORK/owner.$n")" $SLOW "whose it is"
done
timeout 20 "$WORK/bin/fsop.$B" write "$R/shared/theirs/convert" cloud >/dev/null && fail "B converts it"
same "$(as $B tail -n 1 "$R/shared/theirs/last-error" | grep -o 'ask .* to')" "ask $SLOW to" "whom to ask"
# B is answered, and so are A's other requests, those for users, too, where there is a thread left for B's
timeout 20 setpriv --reuid $B --regid $B --clear-groups cat "$R/quota" >/dev/null || fail "no quota for B"
timeout 20 setpriv --reuid $A --regid $A --clear-groups cat "$R/quota" >/dev/null || fail "no quota for A"
timeout 20 "$WORK/bin/fsop.$B" mkdir "$R/private/of-$B/shares/12003" || fail "B shares nothing"
same "$(as $B ls "$R/private/of-$B/shares")" 12003 "with whom B shares"
same "$(timeout 20 setpriv --reuid $B --regid $B --clear-groups grep -c '"shared"' "$MNT/info/events")" 2 "B's events"
timeout 20 "$WORK/bin/fsop.$B" rmdir "$R/private/of-$B/shares/12003" || fail "B shares it still"
wait "$making" || fail "slow-1 was made"
same "$(as $A tail -n 1 "$R/private/of-$A/last-error" | sentence_alone)" "$sentence slow-1 is: try again later" "why not"
# nor have A's other names the threads that ask for anybody's
for n in {2..5}; do
        by $A expect EBUSY mkdir "$hers/slow-$n"
done
by $B ok mkdir "$R/private/of-$B/shares/12005"
same "$(as $B ls "$R/private/of-$B/shares")" 12005 "with whom B shares"
# while nothing is answered, what there is is found as it is listed
same "$(as $A ls "$hers" | sort | xargs)" "12004 $SLOW" "with whom A shares"
by $A expect EBUSY mkdir "$hers/slow-1"
by $A ok rmdir "$hers/$SLOW"
by $A ok rmdir "$hers/12004"
expect "EBUSY write" write "$R/quota" "slow-1 snapshots limit=7"
tail -n 1 "$MNT/info/errors" | grep -q "write quota: $sentence slow-1" || fail "why not: $(tail -n 1 "$MNT/info/errors")"
same "$(grep -c limit=7 "$R/quota-by-user")" 0 "limits"
wait "${asking[@]}"
exec 9<>"$SLOW_USERS"
rm "$SLOW_USERS"
until_true 20 by_now_nobody || fail "there is a user slow-1"
exec 9>&-

# Another process goes on with the mount without waiting for what it is asked, too.
[ "$(printf '%s\n' 6.9 "$(uname -r)" | sort -V | head -n 1)" = 6.9 ] || exit 0
stop
LD_PRELOAD=$slow start -o allow_other,restarts=3
mkfifo "$SLOW_USERS"
as $A mkdir "$hers/slow-2" >/dev/null 2>"$WORK/said" &
making=$!
_asks() { cat "/proc/$(pgrep -P "$daemon_pid" imagefs)"/task/*/wchan | grep -q wait_for_partner; }
until_true 20 _asks || fail "nobody asks"
timeout 20 "$IMAGEFS" --reexec "$MNT" >"$WORK/out" 2>&1 || fail "$(cat "$WORK/out")"
wait "$making" && fail "there is a user slow-2"
grep -q 'Device or resource busy' "$WORK/said" || fail "it was told $(cat "$WORK/said")"
same "$(as $A ls "$hers")" "" "with whom A shares"
exec 9<>"$SLOW_USERS"
rm "$SLOW_USERS"
exec 9>&-

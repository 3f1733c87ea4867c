# SPDX-License-Identifier: MIT
# A line in quota may name a user whom another machine has to be asked for, which does not answer. Who wrote one into each of
# forty regions had all threads that answer requests for as long as that is waited for.
. "$lib/users.sh"
slow=$(dirname "$IMAGEFS")/slow-users.so
[ -e "$slow" ] || skip "no slow-users beside the program"
B=12002
users $B
export SLOW_USERS=$WORK/slow-users
LD_PRELOAD=$slow start -o allow_other
connection=/sys/fs/fuse/connections/$(($(stat -c %d "$MNT") & 0xff | ($(stat -c %d "$MNT") >> 12) & 0xfff00))
if [ ! -d "$connection" ]; then
        mkdir control
        mount -t fusectl none control || skip "no control files"
        connection=control/${connection##*/}
fi
for n in {1..40}; do ok mkdir "$MNT/regions/r$n"; done
R=$MNT/regions/r1

_all_wait() { [ "$(cat "$connection/waiting")" -ge 40 ]; }
# Is B answered while all of them wait? They do for two seconds, in which a busy machine may not come to it.
_answers() {
        local n writing=() answered=1
        mkfifo "$SLOW_USERS"
        for n in {1..40}; do
                "$FSOP" write "$MNT/regions/r$n/quota" "slow-$1 snapshots limit=7" >"$WORK/said.$n" &
                writing+=($!)
        done
        until_true 5 _all_wait
        as $B cat "$R/quota" >/dev/null && _all_wait && answered=0
        wait "${writing[@]}"
        exec 9<>"$SLOW_USERS"
        rm "$SLOW_USERS"
        exec 9>&-
        return $answered
}
try=1
until _answers $try; do
        [ "$((try += 1))" -le 5 ] || fail "B is not answered while others write"
done
[ ! -d control ] || umount control
for n in {1..40}; do
        same "$(cat "$WORK/said.$n")" "EBUSY write" "what a line of a user whom nobody knows was told"
done
same "$(cat "$MNT"/regions/r*/quota-by-user | grep -c limit=7)" 0 "limits"
by_now_nobody() { [ "$("$FSOP" write "$R/quota" "slow-$try snapshots limit=7")" = "ENOENT write" ]; }
until_true 20 by_now_nobody || fail "there is a user slow-$try"
# it is still one command a write, and durable with its answer
ok write "$R/quota" "$B snapshots limit=7"
same "$(as $B grep -c 'snapshots used=0 limit=7' "$R/quota")" 1 "B's limit"
stop
start -o allow_other
same "$(as $B grep -c 'snapshots used=0 limit=7' "$R/quota")" 1 "B's limit, later"

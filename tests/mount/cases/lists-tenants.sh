# SPDX-License-Identifier: MIT
# Lists of many images, made for one user over and over, used to keep all others waiting for seconds, and each that was
# open had a text of its own in memory: a hundred took a gigabyte.
# time limit: 240
. "$lib/users.sh"
need sqlite3
A=12001 B=12002 C=12003
users $A $B $C
start -o allow_other
two_regions
ok mkdir "$R/public/first"
stop
sqlite3 "$STORE/imagefs.db" 'PRAGMA table_info(image)' | cut -d'|' -f2 >columns
column() {
        case $1 in
        id) echo NULL ;;
        ident) echo "printf('img-%d', n)" ;;
        handle) echo "printf('filler-%06d', n)" ;;
        *) echo "$1" ;;
        esac
}
values=$(while read -r name; do column "$name"; done <columns | paste -sd,)
sqlite3 "$STORE/imagefs.db" "WITH RECURSIVE filler(n) AS (SELECT 2 UNION ALL SELECT n + 1 FROM filler WHERE n < 30000)
        INSERT INTO image SELECT $values FROM image, filler WHERE id = (SELECT max(id) FROM image)" || fail "no images"
start -o allow_other
memory() { awk '/^VmRSS:/ { print int($2 / 1024) }' "/proc/$daemon_pid/status"; }

# One text for all who have opened the same.
before=$(memory)
as $A bash -c 'ulimit -n 1024; for i in {1..200}; do exec {fd}<"$1" || exit 1; done; echo open; read -r _ <"$2"; wc -l <&$fd' \
        - "$R/images.csv" <(sleep 2) >out || fail "200 lists are not open"
same "$(tail -n 1 out)" 30001 "the last of them"
after=$(memory)
[ $((after - before)) -lt 100 ] || fail "from $before to $after MiB"

# What differs is bounded, by user, with a sentence.
hold() { # UID: opens until it is refused
        as "$1" bash -c 'ulimit -n 4096; for ((i = 0; i < 500; i++)); do { exec {fd}<"$1"; } 2>/dev/null || break; done
                echo $i; tail -n 1 "$2"' - "$R/public" "$MNT/info/errors"
}
hold $A >out 2>&1
[ "$(head -n 1 out)" -lt 500 ] || fail "500 listings of 30000 are open"
[[ $(tail -n 1 out) == *EDQUOT*"close some"* ]] || fail "no sentence: $(tail -n 1 out)"
same "$(as $B ls -f "$R/public" | wc -l)" 30002 "a listing of B's"

# Others are answered all the while, whoever of them has lists made.
touch busy
for n in {1..16}; do
        as $((n % 2 ? A : C)) bash -c 'while [ -e "$2" ]; do cat "$1/images.json"; ls -f "$1/public"; done' - "$R" "$WORK/busy" >/dev/null 2>&1 &
        busy[n]=$!
done
mkdir -m 755 plain
echo 1 >plain/quota
for i in {1..20}; do
        ok write "$R/public/first/description" "change $i"
        began=${EPOCHREALTIME/./}
        as $B cat "$R/quota" >out || fail "no quota"
        # what is in a directory used to wait for lists that were being made
        as $B ls "$R/private" >out || fail "no listing"
        between=${EPOCHREALTIME/./}
        as $B cat plain/quota >out || fail "no file"
        as $B ls plain >out || fail "no directory"
        echo $(((2 * between - began - ${EPOCHREALTIME/./}) / 1000))
done | sort -n >times
rm busy
wait "${busy[@]}"
# The half, beyond what the same programs take with a plain directory at that moment: this machine may have others to serve.
# Alone that is a few milliseconds, and was hundreds.
[ "$(sed -n 10p times)" -lt 100 ] || fail "milliseconds more for a quota and a listing: $(paste -sd' ' times)"

# Who waits for her turn can be interrupted.
for n in {1..6}; do
        as $A cat "$R/images.json" >/dev/null 2>&1 &
        busy[n]=$!
done
kill -KILL "${busy[@]:0:6}" 2>/dev/null
wait "${busy[@]:0:6}" 2>/dev/null
same "$(as $A cat "$R/images.csv" | wc -l)" 30001 "a list after that"

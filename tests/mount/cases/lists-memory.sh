# SPDX-License-Identifier: MIT
# A list takes no more memory while it is made the longer it is: its rows, and what is written of them, used to be held
# there, and sorting them held them once more.
need sqlite3
start
two_regions
ok mkdir "$R/private/first"
stop
columns=$(sqlite3 "$STORE/imagefs.db" 'PRAGMA table_info(image)' | cut -d'|' -f2)
values=$(for name in $columns; do
        case $name in
        id) echo NULL ;;
        ident) echo "printf('img-%d', n)" ;;
        description) echo 'hex(randomblob(2000))' ;;
        handle) echo "printf('filler-%06d', n)" ;;
        *) echo "$name" ;;
        esac
done | paste -sd,)
sqlite3 "$STORE/imagefs.db" "WITH RECURSIVE filler(n) AS (SELECT 2 UNION ALL SELECT n + 1 FROM filler WHERE n <= 4000)
        INSERT INTO image SELECT $values FROM image, filler WHERE handle = 'first'" || fail "no images"
start
peak() { awk '/^VmHWM:/ { print int($2 / 1024) }' "/proc/$daemon_pid/status"; }
before=$(peak)
# 16 MB each, the last compressed, and as much again of rows
lists=("$R/images.json" "$MNT/images.csv")
[ ! -e "$R/images.xlsx" ] || lists+=("$R/images.xlsx") # built with zlib
for list in "${lists[@]}"; do
        [ "$(wc -c <"$list")" -gt 8000000 ] || fail "$list is short"
        [ $(($(peak) - before)) -lt 16 ] || fail "$list took the daemon from $before to $(peak) MiB"
done
same "$(grep -cE '"description": "[0-9A-F]{100}' "$R/images.json")" 4000 "rows"
same "$(cut -d, -f3 "$MNT/images.csv" | tail -n +2 | LC_ALL=C sort -c && echo sorted)" sorted "their order"

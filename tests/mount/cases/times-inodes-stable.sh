# SPDX-License-Identifier: MIT
# Inode numbers, times, sizes and contents are the same each time, also after a remount, and change with the object only.
start
two_regions
cloud_image web 2M
local_image lo 1M 3
ok write "$R/private/lo/convert" cloud
settle "$R/private/lo-cloud"
ok mkdir "$R/private/web/copies/cn-east-2"
settle "$R2/private/web"
ok mkdir "$R/private/queued"
ok rmdir "$R/private/lo"

first=$(tree_snapshot)
sleep 1.2
second=$(tree_snapshot)
[ "$first" = "$second" ] || { diff <(echo "$first") <(echo "$second"); fail "changed by itself"; }
restart
third=$(tree_snapshot)
[ "$first" = "$third" ] || { diff <(echo "$first") <(echo "$third"); fail "changed by a remount"; }

# No number twice.
same "$(find "$MNT" -printf '%i\n' | sort | uniq -d | wc -l)" 0 "inode numbers in use twice"
# readdir tells the numbers that stat tells.
for dir in "$MNT" "$R" "$R/private" "$R/private/web" "$R/private/web/disks"; do
        diff <(ls -iU "$dir" | awk '{ print $1 }' | sort) \
                <(find "$dir" -mindepth 1 -maxdepth 1 -exec stat -c %i {} + | sort) || fail "d_ino in $dir"
done
# A directory's link count does not lie to find.
run find "$MNT" -noleaf -type d >with
run find "$MNT" -type d >without
cmp with without || fail "find stops at the link count"

# Writing moves the times of the object, and of nothing that has no part in it.
at() { stat -c '%Y.%Z %y %z' "$1"; }
web_before=$(at "$R/private/web/name") other_before=$(at "$R/private/queued/name") id_before=$(stat -c %i "$R/private/web")
sleep 1.1
ok write "$R/private/web/name" changed
[ "$(at "$R/private/web/name")" != "$web_before" ] || fail "mtime did not move"
same "$(at "$R/private/queued/name")" "$other_before" "times of another image"
same "$(stat -c %i "$R/private/web")" "$id_before" "inode"
ok rename "$R/private/web" "$R/private/web2"
same "$(stat -c %i "$R/private/web2")" "$id_before" "inode after mv"

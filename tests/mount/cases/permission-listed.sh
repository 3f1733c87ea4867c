# SPDX-License-Identifier: MIT
# A directory that was opened while one could enter what is in it, and is read again and again: each time the kernel was
# told the modes from then, and believed them for another second.
. "$lib/users.sh"
A=12001 B=12002
users $A $B
start -o allow_other
two_regions
by $A ok mkdir "$R/private/web"
by $A ok chmod 755 "$R/private/web"
mkfifo go
"$WORK/bin/fsop.$B" list-again "$R/private" web/size <go >out &
reader=$!
exec 7>go
until_true 10 grep -q open out || fail "B has not opened the directory"
same "$(as $B cat "$R/private/web/status")" queued "what B may read"
by $A ok chmod 700 "$R/private/web"
echo >&7
exec 7>&-
wait $reader
same "$(tail -n 1 out)" "EACCES fstatat" "after the permission was taken"

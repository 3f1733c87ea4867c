# SPDX-License-Identifier: MIT
# Work was first come, first served: a user with eight fetches from a slow server had all others wait until they
# were done.
. "$lib/users.sh"
. "$lib/serve.sh"
A=12001 B=12002
users $A $B
start -o allow_other,import-private
two_regions
raise_limits
pattern served 1M 51
chmod 644 served
serve
running() { # UID KIND: how many tasks of that kind run
        as "$1" sh -c 'cd "$1" && for t in *; do [ -e "$t" ] && echo "$(cat "$t/kind") $(cat "$t/status")"; done' - "$MNT/tasks" |
                grep -c "^$2 running"
}

# Fetches that do not come to an end.
for i in {1..9}; do
        by $A ok mkdir "$R/private/slow-$i"
        by $A ok write "$R/private/slow-$i/import-url" "http://$AT/stall/x.raw"
done
by $B ok mkdir "$R/private/web"
by $B ok write "$R/private/web/import-url" "http://$AT/x.raw"
until_true 20 grep -q available "$R/private/web/status" || fail "B's fetch waits for A's"
same "$(running $A fetch)" 3 "fetches of A's at once"
for i in {1..9}; do
        by $A ok rmdir "$R/private/slow-$i"
done
unserve

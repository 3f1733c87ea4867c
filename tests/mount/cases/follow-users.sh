# SPDX-License-Identifier: MIT
# What is followed is its owner's, as its images are: what others see of it, where it may look, and how much of it at once.
. "$lib/users.sh"
. "$lib/upstream.sh"
A=12001 B=12002
users $A $B
start -o allow_other
two_regions
raise_limits
upstream
release 1
F=$R/follows/mine

by $A ok mkdir "$F"
same "$(as $A ls "$R/follows") $(as $B ls "$R/follows")" "mine " "who sees it"
by $B expect EEXIST mkdir "$F"
by $B expect EACCES opendir "$F"
by $B expect EACCES write "$F/run" now
by $B expect EPERM rmdir "$F"
by $B expect "EPERM|EACCES" rename "$F" "$R/follows/yours"

# Services of this machine answer the daemon, and not its users: neither by an address of hers, nor beside one of root's.
by $A ok write "$F/url" "http://$AT/disk.raw"
by $A ok write "$F/run" now
looked "$F" error
[[ $(as $A cat "$F/last-error") == *"for the administrator"* ]] || fail "$(cat "$F/last-error")"
ok write "$F/url" "http://$AT/disk.raw"
by $A ok write "$F/sums" "http://$AT/SHA256SUMS"
by $A ok write "$F/run" now
looked "$F" error
[[ $(as $A cat "$F/last-error") == *"for the administrator"* ]] || fail "$(cat "$F/last-error")"
same "$(cat requests)" "" "requests"
ok write "$F/sums" "http://$AT/SHA256SUMS"
by $A ok write "$F/run" now
looked "$F" idle
image=$R/private/$(as $A ls "$F/images")
same "$(stat -c '%u %a' "$image")" "$A 700" "the image"
same "$(as $A sed -n 's/^private-images used=\([0-9]*\) .*/\1/p' "$R/quota")" 1 "her quota"
same "$(as $B ls "$R/private")" "" "what B sees"

# A group that may write it manages it, and what it brings is hers and the group's.
as $A chmod 770 "$F" || fail "chmod"
chgrp $B "$F" || fail "chgrp"
by $B ok write "$F/keep" 1
release 2
by $B ok write "$F/run" now
looked "$F" idle
image=$R/private/$(as $B ls "$F/images")
same "$(stat -c '%u %g %a' "$image")" "$A $B 770" "the next image"

# As many of hers as she may have; another's are another's.
ok write "$MNT/info/limits" "follows 1"
by $A expect EDQUOT mkdir "$R/follows/more"
by $B ok mkdir "$R/follows/his"
by $A ok mkdir "$R2/follows/mine"
refused EDQUOT "$R/follows/his" chown $A $A "$R/follows/his"
same "$(stat -c %u "$R/follows/his")" $B "whose it is"
[[ $(cat "$R/follows/his/last-error") == *"has 1 of 1 upstreams followed for $A: remove one of follows/, or"* ]] ||
        fail "$(cat "$R/follows/his/last-error")"
ok write "$MNT/info/limits" "follows 20"
chown $A "$R/follows/his" || fail "chown"
same "$(as $A cat "$R/follows/his/status")" idle "what was handed over"

# Three of a user's look at once, so that there is room for others'.
restart -o allow_other,import-private
touch up/disk.raw.held
: >requests
for i in 1 2 3 4; do
        by $A ok mkdir "$R/follows/at-once-$i"
        by $A ok write "$R/follows/at-once-$i/url" "http://$AT/disk.raw"
        by $A ok write "$R/follows/at-once-$i/run" now
done
looking() { [ "$(grep -c held requests)" = "$1" ]; }
until_true 60 looking 3 || fail "$(grep -c held requests) of hers look"
by $B ok mkdir "$R/follows/between"
by $B ok write "$R/follows/between/url" "http://$AT/disk.raw"
by $B ok write "$R/follows/between/run" now
until_true 60 looking 4 || fail "B's does not look"
same "$(cat "$MNT"/tasks/*/status | grep -cx queued)" 1 "those that wait"
refused EBUSY "$R/follows/at-once-1" chown $B $B "$R/follows/at-once-1"
[[ $(cat "$R/follows/at-once-1/last-error") == *"at-once-1 is running: wait for it"* ]] ||
        fail "$(cat "$R/follows/at-once-1/last-error")"
rm up/disk.raw.held
for i in 1 2 3 4; do looked "$R/follows/at-once-$i" idle; done
looked "$R/follows/between" idle
same "$(stat -c %u "$R/private/$(ls "$R/follows/between/images")")" $B "the owner of B's"
stop
check_store

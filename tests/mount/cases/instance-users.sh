# SPDX-License-Identifier: MIT
# Instances and disks of others: closed, unlisted, and not to be had by way of one's own.
. "$lib/users.sh"
A=12001 B=12002
users $A $B
start -o allow_other
two_regions
pattern disk.raw 1M 5
chmod 644 disk.raw
for uid in $A $B; do
        by $uid ok mkdir "$R/private/web-$uid"
        by $uid ok upload disk.raw "$R/private/web-$uid/upload"
        settle "$R/private/web-$uid"
        by $uid ok mkdir "$R/private/web-$uid/instances/vm-$uid"
done
vm=$R/instances/vm-$A
own=$R/instances/vm-$B
by $A ok mkdir "$R/disks/d1"
by $A ok write "$R/disks/d1/size" 1M
d=$R/disks/d1
same "$(stat -c '%a %u' "$vm" "$d" "$R/disks/vm-$A-vda" "$d/data.raw" | sort -u | tr '\n' ' ')" "600 $A 700 $A " "owners"
same "$(as $B ls "$R/instances" "$R/disks" | grep -c "$A\|d1")" 0 "B's listings"

for path in "$vm" "$vm/disks" "$d" "$d/snapshots" "$R/disks/vm-$A-vda"; do by $B expect EACCES opendir "$path"; done
for path in "$vm/status" "$vm/disks/vda.raw" "$vm/seed.iso" "$vm/user-data" "$d/data.raw" "$R/disks/vm-$A-vda/data.raw"; do
        by $B expect EACCES open r "$path"
done
by $B unchanged EACCES open rw "$vm/disks/vda.raw"
by $B unchanged EACCES write "$vm/power" start
by $B unchanged EACCES write "$vm/attach" d1
by $B unchanged EACCES mkdir "$vm/images/mine"
by $B unchanged EACCES mkdir "$d/snapshots/mine"
by $B unchanged EACCES truncate 2M "$d/data.raw"
by $B unchanged "EACCES|EPERM" rmdir "$vm"
by $B unchanged "EACCES|EPERM" rmdir "$d"
by $B unchanged "EACCES|EPERM" rename "$d" "$R/disks/mine"
by $B unchanged EEXIST mkdir "$d"
by $B unchanged EEXIST mkdir "$vm"

# By way of B's own instance: no disk of A's, by neither name.
for disk in d1 "$(cat "$d/id")" "vm-$A-vda"; do
        by $B refused EACCES "$own" write "$own/attach" "$disk"
        same "$(as $B cat "$own/last-error" | grep -c "$A")" "$([[ $disk == vm-* ]] && echo 1 || echo 0)" "the sentence"
done

# While A has it attached, B is told no more than that.
by $A ok write "$vm/attach" d1
by $B refused EACCES "$own" write "$own/attach" d1
same "$(as $B cat "$own/last-error" | grep -c "$A")" 0 "the sentence names A's instance"

# A group that may come in, and an owner who changes.
by $A ok write "$vm/detach" vdb
run chgrp $B "$d"
run chmod 770 "$d"
by $B ok write "$own/attach" d1
value "$d/instance" "vm-$B"
by $B ok write "$own/detach" vdb
run chown $B:$B "$vm"
by $B ok write "$vm/power" start
by $B ok write "$vm/power" stop
by $A expect EACCES opendir "$vm"
by $B ok pwrite 0 "$vm/disks/vda.raw" "of B"
with_it() { [ "$(stat -c %u "$R/disks/vm-$A-vda" "$vm/disks/vda.raw" | tr '\n' ' ')" = "$B $B " ]; }
until_true 5 with_it || fail "its disk is still $(stat -c %u "$vm/disks/vda.raw")'s" # as the kernel remembers for a second
by $A expect EACCES open r "$R/disks/vm-$A-vda/data.raw"
by $B ok rmdir "$vm"
by $A unchanged "EACCES|EPERM" rmdir "$own"
same "$(ls "$R/disks" | tr '\n' ' ')" "d1 vm-$B-vda " "disks"

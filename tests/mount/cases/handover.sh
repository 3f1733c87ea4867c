# SPDX-License-Identifier: MIT
# chown by root hands an object over: with its quota, with what is of no use without it, or not at all.
need_root "several users"
need setpriv
chmod 755 "$WORK"
A=12001 B=12002 GROUP=12100
cp "$FSOP" fsop
chmod 755 fsop
as() { # UID COMMAND …
        setpriv --reuid "$1" --regid "$1" --groups $GROUP "${@:2}"
}
by() { # ERRNO UID OP …
        local got
        got=$(as "$2" "$WORK/fsop" "${@:3}")
        # shellcheck disable=SC2053
        [[ ${got%% *} == @($1) ]] || fail "${*:2}: got $got, want $1"
}
has() { # UID private-images snapshots
        same "$(as "$1" cat "$R/quota" | sed -n '1,2s/.*used=\([0-9]*\) .*/\1/p' | tr '\n' ' ')" "$2 $3 " "what $1 has"
}
owners() { # FILES… belong to B, all that they are
        same "$(stat -c '%u %n' "$@" | grep -v "^$B ")" "" "not B's"
}
start -o allow_other
two_regions
pattern disk.raw 1M 5
chmod 644 disk.raw
web=$R/private/web
by ok $A mkdir "$web"
by ok $A upload "$WORK/disk.raw" "$web/upload"
settle "$web"
has $A 1 1

# Not by others, and only so far as modes go.
by EPERM $A chown $B $B "$web"
by EPERM $B chown $B $B "$web"
by EPERM $B chmod 777 "$web"
as $A chgrp $GROUP "$web" || fail "chgrp to a group of hers"
as $A chgrp $B "$web" 2>/dev/null && fail "chgrp to a group that is not hers"
by ok $A chmod 6750 "$web"
same "$(stat -c '%a %u %g' "$web")" "750 $A $GROUP" "no set-id bits"
for file in name status disks disks/vda.raw convert; do
        by EPERM $A chmod 777 "$web/$file"
        refused EPERM "$web" chmod 777 "$web/$file"
        refused EPERM "$web" chown $B $B "$web/$file"
done
refused EPERM - chown $B $B "$R"
refused EPERM - chmod 777 "$R/private"

# The quota of the new owner decides, that of the image and of its snapshot.
ok write "$R/quota" "$B private-images limit=0"
refused EDQUOT "$web" chown $B $B "$web"
[[ $(cat "$web/last-error") == *"0 of 0 private images for $B"* ]] || fail "$(cat "$web/last-error")"
ok write "$R/quota" "$B private-images limit=1"
ok write "$R/quota" "$B snapshots limit=0"
refused EDQUOT "$web" chown $B $B "$web"
ok write "$R/quota" "$B snapshots limit=1"
has $A 1 1
has $B 0 0
ok chown $B $B "$web"
has $A 0 0
has $B 1 1
owners "$web" "$web"/* "$R/snapshots/web" "$R/snapshots/web"/*
by EACCES $A opendir "$web"
by EACCES $A opendir "$R/snapshots/web"
by ok $B opendir "$web/disks"
by EDQUOT $B mkdir "$R/private/more"

# A machine with what was made with it; not while it runs, nor with another's disk in it.
by ok $B mkdir "$web/instances/vm"
vm=$R/instances/vm
by ok $B mkdir "$R/disks/data"
by ok $B write "$R/disks/data/size" 1M
by ok $B write "$vm/attach" data
ok write "$R/quota" "$B private-images limit=5"
refused EBUSY "$vm" chown $A $A "$vm"
refused EBUSY "$R/disks/data" chown $A $A "$R/disks/data"
by ok $B write "$vm/detach" vdb
refused EBUSY "$R/disks/vm-vda" chown $A $A "$R/disks/vm-vda"
by ok $B write "$vm/power" start
refused EBUSY "$vm" chown $A $A "$vm"
by ok $B write "$vm/power" stop
exec 7>>"$R/disks/data/data.raw"
refused EBUSY "$R/disks/data" chown $A $A "$R/disks/data"
exec 7>&-
until_true 10 chown $A:$A "$R/disks/data" || fail "a disk alone"
ok chown $A $A "$vm"
by ok $A open w "$vm/disks/vda.raw"
by ok $A opendir "$R/disks/vm-vda"
by EACCES $B opendir "$vm"
by EACCES $B open r "$R/disks/vm-vda/data.raw"
by ok $A chmod 750 "$vm"
as $A chgrp $GROUP "$vm" || fail "chgrp"
by ok $B open r "$vm/disks/vda.raw"
by EACCES $B open w "$vm/disks/vda.raw"

# The machine's new owner has no way into the image, so that the machine does not keep it; with one, it would.
same "$(as $B cat "$web/used-by")" "" "what keeps the image"
by ok $B mkdir "$web/shares/$A"
by EBUSY $B rmdir "$web"
same "$(as $B cat "$web/last-error" | grep -c "$A")" 1 "whose it is"
by ok $B rmdir "$web/shares/$A"

# Queued ones, recycled ones, tasks; the owner of a task cancels and forgets it.
by ok $B mkdir "$R/private/empty"
ok chown $A $A "$R/private/empty"
has $A 1 0
by ok $A rmdir "$R/private/empty"
by ok $A rmdir "$vm"
by ok $B rmdir "$web"
has $B 0 1
ok chown $A $A "$R/recycle/web"
has $A 0 1
by ok $A rename "$R/recycle/web" "$web"
has $A 1 1
task=$(task_of "$web" import)
by EPERM $B rmdir "$task"
by EACCES $B opendir "$task"
ok chown $B $B "$task"
by ok $B opendir "$task"
by ok $B rmdir "$task"
restart -o allow_other
has $A 1 1
has $B 0 0
same "$(stat -c %u "$R/disks/data")" $A "a disk alone"

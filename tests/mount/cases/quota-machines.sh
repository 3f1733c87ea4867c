# SPDX-License-Identifier: MIT
# Machines and disks have quotas, by their number and by the size that guests see; and of ended tasks the newest stay.
. "$lib/users.sh"
A=12001 B=12002
users $A $B
start -o allow_other
two_regions
pattern disk.raw 3M 5
chmod 644 disk.raw
import_raw "$R/public/p" disk.raw
M=1048576
# What one of A, or of the user in the second place, has of each.
count() { as "${2:-$A}" sed -n "s/^$1 used=\([0-9]*\) .*/\1/p" "$R/quota"; }
has() { # INSTANCES DISKS BYTES [USER]
        set -- "$1" "$2" "$3" "${4:-$A}"
        same "$(count instances "$4") $(count disks "$4") $(count disk-bytes "$4")" "$1 $2 $3" "what $4 has"
}
sentence() { as "${2:-$A}" tail -n 1 "$MNT/info/errors" | grep -qF "$1" || fail "not '$1' but: $(tail -n 1 "$MNT/info/errors")"; }

# As many as the library lets everybody have; each counts at once.
has 0 0 0
for n in $(seq 50); do by $A ok mkdir "$R/instances/i$n"; done
by $A expect EDQUOT mkdir "$R/instances/i51"
sentence "cn-north-1 has 50 of 50 instances for $A: delete one, or have the limit raised"
by $A expect EDQUOT mkdir "$R/public/p/instances/i51"
by $B ok mkdir "$R/instances/b1" # each user by herself
by $A ok mkdir "$R2/instances/i51" # each region by itself
ok write "$R/quota" "$A instances limit=51"
by $A ok mkdir "$R/instances/i51"
by $A expect EDQUOT mkdir "$R/instances/i52"
for n in $(seq 51); do by $A ok rmdir "$R/instances/i$n"; done
by $B ok rmdir "$R/instances/b1"
for n in $(seq 50); do by $A ok mkdir "$R/disks/d$n"; done
by $A expect EDQUOT mkdir "$R/disks/d51"
sentence "cn-north-1 has 50 of 50 disks for $A: delete one, or have the limit raised"
by $A expect EDQUOT mkdir "$R/public/p/instances/vm" # whose system disk would be one more
has 0 50 0
for n in $(seq 3 50); do by $A ok rmdir "$R/disks/d$n"; done

# Bytes are those that a guest would see: nothing of it has been written (and to look
# whether anything changed would read them all).
by $A ok write "$R/disks/d1/size" 10T
has 0 2 $((10 * M * M))
by $A expect EDQUOT write "$R/disks/d2/size" 1
sentence "cn-north-1 has $((10 * M * M)) of $((10 * M * M)) bytes of disks for $A, and this needs 1: delete disks of 1 byte, or have the limit raised"
value "$R/disks/d2/size" ""
by $A expect EDQUOT truncate 11T "$R/disks/d1/data.raw"
same "$(stat -c %s "$R/disks/d1/data.raw")" $((10 * M * M)) "size of d1"
by $A expect EDQUOT mkdir "$R/public/p/instances/vm"
by $A ok rmdir "$R/disks/d1"
by $A ok rmdir "$R/disks/d2"
has 0 0 0

# Every way of having them: 12 MiB and three disks are what A may have.
ok write "$R/quota" "$A disk-bytes limit=12M"
ok write "$R/quota" "$A disks limit=3"
vm=$R/instances/vm
by $A ok mkdir "$R/public/p/instances/vm"
has 1 1 $((3 * M))
by $A ok truncate 5M "$vm/disks/vda.raw"
has 1 1 $((5 * M))
by $A refused EDQUOT "$R/disks/vm-vda" truncate 13M "$vm/disks/vda.raw"
by $A ok write "$vm/image" public/p # anew, and as small as at first
has 1 1 $((3 * M))
by $A ok write "$vm/type" local
has 1 0 $((3 * M))
by $A ok mkdir "$R/disks/d1"
by $A ok write "$R/disks/d1/size" 4M
by $A ok mkdir "$R/disks/d1/snapshots/s"
until_true 10 grep -q available "$R/snapshots/s/status" || fail "no snapshot"
by $A ok mkdir "$R/snapshots/s/disks/d2"
by $A refused EDQUOT "$R/snapshots/s" mkdir "$R/snapshots/s/disks/d3"
by $A ok mkdir "$R/disks/d3"
has 1 3 $((11 * M))
by $A refused EDQUOT "$vm" write "$vm/type" cloud
by $A ok rmdir "$R/disks/d3"
by $A ok write "$vm/type" cloud
by $A ok write "$vm/attach" d1
has 1 3 $((11 * M))
by $A ok write "$vm/image-disks" none
by $A ok mkdir "$vm/images/made"
settle "$R/private/made"
by $A ok write "$vm/detach" vdb
has 1 3 $((11 * M))

# Handed over, they are the other's.
ok write "$R/quota" "$B disk-bytes limit=6M"
ok chown $B $B "$vm"
ok write "$R/quota" "$B instances limit=1"
has 0 2 $((8 * M))
has 1 1 $((3 * M)) $B
refused EDQUOT "$R/disks/d1" chown $B $B "$R/disks/d1"
same "$(stat -c %u "$R/disks/d1")" $A "owner of d1"
by $A ok mkdir "$R/instances/vm2"
refused EDQUOT "$R/instances/vm2" chown $B $B "$R/instances/vm2"
ok write "$R/quota" "$B disk-bytes limit=1G"
ok chown $B $B "$R/disks/d1"
has 1 1 $((4 * M))
has 1 2 $((7 * M)) $B

# Who has what is the administrator's to see.
same "$(grep "^$A disk" "$R/quota-by-user")" "$A disks used=1 limit=3
$A disk-bytes used=$((4 * M)) limit=$((12 * M))" "A's"
same "$(grep -c "^$B " "$R/quota-by-user") $(grep "^$B instances" "$R/quota-by-user")" "6 $B instances used=1 limit=1" "B's"
by $A expect EACCES open r "$R/quota-by-user"
expect "EPERM|EACCES" write "$R/quota-by-user" "$A disks limit=4"
restart -o allow_other
has 1 1 $((4 * M))
has 1 2 $((7 * M)) $B
by $B ok rmdir "$vm"
has 0 1 $((4 * M)) $B

# Tasks: of each user the newest that ended.
ok write "$MNT/info/limits" "ended-tasks 3"
tasks() { as $1 ls "$MNT/tasks" | wc -l; }
as_many() { [ "$(tasks $1)" = "$2" ]; }
ok write "$R/quota" "$A snapshots limit=50"
for n in $(seq 6); do
        by $A ok mkdir "$R/disks/d2/snapshots/t$n"
        until_true 10 grep -q available "$R/snapshots/t$n/status" || fail "no snapshot"
        last=$(as $A ls -t "$MNT/tasks" | head -n 1)
done
until_true 10 as_many $A 3 || fail "A has $(tasks $A) tasks"
[ -d "$MNT/tasks/$last" ] || fail "the newest is gone"
ok write "$MNT/info/limits" "ended-tasks 1"
until_true 10 as_many $A 1 || fail "A has $(tasks $A) tasks"
as_many $B 0 || fail "B has $(tasks $B) tasks"

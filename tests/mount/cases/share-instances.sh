# SPDX-License-Identifier: MIT
# Instances of a shared image are hers who made them, whatever becomes of the share; while it lasts they keep the image.
. "$lib/users.sh"
A=12001 B=12002 C=12003
users $A $B $C
start -o allow_other
two_regions
pattern disk.raw 3M 5
chmod 644 disk.raw
web=$R/private/web
view=$R/shared/web
by $A ok mkdir "$web"
by $A ok upload disk.raw "$web/upload"
settle "$web"
by $A ok write "$web/features" cloud-init
by $A ok mkdir "$web/shares/$B"
by $A ok mkdir "$web/shares/$C"

# Both ways of making one. Disks are clones of B's own.
by $B ok mkdir "$view/instances/vm1"
by $B ok mkdir "$R/instances/vm2"
by $B ok write "$R/instances/vm2/image" shared/web
for vm in vm1 vm2; do
        same "$(stat -c '%a %u' "$R/instances/$vm") $(stat -c '%a %u' "$R/disks/$vm-vda")" "700 $B 700 $B" "$vm is B's"
        same "$(as $B cat "$R/instances/$vm/image") $(cat "$R/instances/$vm/type")" "shared/web cloud" "image of $vm"
        same_disk <(as $B cat "$R/instances/$vm/disks/vda.raw") disk.raw
done
same "$(as $B ls "$view/instances" | tr '\n' ' ')" "vm1 vm2 " "B's instances"
same "$(as $C ls "$view/instances")$(as $A ls "$web/instances")" "" "what others see of them"
same "$(as $B readlink "$view/instances/vm1/status")" "../../../../instances/vm1/status" "the link"
same "$(as $B cat "$view/instances/vm1/status")" stopped "status through it"
by $B ok write "$R/instances/vm1/hostname" server
by $C expect EACCES opendir "$view/instances/vm1"
by $C expect EACCES stat "$view/instances/vm1/status"
by $C unchanged EEXIST mkdir "$R/instances/vm1"
by $C unchanged "EPERM|EACCES" rmdir "$view/instances/vm1"

# As long as the share lasts they keep the image; whose they are is all that A is told.
by $A refused EBUSY "$web" rmdir "$web"
same "$(as $A cat "$web/last-error" | sentence_alone)" "web: an instance of $B was made from it: it has to be removed first" "the sentence"
same "$(as $A cat "$web/used-by")" "instances-of $B" "A's used-by"
value "$web/used-by" "instance instances/vm1
instance instances/vm2"
same "$(as $A cat "$MNT/info/errors" | grep -c vm)" 0 "A's errors"
by $A unchanged "EPERM|EACCES" rmdir "$web/instances/vm1"
by $A expect EACCES opendir "$web/instances/vm1"
same "$(as $A find "$MNT" -name '*vm[12]*' 2>/dev/null)" "" "A's find"

# Strangers: neither way.
by $A ok rmdir "$web/shares/$C"
by $C ok mkdir "$R/instances/vm3"
by $C unchanged EACCES mkdir "$view/instances/vm4"
for name in shared/web private/web "$(cat "$web/id")"; do
        by $C refused EACCES "$R/instances/vm3" write "$R/instances/vm3/image" "$name"
        same "$(as $C cat "$R/instances/vm3/last-error" | grep -c web)" 0 "the sentence names the image"
done
by $C refused ENOENT "$R/instances/vm3" write "$R/instances/vm3/image" shared/nothing

# The share ends; the machine does not.
exec 8<>"$R/instances/vm1/disks/vda.raw"
by $A ok mkdir "$web/shares/$C"
by $A ok rmdir "$web/shares/$B"
by $B expect EACCES opendir "$view/instances"
by $B expect EACCES opendir "$view/instances/vm1"
by $B expect EACCES stat "$view/instances/vm1/status"
by $B expect EACCES rmdir "$view/instances/vm1"
by $A ok rmdir "$web/shares/$C"
printf changed >&8
exec 8>&-
until_true 5 grep -q stopped "$R/instances/vm1/status"
same "$(as $B head -c 7 "$R/instances/vm1/disks/vda.raw")" changed "the disk"
same "$(as $B cat "$R/instances/vm1/image")" "$(cat "$web/id")" "image of vm1 is an id now"
by $A ok rename "$web" "$R/private/secret"
same "$(as $B grep -rc secret "$R/instances/vm1/" 2>/dev/null | grep -v ':0')" "" "the new name shows"
by $A ok rename "$R/private/secret" "$web"
by $B refused EACCES "$R/instances/vm2" write "$R/instances/vm2/image" "$(cat "$web/id")"
by $B refused ENOENT "$R/instances/vm2" write "$R/instances/vm2/image" shared/web
# Nor what A writes of the image now.
by $A ok write "$web/platform" "Secret Linux"
by $A ok write "$web/os" linux
by $B ok mkdir "$R/instances/vm1/images/own"
settle "$R/private/own"
by $A ok write "$web/features" hot-upgrade
by $B ok write "$R/instances/vm1/hostname" elsewhere
same "$(as $B cat "$R/private/own/platform" "$R/private/own/os" "$R/private/own/features")" "" "what B's image has of A's texts"
same "$(stat -c '%a %u' "$R/private/own") $(cat "$R/private/own/owner")" "700 $B $B" "B's own image"
same "$(as $B head -c 7 "$R/private/own/disks/vda.raw")" changed "its disk"

# From then on they keep no image of A's, and lose nothing with it.
same "$(as $A cat "$web/used-by")" "" "used-by"
restart -o allow_other
same "$(cat "$web/used-by")" "" "used-by, for root"
by $A ok rmdir "$web"
same "$(as $B cat "$R/instances/vm1/image")" "$(cat "$R/recycle/web/id")" "image of vm1"
by $A ok rmdir "$R/recycle/web"
same "$(as $B cat "$R/instances/vm1/image") $(as $B cat "$R/instances/vm1/type")" " cloud" "vm1 has no image"
same_disk <(as $B cat "$R/instances/vm2/disks/vda.raw") disk.raw
by $B ok write "$R/instances/vm1/power" start
by $B ok write "$R/instances/vm1/power" stop
by $B ok write "$R/instances/vm1/password" "other than the image's"
by $B refused EOPNOTSUPP "$R/instances/vm1" write "$R/instances/vm1/type" local
by $B ok mkdir "$R/instances/vm1/images/later"
settle "$R/private/later"
same "$(as $B head -c 7 "$R/private/later/disks/vda.raw")" changed "its disk"
stop
check_store
start -o allow_other

# An owner makes them independent by a word.
by $B ok write "$R/instances/vm1/image" private/own
by $B refused EBUSY "$R/private/own" rmdir "$R/private/own"
by $B ok write "$R/instances/vm1/power" start
by $B refused EBUSY "$R/instances/vm1" write "$R/instances/vm1/image" none
by $B ok write "$R/instances/vm1/power" stop
by $B ok write "$R/instances/vm1/image" none
same "$(as $B cat "$R/instances/vm1/image")$(as $B cat "$R/private/own/used-by")" "" "image of vm1, and used-by"
same "$(as $B head -c 7 "$R/instances/vm1/disks/vda.raw")" changed "the disk"
by $B ok rmdir "$R/private/own"
for vm in vm1 vm2; do
        by $B ok rmdir "$R/instances/$vm"
done

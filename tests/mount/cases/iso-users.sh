# SPDX-License-Identifier: MIT
# iso/ is for every user, as private/ is; an ISO goes into the drive of a stopped machine and comes out again.
. "$lib/users.sh"
A=12001 B=12002
users $A $B
start -o allow_other
two_regions

make_iso a.iso 71
make_iso b.iso 72
make_iso root.iso 73
used() { # UID
        as "$1" cat "$R/quota" | sed -n 's/^private-images used=\([0-9]*\) .*/\1/p'
}

# A's own, for nobody else to read, and counted; root's for all, and not.
same "$(stat -c %a "$R/iso")" 777 "iso/"
as $A cp a.iso "$R/iso/" || fail "A cannot import"
settle "$R/iso/a"
same "$(stat -c '%a %u' "$R/iso/a")" "700 $A" "A's ISO"
same "$(used $A)" 1 "A's quota"
by $A expect "EINVAL" create "$R/private/a.iso"
[[ $(as $A cat "$MNT/info/errors") == *"ISO files go into iso/"* ]] || fail "no word of iso/"
run cp root.iso "$R/iso/"
settle "$R/iso/root"
same "$(used 0)" 0 "root's quota"
same "$(as $B ls "$R/iso")" root "what B sees"
cmp <(as $B cat "$R/iso/root/disks/vda.raw") root.iso || fail "B cannot read root's"
by $B expect EACCES open r "$R/iso/a/disks/vda.raw"
by $B expect EEXIST mkdir "$R/iso/a"
by $B expect "EACCES|EPERM" rmdir "$R/iso/a"
by $B expect "EACCES|EPERM" rename "$R/iso/a" "$R/iso/b"
by $B expect "EACCES|EPERM" write "$R/iso/root/name" mine
by $B expect "EACCES|EPERM" rmdir "$R/iso/root"

# No way around the quota: made, restored, handed over.
ok write "$R/quota" "$A private-images limit=1"
by $A expect EDQUOT mkdir "$R/iso/second"
by $A expect EDQUOT mkdir "$R/private/second"
by $A ok rmdir "$R/iso/a"
same "$(used $A)" 0 "recycled"
by $A expect EPERM rename "$R/recycle/a" "$R/private/a"
by $A ok mkdir "$R/private/second"
by $A expect EDQUOT rename "$R/recycle/a" "$R/iso/a"
by $A ok rmdir "$R/private/second"
by $A ok rename "$R/recycle/a" "$R/iso/a"
same "$(used $A)" 1 "restored"
same_disk "$R/iso/a/disks/vda.raw" a.iso
expect EDQUOT chown "$A" "$A" "$R/iso/root"

# A machine from it has it in its drive from the start.
by $A ok mkdir "$R/iso/a/instances/vm"
vm=$R/instances/vm
value "$vm/cdrom" iso/a
same_disk "$vm/disks/cdrom.iso" a.iso
by $A expect EBUSY rmdir "$R/iso/a"

# Another one, by name, path or id, seen at once under the same name; none.
by $A ok write "$vm/cdrom" root
value "$vm/cdrom" iso/root
same_disk "$vm/disks/cdrom.iso" root.iso
by $A ok write "$vm/cdrom" iso/a
same_disk "$vm/disks/cdrom.iso" a.iso
by $A ok write "$vm/cdrom" "$(cat "$R/iso/root/id")"
same_disk "$vm/disks/cdrom.iso" root.iso
by $A ok write "$vm/cdrom" none
value "$vm/cdrom" ""
same "$(ls "$vm/disks")" vda.raw "an empty drive"
expect ENOENT open r "$vm/disks/cdrom.iso"

# Of any machine; the ISO stays as long as one has it.
pattern disk.raw 1M 5
chmod 644 disk.raw
ok write "$R/quota" "$A private-images limit=5"
by $B ok mkdir "$R/private/web"
by $B ok upload disk.raw "$R/private/web/upload"
settle "$R/private/web"
by $B ok write "$R/private/web/os" kylin
by $B ok write "$R/private/web/boot-mode" uefi
by $B ok write "$R/private/web/architecture" aarch64
by $B ok mkdir "$R/private/web/instances/other"
other=$R/instances/other
value "$other/os" kylin
value "$other/boot-mode" uefi
value "$other/architecture" aarch64
value "$vm/os" ""
for file in os boot-mode architecture; do by $B expect "EPERM|EACCES" write "$other/$file" ""; done
by $B expect EACCES write "$other/cdrom" iso/a
by $B expect ENOENT write "$other/cdrom" iso/none-such
by $B expect EINVAL write "$other/cdrom" private/web
[[ $(cat "$other/last-error") == *"web is no ISO"* ]] || fail "no sentence: $(cat "$other/last-error")"
value "$other/cdrom" ""
by $B ok write "$other/cdrom" root
same_disk "$other/disks/cdrom.iso" root.iso
grep -qx "instance instances/other" "$R/iso/root/used-by" || fail "used-by: $(cat "$R/iso/root/used-by")"
refused EBUSY "$R/iso/root" rmdir "$R/iso/root"
[[ $(cat "$R/iso/root/last-error") == *drive* ]] || fail "not why: $(cat "$R/iso/root/last-error")"
by $B ok write "$other/power" start
by $B expect EBUSY write "$other/cdrom" none
same_disk "$other/disks/cdrom.iso" root.iso
by $B ok write "$other/power" stop
restart -o allow_other
value "$other/cdrom" iso/root

# A group's machine reads what is in its drive, whoever may enter the image.
run chgrp $B "$vm"
by $A ok chmod 0750 "$vm"
by $A ok write "$vm/cdrom" iso/a
cmp <(as $B cat "$vm/disks/cdrom.iso") a.iso || fail "the group cannot read the CD"
by $B expect EACCES open r "$R/iso/a/disks/vda.raw"
by $B ok rmdir "$other"
ok rmdir "$R/iso/root"

# Images for all are both, whatever is asked for.
for class in public marketplace; do
        ok mkdir "$R/$class/web"
        for type in local cloud; do refused EINVAL "$R/$class/web" write "$R/$class/web/type" $type; done
        ok write "$R/$class/web/type" both
        ok upload disk.raw "$R/$class/web/upload"
        settle "$R/$class/web"
        mapping=$(cat "$R/$class/web/device-mapping")
        [[ $mapping =~ ^/dev/vda\ system\ image:img-[a-z0-9]*,snapshot:snap-[a-z0-9]*\ 1048576$ ]] || fail "$mapping"
done
by $B refused EINVAL "$R/private/web" write "$R/private/web/os" solaris

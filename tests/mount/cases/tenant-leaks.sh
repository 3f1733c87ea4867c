# SPDX-License-Identifier: MIT
# Nothing of one tenant reaches another: one fills every field that there is with words of his own, is refused, works,
# shares and removes; for the other the tree stays byte for byte what it was, and no sentence tells her a word of it.
. "$lib/users.sh"
need getfattr python3
A=12001 B=12002 C=12003
users $A $B $C
start -o allow_other
two_regions
pattern disk.raw 1M 5
pattern other.raw 1M 6
head -c 4M /dev/urandom >hidden.raw
chmod 644 ./*.raw
import_raw "$R/public/base" disk.raw
ok write "$R/public/base/features" cloud-init
by $B ok mkdir "$R/private/mine"
by $B ok upload "$WORK/other.raw" "$R/private/mine/upload"
settle "$R/private/mine"

# What B can see: names, numbers, times, contents, attributes, and what the file system says of itself.
view() {
        as $B bash -c "$(declare -f tree_snapshot); MNT=$MNT tree_snapshot
                       cat '$MNT/info/errors' '$R/public/base/last-error'
                       stat -c '%n %s %y' '$MNT/info/store'
                       stat -f -c '%b %f %a %c %d' '$MNT' '$R/private'
                       ls -U '$MNT/tasks' '$R'/*/
                       find '$MNT' -type d -exec getfattr -h -d -m - --absolute-names {} +" 2>&1
}
view >before
[ "$(wc -l <before)" -gt 200 ] || fail "B's view: $(head -n 20 before)"

# ---- A fills every field with words that begin alike ----

by $A ok mkdir "$R/private/zqx-image"
web=$R/private/zqx-image
by $A ok upload "$WORK/hidden.raw" "$web/upload"
settle "$web"
for field in description project-group provider platform platform-version; do
        by $A ok write "$web/$field" "zqx-$field"
done
by $A ok write "$web/labels" "zqx-label=zqx-value"
by $A ok write "$web/name" "zqx-display-name"
by $A ok write "$web/features" cloud-init
by $A ok mkdir "$web/instances/zqx-vm"
vm=$R/instances/zqx-vm
by $A ok write "$vm/name" zqx-vm-name
by $A ok write "$vm/description" zqx-vm-description
by $A ok write "$vm/hostname" zqx-host
by $A ok write "$vm/password" zqx-password-1
by $A ok write "$vm/ssh-keys" "ssh-ed25519 AAAAzqxkey zqx-comment"
by $A ok mkdir "$R/disks/zqx-disk"
by $A ok write "$R/disks/zqx-disk/size" 1M
by $A ok write "$vm/attach" zqx-disk
by $A ok mkdir "$R/snapshots/zqx-image/disks/zqx-from-snapshot"
by $A ok mkdir "$vm/images/zqx-captured"
settle "$R/private/zqx-captured"
by $A ok mkdir "$web/copies/cn-east-2"
settle "$R2/private/zqx-image"
by $A ok mkdir "$R/private/zqx-local"
by $A ok write "$R/private/zqx-local/type" local
by $A ok upload "$WORK/disk.raw" "$R/private/zqx-local/upload"
settle "$R/private/zqx-local"
by $A ok write "$R/private/zqx-local/convert" "cloud zqx-converted"
settle "$R/private/zqx-converted"
by $A ok mkdir "$R/private/zqx-gone"
by $A ok upload "$WORK/disk.raw" "$R/private/zqx-gone/upload"
settle "$R/private/zqx-gone"
by $A ok rmdir "$R/private/zqx-gone"
# … on what everybody reads, too, and is refused there.
by $A ok mkdir "$R/public/base/instances/zqx-public-vm"
by $A expect EEXIST mkdir "$R/public/base/instances/zqx-vm"
by $A expect EINVAL write "$web/os" zqx-os
by $A expect EBUSY rmdir "$web"
by $A expect "EACCES|EPERM" write "$R/public/base/name" zqx-name
expect EBUSY rmdir "$R/public/base"
grep -q "instance of $A" "$R/public/base/last-error" || fail "root is not told what keeps the image"
by $A ok mkdir "$web/shares/$C"
by $A expect EBUSY rmdir "$web"

as $A find "$MNT" -name '*zqx*' | grep -c . >count
[ "$(cat count)" -ge 15 ] || fail "A sees $(cat count) things of A's"
for uid in $A 0; do # what depends on who reads is asked for by others first
        as $uid cat "$R"/images.* "$R/quota" "$MNT/info/errors" "$R/public/base/last-error" >lists
        grep -qa zqx-image lists || fail "$uid does not find the image in its lists"
done
view >after
cmp -s before after || fail "B's view has changed: $(diff before after | head -n 20)"
# … and neither does the one it is shared with see more than the image.
same "$(as $C find "$MNT" -name '*zqx*' ! -path '*/shared/zqx-image*')" "" "what C finds"
as $C find "$MNT" -type f ! -name '*.raw' ! -name '*.qcow2' ! -path '*/shared/zqx-image/*' -exec cat {} + 2>/dev/null |
        grep -a zqx | grep -vE 'shared[,"].*zqx-image|"?(name|project_group|handle)"?: "zqx-(display-name|project-group|image)"' |
        grep -a . && fail "C reads more than what is shared"

# ---- B asks for what she guesses the names of: she is refused, and the sentence says nothing that she did not ----

by $B ok mkdir "$R/instances/b-vm"
by $B ok write "$R/instances/b-vm/image" public/base
for step in "EACCES write $R/instances/b-vm/image private/zqx-image" \
        "EACCES write $R/instances/b-vm/attach zqx-disk" \
        "EACCES write $R/batch copy|cn-east-2|zqx-image" \
        "EACCES write $R/batch delete|zqx-image" \
        "EACCES|ENOENT write $R/instances/b-vm/image shared/zqx-image" \
        "EACCES open|r $R/snapshots/mine/changed/zqx-image" \
        "EACCES stat $R/snapshots/mine/changed/zqx-image" \
        "EACCES stat $web/name" \
        "EACCES opendir $web" \
        "EACCES opendir $R/shared/zqx-image" \
        "EACCES opendir $R/recycle/zqx-gone" \
        "EACCES opendir $vm" \
        "EACCES open|r $R/snapshots/zqx-image/data.raw" \
        "EACCES|ENODATA getxattr|user.imagefs.name $web" \
        "EACCES|EPERM rmdir $web" \
        "EEXIST mkdir $web" \
        "EEXIST mkdir $vm" \
        "EEXIST mkdir $R/public/base/instances/zqx-vm"; do
        read -r want op path text <<<"$step"
        # shellcheck disable=SC2086
        by $B expect "$want" ${op//|/ } "$path" ${text:+"${text//|/ }"}
done
as $B cat "$MNT/info/errors" "$R"/*/*/last-error 2>/dev/null | tr -c 'a-z0-9-' '\n' | grep zqx | sort -u >words
same "$(tr '\n' ' ' <words)" "zqx-disk zqx-image zqx-vm " "the words that B has been told"
for t in "$MNT"/tasks/*/; do
        [ "$(cat "$t/owner")" != $A ] || by $B expect EACCES opendir "$t"
done
by $B expect EACCES opendir "$STORE"
by $B expect EACCES open r "$MNT/info/store"

# Sizes of what is hers say nothing of whether others have the same bytes: what A has is as large to her as what nobody has.
for name in hidden fresh; do
        [ -f $name.raw ] || { head -c 4M /dev/urandom >$name.raw; chmod 644 $name.raw; }
        stat -f -c '%b %f %a' "$R/private" >statfs-before
        by $B ok mkdir "$R/private/$name"
        by $B ok upload "$WORK/$name.raw" "$R/private/$name/upload"
        settle "$R/private/$name"
        as $B stat -f -c '%b %f %a' "$R/private"
        as $B stat -c '%s %b' "$R/private/$name/disks/vda.raw" "$R/snapshots/$name/data.raw"
        as $B cat "$R/private/$name/progress" "$R/private/$name/copy-targets" "$R/private/$name/size"
done >sizes
same "$(head -n $(($(wc -l <sizes) / 2)) sizes)" "$(tail -n $(($(wc -l <sizes) / 2)) sizes)" "sizes"

# When all of A's is gone, that shows nowhere either.
for d in private/hidden private/fresh; do by $B ok rmdir "$R/$d"; done
for d in recycle/hidden recycle/fresh instances/b-vm; do by $B ok rmdir "$R/$d"; done
view >before
for d in instances/zqx-vm instances/zqx-public-vm disks/zqx-disk disks/zqx-from-snapshot; do by $A ok rmdir "$R/$d"; done
for d in private/zqx-image private/zqx-captured private/zqx-local private/zqx-converted; do by $A ok rmdir "$R/$d"; done
view >after
cmp -s before after || fail "B's view has changed: $(diff before after | head -n 20)"

# SPDX-License-Identifier: MIT
# Mounted by root for all: who owns, enters, lists and changes what.
. "$lib/users.sh"
A=12001 B=12002
users $A $B
start -o allow_other
two_regions
pattern disk.raw 2M 5
chmod 644 disk.raw

# What everybody may and nobody may.
for dir in private iso snapshots recycle public marketplace; do
        same "$(stat -c '%a %u' "$R/$dir")" "777 0" "$dir"
done
# In regions/, public/ and marketplace/ the daemon refuses, not the kernel: with a sentence, and nothing is changed.
said() {
        local last
        last=$(as $A tail -n 1 "$MNT/info/errors")
        [[ $last == *"$1" ]] || fail "not '$1' but: $last"
}
import_raw "$R/public/shown" disk.raw
regions="only the administrator makes, renames and removes them: ask for one"
by $A refused EACCES - mkdir "$MNT/regions/mine"
said "mkdir regions/mine: regions: $regions"
by $A refused EACCES - rmdir "$R2"
by $A refused EACCES - rename "$R2" "$MNT/regions/mine"
said ": regions: $regions"
by $A ok mkdir "$R/private/hers"
for dir in public marketplace; do
        class="$dir: only the administrator changes what is in it: make the image in private/, and ask for it to be published"
        by $A refused EACCES - mkdir "$R/$dir/mine"
        said "mkdir $dir/mine: $class"
        by $A refused EACCES - create "$R/$dir/mine.raw" x
        said "create $dir/mine.raw: $class"
        by $A refused EACCES - rename "$R/private/hers" "$R/$dir/hers"
        said "$class"
done
by $A refused EACCES - rmdir "$R/public/shown"
by $A refused EACCES - rename "$R/public/shown" "$R/public/other"
by $A unchanged EACCES rename "$R/public/shown" "$R/private/shown" # the kernel: it is to have another parent
by $A ok rmdir "$R/private/hers"
ok rmdir "$R/public/shown"
ok rmdir "$R/recycle/shown"
by $A expect "EACCES|EPERM" write "$MNT/info/limits" "private-images 99"
by $A expect "EACCES|EPERM" write "$R/quota" "private-images limit=99"
by $A expect "EACCES|EPERM" write "$R/store" "$WORK/x"
by $A expect "EACCES|EPERM" open r "$MNT/info/store"

# A makes an image. It is A's, mode 0700.
by $A ok mkdir "$R/private/web"
same "$(stat -c '%a %u %g' "$R/private/web")" "700 $A $A" "A's image"
by $A ok upload disk.raw "$R/private/web/upload"
as $A timeout 60 cat "$R/private/web/wait" >/dev/null
by $A expect ok stat "$R/private/web/status"
value "$R/private/web/status" available
value "$R/private/web/owner" "$A"
same "$(stat -c '%a %u' "$R/snapshots/web")" "700 $A" "A's snapshot"
cmp <(as $A cat "$R/private/web/disks/vda.raw") disk.raw || fail "A cannot read A's disk"

# Who reads all that she is shown is refused nothing; the administrator is shown more.
for uid in $A $B; do
        as $uid grep -r nothing-like-this "$MNT" >/dev/null 2>err
        same "$(cat err)" "" "grep -r by $uid"
done
same "$(as $A ls "$MNT/info" "$R" | grep -cx 'store\|quota-by-user')" 1 "what A is shown of what is root's" # the region's store
same "$(ls "$MNT/info" "$R" | grep -cx 'store\|quota-by-user')" 3 "what root is shown"
by $A expect EACCES open r "$R/quota-by-user"

# B: it is there to make (EEXIST), not to enter, not in any listing, whatever root or A has had looked up.
ls -lR "$MNT" >/dev/null
for round in cold warm; do
        by $B expect EACCES stat "$R/private/web/name"
        by $B expect EACCES opendir "$R/private/web"
        by $B expect EACCES open r "$R/private/web/disks/vda.raw"
        by $B expect EACCES open r "$R/private/web/wait"
        by $B expect EACCES write "$R/private/web/name" stolen
        by $B expect EACCES opendir "$R/snapshots/web"
        by $B expect EACCES open r "$R/snapshots/web/data.raw"
        by $B expect EEXIST mkdir "$R/private/web"
        by $B expect "EACCES|EPERM" rmdir "$R/private/web"
        by $B expect "EACCES|EPERM" rename "$R/private/web" "$R/private/mine"
        by $B expect "EACCES|EPERM" chmod 777 "$R/private/web"
        by $B expect "EACCES|EPERM" chown $B $B "$R/private/web"
        by $B expect "EACCES|EPERM" rmdir "$R/snapshots/web"
        by $B expect "EACCES" mkdir "$R/private/web/copies/cn-east-2"
        by $B expect "EACCES|EPERM|EINVAL|ENODATA" getxattr user.imagefs.name "$R/private/web"
        by $B expect "ENOENT|EACCES|EPERM" write "$R/batch" "delete web"
        by $B expect "ENOENT|EACCES|EPERM" write "$R/batch" "delete $(cat "$R/private/web/id")"
        same "$(as $B ls "$R/private")$(as $B ls "$R/snapshots")$(as $B ls "$MNT/tasks")" "" "B's listings ($round)"
        same "$(as $B find "$MNT" -name '*web*' 2>/dev/null)" "" "B's find ($round)"
done
value "$R/private/web/name" web
same "$(as $A ls "$R/private")" web "A's listing"
same "$(as $A ls "$MNT/tasks" | wc -l)" 1 "A's tasks"

# Texts that depend on who reads.
same "$(as $A cat "$R/quota" | head -n 1)" "private-images used=1 limit=5" "A's quota"
same "$(as $B cat "$R/quota" | head -n 1)" "private-images used=0 limit=5" "B's quota"
same "$(cat "$R/quota" | head -n 1)" "private-images used=0 limit=5" "root's quota"
same "$(as $A cat "$R/images.csv" | wc -l) $(as $B cat "$R/images.csv" | wc -l) $(wc -l <"$R/images.csv")" "2 1 2" "rows"
same "$(as $B cat "$R/images.json" | grep -c web)" 0 "B's images.json"
same "$(as $A cat "$MNT/images.csv" | wc -l) $(as $B cat "$MNT/images.csv" | wc -l) $(wc -l <"$MNT/images.csv")" "2 1 2" "rows of all regions"
same "$(as $B cat "$MNT"/images.* | grep -c web)" 0 "B's lists of all regions"
by $A expect EINVAL write "$R/private/web/os" beos
grep -q . "$MNT/info/errors" || fail "root sees no errors"
same "$(as $B cat "$MNT/info/errors" | grep -c -e beos -e "private/web" -e linux)" 0 "A's errors in B's list"
[ "$(as $A cat "$MNT/info/errors" | wc -l)" -ge 1 ] || fail "A does not see A's errors"
# Sizes agree with content for each of them, each time.
for uid in $A $B 0 $A; do
        for file in "$R/quota" "$R/images.csv" "$R/images.json" "$MNT"/images.* "$MNT/info/errors"; do
                same "$(as $uid stat -c %s "$file")" "$(as $uid cat "$file" | wc -c)" "size of $file for $uid"
        done
done

# Backup by a user: her own and what is public, without an error.
as $B tar -cf /dev/null -C "$MNT" . 2>err || [ "$(grep -vc 'info/store\|file changed' err)" -le 1 ] || fail "tar by B: $(cat err)"

# Public images: readable by all, changed by root alone.
import_raw "$R/public/base" disk.raw
cmp <(as $B cat "$R/public/base/disks/vda.raw") disk.raw || fail "B cannot read a public image"
by $B expect "EACCES|EPERM" write "$R/public/base/name" mine
by $B expect "EACCES|EPERM" rmdir "$R/public/base"
same "$(as $B cat "$R/images.csv" | wc -l)" 2 "B's rows"

# Quotas of each by itself; a limit for one.
ok write "$R/quota" "$B private-images limit=1"
by $B ok mkdir "$R/private/b1"
by $B expect EDQUOT mkdir "$R/private/b2"
by $A ok mkdir "$R/private/a2"

# A opens hers for a group, root hands it over: the quota goes along.
by $A ok chmod 750 "$R/private/web"
same "$(stat -c %a "$R/private/web")" 750 "chmod"
by $B expect EACCES stat "$R/private/web/name"
chgrp $B "$R/private/web" || fail "chgrp by root"
by $B expect ok stat "$R/private/web/name"
cmp <(as $B cat "$R/private/web/disks/vda.raw") disk.raw || fail "the group cannot read"
by $B expect "EACCES|EPERM" write "$R/private/web/name" stolen
by $A ok chmod 700 "$R/private/web"
expect EDQUOT chown $B $B "$R/private/web"
ok write "$R/quota" "$B private-images limit=5"
chown $B:$B "$R/private/web" || fail "chown by root"
by $B expect ok stat "$R/private/web/name"
by $A expect EACCES stat "$R/private/web/name"
same "$(as $B cat "$R/quota" | head -n 1)" "private-images used=2 limit=5" "B's quota"
same "$(as $A ls "$R/private")" a2 "A's listing"
value "$R/private/web/owner" "$B"

# Recycled and restored as whose it is.
by $B ok rmdir "$R/private/web"
same "$(stat -c %u "$R/recycle/web")" $B "owner in the bin"
by $A expect EACCES stat "$R/recycle/web/name"
by $A expect "EACCES|EPERM" rmdir "$R/recycle/web"
by $B ok rename "$R/recycle/web" "$R/private/web"

# The short form by a user.
as $A cp disk.raw "$R/private/short.raw" || fail "cp by A"
as $A timeout 60 cat "$R/private/short/wait" >/dev/null
same "$(stat -c '%a %u' "$R/private/short")" "700 $A" "A's second"

restart -o allow_other
by $A expect EACCES stat "$R/private/web/name"
by $B expect ok stat "$R/private/web/name"
same "$(as $A ls "$R/private" | tr '\n' ' ')" "a2 short " "A's listing after a remount"

# SPDX-License-Identifier: MIT
# What cannot be shared, with whom, and how often: each refusal with its errno, its sentence, and nothing changed.
. "$lib/users.sh"
A=12001 B=12002
users $A $B
start -o allow_other
two_regions
ok write "$R/quota" "$A private-images limit=20"
pattern disk.raw 1M 5
chmod 644 disk.raw
image() { # NAME: an image of A's
        by $A ok mkdir "$R/private/$1"
        by $A ok upload disk.raw "$R/private/$1/upload"
        settle "$R/private/$1"
}
sentence() { # FILE UID TEXT
        same "$(as "$2" cat "$1/last-error" | sentence_alone)" "$3" "the sentence"
}
image web
web=$R/private/web

# Users by the name that they are shown by.
by $A refused ENOENT "$web" mkdir "$web/shares/no-such-user"
sentence "$web" $A "shares: there is no user no-such-user on this machine"
by $A refused EINVAL "$web" mkdir "$web/shares/1"
sentence "$web" $A "shares: user 1 is called daemon here: mkdir shares/daemon"
by $A refused EINVAL "$web" mkdir "$web/shares/0$B"
by $A refused ENOENT "$web" mkdir "$web/shares/4294967295"
by $A refused ENOENT "$web" mkdir "$web/shares/-1"
by $A refused EINVAL "$web" mkdir "$web/shares/$A"
refused EINVAL "$web" mkdir "$web/shares/$A"
by $A ok mkdir "$web/shares/daemon"
same "$(as 1 ls "$R/shared")" web "daemon's listing"
by $A unchanged EEXIST mkdir "$web/shares/daemon"
by $A expect ENOENT stat "$web/shares/1"
for file in user created; do
        by $A unchanged "EACCES|EPERM" write "$web/shares/daemon/$file" x
done
by $A unchanged EPERM rename "$web/shares/daemon" "$web/shares/$B"
by $A unchanged EPERM unlink "$web/shares/daemon/user"
by $A unchanged "EPERM" chmod 777 "$web/shares/daemon"

# Others than the owner: the modes, and for whom the modes let in, the rule.
by $B unchanged EACCES mkdir "$web/shares/$B"
by $B unchanged EACCES rmdir "$web/shares/daemon"
chgrp $B "$web" || fail "chgrp"
by $A ok chmod 750 "$web"
by $B unchanged EACCES mkdir "$web/shares/$B"
by $B unchanged EACCES rmdir "$web/shares/daemon"
by $A ok chmod 777 "$web"
ok chown $A $A "$web"
by $B refused EPERM "$web" mkdir "$web/shares/$B"
sentence "$web" $B "web: only its owner and the administrator say with whom it is shared"
by $B refused EPERM "$web" rmdir "$web/shares/daemon"
by $A ok chmod 700 "$web"
ok mkdir "$web/shares/$B"
ok rmdir "$web/shares/$B"

# States and classes.
by $A ok mkdir "$R/private/queued"
by $A refused EBUSY "$R/private/queued" mkdir "$R/private/queued/shares/$B"
by $A ok mkdir "$R/private/bad"
by $A ok write "$R/private/bad/format" qcow2
by $A expect EINVAL upload disk.raw "$R/private/bad/upload"
by $A refused EBUSY "$R/private/bad" mkdir "$R/private/bad/shares/$B"
image old
by $A ok rmdir "$R/private/old"
by $A refused EBUSY "$R/recycle/old" mkdir "$R/recycle/old/shares/$B"
import_raw "$R/public/base" disk.raw
refused EOPNOTSUPP "$R/public/base" mkdir "$R/public/base/shares/$B"
by $B unchanged EACCES mkdir "$R/public/base/shares/$B"

# How many: of an image, and for a user in a region.
for uid in 12011 12012 12013 12014; do
        by $A ok mkdir "$web/shares/$uid"
done
by $A refused EDQUOT "$web" mkdir "$web/shares/$B"
sentence "$web" $A "web is shared with 5 of 5 users: end one with rmdir, or have the limit raised"
ok write "$MNT/info/limits" "shares-per-image 6"
by $A ok mkdir "$web/shares/$B"
ok write "$MNT/info/limits" "shares-per-image 2"
same "$(ls "$web/shares" | wc -l)" 6 "a lowered limit takes nothing away"
for i in 1 2 3 4; do
        image "i$i"
        by $A ok mkdir "$R/private/i$i/shares/$B"
done
image i5
by $A refused EDQUOT "$R/private/i5" mkdir "$R/private/i5/shares/$B"
sentence "$R/private/i5" $A "$B accepts at most 5 shared images in cn-north-1, and has them: one has to end or be given back (with rmdir in shared/), or the limit be raised"
same "$(as $B ls "$R/shared" | wc -l) $(as $B sed -n 's/^shared-images //p' "$R/quota")" "5 used=5 limit=5" "B's"
by $A ok mkdir "$R/private/i1/copies/cn-east-2"
settle "$R2/private/i1"
by $A ok mkdir "$R2/private/i1/shares/$B"
ok write "$R/quota" "$B shared-images limit=6"
by $A ok mkdir "$R/private/i5/shares/$B"
ok write "$R/quota" "$B shared-images limit=3"
same "$(as $B ls "$R/shared" | wc -l)" 6 "a lowered limit takes nothing away"
by $A ok rmdir "$R/private/i5/shares/$B"
by $A refused EDQUOT "$R/private/i5" mkdir "$R/private/i5/shares/$B"

# Two at once want the last place that B has: one gets it.
image i6
ok write "$R/quota" "$B shared-images limit=6"
for ((i = 0; i < ${IMAGEFS_TEST_COUNT:-20}; i++)); do
        for n in 5 6; do
                "$WORK/bin/fsop.$A" mkdir "$R/private/i$n/shares/$B" >got.$n &
                pids[n]=$!
        done
        wait "${pids[@]}"
        same "$(sort got.5 got.6 | tr '\n' ' ')" "EDQUOT mkdir ok " "round $i"
        n=5
        grep -q ok got.5 || n=6
        by $A ok rmdir "$R/private/i$n/shares/$B"
done

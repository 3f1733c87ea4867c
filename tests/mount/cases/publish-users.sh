# SPDX-License-Identifier: MIT
# What root publishes of a user's, and what users make of it; what moves between the classes, and all that does not.
need_root "several users"
need setpriv
chmod 755 "$WORK"
A=12001 B=12002
cp "$FSOP" fsop
chmod 755 fsop
by() { # ERRNO UID OP …
        local got
        got=$(setpriv --reuid "$2" --regid "$2" --clear-groups "$WORK/fsop" "${@:3}")
        # shellcheck disable=SC2053
        [[ ${got%% *} == @($1) ]] || fail "${*:2}: got $got, want $1"
}
has() { # UID private-images snapshots
        same "$(setpriv --reuid "$1" --regid "$1" --clear-groups cat "$R/quota" |
                sed -n '1,2s/.*used=\([0-9]*\) .*/\1/p' | tr '\n' ' ')" "$2 $3 " "what $1 has"
}
start -o allow_other
two_regions
pattern disk.raw 1M 5
chmod 644 disk.raw
for name in web other; do
        by ok $A mkdir "$R/private/$name"
        by ok $A upload "$WORK/disk.raw" "$R/private/$name/upload"
        settle "$R/private/$name"
done
has $A 2 2

# Not by users, not to where something is, not while it is at work.
by EACCES $A rename "$R/private/web" "$R/public/web"
by "EPERM|EACCES" $B rename "$R/private/web" "$R/private/mine"
by EACCES $A mkdir "$R/public/mine"
by EACCES $A create "$R/public/mine.raw"
ok mkdir "$R/public/taken"
unchanged EEXIST rename "$R/private/web" "$R/public/taken"
by ok $A mkdir "$R/private/queued"
refused EBUSY "$R/private/queued" rename "$R/private/queued" "$R/public/queued"
by ok $A rmdir "$R/private/queued"

# Published: root's, both, and in nobody's quota; what was shared is everybody's.
by ok $A mkdir "$R/private/web/shares/$B"
by ok $B opendir "$R/shared/web"
ok rename "$R/private/web" "$R/public/web"
has $A 1 1
_is_roots() { [ "$(stat -c '%u %a' "$R/public/web")" = "0 755" ]; }
until_true 3 _is_roots || fail "it is not root's: $(stat -c '%u %a' "$R/public/web")" # as soon as caches have aged
value "$R/public/web/source" public
value "$R/public/web/type" both
value "$R/public/web/owner" root
until_true 2 [ ! -e "$R/shared/web" ] || fail "it is shared still"
for user in $A $B; do
        cmp <(setpriv --reuid $user --regid $user --clear-groups cat "$R/public/web/disks/vda.raw") disk.raw || fail "$user cannot read"
        by EACCES $user write "$R/public/web/name" mine
        by EACCES $user write "$R/public/web/convert" cloud
        by EACCES $user mkdir "$R/public/web/copies/cn-east-2"
        by EACCES $user mkdir "$R/public/web/shares/$B"
        by EACCES $user rmdir "$R/public/web"
        by EACCES $user rename "$R/public/web" "$R/private/web"
done
ok rename "$R/private/other" "$R/marketplace/other"
value "$R/marketplace/other/source" marketplace
has $A 0 0

# Machines of both types, each its maker's, and none of the others' business.
by ok $A mkdir "$R/public/web/instances/cloudy"
by ok $A mkdir "$R/instances/locally"
by ok $A write "$R/instances/locally/image" public/web
by ok $A write "$R/instances/locally/type" local
value "$R/instances/cloudy/type" cloud
value "$R/instances/locally/type" local
for vm in cloudy locally; do
        same "$(stat -c '%u %a' "$R/instances/$vm")" "$A 700" "$vm"
        by ok $A pwrite 0 "$R/instances/$vm/disks/vda.raw" "of A"
        by EACCES $B open r "$R/instances/$vm/disks/vda.raw"
        by EPERM $B rmdir "$R/public/web/instances/$vm"
done
same "$(setpriv --reuid $B --regid $B --clear-groups sh -c 'ls "$0/instances"; cat "$0/used-by"' "$R/public/web" | grep -c -e cloudy -e locally)" 0 \
        "A's machines in B's listing"
by ok $B mkdir "$R/marketplace/other/instances/hers"
cmp disk.raw "$R/public/web/disks/vda.raw" || fail "the image changed"
refused EBUSY "$R/public/web" rmdir "$R/public/web"
by ok $A rmdir "$R/public/web/instances/cloudy"
by ok $A rmdir "$R/instances/locally"

# Root's own have no quota.
ok write "$R/quota" "root private-images limit=0"
ok write "$R/quota" "root snapshots limit=0"
for class in public marketplace; do
        ok mkdir "$R/$class/own"
        ok upload disk.raw "$R/$class/own/upload"
        settle "$R/$class/own"
        value "$R/$class/own/type" both
done
ok write "$R/quota" "root private-images limit=5"
ok write "$R/quota" "root snapshots limit=20"

# From each class to each other: restoring to where it was, publishing, and nothing else.
classes=(private public marketplace iso recycle shared)
import_raw "$R/private/private" disk.raw
for class in public marketplace; do import_raw "$R/$class/$class" disk.raw; done
ok mkdir "$R/iso/iso"
import_raw "$R/private/recycle" disk.raw
ok rmdir "$R/private/recycle"
for from in "${classes[@]::5}"; do
        for to in "${classes[@]}"; do
                case $from-$to in
                "$from-$from" | private-public | private-marketplace | recycle-private | public-private | marketplace-private) ;;
                *-recycle) refused "$([ $from = shared ] && echo EPERM || echo EINVAL)" "$R/$from/$from" rename "$R/$from/$from" "$R/$to/moved" ;;
                *) refused EPERM "$R/$from/$from" rename "$R/$from/$from" "$R/$to/moved" ;;
                esac
        done
        refused EPERM "$R/$from/$from" rename "$R/$from/$from" "$R2/private/moved"
        refused EPERM "$R/$from/$from" rename "$R/$from/$from" "$R/instances/moved"
done
# What was public goes back there, and nowhere else.
ok rmdir "$R/public/public"
refused EPERM "$R/recycle/public" rename "$R/recycle/public" "$R/private/public"
ok rename "$R/recycle/public" "$R/public/public"
ok rename "$R/recycle/recycle" "$R/private/restored"
value "$R/private/restored/status" available
restart -o allow_other
value "$R/public/web/owner" root
by ok $B opendir "$R/public/web/disks"

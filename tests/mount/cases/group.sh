# SPDX-License-Identifier: MIT
# A group that may write manages what its owner gave it, in full: it removes, renames, restores, shares, converts,
# copies, captures. What it makes counts for the owner, and is hers and the group's. One that may only read manages
# nothing; nor does anybody else.
need_root "several users"
need setpriv
chmod 755 "$WORK"
A=12101 M=12102 S=12103 DEVS=12200
cp "$FSOP" fsop
chmod 755 fsop
as() { # UID COMMAND …: a member of the group, but for S
        local groups=(--groups $DEVS)
        [ "$1" != $S ] || groups=(--clear-groups)
        setpriv --reuid "$1" --regid "$1" "${groups[@]}" "${@:2}"
}
by() { # ERRNO UID OP …
        local got
        got=$(as "$2" "$WORK/fsop" "${@:3}")
        # shellcheck disable=SC2053
        [[ ${got%% *} == @($1) ]] || fail "${*:2}: got $got, want $1"
}
has() { # UID private-images snapshots instances disks
        same "$(as "$1" sed -n 's/^\(private-images\|snapshots\|instances\|disks\) used=\([0-9]*\) .*/\2/p' "$R/quota" |
                tr '\n' ' ')" "$2 $3 $4 $5 " "what $1 has"
}
owned() { # DIR
        same "$(stat -c '%u %g %a' "$1")" "$A $DEVS 770" "$1"
}
open_to() { # MODE DIR
        ok chown $A $DEVS "$2"
        ok chmod "$1" "$2"
}
start -o allow_other
two_regions
pattern disk.raw 1M 5
chmod 644 disk.raw
by ok $A mkdir "$R/private/web"
by ok $A write "$R/private/web/type" local
by ok $A upload "$WORK/disk.raw" "$R/private/web/upload"
settle "$R/private/web"

# who may only read: nothing, and it is said why
open_to 0750 "$R/private/web"
for step in "rmdir $R/private/web" "rename $R/private/web $R/private/mine" "rename $R/private/web $R/recycle/web" \
        "mkdir $R/private/web/shares/root" "mkdir $R/private/web/download/vda.raw" "mkdir $R/private/web/instances/vm" \
        "write $R/private/web/convert cloud" "write $R/private/web/name x" "write $R/batch delete\ web"; do
        eval "set -- $step"
        before=$(tree_snapshot)
        by EACCES $M "$@"
        same "$(tree_snapshot)" "$before" "$step: was refused, and changed something"
done
by EPERM $S rmdir "$R/private/web"
by EPERM $S rename "$R/private/web" "$R/private/mine"
as $M grep -q 'web: its group may not write' "$MNT/info/errors" || fail "no sentence"

# who may write: all of it, and the owner has what comes of it
open_to 0770 "$R/private/web"
by EPERM $S rmdir "$R/private/web"
by EPERM $M chmod 0777 "$R/private/web"
by ok $M rename "$R/private/web" "$R/private/site"
by ok $M rmdir "$R/private/site"
has $A 0 0 0 0
by ok $M rename "$R/recycle/site" "$R/private/web"
has $A 1 0 0 0
has $M 0 0 0 0
by ok $M write "$R/private/web/convert" cloud
until_true 20 test -d "$R/private/web-cloud" || fail "no conversion"
settle "$R/private/web-cloud"
owned "$R/private/web-cloud"
owned "$R/snapshots/web"
has $A 2 1 0 0
by ok $M mkdir "$R/private/web-cloud/copies/cn-east-2"
settle "$R2/private/web-cloud"
owned "$R2/private/web-cloud"
by ok $M rmdir "$R/private/web-cloud/copies/cn-east-2"
by ok $M mkdir "$R/private/web-cloud/instances/vm"
owned "$R/instances/vm"
has $A 2 1 1 1
disk=$(ls "$R/disks")
owned "$R/disks/$disk"
by ok $M pwrite 0 "$R/instances/vm/disks/vda.raw" changed
by ok $M mkdir "$R/instances/vm/images/made"
settle "$R/private/made"
owned "$R/private/made"
has $A 3 2 1 1
by ok $M mkdir "$R/disks/$disk/snapshots/s1"
until_true 20 grep -q available "$R/snapshots/s1/status" || fail "no snapshot"
owned "$R/snapshots/s1"
by ok $M mkdir "$R/snapshots/s1/disks/d1"
owned "$R/disks/d1"
has $A 3 3 1 2
has $M 0 0 0 0
by ok $M rename "$R/disks/d1" "$R/disks/d2"
by ok $M rmdir "$R/disks/d2"
by ok $M rmdir "$R/snapshots/s1"
by ok $M rename "$R/instances/vm" "$R/instances/vm2"
by ok $M rmdir "$R/instances/vm2"
by ok $M mkdir "$R/private/made/shares/nobody"
by ok $M rmdir "$R/private/made/shares/nobody"
by ok $M write "$R/batch" "delete made"
for task in "$MNT"/tasks/*/; do
        case $(cat "$task/kind") in
        convert | copy | capture) same "$(stat -c '%u %g' "$task")" "$A $DEVS" "$task" ;;
        esac
done

# what root makes of hers is hers
ok chmod 0700 "$R/private/web-cloud"
ok mkdir "$R/private/web-cloud/copies/cn-east-2"
settle "$R2/private/web-cloud-2"
same "$(stat -c '%u' "$R2/private/web-cloud-2")" $A "root's copy of hers"
by ok $A rmdir "$R2/private/web-cloud-2"
by ok $A rmdir "$R/private/web-cloud/copies/cn-east-2"

stop
check_store

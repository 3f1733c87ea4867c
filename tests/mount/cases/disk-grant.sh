# SPDX-License-Identifier: MIT
# chown of a machine's disk lets one more user open that file, and nothing else to nobody else; it ends by a chown back,
# and with whatever makes the disk another one, or another's.
. "$lib/users.sh"
OWNER=12001 MEMBER=12002 SHAREE=12003 RUNNER=12004 GROUP=12100
users $OWNER $RUNNER
MATRIX=$(dirname "$FSOP")/matrix
if [ ! -x "$MATRIX" ]; then
        MATRIX=$WORK/matrix
        run cc -std=gnu17 -D_GNU_SOURCE -O1 -o "$MATRIX" "$lib/matrix.c"
fi
start -o allow_other
raise_limits
two_regions
pattern disk.raw 256K 5
make_iso cd.iso 6
make_iso other.iso 7
chmod 644 disk.raw cd.iso other.iso
import_raw "$R/public/base" disk.raw
ok mkdir "$R/snapshots/base/disks/spare"
for iso in cd other; do
        ok mkdir "$R/iso/$iso"
        ok upload $iso.iso "$R/iso/$iso/upload"
        settle "$R/iso/$iso"
done
machine() { # NAME: the owner's, with a data disk and a CD
        by $OWNER ok mkdir "$R/public/base/instances/$1"
        by $OWNER ok mkdir "$R/disks/$1-data"
        by $OWNER ok write "$R/disks/$1-data/size" 1M
        by $OWNER ok write "$R/instances/$1/attach" "$1-data"
        by $OWNER ok write "$R/instances/$1/cdrom" iso/cd
}
own() { # OWNER FILE …: whose stat says that they are, and that nobody else opens them
        local file
        for file in "${@:2}"; do
                same "$(stat -c %u "$file")" "$1" "$file"
                by $RUNNER expect EACCES stat "$file"
        done
}
lent() { # FILE …
        local file
        for file; do
                by $RUNNER expect EACCES stat "$file"
                ok chown $RUNNER $RUNNER "$file"
                same "$(stat -c %u "$file")" $RUNNER "$file"
                as $RUNNER head -c 1 "$file" >/dev/null || fail "$file: not for the user that it was given to"
        done
}
machine run
machine run-group
run chgrp $GROUP "$R/instances/run-group" "$R/disks/run-group-data"
run chmod 0770 "$R/instances/run-group" "$R/disks/run-group-data"
vm=$R/instances/run

# Who may not, and what is no machine's disk.
refused EPERM "$R/disks/spare" chown $RUNNER $RUNNER "$R/disks/spare/data.raw"
grep -q 'machine that it is attached to' "$R/disks/spare/last-error" || fail "$(cat "$R/disks/spare/last-error")"
before=$(tree_snapshot)
by $RUNNER expect EACCES chown $RUNNER $RUNNER "$vm/disks/vda.raw"
by $OWNER expect EPERM chown $RUNNER $RUNNER "$vm/disks/vda.raw"
for file in public/base/disks/vda.raw public/base/disks/vda.qcow2 snapshots/base/data.qcow2 instances/run/hostname instances/run/disks; do
        expect EPERM chown $RUNNER $RUNNER "$R/$file"
done
expect EPERM chown -1 $GROUP "$vm/disks/vda.raw"
expect EPERM chmod 0666 "$vm/disks/vda.raw"
same "$(tree_snapshot)" "$before" "what was refused changed something"

# The whole of two such machines, by everybody, with what the others left in the kernel's caches.
for name in run run-group; do
        lent "$R/instances/$name"/{disks/vda.raw,disks/cdrom.iso,seed.iso}
done
find "$R/instances/run" "$R/instances/run-group" -printf '%y %p\n' | sed "s|$MNT/||" >nodes
callers=("owner=$OWNER:$OWNER" "member=$MEMBER:$MEMBER,$GROUP" "sharee=$SHAREE:$SHAREE" "stranger=$RUNNER:$RUNNER")
"$MATRIX" "$lib/matrix.table" nodes "$MNT" "${callers[@]}" || fail "not as the table has it"
by $RUNNER expect ENOENT stat "$R/instances/none" # and no names are told of what is not there
by $RUNNER expect EACCES stat "$vm/disks/vdz.raw"
by $RUNNER expect EACCES stat "$R/disks/run-data/data.raw"
by $RUNNER expect EPERM chown $SHAREE $SHAREE "$vm/disks/vda.raw"
same "$(stat -c %a "$vm" "$vm/disks" "$vm/images" "$vm/disks/vda.raw" "$vm/seed.iso" | tr '\n' ' ')" "711 711 700 666 444 "
value "$vm/owner" "$(cat "$R/disks/run-data/owner")"

# What counts goes on to count for the owner, and the user's writing makes the machine running.
as $RUNNER dd if=/dev/zero of="$vm/disks/vda.raw" bs=4k count=1 conv=notrunc status=none || fail "writing"
until_true 10 grep -qx stopped "$vm/status" || fail "it runs on"

# The ends of it.
ok chown $OWNER -1 "$vm/disks/vda.raw"
own $OWNER "$vm/disks/vda.raw"
ok chown 0 0 "$vm/seed.iso"
own $OWNER "$vm/seed.iso"
by $OWNER ok write "$vm/cdrom" iso/other
own $OWNER "$vm/disks/cdrom.iso"
by $OWNER ok write "$vm/cdrom" iso/cd
own $OWNER "$vm/disks/cdrom.iso"
is_closed() {
        [ "$(stat -c %a "$vm" "$vm/disks" | tr '\n' ' ')" = "700 700 " ]
}
until_true 10 is_closed || fail "its modes are those of a machine that nobody else runs"
lent "$vm/disks/vda.raw"
by $OWNER ok write "$vm/image" public/base # another system disk
own $OWNER "$vm/disks/vda.raw"
lent "$vm/disks/vdb.raw"
by $OWNER ok write "$vm/detach" vdb
by $OWNER ok write "$vm/attach" run-data
own $OWNER "$vm/disks/vdb.raw"
by $OWNER ok write "$vm/detach" vdb
lent "$vm/disks/vda.raw" "$vm/seed.iso"
ok chown $SHAREE $SHAREE "$vm"
own $SHAREE "$vm/disks/vda.raw" "$vm/seed.iso"
ok chown $OWNER $OWNER "$vm"
own $OWNER "$vm/disks/vda.raw" "$vm/seed.iso"

# Root's own machine looks as it would on any disk; nothing is left of machines that are gone.
ok mkdir "$R/public/base/instances/roots"
lent "$R/instances/roots/disks/vda.raw"
same "$(stat -c '%u %a' "$R/instances/roots/disks/vda.raw")" "$RUNNER 600" "root's"
by $OWNER ok mkdir "$R/public/base/instances/short"
lent "$R/instances/short/disks/vda.raw" "$R/instances/short/seed.iso"
by $OWNER ok rmdir "$R/instances/short"
as $RUNNER head -c 1 "$R/instances/roots/disks/vda.raw" >/dev/null || fail "it ended with others"
restart -o allow_other
own 0 "$R/instances/roots/disks/vda.raw"

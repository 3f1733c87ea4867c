# SPDX-License-Identifier: MIT
# tar, rsync, cp, grep, find, restic over the whole mount: no error, and a second pass finds nothing changed.
# time limit: 240
start
two_regions
cloud_image web 4M
local_image lo 2M 3
ok write "$R/private/lo/convert" cloud
settle "$R/private/lo-cloud"
ok mkdir "$R/private/web/copies/cn-east-2"
settle "$R2/private/web"
ok mkdir "$R/private/queued"
expect EINVAL write "$R/private/web/os" beos
ok rmdir "$R/private/lo"
# Machines and their disks.
ok write "$R/private/web/features" cloud-init
ok mkdir "$R/private/web/instances/vm"
vm=$R/instances/vm
ok write "$vm/password" secret
ok write "$vm/hostname" vm
for d in d1 d2; do
        ok mkdir "$R/disks/$d"
        ok write "$R/disks/$d/size" 1M
        ok pwrite 5000 "$R/disks/$d/data.raw" "on $d"
done
ok write "$vm/attach" d1
ok pwrite 4000 "$vm/disks/vda.raw" "written by a guest"
ok mkdir "$vm/images/web-2"
settle "$R/private/web-2"
ok mkdir "$R/disks/d2/snapshots/s2"
ok mkdir "$R/disks/unmade"
ok mkdir "$R/private/web-2/instances/next"
ok write "$R/instances/next/power" start
# The checksums of images of instances come later.
summed() { ! grep -Lr . "$R"/snapshots/*/checksum | grep -q .; }
until_true 20 summed || fail "no checksum"

# Refusals are kept until the daemon ends. info/store says how much of the disk is free, which these very tools change.
restart
tar_pass() {
        run tar -c --sort=name --exclude=./info/store -f "$1" -C "$MNT" .
}
tar_pass 1.tar
tar_pass 2.tar
cmp 1.tar 2.tar || fail "tar differs from one pass to the next"
mkdir untarred
run tar -x -f 1.tar -C untarred
[ "$(stat -c %s untarred/regions/cn-north-1/private/web/name)" -gt 0 ] || fail "tar stored an empty file"
same_disk untarred/regions/cn-north-1/private/web/disks/vda.raw web.raw
same_disk untarred/regions/cn-north-1/disks/vm-vda/data.raw "$vm/disks/vda.raw"
run tar -c -S --xattrs -f s.tar -C "$MNT" .

mkdir copy
run rsync -a --exclude=/info/store "$MNT/" copy/
again=$(run rsync -ai --exclude=/info/store "$MNT/" copy/)
same "$again" "" "rsync's second pass"
same "$(run rsync -aic --exclude=/info/store "$MNT/" copy/)" "" "rsync's pass by checksum"
value copy/regions/cn-north-1/private/web/name web
same_disk copy/regions/cn-north-1/private/web/disks/vda.raw web.raw
run rsync -aSHAX --exclude=/info/store "$MNT/" copy-x/ >/dev/null

run cp -a "$MNT" copied
same "$(tree_contents copied)" "$(tree_contents "$MNT")" "cp -a"
LC_ALL=C grep -r nothing-like-this "$MNT" >/dev/null 2>err
[ $? = 1 ] && [ ! -s err ] || fail "grep: $(head -n 3 err)"
run find "$MNT" -ls >/dev/null
run find "$MNT" -empty >/dev/null
run du -a "$MNT" >/dev/null
run ls -lR "$MNT" >/dev/null
if command -v zip >/dev/null; then run zip -qry z.zip "$MNT"; fi

restic_pass() {
        run restic -q backup --json "$MNT" | sed -n 's/.*"message_type":"summary"\(.*\)/\1/p'
}
if command -v restic >/dev/null; then
        export RESTIC_REPOSITORY=$WORK/repo RESTIC_PASSWORD=x RESTIC_CACHE_DIR=$WORK/restic-cache
        run restic init >/dev/null
        restic_pass >/dev/null
        second=$(restic_pass)
        [[ $second == *'"files_new":0,'* ]] || fail "restic: $second"
        [[ $second =~ \"files_changed\":[01], ]] || fail "restic: $second" # info/store
else
        echo "note: no restic here"
fi

restart
tar_pass 3.tar
cmp 1.tar 3.tar || fail "tar differs after a remount"
same "$(run rsync -ai --exclude=/info/store "$MNT/" copy/)" "" "rsync after a remount"
if command -v restic >/dev/null; then
        third=$(restic_pass)
        [[ $third == *'"files_new":0,'* ]] || fail "restic after a remount: $third"
        [[ $third =~ \"files_changed\":[01], ]] || fail "restic after a remount: $third"
fi

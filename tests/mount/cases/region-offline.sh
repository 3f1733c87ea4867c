# SPDX-License-Identifier: MIT
# A region whose store cannot be opened is there all the same, with its objects and without their bytes; others work.
# time limit: 300
need curl getfattr jq
. "$lib/serve.sh"
start -o http=127.0.0.1:0
two_regions
raise_limits
mkdir disk
ok write "$R2/store" "$WORK/disk"
far=$R2/private
here=$R/private

# What is there: a cloud and a local image, one recycled and one shared, a machine that is running, disks, snapshots, an
# address for a download, and a transfer that goes on.
pattern cloud.raw 3M 21
pattern local.raw 2M 22
import_raw "$far/cloud" cloud.raw
import_raw "$far/local" local.raw local
import_raw "$far/old" local.raw
ok rmdir "$far/old"
ok mkdir "$far/cloud/shares/12345"
ok mkdir "$far/cloud/download/vda.qcow2"
for vm in vm1 vm2 vm3; do
        ok mkdir "$far/cloud/instances/$vm"
done
ok pwrite 5000 "$R2/instances/vm1/disks/vda.raw" written
ok pwrite 5000 "$R2/instances/vm3/disks/vda.raw" "goes when its store is back"
ok write "$R2/instances/vm1/power" start
ok mkdir "$R2/disks/d1"
ok write "$R2/disks/d1/size" 1M
ok pwrite 70000 "$R2/disks/d1/data.raw" kept
ok mkdir "$R2/disks/bare"
ok mkdir "$far/empty"
cloud_image here 1M
pattern served 12M 23
serve
for name in coming dropped; do
        ok mkdir "$far/$name"
        ok write "$far/$name/import-url" "http://$AT/slow/$name.raw"
        until_true 20 _arrived "$far/$name" 1000000 || fail "no progress"
done
snapshot=$(ls "$R2/snapshots" | head -n 1)
xxh "$R2/instances/vm1/disks/vda.raw" >vm1.sum
xxh "$R2/disks/d1/data.raw" >d1.sum
pattern large.raw 192M 24
ok mkdir "$far/large"
ok upload large.raw "$far/large/upload" 4M 7 # in no order, so that it is imported as a file, when all is there
stop
check_store

# rows: names, modes, owners, sizes and times of everything, without a byte of it.
rows() {
        (cd "$MNT" && find . -printf '%p %y %m %U:%G %s %T@ %l\n') |
                grep -vE '^\./(tasks|info)|/(last-error|wait|progress|private/(coming|dropped|large))( |/)' | sort
}

# denied SENTENCE OBJECT OP …: EIO, with exactly that sentence, and nothing is another than before.
denied() {
        local sentence=$1 object=$2 before
        shift 2
        before=$(rows)
        expect EIO "$@"
        same "$(tail -n 1 "$MNT/info/errors" | sed 's/^.* EIO [^:]*: [^:]*: //')" "$sentence" "the sentence of $*"
        [ "$object" = - ] || same "$(sentence_alone <"$object/last-error")" "$sentence" "last-error of $object"
        same "$(rows)" "$before" "the tree after $*"
}

# download FILE: the status.
download() {
        curl -s -m 20 -o "$1" -w '%{http_code}' "$(cat "$far/cloud/download/vda.qcow2/url")"
}

# reads SENTENCE: no byte can be read, whichever way.
reads() {
        denied "$1" "$far/cloud" open r "$far/cloud/disks/vda.raw"
        denied "$1" "$far/cloud" open r "$far/cloud/disks/vda.qcow2"
        denied "$1" "$R2/snapshots/$snapshot" open r "$R2/snapshots/$snapshot/data.raw"
        denied "$1" "$R2/snapshots/$snapshot" open r "$R2/snapshots/$snapshot/data.qcow2"
        denied "$1" "$R2/disks/vm1-vda" open r "$R2/instances/vm1/disks/vda.raw"
        denied "$1" "$R2/disks/vm1-vda" open rw "$R2/instances/vm1/disks/vda.raw"
        denied "$1" "$R2/disks/d1" open r "$R2/disks/d1/data.raw"
        same "$(download /dev/null)" 503 "a download"
}

said() { # WHAT: health and the log
        same "$(cat "$MNT/info/health")" \
                "$1; then write $WORK/disk to the store file of its region, or mount the library anew" "health"
        grep -qF "$1" "$WORK/daemon.log" || fail "nothing in the log"
}

# ---- its disk is not mounted ----

mv disk away
start -o http=127.0.0.1:0
none="the blob store of region cn-east-2 is offline: $WORK/disk: there is no blob store: mount what belongs there"
said "$none"
[ ! -e disk ] || fail "a store was made where the disk is not mounted"
reads "$none"

# All that rows say can be read.
same "$(ls "$far")" $'cloud\ncoming\ndropped\nempty\nlarge\nlocal' "images"
value "$far/cloud/status" available
value "$far/cloud/checksum" "$(xxh cloud.raw)  disks/vda.raw"
same "$(stat -c %s "$far/cloud/disks/vda.raw")" 3145728 "size of the disk"
same "$(jq -r .status "$far/cloud/metadata.json")" available "metadata.json"
same "$(grep -c "^private,cloud," "$R2/images.csv")" 1 "images.csv"
value "$R2/recycle/old/status" deleted
value "$R2/instances/vm1/status" running
value "$R2/store" "$WORK/disk"
run cat "$R2/quota" "$R2/images.json" "$far/cloud/copy-targets" "$MNT/info/store" >all.out
same "$(ls "$far/cloud/shares")" 12345 "shares"
run getfattr -R -d -m - "$R2" >all.out

# What needs the bytes is refused.
denied "$none" - upload-new cloud.raw "$far/new.raw"
denied "$none" - create "$far/.new.raw" x
denied "$none" "$far/empty" upload cloud.raw "$far/empty/upload"
denied "$none" "$far/empty" write "$far/empty/import-url" "http://$AT/x.raw"
denied "$none" "$far/local" write "$far/local/convert" cloud
denied "$none" "$far/cloud" mkdir "$far/cloud/copies/cn-north-1"
denied "$none" "$here/here" mkdir "$here/here/copies/cn-east-2"
denied "$none" - write "$R2/batch" "copy cn-north-1 cloud"
denied "$none" "$far/cloud" mkdir "$far/cloud/instances/vm9"
denied "$none" "$R2/snapshots/$snapshot" mkdir "$R2/snapshots/$snapshot/disks/d9"
denied "$none" "$R2/instances/vm2" write "$R2/instances/vm2/power" start
denied "$none" "$R2/instances/vm2" mkdir "$R2/instances/vm2/images/img"
denied "$none" "$R2/instances/vm2" write "$R2/instances/vm2/image" private/cloud
denied "$none" "$R2/disks/d1" mkdir "$R2/disks/d1/snapshots/s1"
denied "$none" "$R2/disks/d1" write "$R2/disks/d1/size" 2M
denied "$none" "$R2/disks/bare" write "$R2/disks/bare/size" 2M
denied "$none" - write "$R2/store" "$WORK/disk"
denied "$none" - write "$R2/store" "adopt $WORK/disk"
mkdir disk
denied "$none" - write "$R2/store" "$WORK/disk"
same "$(ls -A disk)" "" "what is below the mount point"
expect EBUSY write "$R2/store" "$WORK/elsewhere"
ok mkdir "$MNT/regions/third"
denied "$none" - write "$MNT/regions/third/store" "$WORK/disk"
ok rmdir "$MNT/regions/third"

# What is only said of things, or takes them away, is done; their bytes go when they can be reached.
ok write "$far/cloud/description" "still here"
ok rename "$far/local" "$far/local2"
ok rmdir "$R2/recycle/old"
ok rmdir "$R2/instances/vm3"
ok write "$R2/instances/vm1/power" stop
value "$R2/instances/vm1/status" stopped

# What was at work waits, without being busy at it, and nothing waits for it.
task=$(task_of "$far/coming" fetch) || fail "the transfer is gone"
value "$task/status" queued
value "$far/coming/status" uploading
[[ $(cat "$far/large/status") == @(pending|available) ]] || fail "the import is $(cat "$far/large/status")"
ok rmdir "$(task_of "$far/dropped" fetch)"
value "$far/dropped/status" error
ok rmdir "$far/dropped"
ok rmdir "$R2/recycle/dropped"
ticks() {
        sed 's/.*) //' "/proc/$daemon_pid/stat" | awk '{ print $12 + $13 }'
}
before=$(ticks)
sleep 2
[ $(($(ticks) - before)) -lt 20 ] || fail "the daemon took $(($(ticks) - before)) ticks in two seconds of nothing to do"
same_disk "$here/here/disks/vda.raw" here.raw
cloud_image new 1M 31
same_disk "$here/new/disks/vda.raw" new.raw
ok mkdir "$here/new/instances/near"
ok write "$R/instances/near/power" start
ok pwrite 4096 "$R/instances/near/disks/vda.raw" changed
ok write "$R/instances/near/power" stop
ok mkdir "$R/instances/near/images/next"
settle "$here/next"
ok rmdir "$here/next"
ok rmdir "$R/recycle/next"

# The check says so, and looks at the rest; so does the next start.
stop
"$IMAGEFS" check "$STORE" >check.out 2>&1
same "$?" 4 "the check's status"
same "$(cat check.out)" "$none"$'\n1 problems' "what the check says"
run cp -a "$STORE" damaged
rm damaged/blobs/maps/*/*
"$IMAGEFS" check damaged >check.out 2>&1
same "$?" 4 "the check's status"
grep -qF "cn-north-1/private/here, vda: the map is missing" check.out ||
        fail "the others were not looked at: $(cat check.out)"

# ---- it is back, by the administrator's word ----

maps() {
        find "$1/maps" -type f | wc -l
}
disks() {
        find "$1/disks" -mindepth 1 -maxdepth 1 | wc -l
}
# back: nothing is lost.
back() {
        value "$MNT/info/health" ok
        same_disk "$far/cloud/disks/vda.raw" cloud.raw
        same_disk "$far/local2/disks/vda.raw" local.raw
        same_disk "$R2/snapshots/$snapshot/data.raw" cloud.raw
        same "$(xxh "$R2/instances/vm1/disks/vda.raw")" "$(cat vm1.sum)" "the machine's disk"
        same "$(xxh "$R2/disks/d1/data.raw")" "$(cat d1.sum)" "the disk"
}
had_maps=$(maps away)
had_disks=$(disks away)
start -o http=127.0.0.1:0
said "$none"
rmdir disk
mv away disk
ok write "$R2/store" "$WORK/disk"
back
until_true 20 eval '[ "$(disks disk)" -lt "$had_disks" ]' || fail "the removed machine's disk stays"
settle "$far/coming"
same_disk "$far/coming/disks/vda.raw" served
settle "$far/large"
same_disk "$far/large/disks/vda.raw" large.raw
ok write "$R2/instances/vm1/power" start
ok write "$R2/instances/vm1/power" stop
ok mkdir "$R2/instances/vm1/images/later"
settle "$far/later"
same "$(download got)" 200 "a download"
same_disk got "$far/cloud/disks/vda.qcow2"
same "$(ls disk/incoming | wc -l)" 1 "files of a transfer that was given up meanwhile"
stop
check_store
start
same "$(ls disk/incoming)" "" "files on their way in"
stop

# ---- it cannot be opened for other reasons ----

trouble() { # SENTENCE: the region is offline, the other is not
        start -o http=127.0.0.1:0
        said "the blob store of region cn-east-2 is offline: $WORK/disk: $1"
        reads "the blob store of region cn-east-2 is offline: $WORK/disk: $1"
        value "$far/local2/status" available
        same_disk "$here/here/disks/vda.raw" here.raw
        stop
        "$IMAGEFS" check "$STORE" >check.out 2>&1
        same "$?" 4 "the check's status"
        grep -qF "$1" check.out || fail "the check says: $(cat check.out)"
}
whole() {
        start -o http=127.0.0.1:0
        back
        stop
        check_store
}

cp disk/format format
echo "imagefs blob store 99" >disk/format
trouble "this blob store was made by another version of imagefs: use that one"
echo nonsense >disk/format
trouble "the blob store is damaged: restore it from a copy"
cp format disk/format
whole

mv disk/segments segments
trouble "the blob store is damaged: restore it from a copy"
mv segments disk/
whole

exec 5<disk/lock
run flock -n 5
trouble "another program has this blob store open"
exec 5<&-
whole

if [ "$(id -u)" = 0 ]; then
        mv disk away
        mkdir disk
        trouble "there is no blob store: mount what belongs there"
        mount --bind away disk || skip "no bind mounts"
        whole
        umount disk
        rmdir disk
        mv away disk
fi

# ---- the library's own store ----

mv "$STORE/blobs" own
start
own="the blob store of region cn-north-1 is offline: $STORE/blobs: there is no blob store: mount what belongs there"
[ ! -e "$STORE/blobs" ] || fail "a store was made"
grep -qF "$own" "$MNT/info/health" || fail "health says: $(cat "$MNT/info/health")"
denied "$own" "$here/here" open r "$here/here/disks/vda.raw"
value "$here/here/status" available
run cat "$MNT/info/store" >all.out
same "$(stat -f -c %t "$MNT")" 65735546 "statfs"
same_disk "$far/cloud/disks/vda.raw" cloud.raw
ok mkdir "$far/cloud/instances/vm4"
mv own "$STORE/blobs"
restart
value "$MNT/info/health" ok
same_disk "$here/here/disks/vda.raw" here.raw

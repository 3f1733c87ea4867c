# SPDX-License-Identifier: MIT
# kill -9 while a machine of two disks is taken apart and imported: both disks with their snapshots at the next mount, or
# none of them, and nothing of what was unpacked is left.
# time limit: 200
need qemu-img tar
[ -x "$(dirname "$IMAGEFS")/imagefs-unpack" ] || skip "built without libarchive"
kills=${IMAGEFS_KILLS:-5}
. "$lib/crash.sh"
start
two_regions
raise_limits
pattern kept.raw 3M 1
import_raw "$R/private/kept" kept.raw
pattern system.raw 24M 2
pattern data.raw 12M 3
run qemu-img convert -O vmdk -o subformat=streamOptimized system.raw d1.vmdk
run qemu-img convert -O vmdk data.raw d2.vmdk
cat >m.ovf <<'OVF'
<E><File id="f1" href="d1.vmdk"/><File id="f2" href="d2.vmdk"/><Disk fileRef="f1"/><Disk fileRef="f2"/></E>
OVF
for f in d1.vmdk d2.vmdk; do echo "SHA512($f)= $(sha512sum <$f | cut -d ' ' -f 1)"; done >m.mf
tar --format=ustar -cf m.ova m.ovf m.mf d1.vmdk d2.vmdk

_unpacked_is_gone() {
        [ -z "$(ls -A "$STORE/blobs/incoming")" ]
}
for ((i = 1; i <= kills; i++)); do
        m=$R/private/m$i
        ok mkdir "$m"
        ok upload m.ova "$m/upload" # accepted
        crash_within 500
        start
        timeout 60 cat "$m/wait" >/dev/null 2>&1
        case $(cat "$m/status") in
        available)
                same_disk "$m/disks/vda.raw" system.raw
                same_disk "$m/disks/vdb.raw" data.raw
                same "$(ls "$m/snapshots" | wc -l)" 2 "kill $i: snapshots"
                ;;
        error)
                [[ $(cat "$m/error") == *' '* ]] || fail "kill $i: no reason"
                same "$(ls "$R/snapshots")" kept "kill $i: snapshots left"
                ;;
        *) fail "kill $i: status $(cat "$m/status")" ;;
        esac
        until_true 5 _unpacked_is_gone || fail "kill $i: left: $(ls -A "$STORE/blobs/incoming")"
        quota_is_true "$R"
        remove_image "$R" "m$i"
        between_kills
done
store_gives_back kept.raw cloud

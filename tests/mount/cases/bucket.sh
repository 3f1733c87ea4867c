# SPDX-License-Identifier: MIT
# A region in a bucket: what makes one and what is refused, import, copies, removal, the bucket away, a kill at the worst moment.
# time limit: 300
need curl
# shellcheck source=tests/mount/lib/s3.sh
. "$lib/s3.sh"
grep -q libcurl <(ldd "$IMAGEFS") || skip "built without libcurl"

bucket
cached() { start -o "cache=64K,cache-disk=0"; } # so that what is read comes from the bucket
cached
two_regions
raise_limits
before=$(cat "$R2/store")

# no_region ERRNO TEXT WORDS: refused with a sentence, and nothing is made, here or there.
no_region() {
        local there
        there=$(objects)
        refused "$1" - write "$R2/store" "$2"
        [[ $(tail -n 1 "$MNT/info/errors") == *"$3"* ]] || fail "$2: not said: $(tail -n 1 "$MNT/info/errors")"
        value "$R2/store" "$before"
        same "$(objects)" "$there" "objects after a refusal"
        [ -z "$(find "$STORE" -maxdepth 1 -name 'bucket-*')" ] || fail "a directory was made for what was refused"
}
no_region EINVAL "s3://lib/some" "store: endpoint= is missing"
no_region EINVAL "$FAR key=secret" "store: after s3://BUCKET/PREFIX come"
no_region ENODEV "s3://nope/some endpoint=${FAR#*endpoint=}" "404 NoSuchBucket"
no_region ENOENT "$FAR profile=nobody" "no keys for the bucket"
bucket_does deny
no_region EACCES "$FAR" "403 AccessDenied"
bucket_does careless
no_region EPROTO "$FAR" "its server gives a name twice"
bucket_does
echo theirs >"$WORK/bucket/some%2Fwhere%2Fthing"
no_region ENOTEMPTY "$FAR" "something lies there already"
rm "$WORK/bucket/some%2Fwhere%2Fthing"

ok write "$R2/store" "$FAR"
value "$R2/store" "$FAR"
same "$(objects)" format "objects of an empty region"
home=$(echo "$STORE"/bucket-*)
[ -d "$home" ] || fail "no directory for what is not in the bucket"

# What is available is there, and nowhere else but for its map.
local_segments() { find "$home/segments" -type f | wc -l; }
pattern web.raw 6M 41
import_raw "$R2/private/web" web.raw
same "$(objects maps/ | wc -l)" 1 "maps in the bucket"
[ "$(objects segments/ | wc -l)" -ge 1 ] || fail "no segment in the bucket"
same "$(local_segments)" 0 "segments here"
same_disk "$R2/private/web/disks/vda.raw" web.raw
same_checksum "$R2/private/web" web.raw

# Copies move what is missing, once.
cloud_image here 4M
ok mkdir "$R/private/here/copies/cn-east-2"
settle "$R2/private/here"
puts() { grep -c "PUT some/where/segments/" "$WORK/s3.log"; }
sent=$(puts)
ok rmdir "$R/private/here/copies/cn-east-2"
ok mkdir "$R/private/here/copies/cn-east-2"
settle "$R2/private/here-2"
same "$(puts)" "$sent" "segments put for a second copy"
ok mkdir "$R2/private/web/copies/cn-north-1"
settle "$R/private/web"
same_disk "$R/private/web/disks/vda.raw" web.raw

# A machine's disk is here, and reads what is there.
ok mkdir "$R2/private/web/instances/vm"
ok pwrite 4096 "$R2/instances/vm/disks/vda.raw" written

# What was read once is read here from then on, until it is damaged: then it is fetched again.
gets() { grep -c "GET some/where/segments/" "$WORK/s3.log"; }
restart
same_disk "$R2/private/web/disks/vda.raw" web.raw
fetched=$(gets)
restart
same_disk "$R2/private/web/disks/vda.raw" web.raw
same "$(gets)" "$fetched" "ranges fetched, with what was kept from the last mount"
stop
[ "$(stat -c %a "$home/ranges")" = 600 ] || fail "others can read what is kept"
for ((at = 1000; at < $(stat -c %s "$home/ranges"); at += 1 << 20)); do
        printf damaged | dd of="$home/ranges" bs=1 seek="$at" conv=notrunc status=none
        ((at < 20 << 20)) || break
done
start -o cache-disk=64M
same "$(stat -c %s "$home/ranges")" $((64 << 20)) "bytes kept at the most"
same_disk "$R2/private/web/disks/vda.raw" web.raw
[ "$(gets)" -gt "$fetched" ] || fail "nothing was fetched for what is damaged"
value "$MNT/info/health" ok

stop
cached
value "$R2/store" "$FAR"
same_disk "$R2/private/web/disks/vda.raw" web.raw
same_disk "$R2/private/here/disks/vda.raw" here.raw
same "$(tail -c +4097 "$R2/instances/vm/disks/vda.raw" | head -c 7)" written "a machine's own block"

# Away: EIO with a sentence, for who needs it and nobody else, until it is back.
_health() { grep -qF "$1" "$MNT/info/health"; }
bucket_does deny
stop
cached
if cat "$R2/private/web/disks/vda.raw" >out 2>&1; then fail "read while the bucket refuses"; fi
until_true 20 _health "the blob store of region cn-east-2 is offline: $FAR: the bucket does not answer, or refuses: " ||
        fail "health says: $(cat "$MNT/info/health")"
grep -q "403 AccessDenied" "$MNT/info/health" || fail "health says: $(cat "$MNT/info/health")"
expect EIO read 0 4096 "$R2/private/web/disks/vda.raw"
[[ $(tail -n 1 "$MNT/info/errors") == *"the bucket does not answer, or refuses: "* ]] ||
        fail "not said: $(tail -n 1 "$MNT/info/errors")"
same_disk "$R/private/web/disks/vda.raw" web.raw
value "$R2/private/web/size" $((6 << 20))
bucket_does
until_true 30 eval '[ "$(cat "$MNT/info/health")" = ok ]' || fail "health says: $(cat "$MNT/info/health")"
same_disk "$R2/private/web/disks/vda.raw" web.raw

# Full: the import fails, and says so.
pattern new.raw 5M 43
bucket_does full
ok mkdir "$R2/private/new"
ok upload new.raw "$R2/private/new/upload"
settle "$R2/private/new" error
bucket_does
ok rmdir "$R2/private/new"
ok rmdir "$R2/recycle/new"

# Killed when the bucket has what nobody was told of yet: the copy goes on, and the same object is known again.
cloud_image late 5M 44
: >"$WORK/s3.log"
bucket_does mute
ok mkdir "$R/private/late/copies/cn-east-2"
until_true 30 grep -q "PUT some/where/segments/" "$WORK/s3.log" || fail "nothing is put"
crash
bucket_does
cached
settle "$R2/private/late"
same_disk "$R2/private/late/disks/vda.raw" late.raw
until_true 20 eval '[ "$(local_segments)" = 0 ]' || fail "left here: $(ls "$home/segments")"
stop
check_store
cached

# Without keys, it is offline.
stop
unset AWS_ACCESS_KEY_ID
HOME=$WORK cached
grep -q "offline: $FAR: no keys for the bucket" "$MNT/info/health" || fail "health says: $(cat "$MNT/info/health")"
value "$R2/private/late/status" available

# With others, or another way there, it goes on; where something else lies, it stays where it is.
mkdir "$WORK/.aws"
printf '[team]\naws_access_key_id = AKID\naws_secret_access_key = open sesame\n' >"$WORK/.aws/credentials"
ok write "$R2/store" "$FAR profile=team"
value "$R2/store" "$FAR profile=team"
same_disk "$R2/private/late/disks/vda.raw" late.raw
rm -rf "$WORK/bucket2" "$WORK/s3.port2"
stop # else claims may go while they are copied
cp -a "$WORK/bucket" "$WORK/bucket2"
HOME=$WORK cached
value "$R2/store" "$FAR profile=team"
same_disk "$R2/private/late/disks/vda.raw" late.raw
_claimed() { [ "$(claims)" != "$(ls "$WORK/bucket2" | sed -n 's/^some%2Fwhere%2Fclaim%2F//p')" ]; }
until_true 20 _claimed || fail "no claim of this start"
"$lib/s3-server" "$WORK/bucket2" "$WORK/s3.log2" >"$WORK/s3.port2" 2>"$WORK/s3.err2" &
until_true 20 test -s "$WORK/s3.port2" || fail "no server: $(tail -n 1 "$WORK/s3.err2")"
there=$(ls "$WORK/bucket2" "$STORE")
refused EBUSY - write "$R2/store" "${FAR% *} endpoint=http://127.0.0.1:$(cat "$WORK/s3.port2") profile=team"
[[ $(tail -n 1 "$MNT/info/errors") == *"what lies there is not what this region has in its bucket now"* ]] ||
        fail "says: $(tail -n 1 "$MNT/info/errors")"
same "$(ls "$WORK/bucket2" "$STORE")" "$there" "what lies there, and here, after a refusal"
refused EBUSY - write "$R2/store" "s3://lib/some/other ${FAR#* } profile=team"
near="${FAR% *} endpoint=http://localhost:$S3_PORT profile=team"
ok write "$R2/store" "$near"
pattern near.raw 2M 47
import_raw "$R2/private/near" near.raw
stop
HOME=$WORK cached
value "$R2/store" "$near"
same_disk "$R2/private/near/disks/vda.raw" near.raw
ok rmdir "$R2/private/near"
ok rmdir "$R2/recycle/near"
[ ! -d "$R2/snapshots/near" ] || ok rmdir "$R2/snapshots/near"
stop
export AWS_ACCESS_KEY_ID=AKID
HOME=$WORK cached
ok write "$R2/store" "$FAR"
stop

# Another store's it may not be: nothing is changed there.
format=$WORK/bucket/some%2Fwhere%2Fformat
mv "$format" format.kept
echo "imagefs blob store 4" >"$format"
cached
cloud_image more 2M 45
there=$(objects)
"$FSOP" mkdir "$R/private/more/copies/cn-east-2" >out # or it is known already
until_true 20 _health "another blob store has this part of the bucket" || fail "health says: $(cat "$MNT/info/health")"
[ ! -d "$R2/private/more" ] || settle "$R2/private/more" error
same "$(objects)" "$there" "objects of another store's"
[ ! -d "$R2/private/more" ] || ok rmdir "$R2/private/more"
mv format.kept "$format"
until_true 30 eval '[ "$(cat "$MNT/info/health")" = ok ]' || fail "health says: $(cat "$MNT/info/health")"
[ ! -d "$R2/recycle/more" ] || ok rmdir "$R2/recycle/more"

# Nor does it take what is there for its own: who finds something else at its place writes nothing more.
taken=()
for ((i = 1; i < 64; i++)); do
        printf -v name '%s/some%%2Fwhere%%2Fsegments%%2F%08x.seg' "$WORK/bucket" "$i"
        [ -e "$name" ] || { echo other >"$name" && taken+=("$name"); }
done
pattern other.raw 2M 46
ok mkdir "$R2/private/other"
ok upload other.raw "$R2/private/other/upload"
settle "$R2/private/other" error
_health "$FAR: something else is in the bucket where this blob store was to put a part of itself" ||
        fail "health says: $(cat "$MNT/info/health")"
same "$(cat "${taken[@]}" | sort -u)" other "what others have put there"
same_disk "$R2/private/late/disks/vda.raw" late.raw
rm "${taken[@]}"
restart -o cache=64K,cache-disk=0
value "$MNT/info/health" ok
ok rmdir "$R2/private/other"
[ ! -d "$R2/recycle/other" ] || ok rmdir "$R2/recycle/other"
import_raw "$R2/private/other" other.raw
same_disk "$R2/private/other/disks/vda.raw" other.raw

# What nobody needs any more goes there, too.
for region in "$R" "$R2"; do
        for image in "$region"/private/*/; do
                for vm in "$image"/instances/*/; do [ ! -d "$vm" ] || ok rmdir "$R2/instances/$(basename "$vm")"; done
                ok rmdir "${image%/}"
                ok rmdir "$region/recycle/$(basename "$image")"
        done
done
for snapshot in "$R2"/snapshots/*/; do [ ! -d "$snapshot" ] || ok rmdir "${snapshot%/}"; done
# What somebody keeps for a moment is looked at again a minute later.
until_true 100 eval '[ "$(objects)" = format ]' || fail "left in the bucket: $(objects)"

# Nobody sees the keys.
grep -rqF "open sesame" "$WORK/daemon.log" "$MNT/info" "$STORE" "$R2/store" && fail "the secret is to be seen"
ok rmdir "$R2"

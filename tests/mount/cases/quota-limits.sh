# SPDX-License-Identifier: MIT
# Quotas: what counts, what the administrator changes, what is refused.
start
two_regions
me=$(id -un)
quota=$R/quota
same "$(cat "$quota")" $'private-images used=0 limit=5\nsnapshots used=0 limit=20\nshared-images used=0 limit=5\ninstances used=0 limit=50\ndisks used=0 limit=50\ndisk-bytes used=0 limit=10995116277760' "quota"

for i in 1 2 3 4 5; do ok mkdir "$R/private/i$i"; done
refused EDQUOT - mkdir "$R/private/i6"
# The sentence names the rule and the numbers.
[[ $(tail -n 1 "$MNT/info/errors") == *5* ]] || fail "the sentence has no number: $(tail -n 1 "$MNT/info/errors")"
ok mkdir "$R2/private/i6" # each region by itself
ok rmdir "$R/private/i5"
ok mkdir "$R/private/i6"

ok write "$quota" "private-images limit=6"
ok mkdir "$R/private/i7"
refused EDQUOT - mkdir "$R/private/i8"
ok write "$quota" "$me private-images limit=7"
ok mkdir "$R/private/i8"
refused EDQUOT - mkdir "$R/private/i9"
same "$(head -n 1 "$quota")" "private-images used=7 limit=7" "quota"
# A limit below what is used takes nothing away.
ok write "$quota" "$me private-images limit=2"
same "$(head -n 1 "$quota")" "private-images used=7 limit=2" "quota"
refused EDQUOT - mkdir "$R/private/i9"
same "$(head -n 1 "$R2/quota")" "private-images used=1 limit=5" "the other region"

# The library's own limits are the default for all regions.
ok write "$MNT/info/limits" "private-images 9"
same "$(keyed "$MNT/info/limits" private-images)" 9 "limits"
same "$(head -n 1 "$R2/quota")" "private-images used=1 limit=9" "the other region"

for line in "private-images" "private-images limit=" "private-images limit=-1" "private-images limit=many" \
        "private-images limit=5 limit=6" "sheep limit=3" "limit=3" $'\n' "private-images used=1" \
        "private-images limit=99999999999999999999"; do
        refused EINVAL - write "$quota" "$line"
done
refused "ENOENT" - write "$quota" "nosuchuser private-images limit=3"
for line in "private-images" "private-images x" "sheep 3" $'\n' "private-images 1 2" "private-images -1"; do
        refused EINVAL - write "$MNT/info/limits" "$line"
done
same "$(cat "$MNT/info/limits")" $'private-images 9\nsnapshots 20\nshared-images 5\ninstances 50\ndisks 50\ndisk-bytes 10995116277760\nshares-per-image 5\nimages-per-batch 5\ndownload-hours 24\nrecycle-days 30\nended-tasks 100\nunnamed-days 30\nscrub-days 30\nevents 10000\nfollows 20' "limits"
ok write "$MNT/info/limits" "images-per-batch 2"
refused E2BIG - write "$R/batch" "delete i1 i2 i3"

# Each of them by its name: for the library, for the region, for one user in it; only the first ones are counted.
while read -r key value; do
        ok write "$MNT/info/limits" "$key $((value + 1))"
        same "$(keyed "$MNT/info/limits" "$key")" $((value + 1)) "$key of the library"
        ok write "$MNT/info/limits" "$key $value"
        case $key in
        private-images | snapshots | shared-images | instances | disks | disk-bytes)
                ok write "$R2/quota" "$key limit=41"
                grep -qx "$key used=[0-9]* limit=41" "$R2/quota" || fail "$key of the region: $(cat "$R2/quota")"
                ok write "$R2/quota" "$me $key limit=42"
                ok write "$R2/quota" "12345 $key limit=43"
                grep -qx "$key used=[0-9]* limit=42" "$R2/quota" || fail "$key of $me: $(cat "$R2/quota")"
                ;;
        *) refused EINVAL - write "$R2/quota" "$key limit=41" ;;
        esac
        refused EINVAL - write "$MNT/info/limits" "$key $([ "$key" = disk-bytes ] && echo 1048577T || echo 1000001)"
        refused EINVAL - write "$MNT/info/limits" "$key limit=3"
done < <(cat "$MNT/info/limits")

# Snapshots: asked for when the upload is opened, given back when nothing came, kept when the image goes.
pattern disk.raw 1M 1
ok write "$quota" "snapshots limit=0"
refused EDQUOT "$R/private/i1" open w "$R/private/i1/upload"
value "$R/private/i1/status" queued
ok write "$R/private/i2/type" local # its disk is its own
ok upload disk.raw "$R/private/i2/upload"
settle "$R/private/i2"
ok write "$quota" "snapshots limit=1"
ok open w "$R/private/i1/upload"
_given_back() { [ "$(used "$R" snapshots)" = 0 ]; }
until_true 10 _given_back || fail "nothing was written, and a snapshot counts" # close(2) does not wait for the release
ok upload disk.raw "$R/private/i1/upload"
settle "$R/private/i1"
same "$(used "$R" snapshots)" 1 "snapshots"
ok rmdir "$R/private/i1"
same "$(used "$R" snapshots)" 1 "snapshots stay while the image is in the bin"
refused EDQUOT "$R/private/i3" open w "$R/private/i3/upload"
ok rmdir "$R/recycle/i1"
same "$(used "$R" snapshots)" 0 "snapshots"

# The classes of the administrator have none.
ok write "$quota" "$me private-images limit=0"
ok write "$quota" "snapshots limit=0"
import_raw "$R/public/p" disk.raw

restart
same "$(keyed "$MNT/info/limits" images-per-batch)" 2 "limits"
same "$(sed -n 1p "$quota")" "private-images used=$(ls "$R/private" | wc -l) limit=0" "quota"

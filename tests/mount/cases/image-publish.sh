# SPDX-License-Identifier: MIT
# Moving between the classes: what the administrator may, and that all else is EPERM.
start
two_regions
cloud_image web
web=$R/private/web
id=$(cat "$web/id")

refused EPERM "$web" rename "$web" "$R2/private/web"
refused EPERM "$web" rename "$web" "$R/iso/web"
refused EPERM "$web" rename "$web" "$R/snapshots/web2"
refused EPERM "$web" rename "$web" "$MNT/web"
refused EPERM - rename "$R/snapshots/web" "$R/private/web2"
refused EPERM - rename "$web/name" "$web/title"
refused EPERM - rename "$R/private" "$R/secret"

ok rename "$web" "$R/public/web"
value "$R/public/web/id" "$id"
value "$R/public/web/status" available
value "$R/public/web/type" both
same "$(used "$R" private-images)" 0 "published images do not count"
same_disk "$R/public/web/disks/vda.raw" web.raw
refused EPERM "$R/public/web" rename "$R/public/web" "$R/marketplace/web"
ok rename "$R/public/web" "$R/public/web-12"

cloud_image shop 1M 7
ok rename "$R/private/shop" "$R/marketplace/shop"
ok write "$R/marketplace/shop/provider" "The Shop"
value "$R/marketplace/shop/provider" "The Shop"

restart
value "$R/public/web-12/id" "$id"
same_disk "$R/public/web-12/disks/vda.raw" web.raw

# And back: a private cloud image of root's, its disk a snapshot, within the quotas. Machines keep what they have.
ok mkdir "$R/public/web-12/instances/vm"
ok write "$R/quota" "private-images limit=0"
refused EDQUOT "$R/public/web-12" rename "$R/public/web-12" "$R/private/web"
ok write "$R/quota" "private-images limit=5"
ok rename "$R/public/web-12" "$R/private/web"
value "$R/private/web/id" "$id"
value "$R/private/web/type" cloud
value "$R/private/web/source" private
closed() { [ "$(stat -c '%a %u' "$R/private/web")" = "700 $(id -u)" ]; }
until_true 5 closed || fail "it is open to others: $(stat -c '%a %u' "$R/private/web")"
same "$(used "$R" private-images) $(used "$R" snapshots)" "1 2" "what counts"
value "$R/instances/vm/image" private/web
same_disk "$R/instances/vm/disks/vda.raw" web.raw
refused EPERM "$R/marketplace/shop" rename "$R/marketplace/shop" "$R/iso/shop"
ok rename "$R/marketplace/shop" "$R/private/shop"

# One that was imported there has its snapshot already, which counts for root.
ok write "$R/quota" "snapshots limit=2"
import_raw "$R/public/new" web.raw
same "$(used "$R" snapshots)" 3 "its snapshot"
ok write "$R/quota" "snapshots limit=9"
ok rename "$R/public/new" "$R/private/new"
value "$R/private/new/device-mapping" "/dev/vda system snapshot:$(cat "$R/snapshots/new/id") $(stat -c %s web.raw)"
same "$(used "$R" snapshots)" 3 "its snapshot"
refused EOPNOTSUPP "$R/private/new" write "$R/private/new/convert" cloud
restart
same_disk "$R/private/new/disks/vda.raw" web.raw
same_disk "$R/private/web/disks/vda.raw" web.raw
stop
check_store

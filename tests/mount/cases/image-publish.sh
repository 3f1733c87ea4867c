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
refused EPERM "$R/public/web" rename "$R/public/web" "$R/private/web"
refused EPERM "$R/public/web" rename "$R/public/web" "$R/marketplace/web"
ok rename "$R/public/web" "$R/public/web-12"

cloud_image shop 1M 7
ok rename "$R/private/shop" "$R/marketplace/shop"
ok write "$R/marketplace/shop/provider" "The Shop"
value "$R/marketplace/shop/provider" "The Shop"

restart
value "$R/public/web-12/id" "$id"
same_disk "$R/public/web-12/disks/vda.raw" web.raw

# SPDX-License-Identifier: MIT
# Who cannot be converted, with the errno that says what kind of refusal it is.
start
two_regions
ok mkdir "$R/private/queued"
ok write "$R/private/queued/type" local
refused EBUSY "$R/private/queued" write "$R/private/queued/convert" cloud
cloud_image cloud 1M 1
refused EOPNOTSUPP "$R/private/cloud" write "$R/private/cloud/convert" cloud
pattern pub.raw 1M 2
import_raw "$R/public/pub" pub.raw
refused "EOPNOTSUPP|EPERM" "$R/public/pub" write "$R/public/pub/convert" cloud
local_image web 1M 3
web=$R/private/web
refused EINVAL "$web" write "$web/convert" local
refused EINVAL "$web" write "$web/convert" $'\n'
refused EINVAL "$web" write "$web/convert" cloudy
refused EINVAL "$web" write "$web/convert" $'cloud\ncloud'
refused EINVAL "$web" write "$web/convert" "cloud .hidden"
refused EINVAL "$web" write "$web/convert" "cloud a/b"

ok write "$R/quota" "private-images limit=3"
refused EDQUOT "$web" write "$web/convert" cloud
ok write "$R/quota" "private-images limit=4"
ok write "$R/quota" "snapshots limit=1"
refused EDQUOT "$web" write "$web/convert" cloud
ok write "$R/quota" "snapshots limit=9"

# While it runs (in one store it is a matter of a few writes, so these are made slow).
slow_disk 100
ok write "$web/convert" cloud
if [ "$(keyed "$web/convert" status)" = running ]; then
        answer=$("$FSOP" write "$web/convert" cloud)
        [ "$answer" = "EBUSY write" ] || [ "$(keyed "$web/convert" status)" != running ] || fail "converting twice: $answer"
        [ -n "$(cat "$web/used-by")" ] || [ "$(keyed "$web/convert" status)" != running ] ||
                fail "used-by does not say what is running"
        # It can have ended by now: then, and only then, the image can go.
        if [ "$("$FSOP" rmdir "$web")" = ok ]; then
                same "$(keyed "$R/recycle/web/convert" status)" "done" "deleted under a conversion"
                ok rename "$R/recycle/web" "$web"
        fi
else
        echo "note: the conversion was too fast to be met"
fi
fast_disk
settle "$web"
settle "$R/private/web-cloud"
same "$(cat "$web/used-by")" "" "used-by"
ok rmdir "$web"

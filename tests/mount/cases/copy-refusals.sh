# SPDX-License-Identifier: MIT
# What cannot be copied where.
start
two_regions
ok mkdir "$R/private/queued"
refused EBUSY "$R/private/queued" mkdir "$R/private/queued/copies/cn-east-2"
local_image lo 1M 1
refused EOPNOTSUPP "$R/private/lo" mkdir "$R/private/lo/copies/cn-east-2"
cloud_image web 1M 2
web=$R/private/web
refused EINVAL "$web" mkdir "$web/copies/cn-north-1"
refused ENOENT "$web" mkdir "$web/copies/nowhere"
refused "EINVAL|ENOENT" "$web" mkdir "$web/copies/.hidden"

ok write "$R2/quota" "private-images limit=0"
refused EDQUOT "$web" mkdir "$web/copies/cn-east-2"
ok write "$R2/quota" "private-images limit=5"
ok write "$R2/quota" "snapshots limit=0"
refused EDQUOT "$web" mkdir "$web/copies/cn-east-2"
ok write "$R2/quota" "snapshots limit=5"
same "$(ls "$R2/private")" "" "nothing was made"
same "$(ls "$web/copies")" "" "no copy was recorded"

ok mkdir "$R/private/bad"
ok write "$R/private/bad/format" qcow2
expect EINVAL upload web.raw "$R/private/bad/upload"
refused EBUSY "$R/private/bad" mkdir "$R/private/bad/copies/cn-east-2"

# SPDX-License-Identifier: MIT
# A copy that ended in error says why, leaves no snapshot and no charge but its image, and is made again after rmdir.
start
two_regions
mkdir other
ok write "$R2/store" "$WORK/other"
cloud_image web 6M
web=$R/private/web
stop
# The bytes are damaged, and later mended.
mkdir kept
cp -a "$STORE/blobs/segments/." kept
for file in "$STORE"/blobs/segments/*; do
        [ ! -f "$file" ] || printf damaged-damaged-damaged | dd of="$file" bs=1 seek=20000 conv=notrunc status=none
done
start
sentence='bytes in the store do not match their checksum: "imagefs check" shows what is damaged'
for copy in web web-2; do
        ok mkdir "$web/copies/cn-east-2"
        settle "$R2/private/$copy" error
        value "$R2/private/$copy/error" "$sentence"
        value "$web/copies/cn-east-2/status" error
        value "$web/copies/cn-east-2/error" "$sentence"
        value "$(task_of "$web" copy)/status" error
        same "$(used "$R2" snapshots)" 0 "snapshots of a copy that failed"
        value "$web/used-by" ""
        expect EEXIST mkdir "$web/copies/cn-east-2"
        ok rmdir "$web/copies/cn-east-2"
        same "$(ls "$web/copies")" "" "copies"
done
same "$(used "$R2" private-images)" 2 "what failed is there until it is removed"
for copy in web web-2; do
        ok rmdir "$R2/private/$copy"
        ok rmdir "$R2/recycle/$copy"
done
same "$(used "$R2" private-images)" 0 "what counts"
stop
cp -a kept/. "$STORE/blobs/segments"
start
ok mkdir "$web/copies/cn-east-2"
settle "$R2/private/web"
value "$web/copies/cn-east-2/status" "done"
same_disk "$R2/private/web/disks/vda.raw" web.raw

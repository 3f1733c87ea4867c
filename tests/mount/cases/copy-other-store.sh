# SPDX-License-Identifier: MIT
# A region whose blobs are elsewhere: bytes move, each once.
start
two_regions
mkdir other
ok write "$R2/store" "$WORK/other"
value "$R2/store" "$WORK/other"
cloud_image web 6M
web=$R/private/web
need_bytes=$(sed -n 's/.*bytes-to-move=//p' "$web/copy-targets")
[ "$need_bytes" -gt 0 ] || fail "copy-targets says that nothing has to move"

ok mkdir "$web/copies/cn-east-2"
settle "$R2/private/web"
same_disk "$R2/private/web/disks/vda.raw" web.raw
value "$R2/private/web/checksum" "$(cat "$web/checksum")"
used_first=$(du -sk other | cut -f 1)
[ "$used_first" -gt 1000 ] || fail "the other store holds $used_first KiB"

# The same again: what the target holds does not move and takes no room.
ok rmdir "$web/copies/cn-east-2"
ok mkdir "$web/copies/cn-east-2"
settle "$R2/private/web-2"
used_second=$(du -sk other | cut -f 1)
[ $((used_second - used_first)) -lt 200 ] || fail "the second copy took $((used_second - used_first)) KiB"

# The other way round: a copy of the copy finds everything at home.
ok mkdir "$R2/private/web/copies/cn-north-1"
settle "$R/private/web-2"
same_disk "$R/private/web-2/disks/vda.raw" web.raw

# The store stays where it is once the region has something in it.
mkdir third
refused EBUSY - write "$R2/store" "$WORK/third"
same "$(ls -A third)" "" "nothing was made there"

restart
value "$R2/store" "$WORK/other"
same_disk "$R2/private/web/disks/vda.raw" web.raw
same "$(cat "$R2/private/web/checksum")" "$(cat "$web/checksum")" "checksum"

# SPDX-License-Identifier: MIT
# A disk that cannot be read whole gives no image: status error, no snapshot is left, and the image stays until deleted.
start
two_regions
pattern web.raw 2M 12
import_raw "$R/private/web" web.raw
ok mkdir "$R/private/web/instances/vm"
vm=$R/instances/vm
pattern data.raw 1M 13
ok mkdir "$R/disks/d1"
ok write "$R/disks/d1/size" 1M
run dd if=data.raw of="$R/disks/d1/data.raw" bs=1M conv=notrunc status=none
ok write "$vm/attach" d1
stop

# The data disk's bits are damaged: it is the one without a base, so that it has the only data file with much in it.
damaged=$(find "$STORE" -path '*/disks/*.data' -printf '%b %p\n' | sort -n | tail -n 1 | cut -d ' ' -f 2)
[ -n "$damaged" ] || fail "no disk in the store"
printf XXXX | dd of="${damaged%.data}.bitmap" bs=1 seek=100 conv=notrunc status=none
NO_CHECK=1
start
same "$(used "$R" private-images) $(used "$R" snapshots)" "1 1" "charged before"
ok mkdir "$vm/images/web-2"
image=$R/private/web-2
settle "$image" error
[[ $(cat "$image/error") == *' '*' '* ]] || fail "no sentence in error: $(cat "$image/error")"
same "$(ls "$R/snapshots")" web "snapshots of the operation"
same "$(used "$R" private-images) $(used "$R" snapshots)" "2 1" "charged"
value "$vm/status" stopped
same "$(cat "$vm/used-by")" "" "nothing works on it any more"
expect EBUSY mkdir "$image/instances/x"
restart
value "$image/status" error
ok rmdir "$image"
[ ! -d "$R/recycle/web-2" ] || ok rmdir "$R/recycle/web-2"

# Without that disk it works.
ok write "$vm/image-disks" none
ok mkdir "$vm/images/web-2"
settle "$image"
same_disk "$image/disks/vda.raw" web.raw

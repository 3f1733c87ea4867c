# SPDX-License-Identifier: MIT
# rmdir while uploading cancels, and leaves nothing behind.
need qemu-img pgrep
start
two_regions
pattern disk.raw 8M 51
web=$R/private/web
ok mkdir "$web"
exec 5>"$web/upload"
run dd if=disk.raw of=/dev/fd/5 bs=1M count=4 conv=notrunc status=none
value "$web/status" uploading
same "$(used "$R" snapshots)" 1 "an upload holds its snapshot"

# While it is uploading: editing works, operations do not.
ok write "$web/description" "coming"
refused EBUSY "$web" write "$web/convert" cloud
refused EBUSY "$web" mkdir "$web/copies/cn-east-2"
refused EBUSY "$web" write "$web/type" local

ok rmdir "$web"
expect ENOENT stat "$web"
same "$(ls "$R/recycle")" "" "not in the bin"
same "$(used "$R" snapshots)" 0 "snapshot quota"
same "$(used "$R" private-images)" 0 "image quota"
# The writer that is still there is told, and cannot bring it back.
if dd if=disk.raw of=/dev/fd/5 bs=1M seek=4 skip=4 conv=notrunc status=none 2>/dev/null; then
        fail "writing to an upload that was cancelled"
fi
exec 5>&-
expect ENOENT stat "$web"
same "$(ls "$R/private")" "" "nothing is left"

# The name is free at once.
import_raw "$web" disk.raw
same_checksum "$web" disk.raw

# The short form likewise: the directory appears with the upload.
exec 5>"$R/private/short.raw"
head -c 1000000 disk.raw >&5
value "$R/private/short/status" uploading
ok rmdir "$R/private/short"
exec 5>&-
same "$(ls "$R/private")" web "nothing is left"

# A cancel while the bytes are being stored: the task ends, the image is gone.
ok mkdir "$R/private/late"
slow_disk 50
ok upload disk.raw "$R/private/late/upload"
case $(cat "$R/private/late/status") in
uploading|pending) expect "ok|EBUSY" rmdir "$R/private/late" ;; # it goes on meanwhile
available) echo "note: the import was too fast to be met" ;;
*) fail "status $(cat "$R/private/late/status")" ;;
esac
fast_disk
[ ! -d "$R/private/late" ] || settle "$R/private/late"

# Cancelled while the child that reads a foreign format does not answer, and never will: it is not waited for.
head -c 64M /dev/urandom >stuck.raw
qemu-img convert -O qcow2 -o cluster_size=512 stuck.raw stuck.qcow2
child() { child=$(pgrep -P "$daemon_pid" -x qemu-nbd); }
has_no_child() { ! kill -0 "$child"; }
ok mkdir "$R/private/stuck"
slow_disk 100 # so that it can be met before it has read all
ok upload stuck.qcow2 "$R/private/stuck/upload"
until_true 30 child || fail "no child reads the file"
kill -STOP "$child"
fast_disk
task=$(task_of "$R/private/stuck" import)
value "$task/status" running
ok rmdir "$task"
settle "$R/private/stuck" error # comes back, while the child would never have
until_true 30 has_no_child || fail "the child is left"
ok rmdir "$R/private/stuck"
ok rmdir "$R/recycle/stuck"
nothing_incoming
restart
same_checksum "$web" disk.raw

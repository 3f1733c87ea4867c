# SPDX-License-Identifier: MIT
# A region in a bucket of Ceph's: images come and go, over a way that cuts connections, too; with the gateway gone what needs its
# bytes is EIO within a bound, and all goes on when it is back.
# time limit: 600
. "$lib/ceph.sh"
need_root "a network of its own"
ceph_cluster
ceph_gateway
real=$IMAGEFS
cat >imagefs <<SCRIPT
#!/bin/sh
exec nsenter --target $ceph_net --net "$real" "\$@"
SCRIPT
chmod 755 imagefs
IMAGEFS=$WORK/imagefs
mkfifo ready
in_ceph_alone /usr/bin/python3 "$lib/relay" 127.0.0.1 80 "${IMAGEFS_SEED:-$RANDOM}" "$WORK/ready" 4000000 &
read -r port <ready

cached() { start -o cache=64K,cache-disk=0,slow-request=1; }
cached
two_regions
raise_limits
ok mkdir "$MNT/regions/cut"
ok write "$R2/store" "s3://lib/one endpoint=http://127.0.0.1:80"
cut=$MNT/regions/cut
ok write "$cut/store" "s3://lib/two endpoint=http://127.0.0.1:$port"
pattern disk.raw 200M 3
pattern small.raw 24M 4
import_raw "$cut/private/disk" small.raw
for region in "$R" "$R2"; do
        began=$(date +%s%N)
        import_raw "$region/private/disk" disk.raw
        echo "note: import of 200 MiB into ${region##*/}: $((($(date +%s%N) - began) / 1000000)) ms"
done
stop
cached
same_disk "$cut/private/disk/disks/vda.raw" small.raw
for region in "$R" "$R2"; do
        began=$(date +%s%N)
        same_disk "$region/private/disk/disks/vda.raw" disk.raw
        echo "note: read of 200 MiB of ${region##*/}: $((($(date +%s%N) - began) / 1000000)) ms"
done
stop

# The gateway is gone: whoever reads is told so, and what is on its way waits.
cached
kill -KILL "$ceph_gateway_pid"
began=$SECONDS
if cat "$R2/private/disk/disks/vda.raw" >/dev/null 2>err; then fail "read without a gateway"; fi
grep -q "Input/output error" err || fail "$(cat err)"
[ $((SECONDS - began)) -lt 60 ] || fail "EIO after $((SECONDS - began)) s"
echo "note: EIO after $((SECONDS - began)) s"
until_true 20 grep -q "the blob store of region cn-east-2 is offline: s3://lib/one" "$MNT/info/health" ||
        fail "health: $(cat "$MNT/info/health")"
same_disk "$R/private/disk/disks/vda.raw" disk.raw
expect EIO mkdir "$R/private/disk/copies/cn-east-2"
ceph_gateway_start
until_true 120 eval '[ "$(cat "$MNT/info/health")" = ok ]' || fail "health: $(cat "$MNT/info/health")"
same_disk "$R2/private/disk/disks/vda.raw" disk.raw
ok mkdir "$R/private/disk/copies/cn-east-2"
settle "$R2/private/disk-2"
same_disk "$R2/private/disk-2/disks/vda.raw" disk.raw

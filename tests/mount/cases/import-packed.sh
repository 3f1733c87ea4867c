# SPDX-License-Identifier: MIT
# Compressed disks and OVA archives come out as what was put in; what they need of the quota is taken when it is known.
need qemu-img gzip xz zstd tar
[ -x "$(dirname "$IMAGEFS")/imagefs-unpack" ] || skip "built without libarchive"
start
two_regions
raise_limits
pattern disk.raw 6M 51
pattern data.raw 3M 52
run qemu-img convert -O qcow2 disk.raw disk.qcow2

# Compressed: the short form takes both endings off.
gzip -c disk.raw >a.raw.gz
xz -0c disk.qcow2 >b.qcow2.xz
zstd -qc disk.raw >c.img.zst
gzip -c disk.qcow2 >d.img.gz
run cp a.raw.gz b.qcow2.xz c.img.zst d.img.gz "$R/private/"
for name in a b c d; do
        settle "$R/private/$name"
        same_checksum "$R/private/$name" disk.raw
done
value "$R/private/a/format" raw
value "$R/private/b/format" qcow2
value "$R/private/d/format" qcow2
fails cp a.raw.gz "$R/private/a.vmdk.gz"

# What is inside must agree, may not be packed again, and no format is hidden from the rules.
ok mkdir "$R/private/agree"
ok write "$R/private/agree/format" qcow2
ok upload a.raw.gz "$R/private/agree/upload"
settle "$R/private/agree" error
gzip -c a.raw.gz >twice.gz
qemu-img convert -O vmdk disk.raw disk.vmdk
gzip -c disk.vmdk >vmdk.gz
run qemu-img create -q -u -f qcow2 -b /etc/passwd -F raw backing.qcow2 1M
xz -c backing.qcow2 >backing.xz
head -c 300000 b.qcow2.xz >cut.xz
truncate -s 2G bomb && zstd -qc bomb >bomb.zst && rm bomb
n=0
used=$(used "$R" snapshots)
for file in twice.gz vmdk.gz backing.xz cut.xz bomb.zst; do
        n=$((n + 1))
        ok mkdir "$R/private/bad$n"
        ok upload "$file" "$R/private/bad$n/upload"
        settle "$R/private/bad$n" error
        [[ $(cat "$R/private/bad$n/error") == *' '* ]] || fail "$file: no reason"
done
same "$(used "$R" snapshots)" "$used" "what is refused is not charged"
nothing_incoming
# The bytes of a disk are not packed.
ok mkdir "$R/private/as-raw"
ok write "$R/private/as-raw/format" raw
expect "EINVAL close" upload a.raw.gz "$R/private/as-raw/upload"
value "$R/private/as-raw/error" "the format is set to raw, but this is a file of format gzip: set format to auto"

# A machine of two disks.
run qemu-img convert -O vmdk -o subformat=streamOptimized disk.raw m-disk1.vmdk
run qemu-img convert -O vmdk data.raw m-disk2.vmdk
cat >m.ovf <<'OVF'
<?xml version="1.0"?>
<Envelope xmlns="http://schemas.dmtf.org/ovf/envelope/1" xmlns:ovf="http://schemas.dmtf.org/ovf/envelope/1">
  <References><File ovf:id="file1" ovf:href="m-disk1.vmdk"/><File ovf:id="file2" ovf:href="m-disk2.vmdk"/></References>
  <DiskSection><Disk ovf:diskId="d1" ovf:fileRef="file1"/><Disk ovf:diskId="d2" ovf:fileRef="file2"/></DiskSection>
  <VirtualSystem ovf:id="m"><Name>the shop</Name>
    <OperatingSystemSection ovf:id="1"><Description>Microsoft Windows Server 2019</Description></OperatingSystemSection>
  </VirtualSystem>
</Envelope>
OVF
for f in m.ovf m-disk1.vmdk m-disk2.vmdk; do echo "SHA256($f)= $(sha256sum <$f | cut -d ' ' -f 1)"; done >m.mf
tar --format=ustar -cf m.ova m.ovf m.mf m-disk1.vmdk m-disk2.vmdk
run cp m.ova "$R/private/"
settle "$R/private/m"
value "$R/private/m/format" ova
value "$R/private/m/os" windows
value "$R/private/m/platform" "Microsoft Windows Server 2019"
value "$R/private/m/description" "the shop"
same_disk "$R/private/m/disks/vda.raw" disk.raw
same_disk "$R/private/m/disks/vdb.raw" data.raw
same "$(used "$R" snapshots)" $((used + 2)) "a snapshot for each disk"
same "$(ls "$R/private/m/snapshots" | wc -l)" 2 "the snapshots of the machine"

# Of a local image the data disks are snapshots, and only those.
used=$(used "$R" snapshots)
ok mkdir "$R/private/local"
ok write "$R/private/local/type" local
ok write "$R/private/local/os" linux
ok upload m.ova "$R/private/local/upload"
settle "$R/private/local"
# It brings its own data disks, and takes no others.
ok mkdir "$R/private/both"
ok mkdir "$R/private/both/disks/vdc"
ok pwrite 4096 "$R/private/both/disks/vdc/upload" data
ok upload m.ova "$R/private/both/upload"
settle "$R/private/both" error
value "$R/private/both/error" "an OVA brings its own data disks: import it without disks/vdc"
ok rmdir "$R/private/both"
value "$R/private/local/os" linux
same "$(used "$R" snapshots)" $((used + 1)) "the system disk is its own"
same_disk "$R/private/local/disks/vdb.raw" data.raw

# No room for the second disk.
ok write "$MNT/info/limits" "snapshots $((used + 2))"
ok mkdir "$R/private/full"
ok upload m.ova "$R/private/full/upload"
settle "$R/private/full" error
[[ $(cat "$R/private/full/error") == *snapshots*limit* ]] || fail "the reason: $(cat "$R/private/full/error")"
same "$(used "$R" snapshots)" $((used + 1)) "what it took is given back"

restart
same_disk "$R/private/m/disks/vdb.raw" data.raw

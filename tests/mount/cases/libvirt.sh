# SPDX-License-Identifier: MIT
# libvirt with its defaults, and a real machine: libvirtd gives the disks to the user that it runs machines as, the guest
# boots from one and writes to it, and libvirtd takes them back. The machine is another user's.
# time limit: 90
need_root "libvirtd"
need libvirtd virsh qemu-system-x86_64 unshare setpriv
. "$lib/users.sh"
OWNER=12001 RUNNER=12005
users $OWNER $RUNNER
start -o allow_other
two_regions

# Writes itself to the third sector, and resets the machine.
{
        printf '\x31\xc0\x8e\xc0\xb8\x01\x03\xb9\x03\x00\xb6\x00\xbb\x00\x7c\xcd\x13\xb0\xfe\xe6\x64\xf4\xeb\xfd'
        head -c 486 /dev/zero
        printf '\x55\xaa'
        head -c $(((8 << 20) - 512)) /dev/zero
} >boot.raw
make_iso cd.iso 6
chmod 644 boot.raw cd.iso
import_raw "$R/public/base" boot.raw
ok mkdir "$R/iso/tools"
ok upload cd.iso "$R/iso/tools/upload"
settle "$R/iso/tools"
by $OWNER ok mkdir "$R/public/base/instances/vm1"
vm=$R/instances/vm1
by $OWNER ok write "$vm/cdrom" iso/tools
as $OWNER truncate -s 16M "$vm/disks/vda.raw"

cat >vm1.xml <<XML
<domain type='qemu'>
  <name>vm1</name>
  <memory unit='MiB'>32</memory>
  <vcpu>1</vcpu>
  <os><type arch='x86_64' machine='pc'>hvm</type></os>
  <on_reboot>destroy</on_reboot>
  <devices>
    <emulator>$WORK/emulators/qemu-system-x86_64</emulator>
    <disk type='file' device='disk'>
      <driver name='qemu' type='raw'/>
      <source file='$vm/disks/vda.raw'/>
      <target dev='vda' bus='virtio'/>
    </disk>
    <disk type='file' device='cdrom'>
      <source file='$vm/disks/cdrom.iso'/>
      <target dev='hda' bus='ide'/>
    </disk>
    <disk type='file' device='cdrom'>
      <source file='$vm/seed.iso'/>
      <target dev='hdb' bus='ide'/>
    </disk>
    <controller type='usb' model='none'/>
    <memballoon model='none'/>
  </devices>
</domain>
XML

# The user that its packages make, and directories of its own. It starts each emulator that it finds, to learn what that
# can, and again for each question where it may open a KVM that does not run: one emulator, no KVM.
mkdir etc emulators
install -m 0 /dev/null no-kvm
ln -s "$(command -v qemu-system-x86_64)" emulators/
(cat /etc/passwd; echo "libvirt-qemu:x:$RUNNER:$RUNNER::/:/bin/false") >etc/passwd
(cat /etc/group; echo "libvirt-qemu:x:$RUNNER:") >etc/group
cat >inside <<'SCRIPT'
set -eu
mount --make-rprivate /
for dir in /etc/libvirt /var/lib/libvirt /var/log/libvirt /var/cache/libvirt /run; do
        mkdir -p "$dir"
        mount -t tmpfs -o mode=755 none "$dir"
done
mount --bind etc/passwd /etc/passwd
mount --bind etc/group /etc/group
cat >/etc/libvirt/qemu.conf <<CONF
stdio_handler = "file"
cgroup_controllers = [ ]
namespaces = [ ]
CONF
mount --bind no-kvm /dev/kvm 2>/dev/null || true # there may be none
PATH=$WORK/emulators:/usr/sbin:/sbin $(command -v libvirtd) -d -p /run/libvirtd.pid 2>libvirtd.log || { cat libvirtd.log; exit 1; }
virsh -q define vm1.xml
virsh -q start --paused vm1
cd "$VM"
stat -c '%n %u' disks/vda.raw disks/cdrom.iso seed.iso
cat status
stat -c 'run by %u' "/proc/$(cat /run/libvirt/qemu/vm1.pid)"
mkfifo /run/events
virsh -q event vm1 --event lifecycle --loop --timeout 40 >/run/events 2>/run/events.log & # ends with libvirtd, and complains
exec 3</run/events
virsh -q resume vm1
grep -m 1 Stopped <&3 >/dev/null
stat -c '%n %u' disks/vda.raw
cat status
kill "$(cat /run/libvirtd.pid)"
SCRIPT
"$lib/apart" --net --pid --fork --kill-child --mount-proc -- env -u BASH_ENV RUNNER=$RUNNER VM="$vm" bash inside >said 2>&1 ||
        fail "libvirt: $(tail -n 20 said)"
# what can only be read, libvirt does not take back: another machine may have it
cat >want <<SAID
disks/vda.raw $RUNNER
disks/cdrom.iso $RUNNER
seed.iso $RUNNER
running
run by $RUNNER
disks/vda.raw $OWNER
stopped
SAID
cmp -s said want || fail "libvirt: $(cat said)"
by $RUNNER expect EACCES stat "$vm/disks/vda.raw"
cmp -n 512 -i 0:1024 boot.raw "$vm/disks/vda.raw" || fail "the guest's sector is not on the disk"

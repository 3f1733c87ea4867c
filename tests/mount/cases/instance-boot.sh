# SPDX-License-Identifier: MIT
# A real Debian boots from an instance's disk, writes a file and powers off; the disk becomes an image, whose instance
# has that file. With the cache and aio modes that machines are run with.
# time limit: 300
need qemu-system-x86_64 debugfs
real_disk boot
# Where Linux sends again what was under way, the process that serves dies in the middle of each boot.
supervised=
[ "$(printf '%s\n' 6.9 "$(uname -r)" | sort -V | head -n 1)" != 6.9 ] || supervised=restarts=1000
start -o "$supervised"
two_regions
run cp --sparse=always "$DISK" "$R/private/debian.raw"
SETTLE_SECONDS=200
settle "$R/private/debian"
sum=$(cat "$R/private/debian/checksum")

# The kernel and initial file system that are on the disk itself, for a boot without a boot loader.
kernel=$(debugfs -R 'ls -p /boot' "$DISK" 2>/dev/null | tr / '\n' | grep -m 1 '^vmlinuz-')
debugfs -R "dump /boot/$kernel kernel" "$DISK" 2>/dev/null
debugfs -R "dump /boot/initrd.img-${kernel#vmlinuz-} initrd" "$DISK" 2>/dev/null
[ -s kernel ] && [ -s initrd ] || fail "no kernel on the disk"

# What runs as the guest's first process; put into the disk of the instance, not of the image.
cat >guest <<'GUEST'
#!/bin/sh
# Tells what the boots before have left, adds a line, ends.
export PATH=/usr/sbin:/usr/bin:/sbin:/bin
mount -o remount,rw /
[ -e /proc/cmdline ] || mount -t proc proc /proc
echo "guest: $(cat /srv/boots 2>/dev/null | tr '\n' ' ')"
echo "$(uname -r) $(sed -n 's/.*step=\([a-z_]*\).*/\1/p' /proc/cmdline)" >>/srv/boots
sync && mount -o remount,ro / && echo "guest: done"
echo o >/proc/sysrq-trigger
sleep 60
GUEST

# boot INSTANCE WORD CACHE,AIO: what the guest says is in the file console.
boot() {
        rm -f console
        timeout -k 5 100 qemu-system-x86_64 -accel tcg,thread=multi -cpu qemu64 -m 512 -nodefaults -no-reboot -display none \
                -serial file:console -kernel kernel -initrd initrd \
                -append "root=/dev/vda ro console=ttyS0 panic=-1 quiet no_timer_check init=/srv/guest step=$2" \
                -drive "file=$1/disks/vda.raw,format=raw,if=virtio,$3" </dev/null >qemu.out 2>&1 &
        qemu=$!
        until_true 60 grep -q . console || fail "it does not run: $(tail -n 3 qemu.out)"
        value "$1/status" running
        expect EBUSY mkdir "$1/images/too-early"
        [ -z "$supervised" ] || kill -KILL "$(pgrep -P "$daemon_pid" imagefs)" || fail "nobody serves"
        value "$1/status" running
        wait "$qemu" || fail "qemu: $(tail -n 3 qemu.out; tail -n 5 console)"
        grep -q '^guest: done' console || fail "the guest: $(grep -v "^\[ .*\(0x\|R..:\)" console | tail -n 25)"
        value "$1/status" stopped
}

ok mkdir "$R/private/debian/instances/vm1"
vm=$R/instances/vm1
printf 'cd /srv\nwrite guest guest\nsif guest mode 0100755\n' >commands
run debugfs -w -f commands "$vm/disks/vda.raw" >/dev/null
value "$vm/status" stopped
unique=$(keyed "$MNT/info/store" unique-bytes)

boot "$vm" writeback cache=writeback,aio=threads
ok mkdir "$vm/images/debian-2"
settle "$R/private/debian-2"
grown=$(($(keyed "$MNT/info/store" unique-bytes) - unique))
echo "the boot added $grown bytes"
[ "$grown" -lt $((16 << 20)) ] || fail "the second image takes $grown bytes"
value "$R/private/debian/checksum" "$sum"
same_disk "$R/private/debian/disks/vda.raw" "$DISK"
run e2fsck -fn "$R/private/debian-2/disks/vda.raw" >/dev/null
cmp "$R/private/debian-2/disks/vda.raw" "$vm/disks/vda.raw" || fail "the image is not the disk"

# The machine of the second image has the file; past the page cache now.
ok mkdir "$R/private/debian-2/instances/vm2"
boot "$R/instances/vm2" none cache=none,aio=native
grep -q '^guest: [0-9].* writeback' console || fail "the second machine: $(grep guest: console)"
boot "$R/instances/vm2" none_io_uring cache=none,aio=io_uring
grep -q '^guest: [0-9].* writeback .* none' console || fail "the third boot: $(grep guest: console)"
restart
same "$(debugfs -R 'cat /srv/boots' "$R/instances/vm2/disks/vda.raw" 2>/dev/null | cut -d ' ' -f 2 | tr '\n' ' ')" \
        "writeback none none_io_uring " "boots"
same "$(debugfs -R 'cat /srv/boots' "$R/private/debian-2/disks/vda.raw" 2>/dev/null | cut -d ' ' -f 2)" writeback "the image"

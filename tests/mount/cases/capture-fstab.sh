# SPDX-License-Identifier: MIT
# An image made without a data disk that the guest's /etc/fstab mounts comes with a warning, and never fails because of
# that: not without the program that looks, nor when it is killed or talks nonsense.
need mke2fs debugfs sfdisk blkid mkfs.xfs cc
[ -x "$(dirname "$IMAGEFS")/imagefs-fstab" ] || skip "built without libext2fs"

# partition FILE SIZE NAME: a disk with GPT and a partition of 4 MiB, and one of the rest in which a file system is made
# with the other arguments.
partition() {
        local file=$1 size=$2 name=$3 start
        shift 3
        truncate -s "$size" "$file"
        printf 'label: gpt\nsize=4MiB, name=boot\nname="%s"\n' "$name" | run sfdisk -q "$file"
        start=$(sfdisk -d "$file" | sed -n 's/.*2 : start= *\([0-9]*\),.*/\1/p')
        run mke2fs -q -F -E "offset=$((start * 512))" "$@" "$file" "$(((size - start * 512 - 1048576) / 1024))k"
}

# partition_id FILE TAG: of the second partition.
partition_id() {
        blkid -p -O "$((5 * 1048576))" -o value -s "$2" "$1"
}

# attach NAME: the file NAME.raw as a data disk.
attach() {
        ok mkdir "$R/disks/$1"
        ok write "$R/disks/$1/size" "$(stat -c %s "$1.raw")"
        run dd if="$1.raw" of="$R/disks/$1/data.raw" bs=1M conv=notrunc status=none
        ok write "$vm/attach" "$1"
}

# fstab LINE …: what the guest's is from now on.
fstab() {
        printf '%s\n' "$@" >fstab
        printf 'rm /etc/fstab\nwrite fstab /etc/fstab\n' >edit
        run debugfs -w -f edit "$vm/disks/vda.raw?offset=$((5 * 1048576))" >/dev/null
}

# capture [DISKS]: makes $image, of which these go along.
images=0
capture() {
        ok write "$vm/image-disks" "${1:-none}"
        image=$R/private/next-$((++images))
        ok mkdir "$vm/images/next-$images"
        settle "$image"
        value "$image/last-error" ""
        said=$(cat "$image/warnings")
        same "$(cat "$vm/warnings")" "$said" "what was said before"
        same "$(stat -c %s "$vm/warnings")" "$(wc -c <"$vm/warnings")" "its size"
}

quiet() {
        capture "$@"
        same "$said" ""
}

# warned DISKS WORD …: of each of these, and not of vdb where that is no word.
warned() {
        local disks=$1 word
        shift
        capture "$disks"
        for word in "/etc/fstab" nofail "$@"; do
                [[ $said == *"$word"* ]] || fail "image-disks $disks: not a word of $word: $said"
        done
        [[ $* == *vdb* ]] || [[ $said != *vdb* ]] || fail "image-disks $disks: no reason to speak of vdb: $said"
        ! grep -q fstab "$MNT/info/errors" || fail "/info/errors has the warning"
}

start
two_regions
raise_limits
mkdir -p root/etc
echo '# none' >root/etc/fstab
partition system.raw 25165824 root -t ext4 -L system -d root
import_raw "$R/private/web" system.raw
ok mkdir "$R/private/web/instances/vm"
vm=$R/instances/vm
partition d1.raw 16777216 "data one" -t ext4 -L papers
truncate -s 8M d2.raw
run mke2fs -q -F -t ext2 -L "my things" d2.raw
truncate -s 8M d3.raw
run mkswap -q -U 4f1c2b5e-6b1a-4e0a-9d59-0c3f2d9c1a77 d3.raw
attach d1
attach d2
attach d3
uuid=$(partition_id d1.raw UUID)
partuuid=$(sfdisk --part-uuid d1.raw 2)
root="UUID=$(partition_id system.raw UUID) / ext4 errors=remount-ro 0 1"

# Every name that a line may have for it.
quiet none
for name in "UUID=$uuid" "UUID=\"${uuid^^}\"" LABEL=papers "PARTUUID=$partuuid" 'PARTLABEL=data\040one' /dev/vdb2 \
        "/dev/disk/by-uuid/$uuid" /dev/disk/by-label/papers "/dev/disk/by-partuuid/${partuuid,,}"; do
        fstab "$root" "# a comment" "" "$name /data ext4 defaults 0 2"
        warned none "does not start" "on /data" vdb "${name//'\040'/ }"
        quiet vdb
done
quiet all

# Which of them go along decides, line by line.
fstab "$root" "UUID=$uuid /data ext4 defaults 0 2" 'LABEL=my\040things /srv ext2 defaults' "/dev/vdc /mnt/c ext2 ro" \
        "LABEL=system /again ext4 defaults" "/dev/vda1 /boot/efi vfat umask=0077 0 1"
warned none "$uuid on /data (vdb)" "things on /srv (vdc)" "/dev/vdc on /mnt/c (vdc)"
warned vdb "things on /srv (vdc)" "/dev/vdc on /mnt/c (vdc)"
quiet "vdb vdc"

# One that was detached and would be missed. Of a UUID that is seen nowhere nothing is known.
fstab "$root" "/dev/vde /data ext4 defaults" "UUID=01234567-89ab-cdef-0123-456789abcdef /x ext4 defaults"
warned all "/dev/vde on /data (vde)"

# Swap is waited for, and then done without.
fstab "$root" "UUID=4f1c2b5e-6b1a-4e0a-9d59-0c3f2d9c1a77 none swap sw 0 0"
warned none "as swap (vdd)" "waits long"

# Nobody waits for these.
fstab "$root" "UUID=$uuid /data ext4 defaults,nofail 0 2" "/dev/vdb2 /a ext4 noauto" "/dev/vdc /b ext2 rw,_netdev" \
        "/dev/vdc /c ext2 x-systemd.automount" "/dev/sr0 /cdrom iso9660 ro" "#/dev/vdb /d ext4 defaults" \
        "/dev/mapper/vg-home /home ext4 defaults" "tmpfs /tmp tmpfs defaults" "host:/vdb /n nfs defaults" "/dev/vdb"
quiet none

# What the guest wrote comes cut and without what a terminal would obey.
fstab "$root" "/dev/vdb2 /a$(printf '\033[2Jx\303\251')$(printf 'y%.0s' {1..200}) ext4 defaults"
warned none vdb "/a?[2Jx??yyy"
[ "$(wc -c <"$image/warnings")" -lt 600 ] || fail "it was not cut: $said"

# It stays: a refusal takes nothing from it, nor a restart; what is made of the image has it too. Both files can only be
# read.
restart
[[ $(cat "$vm/warnings") == *"/a?[2Jx??yyy"* ]] || fail "not found again: $(cat "$vm/warnings")"
refused EPERM "$image" write "$image/warnings" x
refused EPERM "$vm" write "$vm/warnings" x
same "$(cat "$image/warnings")" "$said"
ok mkdir "$image/copies/cn-east-2"
settle "$MNT/regions/cn-east-2/private/next-$images"
same "$(cat "$MNT/regions/cn-east-2/private/next-$images/warnings")" "$said" "of the copy"

# Of a disk that is written to meanwhile, it says what is there now.
ok write "$vm/image-disks" none
ok write "$vm/power" start
fstab "$root"
value "$vm/warnings" ""
fstab "$root" "/dev/vdb2 /data ext4 defaults"
[[ $(cat "$vm/warnings") == *"on /data (vdb)"* ]] || fail "not of now: $(cat "$vm/warnings")"
ok write "$vm/power" stop

# ---- where nobody can look ----

# Another file system as root.
truncate -s 320M xfs.raw
printf '/\n0 0\nd--755 0 0\netc d--755 0 0\nfstab ---644 0 0 fstab\n$\n$\n' >proto
fstab "$root" "/dev/vdb2 /data ext4 defaults"
run mkfs.xfs -q -p proto xfs.raw
import_raw "$R/private/xfs" xfs.raw
ok mkdir "$R/private/xfs/instances/other"
ok mkdir "$R/instances/other/images/other-2"
settle "$R/private/other-2"
value "$R/private/other-2/warnings" ""
warned none vdb

# Without the program: the daemon looks beside itself.
stop
mkdir bin
cp "$IMAGEFS" "$(dirname "$IMAGEFS")"/imagefs-* bin/
chmod 0711 .
IMAGEFS=$WORK/bin/imagefs
start
warned none vdb
rm bin/imagefs-fstab
restart
quiet none

# program STATEMENT …: what runs in its place; it has the socket as 3, and nothing else to open.
program() {
        rm -f bin/imagefs-fstab
        printf '%s\n' "#include <unistd.h>" "int main(void) {" "$@" "}" >program.c
        run cc -w -o bin/imagefs-fstab program.c
}
program 'return 0;'
quiet none
program 'return 1;'
quiet none
program 'write(3, "nonsense", 8);' 'for (;;) pause();'
quiet none
program 'for (;;) pause();'
ok write "$vm/image-disks" none
ok mkdir "$vm/images/killed"
until_true 4 pgrep -P "$daemon_pid" -x imagefs-fstab || fail "the program was not run"
pkill -KILL -P "$daemon_pid" -x imagefs-fstab
settle "$R/private/killed"
value "$R/private/killed/last-error" ""

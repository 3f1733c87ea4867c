# SPDX-License-Identifier: MIT
# kill -9 under file systems of machines: ext4 and XFS in disks of the library, mounted by way of loop devices, in which fio
# writes and verifies. With a supervisor nobody notices; without one the machine has lost its disk, and finds in it what it
# synced: the file systems are whole once their logs are read. IMAGEFS_KILLS of each.
# time limit: 300
need_root "loop devices"
need fio losetup mkfs.xfs mke2fs xfs_repair e2fsck
kills=${IMAGEFS_KILLS:-2}
. "$lib/crash.sh"
declare -A loop

# attach NAME: its disk as a block device.
attach() {
        loop[$1]=$(losetup --find --show "$R/disks/$1/data.raw" 2>err) || skip "no loop device: $(cat err)"
}
# fio_in TYPE SEED OPTION…: a file in the file system of that disk.
fio_in() {
        local dir=$1 seed=$2
        shift 2
        fio --name=f --directory="$dir" --size=8M --rw=randwrite --bs=4k --ioengine=psync --fsync=64 --verify=crc32c \
                --verify_fatal=1 --verify_state_save=0 --randseed="$seed" --allrandrepeat=0 "$@" >"fio.$dir" 2>&1
}
whole() {
        case $1 in
        ext4) run e2fsck -fn "$R/disks/$1/data.raw" >/dev/null ;;
        xfs) run xfs_repair -n -f "$R/disks/$1/data.raw" >/dev/null ;;
        esac
}

if [ "$(printf '%s\n' 6.9 "$(uname -r)" | sort -V | head -n 1)" = 6.9 ]; then
        supervised="-o restarts=100000"
else
        supervised=
fi
# shellcheck disable=SC2086 # words, or none
start $supervised
two_regions
for type in ext4 xfs; do
        ok mkdir "$R/disks/$type"
        ok write "$R/disks/$type/size" 320M
        run "mkfs.$type" -q "$R/disks/$type/data.raw"
        mkdir $type
done

if [ "$supervised" ]; then
        for type in ext4 xfs; do
                attach $type
                mount "${loop[$type]}" $type || fail "cannot mount $type"
        done
        for ((i = 1; i <= kills; i++)); do
                writers=()
                for type in ext4 xfs; do
                        fio_in $type $((IMAGEFS_SEED + i)) &
                        writers+=($!)
                done
                sleep "0.$((RANDOM % 5))"
                pkill -KILL -P "$daemon_pid" imagefs
                for writer in "${writers[@]}"; do
                        wait "$writer" || fail "kill $i: $(tail -n 5 fio.*)"
                done
        done
        for type in ext4 xfs; do
                run umount $type
                run losetup -d "${loop[$type]}"
                whole $type
        done
        restart
fi

for ((i = 1; i <= kills; i++)); do
        for type in ext4 xfs; do
                attach $type
                mount "${loop[$type]}" $type || fail "cannot mount $type"
                run fio_in $type $((IMAGEFS_SEED + i))
                run sync -f $type
        done
        copiers=()
        for type in ext4 xfs; do
                (while :; do cp $type/f.0.0 $type/copy && sync $type/copy; done) >/dev/null 2>&1 &
                copiers+=($!)
        done
        sleep "0.$((RANDOM % 5))"
        crash
        { kill "${copiers[@]}" && wait "${copiers[@]}"; } 2>/dev/null
        for type in ext4 xfs; do
                until_true 20 umount $type || fail "$type, whose disk is gone, cannot be unmounted"
                run losetup -d "${loop[$type]}"
        done
        start
        for type in ext4 xfs; do
                attach $type
                mount "${loop[$type]}" $type || fail "kill $i: $type cannot be mounted any more"
                fio_in $type $((IMAGEFS_SEED + i)) --verify_only || fail "kill $i: $(tail -n 5 fio.$type)"
                run umount $type
                run losetup -d "${loop[$type]}"
                whole $type
        done
done
echo "note: $kills kills without a supervisor, ${supervised:+and as many with one, }under ext4 and XFS"

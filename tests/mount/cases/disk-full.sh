# SPDX-License-Identifier: MIT
# time limit: 240
# The disk that holds the store is full, and room comes and goes: what a machine's write was told is there after the
# next mount, and what has no place is refused. A clean unmount used to lose what the last sync found no room for.
need_root "loop devices with file systems"
need losetup mkfs.ext4 mkfs.xfs mkfs.btrfs python3

# Somebody else takes what there is, in large and small pieces, and lets go of some of it now and then.
take() {
        local size
        for size in 1M 4k 512; do
                dd if=/dev/zero of=small/filler bs=$size status=none oflag=append conv=notrunc 2>/dev/null
        done
}
fill() {
        take
        until [ -e enough ]; do
                truncate -s -256k small/filler
                sleep 0.2
                take
                sleep 0.3
        done &
        filler_pid=$!
}
free_disk() {
        : >enough
        wait "$filler_pid"
        rm enough small/filler
        sync -f small
}

# machine write DISK NOTES SECONDS: writes blocks and parts of them all over the disk, and some again and again.
# machine verify DISK NOTES: what was taken is there.
machine() {
        python3 - "$@" <<'END_OF_PYTHON'
import errno, os, pickle, random, sys, time
fd = os.open(sys.argv[2], os.O_RDWR)
if sys.argv[1] == "write":
    random.seed(1)
    taken, refused, unsure, end = {}, 0, set(), time.monotonic() + int(sys.argv[4])
    number = 0
    while time.monotonic() < end:
        number += 1
        offset = random.choice([random.randrange(1 << 26), random.randrange(1 << 9)]) * 4096
        text = (b"%015d\n" % number) * random.choice([32, 256])
        try:
            if os.pwrite(fd, text, offset) != len(text):
                raise OSError(errno.ENOSPC, "short")
            taken[offset] = text
            unsure.discard(offset)
            if number % 200 == 0:
                os.fsync(fd)
        except OSError as e:
            if e.errno != errno.ENOSPC:
                raise
            refused += 1
            unsure.add(offset)
            time.sleep(0.005)
    for offset in unsure:
        taken.pop(offset, None)
    pickle.dump(taken, open(sys.argv[3], "wb"))
    print(f"{len(taken)} blocks taken, {refused} writes refused")
    sys.exit(not taken or not refused)
bad = [o for o, text in pickle.load(open(sys.argv[3], "rb")).items() if os.pread(fd, len(text), o) != text]
if bad:
    sys.exit(f"{len(bad)} blocks differ, the first at {min(bad)}")
END_OF_PYTHON
}

mkdir small
for fs in ext4 xfs btrfs; do
        rm -f disk.img
        truncate -s 500M disk.img
        until_true 60 "mkfs.$fs" -q disk.img || run "mkfs.$fs" -q disk.img >/dev/null # as full-disk-btrfs does
        mount -o loop disk.img small 2>err || skip "cannot mount $fs: $(cat err)"
        STORE=$WORK/small/store
        start
        two_regions
        ok mkdir "$R/disks/d"
        ok write "$R/disks/d/size" 256G
        fill
        echo "$fs: $(run machine write "$R/disks/d/data.raw" notes 12)"
        stop
        free_disk
        umount small
        mount -o loop disk.img small
        start
        run machine verify "$R/disks/d/data.raw" notes
        stop
        check_store
        umount small
done
NO_CHECK="the stores are gone with their disks"

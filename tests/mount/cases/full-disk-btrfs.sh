# SPDX-License-Identifier: MIT
# The disk that holds the store is full, and a btrfs: even what is there cannot be written again without space, so that
# a mapped file ended the daemon by SIGBUS. What does not fit is refused, and nothing else happens.
need_root "a loop device with a file system"
need mkfs.btrfs losetup
truncate -s 500M disk.img
# It looks at all that is mounted, and fails where some of it is dead: other cases have such mounts for a while.
until_true 60 mkfs.btrfs -q -f disk.img || run mkfs.btrfs -q -f disk.img
mkdir btrfs
mount -o loop disk.img btrfs 2>err || skip "cannot mount btrfs: $(cat err)"
STORE=$WORK/btrfs/store
start
two_regions
ok write "$MNT/info/limits" "private-images 1000000"
head -c 10M /dev/urandom >first.raw
import_raw "$R/private/first" first.raw

# Somebody else takes what there is, and what the daemon gives up, and lets go of GIVES of it now and then.
take() { dd if=/dev/zero of=btrfs/filler bs="$1" status=none oflag=append conv=notrunc 2>/dev/null; }
fill() { # GIVES
        take 1M
        until [ -e enough ]; do
                take 4k
                truncate -s "-$1" btrfs/filler
                sleep 0.1
        done &
        filler_pid=$!
}
free_disk() {
        : >enough
        wait "$filler_pid"
        rm enough btrfs/filler
        sync -f btrfs
}
declare -A answers
answered() { # FSOP …: done, or refused for want of space
        _got "$@"
        _answer=${_answer%% *}
        [[ $_answer == @(ok|ENOSPC) ]] || fail "$*: got $_answer"
        ((answers[$_answer] += 1))
}
text=$(head -c 600 /dev/urandom | base64 -w 0)
for gives in 0 256k 1M; do
        answers=([ok]=0 [ENOSPC]=0)
        made=0
        fill $gives
        end=$((SECONDS + 8))
        for ((i = 0; SECONDS < end; i++)); do
                answered write "$R/private/first/description" "$i $text"
                answered mkdir "$R/private/made-$gives-$i"
                [ "$_answer" != ok ] || made=$((made + 1))
        done
        echo "with $gives given back: ${answers[ok]} done, ${answers[ENOSPC]} refused"
        same_disk "$R/private/first/disks/vda.raw" first.raw
        free_disk
        # There is work again.
        ok write "$R/private/first/description" "after $gives"
        ok mkdir "$R/private/after-$gives"
        same "$(find "$R/private" -maxdepth 1 -name "made-$gives-*" | wc -l)" "$made" "images made"
done
head -c 8M /dev/urandom >again.raw
import_raw "$R/private/again" again.raw
fill 0
crash
free_disk
start
value "$R/private/first/description" "after 1M"
same_disk "$R/private/again/disks/vda.raw" again.raw
stop
check_store
umount btrfs
NO_CHECK="the store is gone with its disk"

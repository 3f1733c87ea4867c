# SPDX-License-Identifier: MIT
# What is on its way in is nobody else's to read at any moment, and root's: also while a child, which is nobody, reads it.
need qemu-img gzip
need_root
start
two_regions
raise_limits
pattern disk.raw 300M 7
run qemu-img convert -O qcow2 -c disk.raw disk.qcow2
gzip -1c disk.qcow2 >disk.qcow2.gz
open_files() { # that have no name any more; a number may be another file's a moment later
        local fd link mode
        for fd in "/proc/$daemon_pid/fd"/*; do
                link=$(readlink "$fd")
                [[ $link == *incoming/* ]] || continue
                mode=$(stat -L -c '%a %u' "$fd")
                [ "$link" != "$(readlink "$fd")" ] || [ "$mode" = "600 0" ] || echo "$mode $link"
        done
}
while [ ! -e over ]; do
        find "$STORE" -mindepth 1 ! -type l \( -perm /077 -o ! -user 0 \) -printf '%M %u %P\n' 2>/dev/null
        open_files 2>/dev/null
done >open &
watcher=$!
for file in disk.qcow2 disk.qcow2.gz; do
        image=$R/private/${file//./-}
        ok mkdir "$image"
        ok upload "$file" "$image/upload"
        settle "$image"
        same_checksum "$image" disk.raw
done
: >over
wait "$watcher"
same "$(sort -u open)" "" "others have something of"

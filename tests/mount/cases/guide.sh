# SPDX-License-Identifier: MIT
# What the pages of fs/guide say to type does what they say: their commands are run as they stand there, page by page, with
# directories of its own at /srv and /mnt. guide-blocks says which are run. IMAGEFS_GUIDE names a page to try alone.
# time limit: 180
need_root "/srv and /mnt of its own"
need python3 unshare qemu-img mke2fs runuser
guide=$(cd "$lib/../../../fs/guide" && pwd)
[[ :$guide:$IMAGEFS:$WORK != *:/@(srv|mnt)/* ]] || skip "what is needed here lies below /srv or /mnt"

mkdir -p tools home etc
ln -s "$IMAGEFS" tools/imagefs
[ ! -x "$(dirname "$IMAGEFS")/imagefs-fstab" ] || ln -s "$(dirname "$IMAGEFS")/imagefs-inside" tools/ # it looks inside

# system FILE VERSION OF-A-LIBRARY: 8 MiB that are the file system of a Debian, as far as its lists of itself go.
system() {
        mkdir -p system/etc system/var/lib/dpkg
        [ -e system/noise ] || pattern system/noise 5M 4
        printf 'ID=debian\nVERSION_ID="%s"\n' "$2" >system/etc/os-release
        printf 'Package: %s\nStatus: install ok installed\nArchitecture: amd64\nVersion: %s\n\n' \
                bash 5.2.15-2 libssl3 "$3" >system/var/lib/dpkg/status
        truncate -s 8M "$1"
        run mke2fs -q -F -t ext2 -d system "$1"
}
system disk.raw 12 3.0.16-1
system home/debian-13.raw 13 3.5.1-1
run qemu-img convert -O qcow2 -c disk.raw home/debian-12.qcow2
(cat /etc/passwd; echo "alice:x:4711:4711::/:/bin/sh"; echo "bob:x:4712:4712::/:/bin/sh") >etc/passwd
(cat /etc/group; echo "alice:x:4711:"; echo "bob:x:4712:"; echo "dev:x:4713:alice,bob") >etc/group
cp disk.raw home/debian-12.raw
chmod 755 "$WORK" home

cat >inside <<'SCRIPT'
set -eu
mount --make-rprivate /
# Ports of its own: SIOCSIFFLAGS with IFF_UP and IFF_RUNNING.
python3 -c 'import fcntl, socket, struct; fcntl.ioctl(socket.socket(), 0x8914, struct.pack("16sh", b"lo", 0x41))'
mkdir -p own/srv own/mnt own/sbin-upper own/sbin-work
mount --bind own/srv /srv
mount --bind own/mnt /mnt
mount --bind etc/passwd /etc/passwd
mount --bind etc/group /etc/group
mount -t tmpfs none own/sbin-work
mkdir own/sbin-work/upper own/sbin-work/work
mount -t overlay none -o lowerdir=/usr/sbin,upperdir=own/sbin-work/upper,workdir=own/sbin-work/work /usr/sbin
ln -s "$IMAGEFS" /usr/sbin/mount.imagefs
export HOME=$WORK/home PATH=$WORK/tools:$PATH
export _CONTAINERS_ROOTLESS_UID=1 # skopeo remembers at home what it has seen
cd "$HOME"
case $PAGE in
quick-start) ;;
*)
        imagefs init /srv/images >/dev/null
        mkdir /mnt/images
        imagefs /srv/images /mnt/images -o allow_other
        mkdir /mnt/images/regions/home
        cp ~/debian-12.qcow2 /mnt/images/regions/home/private/
        cat /mnt/images/regions/home/private/debian-12/wait >/dev/null
        ;;
esac
if [ "$PAGE" = buckets ]; then
        "$S3_SERVER" "$WORK/bucket" "$WORK/s3.log" 9000 >"$WORK/s3.port" &
        until [ -s "$WORK/s3.port" ]; do sleep 0.05; done
fi
python3 "$BLOCKS" "$GUIDE/$PAGE.md"
cd /
for tree in $(awk '$9 == "fuse.imagefs" || $8 == "fuse.imagefs" { print $5 }' /proc/self/mountinfo); do umount "$tree"; done
# Who unmounts is answered before the library is closed: the check waits for that.
imagefs check /srv/images
SCRIPT

for file in "$guide"/*.md; do
        page=$(basename "$file" .md)
        [ -z "${IMAGEFS_GUIDE:-}" ] || [ "$page" = "$IMAGEFS_GUIDE" ] || continue
        rm -rf own
        [ "$page" != buckets ] || grep -q libcurl <(ldd "$IMAGEFS") || continue
        # What it leaves running ends with it.
        "$lib/apart" --net --pid --fork --kill-child --mount-proc -- env -u BASH_ENV WORK="$WORK" PAGE="$page" GUIDE="$guide" \
                BLOCKS="$lib/guide-blocks" S3_SERVER="$lib/s3-server" bash inside >said 2>&1 || fail "$page: $(tail -n 20 said)"
        grep '^note:' said
        same "$(tail -n 1 said)" clean "the library after $page"
done

# Every page is named by README, and what pages name is there.
for file in "$guide"/*.md; do
        grep -qF "fs/guide/$(basename "$file")" "$guide/../../README.md" || fail "README does not name $(basename "$file")"
        for named in $(grep -oE '\]\([^):]*\)' "$file" | tr -d '()]'); do
                [ -e "$guide/$named" ] || fail "$(basename "$file") names $named, which there is not"
        done
done

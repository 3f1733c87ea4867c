# SPDX-License-Identifier: MIT
# What lies in the library is the daemon's alone, also where the directory was made beforehand and lets others in, and
# where an older imagefs left files that others could read: the catalogue, with password hashes and addresses.
. "$lib/users.sh"
users 12001
private() { # DIR …: nothing below is anything to anybody else
        local open
        open=$(find "$@" -mindepth 1 ! -type l -perm /077 -printf '%M %p\n')
        same "$open" "" "others have something of"
}
unreadable() { # DIR …: nor can one of them read a byte, or write one
        local file
        while read -r file; do
                ! as 12001 test -r "$file" || fail "another user can read $file"
                ! as 12001 test -w "$file" || fail "another user can write to $file"
        done < <(find "$@" -mindepth 1)
        ! as 12001 cat "$1/imagefs.db" >out 2>/dev/null || fail "another user reads the catalogue"
        [ ! -s out ] || fail "another user reads the catalogue"
}
warned() { grep -c "chmod 700 $STORE" daemon.log; }
work() { # NAME: an image of a raw disk and one of a qcow2, an instance, a disk, a snapshot, a copy to the other region
        import_raw "$R/private/$1-raw" disk.raw
        import_raw "$R/private/$1-qcow2" disk.qcow2
        ok mkdir "$R/private/$1-raw/instances/$1"
        settle "$R/instances/$1" stopped
        ok mkdir "$R/disks/$1"
        ok write "$R/disks/$1/size" 2M
        ok pwrite 4096 "$R/disks/$1/data.raw" "$1"
        ok mkdir "$R/private/$1-raw/copies/cn-east-2"
        settle "$R2/private/$1-raw"
}
umask 0
mkdir store other
chmod 755 store other
run "$IMAGEFS" init store
pattern disk.raw 3M 4
run qemu-img convert -O qcow2 disk.raw disk.qcow2
start
two_regions
ok write "$R2/store" "$WORK/other"
private store other
work new
ok mkdir "$R/private/coming"
exec 5>"$R/private/coming/upload"
head -c 1000000 disk.raw >&5
private store other
unreadable store other
same "$(warned)" 1 "warnings"
same "$(stat -c %a store)" 755 "STORE, which is the administrator's"
same "$(stat -c %a other)" 700 "the other store"
crash # with a -wal
exec 5>&-

# As an older one left it.
: >store/imagefs.db-shm
find store store/blobs other -maxdepth 1 -type f -exec chmod 644 {} +
find store store/blobs other -maxdepth 1 -type d -exec chmod 755 {} +
start
private store other
unreadable store other
work again
private store other
stop
private store other

# A library that is made by the daemon, or has been closed to others, needs no warning.
chmod 700 store
start
same "$(warned)" 2 "warnings"
stop
rm -r store
start
same "$(warned)" 2 "warnings"
same "$(stat -c %a store)" 700 "a STORE that was not there"
private store

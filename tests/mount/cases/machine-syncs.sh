# SPDX-License-Identifier: MIT
# A machine is made, given another size and removed by a sync each, of the catalogue's log, which upkeep may have once more; read by
# none: its disks have no files until they are written to.
need strace
start
two_regions
pattern base.raw 1M 5
import_raw "$R/public/base" base.raw
value "$R/public/base/status" available
drive=$R/instances/vm/disks/vda.raw

files() { find "$STORE/blobs/disks" -type f | wc -l; }

# synced WHAT COMMAND…: what was synced meanwhile, by other threads, too.
synced() {
        local what=$1
        shift
        strace -f -qq -y -o syncs -p "$daemon_pid" -e trace=fsync,fdatasync,sync_file_range,syncfs,msync 2>strace.err &
        slow_pid=$!
        until_true 5 _traced || skip "strace cannot attach: $(tail -n 1 strace.err)"
        ok "$@"
        cat "$R/quota" >quota
        fast_disk
        grep -q sync syncs || fail "$what: answered before it was synced"
        [ "$(grep -c sync syncs)" -le 2 ] || fail "$what: too many syncs: $(cat syncs)"
        ! grep sync syncs | grep -v 'imagefs.db-wal' || fail "$what: something else than the catalogue's log was synced"
}

synced "making a machine" mkdir "$R/public/base/instances/vm"
same "$(files)" 0 "files of a disk that nobody has written to"
same "$(stat -c %s "$drive")" 1048576 "size of it"
same_disk "$drive" base.raw
same "$(files)" 0 "files of a disk that was read"
synced "giving it another size" truncate 2M "$drive"
same "$(files)" 0 "files of a disk that grew"
synced "removing it" rmdir "$R/instances/vm"
same "$(files)" 0 "files of a machine that is gone"

# What is written to it is there, and after a crash, and goes with it.
ok mkdir "$R/public/base/instances/vm"
ok pwrite 5000 "$drive" written
same "$(files)" 3 "files of a disk that was written to"
crash
start
same "$(dd if="$drive" bs=1 skip=5000 count=7 status=none)" written "what was written"
ok rmdir "$R/instances/vm"
_gone() { [ "$(files)" = 0 ]; }
until_true 30 _gone || fail "the files of a disk that is gone stay"

# A disk with its first size has none, too.
ok mkdir "$R/disks/d1"
synced "giving a disk its size" write "$R/disks/d1/size" 300G
same "$(files)" 0 "files of an empty disk"
stop
check_store

# SPDX-License-Identifier: MIT
# Huge holes cost nothing: not whoever uploads them, nor who waits behind, nor the end of the daemon. Their checksum, which
# takes minutes, is worked out when there is nothing else to do, and lays its work aside for what is quickly done.
need qemu-img python3
start
two_regions
raise_limits

# available IMAGE: without waiting for its checksum, as settle does.
available() {
        timeout -k 5 60 cat "$1/wait" >/dev/null || fail "$1: $(cat "$1/error")"
        value "$1/status" available
}

# A stream with 60 TiB between its first megabyte and its last byte.
ok mkdir "$R/private/far"
run python3 - "$R/private/far/upload" <<'END'
import os, sys
fd = os.open(sys.argv[1], os.O_WRONLY)
os.write(fd, b"a" * 1048576)
os.pwrite(fd, b"z", 60 << 40)
os.close(fd)
END
available "$R/private/far"
value "$R/private/far/size" $(((60 << 40) + 1))
value "$R/private/far/checksum" ""
same "$(tail -c 1 "$R/private/far/disks/vda.raw")" z "the last byte"

# A file that its writer made long first; its holes are the store's disk's. And one whose tables say nothing of 60 TiB.
ok mkdir "$R/private/long"
run truncate -s 10T "$R/private/long/upload"
available "$R/private/long"
value "$R/private/long/size" $((10 << 40))
run qemu-img create -q -f qcow2 empty.qcow2 30T
ok mkdir "$R/private/table"
ok upload empty.qcow2 "$R/private/table/upload"
available "$R/private/table"
value "$R/private/table/size" $((30 << 40))

# A copy of it, and what is quickly done meanwhile.
value "$R/private/far/checksum" ""
ok mkdir "$R/private/far/copies/cn-east-2"
pattern small.raw 3M 5
import_raw "$R/private/small" small.raw
stop
start
import_raw "$R/private/small2" small.raw
same_checksum "$R/private/small2" small.raw
value "$R/private/far/checksum" ""

# The one that is at work is removed: nobody waits for it.
for image in far long table; do
        ok rmdir "$R/private/$image"
        ok rmdir "$R/recycle/$image"
done
import_raw "$R/private/small3" small.raw
stop

# SPDX-License-Identifier: MIT
# -o cache-dir: what small reads of a machine's image decode is kept on a disk for all its machines, and after a restart;
# damaged, removed or unusable it costs nobody a byte or a request.
cache=$WORK/cache
# Memory holds next to nothing of it, so that what is read again comes from the disk.
cached() { start -o "cache=64K,cache-dir=$cache,cache-disk=64M"; }
cached
two_regions
head -c 24M /dev/urandom >disk.raw
import_raw "$R/private/web" disk.raw
for vm in one two; do ok mkdir "$R/private/web/instances/$vm"; done

number() { sed -n "s/^imagefs_cache_$1 //p" "$MNT/info/metrics"; }
# blocks MACHINE: blocks from all over its disk, past the page cache; each is the right one.
blocks() {
        local i
        for ((i = 5; i < 6144; i += 307)); do
                run dd if="$R/instances/$1/disks/vda.raw" of=block bs=4k skip="$i" count=1 iflag=direct status=none
                dd if=disk.raw bs=4k skip="$i" count=1 status=none | cmp - block || fail "block $i of $1"
        done
}
# learn MACHINE: what is missed once is remembered, and kept when it is missed again.
learn() { blocks "$1" && blocks "$1"; }
# only_hits MACHINE: each read comes from the cache on disk, and no chunk is decoded.
only_hits() {
        local hits misses decoded
        hits=$(number disk_hits_total) misses=$(number misses_total) decoded=$(number hits_total)
        blocks "$1"
        same "$(($(number disk_hits_total) - hits))" 20 "reads of $1 that the cache on disk answered"
        same "$(number misses_total) $(number hits_total)" "$misses $decoded" "chunks that were wanted"
}

same "$(number disk_limit_bytes) $(number disk_hits_total)" "$((64 << 20)) 0" "the limit, and hits"
learn one
[ "$(number disk_bytes)" -gt $((20 * 4096)) ] || fail "$(number disk_bytes) bytes are kept"
only_hits two
files() { find "$cache" -type f -name '????????????????????????????????'; }
same "$(files | wc -l)" 1 "files: one for the image"
same "$(stat -c %a "$cache"/imagefs-*)" 700 "the mode of the store's directory"
grep -q '^Signature: 8a477f597d28d172789f06886806bc55$' "$cache"/imagefs-*/CACHEDIR.TAG || fail "no tag for backups"

# Who reads from one end to the other does not fill it, by small pieces or large ones.
before=$(number disk_bytes)
run dd if="$R/instances/one/disks/vda.raw" of=/dev/null bs=4k count=2000 iflag=direct status=none
run dd if="$R/instances/one/disks/vda.raw" of=/dev/null bs=1M iflag=direct status=none
# the chunks behind those that were there already may follow a hit
[ $(($(number disk_bytes) - before)) -lt $((4 << 20)) ] || fail "$before bytes became $(number disk_bytes)"

# It is there after a restart and a crash.
stop
cached
only_hits one
crash
run fusermount3 -u -z "$MNT"
cached
only_hits two

# A block that is not what was written is decoded anew, and mended.
printf 'X' | dd of="$(files)" bs=1 seek=$((5 * 4104 + 1000)) conv=notrunc status=none
learn one
same "$(number disk_damaged_total)" 1 "damaged blocks"
only_hits one
same "$(number disk_damaged_total)" 1 "damaged blocks, once it was mended"

# Removed while it is used: nobody notices, and it is made again.
rm -rf "$cache"
blocks one
stop
rm -rf "$cache"
cached
learn two
only_hits one

# One that others can read is not used; that is said, and all can be read.
stop
chmod 755 "$cache"/imagefs-*
cached
grep -q "the cache on disk is another user's, or not for its owner alone" "$MNT/info/health" || fail "$(cat "$MNT/info/health")"
blocks one
same "$(number disk_hits_total) $(number disk_limit_bytes)" "0 0" "without a cache"
stop
rm -rf "$cache"
: >"$cache"
cached
grep -q "the cache on disk cannot be used, so that reads are slower: Not a directory" "$MNT/info/health" || fail "$(cat "$MNT/info/health")"
blocks two
stop

# In the store, where nobody says where: not for others, in no backup, and nothing that is missing when it goes. What it
# takes is free.
same "$(find "$STORE/blobs" -name cache)" "" "a cache in the store"
start -o cache=64K
same "$(number disk_hits_total)" 0 "hits, before"
[ "$(number disk_limit_bytes)" -gt 0 ] || fail "there is none by default"
learn one
only_hits two
same "$(stat -c %a "$STORE/blobs/cache")" 700 "the mode of the cache in the store"
same "$(find "$STORE/blobs/cache" -type f -printf '%f\n' | sed 's/^[0-9a-f]*$/blob/' | LC_ALL=C sort)" "CACHEDIR.TAG
blob" "what lies in it"
stop
start -o cache=64K
only_hits one
stop
check_store
rm -r "$STORE/blobs/cache"
start -o cache-disk=0
blocks two
same "$(number disk_hits_total) $(number disk_limit_bytes)" "0 0" "turned off"
same "$(find "$STORE/blobs" -name cache)" "" "a cache that is turned off"
value "$MNT/info/health" ok
stop

# What makes no sense is refused.
status() { # WANTED SENTENCE COMMAND…
        timeout -k 5 20 "${@:3}" >said 2>&1
        same "$?" "$1" "status of ${*:3}"
        grep -qF "$2" said || fail "$(cat said)"
}
status 32 "the cache cannot lie in the library's own mount" "$IMAGEFS" "$STORE" "$MNT" -o "cache-dir=$MNT/cache"
status 32 "No such file" "$IMAGEFS" "$STORE" "$MNT" -o "cache-dir=$WORK/none/cache"
fails mountpoint -q "$MNT"

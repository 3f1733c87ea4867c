# SPDX-License-Identifier: MIT
# fio writes an instance's disk at random in each of its ways and verifies what it reads; again after a remount, and
# after kill -9, since it was synced. IMAGEFS_TEST_MIB makes it more than 4 MiB for each way.
need fio
start
two_regions
mib=${IMAGEFS_TEST_MIB:-4}
pattern web.raw $((8 * mib))M 65
import_raw "$R/private/web" web.raw
ok mkdir "$R/private/web/instances/vm"
disk=$R/instances/vm/disks/vda.raw

# ENGINE DIRECT BLOCK-SIZE: each has a part of the disk, and the last part is nobody's. The first one is mmap's, which
# fio 3.33 lets write to the wrong place, of any file, in another.
ways="mmap 0 4k
psync 0 4k
psync 1 4k
psync 0 1k
libaio 1 16k
libaio 0 64k"
# A kernel may refuse io_uring.
if fio --name=try --filename=try --size=4k --rw=write --ioengine=io_uring >/dev/null 2>&1; then
        ways+=$'\nio_uring 1 4k'
else
        ways+=$'\npsync 1 512k'
fi
part=0
while read -r engine direct bs; do
        printf '[%s-%s-%s]\nioengine=%s\ndirect=%s\nbs=%s\noffset=%sM\n' "$engine" "$direct" "$bs" "$engine" "$direct" "$bs" \
                $((part++ * mib))
done <<<"$ways" >ways.fio

# jobs NUMBER OPTION…: all ways beside each other; the same number writes the same.
jobs() {
        local seed=$1
        shift
        printf '%s\n' '[global]' "filename=$disk" "size=${mib}M" thread iodepth=8 rw=randwrite end_fsync=1 \
                verify=pattern "verify_pattern=\"written by $seed at \"%o" verify_fatal=1 verify_state_save=0 \
                allrandrepeat=0 "randseed=$seed" "$@" >jobs.fio
        cat ways.fio >>jobs.fio
}

# Written and verified; verified again.
jobs 1
run fio jobs.fio >/dev/null
restart
jobs 1 verify_only
run fio jobs.fio >/dev/null
# Written, and verified after the crash.
jobs 2 do_verify=0
run fio jobs.fio >/dev/null
crash
start
jobs 2 verify_only
run fio jobs.fio >/dev/null
# It does find what is wrong.
jobs 1 verify_only
fails fio jobs.fio
ok mkdir "$R/instances/vm/images/made"
settle "$R/private/made"
same_disk "$R/private/made/disks/vda.raw" "$disk"
cmp -i $((7 * mib << 20)) "$disk" web.raw || fail "the part that nobody wrote"

# SPDX-License-Identifier: MIT
# guest/ of FAT12, FAT16 and FAT32: names long and short, as Linux shows them, sizes, times and bytes; what makes no sense is
# refused with a sentence.
need mkfs.vfat mcopy mdel mattrib sfdisk python3
export MTOOLS_SKIP_CHECK=1 TZ=UTC LC_ALL=C.UTF-8

# look DIR: a line for each file in it, with what Linux and the library both have of it; directories have another number of links.
look() {
        python3 - "$1" <<'END'
import hashlib, os, stat, sys

def look(name):
    s = os.lstat(name)
    folder = stat.S_ISDIR(s.st_mode)
    times = (s.st_atime_ns, s.st_mtime_ns, s.st_ctime_ns) if name != "." else ()
    print(ascii(name), oct(s.st_mode), s.st_uid, s.st_gid, s.st_size, s.st_blocks, *times,
          "" if folder else hashlib.md5(open(name, "rb").read()).hexdigest())
    if folder:
        for n in sorted(os.listdir(name)):
            look(os.path.join(name, n))

os.chdir(sys.argv[1])
look(".")
END
}

# told ERRNO WORDS OP …: is refused, and the image's last-error has these words.
told() {
        expect "$1" "${@:3}"
        [[ $(cat "$image/last-error") == *"$2"* ]] || fail "${*:3}: $(cat "$image/last-error")"
}

mkdir -p root/EFI/BOOT "root/a directory with a long name" root/many root/empty
pattern root/EFI/BOOT/BOOTX64.EFI 200K 7
printf 'set default=0\n' >root/EFI/BOOT/grub.cfg
printf x >"root/a directory with a long name/$(printf 'gr\303\274n \342\202\254.txt')"
printf y >"root/many/$(printf 'n%.0s' {1..200})"
: >root/many/nothing
for i in {1..120}; do echo "$i" >"root/many/file with number $i"; done
touch -d '2001-02-03 04:05:06 UTC' root/EFI/BOOT/grub.cfg

kinds=("-F 12 -s 1" "-F 16 -s 2" "-F 32 -s 1" "-F 32 -s 1")
sizes=(2 16 40 40)
truncate -s 102M disk.raw
{
        echo 'label: gpt'
        for size in "${sizes[@]}"; do echo "size=${size}MiB"; done
} | run sfdisk -q disk.raw
at=1
for i in {0..3}; do
        truncate -s "${sizes[$i]}M" fat$i
        # shellcheck disable=SC2086
        run mkfs.vfat ${kinds[$i]} -n "EFI $i" fat$i >/dev/null
        run mcopy -i fat$i -s -m root/* :: >/dev/null
        run mcopy -i fat$i root/EFI/BOOT/grub.cfg ::SHORT.CFG
        run mattrib -i fat$i +r ::SHORT.CFG
        # One in pieces: a cluster of each in turn.
        for n in {1..8}; do
                head -c $((n * 9000)) root/EFI/BOOT/BOOTX64.EFI >piece
                run mcopy -o -i fat$i piece ::first >/dev/null
                run mcopy -o -i fat$i piece ::second >/dev/null
        done
        run mdel -i fat$i ::many/nothing
        if [ $i = 3 ]; then
                # ".." of EFI/BOOT is another directory; the second file's chain comes back to its beginning.
                python3 - fat3 <<'END'
import sys
f = open(sys.argv[1], "r+b")
b = bytearray(f.read())
le = lambda at, n: int.from_bytes(b[at:at + n], "little")
sector, reserved, tables, size = le(11, 2), le(14, 2), b[16], le(36, 4)
data = (reserved + tables * size) * sector
entry = lambda name, start: b.index(name, start)
at = entry(b"BOOT       ", data)
boot = le(at + 26, 2)
b[data + (boot - 2) * sector + 32 + 26] = 77
at = entry(b"SECOND     ", data)
first = le(at + 26, 2)
b[reserved * sector + first * 4:reserved * sector + first * 4 + 4] = (0).to_bytes(4, "little")
f.seek(0)
f.write(b)
END
        fi
        run dd if=fat$i of=disk.raw bs=1M seek=$at conv=notrunc,sparse status=none
        at=$((at + ${sizes[$i]}))
done

start
two_regions
raise_limits
run cp disk.raw "$R/private/efi.raw"
settle "$R/private/efi"
image=$R/private/efi
guest=$image/guest
same "$(ls "$guest" | paste -sd ' ')" "vda1 vda2 vda3 vda4"
for i in {0..2}; do
        look "$guest/vda$((i + 1))" >got
        mkdir -p loop
        if mount -t vfat -o ro,loop,utf8 fat$i loop 2>/dev/null; then
                look loop >want
                umount loop
                cmp -s got want || fail "${kinds[$i]}: $(diff want got | head -n 5)"
        fi
        diff -r root "$guest/vda$((i + 1))" >differ 2>&1
        same "$(sed 's|.*/vda.: ||' differ | sort | paste -sd ,)" "Only in root/many: nothing,SHORT.CFG,first,second" "${kinds[$i]}"
        same "$(stat -c '%a %h %u %g %s %Y' "$guest/vda$((i + 1))/EFI/BOOT/grub.cfg")" "755 1 0 0 14 981173106" "what is said of a file"
        same "$(stat -c '%a %F' "$guest/vda$((i + 1))/SHORT.CFG" "$guest/vda$((i + 1))/EFI" | paste -sd,)" \
                "555 regular file,755 directory" "modes"
        cmp "$guest/vda$((i + 1))/second" piece || fail "a file in pieces"
done
odd=$guest/vda4
cmp "$odd/first" piece || fail "what is whole beside what is not"
told EIO damaged stat "$odd/EFI/BOOT"
told EIO damaged open r "$odd/second"
expect ENOENT stat "$odd/none"
restart
cmp "$guest/vda3/first" piece || fail "after a restart"

# A directory as full as one can be, without an entry that says that it ends.
python3 - full <<'END'
import struct, sys
CLUSTER, N = 4096, 65536
fat = [0xfff8, 0xffff] + [n + 1 for n in range(2, 1 + N * 32 // CLUSTER)] + [0xffff]
entry = lambda name, attr, first: struct.pack("<11sB14xHI", name, attr, first, 0)
with open(sys.argv[1], "wb") as f:
    f.write(struct.pack("<3s8sHBHBHHBHHHII", b"\xeb\x3c\x90", b"mkfs.fat", 512, CLUSTER // 512, 1, 1, 16, 40000, 0xf8, 20, 32, 2, 0, 0))
    f.seek(54)
    f.write(b"FAT16   ")
    f.seek(510)
    f.write(b"\x55\xaa")
    f.write(struct.pack("<%dH" % len(fat), *fat))
    f.seek(512 * 21)
    f.write(entry(b"FULL       ", 0x10, 2))
    f.seek(512 * 22)
    f.write(entry(b".          ", 0x10, 2) + entry(b"..         ", 0x10, 0))
    f.write(b"".join(entry(b"F%05d     " % n, 0x20, 0) for n in range(N - 2)))
    f.truncate(512 * 40000)
END
run cp full "$R/private/full.raw"
settle "$R/private/full"
full=$R/private/full/guest/vda/FULL
lookups() { sed -n 's/^imagefs_requests_total{.*"lookup"} //p' "$MNT/info/metrics"; }
# scans WORD LEAST MOST: what is done with each name, and how many are looked up one by one for that.
scans() {
        local before
        before=$(lookups)
        run python3 - "$1" "$full" >names <<'END'
import os, sys
with os.scandir(sys.argv[2]) as names:
    print(sum(1 for n in names if sys.argv[1] == "names" or n.stat().st_size == 0))
END
        value names 65534
        before=$(($(lookups) - before))
        [ "$before" -ge "$2" ] && [ "$before" -le "$3" ] || fail "$1: $before were looked up"
}
scans names 0 100
scans all 1000 16000 # before it is known that all are wanted, and to see whether they still are
same "$(stat -c '%s %F' "$full/F65533")" "0 regular empty file" "the last of them"
expect ENOENT stat "$full/none"

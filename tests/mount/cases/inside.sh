# SPDX-License-Identifier: MIT
# What is inside an image: at import its system is told where nothing was set; partitions/ and packages are there for who
# asks for them by name, of images, snapshots and what others share, and say why where there is nothing to be told.
need mke2fs mkswap blkid debugfs sfdisk sqlite3 cc
program=$(dirname "$IMAGEFS")/imagefs-inside
[ -x "$(dirname "$IMAGEFS")/imagefs-fstab" ] || skip "built without libext2fs"
. "$lib/users.sh"

# disk FILE MKE2FS-OPTION …: 24 MiB with GPT: an EFI system partition, and one with a file system made of root/.
disk() {
        local file=$1
        shift
        truncate -s 24M "$file"
        printf 'label: gpt\nsize=4MiB, type=uefi\nname="root"\n' | run sfdisk -q "$file"
        run mke2fs -q -F -E offset=$((5 << 20)) "$@" -d root "$file" 18m
}

# plain FILE: 8 MiB that are a file system made of root/.
plain() {
        truncate -s 8M "$1"
        run mke2fs -q -F -t ext2 -d root "$1"
}

# import FILE NAME [CLASS]: as an image.
import() {
        run cp "$1" "$R/private/$2.raw"
        settle "$R/private/$2"
}

# says IMAGE OS PLATFORM VERSION ARCHITECTURE BOOT-MODE
says() {
        same "$(cd "$1" && cat os platform platform-version architecture boot-mode | paste -sd ,)" "$2,$3,$4,$5,$6" "${1##*/}"
}

# told ERRNO OBJECT WORDS OP …: is refused, and the object's last-error has these words.
told() {
        expect "$1" "${@:4}"
        [[ $(cat "$2/last-error") == *"$3"* ]] || fail "${*:4}: $(cat "$2/last-error")"
}

start
two_regions
raise_limits
case $(uname -m) in
x86_64 | aarch64) machine=$(uname -m) ;;
*) machine= ;;
esac

# ---- a system as distributions make it: links from the root, os-release elsewhere, packages half installed ----

mkdir -p root/usr/bin root/usr/lib root/etc root/var/lib/dpkg
ln -s usr/bin root/bin
ln -s dash root/usr/bin/sh
cp "$program" root/usr/bin/dash
ln -s ../usr/lib/os-release root/etc/os-release
printf 'PRETTY_NAME="Debian GNU/Linux 12 (bookworm)"\nNAME="Debian GNU/Linux"\nVERSION_ID="12"\nID=debian\n' >root/usr/lib/os-release
for i in {1..500}; do
        printf 'Package: lib%s-common\nStatus: install ok installed\nArchitecture: all\nVersion: 2:%s.1-2+deb12u%s\nDescription: x\n Package: no\n .\n y\n\n' \
                "$i" "$((i * 7))" "$i"
        echo "lib$i-common 2:$((i * 7)).1-2+deb12u$i all" >>want.lines
done >root/var/lib/dpkg/status
cat >>root/var/lib/dpkg/status <<'END'
Package: removed
Status: deinstall ok config-files
Architecture: amd64
Version: 1

Package: waits
Status: install ok triggers-pending
Version: 0.9~rc1
Architecture: amd64
END
echo "waits 0.9~rc1 amd64" >>want.lines
LC_ALL=C sort want.lines >want
disk debian.raw -t ext4 -L 'the root' -U 6f1c2b5e-6b1a-4e0a-9d59-0c3f2d9c1a77
import debian.raw debian
image=$R/private/debian
says "$image" linux Debian 12 "$machine" uefi
same "$(jq -r '.os + .platform' "$image/metadata.json")" linuxDebian
cmp "$image/packages" want || fail "packages: $(diff "$image/packages" want | head -n 5)"
same "$(stat -c %s "$image/packages")" "$(wc -c <want)" "its size"
same "$(ls -a "$image" | grep -cE '^(packages|partitions)$')" 0 "what is listed of it"

# The table is what sfdisk says, in bytes, and what was given to mke2fs.
table=$(cat "$image/partitions/table")
want=$(
        n=0
        sfdisk -d debian.raw | sed -n 's/.*start= *\([0-9]*\), size= *\([0-9]*\), type=\([^,]*\),.*/\1 \2 \3/p' |
                while read -r start size type; do
                        echo "vda$((++n)) start=$((start * 512)) size=$((size * 512)) type=${type,,}" \
                                "fs=$([ "$n" = 1 ] || echo ext4) label=$([ "$n" = 1 ] || echo 'the\x20root')" \
                                "uuid=$([ "$n" = 1 ] || echo 6f1c2b5e-6b1a-4e0a-9d59-0c3f2d9c1a77)"
                done
)
same "$table" "$want" "the table"
same "$(stat -c %s "$image/partitions/table")" "$(wc -c <"$image/partitions/table")"
same "$(ls "$image/partitions" | paste -sd ' ')" "table vda1.raw vda2.raw"

# A partition's file is a window: the same bytes, its size, holes, an end.
part=$image/partitions/vda2.raw
dd if=debian.raw of=part.raw bs=1M skip=5 iflag=fullblock status=none
truncate -s "$(stat -c %s "$part")" part.raw
cmp "$part" part.raw || fail "other bytes"
cmp <(tail -c 5000 "$part") <(tail -c 5000 part.raw) || fail "another end"
"$FSOP" extents "$part" >got
"$FSOP" data-runs part.raw >runs
cmp got runs || fail "SEEK_DATA and SEEK_HOLE disagree with the bytes: $(diff got runs)"
same "$(debugfs -R 'cat /usr/lib/os-release' "$part" 2>/dev/null)" "$(cat root/usr/lib/os-release)" "a file in it"
same "$(stat -c '%a %h' "$part")" "444 1"
inode=$(stat -c %i "$part")

# Who writes to it is told; what is not there is not.
refused EPERM "$image" write "$image/packages" x
expect EPERM write "$image/partitions/table" x
expect "EROFS open" open w "$part"
unchanged ENOENT open r "$image/partitions/vda3.raw"
expect ENOENT stat "$image/partitions/vda.raw"
expect ENOENT open r "$image/partitions/vdb1.raw"
expect EPERM mkdir "$image/partitions/x"
expect EPERM unlink "$part"

# The same of the snapshot that a cloud image is made of, and after a restart.
restart
snapshot=$R/snapshots/debian
cmp "$snapshot/packages" want || fail "of the snapshot: $(head -n 3 "$snapshot/packages")"
same "$(cat "$snapshot/partitions/table")" "$table"
cmp "$snapshot/partitions/vda2.raw" part.raw || fail "other bytes of the snapshot"
same "$(stat -c %i "$part")" "$inode" "the inode number"
cmp "$part" part.raw || fail "other bytes after a restart"

# ---- what was set stays ----

ok mkdir "$R/private/mine"
ok write "$R/private/mine/os" other
ok write "$R/private/mine/platform" "House Linux"
ok write "$R/private/mine/boot-mode" bios
ok upload debian.raw "$R/private/mine/upload"
settle "$R/private/mine"
says "$R/private/mine" other "House Linux" "" "$machine" bios

# A machine's own system comes with its image: that of a CD says nothing of what it installed.
ok mkdir "$R/private/noise"
pattern noise.raw 24M 3
ok upload noise.raw "$R/private/noise/upload"
settle "$R/private/noise"
says "$R/private/noise" "" "" "" "" ""
ok mkdir "$R/private/noise/instances/vm"
run dd if=debian.raw of="$R/instances/vm/disks/vda.raw" bs=1M conv=notrunc status=none
ok mkdir "$R/instances/vm/images/installed"
settle "$R/private/installed"
says "$R/private/installed" linux Debian 12 "$machine" uefi

# ---- rpm, apk, and others ----

# rpm_header NAME VERSION RELEASE EPOCH ARCH: as hex digits, "-" for none.
rpm_header() {
        local tags= data= n=0 tag=1000 value
        text() {
                printf %s "$1" | od -An -v -tx1 | tr -d ' \n'
        }
        for value; do
                if [ "$value" != - ]; then
                        if [ "$tag" = 1003 ]; then
                                tags+=$(printf '%08x%08x%08x%08x' "$tag" 4 $((${#data} / 2)) 1)
                                data+=$(printf '%08x' "$value")
                        else
                                tags+=$(printf '%08x%08x%08x%08x' "$tag" 6 $((${#data} / 2)) 1)
                                data+=$(text "$value")00
                        fi
                        n=$((n + 1))
                fi
                tag=$((tag == 1003 ? 1022 : tag + 1))
        done
        printf '%08x%08x%s%s' "$n" $((${#data} / 2)) "$tags" "$data"
}
rm -r root/var
mkdir -p root/var/lib/rpm
{
        echo "PRAGMA journal_mode=WAL; CREATE TABLE Packages (hnum INTEGER PRIMARY KEY AUTOINCREMENT, blob BLOB NOT NULL);"
        echo "INSERT INTO Packages (blob) VALUES (x'$(rpm_header zlib 1.2.13 5.fc40 - x86_64)');"
        echo "INSERT INTO Packages (blob) VALUES (x'$(rpm_header bind-libs 9.18 1.el9 32 noarch)');"
        echo "INSERT INTO Packages (blob) VALUES (x'$(rpm_header gpg-pubkey 8483c65d 5ccc5b19 - -)');"
        echo "INSERT INTO Packages (blob) VALUES (x'00'), (x'ffffffffffffffff'), (x'');"
} | run sqlite3 root/var/lib/rpm/rpmdb.sqlite >/dev/null
printf 'NAME="Fedora Linux"\nID=fedora\nVERSION_ID=40\n' >root/usr/lib/os-release
plain fedora.raw
import fedora.raw fedora
says "$R/private/fedora" linux Fedora 40 "$machine" ""
same "$(cat "$R/private/fedora/packages")" "bind-libs 32:9.18-1.el9 noarch
gpg-pubkey 8483c65d-5ccc5b19 (none)
zlib 1.2.13-5.fc40 x86_64"
[[ $(cat "$R/private/fedora/partitions/table") == "vda start=0 size=8388608 type= fs=ext2 label= uuid="* ]] ||
        fail "a disk without partitions: $(cat "$R/private/fedora/partitions/table")"
cmp "$R/private/fedora/partitions/vda.raw" fedora.raw || fail "other bytes of a disk without partitions"

rm -r root/var
mkdir -p root/usr/lib/apk/db
ln -s usr/lib root/lib
printf 'C:Q1x\nP:musl\nV:1.2.4-r2\nA:x86_64\nF:lib\n\nP:busybox\nV:1.36.1-r5\nA:x86_64\n\n' >root/usr/lib/apk/db/installed
printf "ID='alpine'\nNAME='Alpine Linux'\nVERSION_ID='3.18.4'\n" >root/usr/lib/os-release
plain alpine.raw
import alpine.raw alpine
says "$R/private/alpine" linux Alpine 3.18.4 "$machine" ""
same "$(cat "$R/private/alpine/packages")" "busybox 1.36.1-r5 x86_64
musl 1.2.4-r2 x86_64"

# No packages (a link leads nowhere but within its file system), no file system: it is refused, with the reason, and nothing
# else is.
rm -r root/usr/lib/apk root/usr/lib/os-release root/etc/os-release
mkdir -p root/var/lib/dpkg
printf 'ID=fedora\n' >outside
printf 'Package: outside\nStatus: install ok installed\n' >status
ln -s "$WORK/outside" root/etc/os-release
ln -s "$WORK/status" root/var/lib/dpkg/status
plain bare.raw
import bare.raw bare
says "$R/private/bare" "" "" "" "" ""
told EOPNOTSUPP "$R/private/bare" "dpkg, rpm" open r "$R/private/bare/packages"
told EOPNOTSUPP "$R/private/noise" "no file system" open r "$R/private/noise/packages"
value "$R/private/noise/partitions/table" ""
same "$(ls "$R/private/noise/partitions")" table

# MBR, with a boot program and logical partitions; data disks are there, too.
truncate -s 16M mbr.raw
printf 'label: dos\nd1 : size=1MiB, type=82\nd2 : size=10MiB, type=5\nd5 : size=2MiB, type=83\nd6 : size=2MiB, type=83\n' |
        run sfdisk -q mbr.raw
printf '\353\143' | dd of=mbr.raw conv=notrunc status=none
ok mkdir "$R/private/two"
ok mkdir "$R/private/two/disks/vdb"
ok upload fedora.raw "$R/private/two/disks/vdb/upload"
ok upload mbr.raw "$R/private/two/upload"
settle "$R/private/two"
value "$R/private/two/boot-mode" bios
same "$(cut -d ' ' -f 1,4 "$R/private/two/partitions/table" | paste -sd ,)" "vda1 type=0x82,vda5 type=0x83,vda6 type=0x83,vdb type="
cmp "$R/private/two/partitions/vdb.raw" fedora.raw || fail "the data disk's file"

# What is in partitions is called as blkid calls it.
truncate -s 380M kinds.raw
{
        echo 'label: gpt'
        printf 'size=%s\n' 4MiB 4MiB 4MiB 4MiB 4MiB 340MiB
} | run sfdisk -q kinds.raw
at() {
        echo $((1 + ($1 - 1) * 4))
}
place() { # NUMBER FILE
        run dd if="$2" of=kinds.raw bs=1M seek="$(at "$1")" conv=notrunc,sparse status=none
}
truncate -s 4M ext2 ext3 swap none
run mke2fs -q -F -t ext2 -L two ext2
run mke2fs -q -F -t ext3 -b 1024 ext3
run mkswap -q -L pages swap >/dev/null
place 1 ext2
place 2 ext3
place 3 swap
kinds="1 2 3 4"
if command -v mkfs.xfs >/dev/null; then
        truncate -s 320M xfs
        run mkfs.xfs -q -L 'x"f s' xfs
        place 6 xfs
        kinds+=" 6"
fi
import kinds.raw kinds
for i in $kinds; do
        tag() {
                blkid -p -O $(($(at "$i") << 20)) -S $((340 << 20)) -o value -s "$1" kinds.raw
        }
        label=$(tag LABEL)
        same "$(sed -n "s/^vda$i .* fs=/fs=/p" "$R/private/kinds/partitions/table")" \
                "fs=$(tag TYPE) label=${label// /\\x20} uuid=$(tag UUID)" "partition $i"
done

# ---- without the program, and with one that was taken over ----

stop
mkdir programs
cp "$IMAGEFS" "$(dirname "$IMAGEFS")"/imagefs-* programs/
chmod 0711 .
IMAGEFS=$WORK/programs/imagefs
rm programs/imagefs-inside
start
import debian.raw without
says "$R/private/without" "" "" "" "" ""
without=$R/private/without
told EOPNOTSUPP "$without" imagefs-inside open r "$without/packages"
told EOPNOTSUPP "$without" imagefs-inside open r "$without/partitions/table"
expect EOPNOTSUPP open r "$without/partitions/vda1.raw"

# taken_over STATEMENT …: what runs in its place; it has the socket as 3, and nothing else to open.
taken_over() {
        rm -f programs/imagefs-inside
        printf '%s\n' "#include <stdint.h>" "#include <string.h>" "#include <unistd.h>" \
                "struct { uint32_t kind, len; uint64_t off; uint32_t number, pad; uint64_t start, size; char rest[360]; } p;" \
                "int main(void) {" "$@" "}" >program.c
        run cc -w -o programs/imagefs-inside program.c
        restart
        told EIO "$without" damaged open r "$without/partitions/table"
}
taken_over 'return 0;'
taken_over 'return 1;'
taken_over 'write(3, "nonsense", 8);'
# A partition that reaches past the disk's end.
taken_over 'p.kind = 2; p.number = 1; p.start = 1 << 20; p.size = 24 << 20; write(3, &p, sizeof(p)); p.kind = 5; write(3, &p, 16);'
import debian.raw again
says "$R/private/again" "" "" "" "" ""
rm programs/imagefs-inside
cp "$program" programs/
restart
cmp "$without/packages" want || fail "with the program again"
stop
IMAGEFS=$(dirname "$program")/imagefs

# ---- several users ----

if [ "$(id -u)" = 0 ]; then
        A=12001 B=12002
        users $A $B
        chmod 644 debian.raw
        start -o allow_other
        web=$R/private/web
        by $A ok mkdir "$web"
        by $A ok upload debian.raw "$web/upload"
        settle "$web"
        cmp <(as $A cat "$web/packages") want || fail "the owner's"
        by $B expect EACCES open r "$web/packages"
        by $B expect EACCES open r "$web/partitions/table"
        by $A ok mkdir "$web/shares/$B"
        cmp <(as $B cat "$R/shared/web/packages") want || fail "of a shared image"
        same "$(as $B cat "$R/shared/web/partitions/table")" "$table" "the table of a shared image"
        cmp <(as $B cat "$R/shared/web/partitions/vda2.raw") part.raw || fail "a partition of a shared image"
        by $A ok rmdir "$web/shares/$B"
        by $B expect EACCES open r "$R/shared/web/packages"
        by $B expect EACCES open r "$R/shared/web/partitions/vda2.raw"
fi

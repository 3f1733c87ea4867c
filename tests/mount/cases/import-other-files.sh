# SPDX-License-Identifier: MIT
# Root's daemon reads a VMDK of two minds: its last header is that of a good file, its first sends whoever goes by it to a file
# of the host that anybody may read. Nothing of that comes out, whatever the file is given as.
need qemu-img python3 tar
need_root
host=/usr/share/common-licenses/GPL-3
[ -s "$host" ] || skip "no $host"
start
two_regions
raise_limits

# two_minds FILE DESCRIPTION: goes by two headers; the description lies where the first one says.
two_minds() {
        python3 - "$1" "$2" <<'PYTHON'
import struct, sys

def header(capacity, description, directory):
    return struct.pack("<4sIIQQQQIQQQB4sH", b"KDMV", 3, 0x30001, capacity, 128, description, 20, 512, 0, directory, 128, 0,
                       b"\n \r\n", 1).ljust(512, b"\0")

def marker(kind):
    return struct.pack("<QII", 0, 0, kind).ljust(512, b"\0")

good = '# Disk DescriptorFile\nversion=1\nCID=12345678\nparentCID=ffffffff\ncreateType="streamOptimized"\n' \
       'RW 64 SPARSE "disk.vmdk"\n'
image = header(0, 64, 2**64 - 1) + good.encode().ljust(63 * 512, b"\0") + sys.argv[2].encode().ljust(64 * 512, b"\0")
image += marker(3) + header(64, 1, 100) + marker(0)
open(sys.argv[1], "wb").write(image)
PYTHON
}
# harmless FILE: the import ends, and no disk or snapshot has a line of the host's file.
n=0
harmless() {
        local image
        n=$((n + 1))
        image=$R/private/evil$n
        ok mkdir "$image"
        "$FSOP" upload "$1" "$image/upload" >/dev/null
        timeout 60 cat "$image/wait" >/dev/null 2>&1
        [ $? -lt 124 ] || fail "$1 hangs"
        if grep -rqaF "GNU GENERAL PUBLIC LICENSE" "$image/disks" "$image/snapshots" 2>/dev/null; then
                fail "$1 shows the content of $host"
        fi
        value "$image/status" error
        [[ $(cat "$image/error") == *' '* ]] || fail "$1: refused without a reason"
}
text='# Disk DescriptorFile
version=1
CID=12345678
parentCID=ffffffff
createType="monolithicFlat"
'
two_minds flat.vmdk "${text}RW 64 FLAT \"$host\" 0"
harmless flat.vmdk
two_minds vmfs.vmdk "${text}RW 64 VMFS \"$host\""
harmless vmfs.vmdk
two_minds parent.vmdk "${text}parentFileNameHint=\"$host\""
harmless parent.vmdk
printf '<E><File id="f" href="flat.vmdk"/><Disk fileRef="f"/></E>' >m.ovf
tar --format=ustar -cf flat.ova m.ovf flat.vmdk
harmless flat.ova

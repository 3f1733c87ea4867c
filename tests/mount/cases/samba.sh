# SPDX-License-Identifier: MIT
# The share of the guide's page, served by Samba to its own client: who logs in there has what is hers, copies a disk in and
# another out, and is refused with an error that a client of Windows' knows.
need_root "who logs in"
need smbclient python3
. "$lib/users.sh"
ALICE=1 # daemon: an account that every system has
users $ALICE
if command -v smbd smbpasswd >/dev/null; then
        smbd=smbd smbpasswd=smbpasswd
else
        programs=$("$lib/unpacked" samba samba-common-bin 2>err) || skip "no Samba: $(tail -n 1 err)"
        smbd=$programs/usr/sbin/smbd smbpasswd=$programs/usr/bin/smbpasswd
fi
start -o allow_other
two_regions
pattern disk.raw 8M 61
qemu-img convert -f raw -O qcow2 disk.raw disk.qcow2 || fail "qemu-img"

mkdir samba
{
        printf '[global]\nserver role = standalone server\nlog file = %s/samba/log\n' "$WORK"
        for dir in private lock state cache pid; do echo "$dir directory = $WORK/samba"; done
        printf 'ncalrpc dir = %s/samba/rpc\nchange notify = no\nrpc start on demand helpers = no\n' "$WORK"
        printf 'load printers = no\ndisable spoolss = yes\n'
        sed -n '/^\[images\]/,/^```/p' "$lib/../../../fs/guide/sftp-samba.md" | sed '/^```/d' | sed "s|/mnt/images|$MNT|"
} >smb.conf
printf 'secret\nsecret\n' | run "$smbpasswd" -c "$WORK/smb.conf" -a -s daemon >/dev/null
mkfifo port
"$lib/listen" "$smbd" -s "$WORK/smb.conf" >port 2>listen.log &
read -r port <port
# smb COMMANDS: as she types them; what is refused is printed.
smb() {
        smbclient //127.0.0.1/images -p "$port" -s "$WORK/smb.conf" -U "${user:-daemon%secret}" -d 0 -c "$1" 2>&1
}
# said_by COMMANDS TEXT: all that she is told.
said_by() {
        local said
        said=$(smb "$1" | grep -vE '^ *$|blocks of size|^putting file|^getting file|^  \.\.? ')
        same "$said" "$2" "$1"
}
# refused_by COMMANDS STATUS: one of them, and the others are carried out.
refused_by() {
        local said
        said=$(smb "$1" | grep -F NT_STATUS_)
        same "$(grep -oE 'NT_STATUS_[A-Z_]*' <<<"$said")" "$2" "$1: $said"
}
listed() {
        smb "ls $1/*" | awk 'NF > 5 && $1 !~ /^\./ && !/blocks of size/ { printf "%s %s %s,", $1, $2, $3 }'
}
P=regions/cn-north-1/private

# In by its own name, and into upload; out as raw and as qcow2.
said_by "cd $P; put disk.raw web.raw; put disk.qcow2 vm.qcow2; mkdir made; cd made; put disk.qcow2 upload" ""
for name in web vm made; do
        settle "$R/private/$name"
        value "$R/private/$name/owner" daemon
        same_checksum "$R/private/$name" disk.raw
done
same "$(listed $P)" "made D 0,vm D 0,web D 0," "her images"
same "$(listed $P/web/disks)" "vda.raw N 8388608,vda.qcow2 N $(stat -c %s "$R/private/web/disks/vda.qcow2")," "her disks"
same "$(smb "get $P/web/status -" | head -n 1)" available "what she reads"
said_by "get $P/web/disks/vda.raw got.raw; get $P/web/disks/vda.qcow2 got.qcow2" ""
same_disk got.raw disk.raw
run qemu-img compare -q got.qcow2 disk.raw

# What she sets and makes; what she moves away is deleted, and comes back.
echo 'our base system' >description
said_by "cd $P/web; put description description; mkdir shares/bin; mkdir instances/vm1" ""
value "$R/private/web/description" "our base system"
value "$R/instances/vm1/owner" daemon
[ -d "$R/private/web/shares/bin" ] || fail "not shared"
said_by "cd $P; rename vm ../recycle/vm" ""
value "$R/recycle/vm/status" deleted
said_by "cd $P; rename ../recycle/vm vm" ""
value "$R/private/vm/status" available

# Refusals: nothing changes, and the sentence is where it always is.
contents=$(tree_contents)
refused_by "cd $P/web; put description id" NT_STATUS_ACCESS_DENIED
refused_by "cd $P; del web/status" NT_STATUS_ACCESS_DENIED
[[ $(cat "$R/private/web/last-error") == *"rm status: generated files cannot be removed"* ]] || fail "$(cat "$R/private/web/last-error")"
refused_by "cd $P/web; put description other" NT_STATUS_ACCESS_DENIED
[[ $(cat "$R/private/web/last-error") == *"create other: files cannot be made here"* ]] || fail "$(cat "$R/private/web/last-error")"
refused_by "cd regions/cn-north-1; mkdir public/x" NT_STATUS_ACCESS_DENIED
refused_by "cd $P; mkdir web" NT_STATUS_OBJECT_NAME_COLLISION
# What the page says is another way there.
refused_by "cd $P; rmdir web" NT_STATUS_DIRECTORY_NOT_EMPTY
refused_by "cd $P; rmdir web/shares/bin" NT_STATUS_DIRECTORY_NOT_EMPTY
said_by "get $P/web/wait -" ""
refused_by "deltree $P/made" NT_STATUS_ACCESS_DENIED
same "$(tree_contents)" "$contents" "what refusals leave"

# Others neither see hers nor reach it.
printf 'other\nother\n' | run "$smbpasswd" -c "$WORK/smb.conf" -a -s bin >/dev/null
user=bin%other said_by "ls $P/*" ""
user=bin%other refused_by "get $P/made/status -" NT_STATUS_ACCESS_DENIED
user=bin%wrong refused_by "ls" NT_STATUS_LOGON_FAILURE

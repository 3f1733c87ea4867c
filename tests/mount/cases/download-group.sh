# SPDX-License-Identifier: MIT
# Addresses of a group's image: who may write makes and ends them, who may read may read them, and nobody else anything.
. "$lib/users.sh"
need curl python3 qemu-img
A=12001 M=12002 S=12003 G=12200
users $A $M $S
member() {
        setpriv --reuid $M --regid $M --groups $G "$WORK/bin/fsop" "$@"
}
PORT=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
start -o "allow_other,http=127.0.0.1:$PORT"
two_regions
pattern disk.raw 1M 5
chmod 644 disk.raw
web=$R/private/web
by $A ok mkdir "$web"
by $A ok upload "$WORK/disk.raw" "$web/upload"
settle "$web"
ok chown $A $G "$web"

by $A ok mkdir "$web/download/vda.raw"
ok chmod 750 "$web"
same "$(member mkdir "$web/download/vda.qcow2")" "EACCES mkdir" "a reader makes one"
same "$(member rmdir "$web/download/vda.raw")" "EACCES rmdir" "a reader ends one"
url=$(setpriv --reuid $M --regid $M --groups $G cat "$web/download/vda.raw/url") || fail "a reader cannot read it"
run curl -sf -o fetched "$url"
same_disk fetched disk.raw
by $S expect EACCES open r "$web/download/vda.raw/url"

ok chmod 770 "$web"
same "$(member mkdir "$web/download/vda.qcow2")" ok "a writer makes one"
same "$(stat -c '%u %g' "$web/download/vda.qcow2")" "$A $G" "whose it is"
run curl -sf -o fetched "$(cat "$web/download/vda.qcow2/url")"
run qemu-img compare -q -F raw -f qcow2 fetched disk.raw
same "$(member rmdir "$web/download/vda.raw")" ok "a writer ends one"
fails curl -sf -o fetched "$url"
by $S expect EACCES mkdir "$web/download/vda.raw"

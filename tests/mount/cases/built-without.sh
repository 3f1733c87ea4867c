# SPDX-License-Identifier: MIT
# What a build lacks a library for answers EOPNOTSUPP and says which one; all else works, and nothing that is listed fails
# to be read. Skipped where all libraries are there: scripts/test makes a build without them for this case.
need qemu-img ldd
has() {
        [[ $(ldd "$IMAGEFS") == *"$1"* ]]
}
if has libcurl && has libmicrohttpd && has libarchive && has libz.so; then
        skip "built with all libraries"
fi
start
two_regions
pattern disk.raw 2M 1
run qemu-img convert -O qcow2 disk.raw disk.qcow2
import_raw "$R/private/web" disk.qcow2
same_checksum "$R/private/web" disk.raw

if ! has libcurl; then
        ok mkdir "$R/private/fetched"
        refused EOPNOTSUPP "$R/private/fetched" write "$R/private/fetched/import-url" http://127.0.0.1/x.raw
        [[ $(cat "$R/private/fetched/last-error") == *libcurl*upload ]] || fail "$(cat "$R/private/fetched/last-error")"
        ok rmdir "$R/private/fetched"
        ok mkdir "$R/follows/upstream"
        refused EOPNOTSUPP "$R/follows/upstream" write "$R/follows/upstream/url" http://127.0.0.1/x.raw
        [[ $(cat "$R/follows/upstream/last-error") == *"without libcurl"* ]] || fail "$(cat "$R/follows/upstream/last-error")"
        ok rmdir "$R/follows/upstream"
        refused EOPNOTSUPP - write "$R2/store" "s3://lib/some endpoint=https://localhost"
        [[ $(tail -n 1 "$MNT/info/errors") == *"built without libcurl, and knows no buckets"* ]] ||
                fail "$(tail -n 1 "$MNT/info/errors")"
fi

if [ ! -x "$(dirname "$IMAGEFS")/imagefs-unpack" ]; then
        gzip -c disk.raw >disk.gz
        ok mkdir "$R/private/packed"
        ok upload disk.gz "$R/private/packed/upload"
        settle "$R/private/packed" error
        [[ $(cat "$R/private/packed/error") == *libarchive*"unpack it first"* ]] || fail "$(cat "$R/private/packed/error")"
        same "$(ls "$R/snapshots")" web "snapshots"
        ok rmdir "$R/private/packed"
fi

ok mkdir "$R/private/web/instances/vm"
if ! has libarchive; then
        expect EOPNOTSUPP open r "$R/instances/vm/seed.iso"
        for file in password ssh-keys hostname; do
                refused EOPNOTSUPP "$R/instances/vm" write "$R/instances/vm/$file" "host-1"
                [[ $(cat "$R/instances/vm/last-error") == *libarchive* ]] || fail "$(cat "$R/instances/vm/last-error")"
        done
fi

if ! has libz.so; then
        expect EOPNOTSUPP open r "$R/images.xlsx"
        [[ $(tail -n 1 "$MNT/info/errors") == *zlib* ]] || fail "$(tail -n 1 "$MNT/info/errors")"
        expect EOPNOTSUPP open r "$MNT/images.xlsx"
        run cat "$R/images.csv" "$MNT/images.csv" >/dev/null
fi

if [ ! -x "$(dirname "$IMAGEFS")/imagefs-fstab" ] && command -v mke2fs >/dev/null; then
        truncate -s 1M ext.raw
        run mke2fs -q -F -t ext2 ext.raw
        import_raw "$R/private/ext" ext.raw
        refused EOPNOTSUPP "$R/private/ext" open r "$R/private/ext/packages"
        [[ $(cat "$R/private/ext/last-error") == *libext2fs* ]] || fail "$(cat "$R/private/ext/last-error")"
        [[ $(cat "$R/private/ext/partitions/table") == "vda start=0 size=1048576 type= fs=ext2 "* ]] ||
                fail "the table: $(cat "$R/private/ext/partitions/table")"
fi

ok mkdir "$R/instances/vm/images/next"
settle "$R/private/next"
same_checksum "$R/private/next" disk.raw
run tar cf - -C "$MNT" . >/dev/null
run grep -rq web "$MNT"
stop

if ! has libmicrohttpd; then
        said=$(start_refused "$STORE" "$MNT" -f -o http=127.0.0.1:0)
        [[ $said == *"built without libmicrohttpd"* ]] || fail "http=: $said"
fi

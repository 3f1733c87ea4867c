# SPDX-License-Identifier: MIT
# shellcheck shell=bash disable=SC2154
# With IMAGEFS_TEST_BUCKET: the regions that two_regions() makes are in a bucket, so that any case says of one there what it says of a
# directory; but for those that not-in-bucket names, with the reason.

reason=$(sed -n "s/^$(basename "$1" .sh) *//p" "$lib/not-in-bucket")
[ -z "$reason" ] || skip "in a bucket: $reason"
# shellcheck source=tests/mount/lib/s3.sh
. "$lib/s3.sh"
grep -q libcurl <(ldd "$IMAGEFS") || skip "built without libcurl"

two_regions() {
        _two_regions
        [ -e "$WORK/s3.port" ] || _bucket_start
        ok write "$R/store" "$FAR"
        ok write "$R2/store" "$FAR"
}

# SPDX-License-Identifier: MIT
# Every option, command, variable, limit and file stands in a manual page and the other way round; the pages are sound.
need python3
top=$(cd "$lib/../../.." && pwd)
pages=$(dirname "$IMAGEFS")/man
[ -e "$pages/imagefs-tree.7" ] || skip "no manual pages beside the program: build the target man"

# One of each thing, so that its files are there.
start
two_regions
cloud_image web 1M
ok mkdir "$R/private/web/instances/vm"
ok mkdir "$R/disks/d1"
ok write "$R/disks/d1/size" 1M
ok mkdir "$R/disks/d1/snapshots/s1"
ok mkdir "$R/private/web/copies/cn-east-2"
settle "$R2/private/web"
said=$("$lib/manual-agrees" "$top" "$IMAGEFS" "$pages" "$MNT" "$STORE" 2>&1) || fail "$said"

if command -v mandoc >/dev/null; then
        for page in "$pages"/*.[1-8]; do
                same "$(mandoc -T lint -W warning "$page" 2>&1)" "" "$page"
        done
else
        echo "note: no mandoc here"
fi

# SPDX-License-Identifier: MIT
# kill -9 at any moment under four clients that do what the tree offers, and note what they were answered.
# time limit: 300
need python3
kills=${IMAGEFS_KILLS:-8}
. "$lib/crash.sh"
start
two_regions
raise_limits
pattern kept.raw 1M 1
import_raw "$R/private/kept" kept.raw
ok mkdir "$R/disks/load"
ok write "$R/disks/load/size" 64M
stop
"$lib/kill-clients" "$IMAGEFS" "$STORE" "$MNT" "$R" "$kills" "$IMAGEFS_SEED" >out 2>err || fail "$(cat out err)"
echo "note: $(cat out)"

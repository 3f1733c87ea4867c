# SPDX-License-Identifier: MIT
# A blob store that does not answer, as on a network mount whose server is gone, stops nothing but what needs it; when it
# answers again, all goes on.
# time limit: 100
need_root "a blob store on a file system of the test's own"
need curl
# shellcheck source=tests/mount/lib/hang.sh
. "$lib/hang.sh"

hang_mount
start
two_regions
raise_limits
ok write "$R2/store" "$FAR/store"
pattern far.raw 2M 5
import_raw "$R2/private/far" far.raw
ok mkdir "$R2/private/far/instances/vm"
ok pwrite 4096 "$R2/instances/vm/disks/vda.raw" written
cloud_image here 2M
stop
hang_unmount

# answers COMMAND …: within the time in which the daemon would be given up for dead.
answers() {
        timeout -k 5 30 "$@" >"$WORK/out" 2>"$WORK/err" || fail "$*: status $?: $(tail -n 3 "$WORK/err")"
}
_health() { grep -qF "$1" "$MNT/info/health"; }
_is_ok() { [ "$(cat "$MNT/info/health")" = ok ]; }

hang_mount
start -o slow-request=1
hang
# More than can be let to wait in it; and a disk on its way in, for each worker.
for i in 1 2 3; do
        cmp far.raw "$R2/private/far/disks/vda.raw" >"cmp.$i" 2>&1 &
        readers[i]=$!
done
for i in 1 2 3; do
        cp far.raw "$R2/private/in$i.raw" 2>"cp.$i" &
        writers[i]=$!
done
dead="the blob store of region cn-east-2 is offline: $FAR/store: its disk does not answer; what waits for it goes on as soon as it does"
until_true 60 _health "$dead" || fail "nothing in health: $(cat "$MNT/info/health")"
until_true 30 grep -qF "$dead" daemon.log || fail "nothing in the log"

# ---- what does not need it ----

answers ls -lR "$R/private" "$R2/snapshots"
answers cat "$R2/private/far/status" "$R2/quota" "$R2/images.csv" "$MNT/images.json" "$R2/store"
for file in version limits store errors health metrics; do
        answers cat "$MNT/info/$file"
done
answers df "$MNT"
answers cmp here.raw "$R/private/here/disks/vda.raw"
answers mkdir "$MNT/regions/third" "$R/private/here/instances/near"
ok pwrite 4096 "$R/instances/near/disks/vda.raw" changed
ok write "$R2/private/far/description" "still here"
for i in 1 2 3; do
        pattern "new$i.raw" 1M "3$i"
        SETTLE_SECONDS=30 import_raw "$R/private/new$i" "new$i.raw"
        answers cmp "new$i.raw" "$R/private/new$i/disks/vda.raw"
done

# ---- what does is refused, and says why ----

said() { same "$(sentence_alone <"$1/last-error")" "$dead" "last-error of $1"; }
expect EIO open r "$R2/private/far/disks/vda.qcow2"
said "$R2/private/far"
expect EIO mkdir "$R2/private/far/instances/more"
expect EIO mkdir "$R/private/here/copies/cn-east-2"
said "$R/private/here"
[ ! -e "$R2/instances/more" ] || fail "it was refused, and is there"

# ---- it answers again ----

go_on
until_true 60 _is_ok || fail "health: $(cat "$MNT/info/health")"
for i in 1 2 3; do
        wait "${readers[i]}" || grep -q 'Input/output error' "cmp.$i" || fail "a reader: $(cat "cmp.$i")"
        wait "${writers[i]}" || grep -q 'Input/output error' "cp.$i" || fail "a writer: $(cat "cp.$i")"
done
answers cmp far.raw "$R2/private/far/disks/vda.raw"
for i in 1 2 3; do
        [ ! -s "cp.$i" ] || continue
        settle "$R2/private/in$i"
        same_disk far.raw "$R2/private/in$i/disks/vda.raw"
done
import_raw "$R2/private/after" far.raw
ok mkdir "$R2/private/far/instances/more"

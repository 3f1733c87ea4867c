# SPDX-License-Identifier: MIT
# The catalogue is copied into each blob store, and brought back when it is lost; what came after the copy is found.

copies() { # [STORE-DIRECTORY]
        (cd "${1:-$STORE/blobs}/catalogue" && printf '%s\n' *.db)
}
check() { # STATUS ARGUMENT …: sets said
        local want=$1 r
        shift
        said=$("$IMAGEFS" check "$@" 2>&1)
        r=$?
        [ "$r" = "$want" ] || fail "check $* gave status $r, not $want: $said"
}
says() {
        [[ $said == *"$1"* ]] || fail "said: $said"
}

# ---- copies are made ----

mkdir far
start
two_regions
ok write "$MNT/info/limits" "scrub-days 0" # a store is noted to be scrubbed when somebody gets to it
ok mkdir "$MNT/regions/far"
ok write "$MNT/regions/far/store" "$WORK/far/blobs"
local_image web 3M 11
cloud_image base 2M 12
ok write "$R/private/web/description" "kept"
ok mkdir "$R/private/base/copies/far"
settle "$MNT/regions/far/private/base"
stop
first=$(copies | tail -n 1)
[[ $first =~ ^20[0-9-]+T[0-9:]+Z\.[0-9a-f]{32}\.db$ ]] || fail "copies: $(copies)"
[ -n "$(copies "$WORK/far/blobs")" ] || fail "the other store has none"
same "${first:21:32}" "$(xxh "$STORE/blobs/catalogue/$first")" "the checksum in the name"

# Nothing has changed: none is made.
before=$(copies)
start
cat "$R/private/web/disks/vda.raw" >/dev/null
restart
stop
same "$(copies)" "$before" "copies after looking"

# The last seven stay, and nobody else can read them.
for i in 1 2 3 4 5 6 7 8 9; do
        start
        ok write "$R/private/web/description" "kept $i"
        stop
done
same "$(copies | wc -l)" 7 "how many are kept"
same "$(copies "$WORK/far/blobs" | wc -l)" 7 "how many are kept in the other store"
same "$(find "$STORE"/* "$WORK/far/blobs" -perm /077)" "" "what others can read"
! copies | grep -qF "$first" || fail "the oldest is still there"
check_store

# ---- what came later ----

start
sleep 1 # the upkeep has looked whether a copy is due
pattern late.raw 2M 13
before=$(tree_contents "$R/private/web")
import_raw "$R/private/late" late.raw local
ident=$(cat "$R/private/web/id")
crash # no copy at the end
check 0 "$STORE"
same "$said" clean "a library as it is"

# ---- each way to lose it ----

cp -a "$STORE" lib.before
lose() {
        umount -l "$MNT" 2>/dev/null || fusermount3 -uz "$MNT" 2>/dev/null
        rm -rf "$STORE"
        cp -a lib.before "$STORE"
        "$@"
}
garbage() { echo "not a database" >"$STORE/imagefs.db"; }
holes() { dd if=/dev/urandom of="$STORE/imagefs.db" conv=notrunc bs=4096 seek=2 count=20 status=none; }
gone() { rm "$STORE"/imagefs.db*; }
bare() { rm "$STORE"/imagefs.db* "$STORE/reserve" "$STORE/lock"; }

for how in garbage gone; do
        lose "$how"
        [[ $(start_refused "$STORE" "$MNT" -f) == *"imagefs check $STORE --restore-catalogue"* ]] || fail "$how: no way out is told"
        check 8 "$STORE"
        says "imagefs check $STORE --restore-catalogue"
done

for how in holes garbage gone bare; do
        lose "$how"
        check 1 "$STORE" --restore-catalogue
        says "$STORE/imagefs.db is the catalogue of $(copies | tail -n 1 | cut -c 1-20) again, from $STORE/blobs/catalogue/"
        says "2097152 bytes: no image names it"
        says repaired
        if [ "$how" = garbage ]; then
                says "what was $STORE/imagefs.db is imagefs.db.20"
                same "$(cat "$STORE"/imagefs.db.*.damaged)" "not a database" "what was there"
        fi
        same "$(find "$STORE"/* -perm /077)" "" "what others can read"
        start
        value "$R/private/web/description" "kept 9"
        value "$R/private/web/id" "$ident"
        same "$(tree_contents "$R/private/web")" "$before" "what is in the copy"
        same_disk "$R/private/base/disks/vda.raw" base.raw
        same_disk "$MNT/regions/far/private/base/disks/vda.raw" base.raw
        expect ENOENT stat "$R/private/late"
        value "$MNT/info/health" ok
        stop
done

# ---- killed at each step of it: what was there is there, or aside, and it can be done again ----

if command -v strace >/dev/null; then
        for call in renameat fsync openat; do
                for n in 1 2 3 4 5 6 7 8 9 10 11 12 13 14; do
                        lose garbage
                        echo "a log" >"$STORE/imagefs.db-wal"
                        { strace -qq -o strace.log -e trace=$call -e inject=$call:signal=KILL:when="$n" \
                                "$IMAGEFS" check "$STORE" --restore-catalogue >out 2>&1; } 2>/dev/null
                        grep -qa "not a database" "$STORE"/imagefs.db* || fail "$call $n: what was there is gone"
                        grep -qa "a log" "$STORE"/imagefs.db* || fail "$call $n: the WAL that was there is gone"
                        [ ! -e "$STORE/imagefs.db-wal" ] || same "$(head -n 1 "$STORE/imagefs.db")" "not a database" \
                                "$call $n: beside its WAL"
                        check 1 "$STORE" --restore-catalogue
                done
        done
        start
        value "$R/private/web/description" "kept 9"
        stop
fi

# ---- what it does not name ----

check 0 "$STORE"
says "imagefs check $STORE --repair\" makes it cn-east-2/recycle/found-"
says clean
check 1 "$STORE" --repair
says " is cn-east-2/recycle/found-"
check 0 "$STORE"
same "$said" clean "after a repair"
start
found=$(echo "$R2"/recycle/found-*)
value "$found/status" deleted
value "$found/type" local
value "$found/size" 2097152
ok rename "$found" "$R2/private/${found##*/}"
found=$R2/private/${found##*/}
settle "$found"
same_disk "$found/disks/vda.raw" late.raw
same_checksum "$found" late.raw
stop
check_store

# ---- refusals ----

start
check 8 "$STORE" --restore-catalogue
says "another imagefs serves this library: process $daemon_pid: unmount that one first"
check 8 "$STORE" --repair
says "unmount that one first"
stop
rm -r "$STORE/blobs/catalogue" "$WORK/far/blobs/catalogue"
sum=$(xxh "$STORE/imagefs.db")
check 8 "$STORE" --restore-catalogue
says "there is no whole copy of the catalogue in $STORE/blobs/catalogue"
same "$(xxh "$STORE/imagefs.db")" "$sum" "the catalogue after a refusal"
mkdir empty
check 8 "$WORK/empty" --restore-catalogue
says "no library of imagefs: is the disk that it lies on mounted?"
check 16 "$STORE" --restore
says "usage: imagefs check STORE|ADDRESS [--read-data] [--repair] [--restore-catalogue]"

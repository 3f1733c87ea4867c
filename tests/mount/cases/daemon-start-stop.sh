# SPDX-License-Identifier: MIT
# In the background by default; failures before the parent ends; SIGTERM; what cannot be mounted.
pid_of() { pgrep -o -f -- "^$IMAGEFS $STORE"; } # that was started, not the one that it started
gone() { [ -z "$(pid_of)" ]; }

# A library is made by init alone: what is not there may lie on a disk that is not mounted.
[[ $(start_refused "$STORE" "$MNT") == *"$STORE: no library of imagefs: is the disk that it lies on mounted? \"imagefs init $STORE\" makes"* ]] ||
        fail "another sentence: $(cat out)"
[ ! -e "$STORE" ] || fail "a store that is refused is made"
mkdir bare bare/lost+found
[[ $(start_refused "$WORK/bare" "$MNT") == *"no library of imagefs"* ]] || fail "another sentence: $(cat out)"
same "$(ls bare)" "lost+found" "a directory that is no library"
run "$IMAGEFS" init "$STORE" >said
same "$(cat said)" "made; to mount it: imagefs $STORE MOUNTPOINT" "what init says"
same "$(stat -c %a "$STORE")" 700 "the mode of a new library"
run "$IMAGEFS" check "$STORE" >/dev/null
init_refused() { # WHY [ARGUMENT…]
        local why=$1
        shift
        "$IMAGEFS" init "$@" >said 2>&1 && fail "init $* succeeds"
        [[ $(cat said) == *"$why"* ]] || fail "init $* says: $(cat said)"
}
before=$(find "$STORE" -type f -exec xxhsum -q -H2 {} + | sort)
init_refused "there is a library already" "$STORE"
same "$(find "$STORE" -type f -exec xxhsum -q -H2 {} + | sort)" "$before" "a library that init refused to make"
run "$IMAGEFS" init "$WORK/bare" >/dev/null
mkdir full
echo mine >full/thing
init_refused "$WORK/full: not empty: choose an empty directory" "$WORK/full"
same "$(ls -A full)" thing "a directory of others"
init_refused "cannot be made: No such file or directory" "$WORK/no/such/parent"
init_refused "missing; usage: imagefs init STORE"
init_refused "one argument too many; usage: imagefs init STORE" "$WORK/a" "$WORK/b"
init_refused "no such option; usage: imagefs init STORE" --force "$WORK/a"
[ ! -e "$WORK/a" ] || fail "a refused init made something"

# Another init has the directory: one that fails takes back what it made, and who waited for it begins anew; or it is none any more.
init_waits() { # sets $holder, which has taken, and $init, which waits for its end
        mkdir taken
        (exec 8>taken/lock && flock 8 && echo "$BASHPID closing" >&8 && exec sleep 1000) &
        holder=$!
        until_true 20 grep -q closing taken/lock || fail "the lock is not held"
        "$IMAGEFS" init taken >said 2>&1 &
        init=$!
        until_true 20 eval 'readlink /proc/$init/fd/* | grep -qx "$WORK/taken/lock"' || fail "init does not wait: $(cat said)"
}
init_waits
rm taken/lock
rmdir taken
kill "$holder"
wait "$init" || fail "init after one that failed: $(cat said)"
run "$IMAGEFS" check taken >/dev/null
rm -r taken
init_waits
echo mine >taken/thing
kill "$holder"
wait "$init" && fail "a library among what is others'"
[[ $(cat said) == *"taken: not empty: choose an empty directory"* ]] || fail "init says: $(cat said)"
same "$(ls -A taken | xargs)" "lock thing" "what is others'"

run "$IMAGEFS" init --help | grep -q "^imagefs init STORE" || fail "init has no help"
run "$IMAGEFS" check --help | grep -q -- "--restore-catalogue  *bring back" || fail "check has no help"

"$IMAGEFS" "$STORE" "$MNT" >out 2>&1 || fail "start gave $?: $(cat out)"
_mounted || fail "not mounted when the parent ended"
ok mkdir "$MNT/regions/r"
grep -q " $MNT fuse" /proc/self/mounts || fail "no mount entry: $(grep "$MNT" /proc/self/mounts)"
unmount "$MNT" || fail "unmount"
until_true 10 gone || fail "the daemon stays after the unmount"
check_store

# When the parent ends the daemon keeps nothing of the mount busy. Others may look at all that is mounted just then: once.
busy=0
for _ in {1..20}; do
        "$IMAGEFS" "$STORE" "$MNT" || fail "start"
        if ! fusermount3 -u "$MNT" 2>err; then
                busy=$((busy + 1))
                [ "$busy" = 1 ] || fail "busy again: $(cat err)"
                until_true 10 unmount "$MNT" || fail "unmount"
        fi
        until_true 10 gone || fail "the daemon stays after the unmount"
done

# SIGTERM unmounts, within seconds; the background daemon holds no terminal and no directory.
ended_by() {
        kill "-$1" "$pid"
        until_true 10 gone || fail "SIG$1 did not end it"
        ! _mounted || fail "SIG$1 left the mount"
        [ -d "$MNT" ] || fail "SIG$1 left a stale mount"
}
for signal in TERM HUP; do
        "$IMAGEFS" "$STORE" "$MNT" -o restarts=0 || fail "start"
        pid=$(pid_of)
        same "$(readlink "/proc/$pid/cwd")" / "its working directory"
        ended_by "$signal"
done

# Where another process can go on, one does: a supervisor is there by default, as none is in the foreground.
if [ "$(printf '%s\n' 6.9 "$(uname -r)" | sort -V | head -n 1)" = 6.9 ]; then
        "$IMAGEFS" "$STORE" "$MNT" || fail "start"
        pid=$(pid_of)
        serving=$(pgrep -P "$pid") || fail "nothing is supervised"
        holds_nothing() { [ "$(readlink "/proc/$pid/cwd" "/proc/$serving/cwd" "/proc/$pid/fd/1" "/proc/$serving/fd/1" | uniq | xargs)" = "/ /dev/null" ]; }
        until_true 10 holds_nothing || fail "it holds $(readlink "/proc/$pid/cwd" "/proc/$pid/fd/1")"
        kill -KILL "$serving"
        _next() { next=$(pgrep -P "$pid") && [ "$next" != "$serving" ]; }
        until_true 10 _next || fail "nobody goes on"
        _mounted || fail "it does not serve"
        kill -HUP "$pid"
        until_true 10 _ended "$next"
        expect ok stat "$MNT/regions/r"
        ended_by TERM
fi
same "$(ls -A "$MNT")" "" "the mount point"
start
[ -z "$(pgrep -P "$daemon_pid")" ] || fail "something is supervised in the foreground"
value "$MNT/regions/r/store" "$(cat "$MNT/regions/r/store")"
kill -TERM "$daemon_pid"
_reap "$daemon_pid" 10 || fail "SIGTERM in the foreground gave $?"

# A busy mount: SIGTERM ends it all the same.
start
exec 5<"$MNT/README"
kill -TERM "$daemon_pid"
_reap "$daemon_pid" 10 || fail "SIGTERM with an open file gave $?"
exec 5<&-

# Refused, with a sentence, a status, and nothing mounted or left running.
refuse() {
        [[ $(start_refused "$@") == *' '* ]] || fail "no sentence for: $*"
        gone || fail "something stays running after: $*"
}
refuse "$STORE" "$WORK/no-such-directory"
echo text >file
refuse "$STORE" "$WORK/file"
refuse "$WORK/file" "$MNT"
refuse "$WORK/no/such/parent/store" "$MNT"
mkdir occupied
echo mine >occupied/thing
refuse "$WORK/occupied" "$MNT"
same "$(ls -A occupied)" thing "a directory of others was touched"
refuse "$STORE" "$MNT" -o no-such-option
refuse "$STORE"
refuse
library "$WORK/nested"
mkdir nested/mnt
refuse "$WORK/nested" "$WORK/nested/mnt" # the mount point inside the store: the store would hide itself
mkdir outer
library "$WORK/outer/store"
refuse "$WORK/outer/store" "$WORK/outer" # the store inside the mount
refuse "$WORK/outer" "$WORK/outer"

# A library's path may have anything in it that a path may: a comma ended the option that names it to the kernel.
library=$STORE
STORE="$WORK/a, b\\c=d"
start
ok mkdir "$MNT/regions/odd"
same "$(awk -v m="$MNT" '$2 == m { print $1 }' /proc/self/mounts)" "$WORK/a,\\040b\\134c=d" "the mount's name"
stop
check_store
STORE=$library

# Help and version.
run "$IMAGEFS" --help >help
grep -q allow_other help || fail "--help does not list the options"
run "$IMAGEFS" --version >/dev/null

# check: 0 clean, not a store is an error, one in use is not checked.
mkdir empty
fails "$IMAGEFS" check "$WORK/empty"
fails "$IMAGEFS" check "$WORK/nothing-here"
[ ! -e nothing-here ] && [ -z "$(ls -A empty)" ] || fail "check made something"
start
fails "$IMAGEFS" check "$STORE"
value "$MNT/regions/r/quota" "$(cat "$MNT/regions/r/quota")"
stop
# It changes nothing, and needs nothing but to read.
store_bytes() { find "$STORE" -printf '%P %y %m\n' | sort; find "$STORE" -type f -exec xxhsum -q -H2 {} + | sort; }
before=$(store_bytes)
check_store
same "$(store_bytes)" "$before" "check changed the store"
if [ "$(id -u)" = 0 ]; then
        mkdir frozen
        mount --bind "$STORE" frozen
        mount -o remount,bind,ro frozen
        check_store "$WORK/frozen"
        umount frozen
fi

# Read-only.
start -o ro
expect EROFS mkdir "$MNT/regions/x"
expect EROFS write "$MNT/info/limits" "private-images 3"
value "$MNT/regions/r/quota" "$(cat "$MNT/regions/r/quota")"

# SPDX-License-Identifier: MIT
# shellcheck shell=bash
#
# What a case is written with. A case is read by a bash without `set -e`: every step that matters goes through one of
# these functions, which end the case with the line at fault. The names:
#
#     start [-o …]  stop  restart  crash      the daemon
#     ok OP …       expect ERRNO OP …         one file system call (see fsop.c) and its outcome
#     unchanged ERRNO OP …                    the same, and that nothing changed
#     refused ERRNO OBJECT OP …               the same, and that a sentence was left
#     value FILE TEXT   settle IMAGE          what a file says; wait until an image has no work in progress
#     run COMMAND …     fails COMMAND …       any other program
#     pattern …         import_raw …          test data

# Variables that only the cases read, and functions that only they call with arguments:
# shellcheck disable=SC2034,SC2119,SC2120,SC2154

STORE=$WORK/store
MNT=$WORK/mnt
mkdir "$MNT"
daemon_pid=
NO_CHECK=

shopt -s extglob

# ---- outcome ----

# Where in the case, for the message: the first caller outside this file.
_where() {
        local i
        for ((i = 1; i < ${#BASH_SOURCE[@]}; i++)); do
                if [[ ${BASH_SOURCE[i]} != "${BASH_SOURCE[0]}" ]]; then
                        echo "$(basename "${BASH_SOURCE[i]}"):${BASH_LINENO[i - 1]}"
                        return
                fi
        done
}

fail() {
        echo "FAIL: $(_where): $*" >&2
        # From a subshell too, whose output may be what the case is reading.
        kill -TERM $$ 2>/dev/null
        exit 1
}
trap 'exit 1' TERM

skip() {
        echo "SKIP: $*"
        [ -z "$daemon_pid" ] || stop
        exit 77
}

need_root() {
        [ "$(id -u)" = 0 ] || skip "needs root${1:+: $1}"
}

need() {
        local program
        for program; do
                command -v "$program" >/dev/null || skip "no $program"
        done
}

run() {
        "$@" >"$WORK/out" 2>"$WORK/err" || fail "$* gave status $?: $(tail -n 5 "$WORK/err")"
        cat "$WORK/out"
}

fails() {
        if "$@" >"$WORK/out" 2>"$WORK/err"; then
                fail "$* should have failed"
        fi
}

same() {
        [ "$1" = "$2" ] || fail "${3:-values differ}: got '$1', want '$2'"
}

# until_true SECONDS COMMAND …: for what has no event to wait for.
until_true() {
        local end=$((SECONDS + $1))
        shift
        until "$@" >/dev/null 2>&1; do
                [ "$SECONDS" -lt "$end" ] || return 1
                sleep 0.05
        done
}

_nothing_incoming() {
        [ -z "$(find "$STORE" -path '*incoming/*')" ]
}

# nothing_incoming: no file is left of what is on its way into the store. It may go after a status says how all ended.
nothing_incoming() {
        until_true 20 _nothing_incoming || fail "files left on their way in: $(find "$STORE" -path '*incoming/*')"
}

# ---- one call ----

_got() {
        _answer=$("$FSOP" "$@")
        case $? in
        0 | 1) ;;
        *) fail "fsop cannot do this: $*" ;;
        esac
}

ok() {
        _got "$@"
        [ "$_answer" = ok ] || fail "$*: got $_answer, want ok"
}

# expect ERRNO OP …; expect "ERRNO STEP" OP … where it matters which call failed; "EPERM|EACCES" where both are right.
expect() {
        local want=$1 got
        shift
        _got "$@"
        got=$_answer
        [[ $want == *' '* ]] || got=${got%% *}
        # shellcheck disable=SC2053
        [[ $got == @($want) ]] || fail "$*: got $_answer, want $want"
}

# unchanged ERRNO OP …: the same, and nothing in the tree is another than before. For what the kernel refuses by itself,
# such as making a name that is there.
unchanged() {
        local before after
        before=$(tree_snapshot)
        expect "$@"
        after=$(tree_snapshot)
        if [ "$before" != "$after" ]; then
                diff <(echo "$before") <(echo "$after") | head -n 20
                fail "${*:2}: was refused, and changed something"
        fi
}

# refused ERRNO OBJECT OP …: unchanged, and a sentence says why: in /info/errors, and in the last-error of the directory
# OBJECT (`-` where there is none).
refused() {
        local want=$1 object=$2 last sentence
        shift 2
        last=$(grep -c . "$MNT/info/errors"; tail -n 1 "$MNT/info/errors")
        unchanged "$want" "$@"
        sentence=$(tail -n 1 "$MNT/info/errors")
        [ "$last" != "$(grep -c . "$MNT/info/errors"; echo "$sentence")" ] || fail "$*: nothing in /info/errors"
        [[ $sentence == *' '*' '* ]] || fail "$*: /info/errors holds no sentence: $sentence"
        if [ "$object" != - ]; then
                last=$(cat "$object/last-error")
                [[ $last == *' '* ]] || fail "$*: $object/last-error holds no sentence: $last"
                [[ $sentence == *"${last#* }" ]] || fail "$*: last-error says '$last', /info/errors '$sentence'"
        fi
}

# The sentence of a last-error on standard input, without time and operation.
sentence_alone() {
        sed 's/^[^ ]* [^:]*: //'
}

# Everything that a refusal must leave alone: names, types, modes, owners, sizes, times, contents. Not the sentences
# themselves, not the events, which tell of what was begun and taken back as well, and not the free space of the disk, which
# others change too.
tree_snapshot() {
        (
                cd "${1:-$MNT}" || exit 1
                find . -printf '%p %y %m %U:%G %s %i %T@ %C@ %l\n' |
                        grep -vE '(/last-error|^\./info/errors|^\./info/events|^\./info/store) '
                find . -type f ! -name last-error ! -path ./info/errors ! -path ./info/events ! -path ./info/store -print0 |
                        xargs -0 -r xxhsum -q -H2
        ) | sort
}

# The same without times and inode numbers: what the tree says.
tree_contents() {
        (
                cd "${1:-$MNT}" || exit 1
                find . ! -name last-error ! -path ./info/errors ! -path ./info/events ! -path ./info/store \
                        '(' -type d -printf '%p %m %U:%G\n' -o -printf '%p %y %m %U:%G %s %l\n' ')'
                find . -type f ! -name last-error ! -path ./info/errors ! -path ./info/events ! -path ./info/store -print0 |
                        xargs -0 -r xxhsum -q -H2
        ) | sort
}

# ---- the daemon ----

# statfs(2) always asks the daemon, whereas what a crash has left answers stat(2) from the kernel's cache for a while.
_mounted() {
        [ "$(stat -f -c %t "$MNT" 2>/dev/null)" = 65735546 ]
}

_started() {
        _mounted || ! kill -0 "$daemon_pid" 2>/dev/null
}

# Makes a library there, if nothing is.
library() {
        [ -e "$1" ] || run "$IMAGEFS" init "$1" >/dev/null
}

# In the foreground, so that its number, its messages and its exit status are known.
start() {
        library "$STORE"
        "$IMAGEFS" "$STORE" "$MNT" -f "$@" >>"$WORK/daemon.log" 2>&1 &
        daemon_pid=$!
        until_true 20 _started || fail "not mounted after 20 seconds"
        if ! _mounted; then
                wait "$daemon_pid"
                fail "the daemon ended with status $?: $(tail -n 3 "$WORK/daemon.log")"
        fi
}

# start, where the daemon must refuse: prints what it says.
start_refused() {
        local r
        timeout -k 5 20 "$IMAGEFS" "$@" >"$WORK/out" 2>&1
        r=$?
        [ "$r" -ne 0 ] || fail "imagefs $* should have been refused"
        [ "$r" -lt 124 ] || fail "imagefs $* ended with status $r"
        cat "$WORK/out"
}

unmount() {
        if [ "$(id -u)" = 0 ]; then
                umount "$1"
        else
                fusermount3 -u "$1"
        fi
}

_ended() {
        ! kill -0 "$1" 2>/dev/null
}

# What the threads of a process wait for, each kind once.
_waits() {
        local task
        for task in "/proc/$1"/task/*; do
                echo "$(cat "$task/comm") $(cat "$task/wchan") $(head -n 3 "$task/stack" 2>/dev/null | tr '\n' ' ')"
        done 2>/dev/null | sort | uniq -c
}

_reap() {
        local r
        until_true "${2:-60}" _ended "$1" || fail "the daemon is still there, and waits in: $(_waits "$1")"
        wait "$1"
        r=$?
        daemon_pid=
        return "$r"
}

_clean_log() {
        if grep -qE 'ERROR: [A-Za-z]*Sanitizer|runtime error:|WARNING: ThreadSanitizer|Assertion .* failed' "$WORK/daemon.log"; then
                fail "the daemon's log has a sanitizer's report"
        fi
}

# Unmounts as a user does; whatever the case left open for a moment may still be closing.
stop() {
        until_true 10 unmount "$MNT" || fail "cannot unmount: $(fuser -vm "$MNT" 2>&1 | tail -n 5)"
        _reap "$daemon_pid" || fail "the daemon gave status $?: $(tail -n 3 "$WORK/daemon.log")"
        _clean_log
}

restart() {
        stop
        start "$@"
}

# Kills the daemon, and waits for its end; what its status was.
kill_daemon() {
        kill -KILL "$daemon_pid" 2>/dev/null
        { _reap "$daemon_pid"; } 2>/dev/null
}

# As a power switch does for the process: SIGKILL, and the mount point is left stale.
crash() {
        local r
        kill_daemon
        r=$?
        [ "$r" = 137 ] || fail "the daemon had ended before it was killed, with status $r: $(tail -n 3 "$WORK/daemon.log")"
}

check_store() {
        "$IMAGEFS" check "${1:-$STORE}" >"$WORK/check.out" 2>&1 ||
                fail "imagefs check gave status $?: $(head -n 10 "$WORK/check.out")"
}

# ---- the tree ----

value() {
        local got
        got=$(cat "$1") || fail "cannot read $1"
        [ "$got" = "$2" ] || fail "$1: got '$got', want '$2'"
}

# keyed FILE KEY: the value of one line `key value`.
keyed() {
        sed -n "s/^$2 //p" "$1"
}

# settle IMAGE [STATUS]: blocks in `wait`, then holds the status against what is wanted.
settle() {
        timeout -k 5 "${SETTLE_SECONDS:-100}" cat "$1/wait" >/dev/null 2>&1
        [ $? -lt 124 ] || fail "$1/wait did not come back"
        value "$1/status" "${2:-available}"
        # What was made of an instance gets its checksums a moment later; that would count as a change in what follows.
        [ "${2:-available}" != available ] || until_true 30 _summed "$1" || fail "$1 has no checksums"
}

_summed() {
        [ "$(grep -c disks/ "$1/checksum")" = "$(find "$1/disks" -name '*.raw' | wc -l)" ]
}

# image_by_id REGION-DIR ID: the directory of the image with that id, in any class.
image_by_id() {
        local d
        for d in "$1"/{private,public,marketplace,iso,recycle}/*/; do
                [ -f "$d/id" ] && [ "$(cat "$d/id")" = "$2" ] && echo "${d%/}" && return
        done
        return 1
}

# used REGION-DIR KEY: how much of a quota is used.
used() {
        sed -n "s/^$2 used=\([0-9]*\) .*/\1/p" "$1/quota"
}

# Enough for cases that are not about quotas.
raise_limits() {
        local key
        for key in private-images snapshots instances disks; do ok write "$MNT/info/limits" "$key 1000"; done
        ok write "$MNT/info/limits" "disk-bytes 1000T"
}

# slow_disk MILLISECONDS: each write of the daemon to its store takes that much longer, so that work can be met while it
# runs; fast_disk ends it.
slow_disk() {
        need strace
        strace -f -qq -o "$WORK/strace.log" -p "$daemon_pid" -e trace=pwrite64,pwritev,pwritev2 \
                -e inject=pwrite64,pwritev,pwritev2:delay_enter="${1}000" 2>"$WORK/strace.err" &
        slow_pid=$!
        until_true 5 _traced || skip "strace cannot attach: $(tail -n 1 "$WORK/strace.err")"
}

_traced() {
        [ "$(awk '/^TracerPid:/ { print $2 }' "/proc/$daemon_pid/status")" != 0 ]
}

fast_disk() {
        kill "$slow_pid" 2>/dev/null
        # It can wait for the last thread of a process that it has just seen killed, and does not come back then.
        until_true 3 _ended "$slow_pid" || kill -KILL "$slow_pid" 2>/dev/null
        wait "$slow_pid" 2>/dev/null
        return 0
}

# A mounted tree with two regions in the same store, and r in $R, the other in $R2.
two_regions() { _two_regions; }
_two_regions() {
        R=$MNT/regions/cn-north-1
        R2=$MNT/regions/cn-east-2
        ok mkdir "$R"
        ok mkdir "$R2"
}

# task_of IMAGE-DIR KIND: the task's directory.
task_of() {
        local t id
        id=$(cat "$1/id")
        for t in "$MNT"/tasks/*/; do
                [ "$(cat "$t/kind")" = "$2" ] && [[ "$(cat "$t/image") " == "$id "* ]] && echo "${t%/}" && return
        done
        return 1
}

# ---- data ----

# pattern FILE SIZE SEED: a sparse disk with its own bytes.
pattern() {
        "$FSOP" pattern "$3" "$2" "$1" >/dev/null || fail "cannot make $1"
}

# make_iso FILE SEED: nothing but its descriptor makes it one.
make_iso() {
        pattern "$1" 64K "$2"
        printf '\1CD001\1' | dd of="$1" bs=1 seek=32768 conv=notrunc status=none
        printf '\040\0\0\0\0\0\0\040' | dd of="$1" bs=1 seek=$((32768 + 80)) conv=notrunc status=none
        printf '\0\010\010\0' | dd of="$1" bs=1 seek=$((32768 + 128)) conv=notrunc status=none
        chmod 644 "$1"
}

xxh() {
        xxhsum -q -H2 "$1" | awk '{ print $1 }'
}

# import_raw IMAGE-DIR FILE [TYPE]: makes the image, uploads, waits.
import_raw() {
        ok mkdir "$1"
        [ -z "${3:-}" ] || ok write "$1/type" "$3"
        ok upload "$2" "$1/upload"
        settle "$1"
}

same_disk() {
        cmp -- "$1" "$2" || fail "$1 and $2 differ"
}

# same_checksum IMAGE FILE: the image says of its system disk what xxhsum says of the file.
same_checksum() {
        value "$1/checksum" "$(xxh "$2")  disks/vda.raw"
}

# A local image, ready to be converted, in $R/private/NAME, of a disk of SIZE.
local_image() {
        pattern "$WORK/$1.raw" "${2:-3M}" "${3:-11}"
        import_raw "$R/private/$1" "$WORK/$1.raw" local
}

cloud_image() {
        pattern "$WORK/$1.raw" "${2:-3M}" "${3:-12}"
        import_raw "$R/private/$1" "$WORK/$1.raw"
}

# Sets STRESS to the program of disk-stress.c, and SEED to a number that is printed; IMAGEFS_SEED gives another one.
disk_stress() {
        STRESS=$(dirname "$IMAGEFS")/disk-stress
        if [ ! -x "$STRESS" ]; then
                STRESS=$WORK/disk-stress
                run cc -std=gnu17 -D_GNU_SOURCE -O1 -o "$STRESS" "$lib/disk-stress.c"
        fi
        SEED=${IMAGEFS_SEED:-$RANDOM}
        echo "IMAGEFS_SEED=$SEED"
}

# real_disk a|boot: sets DISK to a real Debian disk of 1 GiB, made once per machine.
real_disk() {
        need_root "a real disk is made by debootstrap"
        need debootstrap mke2fs
        DISK=$("$lib/make-disk" "$1" 2>"$WORK/err") || skip "no real disk: $(tail -n 1 "$WORK/err")"
}

if [ -n "${IMAGEFS_TEST_BUCKET:-}" ]; then
        # shellcheck source=tests/mount/lib/in-bucket.sh
        . "$lib/in-bucket.sh"
fi

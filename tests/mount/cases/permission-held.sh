# SPDX-License-Identifier: MIT
# What a process holds (a working directory, an open file) when an object is closed to it or handed over: what is open
# stays open, and everything new is refused at once, not only when the kernel's caches have aged. And an open file lends
# nobody the rights of another.
need_root "several users"
need setpriv
chmod 755 "$WORK"
A=12001 B=12002
cp "$FSOP" fsop
chmod 755 fsop
FSOP=$WORK/fsop
as() { # UID COMMAND …
        setpriv --reuid "$1" --regid "$1" --groups "$1,$A" "${@:2}"
}
# A shell of a user's, which is told one command at a time: its answer is one line.
hold() { # UID
        coproc HELD { as "$1" bash 2>/dev/null; }
}
_held() { # WANT COMMAND
        echo "$2" >&"${HELD[1]}"
        read -r -t 20 answer <&"${HELD[0]}" || fail "no answer to: $2"
        # shellcheck disable=SC2053
        [[ $answer == $1 ]]
}
held() {
        _held "$@" || fail "$2: got $answer, want $1"
}
let_go() {
        local pid=$HELD_PID
        echo exit >&"${HELD[1]}"
        wait "$pid"
}
start -o allow_other
two_regions
pattern disk.raw 1M 5
chmod 644 disk.raw
web=$R/private/web
as $A "$FSOP" mkdir "$web" >/dev/null
as $A "$FSOP" upload "$WORK/disk.raw" "$web/upload" >/dev/null
settle "$web"
as $A "$FSOP" chmod 750 "$web" >/dev/null

# Closed to the group while a member is in it.
hold $B
held ok "cd $web/disks && exec 7<vda.raw 8<../name && echo ok"
held ok "$FSOP open r vda.raw"
as $A "$FSOP" chmod 700 "$web" >/dev/null
held "EACCES*" "$FSOP open r vda.raw"
held "EACCES*" "$FSOP open r /proc/self/fd/7"
held "EACCES*" "$FSOP opendir ."
held "EACCES*" "$FSOP opendir .."
held "EACCES*" "$FSOP open r ../name"
held "$web/disks" "pwd -P"
held "$(head -c 4096 disk.raw | xxhsum -q -H2 | cut -d ' ' -f 1) *" "head -c 4096 <&7 | xxhsum -q -H2"
held web "cat <&8"
until_true 3 _held "EACCES*" "$FSOP stat vda.raw" || fail "its names are still found"
as $A "$FSOP" chmod 750 "$web" >/dev/null
until_true 3 _held ok "$FSOP open r vda.raw" || fail "not opened again"
let_go

# Handed over while its owner is in it, with a command half given.
as $A "$FSOP" chmod 700 "$web" >/dev/null
hold $A
held ok "cd $web/copies && exec 9>../name && echo ok"
held ok "echo mine >&9 && echo ok"
value "$web/name" mine
chown $B:$B "$web" || fail "chown"
held "EACCES*" "$FSOP mkdir cn-east-2"
held "EACCES*" "$FSOP opendir ."
held no "echo stolen >&9 || echo no"
held "$web/copies" "pwd -P"
value "$web/name" mine
same "$(ls "$R2/private")$(ls "$web/copies")" "" "nothing was copied"
let_go

# Deleted while its owner is in it: the bytes that are open stay.
hold $B
held ok "cd $web/disks && exec 7<vda.raw && echo ok"
as $B "$FSOP" rmdir "$web" >/dev/null
as $B "$FSOP" rmdir "$R/recycle/web" >/dev/null
as $B "$FSOP" rmdir "$R/snapshots/web" >/dev/null
held "E@(NOENT|STALE)*" "$FSOP open r vda.raw"
held "$(head -c 4096 disk.raw | xxhsum -q -H2 | cut -d ' ' -f 1) *" "head -c 4096 <&7 | xxhsum -q -H2"
let_go

# A program that runs as root and prints what a user told it: the user's file does not make that root's word.
as $A "$FSOP" mkdir "$R/private/mine" >/dev/null
as $B "$FSOP" mkdir "$R/private/yours" >/dev/null
cp "$(type -P printf)" printf
chmod 4755 printf
as $A sh -c "./printf 'delete yours' >$R/batch" 2>err && fail "root spoke for A"
grep -q 'not permitted' err || skip "no set-user-id programs in $WORK: $(cat err)"
exec 7>"$R/batch"
as $A sh -c 'echo "delete yours" >&7' 2>/dev/null && fail "A spoke through root's file"
exec 7>&-
same "$(ls "$R/private" | tr '\n' ' ')" "mine yours " "what is there"

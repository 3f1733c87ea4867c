# SPDX-License-Identifier: MIT
# A night of scripts/endure may be had in parts: what has ended is recorded with the commit that it ran at, what was cut off is not,
# and what has been run since it changed is not run again. In a tree of its own, in which nothing takes long.
need git
tree=$WORK/tree
mkdir -p "$tree"/{scripts,blobstore,fs/guide,tests/mount/lib,tests/crash,tests/mount/cases,bin}
cp "$lib/../../../scripts/endure" "$tree/scripts/endure"
printf '#!/bin/sh\nexit 0\n' | tee "$tree/scripts/setup" "$tree/bin/cmake" >/dev/null
cat >"$tree/tests/mount/lib/run-case" <<'END'
#!/bin/bash
echo "note: $1 in $TMPDIR, $IMAGEFS_KILLS$IMAGEFS_TEST_COUNT times"
. "$1"
END
chmod +x "$tree"/scripts/* "$tree"/bin/* "$tree/tests/mount/lib/run-case"
echo 'exit 0' | tee "$tree/tests/crash/kill-events.sh" "$tree/tests/mount/cases/families.sh" >/dev/null
echo /build >"$tree/.gitignore"
in_tree() { git -C "$tree" -c user.name=t -c user.email=t@example.org "$@" >/dev/null || fail "git $*"; }
in_tree init -q
in_tree add .
in_tree commit -qm one

# endure STATUS OPTION…: its output is in said.
endure() {
        local r
        (cd "$tree" && env -u IMAGEFS -u TMPDIR PATH="$tree/bin:$PATH" timeout 60 scripts/endure --only events,families "${@:2}") \
                >said 2>err
        r=$?
        same "$r" "$1" "status of endure ${*:2}, which says $(cat said err)"
}
# record FIELD…: of the last line.
record() { tail -n 1 "$tree/tests/endure.record" | cut -d ' ' -f "$1"; }
records() { grep -vc '^#' "$tree/tests/endure.record"; }
kept=(--record tests/endure.record)

endure 0 "${kept[@]}"
same "$(records)" 2 "records of two rows"
same "$(record 1,2,4,5)" "families 100 0 0" "what the last was"
same "$(record 8)" "$(git -C "$tree" rev-parse HEAD)" "commit of it"
same "$(record 9)" clean "tree of it"
[ ! -w /dev/shm ] || grep -q 'in /dev/shm/.*, 100 times' said || fail "where it ran: $(cat said)"

# Nothing is to be done, nor after a change of what says how things are done; a short one is none.
endure 0 "${kept[@]}" --continue
same "$(records)" 2 "records, when all were there"
echo more >"$tree/fs/guide/page.md"
in_tree add .
in_tree commit -qm guide
endure 0 "${kept[@]}" --continue
same "$(records)" 2 "records, after a change of the guide"
endure 0 "${kept[@]}" --continue --short
same "$(records)" 2 "records, when the long ones were there"

# What has changed is run again: the test of one row, the program of all.
echo '# more' >>"$tree/tests/crash/kill-events.sh"
in_tree commit -qam test
endure 0 "${kept[@]}" --continue
same "$(records) $(record 1)" "3 events" "records, after a change of one test"
echo 'int x;' >"$tree/blobstore/x.c"
endure 0 "${kept[@]}" # not committed
same "$(records) $(record 9)" "5 dirty" "records of what is not committed"
endure 0 --record "$WORK/elsewhere" --short
same "$(tail -n 1 "$WORK/elsewhere" | cut -d ' ' -f 9)" dirty "the same, kept out of the tree"
in_tree add .
in_tree commit -qm program
endure 0 "${kept[@]}" --continue
same "$(records) $(record 9)" "7 clean" "records, after that"
endure 0 "${kept[@]}" --short
same "$(records) $(record 1,2)" "9 families 6" "records of short rows"
endure 0 "${kept[@]}" --continue
same "$(records)" 9 "records, when the long ones came before the short"

# What has a finding is recorded with it, what skips a step is not whole: both are run again.
echo 'echo FAIL: no; exit 1' >"$tree/tests/crash/kill-events.sh"
echo 'echo SKIP: never; exit 77' >"$tree/tests/mount/cases/families.sh"
in_tree commit -qam worse
for n in 11 13; do
        endure 1 "${kept[@]}" --continue
        same "$(records) $(record 1,4,5)" "$n families 0 1" "records of what is not whole"
        same "$(tail -n 2 "$tree/tests/endure.record" | head -n 1 | cut -d ' ' -f 1,4,5)" "events 1 0" "and of a finding"
done
endure 0 --table
grep -qE '^\| events \| 100 \| .* \| 1 \| [0-9]+ \| [0-9a-f]{7} \| 20' said || fail "the table: $(cat said)"
grep -qE '^\| families \| 100 \| .* \| 0, 1 skipped \|' said || fail "the table: $(cat said)"
grep -qE '^\| clients \| 0 of 500 \| .* \| never \| \|$' said || fail "the table: $(cat said)"

# What is cut off is none: the step, or all of it. Its processes end with it.
echo 'kill -KILL $$' >"$tree/tests/crash/kill-events.sh"
echo "echo \$\$ >$WORK/waits; mkfifo $WORK/never 2>/dev/null; exec cat $WORK/never" >"$tree/tests/mount/cases/families.sh"
in_tree commit -qam 'cut off'
(cd "$tree" && exec env -u IMAGEFS PATH="$tree/bin:$PATH" scripts/endure --only events,families "${kept[@]}") >said 2>&1 &
endure_pid=$!
until_true 20 test -s waits || fail "the second row does not begin: $(cat said)"
grep -q 'kill-events was ended' said || fail "of the step that was killed: $(cat said)"
kill -TERM "$endure_pid"
until_true 20 _ended "$endure_pid" || fail "endure does not end"
until_true 20 _ended "$(cat waits)" || fail "what it had begun goes on"
same "$(records)" 13 "records of what was cut off"
head -c 20 "$tree/tests/endure.record" | tail -c 10 >>"$tree/tests/endure.record" # as of a power cut
endure 0 --table

# Two at once, each of which waits for the other.
mkfifo here there
echo "echo >$WORK/there & cat $WORK/here" >"$tree/tests/crash/kill-events.sh"
echo "echo >$WORK/here & cat $WORK/there" >"$tree/tests/mount/cases/families.sh"
in_tree commit -qam 'two at once'
endure 0 --jobs 2

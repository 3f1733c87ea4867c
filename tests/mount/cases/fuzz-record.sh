# SPDX-License-Identifier: MIT
# A night of scripts/fuzz may be had in parts: what each harness took and found is recorded, and is added up. In a tree of its own,
# with harnesses that end at once.
need git
need python3
tree=$WORK/tree
mkdir -p "$tree"/{scripts,bin,build/fuzz,tests}
cp "$lib/../../../scripts/fuzz" "$tree/scripts/fuzz"
printf '#!/bin/sh\nexit 0\n' | tee "$tree/bin/clang" "$tree/bin/cmake" >/dev/null
cat >"$tree/build/fuzz/fuzz_good" <<'END'
#!/bin/sh
echo '#12 cov: 34 ft: 5'
echo 'stat::number_of_executed_units: 1000'
END
cat >"$tree/build/fuzz/fuzz_bad" <<'END'
#!/bin/sh
for word; do
        case $word in -artifact_prefix=*) echo input >"${word#*=}crash-1" ;; esac
done
echo 'stat::number_of_executed_units: 7'
exit 77
END
echo good bad >"$tree/build/fuzz/fuzzers.txt"
chmod +x "$tree"/bin/* "$tree"/build/fuzz/fuzz_*
echo /build >"$tree/.gitignore"
in_tree() { git -C "$tree" -c user.name=t -c user.email=t@example.org "$@" || fail "git $*"; }
in_tree init -q
in_tree add .
in_tree commit -qm one

# fuzz STATUS OPTION…: its output is in said.
fuzz() {
        local r
        (cd "$tree" && PATH="$tree/bin:$PATH" timeout 60 scripts/fuzz "${@:2}") >said 2>&1
        r=$?
        same "$r" "$1" "status of fuzz ${*:2}, which says $(cat said)"
}
told() { grep -qE "$1" said || fail "not told: $1, but $(cat said)"; }

record=$tree/tests/fuzz.record
fuzz 0 --record "$record" good
fuzz 1 --record "$record" --jobs 2
told '^bad +[0-9]+ +7 +0  build/fuzz/bad/bad-crash-1$'
same "$(cut -d ' ' -f 1,3-5 "$record" | tail -n +2 | tr '\n' ';')" "good 1000 34 0;good 1000 34 0;bad 7 0 1;" "what is recorded"
same "$(cut -d ' ' -f 7 "$record" | tail -n +2 | sort -u)" "$(in_tree rev-parse HEAD)" "the commit"
fuzz 0 --table
told '^good +[0-9]+ +2000 +34 +0$'
told '^bad +[0-9]+ +7 +0 +1$'

fuzz 1 --table none
told "fuzz: none: No such file"
in_tree add .
in_tree commit -qm two
fuzz 0 --record "$record" good
fuzz 0 --record "$record" good
echo '# more' >>"$tree/scripts/fuzz"
fuzz 0 --record "$record" good
at=$(in_tree rev-parse HEAD)
same "$(cut -d ' ' -f 7 "$record" | tail -n 3 | tr '\n' ' ')" "$at $at $at-dirty " "the commit, and what is none"
echo what >>"$record"
fuzz 1 --table
told "fuzz.record:8: not a line that --record writes: what"
fuzz 1 --seconds 0
told "1 or more"
fuzz 1 other
told "no harness other: there are good bad"

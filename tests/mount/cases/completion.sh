# SPDX-License-Identifier: MIT
# What bash offers after imagefs: commands, options, what follows -o, directories, names for --print-tree.
. "$lib/../../../fs/imagefs.bash-completion"
same "$(complete -p imagefs)" "complete -F _imagefs imagefs" "who is asked"

# offers LINE: what is offered at the end of LINE, as readline calls it.
offers() {
        COMP_LINE=$1
        COMP_POINT=${#COMP_LINE}
        mapfile -t COMP_WORDS < <(sed 's/=/\n=\n/g; s/ \{1,\}/\n/g' <<<"$COMP_LINE" | sed '/^$/d')
        if [[ $COMP_LINE == *' ' ]]; then COMP_WORDS+=(""); fi
        COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
        _imagefs "$IMAGEFS"
        printf '%s\n' "${COMPREPLY[@]}" | LC_ALL=C sort | xargs
}

mkdir -p empty/there
cd empty || fail "cannot enter"
for command in init check; do
        [[ " $(offers "imagefs ") " == *" $command "* ]] || fail "no $command: $(offers "imagefs ")"
done
same "$(offers "imagefs ch")" check "a command"
same "$(offers "imagefs th")" there "a directory where the library may be"
same "$(offers "imagefs check ")" there "a directory, and no command after a command"
same "$(offers "imagefs there t")" there "the mount point"
same "$(offers "imagefs check --re")" "--read-data --repair --restore-catalogue" "options of a command"
[[ " $(offers "imagefs -") " == *" -V -d -f -h -o "* ]] || fail "options: $(offers "imagefs -")"
[[ " $(offers "imagefs there there -") " != *" --repair "* ]] || fail "an option of check when mounting"
[[ " $(offers "imagefs there there -o ") " == *" allow_other cache-dir= "*" cache= "*" uid= "* ]] || fail "$(offers "imagefs a b -o ")"
same "$(offers "imagefs a b -o imp")" import-private "after -o"
same "$(offers "imagefs a b -o ro,http-n")" "ro,http-name=" "in a list"
same "$(offers "imagefs a b -o ro,uid=")" "$(compgen -u | LC_ALL=C sort | xargs)" "users"
same "$(offers "imagefs a b -o gid=roo")" root "groups"
same "$(offers "imagefs a b -o http-cert=")" there "files"
same "$(offers "imagefs a b -o cache-dir=th")" there "a directory for what is cached"
same "$(offers "imagefs a b -o workers=")" "" "a number"
same "$(offers "imagefs --print-tree sh")" "sha256 shared shares" "directories of the tree"
[ "$(offers "imagefs --print-tree im")" = "image images" ] || fail "$(offers "imagefs --print-tree im")"
for name in $(offers "imagefs --print-tree "); do run "$IMAGEFS" --print-tree "$name" >/dev/null; done

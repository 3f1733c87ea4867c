# SPDX-License-Identifier: MIT
# Families, what keeps an image from being removed, and the end of its life: what each says, and what it refuses.
. "$lib/users.sh"
A=12001 B=12002
users $A $B
start -o allow_other
two_regions
raise_limits
pattern disk.raw 1M 5
chmod 644 disk.raw

release() { # UID NAME
        by "$1" ok mkdir "$R/private/$2"
        by "$1" ok upload disk.raw "$R/private/$2/upload"
        settle "$R/private/$2"
}

release $A one
one=$R/private/one
value "$one/family" ''
value "$one/protected" no
value "$one/lifecycle" active
same "$(as $A ls "$R/families")" '' "no family yet"

# A family is there while an image has it, for those who see the image.
by $A ok write "$one/family" debian
by $A value "$one/family" debian
same "$(as $A ls "$R/families")" debian "families"
same "$(as $A ls "$R/families/debian")" $'latest\none' "the family"
same "$(as $A readlink "$R/families/debian/latest")" ../../private/one latest
same "$(as $A readlink "$R/families/debian/one")" ../../private/one "its image"
same "$(as $A cat "$R/families/debian/latest/name")" one "through the link"
same "$(as $B ls "$R/families")" '' "B sees none of it"
by $B expect ENOENT stat "$R/families/debian/latest"
by $B expect ENOENT stat "$R/families/debian/one"
by $A ok mkdir "$one/shares/$B"
same "$(as $B ls "$R/families/debian")" $'latest\none' "shared with B"
same "$(as $B readlink "$R/families/debian/latest")" ../../shared/one "where B has it"
same "$(as $B cat "$R/families/debian/latest/family")" debian "and reads it"
same "$(as $A readlink "$R/families/debian/latest")" ../../private/one "where A has it"
same "$(ls "$R2/families")" '' "another region's are its own"
refused EINVAL "$one" write "$one/family" a/b
by $A value "$one/family" debian
by $A expect EPERM mkdir "$R/families/mine"
by $A expect "EPERM|EACCES" unlink "$R/families/debian/latest"

# The next one is latest when it is available, and not before.
by $A ok mkdir "$R/private/two"
by $A ok write "$R/private/two/family" debian
same "$(as $A readlink "$R/families/debian/latest")" ../../private/one "two has no data yet"
by $A ok upload disk.raw "$R/private/two/upload"
settle "$R/private/two"
same "$(as $A readlink "$R/families/debian/latest")" ../../private/two "two"
same "$(as $B readlink "$R/families/debian/latest")" ../../shared/one "B has one alone"

# It moves at once: whoever reads it meanwhile always finds one, and never an older one than before.
releases=${IMAGEFS_TEST_COUNT:-6}
[ "$releases" -le 90 ] || ok write "$MNT/info/limits" "private-images $((releases + 10))"
touch busy
"$FSOP" targets "$R/families/debian/latest" busy >followed &
follower=$!
for ((i = 1; i <= releases; i++)); do
        by $A ok mkdir "$R/private/r$i"
        by $A ok write "$R/private/r$i/family" debian
        by $A ok upload disk.raw "$R/private/r$i/upload"
done
for ((i = 1; i <= releases; i++)); do settle "$R/private/r$i"; done
rm busy
wait $follower || fail "$(tail -n 1 followed)"
sed '1s|.*/two$|0|; s|^\.\./\.\./private/r||; $d' followed | sort -c -n -u || fail "latest went back: $(cat followed)"
echo "note: latest was read $(sed -n '$s/ reads//p' followed) times during $releases imports"
same "$(as $A readlink "$R/families/debian/latest")" "../../private/r$releases" "the last"

# Two of the same name: one has its class behind it.
ok mkdir "$R/public/one"
ok upload disk.raw "$R/public/one/upload"
settle "$R/public/one"
ok write "$R/public/one/family" debian
same "$(as $B ls "$R/families/debian")" $'latest\none\none.public' "both"
same "$(as $B readlink "$R/families/debian/one.public")" ../../public/one "the public one"
same "$(as $B readlink "$R/families/debian/latest")" ../../public/one "which is the newest"
by $B expect ENOENT stat "$R/families/debian/r1"

# Deprecated and obsolete ones are not latest. What is made from the first says so, from the second nothing is made.
new=$(cat "$R/private/r$releases/id")
refused EINVAL "$one" write "$one/lifecycle" old
refused EINVAL "$one" write "$one/lifecycle" 'deprecated web'
refused EINVAL "$one" write "$one/lifecycle" "deprecated $(cat "$one/id")"
refused ENOENT "$one" write "$one/lifecycle" 'deprecated img-nothing'
[[ $(cat "$one/last-error") == *"lifecycle: there is no image img-nothing in this region that its owner could name"* ]] ||
        fail "$(cat "$one/last-error")"
value "$one/lifecycle" active
by $A ok write "$one/lifecycle" "deprecated $new"
value "$one/lifecycle" "deprecated $new"
by $A ok mkdir "$one/instances/vm"
value "$R/instances/vm/warnings" "made from one ($(cat "$one/id")), which is deprecated: use private/r$releases ($new) instead"
by $A ok mkdir "$one/copies/cn-east-2"
settle "$R2/private/one"
[[ $(cat "$R2/private/one/warnings") == "made from one ($(cat "$one/id")), which is deprecated"* ]] ||
        fail "$(cat "$R2/private/one/warnings")"
value "$R2/private/one/family" debian
value "$R2/private/one/lifecycle" active
by $A ok write "$one/lifecycle" "obsolete $new"
sentence="one is obsolete, and nothing new is made from it: use private/r$releases ($new) instead"
obsolete() { # BY UID: what it refuses, and why
        refused EPERM "$one" "$@"
        [[ $(cat "$one/last-error") == *"$sentence"* ]] || fail "$(cat "$one/last-error")"
}
obsolete mkdir "$one/instances/vm2"
ok rmdir "$one/copies/cn-east-2"
obsolete mkdir "$one/copies/cn-east-2"
obsolete mkdir "$one/shares/daemon"
by $B expect EPERM mkdir "$R/shared/one/instances/vm3"
same "$(as $B cat "$R/instances/vm/status" 2>/dev/null)" '' "B made none"
by $A ok write "$one/lifecycle" active
by $A ok mkdir "$one/instances/vm2"
value "$R/instances/vm/warnings" ''

# Protected: it stays, whoever asks, until that is lifted.
refused EINVAL "$one" write "$one/protected" maybe
two=$R/private/two
by $A ok write "$two/protected" yes
value "$two/protected" yes
for by in rmdir "mv" batch; do
        case $by in
        rmdir) refused EPERM "$two" rmdir "$two" ;;
        mv) refused EPERM "$two" rename "$two" "$R/recycle/two" ;;
        batch) unchanged EPERM write "$R/batch" "delete two" ;;
        esac
        grep -q "two is protected: echo no > protected lifts that" "$MNT/info/errors" || fail "$by: $(tail -n 1 "$MNT/info/errors")"
done
restart -o allow_other
value "$two/protected" yes
value "$two/status" available
need jq
same "$(jq -r '.protected, .family, .lifecycle' "$two/metadata.json" | xargs)" "true debian active" "metadata.json"
by $A ok mkdir "$R/private/queued"
by $A ok write "$R/private/queued/protected" yes
refused EPERM "$R/private/queued" rmdir "$R/private/queued"
by $A ok write "$R/private/queued/protected" no
by $A ok rmdir "$R/private/queued"
by $A ok write "$two/protected" no
by $A ok rmdir "$two"
by $A expect ENOENT stat "$R/families/debian/two"

# Restored it is of the family again; with the last one the family goes.
by $A ok rename "$R/recycle/two" "$two"
by $A ok stat "$R/families/debian/two"
for d in "$R"/private/* "$R/public/one"; do ok write "$d/family" $'\n'; done
same "$(ls "$R/families")" '' "no family"

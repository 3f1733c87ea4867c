# SPDX-License-Identifier: MIT
# Which names a directory may have, and what is taken.
start
two_regions
raise_limits
long=$(printf 'n%.0s' {1..128})

for name in web "with space" "Ünïcode-名前" "a,b" 'q"uote' "-dash" "$long" "semi;colon" "per%cent"; do
        ok mkdir "$R/private/$name"
        value "$R/private/$name/name" "$name"
done
for name in ".hidden" "..." $'tab\there' $'new\nline' $'del\x7f' $'bad\xff' $'cut\xc3' $'over\xc0\xaf' $'\xed\xa0\x80' "${long}n"; do
        refused EINVAL - mkdir "$R/private/$name"
        expect ENOENT stat "$R/private/$name"
        refused EINVAL - mkdir "$MNT/regions/$name"
        refused EINVAL "$R/private/web" rename "$R/private/web" "$R/private/$name"
done
unchanged EEXIST mkdir "$R/private/web"
unchanged EEXIST mkdir "$R"

# mv sets handle and name; name sets only the name, and names may repeat.
ok rename "$R/private/web" "$R/private/web2"
value "$R/private/web2/name" web2
expect ENOENT stat "$R/private/web"
refused EEXIST "$R/private/web2" rename "$R/private/web2" "$R/private/a,b"
ok write "$R/private/web2/name" "a,b"
value "$R/private/web2/name" "a,b"
value "$R/private/a,b/name" "a,b"

# Others' names are no matter: the same one in another region or class.
ok mkdir "$R2/private/web2"

# The id stays through it all and is not another's.
id=$(cat "$R/private/web2/id")
ok rename "$R/private/web2" "$R/private/web3"
value "$R/private/web3/id" "$id"
ok rmdir "$R/private/web3"
ok mkdir "$R/private/web3"
[ "$(cat "$R/private/web3/id")" != "$id" ] || fail "an id was used again"

# A file's name is no image's name where only the short form's endings count.
expect EINVAL create "$R/private/plain-file" x
ok create "$R/private/.hidden.raw" x # a temporary file
[ ! -d "$R/private/.hidden" ] || fail "an image with a dot at the beginning"
ok unlink "$R/private/.hidden.raw"

# SPDX-License-Identifier: MIT
# password, ssh-keys and hostname: what is taken, what can be read back, and what seed.iso has of them.
start
two_regions
cloud_image web 1M
ok mkdir "$R/private/web/instances/vm"
vm=$R/instances/vm
key="ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ3vEgoD5Nd3lZbT3Gf4tnYk0d6cL0nYt6b2k1g0m1sX me@here"

# The image has no cloud-init.
refused EOPNOTSUPP "$vm" write "$vm/password" secret
refused EOPNOTSUPP "$vm" write "$vm/ssh-keys" "$key"
refused EOPNOTSUPP "$vm" write "$vm/hostname" web-1
ok write "$R/private/web/features" cloud-init

for name in -web web- web..1 web_1 . "a b" "$(printf 'x%.0s' {1..65})"; do refused EINVAL "$vm" write "$vm/hostname" "$name"; done
for line in "not a key" "ssh-ed25519" "ssh-ed25519 xyz" "$key"$'\n'"junk"; do refused EINVAL "$vm" write "$vm/ssh-keys" "$line"; done
refused EINVAL "$vm" write "$vm/password" $'two\nlines'
same "$(stat -c %s "$vm/seed.iso")" 0 "nothing was set"

password='pass: "word" # $x'
ok write "$vm/password" "$password"
ok write "$vm/hostname" web-1.example.org
ok write "$vm/ssh-keys" "$key"
value "$vm/hostname" web-1.example.org
value "$vm/ssh-keys" "$key"
value "$vm/password" "" # never readable
size=$(stat -c %s "$vm/seed.iso")
[ "$size" -gt 2048 ] || skip "built without libarchive"
cat "$vm/seed.iso" >seed.iso
same "$(stat -c %s seed.iso)" "$size" "size"
sleep 1.1
cmp "$vm/seed.iso" seed.iso || fail "the same instance, another ISO"
grep -aqF "$password" seed.iso && fail "the password itself is in seed.iso"
grep -aqF "$password" -r "$STORE" "$WORK/daemon.log" && fail "the password itself is in the store"
if command -v blkid >/dev/null; then
        same "$(blkid -p -s LABEL -o value seed.iso)" cidata "label"
        same "$(blkid -p -s TYPE -o value seed.iso)" iso9660 "type"
fi
if command -v bsdtar >/dev/null; then
        same "$(bsdtar -tf seed.iso | grep -c data)" 2 "files"
        bsdtar -xOf seed.iso user-data >user-data
        bsdtar -xOf seed.iso meta-data >meta-data
        same "$(head -n 1 user-data)" "#cloud-config" "user-data"
        grep -qF "$key" user-data || fail "no key in user-data"
        grep -qF "$(cat "$vm/id")" meta-data || fail "no id in meta-data"
        hash=$(grep -o '\$6\$[./0-9A-Za-z]*\$[./0-9A-Za-z]*' user-data | head -n 1)
        salt=$(echo "$hash" | cut -d '$' -f 3)
        if command -v openssl >/dev/null; then
                same "$(openssl passwd -6 -salt "$salt" "$password")" "$hash" "the hash"
        fi
fi
ok write "$vm/password" "$password"
cmp -s "$vm/seed.iso" seed.iso && fail "the same password twice has the same salt"
# A new machine of the same image is another machine.
ok mkdir "$R/private/web/instances/vm-2"
same "$(stat -c %s "$R/instances/vm-2/seed.iso")" 0 "nothing is inherited"
cat "$vm/seed.iso" >seed.iso
restart
cmp "$vm/seed.iso" seed.iso || fail "another ISO after a remount"

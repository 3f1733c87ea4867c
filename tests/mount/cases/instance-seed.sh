# SPDX-License-Identifier: MIT
# password, ssh-keys, hostname, user-data and network-config: what is taken, what can be read back, and what seed.iso has
# of them.
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
refused EOPNOTSUPP "$vm" write "$vm/network-config" "version: 2"
ok write "$R/private/web/features" "qemu-ga hot-upgrade"
refused EOPNOTSUPP "$vm" write "$vm/user-data" "#cloud-config"
same "$(sentence_alone <"$vm/last-error")" "vm: nothing in the machine would read this: its image private/web has no \
cloud-init in its features; where it is installed, say so: echo \"qemu-ga hot-upgrade cloud-init\" > private/web/features" "sentence"
# What it says is what helps.
(cd "$R" && echo "qemu-ga hot-upgrade cloud-init" > private/web/features)

# FILE of a machine's seed, of which there are those.
seed_files() { bsdtar -tf "$1/seed.iso" | grep -v '^\.$' | sort | tr '\n' ' '; }
seed_file() { bsdtar -xOf "$1/seed.iso" "$2"; }
yaml() { python3 -c "import json, sys, yaml; print(json.dumps(yaml.safe_load(sys.stdin), sort_keys=True))"; }

for name in -web web- web..1 web_1 . "a b" "$(printf 'x%.0s' {1..65})"; do refused EINVAL "$vm" write "$vm/hostname" "$name"; done
for line in "not a key" "ssh-ed25519" "ssh-ed25519 xyz" "$key"$'\n'"junk"; do refused EINVAL "$vm" write "$vm/ssh-keys" "$line"; done
refused EINVAL "$vm" write "$vm/password" $'two\nlines'
# Without its first line nothing in the guest would know what it is.
refused EINVAL "$vm" write "$vm/user-data" $'packages:\n  - nginx'
same "$(sentence_alone <"$vm/last-error")" "user-data: its first line says what it is, such as #cloud-config, #!/bin/sh, \
#include or Content-Type: multipart/mixed" "sentence"
refused EINVAL "$vm" write "$vm/user-data" "#$(printf 'x%.0s' {1..32768})"
refused EINVAL "$vm" write "$vm/network-config" "#$(printf 'x%.0s' {1..16384})"
refused EINVAL "$vm" write "$vm/user-data" $'#cloud-config\x1b'
refused EINVAL "$vm" write "$vm/network-config" $'\xff'
# What cannot be YAML of any network, and what can.
while IFS='|' read -r text sentence; do
        refused EINVAL "$vm" write "$vm/network-config" "$(printf %b "$text")"
        same "$(sentence_alone <"$vm/last-error")" "network-config: $sentence" "of $text"
done <<'END'
nonsense|line 1 is no key of YAML, such as version: 2
https://example.org/network.yaml|line 1 is no key of YAML, such as version: 2
# mine\n\n- eth0|line 3 is no key of YAML, such as version: 2
#!/bin/sh\nip link set eth0 up|line 2 is no key of YAML, such as version: 2
: 2|line 1 is no key of YAML, such as version: 2
version: 2\nethernets:\n\teth0: {}|line 3 begins with a tab, where YAML takes spaces only
END
for text in 'network:\n  version: 2' '--- # mine\nethernets: {}\n\t \nversion: 2' '{"version": 2}' '"version": 2' \
        '# only begun' 'config: disabled'; do
        ok write "$vm/network-config" "$(printf %b "$text")"
        same "$(cat "$vm/network-config")" "$(printf %b "$text")" "what was taken"
done
ok write "$vm/network-config" $'\n'
refused E2BIG "$vm" write "$vm/user-data" "#$(printf 'x%.0s' {1..65536})"

# With nothing set it is a seed all the same: the machine it is for, and its name.
[ "$(stat -c %s "$vm/seed.iso")" -gt 2048 ] || skip "built without libarchive"
need bsdtar python3
same "$(seed_files "$vm")" "meta-data user-data " "files"
same "$(seed_file "$vm" meta-data)" "instance-id: \"$(cat "$vm/id")\""$'\nlocal-hostname: "vm"' "meta-data"
same "$(seed_file "$vm" user-data)" $'#cloud-config\n{}' "user-data"
same "$(stat -c '%a' "$vm" "$vm/user-data" "$vm/network-config" "$vm/seed.iso" | tr '\n' ' ')" "700 600 600 400 " "modes"

password='pass: "word" # $x'
ok write "$vm/password" "$password"
ok write "$vm/hostname" web-1.example.org
ok write "$vm/ssh-keys" "$key"
value "$vm/hostname" web-1.example.org
value "$vm/ssh-keys" "$key"
value "$vm/password" "" # never readable
size=$(stat -c %s "$vm/seed.iso")
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
same "$(seed_files "$vm")" "meta-data user-data " "files"
seed_file "$vm" user-data >user-data
same "$(head -n 1 user-data)" "#cloud-config" "user-data"
grep -qF "$key" user-data || fail "no key in user-data"
seed_file "$vm" meta-data | grep -qF "$(cat "$vm/id")" || fail "no id in meta-data"
hash=$(grep -o '\$6\$[./0-9A-Za-z]*\$[./0-9A-Za-z]*' user-data | head -n 1)
salt=$(echo "$hash" | cut -d '$' -f 3)
if command -v openssl >/dev/null; then
        same "$(openssl passwd -6 -salt "$salt" "$password")" "$hash" "the hash"
fi

# Beside user-data of one's own, which is read as it was written, ours is vendor-data, with the same in it.
cat >own <<'END'
#cloud-config
packages:
  - nginx
write_files:
  - path: /etc/motd
    content: "tab\there: é \"quoted\""
END
printf 'version: 2\nethernets:\n  eth0:\n    dhcp4: true\n' >network
run cp own "$vm/user-data"
cat network >"$vm/network-config" || fail "network-config"
cmp own "$vm/user-data" || fail "user-data is read back as something else"
cmp network "$vm/network-config" || fail "network-config is read back as something else"
same "$(seed_files "$vm")" "meta-data network-config user-data vendor-data " "files"
seed_file "$vm" user-data | cmp - own || fail "user-data in the seed"
seed_file "$vm" network-config | cmp - network || fail "network-config in the seed"
same "$(seed_file "$vm" vendor-data)" "$(cat user-data)" "vendor-data"
if python3 -c 'import yaml' 2>/dev/null; then
        seed_file "$vm" vendor-data | yaml >said || fail "vendor-data is no YAML"
        same "$(jq -r '.hostname, .ssh_authorized_keys[0], .users[0], .users[1].name' said)" \
                "web-1.example.org"$'\n'"$key"$'\n'"default"$'\n'"root" "vendor-data"
fi
if command -v cloud-init >/dev/null; then
        seed_file "$vm" vendor-data >vendor-data
        run cloud-init schema -c own >/dev/null
        run cloud-init schema -c vendor-data >/dev/null
fi
# Refused, it is what it was; added to, and a script in its place.
refused EINVAL "$vm" write "$vm/user-data" "not known"
echo '# the end' >>"$vm/user-data" || fail "user-data was not added to"
same "$(cat "$vm/user-data")" "$(cat own; echo '# the end')" "added to"
printf '#!/bin/sh\n' >script
for i in {1..1000}; do echo "echo $i"; done >>script
tee "$vm/user-data" <script >/dev/null || fail "a script in several writes"
seed_file "$vm" user-data | cmp - script || fail "a script in the seed"
ok write "$vm/user-data" $'\n'
ok write "$vm/network-config" $'\n'
value "$vm/user-data" ""
same "$(seed_files "$vm")" "meta-data user-data " "files, without"
same "$(seed_file "$vm" user-data)" "$(cat user-data)" "user-data, without"
ok write "$vm/password" "$password"
cmp -s "$vm/seed.iso" seed.iso && fail "the same password twice has the same salt"
# A new machine of the same image is another machine.
ok mkdir "$R/private/web/instances/vm-2"
same "$(seed_file "$R/instances/vm-2" user-data)" $'#cloud-config\n{}' "nothing is inherited"
ok write "$vm/user-data" "#include https://example.org/x"
cat "$vm/seed.iso" >seed.iso
restart
value "$vm/user-data" "#include https://example.org/x"
cmp "$vm/seed.iso" seed.iso || fail "another ISO after a remount"

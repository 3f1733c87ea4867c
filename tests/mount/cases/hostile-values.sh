# SPDX-License-Identifier: MIT
# Control characters, bytes that are no UTF-8, other scripts, formulas, numbers that are none: through every name and every
# control file. What is refused changes nothing and is told in one clean line; what is accepted comes back everywhere.
need python3 jq
start
R=$MNT/regions/r1
for region in r1 r2 empty; do
        ok mkdir "$MNT/regions/$region"
done
raise_limits
local_image local 1M
cloud_image cloud 1M
ok mkdir "$R/private/queued"
ok mkdir "$R/disks/data"
ok mkdir "$R/follows/upstream"
ok write "$R/disks/data/size" 1M
ok write "$R/private/local/features" cloud-init
ok mkdir "$R/private/local/instances/vm"

"$lib/hostile-values" "$MNT" || fail "wrong answers"

# In every list the same, whoever reads it.
run "$lib/lists-agree" "$R/images.csv" "$R/images.json" "$R/images.xlsx" >rows
run "$lib/lists-agree" "$MNT" >rows-of-all
[ "$(cat rows)" -gt 50 ] || fail "only $(cat rows) rows"
for image in "$R/private"/*/; do
        same "$(jq -rj .name "$image/metadata.json" | od -c)" "$(head -c -1 "$image/name" | od -c)" "metadata of $image"
        same "$(jq -rj .platform "$image/metadata.json" | od -c)" "$(head -c -1 "$image/platform" | od -c)" "metadata of $image"
done

# The seed is YAML that says what was written and nothing else.
key='ssh-ed25519 AAAAC3 "x": {y} \ é'
ok write "$R/instances/vm/ssh-keys" "$key"
if command -v bsdtar >/dev/null; then
        bsdtar -xOf "$R/instances/vm/seed.iso" user-data | python3 -c '
import json, re, sys
text = sys.stdin.read()
key = re.search(r"ssh_authorized_keys:\n  - (.*)\n", text)[1]
print(re.sub(r"\\U([0-9a-f]{8})", lambda m: chr(int(m[1], 16)), key[1:-1]).replace("\\\"", "\"").replace("\\\\", "\\"))
' >said || fail "no seed"
        same "$(cat said)" "$key" "the key in the seed"
fi
before=$(cat "$R"/images.* "$R"/private/*/metadata.json | xxhsum -q -H2 -)
restart
same "$(cat "$R"/images.* "$R"/private/*/metadata.json | xxhsum -q -H2 -)" "$before" "content after a remount"

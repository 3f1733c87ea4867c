# SPDX-License-Identifier: MIT
# A new image's files, what they say, and what they take.
start
two_regions
web=$R/private/web
ok mkdir "$web"

# Unset values read as an empty line; the others say their default.
[[ $(cat "$web/id") == img-?* ]] || fail "id is $(cat "$web/id")"
value "$web/name" web
value "$web/status" queued
value "$web/type" cloud
value "$web/source" private
value "$web/owner" "$(id -un)"
value "$web/size" 0
value "$web/format" auto
value "$web/encrypted" no
for file in description error os platform platform-version architecture boot-mode features labels project-group provider \
        checksum device-mapping last-error; do
        [ -f "$web/$file" ] || fail "no $file"
done
for file in error platform platform-version project-group checksum last-error; do
        value "$web/$file" ""
done
same "$(wc -c <"$web/project-group")" 1 "an unset value is an empty line"
for key in percent bytes-done bytes-total; do
        same "$(keyed "$web/progress" "$key")" 0 "progress $key"
done
for file in created updated; do
        [[ $(cat "$web/$file") =~ ^20[0-9]{2}-[0-9]{2}-[0-9]{2}T[0-9:.]+Z$ ]] || fail "$file is $(cat "$web/$file")"
done
for dir in disks snapshots copies; do
        [ -d "$web/$dir" ] || fail "no $dir/"
done
same "$(keyed "$web/convert" status)" idle "convert"

set_and_read() { # FILE TEXT
        ok write "$web/$1" "$2"
        value "$web/$1" "$2"
}
set_and_read name "The web server"
set_and_read description "first"
for os in linux windows kylin other; do set_and_read os "$os"; done
set_and_read platform Debian
set_and_read platform-version 12.5
for arch in x86_64 aarch64; do set_and_read architecture "$arch"; done
for mode in bios uefi; do set_and_read boot-mode "$mode"; done
set_and_read features "cloud-init qemu-ga"
set_and_read features "hot-upgrade"
set_and_read project-group "team a"
set_and_read labels $'role=web\nstage=test'
set_and_read description $'two\nlines'
for type in local cloud; do set_and_read type "$type"; done
for format in raw qcow2 auto; do set_and_read format "$format"; done

# A trailing newline is optional; the value does not have it twice.
ok write "$web/platform" $'Ubuntu\n'
value "$web/platform" Ubuntu
same "$(wc -c <"$web/platform")" 7 "one newline at the end"

# An empty line takes a value back.
ok write "$web/platform" $'\n'
value "$web/platform" ""

refused EINVAL "$web" write "$web/os" beos
refused EINVAL "$web" write "$web/architecture" z80
refused EINVAL "$web" write "$web/boot-mode" floppy
refused EINVAL "$web" write "$web/features" "cloud-init telepathy"
refused EINVAL "$web" write "$web/labels" "no equals sign"
refused EINVAL "$web" write "$web/type" half
refused EINVAL "$web" write "$web/format" tarball
refused EINVAL "$web" write "$web/name" $'\n'
refused EINVAL "$web" write "$web/name" "$(printf 'x%.0s' {1..129})"
refused EINVAL "$web" write "$web/platform" $'one\ntwo'
refused EINVAL "$web" write "$web/platform" "$(printf 'x%.0s' {1..5000})"
refused EINVAL "$web" write "$web/description" "$(printf 'x%.0s' {1..5000})"
ok write "$web/description" "$(printf 'x%.0s' {1..4096})"

# Reading only.
for file in id status progress error source owner created updated size encrypted checksum device-mapping warnings \
        last-error copy-targets; do
        expect "EACCES|EPERM" write "$web/$file" x
done

# Once the data is there: type and format are settled, the rest can still be edited.
pattern disk.raw 1M 1
ok upload disk.raw "$web/upload"
settle "$web"
refused EBUSY "$web" write "$web/type" local
refused EBUSY "$web" write "$web/format" raw
set_and_read name "another name"
set_and_read description "still"
set_and_read os windows
set_and_read labels "a=b"
value "$web/size" 1048576
same "$(keyed "$web/progress" percent)" 100 "progress"
expect ENOENT stat "$web/upload"

# A change is seen in metadata.json, and moves `updated`.
need jq
same "$(jq -r .name "$web/metadata.json")" "another name" "metadata.json"
same "$(jq -r .id "$web/metadata.json")" "$(cat "$web/id")" "metadata.json"
before=$(cat "$web/updated")
sleep 1.1
ok write "$web/os" linux
[[ $(cat "$web/updated") > $before ]] || fail "updated did not move"

restart
value "$web/name" "another name"
value "$web/os" linux
value "$web/labels" "a=b"

# SPDX-License-Identifier: MIT
# user.imagefs.* mirror the one-line files, for reading.
start
two_regions
cloud_image web 1M
web=$R/private/web
ok write "$web/os" linux
for file in id name status type source owner size os encrypted architecture; do
        expect "$(head -n 1 "$web/$file" | cut -d ' ' -f 1)" getxattr "user.imagefs.$file" "$web"
        same "$_answer" "$(cat "$web/$file")" "user.imagefs.$file"
done
expect ENODATA getxattr user.imagefs.nothing "$web"
expect ENODATA getxattr user.other "$web"
# "Not supported", not "none": with that `ls -l` asks once for a mount, not three times for each entry.
expect EOPNOTSUPP getxattr security.selinux "$web"
expect EOPNOTSUPP getxattr trusted.other "$web"
for file in metadata.json description labels progress last-error; do
        expect ENODATA getxattr "user.imagefs.$file" "$web"
done
"$FSOP" listxattr "$web" | grep -qx user.imagefs.status || fail "listxattr: $("$FSOP" listxattr "$web")"
# What has none says so to who wants names; to who only looks for access lists, as `ls -l` does of Debian 13, it is "not
# supported", and `ls` looks no further.
for none in "$R/private" "$web/disks" "$web/os" "$web/disks/vda.raw"; do
        for bytes in 0 256 65536; do
                same "$("$FSOP" listxattr "$none" $bytes)" "" "names of $none for $bytes bytes"
        done
        for bytes in 1 152 255; do
                expect EOPNOTSUPP listxattr "$none" $bytes
        done
done
for bytes in 1 152 255; do
        expect ERANGE listxattr "$web" $bytes
done
expect "EPERM|EOPNOTSUPP|EACCES" setxattr user.imagefs.os windows "$web"
expect "EPERM|EOPNOTSUPP|EACCES" setxattr user.new x "$web"
expect "EPERM|EOPNOTSUPP|EACCES|ENODATA" removexattr user.imagefs.os "$web"
value "$web/os" linux
ok write "$web/os" other
expect other getxattr user.imagefs.os "$web"
if command -v getfattr >/dev/null; then
        [[ $(run getfattr -d "$web") == *'user.imagefs.status="available"'* ]] || fail "getfattr -d"
        [[ $(run getfattr --only-values -n user.imagefs.status "$web") == available ]] || fail "getfattr -n"
        same "$(run getfattr -d "$R/private"; cat err)" "" "getfattr -d of a directory without attributes"
fi
run tar -c --xattrs -f /dev/null -C "$R" private
same "$(cat err)" "" "what tar says of directories without attributes"

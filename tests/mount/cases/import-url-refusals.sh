# SPDX-License-Identifier: MIT
# What import-url does not take, and what servers may not do.
. "$lib/serve.sh"
start
two_regions
pattern served 1M 51
serve
web=$R/private/web

# Refused in the write, and nothing is changed.
ok mkdir "$web"
for text in "$AT/x" "file:///etc/passwd" "gopher://$AT/x" "smb://h/x" "http:///x" "http://$AT/a b" "http://$AT/x sha1=00" \
        "http://$AT/x md5=00" "http://$AT/x md5=00112233445566778899aabbccddeeff and" "http://user:sesame@h:0/x" "ftp://$AT/"; do
        refused EINVAL "$web" write "$web/import-url" "$text"
        [[ $(cat "$web/last-error") != *sesame* ]] || fail "the password is shown"
done
value "$web/status" queued
value "$web/import-url" ""
ok write "$MNT/info/limits" "snapshots 0"
refused EDQUOT "$web" write "$web/import-url" "http://$AT/x.raw"
ok write "$MNT/info/limits" "snapshots 20"
ok rmdir "$web"

# Refused by what the server says. What is no image is none, whatever its status.
fetch_fails web "http://$AT/error-404/x.raw" "the server says 404 Not Found"
same "$(requests)" "0 404" "a file that is not there is asked for once"
fetch_fails web "http://$AT/html/x.raw" "web page"
fetch_fails web "http://$AT/to/x?file:///etc/passwd" "not fetched from"
fetch_fails web "http://$AT/to/x?gopher://$AT/x" "not fetched from"
fetch_fails web "http://$AT/to/x?/to/x?/to/x" ""
fetch_fails web "http://$AT/to/x?http://169.254.169.254/latest/meta-data/" "address that images are not fetched from"
fetch_fails web "http://169.254.169.254/latest/meta-data/" "address that images are not fetched from"
fetch_fails web "http://[fe80::1]/x" "address that images are not fetched from"

# The login goes to the host that was named, and to no other.
port=${AT#*:}
fetch_fails web "http://user:open%20sesame@localhost:$port/to/x?http://127.0.0.1:$port/auth/x.raw" "401"
fetch web "http://user:open%20sesame@localhost:$port/to/x?/auth/x.raw"
same_checksum "$web" served
ok rmdir "$web"
ok rmdir "$R/recycle/web"

# A web page that does not say so, and a file without a byte.
mv served disk
echo "<!DOCTYPE html><html>Log in" >served
fetch_fails web "http://$AT/x.raw" ""
: >served
fetch_fails web "http://$AT/x.raw" ""

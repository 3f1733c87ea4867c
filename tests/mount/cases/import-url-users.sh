# SPDX-License-Identifier: MIT
# Services of this machine answer the daemon, not its users: they fetch from the internet, unless -o import-private.
need_root
. "$lib/serve.sh"
start -o allow_other
chmod 755 "$WORK"
two_regions
pattern served 1M 51
serve
as_user() {
        setpriv --reuid 61001 --regid 61001 --clear-groups -- "$@"
}
web=$R/private/web
run as_user mkdir "$web"
run as_user sh -c "echo http://$AT/x.raw >$web/import-url"
settle "$web" error
[[ $(cat "$web/error") == *"for the administrator"* ]] || fail "error is $(cat "$web/error")"
same "$(requests)" "" "requests"
run as_user rmdir "$web"

# Nobody but its owner sees where it comes from, or puts a URL there.
run as_user mkdir "$web"
fails setpriv --reuid 61002 --regid 61002 --clear-groups -- cat "$web/import-url"
run as_user rmdir "$web"
ok mkdir "$R/public/web"
fails as_user sh -c "echo http://$AT/x.raw >$R/public/web/import-url"
value "$R/public/web/status" queued

restart -o allow_other,import-private
run as_user mkdir "$web"
run as_user sh -c "echo http://$AT/x.raw >$web/import-url"
settle "$web"
same_checksum "$web" served
same "$(stat -c %u "$R/snapshots/web")" 61001 "owner of the snapshot"

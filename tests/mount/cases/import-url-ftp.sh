# SPDX-License-Identifier: MIT
# The same by ftp: with a password, and going on after a cut.
. "$lib/serve.sh"
start
two_regions
pattern served 8M 51
serve --ftp
fetch web "ftp://$AT/pub/web.raw"
same_checksum "$R/private/web" served
fetch cut "ftp://user:open%20sesame@$AT/cut-3000000-2/web.raw"
same "$(requests)" "0 3000000, 3000000 3000000, 6000000 2388608" "requests"
same_checksum "$R/private/cut" served
KEPT=$(ls "$R/snapshots")
fetch_fails wrong "ftp://user:wrong@$AT/web.raw" ""
! grep -rE 'wrong is|open( |%20)sesame|wrong@' "$MNT" "$WORK/daemon.log" || fail "the password is shown"

# SPDX-License-Identifier: MIT
# shellcheck shell=bash
#
# Several users on one mount, which root makes for all. Users are numbers, which need no account:
#
#     users UID …             needs root; makes the work directory theirs to pass
#     as UID COMMAND …        any program as that user, of the group of the same number
#     by UID HELPER …         ok, expect, refused … of helpers.sh, with the call made by that user

users() {
        local uid
        need_root "several users"
        need setpriv
        chmod 755 "$WORK"
        mkdir "$WORK/bin"
        # the build may lie where only root goes
        cp "$FSOP" "$WORK/bin/fsop"
        for uid; do
                printf '#!/bin/sh\nexec setpriv --reuid %s --regid %s --clear-groups %s "$@"\n' \
                        "$uid" "$uid" "$WORK/bin/fsop" >"$WORK/bin/fsop.$uid"
        done
        chmod 755 "$WORK"/bin "$WORK"/bin/*
}

as() {
        setpriv --reuid "$1" --regid "$1" --clear-groups "${@:2}"
}

by() {
        local FSOP=$WORK/bin/fsop.$1
        "${@:2}"
}

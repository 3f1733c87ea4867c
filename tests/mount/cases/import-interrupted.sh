# SPDX-License-Identifier: MIT
# Ctrl-C during cp, and what else ends a writer by a signal: what came is no image. It used to be an available one, without its end.
start
two_regions
raise_limits
pattern disk.raw 6M 71
mkfifo pipe.raw

_arrived() {
        [ "$(keyed "$1/progress" bytes-done)" -ge "$2" ]
}

# interrupted SIGNAL IMAGE TARGET: cp of half of the disk to TARGET, ended in the middle.
interrupted() {
        local cp
        env --default-signal=INT cp pipe.raw "$3" 2>/dev/null &
        cp=$!
        exec 7>pipe.raw
        head -c 3M disk.raw >&7
        until_true 20 _arrived "$2" 2000000 || fail "nothing came"
        kill -"$1" "$cp"
        wait "$cp" 2>/dev/null
        exec 7>&-
}

for signal in INT TERM KILL; do
        interrupted $signal "$R/private/pipe" "$R/private/"
        settle "$R/private/pipe" error
        [[ $(cat "$R/private/pipe/error") == "the program that wrote it was ended by a signal, after "*" bytes: "* ]] ||
                fail "SIG$signal: $(cat "$R/private/pipe/error")"
        nothing_incoming
        ok rmdir "$R/private/pipe"
        ok rmdir "$R/recycle/pipe"
        run cp disk.raw "$R/private/pipe.raw"
        settle "$R/private/pipe"
        same_checksum "$R/private/pipe" disk.raw
        ok rmdir "$R/private/pipe"
        ok rmdir "$R/recycle/pipe"
done

# Who writes all of it anew while the upload is open has the last word.
web=$R/private/web
ok mkdir "$web"
exec 8>"$web/upload"
interrupted INT "$web" "$web/upload"
value "$web/status" uploading
run cp disk.raw "$web/upload"
exec 8>&-
settle "$web"
same_checksum "$web" disk.raw

# A child that has inherited the descriptor has written nothing, and may end as it likes.
web=$R/private/child
ok mkdir "$web"
bash -c 'exec 8>"$1"
        (exec sleep 1000) & child=$!
        cat disk.raw >&8
        until [ "$(cat /proc/$child/comm)" = sleep ]; do :; done
        kill $child; wait $child' - "$web/upload" 2>/dev/null
settle "$web"
same_checksum "$web" disk.raw

# SPDX-License-Identifier: MIT
# wait: not listed, blocks, gives the status, can be interrupted, fails with the image.
start
two_regions
cloud_image web 2M
web=$R/private/web
same "$(ls -a "$web" | grep -c '^wait$')" 0 "wait is not listed"
value "$web/wait" available
same "$(wc -c <"$web/wait")" 10 "one line"

# Not while it is queued: there is no work in progress.
ok mkdir "$R/private/q"
value "$R/private/q/wait" queued

# While uploading it blocks; an interrupt is answered at once; several wait; all are told.
exec 5>"$R/private/q/upload"
head -c 1000000 web.raw >&5
timeout -s INT -k 3 0.5 cat "$R/private/q/wait"
same $? 124 "interrupted wait"
timeout -s KILL 0.5 cat "$R/private/q/wait" 2>/dev/null
for i in 1 2 3; do
        timeout 60 cat "$R/private/q/wait" >"w$i" 5>&- &
        waiters+=" $!"
done
# The others are served meanwhile.
value "$web/status" available
exec 5>&-
for pid in $waiters; do
        wait "$pid" || fail "a waiter failed"
done
for i in 1 2 3; do value "w$i" available; done

# Gone while waited for.
ok mkdir "$R/private/gone"
exec 5>"$R/private/gone/upload"
echo x >&5
timeout 20 cat "$R/private/gone/wait" >/dev/null 2>&1 5>&- &
waiter=$!
sleep 0.3
ok rmdir "$R/private/gone"
exec 5>&-
wait "$waiter"
[ $? -lt 124 ] || fail "the waiter of a removed image never came back"

# An image in error: EIO, each time.
ok mkdir "$R/private/bad"
ok write "$R/private/bad/format" qcow2
expect EINVAL upload web.raw "$R/private/bad/upload"
expect "EIO read" read 0 100 "$R/private/bad/wait"
expect "EIO read" read 0 100 "$R/private/bad/wait"

# It does not keep the daemon from ending.
ok mkdir "$R/private/stuck"
exec 5>"$R/private/stuck/upload"
echo x >&5
timeout 60 cat "$R/private/stuck/wait" >/dev/null 2>&1 5>&- &
waiter=$!
sleep 0.3
exec 5>&-
wait "$waiter"

# SPDX-License-Identifier: MIT
# kill -9 while a file is fetched and imported: what was accepted is finished at the next mount, without asking again for
# what had come; and the address with its password is nowhere afterwards.
# time limit: 200
kills=${IMAGEFS_KILLS:-5}
. "$lib/crash.sh"
. "$lib/serve.sh"
start
two_regions
raise_limits
pattern served 6M 61
run qemu-img convert -f raw -O qcow2 served served.qcow2
mv served served.raw
mv served.qcow2 served
size=$(stat -c %s served)
sum=$(xxh served.raw)
serve
for ((i = 1; i <= kills; i++)); do
        web=$R/private/w$i
        : >requests
        ok mkdir "$web"
        "$FSOP" write "$web/import-url" "http://user:open%20sesame@$AT/auth/slow/w$i.qcow2" >answer 2>&1 &
        writer=$!
        crash_within $((i % 2 ? 100 : 2500)) # while it is accepted, or while it comes or is imported
        wait "$writer"
        have=$(stat -c %s "$STORE"/blobs/incoming/* 2>/dev/null || echo 0)
        start
        if [ "$(cat answer)" != ok ] && [ "$(cat "$web/status")" = queued ]; then
                remove_image "$R" "w$i"
                continue # it was not accepted
        fi
        settle "$web"
        value "$web/checksum" "$sum  disks/vda.raw"
        value "$web/format" qcow2
        expect ENOENT stat "$web/import-url"
        # The second request is for the rest, if there was one to ask for.
        [ "$have" = 0 ] || [ "$have" = "$size" ] || same "$(requests)" "0 $size, $have $((size - have))" "kill $i: requests"
        nothing_incoming
        quota_is_true "$R"
        remove_image "$R" "w$i"
        between_kills
done
stop
! grep -rE 'open( |%20)sesame' "$STORE" "$WORK/daemon.log" || fail "the password is still there"
start

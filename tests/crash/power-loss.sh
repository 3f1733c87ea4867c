# SPDX-License-Identifier: MIT
# The power goes: a store on XFS, and on ext4, whose log is cut off, not flushed. Everything acknowledged is there at the next
# mount, and what a machine synced; whatever was under way: imports and copies, tidying, scrub, bringing an earlier version's
# library up to date, the catalogue's restore, a region in a bucket, temporary files. IMAGEFS_KILLS cuts on each file system.
# time limit: 240
need_root "a loop device with a file system"
need mkfs.xfs mke2fs xfs_io losetup python3 xxhsum
cuts=${IMAGEFS_KILLS:-6}
disk_stress
. "$lib/crash.sh"
# shellcheck source=tests/mount/lib/s3.sh
. "$lib/s3.sh"
! grep -q libcurl <(ldd "$IMAGEFS") || bucket
fixture=store-3
one=6d1cbb0457930f7dc1574e3fe91690a2
two=6c5ba52ab5a40a7cc4662ee72fd74edb
vm=dd687681de6288b5b016dcd29ad7948f
. "$lib/old-library.sh"
# Words in no order, of which tidying makes less.
LC_ALL=C awk 'BEGIN { srand(7); for (i = 0; i < 500000; i++) printf "w%x ", rand() * 5000 }' >one.raw
truncate -s 4M one.raw
pattern web.raw 3M 5

# cut_power: and with it whatever runs as $daemon_pid.
cut_power() {
        xfs_io -x -c shutdown fs || fail "cannot shut down the file system"
        kill_daemon # or it had ended
        umount -l "$MNT" 2>/dev/null
        until_true 10 umount fs || fail "cannot unmount the dead file system"
        # What another case has confined may have it mounted still: mounted again, it would be as dead.
        until_true 30 _is_detached || fail "the dead file system stays: $(losetup -j disk.img)"
        mount -o loop disk.img fs || fail "the file system does not come back"
}
_is_detached() { [ -z "$(losetup -j disk.img)" ]; }
pause() { sleep "$(printf '0.%04d' $((RANDOM * 10 * $1 / 32768)))"; }
# in_background COMMAND …: as the process that the power cut ends.
in_background() {
        "$@" >>"$WORK/daemon.log" 2>&1 &
        daemon_pid=$!
}

# Right behind an answer, and in the middle of work.
during_work() {
        local p=$R/private/p$i copy=$R/private/one/copies/cn-east-2 writer
        pattern p.raw 16M $((50 + i))
        rm -f synced.log
        "$STRESS" write "$disk" synced.log $((SEED + i)) 2>writer.err &
        writer=$!
        ok mkdir "$p"
        ok upload p.raw "$p/upload" # accepted
        ok mkdir "$copy"
        ok write "$R/private/one/description" "acknowledged $i"
        pause 300
        cut_power
        until_true 20 _ended "$writer" || fail "the machine goes on without a disk"
        wait "$writer" || fail "the machine: $(cat writer.err)"
        start -o tidy=0
        timeout 60 cat "$p/wait" >/dev/null 2>&1
        case $(cat "$p/status") in
        available) same_disk "$p/disks/vda.raw" p.raw ;;
        error) [[ $(cat "$p/error") == *' '* ]] || fail "no reason" ;;
        *) fail "status $(cat "$p/status")" ;;
        esac
        value "$R/private/one/description" "acknowledged $i"
        settle "$R2/private/one"
        same_disk "$R2/private/one/disks/vda.raw" one.raw
        value "$copy/status" "done"
        run "$STRESS" verify "$disk" before.raw synced.log $((SEED + i))
        ok rmdir "$copy"
        remove_image "$R2" one
        remove_image "$R" "p$i"
}

# There is something to do: much of the segments is nobody's any more.
during_tidying() {
        import_raw "$R/private/more" web.raw
        remove_image "$R" more
        restart -o tidy=1
        sleep 1 # the least that tidying waits
        pause 900
        cut_power
        start -o tidy=0
}

# Which is due.
during_scrub() {
        stop
        python3 - "$STORE/imagefs.db" <<'END' || fail "the last pass cannot be made older"
import sqlite3, sys
db = sqlite3.connect(sys.argv[1])
db.execute("UPDATE scrub SET since = since - 20 * 86400000000")
db.commit()
END
        in_background "$IMAGEFS" scrub "$STORE"
        pause 40
        cut_power
        start -o tidy=0
        value "$MNT/info/health" ok
}

during_migration() {
        local kept=$STORE
        stop
        STORE=$WORK/fs/old
        fixture
        sync -f fs
        in_background "$IMAGEFS" "$STORE" "$MNT" -f
        pause 100
        cut_power
        (all() { start; all_is_there; stop; check_store; }; all) || exit 1
        daemon_pid=
        rm -rf "$STORE"
        STORE=$kept
        start -o tidy=0
        R=$MNT/regions/cn-north-1
}

during_restore() {
        stop
        rm "$STORE"/imagefs.db*
        sync -f fs
        in_background "$IMAGEFS" check "$STORE" --restore-catalogue
        pause 25
        cut_power
        if ! "$IMAGEFS" check "$STORE" >out 2>&1; then
                "$IMAGEFS" check "$STORE" --restore-catalogue >out 2>&1
                [ $? -le 1 ] || fail "the catalogue does not come back: $(cat out)"
        fi
        start -o tidy=0
}

# The bucket has its power elsewhere: what is to be there of the region is here, its cache, its segments, its claim.
during_bucket() {
        local far=$MNT/regions/far
        [ -n "${FAR:-}" ] || return 0
        if [ ! -d "$far" ]; then
                ok mkdir "$far"
                ok write "$far/store" "s3://lib/$type endpoint=${FAR##*endpoint=}"
                import_raw "$far/private/kept" web.raw
        fi
        same_disk "$far/private/kept/disks/vda.raw" web.raw # from the cache, some of which is not synced yet
        ok mkdir "$R/private/one/copies/far"
        pause 300
        cut_power
        start -o tidy=0
        value "$MNT/info/health" ok
        same_disk "$far/private/kept/disks/vda.raw" web.raw
        timeout 100 cat "$far/private/one/wait" >waited 2>&1
        [ "$(cat "$far/private/one/status")" = available ] ||
                fail "what was accepted is $(cat "$far/private/one/status"), wait says: $(cat waited), health: $(cat "$MNT/info/health")"
        same_disk "$far/private/one/disks/vda.raw" one.raw
        ok rmdir "$R/private/one/copies/far"
        remove_image "$far" one
}

# One that is written, one that has become an image, and one that has become a value.
during_drafts() {
        head -c 2M web.raw >"$R/private/.written.tmp" || fail "writing a temporary file"
        cp web.raw "$R/private/.moved.tmp" || fail "writing another"
        ok rename "$R/private/.moved.tmp" "$R/private/moved.raw"
        run sed -i "s/.*/acknowledged in a temporary file $i/" "$R/private/one/description"
        pause 100
        cut_power
        start -o tidy=0
        same "$(find "$R/private" -maxdepth 1 -name '.*')" "" "temporary files after the power cut"
        value "$R/private/one/description" "acknowledged in a temporary file $i"
        timeout 60 cat "$R/private/moved/wait" >/dev/null 2>&1
        case $(cat "$R/private/moved/status") in
        available) same_disk "$R/private/moved/disks/vda.raw" web.raw ;;
        error) [[ $(cat "$R/private/moved/error") == *' '* ]] || fail "no reason" ;;
        *) fail "status $(cat "$R/private/moved/status")" ;;
        esac
        remove_image "$R" moved
        nothing_incoming
}

kinds=(work tidying scrub migration drafts restore bucket work) # the first six of which the suite meets
for type in xfs ext4; do
        rm -f disk.img
        truncate -s 512M disk.img
        run "mkfs.$type" -q disk.img
        mkdir -p fs
        mount -o loop disk.img fs 2>err || skip "cannot mount $type: $(cat err)"
        STORE=$WORK/fs/store
        start -o tidy=0
        two_regions
        raise_limits
        import_raw "$R/private/one" one.raw
        import_raw "$R/private/web" web.raw
        ok mkdir "$R/private/web/instances/vm"
        disk=$R/instances/vm/disks/vda.raw
        # With nothing under way.
        ok write "$R/private/one/description" "acknowledged"
        cut_power
        start -o tidy=0
        same_checksum "$R/private/one" one.raw
        value "$R/private/one/description" "acknowledged"
        for ((i = 1; i <= cuts; i++)); do
                cp "$disk" before.raw
                kind=${kinds[(i - 1) % ${#kinds[@]}]}
                "during_$kind"
                same_disk "$R/private/one/disks/vda.raw" one.raw
                same_disk "$R/private/web/disks/vda.raw" web.raw
                [ "$kind" = work ] || same_disk "$disk" before.raw
                quota_is_true "$R"
                quota_is_true "$R2"
        done
        stop
        check_store
        umount fs
done
echo "note: $cuts power cuts each on XFS and ext4"
NO_CHECK="checked above"

# SPDX-License-Identifier: MIT
# info/events and info/events-after/<seq>: what happened, each once and in order, to whom it concerns.
# shellcheck disable=SC2034
. "$lib/users.sh"
A=12001 B=12002
users $A $B
need python3
start -o allow_other,http=127.0.0.1:0
two_regions
raise_limits
E=$MNT/info/events

last() { tail -n 1 "$E" | sed 's/^{"seq": \([0-9]*\),.*/\1/'; }
# What happened after that number: what, object, user, detail; the numbers being without a gap for who may see all.
after() {
        timeout 60 cat "$MNT/info/events-after/$1" >follow || fail "events-after/$1: not read"
        python3 - "$1" <<'END'
import json, sys
seq = int(sys.argv[1])
for line in open("follow"):
    e = json.loads(line)
    assert list(e) == ["seq", "time", "what", "region", "object", "id", "user", "detail"], line
    seq += 1
    assert e["seq"] == seq, (seq, line)
    print(e["what"], e["region"], e["object"], e["user"], e["detail"])
END
}
# The same of what only a user may see: what and object.
seen() { as "$1" cat "$E" | python3 -c 'import json, sys
for e in map(json.loads, sys.stdin): print(e["what"], e["object"], e["detail"])'; }
told() { same "$(after "$n")" "$1" "${2:-what happened}"; n=$(last); }

after 0 >words
same "$(head -n 2 words)" $'made cn-north-1  root \nmade cn-east-2  root ' "regions"
same "$(ls "$MNT/info" | grep -c events-after)" 0 "events-after is listed"
same "$(ls -A "$MNT/info/events-after")" "" "what is in events-after"
n=$(last)

# ---- each kind, in the words of the tree ----
ok mkdir "$MNT/regions/r3"
ok rename "$MNT/regions/r3" "$MNT/regions/r4"
ok rmdir "$MNT/regions/r4"
told $'made r3  root \nmoved r4  root r3\nremoved r4  root '

ok mkdir "$R/private/q"
ok rename "$R/private/q" "$R/private/q2"
ok rmdir "$R/private/q2"
told $'made cn-north-1 private/q root queued\nmoved cn-north-1 private/q2 root private/q\nstatus cn-north-1 private/q2 root deleting\nremoved cn-north-1 private/q2 root ' "a queued image"

cloud_image web 1M
after "$n" >words
n=$(last)
for word in "made cn-north-1 private/web root queued" "status cn-north-1 private/web root pending" \
        "made cn-north-1 snapshots/web root creating" "status cn-north-1 snapshots/web root available" \
        "status cn-north-1 private/web root available"; do
        grep -qxF "$word" words || fail "no '$word' in $(cat words)"
done
grep -qx 'ended cn-north-1 tasks/task-[a-z0-9]* root import done' words || fail "no end of the import: $(cat words)"

ok mkdir "$R/private/web/instances/vm1"
ok rename "$R/instances/vm1" "$R/instances/vm2"
ok write "$R/instances/vm2/power" start
ok write "$R/instances/vm2/power" stop
ok chmod 0750 "$R/instances/vm2"
ok mkdir "$R/disks/d1"
ok write "$R/disks/d1/size" 4M
ok write "$R/instances/vm2/attach" d1
ok write "$R/instances/vm2/detach" vdb
ok rmdir "$R/disks/d1"
ok rmdir "$R/instances/vm2"
told "made cn-north-1 instances/vm1 root 
moved cn-north-1 instances/vm2 root instances/vm1
started cn-north-1 instances/vm2 root 
stopped cn-north-1 instances/vm2 root 
access cn-north-1 instances/vm2 root 0750
made cn-north-1 disks/d1 root 
resized cn-north-1 disks/d1 root 4194304
attached cn-north-1 disks/d1 root instances/vm2/disks/vdb
detached cn-north-1 disks/d1 root instances/vm2/disks/vdb
removed cn-north-1 disks/d1 root 
removed cn-north-1 instances/vm2 root " "a machine and a disk"

# ---- families, protection, what files say, groups, addresses, limits ----
ok write "$R/private/web/family" debian
ok write "$R/private/web/protected" yes
ok write "$R/private/web/lifecycle" deprecated
ok write "$R/private/web/lifecycle" active
ok write "$R/private/web/labels" a=b
ok write "$R/private/web/labels" a=b # says what it said
ok write "$R/private/web/protected" no
told "family cn-north-1 private/web root debian
released cn-north-1 families/debian root private/web
protected cn-north-1 private/web root yes
lifecycle cn-north-1 private/web root deprecated
withdrawn cn-north-1 families/debian root private/web
lifecycle cn-north-1 private/web root active
released cn-north-1 families/debian root private/web
changed cn-north-1 private/web root labels
protected cn-north-1 private/web root no" "a release of a family"
ok rmdir "$R/private/web"
ok rename "$R/recycle/web" "$R/private/web"
after "$n" | grep families >words
n=$(last)
same "$(cat words)" $'withdrawn cn-north-1 families/debian root private/web\nreleased cn-north-1 families/debian root private/web' \
        "a release that is deleted and restored"

ok mkdir "$R/follows/f"
ok write "$R/follows/f/every" 2h
ok write "$R/follows/f/family" debian
ok chown 0 12003 "$R/follows/f"
ok rmdir "$R/follows/f"
ok mkdir "$R/instances/vm3"
ok write "$R/instances/vm3/image" private/web
ok write "$R/instances/vm3/description" h
ok rmdir "$R/instances/vm3"
told "made cn-north-1 follows/f root 
changed cn-north-1 follows/f root every
changed cn-north-1 follows/f root family
group cn-north-1 follows/f root 12003
removed cn-north-1 follows/f root 
made cn-north-1 instances/vm3 root 
changed cn-north-1 instances/vm3 root image
changed cn-north-1 instances/vm3 root description
removed cn-north-1 instances/vm3 root " "what files say"

ok mkdir "$R/private/web/download/vda.raw"
ok rmdir "$R/private/web/download/vda.raw"
told "made cn-north-1 private/web/download/vda.raw root 
removed cn-north-1 private/web/download/vda.raw root " "an address"
ok write "$MNT/info/limits" "recycle-days 31"
ok write "$R/quota" "snapshots limit=21"
ok write "$R/quota" "$B snapshots limit=22"
told "limit  info/limits root recycle-days 31
limit cn-north-1 quota root snapshots 21
limit cn-north-1 quota $B snapshots 22" "limits"

# What is refused did not happen.
expect EEXIST mkdir "$R/private/web"
expect ENOENT rmdir "$R/private/nothing"
same "$(last)" "$n" "events of what was refused"

# ---- who sees what: hers, what the modes let her in to, what is shared with her ----
by $A ok mkdir "$R/private/a"
ok chmod 0700 "$R/private/a"
by $B ok mkdir "$R/disks/b"
ok chmod 0700 "$R/disks/b"
seen $A >a
seen $B >b
grep -qx 'made private/a queued' a || fail "A does not see her own: $(cat a)"
grep -q 'access disks/b' a && fail "A sees B's"
grep -q 'access private/a' b && fail "B sees A's"
chown $A:$A "$R/private/web" || fail "chown"
ok chmod 0700 "$R/private/web"
by $A ok mkdir "$R/private/web/shares/$B"
by $A ok write "$R/private/web/name" other
by $A ok rmdir "$R/private/web/shares/$B"
seen $B | grep 'private/web' | tail -n 3 >shared
same "$(cat shared)" $'shared private/web '"$B"$'\nchanged private/web name\nunshared private/web '"$B" "what B hears of a share"
seen $A >a
grep -qx "owner private/web root" a || fail "A does not hear that it is hers"

# A release is told to who sees the image, a limit to whom it concerns, an address to who manages the image.
ok write "$R/private/web/lifecycle" obsolete
by $A ok mkdir "$R/private/web/download/vda.qcow2"
by $A ok write "$R/private/web/lifecycle" active
by $A ok mkdir "$R/private/web/shares/$B"
by $A ok write "$R/private/web/lifecycle" deprecated
seen $A >a
seen $B >b
same "$(grep -c 'families/debian' a)" 3 "what A hears of the family"
same "$(grep 'families/debian' b)" "withdrawn families/debian private/web" "what B hears of the family"
grep -qx 'made private/web/download/vda.qcow2 ' a || fail "A does not hear of her address: $(cat a)"
grep download b && fail "B hears of A's address"
by $A ok rmdir "$R/private/web/download/vda.qcow2"
grep -qx 'limit quota snapshots 22' b || fail "B does not hear of her limit: $(cat b)"
grep -x 'limit quota snapshots 22' a && fail "A hears of B's limit"
for u in a b; do
        grep -qx 'limit quota snapshots 21' $u || fail "not all hear of the region's limit: $(cat $u)"
        grep -qx 'limit info/limits recycle-days 31' $u || fail "not all hear of the library's limit: $(cat $u)"
done

# ---- waiting ----
n=$(last)
as $B timeout 60 cat "$MNT/info/events-after/$n" >b.out &
b=$!
timeout 60 cat "$MNT/info/events-after/$n" >root.out &
root=$!
by $A ok rmdir "$R/private/a" # not B's to see: nobody but root hears of it
wait $root || fail "nobody told root"
grep -q '"removed".*"private/a"' root.out || fail "root was told: $(cat root.out)"
kill -0 $b || fail "B was told of what is A's: $(cat b.out)"
by $B ok rmdir "$R/disks/b"
wait $b || fail "nobody told B"
same "$(grep -c . b.out)" 1 "what B was told"
grep -q '"removed".*"disks/b"' b.out || fail "B was told: $(cat b.out)"
# One that is interrupted while it waits ends.
cat "$MNT/info/events-after/$(last)" &
p=$!
waits() { grep -qs request_wait_answer "/proc/$p/stack" "/proc/$p/wchan"; }
until_true 30 waits || fail "the reader does not wait"
kill -TERM $p
wait $p && fail "a reader that was interrupted was answered"

# ---- one that stalls while more comes than is made at once has the same text, and goes on behind it ----
n=$(last)
ok mkdir "$R/private/b"
python3 - "$MNT/info/events-after" "$n" "$R/private/b/labels" <<'END' || fail "a reader that stalls"
import json, os, sys
place, seq, labels = sys.argv[1], int(sys.argv[2]), os.open(sys.argv[3], os.O_WRONLY)
def follow(seq):
    fd = os.open(f"{place}/{seq}", os.O_RDONLY)
    return fd, os.read(fd, 10)
def rest(fd, text):
    while piece := os.read(fd, 1000):
        text += piece
    os.close(fd)
    return [json.loads(line)["seq"] for line in text.splitlines()]
early = follow(seq)
for i in range(520):
    os.pwrite(labels, b"a=%d" % i, 0)
late = follow(seq)
for i in range(10):
    os.pwrite(labels, b"b=%d" % i, 0)
assert rest(*early) == [seq + 1], "what was there when it began"
got = rest(*late)
assert got == list(range(seq + 1, seq + 522)), (seq, got[:3], got[-3:])
got = rest(*follow(got[-1]))
assert got == list(range(seq + 522, seq + 532)), got
END
ok rmdir "$R/private/b"

# ---- what cannot be told ----
n=$(last)
cat "$MNT/info/events-after/$((n + 1))" 2>said && fail "events after one that there was not"
grep -q "Stale file handle" said || fail "another errno: $(cat said)"
grep -q "there has been no such event, the newest is $n" "$MNT/info/errors" || fail "no sentence: $(cat "$MNT/info/errors")"
for name in x -1 01 +1 99999999999999999999; do
        [ ! -e "$MNT/info/events-after/$name" ] || fail "events-after/$name is there"
done


# ---- how much is kept: so many of each user, and nobody pushes out another's ----
refused EINVAL - write "$MNT/info/limits" "events many"
ok write "$MNT/info/limits" "events 20"
for i in $(seq 12); do
        by $B ok mkdir "$R/disks/b$i"
        by $B ok rmdir "$R/disks/b$i"
done
before=$(seen $A | grep -c .)
restart -o allow_other,http=127.0.0.1:0
same "$(seen $A | grep -c .)" "$before" "what A sees after a restart"
seen $A >a
grep -qx 'made private/a queued' a || fail "B pushed out A's"
seen $B | grep -c 'disks/b' >count || :
[ "$(cat count)" -le 20 ] || fail "of B's more is kept than the limit: $(cat count)"
# Who is further back than that is told, once, and so is the administrator, who would miss it; A misses nothing.
as $B cat "$MNT/info/events-after/$n" 2>said && fail "B was given a part of what followed"
grep -q "Stale file handle" said || fail "another errno: $(cat said)"
as $B tail -n 1 "$MNT/info/errors" | grep "what followed is not kept any more" >said || fail "no sentence for B"
cat "$MNT/info/events-after/$n" 2>said && fail "root was given a part of what followed"
n=$(as $A tail -n 1 "$E" | sed 's/^{"seq": \([0-9]*\),.*/\1/')
as $A timeout 60 cat "$MNT/info/events-after/$((n - 1))" >a.out || fail "A was told that something is gone"
same "$(grep -c . a.out)" 1 "what A follows"

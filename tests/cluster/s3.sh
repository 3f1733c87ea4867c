# SPDX-License-Identifier: MIT
# The client of buckets against Ceph's gateway: it keeps what a store relies on, and all of the client's calls do what they say,
# also over a way that resets connections after some bytes.
# time limit: 400
. "$lib/ceph.sh"
need_root "a network of its own"
client=$(dirname "$IMAGEFS")/test_s3
[ -x "$client" ] || skip "no test_s3 beside the program"
began=$SECONDS
ceph_cluster
ceph_gateway
echo "note: a gateway after $((SECONDS - began)) s"

# all_right PORT: the test of a real bucket there, which is not skipped.
all_right() {
        IMAGEFS_TEST_S3="s3://lib/some/where endpoint=http://127.0.0.1:$1" in_ceph "$client" >client.log 2>&1 ||
                fail "$(grep -v ' OK ' client.log | tail -n 5)"
        ! grep -q SKIPPED client.log || fail "the real bucket was not tried"
}
began=$SECONDS
all_right 80
echo "note: $((SECONDS - began)) s"

seed=${IMAGEFS_SEED:-$RANDOM}
mkfifo ready
in_ceph_alone /usr/bin/python3 "$lib/relay" 127.0.0.1 80 "$seed" "$WORK/ready" &
read -r port <ready
began=$SECONDS
all_right "$port"
echo "note: $((SECONDS - began)) s over a way that is cut, seed $seed"

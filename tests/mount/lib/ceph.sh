# SPDX-License-Identifier: MIT
# shellcheck shell=bash
#
# A Ceph cluster of the case's own: one monitor, one OSD in memory, in a network of its own, where its ports are free. Sourced
# by a case, as helpers.sh is. Its programs are Debian's, unpacked and not installed.
#
#     ceph_cluster                the monitor and the OSD
#     ceph_file_system            an MDS, and a file system
#     ceph_host NAME              mounts that on $WORK/NAME, as a host does; its process is $ceph_host_pid
#     ceph_gateway                a server of buckets on port 80 there, with one, "lib", and keys in the environment
#     ceph_gateway_start          again, when its process, $ceph_gateway_pid, was ended
#     ceph_evict NAME             as the cluster does with a host that has not answered for too long
#     in_ceph PROGRAM …           one of Ceph's, or a client, in that network

ceph_programs() {
        local root libraries
        # shellcheck disable=SC2154 # run-case's
        root=$("$lib/unpacked" --with-needed ceph-mon ceph-osd ceph-mds ceph-fuse ceph-common radosgw 2>"$WORK/unpacked.err") ||
                skip "no Ceph: $(tail -n 1 "$WORK/unpacked.err")"
        ceph_classes=$(dirname "$(find "$root/usr/lib" -name libcls_version.so)")
        libraries=$(dirname "$ceph_classes")
        # Some packages' (libfuse2's) lie in /lib.
        ceph_env=(PATH="$root/usr/bin:$PATH" LD_LIBRARY_PATH="$libraries:$libraries/ceph:$root/lib/${libraries##*/}"
                PYTHONPATH="$root/usr/lib/python3/dist-packages")
        ceph_plugins=$libraries/ceph
}

in_ceph() {
        (in_ceph_alone "$@")
}

# In place of the shell that it is called by: so $! is the program's.
in_ceph_alone() {
        exec nsenter --target "$ceph_net" --net env "${ceph_env[@]}" "$@"
}

# The monitor does what it is told, one JSON a command. It is waited for.
ceph_order() {
        in_ceph /usr/bin/python3 - "$ceph/conf" "$@" <<'PYTHON' >"$ceph/order.log" 2>&1 || fail "$*: $(tail -n 3 "$ceph/order.log")"
import rados, sys
with rados.Rados(conffile=sys.argv[1], conf={"client_mount_timeout": "60"}) as cluster:
    for command in sys.argv[2:]:
        r, _, said = cluster.mon_command(command, b"", timeout=60)
        if r < 0:
            sys.exit(f"{command}: {said}")
PYTHON
}

# ceph_ask DAEMON JSON: asks a daemon by its socket, and prints what it says.
ceph_ask() {
        /usr/bin/python3 - "$ceph/$1.asok" "$2" <<'PYTHON'
import socket, struct, sys
with socket.socket(socket.AF_UNIX) as daemon:
    daemon.connect(sys.argv[1])
    daemon.sendall(sys.argv[2].encode() + b"\0")
    answer = daemon.makefile("rb")
    print(answer.read(struct.unpack(">I", answer.read(4))[0]).decode())
PYTHON
}

ceph_cluster() {
        local fsid osd who
        need_root "a network of its own"
        need unshare nsenter /usr/bin/python3
        ceph=$WORK/ceph
        mkdir -p "$ceph"/{mon,osd,mds,log,run}
        ceph_programs
        mkfifo "$ceph/net"
        # SIOCSIFFLAGS with IFF_UP and IFF_RUNNING; it says when it is there, and stays until the case has ended.
        unshare --net /usr/bin/python3 -c '
import fcntl, signal, socket, struct, sys
fcntl.ioctl(socket.socket(), 0x8914, struct.pack("16sh", b"lo", 0x41))
print("up", file=open(sys.argv[1], "w"))
signal.pause()' "$ceph/net" &
        ceph_net=$!
        read -r _ <"$ceph/net"

        fsid=$(cat /proc/sys/kernel/random/uuid)
        osd=$(cat /proc/sys/kernel/random/uuid)
        cat >"$ceph/conf" <<CONF
[client.rgw]
rgw data = $ceph/run
rgw frontends = beast endpoint=127.0.0.1:80 tcp_nodelay=1
rgw rados pool pg num min = 1
[global]
fsid = $fsid
mon host = [v2:127.0.0.1:3300,v1:127.0.0.1:6789]
public addr = 127.0.0.1
keyring = $ceph/keyring
admin socket = $ceph/\$name.asok
pid file =
run dir = $ceph/run
crash dir = $ceph/log
log file = $ceph/log/\$name.log
mon data = $ceph/mon
osd data = $ceph/osd
mds data = $ceph/mds
osd objectstore = memstore
memstore device bytes = 2G
osd class dir = $ceph_classes
erasure code dir = $ceph_plugins/erasure-code
osd crush chooseleaf type = 0
osd pool default size = 1
osd pool default min size = 1
osd pool default pg num = 4
osd pool default pg autoscale mode = off
osd class update on start = false
osd numa auto affinity = false
mon allow pool size one = true
mon osd min in ratio = 0
mon data avail warn = 1
mon data avail crit = 1
paxos propose interval = 0.02
paxos min wait = 0.01
CONF
        in_ceph monmaptool --create --fsid "$fsid" --addv a "[v2:127.0.0.1:3300,v1:127.0.0.1:6789]" "$ceph/monmap" \
                >"$ceph/log/made" 2>&1 ||
                fail "no monitors' map: $(tail -n 1 "$ceph/log/made")"
        in_ceph ceph-authtool -C "$ceph/keyring" -n mon. --gen-key --cap mon 'allow *' >"$ceph/log/made" 2>&1
        for who in client.admin client.rgw osd.0 mds.a; do
                in_ceph ceph-authtool "$ceph/keyring" -n $who --gen-key --cap mon 'allow *' --cap osd 'allow *' --cap mds 'allow *'
        done >>"$ceph/log/made" 2>&1 || fail "no keys: $(tail -n 1 "$ceph/log/made")"
        in_ceph ceph-mon -c "$ceph/conf" -i a --mkfs --monmap "$ceph/monmap" --keyring "$ceph/keyring" >"$ceph/log/mon" 2>&1 ||
                fail "no monitor: $(tail -n 1 "$ceph/log/mon")"
        in_ceph_alone ceph-mon -c "$ceph/conf" -i a -f >>"$ceph/log/mon" 2>&1 &
        in_ceph_alone ceph-osd -c "$ceph/conf" -i 0 --mkfs --osd-uuid "$osd" >"$ceph/log/osd" 2>&1 &
        ceph_order "{\"prefix\": \"osd new\", \"uuid\": \"$osd\"}"
        wait $! || fail "no OSD: $(tail -n 1 "$ceph/log/osd")"
        in_ceph_alone ceph-osd -c "$ceph/conf" -i 0 -f >>"$ceph/log/osd" 2>&1 &
}

ceph_file_system() {
        ceph_order '{"prefix": "osd pool create", "pool": "names", "pg_num": 4}' \
                '{"prefix": "osd pool create", "pool": "bytes", "pg_num": 4}' \
                '{"prefix": "fs new", "fs_name": "fs", "metadata": "names", "data": "bytes"}' "$@"
        in_ceph_alone ceph-mds -c "$ceph/conf" -i a -f >"$ceph/log/mds" 2>&1 &
        until_true 60 _ceph_serves || fail "no MDS: $(tail -n 1 "$ceph/log/mds")"
}

_ceph_serves() {
        ceph_ask mds.a '{"prefix": "status"}' | grep -q '"state": "up:active"'
}

ceph_host() {
        mkdir "$WORK/$1"
        # Who does not know how large the cluster is (nobody here counts) goes by the quota.
        in_ceph_alone ceph-fuse -c "$ceph/conf" --admin-socket "$ceph/$1.asok" --log-file "$ceph/log/$1" -f "$WORK/$1" \
                -o allow_other >"$ceph/log/$1.out" 2>&1 &
        # shellcheck disable=SC2034 # the case's
        ceph_host_pid=$!
        until_true 60 mountpoint -q "$WORK/$1" || fail "no mount: $(tail -n 1 "$ceph/log/$1.out")"
        /usr/bin/python3 -c 'import os, sys; os.setxattr(sys.argv[1], "ceph.quota.max_bytes", b"2000000000")' "$WORK/$1" ||
                fail "no quota"
}

ceph_session() {
        ceph_ask mds.a '{"prefix": "session ls"}' | /usr/bin/python3 -c '
import json, sys
print(*(s["id"] for s in json.load(sys.stdin) if s["client_metadata"].get("mount_point") == sys.argv[1]))' "$WORK/$1"
}

ceph_evict() {
        ceph_ask mds.a "{\"prefix\": \"client evict\", \"filters\": [\"id=$(ceph_session "$1")\"]}" >"$ceph/order.log"
}

ceph_gateway_start() {
        in_ceph_alone radosgw -c "$ceph/conf" -n client.rgw -f >>"$ceph/log/rgw" 2>&1 &
        # shellcheck disable=SC2034 # the case's
        ceph_gateway_pid=$!
}

ceph_gateway() {
        need curl
        export AWS_ACCESS_KEY_ID=AKIDlab AWS_SECRET_ACCESS_KEY=lab-secret
        ceph_gateway_start
        in_ceph radosgw-admin -c "$ceph/conf" -n client.rgw user create --uid=lab --display-name=lab \
                --access-key="$AWS_ACCESS_KEY_ID" --secret-key="$AWS_SECRET_ACCESS_KEY" >"$ceph/log/user" 2>&1 ||
                fail "no user: $(tail -n 3 "$ceph/log/user")"
        until_true 120 in_ceph curl -sf -o /dev/null -X PUT -H 'x-amz-content-sha256: UNSIGNED-PAYLOAD' \
                --user "$AWS_ACCESS_KEY_ID:$AWS_SECRET_ACCESS_KEY" --aws-sigv4 aws:amz:us-east-1:s3 http://127.0.0.1/lib ||
                fail "no bucket: $(tail -n 3 "$ceph/log/rgw")"
}

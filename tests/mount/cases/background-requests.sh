# SPDX-License-Identifier: MIT
# What the kernel sends at once of requests that nobody waits for: the number is all tenants' together.
need_root "the connection's control files"
start
connection=/sys/fs/fuse/connections/$(($(stat -c %d "$MNT") & 0xff | ($(stat -c %d "$MNT") >> 12) & 0xfff00))
if [ ! -d "$connection" ]; then
        mkdir control
        mount -t fusectl none control || skip "no control files"
        connection=control/${connection##*/}
fi
value "$connection/max_background" 24
value "$connection/congestion_threshold" 18
[ ! -d control ] || umount control

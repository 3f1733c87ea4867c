# SPDX-License-Identifier: MIT
# shellcheck shell=bash disable=SC2154
# What the crash tests share beyond helpers.sh. The moments of the kills come from IMAGEFS_SEED, which is printed.

RANDOM=${IMAGEFS_SEED:=$((RANDOM + 1))}
echo "IMAGEFS_SEED=$IMAGEFS_SEED"

# Kills the daemon at a random moment of the next MILLISECONDS.
crash_within() {
        sleep "$(printf '0.%04d' $((RANDOM * 10 * $1 / 32768)))"
        crash
}

# quota_is_true REGION-DIR: what is charged is what is there.
quota_is_true() {
        same "$(used "$1" private-images)" "$(find "$1/private" -mindepth 1 -maxdepth 1 | wc -l)" "images charged in $1"
        same "$(used "$1" snapshots)" "$(find "$1/snapshots" -mindepth 1 -maxdepth 1 | wc -l)" "snapshots charged in $1"
        same "$(used "$1" instances)" "$(find "$1/instances" -mindepth 1 -maxdepth 1 | wc -l)" "instances charged in $1"
        same "$(used "$1" disks)" "$(find "$1/disks" -mindepth 1 -maxdepth 1 | wc -l)" "disks charged in $1"
}

# Removes an image of the private class for good, with its snapshots: those that its import made go by themselves.
remove_image() {
        local dir=$1/private/$2 snapshots link
        snapshots=()
        for link in "$dir"/snapshots/*; do
                [ ! -L "$link" ] || snapshots+=("$(realpath "$link")")
        done
        ok rmdir "$dir"
        [ ! -d "$1/recycle/$2" ] || ok rmdir "$1/recycle/$2"
        for link in "${snapshots[@]}"; do
                [ ! -d "$link" ] || ok rmdir "$link"
        done
}

# Every few kills a clean stop, for `imagefs check` to look at what the crashes have left.
between_kills() {
        if [ $((i % 4)) = 0 ]; then
                stop
                check_store
                start
        fi
}

# store_gives_back FILE TYPE: with all but that one disk removed, the store is not larger than a new one with it,
# give or take a MiB of database and of what lies between live chunks. What the crashes left without a name goes at once.
store_gives_back() {
        local old=$STORE size fresh
        ok write "$MNT/info/limits" "unnamed-days 0"
        restart
        stop
        STORE=$WORK/fresh
        start
        two_regions
        import_raw "$R/private/only" "$1" "$2"
        restart
        stop
        size=$(du -sk "$old" | cut -f 1) fresh=$(du -sk "$STORE" | cut -f 1)
        STORE=$old
        [ "$size" -le $((fresh + 1024)) ] || fail "the store holds $size KiB, a new one $fresh: the crashes leak"
        start
}

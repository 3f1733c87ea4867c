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
                rmdir "$link" 2>/dev/null || [ ! -d "$link" ] || fail "$link stays: $(cat "$link/last-error")"
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

# held STORE: KiB, but for the databases, whose pages are used again, and the copies of one, of which there are a few.
held() {
        du -sk --exclude=catalogue --exclude='*.db*' "$1" | cut -f 1
}
_gives_back() {
        [ "$(held "$STORE")" -le $((fresh + 1024)) ]
}

# store_gives_back FILE TYPE: with all but that one disk removed, the store is not larger than a new one with it, give or
# take a MiB of what lies between live chunks. What the crashes left without a name goes at once.
store_gives_back() {
        local old=$STORE fresh
        ok write "$MNT/info/limits" "unnamed-days 0"
        stop
        STORE=$WORK/fresh
        start
        two_regions
        import_raw "$R/private/only" "$1" "$2"
        restart
        stop
        fresh=$(held "$STORE")
        STORE=$old
        start
        until_true 60 _gives_back || fail "the store holds $(held "$STORE") KiB, a new one $fresh: the crashes leak"
}

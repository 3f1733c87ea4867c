# SPDX-License-Identifier: MIT
# Many at once: imports, renames, deletions, copies and readers in one region; what each is told is what is there.
start
two_regions
raise_limits
for d in 1 2 3; do pattern "d$d.raw" 2M "$d"; done

worker() { # NUMBER
        local i image
        for i in 1 2 3 4 5; do
                image=$R/private/w$1-$i
                ok mkdir "$image"
                ok upload "d$((i % 3 + 1)).raw" "$image/upload"
                settle "$image"
                same_checksum "$image" "d$((i % 3 + 1)).raw"
                ok rename "$image" "$image-moved"
                ok mkdir "$image-moved/copies/cn-east-2"
                settle "$R2/private/w$1-$i-moved"
                [ $((i % 2)) = 0 ] || { settle "$image-moved"; ok rmdir "$image-moved"; }
        done
}
reader() {
        while [ ! -e enough ]; do
                # What is listed may be gone when it is looked at; nothing else may go wrong.
                find "$MNT" -type f ! -name '*.raw' -exec cat {} + 2>&1 >/dev/null |
                        grep -vE 'No such file|Stale file handle' && fail "a reader's error"
        done
        return 0
}

for n in 1 2 3 4; do worker "$n" & workers+=" $!"; done
reader & readers=$!
for pid in $workers; do wait "$pid" || fail "a worker failed"; done
: >enough
wait "$readers" || fail "a reader failed"

# Four workers with five each, three of them deleted.
same "$(ls "$R/private" | wc -l) $(ls "$R/recycle" | wc -l) $(ls "$R2/private" | wc -l)" "8 12 20" "images"
same "$(used "$R" private-images) $(used "$R2" private-images)" "8 20" "quota"
same "$(used "$R" snapshots) $(used "$R2" snapshots)" "20 20" "quota"

# One name, many who want it: one gets it.
for n in 1 2 3 4 5 6; do
        "$FSOP" mkdir "$R/private/wanted" >"got$n" &
        makers+=" $!"
done
for pid in $makers; do wait "$pid"; done
same "$(sort got? | uniq -c | sort -n | awk '{ print $1, $2 }' | tr '\n' ' ')" "1 ok 5 EEXIST " "who got the name"

# The last of a quota, likewise.
ok write "$R/quota" "private-images limit=10"
makers=
for n in 1 2 3 4 5 6; do
        "$FSOP" mkdir "$R/private/last$n" >"got$n" &
        makers+=" $!"
done
for pid in $makers; do wait "$pid"; done
same "$(sort got? | uniq -c | sort -n | awk '{ print $1, $2 }' | tr '\n' ' ')" "1 ok 5 EDQUOT " "who got the last place"

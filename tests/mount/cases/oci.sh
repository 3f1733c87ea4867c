# SPDX-License-Identifier: MIT
# oci/ of an image: a layout whose digests are right, the same each time; its pieces are the disks; the next release shares
# the layers of what it has not changed; skopeo takes it.
need jq
start
two_regions

# A disk of 10 MiB with zeros between, and the next release of it: three places changed, and one moved.
pattern noise 7M 3
truncate -s 10M one.raw
dd if=noise of=one.raw bs=1M count=5 conv=notrunc status=none
dd if=noise of=one.raw bs=1M skip=5 count=2 seek=7 conv=notrunc status=none
cp one.raw two.raw
head -c 3M /dev/urandom >new
dd if=new of=two.raw bs=1M seek=1 count=1 conv=notrunc status=none
dd if=new of=two.raw bs=1M seek=3 skip=1 count=1 conv=notrunc status=none
dd if=new of=two.raw bs=1M seek=8 skip=2 count=1 conv=notrunc status=none
dd if=/dev/zero of=two.raw bs=4K seek=1800 count=150 conv=notrunc status=none
dd if=one.raw of=two.raw bs=4K skip=1800 seek=1400 count=150 conv=notrunc status=none

# Before it has its disk, there is nothing to say.
ok mkdir "$R/private/one"
one=$R/private/one/oci
refused EBUSY "$R/private/one" stat "$one/index.json"
same "$(sentence_alone <"$R/private/one/last-error")" "one is queued: there are layers of it when it is available" "the sentence"
expect ENOENT stat "$one/nothing"
ok upload one.raw "$R/private/one/upload"
settle "$R/private/one"
same "$(ls -a "$R/private/one" | grep -c '^oci$')" 0 "oci is not listed"
same "$(ls "$one" "$one/blobs" | xargs)" "$one: blobs index.json oci-layout $one/blobs: sha256" "what is in it"
same "$(jq -c . "$one/oci-layout")" '{"imageLayoutVersion":"1.0.0"}' oci-layout

# blob DIR WHAT FROM: the file that jq finds with WHAT in file FROM.
blob() {
        echo "$1/blobs/sha256/$(jq -r "$2.digest | ltrimstr(\"sha256:\")" "$3")"
}
manifest() { blob "$1" ".manifests[${2:-0}]" "$1/index.json"; }
config() { blob "$1" .config "$(manifest "$1")"; }

# layout DIR: is what it holds what it says it holds?
layout() {
        local manifest config digests
        (cd "$1/blobs/sha256" && sha256sum -c <(for f in *; do echo "$f  $f"; done) >"$WORK/sums" 2>&1) || fail "$1: $(grep -v OK "$WORK/sums")"
        manifest=$(manifest "$1")
        config=$(config "$1")
        digests=$(jq -r '.layers[].digest' "$manifest")
        same "$(jq -r '.rootfs.diff_ids[]' "$config")" "$digests" "$1: the layers of the configuration"
        same "$(sort -u <<<"$digests" | wc -l)" "$(wc -l <<<"$digests")" "$1: each layer once"
        same "$(stat -c '%s sha256:%n' "$1"/blobs/sha256/* | sed 's|sha256:.*/|sha256:|' | sort)" "$(
                {
                        jq -r '.manifests[] | "\(.size) \(.digest)"' "$1/index.json"
                        jq -r '.config, .layers[] | "\(.size) \(.digest)"' "$manifest"
                } | sort)" "$1: sizes and digests"
}

# together DIR [NUMBER]: puts the disks of a layout's manifest together, as the page of the guide does.
together() {
        rm -rf unpacked
        mkdir unpacked
        jq -r '.layers[].digest | ltrimstr("sha256:")' "$(manifest "$@")" |
                while read -r layer; do tar -xf "$1/blobs/sha256/$layer" -C unpacked; done
        for map in unpacked/disks/*.map; do
                {
                        read -r _ size
                        truncate -s "$size" "${map%.map}.raw"
                        while read -r at piece; do
                                dd if="unpacked/pieces/$piece" of="${map%.map}.raw" bs=4K seek="$at" conv=notrunc status=none
                        done
                } <"$map"
        done
}

layout "$one"
together "$one"
cmp unpacked/disks/vda.raw one.raw || fail "the pieces are not the disk"
same "$(jq -r '.architecture + " " + .os' "$(config "$one")")" "amd64 linux" "for whom"

# It can be read, and nothing else.
blob=$(manifest "$one")
digest=${blob##*/}
expect ENOENT stat "$one/blobs/sha256/${digest:1}0"
expect ENOENT stat "$one/blobs/sha256/x"
unchanged "EROFS|EACCES" open w "$blob"
unchanged "EPERM|EACCES" open w "$one/index.json"
unchanged "EPERM|EACCES" unlink "$blob"
unchanged "EPERM|EACCES" mkdir "$one/blobs/sha512"
unchanged "EPERM|EACCES" rmdir "$one/blobs"
unchanged "EPERM|EACCES" rename "$one" "$R/private/one/other"

# The same after a remount, and in another region; another platform is another image of the same layers.
listed() { (cd "$1" && ls -i blobs/sha256 && stat -c %Y blobs/sha256/* && sha256sum index.json); }
before=$(listed "$one")
restart
same "$(sha256sum "$blob")" "$digest  $blob" "a file of it, after a remount"
same "$(listed "$one")" "$before" "after a remount"
ok mkdir "$R/private/one/copies/cn-east-2"
settle "$R2/private/one"
cmp "$R2/private/one/oci/index.json" "$one/index.json" || fail "the copy is another image"
ok write "$R/private/one/architecture" aarch64
same "$(jq -r .architecture "$(config "$one")")" arm64 "for whom"
layout "$one"
same "$(ls "$one/blobs/sha256" | sort - <(ls "$R2/private/one/oci/blobs/sha256") | uniq -u | wc -l)" 4 "manifests and configurations"
ok write "$R/private/one/architecture" x86_64
same "$(manifest "$one")" "$blob" "as it was"

# Of the next release nothing is new but what changed: bytes of files that the first has not, at most half as much again.
ok mkdir "$R/private/two"
ok upload two.raw "$R/private/two/upload"
settle "$R/private/two"
two=$R/private/two/oci
layout "$two"
new=0 files=0
for file in "$two"/blobs/sha256/*; do
        [ ! -e "$one/blobs/sha256/${file##*/}" ] || continue
        new=$((new + $(stat -c %s "$file")))
        files=$((files + 1))
done
[ $new -le $((3 * 3 << 19)) ] || fail "$new bytes are to be sent for 3 MiB"
[ $new -ge $((3 << 20)) ] || fail "$new bytes are too few"

# Recycled it can be read as its disks can.
ok rmdir "$R/private/two"
cmp "$R/recycle/two/oci/index.json" <(cat "$R/recycle/two/oci/index.json") || fail "index.json in the recycle bin"
ok rename "$R/recycle/two" "$R/private/two"

# A machine's image, whose map was made of parts of others, is the same image as the same bytes imported.
ok mkdir "$R/instances/vm"
ok write "$R/instances/vm/image" private/one
dd if=two.raw of="$R/instances/vm/disks/vda.raw" bs=1M conv=notrunc status=none || fail "writing the machine's disk"
ok mkdir "$R/instances/vm/images/captured"
settle "$R/private/captured"
cmp "$R/private/captured/oci/index.json" "$two/index.json" || fail "the captured image is another"

# Who gives up is gone at once, and nobody else waits for what is being read.
if command -v strace >/dev/null; then
        slow_segments() {
                local segment only=()
                while read -r segment; do only+=(-P "$segment"); done < <(find "$STORE" -name '*.seg')
                strace -f -qq -o strace.log -p "$daemon_pid" "${only[@]}" -e trace=pread64 \
                        -e inject=pread64:delay_enter=200000 2>strace.err &
                slow_pid=$!
                until_true 5 _traced || skip "strace cannot attach: $(tail -n 1 strace.err)"
        }
        restart
        slow_segments
        "$FSOP" stat "$two/blobs/sha256/x" >answer 2>&1 &
        asked=$!
        until_true 10 test -s strace.log || fail "nothing is read"
        same "$(ls "$R/private" | xargs)" "captured one two" "a listing meanwhile"
        kill -KILL $asked
        { until_true 20 _ended $asked; } 2>/dev/null || fail "it is read on when nobody waits for it"
        fast_disk
        layout "$two"
fi

# skopeo takes it to an archive and to a layout, into which the next release brings what is new alone; and from there it
# comes back, compressed.
command -v skopeo >/dev/null || skip "no skopeo"
export _CONTAINERS_ROOTLESS_UID=1 XDG_DATA_HOME=$WORK/skopeo # where it remembers what it has seen
sk() { run skopeo --insecure-policy "$@"; }
sk copy "oci:$one" docker-archive:one.tar:one:1 >/dev/null
same "$(tar -xOf one.tar manifest.json | jq '.[0].Layers | length')" "$(jq '.layers | length' "$blob")" "layers of the archive"
sk copy "oci:$one" oci:away:one >/dev/null
kept=$(ls away/blobs/sha256 | wc -l)
sk copy "oci:$two" oci:away:two >/dev/null
same $(($(ls away/blobs/sha256 | wc -l) - kept)) $files "what came with the next release"
together away 1
cmp unpacked/disks/vda.raw two.raw || fail "what comes back is not the disk"

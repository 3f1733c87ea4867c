# SPDX-License-Identifier: MIT
# Instances from images: both ways to make one, what it says of itself, that it moves no bytes, and what is refused.
start
two_regions
cloud_image web
web=$R/private/web
instances=$R/instances
stored=$(keyed "$MNT/info/store" stored-bytes)

# Below the image.
ok mkdir "$web/instances/vm1"
vm=$instances/vm1
[[ $(cat "$vm/id") == i-?* ]] || fail "id: $(cat "$vm/id")"
for line in "name vm1" "description " "status stopped" "type cloud" "image private/web" "owner $(id -un)" "power " \
        "attach " "detach " "password " "ssh-keys " "hostname " "user-data " "network-config " "image-disks all" "last-error " "wait stopped"; do
        value "$vm/${line%% *}" "${line#* }"
done
same "$(ls "$vm/disks")" vda.raw "disks"
same "$(ls "$vm/images")$(cat "$vm/used-by")" "" "images and used-by"
value "$vm/device-mapping" "/dev/vda system disk:$(cat "$R/disks/vm1-vda/id") 3145728"
same_disk "$vm/disks/vda.raw" web.raw
diff <("$FSOP" extents "$vm/disks/vda.raw") <("$FSOP" data-runs web.raw) || fail "extents"
same "$(stat -c '%F %a %s' "$vm/disks/vda.raw")" "regular file 600 3145728" "the disk"
same "$(stat -c %a "$vm")" 700 "an instance is its owner's"
same "$(ls "$web/instances")" vm1 "the image shows it"
value "$web/instances/vm1/id" "$(cat "$vm/id")"
value "$web/used-by" "instance instances/vm1"

# What keeps the image is named, as far as a sentence can hold it.
kept() {
        refused EBUSY "$web" rmdir "$web"
        [[ $(cat "$web/last-error") == *"$1" ]] || fail "not '$1' but: $(cat "$web/last-error")"
}
kept "web: the instance vm1 was made from it (used-by says which): remove it first, or write none to its image"
for n in 7 8; do ok mkdir "$web/instances/vm$n"; done
kept "web: the instances vm1, vm7 and vm8 were made from it (used-by says which): remove them first, or write none to their image"
ok mkdir "$web/instances/vm9"
kept "web: the instances vm1, vm7, vm8 and 1 more were made from it (used-by says which): remove them first, or write none to their image"
for n in 7 8 9; do ok rmdir "$instances/vm$n"; done

# On its own, and then of an image, by path or by id.
ok mkdir "$instances/vm2"
value "$instances/vm2/status" stopped
value "$instances/vm2/image" ""
value "$instances/vm2/device-mapping" ""
same "$(ls "$instances/vm2/disks")" "" "no disks yet"
refused EBUSY "$instances/vm2" write "$instances/vm2/power" start
refused EBUSY "$instances/vm2" mkdir "$instances/vm2/images/x"
refused EBUSY "$instances/vm2" write "$instances/vm2/type" local
refused EBUSY "$instances/vm2" write "$instances/vm2/hostname" vm2
for image in private/nothing secret/web web img-nothing /web private/; do
        refused ENOENT "$instances/vm2" write "$instances/vm2/image" "$image"
done
ok write "$instances/vm2/image" private/web
same_disk "$instances/vm2/disks/vda.raw" web.raw
ok mkdir "$instances/vm3"
ok write "$instances/vm3/image" "$(cat "$web/id")"
value "$instances/vm3/image" private/web
value "$web/used-by" "instance instances/vm1
instance instances/vm2
instance instances/vm3"
same "$(keyed "$MNT/info/store" stored-bytes)" "$stored" "clones take no space"

# From a local image: the system disk is the instance's own.
local_image lo 2M
ok mkdir "$R/private/lo/instances/own"
value "$instances/own/type" local
same "$(ls "$R/disks")" $'vm1-vda\nvm2-vda\nvm3-vda' "the disks of the region"
[[ $(cat "$instances/own/device-mapping") == "/dev/vda system local:"*" 2097152" ]] || fail "$(cat "$instances/own/device-mapping")"
same_disk "$instances/own/disks/vda.raw" lo.raw
refused EOPNOTSUPP "$instances/own" write "$instances/own/type" cloud
refused EOPNOTSUPP "$vm" write "$vm/type" local
refused EINVAL "$vm" write "$vm/type" both
ok write "$vm/type" cloud # as it is

# Refusals of making one.
ok mkdir "$R/private/queued"
refused EBUSY "$R/private/queued" mkdir "$R/private/queued/instances/vm9"
refused EBUSY "$instances/vm2" write "$instances/vm2/image" private/queued
refused EEXIST "$web" mkdir "$web/instances/own"
unchanged EEXIST mkdir "$web/instances/vm1"
unchanged EEXIST mkdir "$instances/vm1"
long=$(printf 'x%.0s' {1..129})
for name in .hidden $'a\tb' $'\xff'; do refused EINVAL - mkdir "$instances/$name"; done
refused "EINVAL|ENAMETOOLONG" - mkdir "$instances/$long"
refused EINVAL "$web" mkdir "$web/instances/.hidden"
ok mkdir "$R2/private/east"
expect ENOENT write "$vm/image" private/east
for file in id status owner created device-mapping seed.iso; do expect "EACCES|EPERM" write "$vm/$file" x; done
expect "EPERM|EROFS|EACCES" create "$vm/disks/vdb.raw" x
expect "EPERM|EACCES" mkdir "$vm/disks/vdb"
expect "EPERM|EROFS" unlink "$vm/disks/vda.raw"

# The same name at the same time: one of them gets it.
racers=()
for i in 1 2 3 4 5 6; do
        "$FSOP" mkdir "$web/instances/race" >"race$i" &
        racers+=($!)
done
wait "${racers[@]}"
same "$(cat race? | grep -c ^ok)" 1 "$(cat race?)"
same "$(cat race? | grep -c ^EEXIST)" 5 "$(cat race?)"
same "$(ls "$R/disks" | grep -c race)" 1 "the others left no disk"

# Names.
ok write "$vm/name" "The web"
ok write "$vm/description" $'two\nlines'
ok rename "$vm" "$instances/web-1"
vm=$instances/web-1
value "$vm/description" $'two\nlines'
refused EEXIST "$vm" rename "$vm" "$instances/vm2"
refused EPERM "$vm" rename "$vm" "$R2/instances/vm1"
refused EPERM "$vm" rename "$vm" "$R/private/vm1"

tree_contents >before
restart
tree_contents >after
cmp before after || fail "$(diff before after | head)"

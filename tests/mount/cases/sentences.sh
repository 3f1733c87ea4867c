# SPDX-License-Identifier: MIT
# What a refusal says, word for word: what it is about, the number where there is one, and the way out that there is.
. "$lib/users.sh"
A=12001 B=12002
users 0 $A $B
start -o allow_other
two_regions
pattern disk.raw 1M 5
chmod 644 disk.raw
web=$R/private/web

# says UID ERRNO SENTENCE OP …
says() {
        local last
        by "$1" expect "$2" "${@:4}"
        last=$(as "$1" tail -n 1 "$MNT/info/errors")
        [[ $last == *": $3" ]] || fail "${*:4}: not '$3' but: $last"
}

by $A ok mkdir "$web"
by $A ok write "$web/type" local
nothing="web has no data yet that the recycle bin could keep: rmdir removes it"
says $A EBUSY "$nothing" rename "$web" "$R/recycle/web"
by $A ok upload "$WORK/disk.raw" "$web/upload"
settle "$web"
by $A ok write "$web/convert" cloud
settle "$R/private/web-cloud"

# What a machine keeps.
by $A ok mkdir "$web/instances/vm"
says $A EINVAL "vda is the system disk, which stays: it goes with its instance (rmdir), and writing image makes a new one" \
        write "$R/instances/vm/detach" vda
says $A EBUSY "web: the instance vm was made from it (used-by says which): remove it first, or write none to its image" \
        rmdir "$web"
by $A ok mkdir "$web/instances/vm2"
says $A EBUSY "web: the instances vm and vm2 were made from it (used-by says which): remove them first, or write none to their image" \
        rmdir "$web"
for vm in vm3 vm4; do by $A ok mkdir "$web/instances/$vm"; done
says $A EBUSY "web: the instances vm, vm2, vm3 and 1 more were made from it (used-by says which): remove them first, or write none to their image" \
        rmdir "$web"
by $A ok mkdir "$R/private/web-cloud/instances/cloudy"
says $A EBUSY "cloudy-vda is the system disk of cloudy, and goes with that (rmdir instances/cloudy)" \
        rmdir "$R/disks/cloudy-vda"
says $A EBUSY "web: the image private/web-cloud refers to it: remove that first" rmdir "$R/snapshots/web"

# Limits: what is used, what may be, and what helps.
ok write "$R/quota" "$A private-images limit=2"
says $A EDQUOT "cn-north-1 has 2 of 2 private images for $A: delete one, or have the limit raised" mkdir "$R/private/x"
ok write "$R/quota" "$A private-images limit=1"
says $A EDQUOT "cn-north-1 has 2 of 1 private image for $A: delete 2, or have the limit raised" mkdir "$R/private/x"
ok write "$R/quota" "$A private-images limit=0"
says $A EDQUOT "cn-north-1 has 2 of 0 private images for $A: have the limit raised" mkdir "$R/private/x"
ok write "$R/quota" "$A private-images limit=9"

# What a region holds, and nothing else.
ok mkdir "$R2/private/only"
says 0 EBUSY "cn-east-2 cannot be removed while it holds 1 image: remove it first" rmdir "$R2"
ok mkdir "$R2/private/second"
ok mkdir "$R2/disks/d"
says 0 EBUSY "cn-east-2 keeps its store while it holds 2 images and 1 disk: remove them first" write "$R2/store" "$WORK"
ok mkdir "$R2/instances/vm"
says 0 EBUSY "cn-east-2 cannot be removed while it holds 2 images, 1 disk and 1 instance: remove them first" rmdir "$R2"
for thing in private/only private/second instances/vm disks/d; do ok rmdir "$R2/$thing"; done

# Another's, and what is shared.
by $A ok mkdir "$R/private/web-cloud/shares/$B"
shared="web-cloud is shared with you, and only its owner copies and shares it: ask $A"
says $B EPERM "$shared" mkdir "$R/shared/web-cloud/copies/cn-east-2"
says $B EPERM "$shared" mkdir "$R/shared/web-cloud/shares/$A"
says $B EPERM "web-cloud: ask $A to convert it and share it again" write "$R/shared/web-cloud/convert" cloud
says $B EACCES "web-cloud is somebody else's" write "$R/batch" "copy cn-east-2 web-cloud"
says $B EPERM "web: only its owner and the administrator remove it" rmdir "$web"
says $A EOPNOTSUPP "web-cloud is a cloud image: only local images are converted" write "$R/private/web-cloud/convert" cloud

# Where nothing is made: what would be.
says 0 EPERM "recycle: images come here when they are deleted; make them in private" mkdir "$R/recycle/x"
says 0 EPERM "directories cannot be made here: a snapshot is taken with mkdir disks/<disk>/snapshots/<name>" \
        mkdir "$R/snapshots/x"
says 0 EPERM "directories cannot be made here: tasks are made by operations, such as mkdir private/<image>/copies/<region>" \
        mkdir "$MNT/tasks/x"
says 0 EPERM "links cannot be made here: an image is made with mkdir <name>, or with cp of a disk file such as web.qcow2" \
        symlink a "$R/private/x"
by $A ok mkdir "$R/disks/spare"
says $A EPERM "there is one of that name, which holds no other: choose a name that is free" \
        rename "$R/disks/spare" "$R/disks/cloudy-vda/spare"
by $A ok rmdir "$R/disks/spare"
for file in upload import-url; do
        says $A EPERM "the upload has ended: make another image for another one, with mkdir private/<name>" \
                create "$web/$file" x
done
says 0 EINVAL "x.iso: ISO files go into iso/, and only those" create "$R/private/x.iso" x
says 0 EINVAL "x.qcow2: ISO files go into iso/, and only those" create "$R/iso/x.qcow2" x
says $A EINVAL "web: an image is deleted under its own name: mv it into recycle/" rename "$web" "$R/recycle/other"

# Ids come with names.
task=$(task_of "$web" convert)
value "$task/image" "$(cat "$web/id") private/web"
same "$(keyed "$web/convert" image)" "$(cat "$R/private/web-cloud/id") private/web-cloud" "convert"

# The help has every word that one meets, and the tree explains each file.
for word in type disks snapshots 'attach, detach' power image-disks seed.iso cdrom warnings batch copy-targets used-by \
        family lifecycle protected changed info/events; do
        grep -q "^  $word " "$MNT/README" || fail "README does not say what $word is"
done
for word in virtio cloud-init virt-sysprep 'qemu-img convert' 'imagefs --print-tree' quota import-url recycle metadata.json \
        disks/vdb; do
        grep -qF -- "$word" "$MNT/README" || fail "README has no word of $word"
done
"$IMAGEFS" --print-tree >tree || fail "--print-tree"
"$IMAGEFS" --print-tree instances >instances || fail "--print-tree instances"
for dir in "$R" "$web" "$R/instances/vm" "$R/disks/cloudy-vda" "$R/snapshots/web" "$task" "$MNT/info"; do
        for file in "$dir"/*; do
                [ -L "$file" ] || grep -qE "^ *${file##*/}/? " tree || fail "--print-tree does not explain $file"
        done
done
for file in "$R/instances/vm"/*; do
        grep -qE "^ *${file##*/}/? " instances || fail "--print-tree instances does not explain $file"
done

# SPDX-License-Identifier: MIT
# Other hypervisors' formats come out as the disk that went in; or, where a build lacks one, are refused with a sentence and never
# stored as if they were raw.
need qemu-img
start
two_regions
raise_limits
pattern disk.raw 6M 33
for form in vmdk vmdk:subformat=streamOptimized vdi vdi:static=on vhdx vhdx:subformat=fixed vpc vpc:subformat=fixed; do
        format=${form%%:*} options=
        [ "$form" = "$format" ] || options=${form#*:}
        name=${form//[:=]/-}
        qemu-img convert -O "$format" ${options:+-o "$options"} disk.raw "$name" 2>err ||
                { echo "note: this qemu-img cannot make $form: $(cat err)"; continue; }
        image=$R/private/$name
        ok mkdir "$image"
        answer=$("$FSOP" upload "$name" "$image/upload")
        if [ "$answer" = ok ]; then
                settle "$image"
                [ "$(cat "$image/format")" != raw ] || fail "$form was stored as raw"
                run qemu-img compare -q -f "$format" -F raw "$name" "$image/disks/vda.raw"
                run cmp -n "$(stat -c %s disk.raw)" disk.raw "$image/disks/vda.raw"
        else
                same "$answer" "EINVAL close" "upload of $form"
                value "$image/status" error
                [[ $(cat "$image/error") == *' '* ]] || fail "$form: no reason"
        fi
done

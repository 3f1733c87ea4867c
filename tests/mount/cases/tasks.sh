# SPDX-License-Identifier: MIT
# tasks/: what it says of an operation, and forgetting.
start
two_regions
same "$(ls "$MNT/tasks")" "" "no tasks yet"
cloud_image web 2M
web=$R/private/web
task=$(task_of "$web" import) || fail "no task for the import"
value "$task/kind" import
value "$task/status" "done"
value "$task/region" cn-north-1
value "$task/owner" "$(id -un)"
value "$task/error" ""
same "$(keyed "$task/progress" percent)" 100 "progress"
for file in created started finished; do
        [[ $(cat "$task/$file") =~ ^20[0-9]{2}-[0-9]{2}-[0-9]{2}T[0-9:.]+Z$ ]] || fail "$file is $(cat "$task/$file")"
done
[[ ! $(cat "$task/finished") < $(cat "$task/created") ]] || fail "finished before it began"

ok mkdir "$web/copies/cn-east-2"
settle "$R2/private/web"
same "$(ls "$MNT/tasks" | wc -l)" 2 "tasks"

# One that fails says why.
ok mkdir "$R/private/cut"
pattern big.raw 2M 4
if command -v qemu-img >/dev/null; then
        qemu-img convert -O qcow2 big.raw big.qcow2
        head -c $(($(stat -c %s big.qcow2) / 2)) big.qcow2 >cut.qcow2
        "$FSOP" upload cut.qcow2 "$R/private/cut/upload" >/dev/null
        settle "$R/private/cut" error
        if failed=$(task_of "$R/private/cut" import); then
                value "$failed/status" error
                [[ $(cat "$failed/error") == *' '* ]] || fail "no reason"
        fi
fi

# The oldest come first, whatever their ids.
made=("$(basename "$task")" "$(basename "$(task_of "$web" copy)")")
pattern small.raw 64K 5
for name in a b c; do
        import_raw "$R/private/$name" small.raw
        made+=("$(basename "$(task_of "$R/private/$name" import)")")
done
same "$(ls -U "$MNT/tasks" | grep -vx "$(basename "${failed:--}")")" "$(printf '%s\n' "${made[@]}")" "the order of tasks/"

refused EPERM - mkdir "$MNT/tasks/new"
refused EPERM - rename "$task" "$MNT/tasks/other"

# They survive a remount; what ended can be forgotten, the image stays.
id=$(basename "$task")
restart
value "$MNT/tasks/$id/status" "done"
ok rmdir "$MNT/tasks/$id"
expect ENOENT stat "$MNT/tasks/$id"
value "$web/status" available
value "$web/copies/cn-east-2/status" "done"
restart
expect ENOENT stat "$MNT/tasks/$id"

/* SPDX-License-Identifier: MIT */

#include "model/check_rules.h"

#include "model/core/blob_row.h"
#include "model/core/task_kinds.h"
#include "model/core/whose.h"

#define IMAGE_IS "'image ' || image.ident || ' (' || image.handle || ')'"

/* A case of SQL for each kind of task. */
#define MAKES(kind, word, lane, disks, of, shown, doing, from, makes, ...)            " WHEN '" word "' THEN " makes
#define CHECKED(kind, word, lane, disks, of, shown, doing, from, makes, checked, ...) " WHEN '" word "' THEN " checked

const char *const check_sql[] = {
        [CHECK_USAGE] = "SELECT 'quota: user ' || uid || ' has ' || sum(counted) || ' ' || key || ' in region '"
                        " || region || ', but ' || sum(used) || ' are counted' FROM ("
                        "SELECT region, uid, key, used, 0 AS counted FROM usage"
                        " UNION ALL SELECT region, uid, 'private-images', 0, 1 FROM image WHERE class = 'private'"
                        " OR class = 'iso' AND uid <> 0"
                        " UNION ALL SELECT region, uid, 'snapshots', 0, 1 FROM snapshot"
                        " UNION ALL SELECT region, uid, 'shared-images', 0, 1 FROM share"
                        " UNION ALL SELECT region, uid, 'instances', 0, 1 FROM instance"
                        " UNION ALL SELECT region, uid, 'disks', 0, iif(handle IS NOT NULL, 1, 0) FROM volume"
                        " UNION ALL SELECT region, uid, 'disk-bytes', 0, size FROM volume)"
                        " GROUP BY region, uid, key HAVING sum(used) <> sum(counted)",
        [CHECK_IN_WORK] = "SELECT " IMAGE_IS " || ' is ' || image.status || ', but no task works on it' FROM image"
                          " WHERE image.status IN ('pending', 'replicating') AND NOT EXISTS"
                          " (SELECT 1 FROM task WHERE task.status IN ('queued', 'running')"
                          " AND (task.image = image.id OR task.result = image.id))",
        [CHECK_COMPLETE] = "SELECT " IMAGE_IS " || ' is available, but has no bytes for ' || ifnull(device, 'any disk')"
                           " FROM image LEFT JOIN image_disk ON image_disk.image = image.id"
                           " LEFT JOIN snapshot ON snapshot.id = image_disk.snapshot"
                           " WHERE (image.status = 'available'"
                           " OR (image.status = 'deleted' AND image.restore_status = 'available'))"
                           " AND image_disk.blob IS NULL AND snapshot.blob IS NULL",
        [CHECK_ONE_SOURCE] = "SELECT " IMAGE_IS " || ': ' || device || ' has a snapshot and bytes of its own'"
                             " FROM image JOIN image_disk ON image_disk.image = image.id"
                             " WHERE image_disk.snapshot IS NOT NULL AND image_disk.blob IS NOT NULL",
        [CHECK_RECYCLED] = "SELECT " IMAGE_IS " || ' is ' || status || ', but in ' || class FROM image"
                           " WHERE (class = 'recycle') <> (status = 'deleted')",
        [CHECK_DELETING] = "SELECT " IMAGE_IS " || ' was half removed' FROM image WHERE status = 'deleting'",
        [CHECK_CREATING] = "SELECT 'snapshot ' || ident || ' (' || handle || ') is being created, but nothing makes it'"
                           " FROM snapshot WHERE status = 'creating' AND NOT EXISTS (SELECT 1 FROM image_disk"
                           " JOIN image ON image.id = image_disk.image WHERE image_disk.snapshot = snapshot.id"
                           " AND image.status IN ('queued', 'uploading', 'pending', 'replicating'))"
                           " AND NOT EXISTS (SELECT 1 FROM task WHERE task.snapshot = snapshot.id"
                           " AND task.status IN ('queued', 'running'))",
        [CHECK_UNNAMED] = "SELECT 'blob ' || lower(hex(key)) || ' is kept, but nothing names it' FROM blob"
                          " WHERE NOT EXISTS (SELECT 1 FROM snapshot WHERE snapshot.blob = blob.id)"
                          " AND NOT EXISTS (SELECT 1 FROM image_disk WHERE image_disk.blob = blob.id)"
                          " AND NOT EXISTS (SELECT 1 FROM volume WHERE volume.base = blob.id)"
                          " AND NOT EXISTS (SELECT 1 FROM reap WHERE reap.blob = blob.id)",
        [CHECK_TASK] = "SELECT 'task ' || task.ident || ' is ' || task.status || ', but what it makes is '"
                       " || ifnull(image.status, 'gone') FROM task"
                       " LEFT JOIN image ON image.id = CASE task.kind" TASK_KINDS(MAKES) " END"
                       " LEFT JOIN snapshot ON snapshot.id = task.snapshot"
                       " WHERE task.status IN ('queued', 'running')"
                       " AND NOT ifnull(CASE task.kind" TASK_KINDS(CHECKED) " END, 0)",
        [CHECK_INSTANCE] = "SELECT 'instance ' || ident || ' (' || handle || ') has an image, but no system disk'"
                           " FROM instance WHERE image IS NOT NULL AND NOT EXISTS (SELECT 1 FROM volume"
                           " WHERE volume.instance = instance.id AND volume.role = 'system')",
        [CHECK_SHARE] = "SELECT " IMAGE_IS " || ' is shared with user ' || share.uid || ', but ' || CASE"
                        " WHEN image.class <> 'private' THEN 'is in ' || image.class"
                        " WHEN image.uid = share.uid THEN 'is hers' ELSE 'in another region' END"
                        " FROM share JOIN image ON image.id = share.image"
                        " WHERE image.class <> 'private' OR image.uid = share.uid OR image.region <> share.region",
        [CHECK_SIZE] = "SELECT " IMAGE_IS " || ' is said to have ' || image.size || ' bytes, but has '"
                       " || ifnull(sum(blob.size), 0) FROM image LEFT JOIN image_disk ON image_disk.image = image.id"
                       " LEFT JOIN snapshot ON snapshot.id = image_disk.snapshot"
                       " LEFT JOIN blob ON blob.id = ifnull(snapshot.blob, image_disk.blob)"
                       " GROUP BY image.id HAVING image.size <> ifnull(sum(blob.size), 0)",
        [CHECK_BLOBS] = "SELECT id, key, " BLOB_INFO_COLUMNS " FROM blob WHERE store = ?1",
        [CHECK_BLOB_ID] = "SELECT id FROM blob WHERE store = ?1 AND key = ?2",
        [CHECK_DISKS] = "SELECT " DISK_IS ", key, size" FROM_DISKS " WHERE region.store = ?1 AND key IS NOT NULL"
                        " AND made = 1 AND (volume.place IS NULL OR volume.place = ?2)",
        [CHECK_NAMES_DISK] = "SELECT EXISTS (SELECT 1 FROM volume JOIN region ON region.id = volume.region"
                             " WHERE region.store = ?1 AND key = ?2)"
                             " OR EXISTS (SELECT 1 FROM trash WHERE store = ?1 AND key = ?2)",
        [CHECK_REGION] = "SELECT id, handle FROM region WHERE store = ?1 ORDER BY handle LIMIT 1",
};

const struct db_statements check_rules_statements = DB_STATEMENTS(check_sql);

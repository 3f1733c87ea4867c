/* SPDX-License-Identifier: MIT */
/* Images that are being made. */

#include "model/image/making.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "blobstore/base/strbuf.h"
#include "model/core/quota_row.h"
#include "model/core/task_row.h"
#include "model/image/snapshot_row.h"

enum { OWN_SNAPSHOTS };

static const char *const making_sql[] = {
        /* Those that its import made (of it they say it), and no other image refers to. */
        [OWN_SNAPSHOTS] = "SELECT snapshot.id FROM image JOIN image_disk ON image_disk.image = image.id "
                          "JOIN snapshot ON snapshot.id = image_disk.snapshot WHERE image.id = ?1 "
                          "AND snapshot.status = 'available' AND snapshot.source = 'image:' || image.ident "
                          "AND snapshot.uid = image.uid AND NOT EXISTS (SELECT 1 FROM image_disk AS other "
                          "WHERE other.snapshot = snapshot.id AND other.image <> image.id)",
};
const struct db_statements making_statements = DB_STATEMENTS(making_sql);

int making_refuse_busy(struct db_txn *t, const struct image *source, struct diag *diag)
{
        char whose[NAME_LEN_MAX + sizeof(" is")];
        struct task task;
        int r;

        r = task_active_of_image(t, source->o.id, &task);
        if (r == -ENOENT)
                return 0;
        if (r < 0)
                return r;

        (void)snprintf(whose, sizeof(whose), "%s is", source->o.handle);
        return task_refuse(&task, source->o.id, whose, diag);
}

int making_check_quota(struct db_txn *t, uint64_t region, uid_t uid, uint64_t images, uint64_t snapshots,
                       struct diag *diag)
{
        int r;

        r = quota_check(t, region, uid, LIMIT_PRIVATE_IMAGES, images, diag);
        return r < 0 ? r : quota_check(t, region, uid, LIMIT_SNAPSHOTS, snapshots, diag);
}

void making_take_over(struct image *image, const struct object *origin, enum image_verb verb)
{
        image->o.uid = origin->uid;
        image->o.gid = origin->gid;
        image->o.mode = origin->mode;
        image->status = image_life_begins(verb);
        image->error[0] = '\0';
}

/*
 * Is the disk a snapshot, or the image's own bytes? Data disks are, but for ISOs, and the system disks of cloud images
 * and of those that are both.
 */
static bool disk_is_snapshot(const struct image *image, size_t number)
{
        return image->class != CLASS_ISO && (number > 0 || image->type != TYPE_LOCAL);
}

int making_add_snapshot(struct db_txn *t, const struct image *image, const char *source, struct changes *ch,
                        uint64_t *ret)
{
        struct snapshot snapshot = { .region = image->region };
        int r;

        static_assert(sizeof(snapshot.name) == sizeof(image->name) && sizeof(snapshot.o.handle) == sizeof(image->name),
                      "names are copied whole");
        memcpy(snapshot.o.handle, image->name, sizeof(snapshot.o.handle));
        memcpy(snapshot.name, image->name, sizeof(snapshot.name));
        (void)snprintf(snapshot.source, sizeof(snapshot.source), "%s", source);
        snapshot.o.uid = image->o.uid;
        snapshot.o.gid = image->o.gid;
        snapshot.o.mode = image->o.mode;

        r = snapshot_insert(t, &snapshot);
        if (r < 0)
                return r;

        changes_add(ch, OBJECT_SNAPSHOT, snapshot.o.id);
        *ret = snapshot.o.id;
        return 0;
}

int making_add_disks(struct db_txn *t, const struct image *image, size_t from, size_t to, struct changes *ch,
                     struct diag *diag)
{
        struct strbuf source CLEANUP_STRBUF = { 0 };
        size_t snapshots = 0;
        int r;

        /* What is for everybody counts against nobody's limit. */
        for (size_t i = from; i < to && image->class == CLASS_PRIVATE; i++)
                snapshots += disk_is_snapshot(image, i);

        r = quota_check(t, image->region, image->o.uid, LIMIT_SNAPSHOTS, snapshots, diag);
        if (r < 0)
                return r;

        strbuf_addf(&source, "image:%s", image->ident);

        for (size_t i = from; i < to; i++) {
                const char device[] = { 'v', 'd', (char)('a' + i), '\0' };
                uint64_t snapshot = 0;

                if (disk_is_snapshot(image, i)) {
                        r = making_add_snapshot(t, image, strbuf_text(&source), ch, &snapshot);
                        if (r < 0)
                                return r;
                }

                r = image_disk_insert(t, image->o.id, device, i == 0, snapshot, 0);
                if (r < 0)
                        return r;
        }

        return 0;
}

int making_erase_disk(struct db_txn *t, const struct disk_ref *disk, struct changes *ch)
{
        struct snapshot snapshot;
        int r;

        if (disk->snapshot == 0)
                return 0;

        r = snapshot_load(t, disk->snapshot, &snapshot);
        if (r < 0 || snapshot.available)
                return r;

        r = image_disk_set(t, disk->id, 0, 0);
        if (r < 0)
                return r;

        r = snapshot_erase(t, disk->snapshot);
        if (r < 0)
                return r;

        changes_add(ch, OBJECT_SNAPSHOT, disk->snapshot);
        return 0;
}

int making_erase_snapshots(struct db_txn *t, uint64_t image, struct changes *ch)
{
        struct disk_list disks;
        int r;

        r = disk_list_load(t, image, &disks);
        for (size_t i = 0; r == 0 && i < disks.n; i++)
                r = making_erase_disk(t, &disks.disk[i], ch);
        return r;
}

int making_set_blob(struct db_txn *t, const struct disk_ref *disk, uint64_t blob, struct changes *ch)
{
        if (!disk->snapshot)
                return image_disk_set(t, disk->id, 0, blob);

        changes_add(ch, OBJECT_SNAPSHOT, disk->snapshot);
        return snapshot_set_blob(t, disk->snapshot, blob);
}

int making_fill_disk(struct db_txn *t, const struct disk_ref *disk, uint64_t store, const struct blob *b,
                     struct changes *ch)
{
        uint64_t row;
        int r;

        r = blob_row_insert(t, store, b, &row);
        return r < 0 ? r : making_set_blob(t, disk, row, ch);
}

int making_fail(struct db_txn *t, uint64_t id, const char *sentence, struct changes *ch)
{
        struct image image;
        int r;

        r = image_load(t, id, &image);
        if (r < 0)
                return r;

        r = image_life_apply(t, &image, VERB_FAIL, NULL);
        if (r < 0)
                return r;

        r = making_erase_snapshots(t, id, ch);
        if (r < 0)
                return r;

        changes_add(ch, OBJECT_IMAGE, id);
        return image_set_error(t, id, sentence);
}

struct id_list {
        uint64_t id[DISKS_MAX];
        size_t n;
};

static int take_id(void *ctx, const struct db_row *row)
{
        struct id_list *list = ctx;

        if (list->n == DISKS_MAX)
                return -E2BIG;
        list->id[list->n++] = (uint64_t)db_row_int(row, 0);
        return 0;
}

int making_destroy(struct db_txn *t, uint64_t id, struct changes *ch)
{
        struct id_list own = { 0 };
        int r;

        r = db_each(t, making_sql[OWN_SNAPSHOTS], take_id, &own, DB_INT(id));
        if (r == 0)
                r = making_drop(t, id, ch);
        for (size_t i = 0; i < own.n && r == 0; i++) {
                changes_add(ch, OBJECT_SNAPSHOT, own.id[i]);
                r = snapshot_erase(t, own.id[i]);
        }
        return r;
}

int making_drop(struct db_txn *t, uint64_t id, struct changes *ch)
{
        int r;

        r = making_erase_snapshots(t, id, ch);
        if (r < 0)
                return r;

        changes_add(ch, OBJECT_IMAGE, id);
        return image_erase(t, id);
}


/* SPDX-License-Identifier: MIT */
/* What uploads and tasks have in common. */

#include "model/work/work.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

static int collect_disk(void *ctx, const struct disk_ref *d)
{
        struct disk_list *list = ctx;

        if (list->n == DISKS_MAX)
                return -E2BIG;

        list->disk[list->n++] = *d;
        return 0;
}

int disk_list_load(struct db_txn *t, uint64_t image, struct disk_list *ret)
{
        struct disk_list list = { 0 };
        int r;

        r = image_disk_refs(t, image, collect_disk, &list);
        if (r < 0)
                return r;

        *ret = list;
        return 0;
}

void changes_add(struct changes *ch, enum object_kind kind, uint64_t id)
{
        if (id == 0)
                return;

        for (size_t i = 0; i < ch->n; i++)
                if (ch->item[i].kind == kind && ch->item[i].id == id)
                        return;

        assert(ch->n < CHANGES_MAX);
        ch->item[ch->n].kind = kind;
        ch->item[ch->n].id = id;
        ch->n++;
}

void changes_tell(struct model *m, const struct changes *ch)
{
        for (size_t i = 0; i < ch->n; i++)
                model_changed(m, ch->item[i].kind, ch->item[i].id);
        runner_wake(m);
}

bool work_disks_are_snapshots(const struct image *image)
{
        return image->class == CLASS_PRIVATE && image->type == TYPE_CLOUD;
}

/* Data disks of private images always are. */
static bool disk_is_snapshot(const struct image *image, size_t number)
{
        return work_disks_are_snapshots(image) || (number > 0 && image->class == CLASS_PRIVATE);
}

int work_add_snapshot(struct db_txn *t, const struct image *image, const char *source, struct changes *ch,
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
        snapshot.o.mode = 0700;

        r = snapshot_insert(t, &snapshot);
        if (r < 0)
                return r;

        changes_add(ch, OBJECT_SNAPSHOT, snapshot.o.id);
        *ret = snapshot.o.id;
        return 0;
}

int work_add_disks(struct db_txn *t, const struct image *image, size_t from, size_t to, struct changes *ch,
                   struct diag *diag)
{
        struct strbuf source CLEANUP_STRBUF = { 0 };
        size_t snapshots = 0;
        int r;

        for (size_t i = from; i < to; i++)
                snapshots += disk_is_snapshot(image, i);

        r = quota_check(t, image->region, image->o.uid, LIMIT_SNAPSHOTS, snapshots, diag);
        if (r < 0)
                return r;

        strbuf_addf(&source, "image:%s", image->ident);

        for (size_t i = from; i < to; i++) {
                const char device[] = { 'v', 'd', (char)('a' + i), '\0' };
                uint64_t snapshot = 0;

                if (disk_is_snapshot(image, i)) {
                        r = work_add_snapshot(t, image, strbuf_text(&source), ch, &snapshot);
                        if (r < 0)
                                return r;
                }

                r = image_disk_insert(t, image->o.id, device, i == 0, snapshot, 0);
                if (r < 0)
                        return r;
        }

        return 0;
}

int work_erase_snapshots(struct db_txn *t, uint64_t image, struct changes *ch)
{
        struct disk_list disks;
        struct snapshot snapshot;
        int r;

        r = disk_list_load(t, image, &disks);
        if (r < 0)
                return r;

        for (size_t i = 0; i < disks.n; i++) {
                if (disks.disk[i].snapshot == 0)
                        continue;

                r = snapshot_load(t, disks.disk[i].snapshot, &snapshot);
                if (r < 0)
                        return r;
                if (snapshot.available)
                        continue;

                r = image_disk_set(t, disks.disk[i].id, 0, 0);
                if (r < 0)
                        return r;

                r = snapshot_erase(t, disks.disk[i].snapshot);
                if (r < 0)
                        return r;

                changes_add(ch, OBJECT_SNAPSHOT, disks.disk[i].snapshot);
        }

        return 0;
}

int work_probe(const struct image *image, int fd, struct image_probe *ret, struct strbuf *reason)
{
        enum image_format wanted;
        bool iso;
        int r;

        r = image_format_parse(image->format, &wanted);
        if (r < 0)
                return r;

        r = image_probe(fd, wanted, ret, reason);
        if (r < 0)
                return r;

        iso = ret->format == IMAGE_FORMAT_ISO;
        if (iso == (image->source == CLASS_ISO))
                return 0;

        strbuf_add(reason, iso ? "this is an ISO file, which goes into iso/: to have it as a disk, set format to raw"
                               : "this is no ISO file, and iso/ takes nothing else");
        return -EINVAL;
}

int work_fill_disk(struct db_txn *t, const struct disk_ref *disk, uint64_t store, const struct blob *b,
                   struct changes *ch)
{
        uint64_t row;
        int r;

        r = blob_row_insert(t, store, b, &row);
        if (r < 0)
                return r;
        if (!disk->snapshot)
                return image_disk_set(t, disk->id, 0, row);

        changes_add(ch, OBJECT_SNAPSHOT, disk->snapshot);
        return snapshot_set_blob(t, disk->snapshot, row);
}

int work_fail_image(struct db_txn *t, uint64_t id, const char *sentence, struct changes *ch)
{
        struct image image;
        int r;

        r = image_load(t, id, &image);
        if (r < 0)
                return r;

        r = lifecycle_apply(t, &image, VERB_FAIL, NULL);
        if (r < 0)
                return r;

        r = work_erase_snapshots(t, id, ch);
        if (r < 0)
                return r;

        changes_add(ch, OBJECT_IMAGE, id);
        return image_set_error(t, id, sentence);
}

int work_drop_image(struct db_txn *t, uint64_t id, struct changes *ch)
{
        int r;

        r = work_erase_snapshots(t, id, ch);
        if (r < 0)
                return r;

        changes_add(ch, OBJECT_IMAGE, id);
        return image_erase(t, id);
}

void work_add_sentence(struct strbuf *out, int error)
{
        switch (error) {
        case -ENOSPC:
        case -EDQUOT:
                strbuf_add(out, "the store is full: make room, remove what is in error, and begin again");
                break;
        case -EFBIG:
                strbuf_add(out, "the file is too large to be imported");
                break;
        case -ENOMEM:
                strbuf_add(out, "there was not enough memory: begin again when the machine has less to do");
                break;
        case -EBADMSG:
                strbuf_add(out, "bytes in the store do not match their checksum: \"imagefs check\" shows what is "
                                "damaged");
                break;
        default:
                strbuf_addf(out, "the machine could not do it (%s): the administrator's log says more",
                            strerrordesc_np(-error));
                break;
        }
}

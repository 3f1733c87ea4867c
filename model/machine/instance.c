/* SPDX-License-Identifier: MIT */

/*
 * Instances as rows. One runs from `power start` to `power stop`, which the row keeps, and whenever one of its disks is
 * open for writing, which volume_file.c knows. While it runs, or an image or a snapshot is made of it, its disks stay
 * as they are: whoever changes them holds the gate of volumes, and asks instance_life.c.
 */

#include "model/machine/instance.h"

#include <errno.h>
#include <string.h>

#include "blobstore/base/strbuf.h"
#include "model/core/blob_row.h"
#include "model/core/clock.h"
#include "model/core/ident.h"
#include "model/core/object_row.h"
#include "model/core/place.h"
#include "model/core/quota_row.h"
#include "model/image/image_row.h"
#include "model/machine/instance_row.h"
#include "model/machine/volume_gate.h"
#include "model/machine/volume_row.h"

#define INSTANCE_MODE 0700

enum {
        GET,
        GET_OBJECT,
        FIND,
        EACH,
        OF_IMAGE,
        KEEP_IMAGE,
        KEEP_IMAGE_OF_USER,
        FIND_OF_IMAGE,
        OTHER_USERS,
        INSERT,
        SET_IMAGE,
        SET_CDROM,
        CDROM,
        IMAGES,
        TASKS,
        PASSWORD
};

/*
 * How its owner names the image: by where she finds it or, where it is another's and no longer shared with her, by the
 * id that it had when she took it, since its name is no affair of hers any more.
 */
#define IMAGE_PATH                                                                                                     \
        "CASE WHEN image.id IS NULL THEN '' WHEN image.class = 'private' AND EXISTS (SELECT 1 FROM share WHERE "       \
        "share.image = image.id AND share.uid = instance.uid) THEN 'shared/' || image.handle "                         \
        "WHEN " IMAGE_OPENS_TO_INSTANCE " THEN image.class || '/' || image.handle ELSE image.ident END"
#define CDROM_PATH                                                                                                     \
        "(SELECT CASE WHEN " IMAGE_OPENS_TO_INSTANCE " THEN image.class || '/' || image.handle ELSE image.ident END "  \
        "FROM image WHERE image.id = instance.cdrom)"
/* What the image says of itself. */
#define IMAGE_SAYS(column) "iif(" IMAGE_OPENS_TO_INSTANCE ", image." column ", '')"
#define COLUMNS                                                                                                        \
        OBJECT_COLUMNS("instance")                                                                                     \
        ", instance.ident, instance.region, power, started, instance.type, instance.image, "                           \
        IMAGE_PATH ", ifnull(" IMAGE_OPENS_TO_INSTANCE ", 0), instance.cdrom, " CDROM_PATH ", " IMAGE_SAYS("os") ", "  \
        IMAGE_SAYS("architecture") ", " IMAGE_SAYS("boot_mode") ", instance.name, image_disks, hostname, "             \
        "password <> '', NOT EXISTS (SELECT 1 FROM volume WHERE volume.instance = "   \
        "instance.id AND volume.role = 'system'), EXISTS (SELECT 1 FROM task WHERE task.status IN ('queued', "         \
        "'running') AND "                                                                                              \
        "task.instance = instance.id), ifnull((SELECT place FROM volume WHERE volume.instance = instance.id AND place IS NOT NULL "   \
        "LIMIT 1), 0), instance.description, ssh_keys"
/* Those that keep their image from being deleted. */
#define KEEP_IMAGE_FROM " FROM image JOIN instance ON " INSTANCE_HAS_IMAGE " WHERE image.id = ?1 AND " IMAGE_OPENS_TO_INSTANCE
/* What shows them to people, of those made from an image. */
#define OF_IMAGE_OBJECTS "SELECT " OBJECT_COLUMNS("instance") " FROM instance WHERE image = ?1"

static const char *const instance_sql[] = {
        [GET] = "SELECT " COLUMNS " FROM instance LEFT JOIN image ON image.id = instance.image WHERE instance.id = ?1",
        [GET_OBJECT] = "SELECT " OBJECT_COLUMNS("instance") " FROM instance WHERE id = ?1",
        [FIND] = "SELECT " OBJECT_COLUMNS("instance") " FROM instance WHERE region = ?1 AND handle = ?2",
        [EACH] = "SELECT " OBJECT_COLUMNS("instance") " FROM instance WHERE region = ?1 ORDER BY handle",
        [OF_IMAGE] = OF_IMAGE_OBJECTS " ORDER BY handle",
        [KEEP_IMAGE] = "SELECT " OBJECT_COLUMNS("instance") KEEP_IMAGE_FROM " ORDER BY instance.handle",
        [KEEP_IMAGE_OF_USER] = "SELECT " OBJECT_COLUMNS("instance") KEEP_IMAGE_FROM " AND instance.uid = ?2 "
                               "ORDER BY instance.handle",
        [FIND_OF_IMAGE] = OF_IMAGE_OBJECTS " AND handle = ?2",
        [OTHER_USERS] = "SELECT " OBJECT_COLUMNS("instance") " FROM instance WHERE id IN (SELECT min(instance.id)"
                        KEEP_IMAGE_FROM
                        " AND instance.uid <> ?2 GROUP BY instance.uid) ORDER BY uid",
        [INSERT] = "INSERT INTO instance (ident, region, handle, uid, gid, mode, created, updated, name, type, image, "
                   "cdrom) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?7, ?3, ?8, ?9, ?10)",
        [SET_IMAGE] = "UPDATE instance SET image = ?2, type = ?3, updated = max(?4, updated + 1) WHERE id = ?1",
        [SET_CDROM] = "UPDATE instance SET cdrom = ?2, updated = max(?3, updated + 1) WHERE id = ?1",
        [CDROM] = "SELECT image_disk.blob FROM instance JOIN image_disk ON image_disk.image = instance.cdrom "
                  "WHERE instance.id = ?1 AND image_disk.blob IS NOT NULL ORDER BY device LIMIT 1",
        [IMAGES] = "SELECT " OBJECT_COLUMNS_IMAGE ", class FROM image WHERE instance = ?1 ORDER BY id",
        [TASKS] = "SELECT id, ident, uid, gid, mode, created, created, 0, 0 FROM task WHERE status IN ('queued', 'running') "
                  "AND instance = ?1 ORDER BY ident",
        [PASSWORD] = "SELECT password FROM instance WHERE id = ?1",
};
const struct db_statements instance_statements = DB_STATEMENTS(instance_sql);

/* ---- loading ---- */

static int load_row(void *ctx, const struct db_row *row)
{
        struct instance *i = ctx;
        int col = OBJECT_N_COLUMNS;

#define TEXT(field) db_row_text(row, col++, i->field, sizeof(i->field))
        object_fill(&i->o, row);
        TEXT(ident);
        i->region = (uint64_t)db_row_int(row, col++);
        i->power = db_row_int(row, col++) != 0;
        i->running = i->power;
        i->started = db_row_int(row, col++) != 0;
        i->type = strcmp(db_row_str(row, col++), "local") == 0 ? TYPE_LOCAL : TYPE_CLOUD;
        i->image = (uint64_t)db_row_int(row, col++);
        TEXT(image_path);
        i->image_open = db_row_int(row, col++) != 0;
        i->cdrom = (uint64_t)db_row_int(row, col++);
        TEXT(cdrom_path);
        TEXT(os);
        TEXT(architecture);
        TEXT(boot_mode);
        TEXT(name);
        TEXT(image_disks);
        TEXT(hostname);
        i->has_password = db_row_int(row, col++) != 0;
        i->bare = db_row_int(row, col++) != 0;
        i->busy = db_row_int(row, col++) != 0;
        i->place = (uint64_t)db_row_int(row, col++);
        TEXT(description);
        TEXT(ssh_keys);
#undef TEXT
        return 0;
}

int instance_load(struct db_txn *t, uint64_t id, struct instance *ret)
{
        return db_one(t, instance_sql[GET], load_row, ret, DB_INT(id));
}

int instance_get(struct model *m, uint64_t id, struct instance *ret)
{
        int r;

        {
                DB_TXN(t);

                r = db_begin(m->db, DB_READ, &t);
                if (r == 0)
                        r = instance_load(&t, id, ret);
                if (r < 0)
                        return r;
        }
        ret->running = ret->power || volumes_seem_written(m, id);
        return 0;
}

int instance_get_object(struct model *m, uint64_t id, struct object *ret)
{
        return object_get(m, instance_sql[GET_OBJECT], id, ret);
}

int instance_find(struct model *m, uint64_t region, const char *handle, struct object *ret)
{
        return object_find(m, instance_sql[FIND], region, handle, ret);
}

int instance_find_of_image(struct model *m, uint64_t image, const char *handle, struct object *ret)
{
        return object_find(m, instance_sql[FIND_OF_IMAGE], image, handle, ret);
}

int instance_each(struct model *m, uint64_t region, object_fn *fn, void *ctx)
{
        return object_each(m, instance_sql[EACH], region, fn, ctx);
}

int instance_each_of_image(struct model *m, uint64_t image, object_fn *fn, void *ctx)
{
        return object_each(m, instance_sql[OF_IMAGE], image, fn, ctx);
}

static int copy_object(void *ctx, const struct db_row *row)
{
        struct object o;

        object_fill(&o, row);
        strbuf_add_bytes(ctx, &o, sizeof(o));
        return strbuf_error(ctx);
}

int instance_each_user_of_image(struct model *m, uint64_t image, const uid_t *uid, object_fn *fn, void *ctx)
{
        struct object_walk walk = { .fn = fn, .ctx = ctx };
        DB_TXN(t);
        int r;

        r = db_begin(m->db, DB_READ, &t);
        if (r < 0)
                return r;
        if (!uid)
                return db_each(&t, instance_sql[KEEP_IMAGE], object_row, &walk, DB_INT(image));
        return db_each(&t, instance_sql[KEEP_IMAGE_OF_USER], object_row, &walk, DB_INT(image), DB_INT(*uid));
}

int instance_each_other_user_of_image(struct model *m, uint64_t image, uid_t uid, object_fn *fn, void *ctx)
{
        CLEANUP_STRBUF struct strbuf copies = { 0 };
        const struct object *o;
        int r;

        {
                DB_TXN(t);

                r = db_begin(m->db, DB_READ, &t);
                if (r == 0)
                        r = db_each(&t, instance_sql[OTHER_USERS], copy_object, &copies, DB_INT(image), DB_INT(uid));
        }
        o = (const struct object *)copies.text;
        for (size_t i = 0; i < copies.len / sizeof(*o) && r == 0; i++)
                r = fn(ctx, &o[i]);
        return r;
}

int instance_used_by(struct model *m, uint64_t id, object_fn *fn, void *ctx)
{
        return object_each(m, instance_sql[TASKS], id, fn, ctx);
}

int instance_volumes(struct model *m, uint64_t id, instance_volume_fn *fn, void *ctx)
{
        DB_TXN(t);
        int r;

        r = db_begin(m->db, DB_READ, &t);
        return r < 0 ? r : volume_load_each(&t, id, fn, ctx);
}

int instance_get_host(struct model *m, uint64_t id, char *buf, size_t size)
{
        struct instance instance;
        DB_TXN(t);
        int r;

        r = db_begin(m->db, DB_READ, &t);
        if (r == 0)
                r = instance_load(&t, id, &instance);
        return r < 0 ? r : place_get_host(&t, instance.place, buf, size);
}

int instance_images(struct model *m, uint64_t id, image_fn *fn, void *ctx)
{
        return image_each_of(m, instance_sql[IMAGES], id, fn, ctx);
}

int instance_cdrom_info(struct model *m, uint64_t id, struct blob_info *ret)
{
        struct blob_row blob;
        DB_TXN(t);
        int r;

        r = db_begin(m->db, DB_READ, &t);
        if (r == 0)
                r = blob_row_load_of(&t, instance_sql[CDROM], id, &blob);
        if (r == 0)
                *ret = blob.info;
        return r;
}

int instance_cdrom_open(struct model *m, uint64_t id, struct diag *diag, struct blob **ret)
{
        return blob_row_open_of(m, instance_sql[CDROM], id, diag, ret);
}

struct text {
        char *buf;
        size_t size;
};

static int take_text(void *ctx, const struct db_row *row)
{
        const struct text *text = ctx;

        db_row_text(row, 0, text->buf, text->size);
        return 0;
}

int instance_load_password(struct db_txn *t, uint64_t id, char *buf, size_t size)
{
        struct text text = { .buf = buf, .size = size };

        return db_one(t, instance_sql[PASSWORD], take_text, &text, DB_INT(id));
}

bool instance_selects(const char *image_disks, const struct volume *v)
{
        if (v->system || strcmp(image_disks, "all") == 0)
                return true;
        return strstr(image_disks, v->device) != NULL; /* devices have no parts in common, nor has "none" */
}

/* ---- rows ---- */

int instance_refuse_taken(const char *handle, struct diag *diag)
{
        return object_refuse_taken("instances", handle, "an instance", diag);
}

int instance_insert(struct db_txn *t, struct instance *instance, struct diag *diag)
{
        int r;

        r = quota_check(t, instance->region, instance->o.uid, LIMIT_INSTANCES, 1, diag);
        if (r == 0)
                r = ident_new("i", instance->ident, sizeof(instance->ident));
        if (r < 0)
                return r;
        r = db_run(t, instance_sql[INSERT], DB_TEXT(instance->ident), DB_INT(instance->region),
                   DB_TEXT(instance->o.handle), DB_INT(instance->o.uid), DB_INT(instance->o.gid),
                   DB_INT(instance->o.mode ? instance->o.mode : INSTANCE_MODE),
                   DB_INT(clock_now_us()), DB_TEXT(image_type_name(instance->type)), DB_ID(instance->image),
                   DB_ID(instance->cdrom));
        if (r == -EEXIST)
                return instance_refuse_taken(instance->o.handle, diag);
        if (r < 0)
                return r;
        instance->o.id = db_last_id(t);
        return 0;
}

int instance_set_image(struct db_txn *t, uint64_t id, uint64_t image, enum image_type type)
{
        return db_run_one(t, instance_sql[SET_IMAGE], DB_INT(id), DB_ID(image), DB_TEXT(image_type_name(type)),
                          DB_INT(clock_now_us()));
}

int instance_set_cdrom_row(struct db_txn *t, uint64_t id, uint64_t image)
{
        return db_run_one(t, instance_sql[SET_CDROM], DB_INT(id), DB_ID(image), DB_INT(clock_now_us()));
}

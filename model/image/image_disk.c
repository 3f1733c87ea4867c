/* SPDX-License-Identifier: MIT */

/*
 * The device mapping of images. A disk's bytes are a snapshot's or, where it has none, its own blob's; both are
 * missing while the import that brings them runs, and after it failed.
 */

#include <errno.h>

#include "blobstore/base/cleanup.h"
#include "model/core/blob_row.h"
#include "model/image/image_disk_row.h"

enum { INSERT, SET, REFS, GET, EACH, BLOB };

#define COLUMNS                                                                                           \
        "image_disk.id, device, role, image_disk.snapshot, snapshot.ident, snapshot.handle, "             \
        "ifnull(snapshot.created, image.created), image_disk.image, blob.id, " BLOB_INFO_COLUMNS
#define TABLES                                                                                            \
        "image_disk JOIN image ON image.id = image_disk.image "                                           \
        "LEFT JOIN snapshot ON snapshot.id = image_disk.snapshot "                                        \
        "LEFT JOIN blob ON blob.id = ifnull(snapshot.blob, image_disk.blob)"

static const char *const image_disk_sql[] = {
        [INSERT] = "INSERT INTO image_disk (image, device, role, snapshot, blob) VALUES (?1, ?2, ?3, ?4, ?5)",
        [SET] = "UPDATE image_disk SET snapshot = ?2, blob = ?3 WHERE id = ?1",
        [REFS] = "SELECT id, snapshot, blob, device, role FROM image_disk WHERE image = ?1 ORDER BY device",
        [GET] = "SELECT " COLUMNS " FROM " TABLES " WHERE image_disk.id = ?1",
        [EACH] = "SELECT " COLUMNS " FROM " TABLES " WHERE image_disk.image = ?1 ORDER BY device",
        [BLOB] = "SELECT ifnull(snapshot.blob, image_disk.blob) FROM image_disk "
                 "LEFT JOIN snapshot ON snapshot.id = image_disk.snapshot WHERE image_disk.id = ?1",
};
const struct db_statements image_disk_statements = DB_STATEMENTS(image_disk_sql);

static bool is_system(const struct db_row *row, int col)
{
        return db_row_str(row, col)[0] == 's'; /* "system" or "data" */
}

/* ---- rows ---- */

int image_disk_insert(struct db_txn *t, uint64_t image, const char *device, bool system, uint64_t snapshot,
                      uint64_t blob)
{
        int r = db_run(t, image_disk_sql[INSERT], DB_INT(image), DB_TEXT(device), DB_TEXT(system ? "system" : "data"),
                       DB_ID(snapshot), DB_ID(blob));

        return r < 0 ? r : 0;
}

int image_disk_set(struct db_txn *t, uint64_t id, uint64_t snapshot, uint64_t blob)
{
        int r = db_run(t, image_disk_sql[SET], DB_INT(id), DB_ID(snapshot), DB_ID(blob));

        return r < 0 ? r : r == 0 ? -ENOENT : 0;
}

/* ---- values ---- */

static void fill_disk(struct image_disk *d, const struct db_row *row)
{
        *d = (struct image_disk){
                .id = (uint64_t)db_row_int(row, 0),
                .system = is_system(row, 2),
                .snapshot = (uint64_t)db_row_int(row, 3),
                .created_us = db_row_int(row, 6),
                .has_blob = !db_row_is_null(row, 8),
        };
        db_row_text(row, 1, d->device, sizeof(d->device));
        db_row_text(row, 4, d->snapshot_ident, sizeof(d->snapshot_ident));
        db_row_text(row, 5, d->snapshot_handle, sizeof(d->snapshot_handle));
        blob_row_info(row, 9, &d->blob);
}

struct get {
        struct image_disk *disk;
        uint64_t *image;
};

static int get_row(void *ctx, const struct db_row *row)
{
        const struct get *g = ctx;

        fill_disk(g->disk, row);
        *g->image = (uint64_t)db_row_int(row, 7);
        return 0;
}

int image_disk_get(struct model *m, uint64_t id, struct image_disk *ret, uint64_t *ret_image)
{
        struct get get = { .disk = ret, .image = ret_image };
        DB_TXN(t);
        int r;

        r = db_begin(m->db, DB_READ, &t);
        return r < 0 ? r : db_one(&t, image_disk_sql[GET], get_row, &get, DB_INT(id));
}

struct disk_walk {
        image_disk_fn *fn;
        void *ctx;
};

static int disk_row(void *ctx, const struct db_row *row)
{
        const struct disk_walk *walk = ctx;
        struct image_disk d;

        fill_disk(&d, row);
        return walk->fn(walk->ctx, &d);
}

int image_disk_each(struct model *m, uint64_t image, image_disk_fn *fn, void *ctx)
{
        struct disk_walk walk = { .fn = fn, .ctx = ctx };
        DB_TXN(t);
        int r;

        r = db_begin(m->db, DB_READ, &t);
        return r < 0 ? r : db_each(&t, image_disk_sql[EACH], disk_row, &walk, DB_INT(image));
}

int image_disk_open(struct model *m, uint64_t id, struct diag *diag, struct blob **ret)
{
        return blob_row_open_of(m, image_disk_sql[BLOB], id, diag, ret);
}

/* ---- as a list ---- */

static int list_row(void *ctx, const struct db_row *row)
{
        struct disk_list *list = ctx;
        struct disk_ref *d = &list->disk[list->n];

        if (list->n == DISKS_MAX)
                return -E2BIG;
        *d = (struct disk_ref){
                .id = (uint64_t)db_row_int(row, 0),
                .snapshot = (uint64_t)db_row_int(row, 1),
                .blob = (uint64_t)db_row_int(row, 2),
                .system = is_system(row, 4),
        };
        db_row_text(row, 3, d->device, sizeof(d->device));
        list->n++;
        return 0;
}

int disk_list_load(struct db_txn *t, uint64_t image, struct disk_list *ret)
{
        struct disk_list list = { 0 };
        int r;

        r = db_each(t, image_disk_sql[REFS], list_row, &list, DB_INT(image));
        if (r == 0)
                *ret = list;
        return r;
}

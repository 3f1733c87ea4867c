/* SPDX-License-Identifier: MIT */

/*
 * Addresses for downloads. A token follows from a random number, which the row has, and the library's key (secret.h),
 * which is in no database: so `url` can go on showing it. It is found by its hash, so that who reads the database, or a
 * copy of it, has nothing that a server would take; and what can be learnt from how long a search of the index takes
 * is something about hashes.
 *
 * Rows whose time is up do not exist for anybody; the upkeep removes them.
 */

#include "model/image/download.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>

#include "blobstore/base/bytes.h"
#include "blobstore/hash/sha256.h"
#include "model/core/clock.h"
#include "model/core/jobs.h"
#include "model/core/limits_row.h"
#include "model/core/secret.h"
#include "model/image/download_row.h"
#include "model/image/image_row.h"

#define HOUR_US (INT64_C(3600) * 1000000)

#define NONCE_SIZE 16

_Static_assert(DOWNLOAD_TOKEN_LEN == 2 * SECRET_MAC_SIZE, "tokens are those numbers, in hexadecimal digits");

enum { GET, FIND, FIND_HASH, EACH, DISK, INSERT, REMOVE, FORGET, FORGET_ALL, NEXT_EXPIRY };

#define SELECT                                                                                             \
        "SELECT download.id, image, ident, device, download.format, nonce, download.created, expires "       \
        "FROM download JOIN image ON image.id = download.image "

static const char *const download_sql[] = {
        [GET] = SELECT "WHERE download.id = ?1 AND expires > ?2",
        [FIND] = SELECT "WHERE image = ?1 AND device = ?2 AND download.format = ?3 AND expires > ?4",
        [FIND_HASH] = SELECT "WHERE hash = ?1 AND expires > ?2",
        [EACH] = SELECT "WHERE image = ?1 AND expires > ?2 ORDER BY device, download.format",
        [DISK] = "SELECT id FROM image_disk WHERE image = ?1 AND device = ?2",
        [INSERT] = "INSERT INTO download (image, device, format, nonce, hash, created, expires) "
                   "VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
        [REMOVE] = "DELETE FROM download WHERE id = ?1",
        [FORGET] = "DELETE FROM download WHERE expires <= ?1",
        [FORGET_ALL] = "DELETE FROM download",
        [NEXT_EXPIRY] = "SELECT ifnull(min(expires), 0) FROM download",
};
const struct db_statements download_statements = DB_STATEMENTS(download_sql);

/* ---- names and tokens ---- */

void download_name(const struct download *d, char ret[DOWNLOAD_NAME_SIZE])
{
        (void)snprintf(ret, DOWNLOAD_NAME_SIZE, "%s.%s", d->device, export_format_name(d->format));
}

static int parse_name(const char *name, char device[8], enum export_format *ret)
{
        const char *dot = strchr(name, '.');
        size_t len = dot ? (size_t)(dot - name) : 0;

        if (len == 0 || len >= 8)
                return -EINVAL;
        memcpy(device, name, len);
        device[len] = '\0';
        return export_format_parse(dot + 1, ret);
}

static int make_token(struct model *m, const uint8_t nonce[NONCE_SIZE], char ret[DOWNLOAD_TOKEN_LEN + 1])
{
        uint8_t mac[SECRET_MAC_SIZE];
        int r;

        r = secret_mac(m, "download", nonce, NONCE_SIZE, mac);
        if (r < 0)
                return r;
        put_hex(ret, mac, sizeof(mac));
        return 0;
}

static int hash_token(const char *token, uint8_t ret[SHA256_SIZE])
{
        return sha256(token, DOWNLOAD_TOKEN_LEN, ret);
}

/* ---- rows ---- */

static int fill_download(struct model *m, struct download *d, const struct db_row *row)
{
        uint8_t nonce[NONCE_SIZE];
        int r;

        d->id = (uint64_t)db_row_int(row, 0);
        d->image = (uint64_t)db_row_int(row, 1);
        db_row_text(row, 2, d->image_ident, sizeof(d->image_ident));
        db_row_text(row, 3, d->device, sizeof(d->device));
        db_row_blob(row, 5, nonce, sizeof(nonce));
        d->created_us = db_row_int(row, 6);
        d->expires_us = db_row_int(row, 7);
        r = make_token(m, nonce, d->token);
        return r < 0 ? r : export_format_parse(db_row_str(row, 4), &d->format);
}

struct walk {
        struct model *m;
        download_fn *fn;
        void *ctx;
};

static int walk_row(void *ctx, const struct db_row *row)
{
        const struct walk *walk = ctx;
        struct download d;
        int r;

        r = fill_download(walk->m, &d, row);
        return r < 0 ? r : walk->fn(walk->ctx, &d);
}

static int copy_download(void *ctx, const struct download *d)
{
        *(struct download *)ctx = *d;
        return 0;
}

/* What db_one() is handed to fill RET. */
#define COPY(m, ret) (&(struct walk){ m, copy_download, ret })

int download_get(struct model *m, uint64_t id, struct download *ret)
{
        DB_TXN(t);
        int r;

        r = db_begin(m->db, DB_READ, &t);
        return r < 0 ? r : db_one(&t, download_sql[GET], walk_row, COPY(m, ret), DB_INT(id), DB_INT(clock_now_us()));
}

int download_find(struct model *m, uint64_t image, const char *name, struct download *ret)
{
        enum export_format format;
        char device[8];
        DB_TXN(t);
        int r;

        if (parse_name(name, device, &format) < 0)
                return -ENOENT;
        r = db_begin(m->db, DB_READ, &t);
        return r < 0 ? r : db_one(&t, download_sql[FIND], walk_row, COPY(m, ret), DB_INT(image), DB_TEXT(device),
                                  DB_TEXT(export_format_name(format)), DB_INT(clock_now_us()));
}

int download_find_token(struct model *m, const char *token, struct download *ret)
{
        uint8_t hash[SHA256_SIZE];
        DB_TXN(t);
        int r;

        if (strnlen(token, DOWNLOAD_TOKEN_LEN + 1) != DOWNLOAD_TOKEN_LEN)
                return -ENOENT;
        r = hash_token(token, hash);
        if (r == 0)
                r = db_begin(m->db, DB_READ, &t);
        return r < 0 ? r : db_one(&t, download_sql[FIND_HASH], walk_row, COPY(m, ret), DB_BLOB(hash, sizeof(hash)),
                                  DB_INT(clock_now_us()));
}

int download_each(struct model *m, uint64_t image, download_fn *fn, void *ctx)
{
        struct walk walk = { .m = m, .fn = fn, .ctx = ctx };
        DB_TXN(t);
        int r;

        r = db_begin(m->db, DB_READ, &t);
        return r < 0 ? r : db_each(&t, download_sql[EACH], walk_row, &walk, DB_INT(image), DB_INT(clock_now_us()));
}

/* ---- making and ending ---- */

static int check_image(struct db_txn *t, uint64_t id, const char *device, struct diag *diag)
{
        struct image image;
        int64_t disk;
        int r;

        r = image_load(t, id, &image);
        if (r < 0)
                return r;
        if (image.status != IMAGE_AVAILABLE)
                return diag_set(diag, -EBUSY, "%s cannot be downloaded while its status is %s: only an available image can",
                                image.o.handle, image_status_name(image.status));
        r = db_int(t, download_sql[DISK], &disk, DB_INT(id), DB_TEXT(device));
        if (r == -ENOENT)
                return diag_set(diag, r, "%s has no disk %s: disks/ shows those it has", image.o.handle, device);
        return r;
}

static int insert(struct model *m, struct db_txn *t, uint64_t image, const char *device, enum export_format format,
                  struct diag *diag)
{
        const int64_t now = clock_now_us();
        uint8_t nonce[NONCE_SIZE], hash[SHA256_SIZE];
        char token[DOWNLOAD_TOKEN_LEN + 1];
        uint64_t hours;
        int r;

        r = limit_read(t, LIMIT_DOWNLOAD_HOURS, &hours);
        if (r < 0)
                return r;
        if (hours == 0)
                return diag_set(diag, -EOPNOTSUPP, "download-hours is 0: the administrator allows no downloads");
        if (getrandom(nonce, sizeof(nonce), 0) != (ssize_t)sizeof(nonce))
                return -EIO;
        r = make_token(m, nonce, token);
        if (r == 0)
                r = hash_token(token, hash);
        if (r < 0)
                return r;
        r = db_run(t, download_sql[INSERT], DB_INT(image), DB_TEXT(device), DB_TEXT(export_format_name(format)),
                   DB_BLOB(nonce, sizeof(nonce)), DB_BLOB(hash, sizeof(hash)), DB_INT(now),
                   DB_INT(now + (int64_t)hours * HOUR_US));
        if (r == -EEXIST)
                return diag_set(diag, r, "there is an address for %s.%s already: rmdir ends it", device,
                                export_format_name(format));
        return r < 0 ? r : 0;
}

int download_create(struct model *m, uint64_t image, const char *name, struct diag *diag, uint64_t *ret)
{
        enum export_format format;
        char device[8];
        uint64_t id;
        DB_TXN(t);
        int r;

        if (parse_name(name, device, &format) < 0)
                return diag_set(diag, -EINVAL, "download/%s: name a disk and a format, such as vda.qcow2 or vda.raw",
                                name);
        r = db_begin(m->db, DB_WRITE, &t);
        if (r == 0)
                r = check_image(&t, image, device, diag);
        /* One whose time is up is in nobody's way. */
        if (r == 0)
                r = db_run(&t, download_sql[FORGET], DB_INT(clock_now_us()));
        if (r >= 0)
                r = insert(m, &t, image, device, format, diag);
        if (r < 0)
                return r;
        id = db_last_id(&t);
        r = db_commit(&t);
        if (r < 0)
                return r;
        jobs_wake(m); /* it has to be removed one day */
        *ret = id;
        return 0;
}

int download_remove(struct model *m, uint64_t id)
{
        struct download d;
        DB_TXN(t);
        int r;

        r = db_begin(m->db, DB_WRITE, &t);
        if (r == 0)
                r = db_one(&t, download_sql[GET], walk_row, COPY(m, &d), DB_INT(id), DB_INT(clock_now_us()));
        if (r == 0)
                r = db_run(&t, download_sql[REMOVE], DB_INT(id));
        if (r < 0)
                return r;
        r = db_commit(&t);
        if (r == 0)
                changes_send(m, OBJECT_IMAGE, d.image);
        return r;
}

int download_end_all(struct model *m)
{
        DB_TXN(t);
        int r;

        r = db_begin(m->db, DB_WRITE, &t);
        if (r == 0)
                r = db_run(&t, download_sql[FORGET_ALL]);
        return r < 0 ? r : db_commit(&t);
}

int download_expire(struct model *m, int64_t *ret_due_us)
{
        int64_t next;
        DB_TXN(t);
        int r;

        r = db_begin(m->db, DB_READ, &t);
        if (r == 0)
                r = db_int(&t, download_sql[NEXT_EXPIRY], &next);
        db_end(&t);
        if (r < 0)
                return r;

        if (next && next <= clock_now_us()) {
                r = db_begin(m->db, DB_WRITE, &t);
                if (r == 0)
                        r = db_run(&t, download_sql[FORGET], DB_INT(clock_now_us()));
                if (r >= 0)
                        r = db_int(&t, download_sql[NEXT_EXPIRY], &next);
                if (r == 0)
                        r = db_commit(&t);
                if (r < 0)
                        return r;
        }
        *ret_due_us = next;
        return 0;
}

/* ---- the bytes ---- */

int download_open(struct model *m, const struct download *d, struct diag *diag, struct export **ret)
{
        struct blob *blob;
        int64_t disk;
        DB_TXN(t);
        int r;

        r = db_begin(m->db, DB_READ, &t);
        if (r == 0)
                r = db_int(&t, download_sql[DISK], &disk, DB_INT(d->image), DB_TEXT(d->device));
        db_end(&t);
        if (r == 0)
                r = image_disk_open(m, (uint64_t)disk, diag, &blob);
        return r < 0 ? r : export_open(blob, d->format, ret);
}

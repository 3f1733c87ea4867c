/* SPDX-License-Identifier: MIT */

/*
 * Addresses for downloads. A token is two random numbers: the row is found by the first, and the second is compared in
 * constant time. So what can be learnt from how long a search of the index takes ends with the first, and the second is
 * as hard to guess as before. Tokens are kept as they are, since `url` shows them: who reads the database has the disks
 * anyway.
 *
 * Rows whose time is up do not exist for anybody; the upkeep removes them.
 */

#include "model/image/download.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>

#include "model/core/clock.h"
#include "model/core/jobs.h"
#include "model/core/limits_row.h"
#include "model/image/download_row.h"
#include "model/image/image_row.h"

#define HOUR_US (INT64_C(3600) * 1000000)

#define KEY_SIZE (DOWNLOAD_TOKEN_LEN / 4) /* of each of the two numbers, in bytes */

enum { GET, FIND, FIND_KEY, EACH, DISK, INSERT, REMOVE, FORGET, NEXT_EXPIRY };

#define SELECT                                                                                             \
        "SELECT download.id, image, ident, device, download.format, key, secret, download.created, expires " \
        "FROM download JOIN image ON image.id = download.image "

static const char *const download_sql[] = {
        [GET] = SELECT "WHERE download.id = ?1 AND expires > ?2",
        [FIND] = SELECT "WHERE image = ?1 AND device = ?2 AND download.format = ?3 AND expires > ?4",
        [FIND_KEY] = SELECT "WHERE key = ?1 AND expires > ?2",
        [EACH] = SELECT "WHERE image = ?1 AND expires > ?2 ORDER BY device, download.format",
        [DISK] = "SELECT id FROM image_disk WHERE image = ?1 AND device = ?2",
        [INSERT] = "INSERT INTO download (image, device, format, key, secret, created, expires) "
                   "VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
        [REMOVE] = "DELETE FROM download WHERE id = ?1",
        [FORGET] = "DELETE FROM download WHERE expires <= ?1",
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

static int hex_digit(char c)
{
        return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static int parse_token(const char *text, uint8_t ret[2 * KEY_SIZE])
{
        if (strnlen(text, DOWNLOAD_TOKEN_LEN + 1) != DOWNLOAD_TOKEN_LEN)
                return -EINVAL;
        for (size_t i = 0; i < 2 * KEY_SIZE; i++) {
                int high = hex_digit(text[2 * i]), low = hex_digit(text[2 * i + 1]);

                if (high < 0 || low < 0)
                        return -EINVAL;
                ret[i] = (uint8_t)(high << 4 | low);
        }
        return 0;
}

/* Takes the same time wherever they differ. */
static bool same_bytes(const uint8_t *a, const uint8_t *b, size_t n)
{
        volatile uint8_t difference = 0;

        for (size_t i = 0; i < n; i++)
                difference |= a[i] ^ b[i];
        return difference == 0;
}

/* ---- rows ---- */

static int fill_download(struct download *d, const struct db_row *row)
{
        uint8_t token[2 * KEY_SIZE];

        d->id = (uint64_t)db_row_int(row, 0);
        d->image = (uint64_t)db_row_int(row, 1);
        db_row_text(row, 2, d->image_ident, sizeof(d->image_ident));
        db_row_text(row, 3, d->device, sizeof(d->device));
        db_row_blob(row, 5, token, KEY_SIZE);
        db_row_blob(row, 6, token + KEY_SIZE, KEY_SIZE);
        for (size_t i = 0; i < sizeof(token); i++)
                (void)snprintf(d->token + 2 * i, 3, "%02x", token[i]);
        d->created_us = db_row_int(row, 7);
        d->expires_us = db_row_int(row, 8);
        return export_format_parse(db_row_str(row, 4), &d->format);
}

static int download_row(void *ctx, const struct db_row *row)
{
        return fill_download(ctx, row);
}

int download_get(struct model *m, uint64_t id, struct download *ret)
{
        DB_TXN(t);
        int r;

        r = db_begin(m->db, DB_READ, &t);
        return r < 0 ? r : db_one(&t, download_sql[GET], download_row, ret, DB_INT(id), DB_INT(clock_now_us()));
}

static int find_in(struct db_txn *t, uint64_t image, const char *device, enum export_format format,
                   struct download *ret)
{
        return db_one(t, download_sql[FIND], download_row, ret, DB_INT(image), DB_TEXT(device),
                      DB_TEXT(export_format_name(format)), DB_INT(clock_now_us()));
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
        return r < 0 ? r : find_in(&t, image, device, format, ret);
}

int download_find_token(struct model *m, const char *token, struct download *ret)
{
        uint8_t wanted[2 * KEY_SIZE], found[2 * KEY_SIZE];
        struct download d;
        DB_TXN(t);
        int r;

        if (parse_token(token, wanted) < 0)
                return -ENOENT;
        r = db_begin(m->db, DB_READ, &t);
        if (r == 0)
                r = db_one(&t, download_sql[FIND_KEY], download_row, &d, DB_BLOB(wanted, KEY_SIZE),
                           DB_INT(clock_now_us()));
        if (r < 0)
                return r;
        if (parse_token(d.token, found) < 0 || !same_bytes(found, wanted, sizeof(found)))
                return -ENOENT;
        *ret = d;
        return 0;
}

struct walk {
        download_fn *fn;
        void *ctx;
};

static int walk_row(void *ctx, const struct db_row *row)
{
        const struct walk *walk = ctx;
        struct download d;
        int r;

        r = fill_download(&d, row);
        return r < 0 ? r : walk->fn(walk->ctx, &d);
}

int download_each(struct model *m, uint64_t image, download_fn *fn, void *ctx)
{
        struct walk walk = { .fn = fn, .ctx = ctx };
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
                return diag_set(diag, -EBUSY, "%s is %s: only an available image can be downloaded", image.o.handle,
                                image_status_name(image.status));
        r = db_int(t, download_sql[DISK], &disk, DB_INT(id), DB_TEXT(device));
        if (r == -ENOENT)
                return diag_set(diag, r, "%s has no disk %s: disks/ shows those it has", image.o.handle, device);
        return r;
}

static int insert(struct db_txn *t, uint64_t image, const char *device, enum export_format format, struct diag *diag)
{
        const int64_t now = clock_now_us();
        uint8_t token[2 * KEY_SIZE];
        uint64_t hours;
        int r;

        r = limit_read(t, LIMIT_DOWNLOAD_HOURS, &hours);
        if (r < 0)
                return r;
        if (hours == 0)
                return diag_set(diag, -EOPNOTSUPP, "download-hours is 0: the administrator allows no downloads");
        if (getrandom(token, sizeof(token), 0) != (ssize_t)sizeof(token))
                return -EIO;
        r = db_run(t, download_sql[INSERT], DB_INT(image), DB_TEXT(device), DB_TEXT(export_format_name(format)),
                   DB_BLOB(token, KEY_SIZE), DB_BLOB(token + KEY_SIZE, KEY_SIZE), DB_INT(now),
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
                r = insert(&t, image, device, format, diag);
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
                r = db_one(&t, download_sql[GET], download_row, &d, DB_INT(id), DB_INT(clock_now_us()));
        if (r == 0)
                r = db_run(&t, download_sql[REMOVE], DB_INT(id));
        if (r < 0)
                return r;
        r = db_commit(&t);
        if (r == 0)
                changes_send(m, OBJECT_IMAGE, d.image);
        return r;
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

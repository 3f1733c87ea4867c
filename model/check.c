/* SPDX-License-Identifier: MIT */
/*
 * Checking a library that nobody serves. What must hold in the database stands as a table of queries, each of which
 * gives a sentence per row that breaks the rule; the stores check themselves, and their blobs are held against the
 * rows.
 *
 * Whatever a crash may leave is no finding, since the next start takes it away or goes on with it: blobs without a row,
 * files of uploads, tasks that were running.
 */

#include "model/check.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "blobstore/base/strbuf.h"
#include "blobstore/disks/disk.h"
#include "model/check_rules.h"
#include "model/core/blob_row.h"
#include "model/core/stores.h"
#include "model/core/whose.h"

struct check {
        struct model *m;
        check_fn *report;
        void *ctx;
        bool read_data;
        int found;
};

static void report(struct check *c, const char *text)
{
        c->found++;
        c->report(c->ctx, text);
}

/* ---- the database ---- */

static void report_text(void *ctx, const char *text)
{
        report(ctx, text);
}

static int report_row(void *ctx, const struct db_row *row)
{
        report(ctx, db_row_str(row, 0));
        return 0;
}

static int check_rules(struct check *c)
{
        int r;
        DB_TXN(t);

        r = db_begin(c->m->db, DB_READ, &t);
        if (r < 0)
                return r;

        for (int rule = 0; rule < CHECK_RULES; rule++) {
                r = db_each(&t, check_sql[rule], report_row, c);
                if (r < 0)
                        return r;
        }

        return 0;
}

/* ---- the stores ---- */

struct affected {
        struct check *check;
        const char *problem;
};

static int report_affected(void *ctx, const struct db_row *row)
{
        const struct affected *affected = ctx;
        struct strbuf line CLEANUP_STRBUF = { 0 };

        strbuf_addf(&line, "%s: %s", db_row_str(row, 0), affected->problem);
        if (strbuf_error(&line) < 0)
                return strbuf_error(&line);

        report(affected->check, strbuf_text(&line));
        return 0;
}

/* Reports a problem of a blob once for everything that has the blob as a disk. */
static int report_blob(struct check *c, struct db_txn *t, uint64_t row, const char *problem)
{
        struct affected affected = { .check = c, .problem = problem };

        return whose_blob(t, row, report_affected, &affected);
}

struct stored {
        struct blob_id id;
        struct blob_info info;
};

struct store_check {
        struct check *check;
        uint64_t store;
        struct db_txn *t; /* of the walk over the rows */
        int error; /* of looking something up for a report */
        struct stored *blob; /* of the store, sorted by id */
        size_t n, size;
};

static void store_check_done(struct store_check *s)
{
        free(s->blob);
}

static void report_problem(void *ctx, enum blobstore_problem kind, const struct blob_id *id, const char *text)
{
        struct store_check *s = ctx;
        int64_t row;
        int r;
        DB_TXN(t);

        (void)kind; /* the text says it */

        if (!id) {
                report(s->check, text);
                return;
        }

        r = db_begin(s->check->m->db, DB_READ, &t);
        if (r == 0)
                r = db_int(&t, check_sql[CHECK_BLOB_ID], &row, DB_INT(s->store),
                           DB_BLOB(id->bytes, sizeof(id->bytes)));
        /* What has no row will be collected, damaged or not. */
        if (r == 0)
                r = report_blob(s->check, &t, (uint64_t)row, text);
        if (r < 0 && r != -ENOENT && s->error == 0)
                s->error = r;
}

static int collect_blob(void *ctx, const struct blob_id *id, const struct blob_info *info)
{
        struct store_check *s = ctx;

        if (s->n == s->size) {
                size_t size = s->size ? 2 * s->size : 64;
                struct stored *blob = reallocarray(s->blob, size, sizeof(*blob));

                if (!blob)
                        return -ENOMEM;

                s->blob = blob;
                s->size = size;
        }

        s->blob[s->n++] = (struct stored){ .id = *id, .info = *info };
        return 0;
}

static int compare_stored(const void *a, const void *b)
{
        const struct stored *x = a, *y = b;

        return memcmp(x->id.bytes, y->id.bytes, sizeof(x->id.bytes));
}

/* A row and the store must say the same. */
static int check_blob(void *ctx, const struct db_row *row)
{
        struct store_check *s = ctx;
        const uint64_t id = (uint64_t)db_row_int(row, 0);
        struct stored key = { 0 };
        const struct stored *found;

        db_row_blob(row, 1, key.id.bytes, sizeof(key.id.bytes));
        blob_row_info(row, 2, &key.info);

        found = s->n ? bsearch(&key, s->blob, s->n, sizeof(*s->blob), compare_stored) : NULL;
        if (!found)
                return report_blob(s->check, s->t, id, "its bytes are not in the store");

        if (!blob_has_checksum(&found->info)) /* the row's was worked out later */
                key.info.checksum = found->info.checksum;
        if (memcmp(&found->info, &key.info, sizeof(key.info)) != 0)
                return report_blob(s->check, s->t, id, "its bytes in the store are not those that the library knows");

        return 0;
}

struct disk_check {
        struct check *check;
        struct blobstore *bs;
};

DEFINE_CLEANUP(struct disk *, disk_closep, disk_close)

/* A disk may be larger than its row says, after a crash while it grew. Nobody waits for this transaction. */
static int check_disk(void *ctx, const struct db_row *row)
{
        const struct disk_check *dc = ctx;
        CLEANUP(disk_closep) struct disk *d = NULL;
        const char *problem = NULL;
        struct disk_id key;
        int r;

        db_row_blob(row, 1, key.bytes, sizeof(key.bytes));
        r = disk_open(dc->bs, &key, &d);
        if (r == -ENOENT)
                problem = "it is not in the store";
        else if (r == -EBADMSG || r == -EPROTONOSUPPORT)
                problem = "its files in the store are damaged";
        else if (r < 0)
                return r;
        else if (disk_get_size(d) < (uint64_t)db_row_int(row, 2))
                problem = "it is smaller in the store than the library knows";
        return problem ? report_affected(&(struct affected){ .check = dc->check, .problem = problem }, row) : 0;
}

static int check_store(void *ctx, uint64_t id, struct blobstore *bs)
{
        struct check *c = ctx;
        CLEANUP(store_check_done) struct store_check s = { .check = c, .store = id };
        struct disk_check disks = { .check = c, .bs = bs };
        const int found = c->found;
        int r;

        r = blobstore_check(bs, c->read_data, report_problem, &s);
        if (r < 0)
                return r;
        if (s.error < 0)
                return s.error;

        r = blobstore_each(bs, collect_blob, &s);
        if (r == -EBADMSG && c->found > found) /* its index is missing, as was told: what is named is asked when it is there */
                return 0;
        if (r < 0)
                return r;
        if (s.n > 0)
                qsort(s.blob, s.n, sizeof(*s.blob), compare_stored);

        DB_TXN(t);

        r = db_begin(c->m->db, DB_READ, &t);
        if (r < 0)
                return r;

        s.t = &t;
        r = db_each(&t, check_sql[CHECK_BLOBS], check_blob, &s, DB_INT(id));
        if (r < 0)
                return r;

        return db_each(&t, check_sql[CHECK_DISKS], check_disk, &disks, DB_INT(id), DB_INT(c->m->place));
}

/* What it holds cannot be looked at; the rest can. */
static int report_offline(void *ctx, const char *sentence, const char *path)
{
        (void)path; /* the sentence has it */
        report(ctx, sentence);
        return 0;
}

DEFINE_CLEANUP(struct model *, model_closep, model_close)

int model_check(const char *dir, bool read_data, model_progress_fn *progress, check_fn *fn, void *ctx,
                struct diag *diag)
{
        CLEANUP(model_closep) struct model *m = NULL;
        struct check c = { .report = fn, .ctx = ctx, .read_data = read_data };
        int r;

        r = model_open(dir, &(struct model_opts){ .read_only = true, .idle = true, .progress = progress }, diag, &m);
        if (r < 0)
                return r;

        c.m = m;

        r = db_check(m->db, report_text, &c);
        if (r >= 0)
                r = check_rules(&c);
        if (r == 0)
                r = stores_each_offline(m, report_offline, &c);
        if (r == 0)
                r = stores_each(m, check_store, &c);
        if (r < 0)
                return diag_set(diag, r, "%s: cannot be checked to the end: %s", dir,
                                r == -EHOSTDOWN ? "a region's bucket does not answer, or refuses" : strerror(-r));

        return c.found;
}

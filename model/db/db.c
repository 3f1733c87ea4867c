/* SPDX-License-Identifier: MIT */

/* What is the same for every engine; all else is asked of the one that the database has (db_engine.h). */

#include "model/db/db.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "model/db/db_engine.h"

int db_open(int dir_fd, const struct db_opts *opts, struct db **ret)
{
        return opts->url ? db_pg_open(opts, ret) : db_sqlite_open(dir_fd, opts, ret);
}

void db_close(struct db *db)
{
        if (db)
                db->engine->close(db);
}

void db_fill_reserve(struct db *db)
{
        db->engine->fill_reserve(db);
}

bool db_is_degraded(struct db *db)
{
        return db->engine->is_degraded(db);
}

bool db_is_far(const struct db *db)
{
        return db->engine->trouble != NULL;
}

bool db_trouble(struct db *db, char *buf, size_t size)
{
        return db->engine->trouble && db->engine->trouble(db, buf, size);
}

bool db_was_away(struct db *db)
{
        return db->engine->was_away && db->engine->was_away(db);
}

bool db_is_lost(struct db *db)
{
        return db->engine->is_lost && db->engine->is_lost(db);
}

void db_leave(struct db *db)
{
        if (db->engine->leave)
                db->engine->leave(db);
}

void db_epochs(struct db *db, uint64_t *ret_before, uint64_t *ret)
{
        *ret_before = *ret = 0;
        if (db->engine->epochs)
                db->engine->epochs(db, ret_before, ret);
}

/* "scheme://user:password@host/name?password=…": what is between the first colon and the "@", and what follows the "?". */
void db_url_show(const char *url, char *buf, size_t size)
{
        const char *authority = strstr(url, "://");
        const char *end, *at, *colon;

        authority = authority ? authority + 3 : url;
        end = authority + strcspn(authority, "/?");
        at = memrchr(authority, '@', (size_t)(end - authority));
        colon = at ? memchr(authority, ':', (size_t)(at - authority)) : NULL;
        if (!colon)
                at = colon = authority;
        (void)snprintf(buf, size, "%.*s%.*s", (int)(colon - url), url, (int)strcspn(at, "?"), at);
}

int db_check(struct db *db, void (*fn)(void *ctx, const char *text), void *ctx)
{
        return db->engine->check(db, fn, ctx);
}

int db_copy(struct db *db, int dir_fd, const char *name, db_copy_stop_fn *stop, void *ctx)
{
        return db->engine->copy ? db->engine->copy(db, dir_fd, name, stop, ctx) : -EOPNOTSUPP;
}

/* ---- transactions ---- */

int db_begin(struct db *db, enum db_mode mode, struct db_txn *ret)
{
        return db->engine->begin(db, mode, false, false, ret);
}

int db_begin_lazy(struct db *db, struct db_txn *ret)
{
        return db->engine->begin(db, DB_WRITE, true, false, ret);
}

int db_begin_scan(struct db *db, struct db_txn *ret)
{
        return db->engine->begin(db, DB_READ, false, true, ret);
}

void db_set_committed(struct db *db, db_committed_fn *fn, void *ctx)
{
        db->committed = fn;
        db->committed_ctx = ctx;
}

int db_commit(struct db_txn *t)
{
        assert(t->mode == DB_WRITE);
        return t->db ? t->db->engine->commit(t) : -EIO;
}

int db_commit_early(struct db_txn *t, struct db_owed *ret)
{
        assert(t->mode == DB_WRITE);
        *ret = (struct db_owed){ .db = t->db };
        if (!t->db || !t->db->engine->commit_early)
                return db_commit(t);
        return t->db->engine->commit_early(t, &ret->number);
}

int db_await(const struct db_owed *owed)
{
        return owed->number ? owed->db->engine->await(owed->db, owed->number) : 0;
}

int db_settle(struct db *db)
{
        return db->engine->settle(db);
}

void db_end(struct db_txn *t)
{
        if (t->db)
                t->db->engine->end(t);
}

uint64_t db_last_id(struct db_txn *t)
{
        return t->db->engine->last_id(t);
}

int db_retire(struct db *db, const char *name)
{
        return db->engine->retire ? db->engine->retire(db, name) : -EOPNOTSUPP;
}

int db_hear(struct db *db, db_news_fn *fn, void *ctx)
{
        return db->engine->hear ? db->engine->hear(db, fn, ctx) : 0;
}

void db_hear_no_more(struct db *db)
{
        if (db->engine->hear_no_more)
                db->engine->hear_no_more(db);
}

int db_each_host(struct db_txn *t, db_row_fn *fn, void *ctx)
{
        return !t->db ? -EIO : t->db->engine->each_host ? t->db->engine->each_host(t, fn, ctx) : 0;
}

/* ---- statements ---- */

int db_run_(struct db_txn *t, const char *sql, const struct db_value *args, size_t n)
{
        return t->db ? t->db->engine->run(t, sql, args, n) : -EIO;
}

int db_run_one_(struct db_txn *t, const char *sql, const struct db_value *args, size_t n)
{
        int r = db_run_(t, sql, args, n);

        return r < 0 ? r : r == 0 ? -ENOENT : 0;
}

int db_each_(struct db_txn *t, const char *sql, db_row_fn *fn, void *ctx, const struct db_value *args, size_t n)
{
        return t->db ? t->db->engine->each(t, sql, fn, ctx, args, n) : -EIO;
}

struct first {
        db_row_fn *fn;
        void *ctx;
        int r;
};

static int take_first(void *ctx, const struct db_row *row)
{
        struct first *f = ctx;

        f->r = f->fn ? f->fn(f->ctx, row) : 0;
        return 1;
}

int db_one_(struct db_txn *t, const char *sql, db_row_fn *fn, void *ctx, const struct db_value *args, size_t n)
{
        struct first f = { .fn = fn, .ctx = ctx };
        int r;

        r = db_each_(t, sql, take_first, &f, args, n);
        if (r < 0)
                return r;
        return r == 0 ? -ENOENT : f.r;
}

static int take_int(void *ctx, const struct db_row *row)
{
        *(int64_t *)ctx = db_row_int(row, 0);
        return 0;
}

int db_int_(struct db_txn *t, const char *sql, int64_t *ret, const struct db_value *args, size_t n)
{
        return db_one_(t, sql, take_int, ret, args, n);
}

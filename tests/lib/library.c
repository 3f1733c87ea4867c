/* SPDX-License-Identifier: MIT */

#include "tests/lib/library.h"

#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "blobstore/base/cleanup.h"
#include "blobstore/base/lock.h"
#include "model/core/blob_row.h"
#include "model/core/stores.h"
#include "model/db/db_pg_dialect.h"
#include "model/db/db_vfs.h"
#include "tests/lib/expect.h"
#include "tests/lib/pg_server.h"

static void check(int r, const char *what, const struct diag *diag)
{
        if (r >= 0)
                return;
        (void)fprintf(stderr, "%s: %s: %s\n", what, expect_name(r), diag ? diag->text : "");
        abort();
}

static void note_change(void *ctx, enum object_kind kind, uint64_t id)
{
        struct library *l = ctx;

        (void)kind;
        (void)id;
        LOCK_SCOPE(&l->mutex);
        l->changes++;
        (void)pthread_cond_broadcast(&l->changed);
}

/* ---- on a server ---- */

static struct pg_server server;

static void remove_server(void)
{
        pg_server_remove(&server);
}

static void name_database(struct library *l)
{
        static unsigned n;
        const char *engine = getenv("IMAGEFS_TEST_CATALOGUE");
        char sql[64];

        if (!engine || strcmp(engine, "postgresql") != 0)
                return;
        if (n == 0) {
                if (!pg_server_make(&server))
                        exit(77);
                (void)atexit(remove_server);
        }
        (void)snprintf(l->database, sizeof(l->database), "library%u", n++);
        (void)snprintf(sql, sizeof(sql), "CREATE DATABASE %s", l->database);
        (void)pg_server_sql(&server, "postgres", sql);
}

/* ---- opening ---- */

static int open_with(struct library *l, struct model_opts opts)
{
        char path[TEMPDIR_MAX + 32], url[TEMPDIR_MAX + 128];

        (void)snprintf(path, sizeof(path), "%s/lib/%s", l->dir, l->database[0] ? "database" : DB_FILE);
        opts.make = access(path, F_OK) < 0;
        if (l->database[0]) {
                pg_server_url(&server, l->database, url, sizeof(url));
                opts.catalogue = url;
        }
        (void)snprintf(path, sizeof(path), "%s/lib", l->dir);
        return model_open(path, &opts, library_diag(l), &l->m);
}

int library_open(struct library *l)
{
        return open_with(l, (struct model_opts){ .workers = 2, .listener = note_change, .listener_ctx = l });
}

int library_open_idle(struct library *l)
{
        return open_with(l, (struct model_opts){ .idle = true });
}

int library_open_read_only(struct library *l)
{
        return open_with(l, (struct model_opts){ .read_only = true });
}

void library_make(struct library *l)
{
        memset(l, 0, sizeof(*l));
        l->admin = (struct caller){ .uid = 0, .gid = 0, .admin = true };
        l->alice = (struct caller){ .uid = 61001, .gid = 61001 };
        l->bob = (struct caller){ .uid = 61002, .gid = 61002 };
        if (pthread_mutex_init(&l->mutex, NULL) != 0 || pthread_cond_init(&l->changed, NULL) != 0)
                abort();
        tempdir_make(l->dir);
        name_database(l);
        check(library_open(l), "model_open", &l->diag);
        check(region_create(l->m, &l->admin, "r1", library_diag(l), &l->region), "region_create", &l->diag);
}

void library_close(struct library *l)
{
        model_close(l->m);
        l->m = NULL;
}

void library_remove(struct library *l)
{
        library_close(l);
        tempdir_remove(l->dir);
        (void)pthread_cond_destroy(&l->changed);
        (void)pthread_mutex_destroy(&l->mutex);
}

int library_setup(void **state)
{
        struct library *l = malloc(sizeof(*l));

        if (!l)
                return -1;
        library_make(l);
        *state = l;
        return 0;
}

int library_teardown(void **state)
{
        library_remove(*state);
        free(*state);
        return 0;
}

struct diag *library_diag(struct library *l)
{
        l->diag = (struct diag){ 0 };
        return &l->diag;
}

uint64_t library_image(struct library *l, const char *handle)
{
        uint64_t id;

        check(image_create(l->m, &l->alice, l->region, CLASS_PRIVATE, handle, library_diag(l), &id), "image_create",
              &l->diag);
        return id;
}

/* ---- behind the model's back ---- */

static int take_first(void *ctx, int n, char **values, char **names)
{
        (void)n;
        (void)names;
        *(int64_t *)ctx = values[0] ? strtoll(values[0], NULL, 10) : 0;
        return 0;
}

static int64_t run_on_server(const struct library *l, const char *sql, bool plain)
{
        CLEANUP_FREE char *text = NULL, *all = NULL;

        check(db_pg_statement(sql, &text), sql, NULL);
        if (asprintf(&all, "%s%s", plain ? "SET session_replication_role = replica; " : "", text) < 0)
                abort();
        return pg_server_sql(&server, l->database, all);
}

static int64_t run_sql(struct library *l, bool plain, const char *fmt, va_list ap)
{
        char path[TEMPDIR_MAX + 32];
        int64_t result = -1;
        char *error = NULL;
        sqlite3 *conn;
        char *sql;

        (void)snprintf(path, sizeof(path), "%s/lib/" DB_FILE, l->dir);
        sql = sqlite3_vmprintf(fmt, ap);
        if (sql && l->database[0]) {
                result = run_on_server(l, sql, plain);
                sqlite3_free(sql);
                return result;
        }
        if (!sql || db_vfs_register() < 0 ||
            sqlite3_open_v2(path, &conn, SQLITE_OPEN_READWRITE, DB_VFS) != SQLITE_OK)
                abort();
        (void)sqlite3_busy_timeout(conn, 10000);
        if (sqlite3_exec(conn, sql, take_first, &result, &error) != SQLITE_OK) {
                (void)fprintf(stderr, "%s: %s\n", sql, error);
                abort();
        }
        (void)sqlite3_close(conn);
        sqlite3_free(sql);
        return result;
}

void library_sql(struct library *l, const char *fmt, ...)
{
        va_list ap;

        va_start(ap, fmt);
        (void)run_sql(l, false, fmt, ap);
        va_end(ap);
}

void library_sql_plain(struct library *l, const char *fmt, ...)
{
        va_list ap;

        va_start(ap, fmt);
        (void)run_sql(l, true, fmt, ap);
        va_end(ap);
}

int64_t library_sql_int(struct library *l, const char *fmt, ...)
{
        int64_t result;
        va_list ap;

        va_start(ap, fmt);
        result = run_sql(l, false, fmt, ap);
        va_end(ap);
        return result;
}

/* ---- work ---- */

enum image_status library_wait_image(struct library *l, uint64_t id)
{
        struct image image;

        for (;;) {
                unsigned seen;

                lock(&l->mutex);
                seen = l->changes;
                unlock(&l->mutex);

                if (image_get(l->m, id, &image) < 0)
                        return IMAGE_DELETED;
                if (!image.busy)
                        return image.status;

                lock(&l->mutex);
                while (l->changes == seen)
                        (void)pthread_cond_wait(&l->changed, &l->mutex);
                unlock(&l->mutex);
        }
}

uint64_t library_blob(struct library *l, const void *bytes, size_t n)
{
        struct blob_writer *w;
        struct blobstore *bs;
        struct region region;
        struct blob *b;
        uint64_t id;
        DB_TXN(t);

        check(region_get(l->m, l->region, &region), "region_get", NULL);
        check(stores_get(l->m, region.store, NULL, &bs), "stores_get", NULL);
        check(blob_writer_new(bs, &w), "blob_writer_new", NULL);
        check(blob_writer_append(w, bytes, n), "blob_writer_append", NULL);
        check(blob_writer_commit(w, &b), "blob_writer_commit", NULL);
        blob_writer_free(w);
        check(db_begin(l->m->db, DB_WRITE, &t), "db_begin", NULL);
        check(blob_row_insert(&t, region.store, b, &id), "blob_row_insert", NULL);
        check(db_commit(&t), "db_commit", NULL);
        blob_close(b);
        return id;
}

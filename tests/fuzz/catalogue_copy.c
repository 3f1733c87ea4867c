/* SPDX-License-Identifier: MIT */

/*
 * A copy of the catalogue that is not what was written: bytes of it changed under a name that has their sum, or rows
 * that hold what the program never wrote. It is taken back or passed over; a library that has it opens or says why, and is checked.
 */

#include <errno.h>
#include <fcntl.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "blobstore/base/bytes.h"
#include "blobstore/base/cleanup.h"
#include "blobstore/base/dir.h"
#include "blobstore/base/io.h"
#include "model/check.h"
#include "model/core/catalogue.h"
#include "model/found.h"
#include "model/restore.h"
#include "tests/fuzz/lib/fuzz.h"
#include "tests/lib/machine.h"

#define CHANGES 16
#define TABLES  64

static struct library l;
static char lib[TEMPDIR_MAX + 8];
static char *tables[TABLES];
static size_t n_tables;

static int add_table(void *ctx, int n, char **values, char **names)
{
        (void)ctx;
        (void)names;
        if (n_tables < TABLES && n == 1)
                tables[n_tables++] = strdup(values[0]);
        return 0;
}

static void path_in(const char *name, char ret[TEMPDIR_MAX + 64])
{
        (void)snprintf(ret, TEMPDIR_MAX + 64, "%s/%s", lib, name);
}

static sqlite3 *open_database(const char *path)
{
        sqlite3 *db = NULL;

        MUST(sqlite3_open_v2(path, &db, SQLITE_OPEN_READWRITE, NULL) == SQLITE_OK);
        return db;
}

static void make_library(void)
{
        char path[TEMPDIR_MAX + 64];
        sqlite3 *db;

        library_make(&l);
        (void)snprintf(lib, sizeof(lib), "%s/lib", l.dir);
        (void)machine_make_empty(&l, "vm1");
        (void)machine_volume(&l, "data", 1 << 20);
        (void)library_image(&l, "new");
        library_close(&l);
        path_in("imagefs.db", path);
        db = open_database(path);
        MUST(sqlite3_exec(db, "PRAGMA wal_checkpoint(TRUNCATE)", NULL, NULL, NULL) == SQLITE_OK);
        MUST(sqlite3_exec(db, "SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY name", add_table, NULL, NULL) == SQLITE_OK);
        (void)sqlite3_close(db);
        MUST(n_tables > 5);
        fuzz_keep_tree(lib);
}

/* ---- the damage ---- */

struct column {
        unsigned wanted, n;
        char name[64];
};

static int pick_column(void *ctx, int n, char **values, char **names)
{
        struct column *c = ctx;

        (void)names;
        if (n > 1 && c->n++ == c->wanted)
                (void)snprintf(c->name, sizeof(c->name), "%s", values[1]);
        return 0;
}

static void damage_row(sqlite3 *db, struct input *in)
{
        const char *table = tables[input_number(in, 1) % n_tables];
        const unsigned row = (unsigned)input_number(in, 1) % 16;
        struct column c = { .wanted = (unsigned)input_number(in, 1) % 24 };
        const unsigned how = (unsigned)input_number(in, 1) % 6;
        sqlite3_stmt *stmt = NULL;
        const uint8_t *bytes;
        char sql[512];
        size_t n;

        (void)snprintf(sql, sizeof(sql), "PRAGMA table_info(\"%s\")", table);
        (void)sqlite3_exec(db, sql, pick_column, &c, NULL);
        if (how == 0)
                (void)snprintf(sql, sizeof(sql), "DELETE FROM \"%s\" WHERE rowid = (SELECT rowid FROM \"%s\" LIMIT 1 OFFSET ?2)", table, table);
        else
                (void)snprintf(sql, sizeof(sql), "UPDATE OR REPLACE \"%s\" SET \"%s\" = %s WHERE rowid = (SELECT rowid FROM \"%s\" LIMIT 1 OFFSET ?2)",
                               table, c.name, how == 1 ? "NULL" : "?1", table);
        if (!c.name[0] || sqlite3_prepare_v2(db, sql, -1, &stmt, NULL) != SQLITE_OK)
                return;
        if (how == 2 || how == 3) {
                (void)sqlite3_bind_int64(stmt, 1, (sqlite3_int64)input_number(in, how == 2 ? 1 : 8));
        } else if (how > 3) {
                const size_t want = (size_t)input_number(in, 1);

                bytes = input_bytes(in, want, &n);
                if (how == 4)
                        (void)sqlite3_bind_blob(stmt, 1, bytes, (int)n, SQLITE_STATIC);
                else
                        (void)sqlite3_bind_text(stmt, 1, (const char *)bytes, (int)n, SQLITE_STATIC);
        }
        (void)sqlite3_bind_int(stmt, 2, (int)row);
        (void)sqlite3_step(stmt); /* where the table lets it */
        (void)sqlite3_finalize(stmt);
}

static void damage_rows(const char *path, struct input *in)
{
        sqlite3 *db = open_database(path);

        (void)sqlite3_db_config(db, SQLITE_DBCONFIG_ENABLE_TRIGGER, 0, NULL);
        (void)sqlite3_exec(db, "PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; PRAGMA foreign_keys = OFF;"
                               "PRAGMA ignore_check_constraints = ON; BEGIN", NULL, NULL, NULL);
        for (int i = 0; i < CHANGES && in->left > 0; i++)
                damage_row(db, in);
        (void)sqlite3_exec(db, "COMMIT", NULL, NULL, NULL);
        (void)sqlite3_close(db);
}

static int remove_name(void *ctx, const char *name)
{
        return unlinkat(*(const int *)ctx, name, 0);
}

/* It is the only copy that there is, under the name that it should have. */
static void put_among_copies(const char *path)
{
        CLEANUP_CLOSE int fd = open(path, O_RDONLY | O_CLOEXEC);
        CLEANUP_CLOSE int dir_fd = -1;
        char name[128], hex[2 * HASH128_SIZE + 1], dir[TEMPDIR_MAX + 64];
        uint8_t sum[HASH128_SIZE];

        path_in("blobs/" CATALOGUE_DIR, dir);
        dir_fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        MUST(fd >= 0 && dir_fd >= 0);
        MUST(dir_each(dir_fd, ".", remove_name, &dir_fd) == 0);
        MUST(catalogue_sum(fd, sum) == 0);
        put_hex(hex, sum, sizeof(sum));
        (void)snprintf(name, sizeof(name), "2026-01-31T12:00:00Z.%s.db", hex);
        MUST(renameat(AT_FDCWD, path, dir_fd, name) == 0);
}

/* ---- what is done with it ---- */

static void heard(void *ctx, const char *line)
{
        (void)ctx;
        MUST(line[0]);
}

static void use(unsigned what)
{
        struct diag diag = { 0 };

        if (what & 1)
                (void)model_check(lib, true, NULL, heard, NULL, &diag);
        diag = (struct diag){ 0 };
        if (what & 2)
                (void)model_found_name(lib, false, heard, NULL, &diag);
        if (library_open_idle(&l) == 0)
                library_close(&l);
        else
                MUST(l.diag.error == 0 || l.diag.text[0]);
        if ((what & 4) && library_open(&l) == 0)
                library_close(&l);
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
        (void)argc;
        (void)argv;
        make_library();
        return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        struct input in = { data, size };
        const unsigned what = (unsigned)input_number(&in, 1);
        char path[TEMPDIR_MAX + 64];
        struct diag diag = { 0 };
        int r;

        if (!lib[0])
                make_library();
        fuzz_put_back_tree();
        path_in("imagefs.db", path);
        if (what & 128)
                input_damage_file(&in, path, CHANGES, 1 << 19);
        else
                damage_rows(path, &in);
        put_among_copies(path);
        r = model_restore(lib, heard, NULL, &diag);
        MUST(r == 0 || r == 1 || (r == -ENOENT && diag.text[0]));
        if (r >= 0)
                use(what);
        return 0;
}

/* SPDX-License-Identifier: MIT */

/*
 * An index whose rows, or whose file, the disk has damaged, under a store that is whole. What is read is right, or refused;
 * and whatever is done with it, collecting, tidying and scrubbing, loses nothing: with the index made anew all is there.
 */

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "blobstore/base/cleanup.h"
#include "blobstore/base/io.h"
#include "blobstore/blobs/blob.h"
#include "blobstore/blobs/scrub.h"
#include "blobstore/blobs/tidy.h"
#include "blobstore/blobstore.h"
#include "tests/fuzz/lib/fuzz.h"
#include "tests/lib/random.h"

#define BYTES   ((size_t)512 << 10)
#define BLOCK   4096
#define CHANGES 16
#define BLOBS   3

/* Of each table the key, and what a damaged row may have anything in. */
static const struct {
        const char *name, *key, *columns[10];
} tables[] = {
        { "chunk", "place", { "place", "hash", "rest", "raw_len", "stored_len", "refs", "epoch", "base", "at", "proof" } },
        { "feature", "hash", { "hash", "place" } },
        { "debris", "place", { "place", "len", "epoch", "dead", "proof" } },
        { "segment", "id", { "id", "end", "sealed", "live", "gaps", "tidy" } },
        { "blob", "id", { "id", "state", "retained", "size", "data_bytes", "data_clusters", "data_spans", "checksum", "proof" } },
        { "loan", "map_row", { "borrower", "map_row", "lender", "page", "count", "proof" } },
        { "total", "one", { "logical_bytes", "unique_bytes", "stored_bytes", "blobs", "chunks", "epoch", "next_segment", "generation",
                            "token", "orphans_us" } },
};
#define TABLES (sizeof(tables) / sizeof(tables[0]))

static char dir[PATH_MAX];
static struct blob_id ids[BLOBS];
static uint8_t *contents[BLOBS];

static const struct blobstore_opts opts = { .threads = 1, .caches = { .memory_bytes = 1 << 20 } };

static struct blobstore *open_store(void)
{
        struct blobstore *bs = NULL;

        MUST(blobstore_open(dir, &opts, &bs) == 0);
        return bs;
}

/* ---- the template ---- */

static bool never(void *ctx)
{
        (void)ctx;
        return false;
}

static void collect(struct blobstore *bs)
{
        struct blobstore_gc_stats stats;

        (void)blobstore_gc(bs, NULL, NULL, NULL, 0, &stats);
}

/* Each other block is one of 4 KiB of data: more than a page of entries. */
static void make_blob(struct blobstore *bs, unsigned at, uint64_t seed)
{
        struct blob_writer *w;
        struct blob *b;

        contents[at] = calloc(1, BYTES);
        MUST(contents[at]);
        for (size_t off = 0; off < BYTES; off += 2 * (size_t)BLOCK)
                random_fill(&seed, contents[at] + off, BLOCK);
        MUST(blob_writer_new(bs, &w) == 0);
        MUST(blob_writer_append(w, contents[at], BYTES) == 0);
        MUST(blob_writer_commit(w, &b) == 0);
        ids[at] = *blob_get_id(b);
        blob_close(b);
        blob_writer_free(w);
}

/* Like the first, which it borrows pages of, but for a block. */
static void make_like(struct blobstore *bs, unsigned at)
{
        struct blob_share_stats stats;
        const uint64_t off = BYTES - 4 * (uint64_t)BLOCK;
        struct blob_writer *w;
        struct blob *b, *from;
        uint64_t seed = 9;

        contents[at] = malloc(BYTES);
        MUST(contents[at]);
        memcpy(contents[at], contents[0], BYTES);
        random_fill(&seed, contents[at] + off, BLOCK);
        MUST(blob_open(bs, &ids[0], &from) == 0);
        MUST(blob_writer_new(bs, &w) == 0);
        MUST(blob_writer_share(w, from, 0, off, &stats) == 0);
        MUST(blob_writer_append(w, contents[at] + off, BLOCK) == 0);
        MUST(blob_writer_share(w, from, off + BLOCK, BYTES - off - BLOCK, &stats) == 0);
        MUST(blob_writer_commit(w, &b) == 0);
        ids[at] = *blob_get_id(b);
        blob_close(b);
        blob_close(from);
        blob_writer_free(w);
}

/* The first is removed, and lends; one is tidied, so that there are moves. */
static void make_store(void)
{
        struct blobstore_tidy_stats moved = { 0 };
        struct blobstore *bs;

        MUST(snprintf(dir, sizeof(dir), "%s/store", fuzz_dir()) < (int)sizeof(dir));
        bs = open_store();
        make_blob(bs, 0, 1);
        make_like(bs, 1);
        blobstore_close(bs);
        bs = open_store(); /* another segment */
        make_blob(bs, 2, 2);
        MUST(blob_remove(bs, &ids[0]) == 0);
        collect(bs);
        (void)blobstore_tidy(bs, never, NULL, &moved);
        collect(bs);
        blobstore_close(bs);
        fuzz_keep_tree(dir);
}

/* ---- the damage ---- */

static void damage_row(sqlite3 *db, struct input *in)
{
        const size_t t = input_number(in, 1) % TABLES;
        const unsigned row = (unsigned)input_number(in, 1);
        const unsigned column = (unsigned)input_number(in, 1) % 10;
        const unsigned how = (unsigned)input_number(in, 1) % 8;
        const char *name = tables[t].columns[column];
        sqlite3_stmt *stmt = NULL;
        const uint8_t *bytes;
        char sql[512];
        size_t n;

        if (how == 0)
                (void)snprintf(sql, sizeof(sql), "DELETE FROM %s WHERE %s = (SELECT %s FROM %s ORDER BY 1 LIMIT 1 OFFSET ?2)",
                               tables[t].name, tables[t].key, tables[t].key, tables[t].name);
        else
                (void)snprintf(sql, sizeof(sql), "UPDATE OR REPLACE %s SET %s = %s WHERE %s = (SELECT %s FROM %s ORDER BY 1 LIMIT 1 OFFSET ?2)",
                               tables[t].name, name ? name : tables[t].key, how == 1 && name ? "~?1" : how == 2 && name ? "1 + ?1" : "?1",
                               tables[t].key, tables[t].key, tables[t].name);
        if (sqlite3_prepare_v2(db, sql, -1, &stmt, NULL) != SQLITE_OK)
                return;
        if (how == 7) {
                bytes = input_bytes(in, 16, &n);
                (void)sqlite3_bind_blob(stmt, 1, bytes, (int)n, SQLITE_STATIC);
        } else if (how > 0) {
                (void)sqlite3_bind_int64(stmt, 1, (sqlite3_int64)input_number(in, how > 4 ? 8 : 2));
        }
        (void)sqlite3_bind_int(stmt, 2, (int)row);
        (void)sqlite3_step(stmt); /* where the table lets it */
        (void)sqlite3_finalize(stmt);
}

static void damage_rows(const char *path, struct input *in)
{
        sqlite3 *db = NULL;

        MUST(sqlite3_open_v2(path, &db, SQLITE_OPEN_READWRITE, NULL) == SQLITE_OK);
        (void)sqlite3_exec(db, "PRAGMA synchronous = OFF; PRAGMA ignore_check_constraints = ON; BEGIN", NULL, NULL, NULL);
        for (int i = 0; i < CHANGES && in->left > 0; i++)
                damage_row(db, in);
        (void)sqlite3_exec(db, "COMMIT; PRAGMA wal_checkpoint(TRUNCATE)", NULL, NULL, NULL);
        (void)sqlite3_close(db);
}

/* ---- and what is done then ---- */

static void read_blob(struct blobstore *bs, unsigned at, bool whole)
{
        static uint8_t buf[BYTES];
        struct blob *b;
        ssize_t n;
        int r;

        r = blob_open(bs, &ids[at], &b);
        MUST(r == 0 || !whole);
        if (r < 0)
                return;
        for (size_t off = 0; off < BYTES; off += 65536) {
                n = blob_pread(b, buf, 65536, off);
                MUST(n == 65536 || !whole);
                MUST(n < 0 || memcmp(buf, contents[at] + off, (size_t)n) == 0);
        }
        blob_close(b);
}

static int pace(void *ctx, uint64_t n)
{
        (void)ctx;
        (void)n;
        return 0;
}

static int reached(void *ctx, const struct scrub_position *pos)
{
        (void)ctx;
        (void)pos;
        return 0;
}

static void problem(void *ctx, enum blobstore_problem kind, const struct blob_id *id, const char *text)
{
        (void)ctx;
        (void)kind;
        (void)id;
        MUST(text[0]);
}

static int find(void *ctx, const struct chunk_name *name, void *buf, size_t n)
{
        return blob_find_chunk(ctx, name, buf, n);
}

static void healed(void *ctx, enum scrub_healed what, uint64_t n)
{
        (void)ctx;
        (void)what;
        MUST(n > 0);
}

static void use(unsigned what)
{
        struct blobstore *bs = NULL;
        struct scrub_ops ops = { .pace = pace, .reached = reached, .problem = problem, .find = find, .healed = healed };
        struct blobstore_tidy_stats moved = { 0 };
        int r;

        r = blobstore_open(dir, &opts, &bs);
        MUST(r == 0 || r == -EPROTONOSUPPORT); /* its number may have become that of a later version */
        if (r < 0)
                return;
        ops.ctx = bs;
        for (unsigned i = 1; i < BLOBS; i++)
                read_blob(bs, i, false);
        collect(bs);
        if (what & 1)
                (void)blobstore_tidy(bs, never, NULL, &moved);
        if (what & 2)
                (void)blob_scrub(bs, &(struct scrub_position){ 0 }, &ops);
        if (what & 4)
                (void)blobstore_check(bs, true, problem, NULL);
        collect(bs);
        for (unsigned i = 1; i < BLOBS; i++)
                read_blob(bs, i, false);
        blobstore_close(bs);
}

static void hold_against(void)
{
        struct blobstore *bs = NULL;

        MUST(blobstore_open(dir, &(struct blobstore_opts){ .threads = 1, .remake = true, .caches = { .memory_bytes = 1 << 20 } }, &bs) == 0);
        for (unsigned i = 1; i < BLOBS; i++)
                read_blob(bs, i, true);
        blobstore_close(bs);
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
        (void)argc;
        (void)argv;
        make_store();
        return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        struct input in = { data, size };
        char path[PATH_MAX];
        unsigned what;

        if (!dir[0])
                make_store();
        fuzz_put_back_tree();
        what = (unsigned)input_number(&in, 1);
        MUST(snprintf(path, sizeof(path), "%s/index.db", dir) < (int)sizeof(path));
        if (what & 128)
                input_damage_file(&in, path, CHANGES, 1 << 18);
        else
                damage_rows(path, &in);
        use(what);
        hold_against();
        return 0;
}

/* SPDX-License-Identifier: MIT */

/*
 * A copy is brought into the library's directory, and what arrived is read through: its bytes must be those that the
 * copy's name tells, a database without damage, and of the library that the own store belongs to; another library's
 * would make that store a stranger's. Then the old database goes aside, its WAL first, since a WAL beside another
 * database would be played into that. A crash in between leaves all there is, and the copy to be brought back again.
 */

#include "model/restore.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "blobstore/base/cleanup.h"
#include "blobstore/base/io.h"
#include "blobstore/base/strbuf.h"
#include "model/core/catalogue.h"
#include "model/core/clock.h"
#include "model/core/stores.h"
#include "model/db/db_copy.h"
#include "model/home.h"

#define NEW_FILE DB_FILE ".new"
#define BUFFER   (1 << 18)

enum { STORES };

static const char *const restore_sql[] = {
        [STORES] = "SELECT path FROM store WHERE path <> ''",
};
static const struct db_statements restore_statements = DB_STATEMENTS(restore_sql);

struct candidate {
        char *dir;
        struct catalogue_copy copy;
};

struct restore {
        struct model m; /* its directory and lock, and nothing more */
        restore_fn *fn;
        void *ctx;
        struct store_owner owner; /* of the own store; library "": nobody knows */
        struct candidate *list; /* the newest first */
        size_t n;
        const struct candidate *taken;
        struct db_copy_facts facts; /* of that */
};

static void restore_done(struct restore *rs)
{
        for (size_t i = 0; i < rs->n; i++)
                free(rs->list[i].dir);
        free(rs->list);
        home_close(&rs->m);
}

static void say(struct restore *rs, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

static void say(struct restore *rs, const char *fmt, ...)
{
        char line[3 * PATH_MAX];
        va_list ap;

        va_start(ap, fmt);
        (void)vsnprintf(line, sizeof(line), fmt, ap);
        va_end(ap);
        rs->fn(rs->ctx, line);
}

/* ---- what there is ---- */

static int add_candidate(struct restore *rs, const char *dir, const struct catalogue_copy *copy)
{
        struct candidate *list = reallocarray(rs->list, rs->n + 1, sizeof(*list));

        if (!list)
                return -ENOMEM;
        rs->list = list;
        list[rs->n] = (struct candidate){ .dir = strdup(dir), .copy = *copy };
        return list[rs->n++].dir ? 0 : -ENOMEM;
}

/* One that cannot be read has nothing to offer. */
static int add_store(struct restore *rs, const char *path)
{
        CLEANUP(catalogue_copies_done) struct catalogue_copies copies = { 0 };
        CLEANUP_CLOSE int fd = -1;
        char dir[PATH_MAX];
        int r = 0;

        if (snprintf(dir, sizeof(dir), "%s/" CATALOGUE_DIR, path) >= (int)sizeof(dir))
                return 0;
        fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
        if (fd < 0 || catalogue_list(fd, &copies) < 0)
                return 0;
        for (size_t i = 0; r == 0 && i < copies.n; i++)
                r = add_candidate(rs, dir, &copies.copy[i]);
        return r;
}

static int add_row(void *ctx, const struct db_row *row)
{
        return add_store(ctx, db_row_str(row, 0));
}

DEFINE_CLEANUP(struct db *, db_closep, db_close)

/* Of a database that cannot be read any more no store is known. */
static int add_named_stores(struct restore *rs)
{
        static const struct db_statements *const tables[] = { &restore_statements, NULL };
        const struct db_opts opts = { .read_only = true, .tables = tables };
        CLEANUP(db_closep) struct db *db = NULL;
        DB_TXN(t);
        int r;

        if (faccessat(rs->m.dir_fd, DB_FILE, F_OK, 0) < 0 || db_open(rs->m.dir_fd, &opts, &db) < 0)
                return 0;
        r = db_begin(db, DB_READ, &t);
        if (r == 0)
                r = db_each(&t, restore_sql[STORES], add_row, rs);
        db_end(&t);
        return r == -ENOMEM ? r : 0;
}

static int compare_newest_first(const void *a, const void *b)
{
        const struct candidate *x = a, *y = b;

        return strcmp(y->copy.name, x->copy.name);
}

static int find_copies(struct restore *rs)
{
        CLEANUP_CLOSE int fd = -1;
        char own[PATH_MAX];
        int r;

        r = store_path_complete(&rs->m, "", own, sizeof(own));
        if (r < 0)
                return r;
        fd = open(own, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (fd >= 0)
                (void)blobstore_read_owner(fd, &rs->owner); /* made before stores had owners, or damaged: any is ours */
        r = add_store(rs, own);
        if (r == 0)
                r = add_named_stores(rs);
        if (r == 0 && rs->n > 0)
                qsort(rs->list, rs->n, sizeof(*rs->list), compare_newest_first);
        return r;
}

/* ---- bringing one here ---- */

/* -EIO: FROM cannot be read; what befalls TO is told as another error. */
static int copy_bytes(int from, int to)
{
        CLEANUP_FREE char *buf = malloc(BUFFER);
        uint64_t off = 0;
        ssize_t n;
        int r = 0;

        if (!buf)
                return -ENOMEM;
        while (r == 0 && (n = pread_full(from, buf, BUFFER, off)) != 0) {
                if (n < 0)
                        return -EIO;
                r = pwrite_full(to, buf, (size_t)n, off);
                off += (uint64_t)n;
        }
        if (r == 0 && fsync(to) < 0)
                r = -errno;
        return r == -EIO ? -EROFS : r;
}

static int bring(struct restore *rs, const struct candidate *c)
{
        CLEANUP_CLOSE int dir = -1;
        CLEANUP_CLOSE int from = -1;
        CLEANUP_CLOSE int to = -1;
        uint8_t sum[HASH128_SIZE];
        int r;

        dir = open(c->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
        if (dir >= 0)
                from = openat(dir, c->copy.name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
        if (from < 0)
                return -EBADMSG;
        (void)unlinkat(rs->m.dir_fd, NEW_FILE, 0); /* of a restoration that was cut off */
        to = openat(rs->m.dir_fd, NEW_FILE, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
        if (to < 0)
                return -errno;
        r = copy_bytes(from, to);
        if (r == 0)
                r = catalogue_sum(to, sum);
        if (r == 0 && memcmp(sum, c->copy.sum, sizeof(sum)) != 0)
                r = -EBADMSG;
        if (r == 0)
                r = db_copy_read(rs->m.dir_fd, NEW_FILE, &rs->facts);
        if (r == 0 && rs->owner.library[0] && rs->facts.library[0] &&
            strcmp(rs->owner.library, rs->facts.library) != 0)
                r = -EXDEV;
        return r;
}

/* Why the next older one is looked at; NULL: it is not. */
static const char *useless(int r)
{
        switch (r) {
        case -EBADMSG:
        case -EUCLEAN:
        case -EIO:
                return "it is damaged, or cannot be read";
        case -EPROTONOSUPPORT:
                return "it was made by another version of imagefs";
        case -EXDEV:
                return "it is another library's";
        }
        return NULL;
}

static int bring_newest(struct restore *rs, struct diag *diag)
{
        const char *why;
        int r;

        for (size_t i = 0; i < rs->n; i++) {
                r = bring(rs, &rs->list[i]);
                if (r == 0) {
                        rs->taken = &rs->list[i];
                        return 0;
                }
                (void)unlinkat(rs->m.dir_fd, NEW_FILE, 0);
                why = useless(r);
                if (!why)
                        return diag_set(diag, r, "%s/" NEW_FILE ": the copy cannot be brought here: %s", rs->m.dir,
                                        strerror(-r));
                say(rs, "%s/%s: not taken: %s", rs->list[i].dir, rs->list[i].copy.name, why);
        }
        return diag_set(diag, -ENOENT, "%s: there is no whole copy of the catalogue in %s/" STORES_OWN_DIR "/"
                                       CATALOGUE_DIR ", nor in another store that the catalogue names", rs->m.dir,
                        rs->m.dir);
}

/* ---- putting it in place ---- */

/* What a database may have beside it; the database itself goes last. */
static const char *const parts[] = { "-wal", "-shm", "-journal", "" };
#define PARTS (sizeof(parts) / sizeof(parts[0]))

/* A name that nothing has: "imagefs.db.<time>.damaged". */
static void name_aside(struct restore *rs, char *buf, size_t size)
{
        for (int64_t now_us = clock_now_us();; now_us += 1000000) {
                CLEANUP_STRBUF struct strbuf when = { 0 };
                bool is_taken = false;

                strbuf_add_time(&when, now_us);
                for (size_t i = 0; i < PARTS; i++) {
                        (void)snprintf(buf, size, DB_FILE ".%s.damaged%s", strbuf_text(&when), parts[i]);
                        is_taken |= faccessat(rs->m.dir_fd, buf, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
                }
                if (!is_taken)
                        return;
        }
}

static int set_aside(struct restore *rs, const char *aside)
{
        char from[64], to[128];

        for (size_t i = 0; i < PARTS; i++) {
                (void)snprintf(from, sizeof(from), DB_FILE "%s", parts[i]);
                (void)snprintf(to, sizeof(to), "%s%s", aside, parts[i]);
                if (renameat(rs->m.dir_fd, from, rs->m.dir_fd, to) == 0)
                        say(rs, "what was %s/%s is %s now", rs->m.dir, from, to);
                else if (errno != ENOENT)
                        return -errno;
        }
        return fsync_dir(rs->m.dir_fd);
}

static int put_in_place(struct restore *rs, struct diag *diag)
{
        char aside[96];
        int r;

        name_aside(rs, aside, sizeof(aside));
        r = set_aside(rs, aside);
        if (r == 0 && renameat(rs->m.dir_fd, NEW_FILE, rs->m.dir_fd, DB_FILE) < 0)
                r = -errno;
        if (r == 0)
                r = fsync_dir(rs->m.dir_fd);
        return r < 0 ? diag_set(diag, r, "%s/" DB_FILE ": cannot be replaced: %s", rs->m.dir, strerror(-r)) : 0;
}

static void tell(struct restore *rs)
{
        say(rs, "%s/" DB_FILE " is the catalogue of %.*s again, from %s/%s", rs->m.dir, CATALOGUE_TIME_LEN,
            rs->taken->copy.name, rs->taken->dir, rs->taken->copy.name);
        if (rs->facts.is_older)
                say(rs, "it is of an earlier version: the next mount brings it up to date");
        say(rs, "it does not know what was made or changed later: blobs that no image names are told by \"imagefs check "
                "%s\", and made images in the recycle bin by --repair; else they go when unnamed-days are over",
            rs->m.dir);
}

int model_restore(const char *dir, restore_fn *fn, void *ctx, struct diag *diag)
{
        CLEANUP(restore_done) struct restore rs = { .fn = fn, .ctx = ctx };
        int r;

        home_init(&rs.m);
        r = home_open(&rs.m, dir, HOME_RESTORE, diag);
        if (r == 0)
                r = find_copies(&rs);
        if (r == 0)
                r = bring_newest(&rs, diag);
        if (r == 0)
                r = put_in_place(&rs, diag);
        if (r < 0)
                return diag_set(diag, r, "%s: the catalogue cannot be restored: %s", dir, strerror(-r));
        tell(&rs);
        return rs.facts.is_older;
}

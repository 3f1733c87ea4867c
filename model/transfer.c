/* SPDX-License-Identifier: MIT */

/*
 * The new catalogue is made aside, in one transaction that was compared, and is on its disk before the library knows of it.
 * What makes the library use the other one is one name, that of the file with the address: it comes, or goes. Before that
 * a crash leaves the old one in use, and what was made for the new one has no use: in the library's directory it is
 * removed at the next time. After it the new one is in use. The old one never goes: it gets another name, the
 * file, or on the server its schema, which other hosts would take for the library's else.
 */

#include "model/transfer.h"

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
#include "model/address.h"
#include "model/core/clock.h"
#include "model/db/db_transfer.h"
#include "model/home.h"

#define SCRATCH_DIR "imagefs.db.migrating" /* as what begins with the database's name, it may lie in a library */
/* A row is answered at once, but not what looks at all rows: what watches over them begins at the end. */
#define DEADLINE_MS 600000

struct transfer {
        struct model m; /* its directory and lock, and nothing more */
        const char *to; /* the address; NULL: a file */
        int scratch_fd;
        restore_fn *fn;
        void *ctx;
};

static void transfer_done(struct transfer *t)
{
        cleanup_close(&t->scratch_fd);
        home_close(&t->m);
}

static void say(struct transfer *t, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

static void say(struct transfer *t, const char *fmt, ...)
{
        char line[PATH_MAX + 512];
        va_list ap;

        va_start(ap, fmt);
        (void)vsnprintf(line, sizeof(line), fmt, ap);
        va_end(ap);
        t->fn(t->ctx, line);
}

/* ---- names ---- */

/* What has that name gets "<name>.<time>.aside", which nothing has. Nothing of that name: 0 all the same. */
static int set_aside(struct transfer *t, const char *name)
{
        for (int64_t now_us = clock_now_us();; now_us += 1000000) {
                CLEANUP_STRBUF struct strbuf aside = { 0 };

                strbuf_addf(&aside, "%s.", name);
                strbuf_add_time(&aside, now_us);
                strbuf_add(&aside, ".aside");
                if (strbuf_error(&aside) < 0)
                        return -ENOMEM;
                if (renameat2(t->m.dir_fd, name, t->m.dir_fd, strbuf_text(&aside), RENAME_NOREPLACE) == 0) {
                        say(t, "what was %s/%s is %s now", t->m.dir, name, strbuf_text(&aside));
                        return fsync_dir(t->m.dir_fd);
                }
                if (errno != EEXIST)
                        return errno == ENOENT ? 0 : -errno;
        }
}

static int open_scratch(struct transfer *t)
{
        int r;

        r = mkdir_durable(t->m.dir_fd, SCRATCH_DIR, 0700);
        if (r < 0)
                return r;
        t->scratch_fd = openat(t->m.dir_fd, SCRATCH_DIR, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
        return t->scratch_fd < 0 ? -errno : 0;
}

static void remove_scratch(struct transfer *t)
{
        static const char *const names[] = { DB_FILE, DB_FILE "-wal", DB_FILE "-shm", DB_FILE "-journal" };

        for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
                (void)unlinkat(t->scratch_fd, names[i], 0);
        (void)unlinkat(t->m.dir_fd, SCRATCH_DIR, AT_REMOVEDIR); /* what is left there is in nobody's way */
}

/* ---- the one in use ---- */

static int use_server(struct transfer *t)
{
        int r;

        t->m.catalogue = strdup(t->to);
        r = t->m.catalogue ? address_keep(&t->m) : -ENOMEM;
        return r < 0 ? r : set_aside(t, DB_FILE);
}

/* A file of an earlier time may have the name. */
static int use_file(struct transfer *t)
{
        CLEANUP_CLOSE int fd = openat(t->scratch_fd, DB_FILE, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
        int r;

        if (fd < 0 || fsync(fd) < 0)
                return -errno;
        if (faccessat(t->scratch_fd, DB_FILE "-wal", F_OK, 0) == 0)
                return -EIO; /* it was not closed as it should be, and not all is in the file */
        r = set_aside(t, DB_FILE);
        if (r == 0 && renameat(t->scratch_fd, DB_FILE, t->m.dir_fd, DB_FILE) < 0)
                r = -errno;
        if (r == 0)
                r = fsync_dir(t->m.dir_fd);
        return r < 0 ? r : set_aside(t, ADDRESS_FILE);
}

/* A db_use_fn. */
static int use(void *ctx)
{
        struct transfer *t = ctx;

        return t->to ? use_server(t) : use_file(t);
}

/* ---- rows ---- */

static int refuse(struct transfer *t, int r, const struct db_transferred *what, const char *from_trouble,
                  const char *to_trouble, struct diag *diag)
{
        const bool from = what->failed && strcmp(what->failed, "from") == 0;
        const char *url = from ? t->m.catalogue : t->to;

        if (what->what[0] && r == -EILSEQ)
                return diag_set(diag, -EIO, "%s: the rows of the table %s are not there as they were here: nothing is changed",
                                t->m.dir, what->what);
        if (what->what[0])
                return diag_set(diag, r, "%s: the rows of the table %s cannot be taken there: %s: nothing is changed", t->m.dir,
                                what->what, *to_trouble ? to_trouble : strerror(-r));
        if (what->failed && url) {
                struct diag why = { 0 };

                (void)address_refuse(url, r, from ? from_trouble : to_trouble, &why);
                return diag_set(diag, r, "%s: nothing is changed%s", why.text, r == -EINPROGRESS ? " here" : "");
        }
        return diag_set(diag, r, "%s/" DB_FILE ": %s", t->m.dir, strerror(-r));
}

static int move(struct transfer *t, struct diag *diag)
{
        char name[HOST_NAME_MAX + 1] = "", here[HOME_HERE_MAX], from_trouble[256] = "", to_trouble[256] = "";
        const struct db_host host = { .name = name, .directory = t->m.dir, .here = here, .version = IMAGEFS_VERSION };
        const struct db_opts opts = { .host = &host, .deadline_ms = DEADLINE_MS, .trouble_size = sizeof(to_trouble) };
        struct db_place from = { .dir_fd = t->m.dir_fd, .opts = opts }, to = { .dir_fd = t->scratch_fd, .opts = opts };
        struct db_transferred what;
        CLEANUP_STRBUF struct strbuf old = { 0 };
        int r;

        strbuf_add(&old, "imagefs.");
        strbuf_add_time(&old, clock_now_us());
        strbuf_add(&old, ".aside");
        (void)gethostname(name, sizeof(name) - 1); /* cannot fail with that size */
        home_here(&t->m, here, sizeof(here));
        from.opts.url = t->m.catalogue;
        from.opts.trouble = from_trouble;
        to.opts.url = t->to;
        to.opts.make = t->to != NULL;
        to.opts.trouble = to_trouble;
        r = db_transfer(&from, &to, t->scratch_fd, use, t, strbuf_text(&old), &what);
        if (r < 0 && !what.failed && t->to && !address_is_there(t->m.dir_fd))
                return diag_set(diag, r, "%s: the catalogue cannot be put in place: %s: nothing is changed here; its rows are on the "
                                         "server, where nobody uses them: drop the schema imagefs there before the next try",
                                t->m.dir, strerror(-r));
        if (r < 0 && !what.failed)
                return diag_set(diag, r, "%s: the catalogue cannot be put in place: %s", t->m.dir, strerror(-r));
        if (r < 0)
                return refuse(t, r, &what, from_trouble, to_trouble, diag);
        say(t, "%llu rows of %llu tables, compared", (unsigned long long)what.rows, (unsigned long long)what.tables);
        if (!t->m.catalogue || t->to)
                return 0;
        if (what.retired == 0)
                say(t, "the schema imagefs on the server is \"%s\" now", strbuf_text(&old));
        else
                say(t, "the schema imagefs is still there on the server: rename it, before another host serves what is no more in use");
        return 0;
}

static int run(struct transfer *t, struct diag *diag)
{
        int r;

        if (t->to && t->m.catalogue)
                return diag_set(diag, -EINVAL, "%s: the catalogue is on a server already: \"imagefs migrate %s --catalogue "
                                               TRANSFER_TO_FILE "\" takes it back to a file first", t->m.dir, t->m.dir);
        if (!t->to && !t->m.catalogue)
                return diag_set(diag, -EINVAL, "%s: the catalogue is in a file already", t->m.dir);
        r = open_scratch(t);
        if (r < 0)
                return diag_set(diag, r, "%s/" SCRATCH_DIR ": cannot be made: %s", t->m.dir, strerror(-r));
        remove_scratch(t);
        cleanup_close(&t->scratch_fd);
        r = open_scratch(t);
        if (r == 0)
                r = move(t, diag);
        if (t->scratch_fd >= 0)
                remove_scratch(t);
        return r;
}

int model_transfer(const char *dir, const char *to, restore_fn *fn, void *ctx, struct diag *diag)
{
        CLEANUP(transfer_done) struct transfer t = { .scratch_fd = -1, .fn = fn, .ctx = ctx };
        int r;

        home_init(&t.m);
        if (strcmp(to, TRANSFER_TO_FILE) != 0) {
                r = address_check(to, diag);
                if (r < 0)
                        return r;
                t.to = to;
        }
        r = home_open(&t.m, dir, HOME_USE, diag);
        if (r == 0)
                r = address_read(&t.m, diag);
        return r < 0 ? r : run(&t, diag);
}

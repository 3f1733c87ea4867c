/* SPDX-License-Identifier: MIT */
/* imagefs check STORE, and as fsck(8) calls it. */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "blobstore/base/cleanup.h"
#include "fs/commands.h"
#include "fs/flags.h"
#include "fs/place.h"
#include "fs/progress.h"
#include "model/check.h"
#include "model/found.h"
#include "model/restore.h"

/* As fsck has them. */
enum {
        EXIT_CHECK_REPAIRED = 1,
        EXIT_CHECK_LEFT = 4,
        EXIT_CHECK_ERROR = 8,
        EXIT_CHECK_USAGE = 16,
};

struct check {
        const char *store;
        bool read_data, repair, restore;
        bool only_look; /* whatever else is said */
};

static void report(void *ctx, const char *text)
{
        (void)ctx;
        progress_clear();
        (void)printf("%s\n", text);
}

static int check_fail(const struct diag *diag, int error)
{
        (void)fprintf(stderr, "imagefs: %s\n", diag->error ? diag->text : strerror(-error));
        return EXIT_CHECK_ERROR;
}

/* What no image names is told, or made images, and is no problem: a crash may leave it, and it goes by itself. */
static int check_all(const struct check *c, bool repaired)
{
        struct diag diag = { 0 };
        int problems, found;

        problems = model_check(c->store, c->read_data, progress_show, report, NULL, &diag);
        if (problems < 0)
                return check_fail(&diag, problems);
        /* What is wrong with an index, or with what a segment says of itself, is put right by making it again. */
        found = c->repair ? model_found_name(c->store, problems > 0, report, NULL, &diag) :
                            model_found_list(c->store, report, NULL, &diag);
        if (found < 0)
                return check_fail(&diag, found);
        if (c->repair && problems > 0) {
                (void)printf("the indices of the blob stores were made again; what is left:\n");
                problems = model_check(c->store, c->read_data, progress_show, report, NULL, &diag);
                if (problems < 0)
                        return check_fail(&diag, problems);
                repaired |= problems == 0;
        }
        repaired |= c->repair && found > 0;
        if (problems > 0)
                (void)printf("%d problems\n", problems);
        else
                (void)printf("%s\n", repaired ? "repaired" : "clean");
        return problems > 0 ? EXIT_CHECK_LEFT : repaired ? EXIT_CHECK_REPAIRED : EXIT_SUCCESS;
}

static int check_run(const struct check *c)
{
        struct diag diag = { 0 };
        int r;

        if (c->restore) {
                r = model_restore(c->store, report, NULL, &diag);
                if (r < 0)
                        return check_fail(&diag, r);
                if (r > 0) /* of an earlier version: nothing can be said of it before it was mounted */
                        return EXIT_CHECK_REPAIRED;
        }
        return check_all(c, c->restore);
}

static int check_parse_and_run(const struct flags *line, int argc, char **argv, struct check *c)
{
        CLEANUP_FREE char *store = NULL;
        struct diag diag = { 0 };
        const char *word;
        int r;

        switch (flags_parse(line, argc, argv, &word)) {
        case FLAGS_HELP:
                return EXIT_SUCCESS;
        case FLAGS_WRONG:
                return EXIT_CHECK_USAGE;
        case FLAGS_OK:
                break;
        }
        r = place_find(word, &diag, &store);
        if (r < 0)
                return check_fail(&diag, r);
        c->store = store;
        c->repair &= !c->only_look;
        return check_run(c);
}

int command_check(int argc, char **argv)
{
        struct check c = { 0 };
        const struct flag table[] = {
                { "--read-data", "read every chunk, too: takes as long as reading the disk does", .set = &c.read_data },
                { "--repair", "make indices again, and images in the recycle bin of what nothing names", .set = &c.repair },
                { "--restore-catalogue", "bring back the newest whole copy of the catalogue first", .set = &c.restore },
        };
        const struct flags line = {
                .usage = "imagefs check STORE|ADDRESS [--read-data] [--repair] [--restore-catalogue]",
                .about = "Looks at a library that nobody serves. Status: 0 clean, 1 repaired, 4 problems are left, "
                         "8 it cannot be checked, 16 not understood.",
                .table = table,
                .n = sizeof(table) / sizeof(table[0]),
        };

        return check_parse_and_run(&line, argc, argv, &c);
}

int command_fsck(int argc, char **argv)
{
        struct check c = { 0 };
        const struct flag table[] = {
                { "-a", "repair what can be repaired without asking", .set = &c.repair },
                { "-p", "the same", .set = &c.repair },
                { "-y", "the same", .set = &c.repair },
                { "-r", NULL, .set = &c.repair },
                { "-n", "only look", .set = &c.only_look },
                { "-f", "read every chunk, too", .set = &c.read_data },
                { "-M", NULL, .set = NULL },
                { "-T", NULL, .set = NULL },
                { "-v", NULL, .set = NULL },
                { "-V", NULL, .set = NULL },
        };
        const struct flags line = {
                .usage = "fsck.imagefs [-a|-p|-y|-n] [-f] STORE",
                .about = "Looks at a library that nobody serves, as imagefs check does.",
                .table = table,
                .n = sizeof(table) / sizeof(table[0]),
        };

        return check_parse_and_run(&line, argc, argv, &c);
}

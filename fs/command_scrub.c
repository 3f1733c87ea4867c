/* SPDX-License-Identifier: MIT */
/* imagefs scrub STORE. */

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "blobstore/base/cleanup.h"
#include "fs/commands.h"
#include "fs/flags.h"
#include "fs/place.h"
#include "fs/progress.h"
#include "model/scrub.h"

/* As fsck has them. */
enum {
        EXIT_SCRUB_HEALED = 1,
        EXIT_SCRUB_LEFT = 4,
        EXIT_SCRUB_ERROR = 8,
        EXIT_SCRUB_USAGE = 16,
        EXIT_SCRUB_STOPPED = 32,
};

#define MIB     (UINT64_C(1) << 20)
#define PERCENT 10 /* in a pipe there is a line at each of so many */

static volatile sig_atomic_t stopped;

static void scrub_stop(int number)
{
        (void)number;
        stopped = 1;
}

struct scrub {
        uint64_t tenth; /* of the store, that was told last */
        char path[64];  /* the store's, or the beginning of it: another one's begins anew */
        bool healed;
};

static bool scrub_goes_on(void *ctx, const char *path, uint64_t done, uint64_t total)
{
        struct scrub *s = ctx;
        uint64_t percent = total ? done * 100 / total : 100;

        if (isatty(STDERR_FILENO)) {
                progress_show(NULL, "MiB", done / MIB, total / MIB);
                return !stopped;
        }
        if (strncmp(s->path, path, sizeof(s->path) - 1) != 0) {
                (void)snprintf(s->path, sizeof(s->path), "%s", path);
                s->tenth = 0;
        }
        if (percent / PERCENT > s->tenth) {
                s->tenth = percent / PERCENT;
                (void)printf("%s: %" PRIu64 " %%\n", path, s->tenth * PERCENT);
                (void)fflush(stdout);
        }
        return !stopped;
}

static void scrub_report(void *ctx, const char *line)
{
        (void)ctx;
        progress_clear();
        (void)printf("%s\n", line);
}

static void scrub_healed(void *ctx, const char *line)
{
        struct scrub *s = ctx;

        s->healed = true;
        scrub_report(ctx, line);
}

int command_scrub(int argc, char **argv)
{
        static const struct flags line = {
                .usage = "imagefs scrub STORE|ADDRESS",
                .about = "Reads all that is stored of a library that nobody serves, heals what is damaged where a copy of it is "
                         "elsewhere in the library, and names the rest. Ctrl-C stops it, and the next one goes on there. Status: "
                         "0 all is whole, 1 healed, 4 something is damaged, 8 it cannot be read, 16 not understood, 32 stopped.",
        };
        const struct sigaction stop = { .sa_handler = scrub_stop };
        struct scrub s = { 0 };
        const struct model_scrub_ops ops = { .goes_on = scrub_goes_on, .report = scrub_report, .healed = scrub_healed, .ctx = &s };
        struct diag diag = { 0 };
        const char *word;
        enum flags_result parsed = flags_parse(&line, argc, argv, &word);
        CLEANUP_FREE char *store = NULL;
        int found;

        if (parsed != FLAGS_OK)
                return parsed == FLAGS_HELP ? EXIT_SUCCESS : EXIT_SCRUB_USAGE;
        (void)sigaction(SIGINT, &stop, NULL);
        (void)sigaction(SIGTERM, &stop, NULL);
        found = place_find(word, &diag, &store);
        if (found == 0)
                found = model_scrub(store, &ops, &diag);
        if (found == -ECANCELED) {
                progress_clear();
                (void)printf("stopped; the next one goes on there\n");
                return EXIT_SCRUB_STOPPED;
        }
        if (found < 0) {
                (void)fprintf(stderr, "imagefs: %s\n", diag.error ? diag.text : strerror(-found));
                return EXIT_SCRUB_ERROR;
        }
        if (found > 0)
                (void)printf("%d damaged\n", found);
        else
                (void)printf("%s\n", s.healed ? "healed: all is whole" : "all is whole");
        return found > 0 ? EXIT_SCRUB_LEFT : s.healed ? EXIT_SCRUB_HEALED : EXIT_SUCCESS;
}

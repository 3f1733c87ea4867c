/* SPDX-License-Identifier: MIT */
/* imagefs init STORE|ADDRESS [--from PLACE | --catalogue ADDRESS | --join ADDRESS]. */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "blobstore/base/cleanup.h"
#include "fs/commands.h"
#include "fs/flags.h"
#include "fs/place.h"
#include "model/model.h"
#include "model/recall.h"

/* A restore_fn. */
static void report(void *ctx, const char *line)
{
        (void)ctx;
        (void)printf("%s\n", line);
}

static int init_in(const char *store, const char *place, const char *catalogue, const char *joined)
{
        struct diag diag = { 0 };
        struct model *m;
        int r;

        if (place) {
                r = model_recall(store, place, report, NULL, &diag);
                if (r < 0)
                        (void)fprintf(stderr, "imagefs: %s\n", diag.error ? diag.text : strerror(-r));
                return r < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
        }
        if (joined) {
                r = model_join(store, joined, &diag);
                explicit_bzero((char *)(uintptr_t)joined, strlen(joined)); /* ps shows no password of it any longer than that */
                if (r < 0)
                        (void)fprintf(stderr, "imagefs: %s\n", diag.error ? diag.text : strerror(-r));
                else
                        (void)printf("made; copy the file secret of the first host's directory into %s, then mount it: imagefs %s "
                                     "MOUNTPOINT -o standby\n", store, store);
                return r < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
        }
        r = model_open(store, &(struct model_opts){ .make = true, .idle = true, .catalogue = catalogue }, &diag, &m);
        if (catalogue) /* ps shows no password of it any longer than that */
                explicit_bzero((char *)(uintptr_t)catalogue, strlen(catalogue));
        if (r < 0) {
                (void)fprintf(stderr, "imagefs: %s\n", diag.error ? diag.text : strerror(-r));
                return EXIT_FAILURE;
        }
        model_close(m);
        (void)printf("made; to mount it: imagefs %s MOUNTPOINT\n", store);
        return EXIT_SUCCESS;
}

static int init_at(const char *address)
{
        CLEANUP_FREE char *dir = NULL;
        struct diag diag = { 0 };
        int r;

        r = place_of(address, &diag, &dir);
        if (r == 0)
                return init_in(dir, NULL, address, NULL);
        (void)fprintf(stderr, "imagefs: %s\n", diag.error ? diag.text : strerror(-r));
        return EXIT_FAILURE;
}

int command_init(int argc, char **argv)
{
        const char *word, *place = NULL, *catalogue = NULL, *joined = NULL;
        const struct flag table[] = {
                { "--from", "of the newest copy of a catalogue in \"s3://BUCKET/PREFIX endpoint=…\"", .text = &place },
                { "--catalogue", "\"postgresql://USER@HOST/DATABASE\": a database of PostgreSQL that has it, in place of a file",
                  .text = &catalogue },
                { "--join", "likewise, where there is one already: to serve that library on this host, too", .text = &joined },
        };
        const struct flags line = {
                .usage = "imagefs init STORE|ADDRESS [--from PLACE | --catalogue ADDRESS | --join ADDRESS]",
                .about = "Makes a library in directory STORE, which is made if it is missing, and must be empty else. Named by the address "
                         "of a catalogue, it is a directory of this host's own.",
                .table = table,
                .n = sizeof(table) / sizeof(table[0]),
        };
        enum flags_result parsed = flags_parse(&line, argc, argv, &word);

        if (parsed != FLAGS_OK)
                return parsed == FLAGS_HELP ? EXIT_SUCCESS : EXIT_FAILURE;
        if (model_is_address(word)) {
                if (!place && !catalogue && !joined)
                        return init_at(word);
                (void)fprintf(stderr, "imagefs: the library is named by the address of its catalogue: --from, --catalogue and --join want "
                                      "a directory\n");
                return EXIT_FAILURE;
        }
        return init_in(word, place, catalogue, joined);
}

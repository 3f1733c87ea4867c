/* SPDX-License-Identifier: MIT */
/* imagefs migrate STORE --catalogue ADDRESS. */

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "blobstore/base/cleanup.h"
#include "fs/commands.h"
#include "fs/flags.h"
#include "fs/place.h"
#include "model/transfer.h"

/* A restore_fn. */
static void report(void *ctx, const char *line)
{
        (void)ctx;
        (void)printf("%s\n", line);
}

int command_migrate(int argc, char **argv)
{
        const char *word, *catalogue = NULL;
        const struct flag table[] = {
                { "--catalogue", "\"postgresql://USER@HOST/DATABASE\", or \"" TRANSFER_TO_FILE "\": in a file again",
                  .text = &catalogue },
        };
        const struct flags line = {
                .usage = "imagefs migrate STORE|ADDRESS --catalogue ADDRESS",
                .about = "Takes the catalogue of a library that nobody serves to a database of PostgreSQL, or back.",
                .table = table,
                .n = sizeof(table) / sizeof(table[0]),
        };
        enum flags_result parsed = flags_parse(&line, argc, argv, &word);
        CLEANUP_FREE char *store = NULL, *to = NULL;
        struct diag diag = { 0 };
        int r;

        if (parsed != FLAGS_OK)
                return parsed == FLAGS_HELP ? EXIT_SUCCESS : EXIT_FAILURE;
        if (!catalogue) {
                (void)fprintf(stderr, "imagefs: where to? --catalogue \"postgresql://USER@HOST/DATABASE\", or \"" TRANSFER_TO_FILE
                                      "\"\n");
                return EXIT_FAILURE;
        }
        to = strdup(catalogue);
        explicit_bzero((char *)(uintptr_t)catalogue, strlen(catalogue)); /* ps shows no password of it any longer */
        r = to ? place_find(word, &diag, &store) : -ENOMEM;
        if (r == 0)
                r = model_transfer(store, to, report, NULL, &diag);
        if (r < 0) {
                (void)fprintf(stderr, "imagefs: %s\n", diag.error ? diag.text : strerror(-r));
                return EXIT_FAILURE;
        }
        (void)printf("the catalogue is %s now\n", strcmp(to, TRANSFER_TO_FILE) == 0 ? "in a file" : "on the server");
        return EXIT_SUCCESS;
}

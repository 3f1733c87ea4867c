/* SPDX-License-Identifier: MIT */
/* imagefs init STORE. */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fs/commands.h"
#include "fs/flags.h"
#include "model/model.h"

int command_init(int argc, char **argv)
{
        static const struct flags line = {
                .usage = "imagefs init STORE",
                .about = "Makes a library in directory STORE, which is made if it is missing, and must be empty else.",
        };
        struct diag diag = { 0 };
        const char *store;
        struct model *m;
        enum flags_result parsed = flags_parse(&line, argc, argv, &store);
        int r;

        if (parsed != FLAGS_OK)
                return parsed == FLAGS_HELP ? EXIT_SUCCESS : EXIT_FAILURE;
        r = model_open(store, &(struct model_opts){ .make = true, .idle = true }, &diag, &m);
        if (r < 0) {
                (void)fprintf(stderr, "imagefs: %s\n", diag.error ? diag.text : strerror(-r));
                return EXIT_FAILURE;
        }
        model_close(m);
        (void)printf("made; to mount it: imagefs %s MOUNTPOINT\n", store);
        return EXIT_SUCCESS;
}

/* SPDX-License-Identifier: MIT */

#include "fs/progress.h"

#include <inttypes.h>
#include <stdio.h>
#include <unistd.h>

#include "fs/bar.h"

#define BAR_WIDTH 24
/* What is shown: of what has an end so many steps, else each of so many things. */
#define STEPS 256
#define STEP  64

void progress_show(void *ctx, const char *what, uint64_t done, uint64_t total)
{
        CLEANUP_STRBUF struct strbuf bar = { 0 };
        const uint64_t step = total ? total / STEPS + 1 : STEP;

        (void)ctx;
        if ((done % step && done != total) || !isatty(STDERR_FILENO))
                return;
        if (!total) {
                (void)fprintf(stderr, "\rimagefs: %s: %" PRIu64, what, done);
                return;
        }
        bar_add(&bar, done, total, BAR_WIDTH);
        (void)fprintf(stderr, "\rimagefs: %s: %s %" PRIu64 " of %" PRIu64 "%s", what, strbuf_text(&bar), done, total,
                      done >= total ? "\n" : "");
}

void progress_clear(void)
{
        if (isatty(STDERR_FILENO))
                (void)fputs("\r\033[K", stderr);
}

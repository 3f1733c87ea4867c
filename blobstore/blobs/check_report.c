/* SPDX-License-Identifier: MIT */

/*
 * What the check says: problems, and how far it is.
 */

#include <stdarg.h>
#include <stdio.h>

#include "blobstore/blobs/check_priv.h"

void check_tell(struct check *c, uint64_t seen)
{
        if (c->store->progress && c->n_chunks > 0)
                c->store->progress(c->store->progress_ctx, "chunks", seen, c->n_chunks);
}

void check_report(struct check *c, enum blobstore_problem kind, const struct blob_id *id, const char *fmt, ...)
{
        char text[256];
        va_list ap;

        va_start(ap, fmt);
        (void)vsnprintf(text, sizeof(text), fmt, ap); /* cut, if it must be */
        va_end(ap);
        c->problems++;
        c->report(c->ctx, kind, id, text);
}

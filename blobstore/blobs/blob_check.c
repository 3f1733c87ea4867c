/* SPDX-License-Identifier: MIT */

/*
 * The check counts everything again, from the maps, into a temporary index like the real one, and compares the two. So
 * its memory does not depend on the size of the store, and it knows of the index only what the index says in public.
 *
 * What an interrupted removal or commit, or a crash, may leave and the next collection takes back is no problem, and
 * neither is a chunk that nothing refers to. With a writer or a collection at work beside it, it may find what is
 * only on its way.
 */

#include "blobstore/blobs/blob_check.h"

#include <errno.h>
#include <stdlib.h>

#include "blobstore/blobs/check_priv.h"
#include "blobstore/blobs/map_file_priv.h"

static int check_run(struct check *c)
{
        struct blobstore_stats stats;
        int r;

        r = c->chunks->index ? index_verify(c->chunks->index) : 0;
        if (r == -ENOMEM)
                return r; /* which says nothing of it */
        if (!c->chunks->index)
                check_report(c, BLOBSTORE_PROBLEM_INDEX, NULL,
                             "the index is missing or damaged; it will be made again");
        else if (r < 0)
                check_report(c, BLOBSTORE_PROBLEM_INDEX, NULL, "the database of the index is damaged");

        if (c->chunks->index && index_stats(c->chunks->index, &stats) == 0)
                c->n_chunks = stats.chunks;
        r = index_new_temporary(c->chunks->segments, &c->chunks->degraded, &c->counted);
        if (r == 0)
                r = check_segments(c);
        if (r == 0)
                r = map_file_each(c->store, check_map, c);
        if (r == 0)
                r = map_file_each(c->store, check_map_borrows, c);
        if (r == 0 && c->chunks->index)
                r = check_index(c);
        if (r == 0)
                check_tell(c, c->n_chunks); /* what is only a base is in no map, and did not come */
        return r;
}

int blob_check_all(struct blobstore *bs, bool read_data, blobstore_problem_fn *report, void *ctx)
{
        struct check *c = calloc(1, sizeof(*c)); /* with its buffer too much for a stack */
        int r;

        if (!c)
                return -ENOMEM;
        c->store = bs;
        c->chunks = bs->chunks;
        c->read_data = read_data;
        c->report = report;
        c->ctx = ctx;
        r = check_run(c);
        if (r == 0)
                r = c->problems;
        index_close(c->counted);
        free(c->sizes);
        free(c->bad);
        free(c);
        return r;
}

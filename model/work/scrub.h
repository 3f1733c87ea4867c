/* SPDX-License-Identifier: MIT */
#ifndef MODEL_WORK_SCRUB_H
#define MODEL_WORK_SCRUB_H

/* Reading stores through before anybody needs what a disk has lost. Private to model/. */

#include "model/core/state.h"

struct blobstore;

/* How a pass is made. */
struct scrub_how {
        /* N more bytes were read, LEFT at its beginning. Waits as long as it likes; -ECANCELED: to go on another time. */
        int (*pace)(void *ctx, uint64_t n, uint64_t left);
        /* What was found, and whose it is; NULL: what is noted in rows is enough. */
        void (*found)(void *ctx, const char *line);
        /* What was found, and is whole again; of which nothing stays but an event. */
        void (*healed)(void *ctx, const char *line);
        void *ctx;
};

/* One pass of a store, from where the last one was left, which is noted: to its end, or as pace says. */
int scrub_pass(struct model *m, uint64_t store, struct blobstore *bs, const struct scrub_how *how);

/* The daemon's: passes of those stores for which it is time. Gives when to come again; 0: there is no need. */
int64_t scrub_turn(struct model *m);

#endif

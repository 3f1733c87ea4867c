/* SPDX-License-Identifier: MIT */
#ifndef MODEL_IMAGE_GUESTS_PRIV_H
#define MODEL_IMAGE_GUESTS_PRIV_H

/* Programs that have a file system open: see guests.c. Any thread may take one. */

#include <sys/queue.h>

#include "model/core/state.h"
#include "model/image/guest.h"

struct guest {
        TAILQ_ENTRY(guest) link;
        struct guest_at at;
        uid_t uid;
        uint64_t size_bytes; /* of the disk */
        struct inside_part part;
        struct blob *blob;
        struct guest_files *files;
        int64_t due_ms; /* it ends then, by the monotonic clock, if nobody asks it */
};

/* *RET_NEW: nobody has asked it anything yet. As guest_stat(). It is given back. */
int guests_take(struct model *m, const struct guest_asker *a, struct diag *diag, struct guest **ret, bool *ret_new);
void guests_give(struct model *m, struct guest *g);

#endif

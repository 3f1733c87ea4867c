/* SPDX-License-Identifier: MIT */
#ifndef MODEL_IMAGE_GUEST_SYSTEM_H
#define MODEL_IMAGE_GUEST_SYSTEM_H

/* Which system is installed on a disk that an image has just got. Private to model/. */

#include "blobstore/blobs/blob.h"
#include "blobstore/import/inside.h"
#include "model/image/image.h"

/* Is there anything of it that is not set yet? As there is not in a backup that comes back. */
bool guest_system_is_wanted(const struct image *i);

struct guest_look {
        struct model *m;
        uid_t uid; /* whose disk it is, who has to have a turn for it (guest_turns.h) */
        int (*go_on)(void *ctx); /* a negative errno ends it, and is what it gives; NULL: nothing does */
        void *ctx;
};

/*
 * It takes milliseconds, or some seconds where the disk keeps its reader busy. All of *RET is "" where nothing can be
 * told, for whatever reason: it fails only where GO_ON ends it.
 */
int guest_system_find(struct blob *blob, const struct guest_look *look, struct inside_system *ret);

#endif

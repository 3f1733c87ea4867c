/* SPDX-License-Identifier: MIT */
#ifndef MODEL_IMAGE_LISTING_PRIV_H
#define MODEL_IMAGE_LISTING_PRIV_H

/* Lists of a region's images: how one is made, for what keeps them (listing_cache.c). Private to model/. */

#include <pthread.h>

#include "model/core/spool.h"
#include "model/image/listing.h"

/* Whether the caller belongs to a group, as far as that decided what the list shows. */
struct listing_group {
        gid_t gid;
        bool in;
};

struct listing {
        struct spool text;
        int64_t changed_us; /* when the last of its rows changed; 0 where there is none */
        int64_t begun_us; /* before the first of them was read, by CLOCK_MONOTONIC_COARSE */
        int64_t version; /* listing_version(), as of the rows that are in it */
        struct strbuf groups; /* of struct listing_group */
};

void listing_done(struct listing *l);

/* Makes one; WHOLE is held while its rows are read in one go. -EFBIG, -EOPNOTSUPP: spreadsheets only, with a sentence. */
int listing_make(struct model *m, const struct caller *c, uint64_t region, enum listing_format format,
                 pthread_mutex_t *whole, struct diag *diag, struct listing *ret);

/*
 * The number that goes up with every change of what the list of the region, or of all, shows to C: not with one of an
 * image that is closed to her. To be compared where listing_group is the same. -ENOENT.
 */
int listing_version(struct model *m, const struct caller *c, uint64_t region, int64_t *ret);

#endif

/* SPDX-License-Identifier: MIT */
#ifndef MODEL_CORE_STORE_PLACE_H
#define MODEL_CORE_STORE_PLACE_H

/* Opening one blob store. Private to model/. */

#include "model/core/owner.h"

struct store_place {
        const struct store_owner *we;
        uint64_t id; /* 0: it has no row yet */
        const char *path; /* as in the database */
        bool known; /* there has been a store at it */
        struct blobstore_caches caches;
        struct kept *kept; /* of the disks, see blobstore.h; may be NULL */
};

/*
 * Opens the store, which is made where there may be a new one, and finds out whose it is, as owner_find(): 1, or 0 and
 * *ret_owner. What is wrong is said in DIAG, as the path and a sentence.
 */
int store_place_open(struct model *m, const struct store_place *at, struct diag *diag, struct blobstore **ret,
               struct store_owner *ret_owner);

/*
 * The store of the bucket at FROM, which is open as BS or not (NULL), is to be had at TO, too, and what it has here by that name: nothing is changed where something else
 * lies there. -EBUSY; others as store_place_open(). Durable.
 */
int store_place_link(struct model *m, struct blobstore *bs, const char *from, const char *to, struct diag *diag);

/* It is this library's, if it was not. OWNER: what was found. One that is to be refused must not be touched so. */
int store_place_make_ours(struct model *m, const struct store_place *at, struct blobstore *bs,
                    const struct store_owner *owner, struct diag *diag);

#endif

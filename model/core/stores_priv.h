/* SPDX-License-Identifier: MIT */
#ifndef MODEL_CORE_STORES_PRIV_H
#define MODEL_CORE_STORES_PRIV_H

/* The stores of a library, as stores.c and stores_offline.c share them. */

#include <pthread.h>

#include "model/core/store_list.h"
#include "model/core/store_place.h"

struct stores {
        struct blobstore_caches caches;
        struct kept *kept; /* of the disks; may be NULL */
        struct store_owner we; /* as stores are told of it; constant */
        pthread_mutex_t add_lock; /* one is added or brought back at a time; before any transaction */
        struct store_list list;
};

#endif

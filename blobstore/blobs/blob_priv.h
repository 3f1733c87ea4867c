/* SPDX-License-Identifier: MIT */
#ifndef BLOBSTORE_BLOBS_BLOB_PRIV_H
#define BLOBSTORE_BLOBS_BLOB_PRIV_H

/* An open blob, as the files of this room share it. */

#include "blobstore/blobs/map.h"
#include "blobstore/blobs/store.h"

struct blob {
        struct blobstore *store;
        struct blob_id id;
        uint32_t scan; /* by which the store's scans know it; constant */

        LIST_ENTRY(blob) link; /* under blobs_lock, as are the next two */
        unsigned users;
        bool removed; /* nobody opens it any more; collected when it is closed */

        pthread_mutex_t load_lock; /* the first user loads the map, others wait */
        bool loaded; /* under load_lock */
        int load_error; /* under load_lock */
        struct map *map; /* constant once loaded, as is the next */
        struct blob_info info;

        struct block_file *blocks; /* constant once loaded; NULL: no cache on disk */
        atomic_uint_fast64_t read_end; /* where the last small read ended */
};

/* A pin on a blob whose map is not there yet, so that no collection touches it. Load it with blob_load(). */
int blob_pin_new(struct blobstore *bs, const struct blob_id *id, struct blob **ret);
int blob_load(struct blob *b);
/* Of one that may be open already; for who reads its map by itself. -ENOENT: it is being removed. */
int blob_pin(struct blobstore *bs, const struct blob_id *id, struct blob **ret);

/* An open blob once more; release with blob_close(). */
struct blob *blob_ref(struct blob *b);

/* ---- blob_ahead.c ---- */

void blob_ahead_init(struct scans *scans);
/* [OFF, OFF + N) is being read: what will be wanted after that is fetched from the bucket, if there is one. */
void blob_look_ahead(struct blob *b, uint64_t off, size_t n);

/* ---- and elsewhere ---- */

/*
 * Keeps a blob from being opened while it is removed: 1 where it may be removed now, 0 where it is open (and marked).
 */
int blob_begin_removal(struct blobstore *bs, const struct blob_id *id);
bool blob_is_open(struct blobstore *bs, const struct blob_id *id);

DEFINE_CLEANUP(struct map *, map_closep, map_close)

#endif

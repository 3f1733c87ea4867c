/* SPDX-License-Identifier: MIT */
#ifndef BLOBSTORE_CHUNKS_SEGMENT_PRIV_H
#define BLOBSTORE_CHUNKS_SEGMENT_PRIV_H

/*
 * What the files of the segments share: segment.c (those that are appended to), segment_sync.c (what of them is durable
 * and what the index knows), segment_file.c (the files, by id).
 */

#include <pthread.h>
#include <sys/queue.h>

#include "blobstore/chunks/segment.h"
#include "blobstore/objects/objects.h"

struct segment {
        TAILQ_ENTRY(segment) link;
        struct segments *owner;
        uint32_t id;
        int fd;
        uint64_t writeback;   /* up to here it was started; the appender's, as is the next */
        struct footer footer; /* to be written when it is sealed */

        /* Under the owner's lock. */
        uint64_t end;
        uint64_t synced;                                            /* up to here it is durable */
        uint64_t wanted;                                            /* up to here the sync that runs makes it durable */
        uint64_t recorded;                                          /* up to here the index knows */
        uint64_t added, added_synced, added_wanted, added_recorded; /* bytes of payloads, likewise */
        uint64_t disowned;                                          /* up to here, rows were lost */
        bool full;
        bool sealed; /* it has its footer */
        bool sealed_recorded;
        bool busy;    /* has an appender */
        bool syncing; /* a sync looks at it: not to be freed */
};

struct segments {
        struct objects objects;
        atomic_bool *degraded;
        uint8_t store[STORE_ID_SIZE]; /* constant once set */
        struct fd_cache *readers;
        pthread_mutex_t sync_lock; /* one sync at a time; taken before lock */

        pthread_mutex_t lock;
        /* Under lock: those not sealed, and those whose last state the index does not know yet. */
        TAILQ_HEAD(, segment) active;
        uint32_t next_id;
        bool dir_dirty; /* a file was created since the directory was synced */
};

/* ---- segment.c ---- */

/* Call with the lock held: frees a segment that nobody has anything left to do with. */
void segment_retire(struct segment *seg);

/* ---- segment_file.c ---- */

/* To be read: a descriptor, for a struct fd_cache. CTX: the segments. */
int segment_file_open(void *ctx, uint32_t id);

/* The file of a new segment, to be appended to: a descriptor. -EEXIST: somebody's, who may need it. */
int segment_file_make(struct segments *s, uint32_t id);

#endif

/* SPDX-License-Identifier: MIT */
#ifndef BLOBSTORE_CHUNKS_SEGMENT_PRIV_H
#define BLOBSTORE_CHUNKS_SEGMENT_PRIV_H

/*
 * What the files of the segments share: segment.c (those that are appended to), segment_sync.c (what of them is durable
 * and what the index knows), segment_file.c (the files, by id), segment_far.c (those in a bucket), segment_send.c (those on their
 * way), segment_settle.c (when they are there).
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
        struct footer footer; /* to be written when it is sealed; under append_lock, as the file is written */
        bool alone; /* only its appender seals it; constant */
        pthread_mutex_t append_lock; /* before the owner's */

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
        bool sent; /* it is in the bucket */
        unsigned settling; /* so many seal it for its appender: likewise */
};

struct segment_far;
struct segment_queue;

struct segments {
        struct objects objects;
        atomic_bool *degraded;
        uint8_t store[STORE_ID_SIZE]; /* constant once set */
        struct fd_cache *readers;
        struct segment_far *far; /* NULL: there is no bucket; constant once set, as is the next */
        struct segment_queue *queue; /* of what goes there */
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

/* ---- segment_name.c ---- */

/* "xxxxxxxx.seg" */
#define SEGMENT_NAME_SIZE 13
void segment_name(uint32_t id, char name[SEGMENT_NAME_SIZE]);
int segment_name_parse(const char *name, uint32_t *ret); /* -EINVAL */

/* ---- segment_file.c ---- */

/* To be read: a descriptor, for a struct fd_cache. CTX: the segments. */
int segment_file_open(void *ctx, uint32_t id);

/* The file of a new segment, to be appended to: a descriptor. -EEXIST: somebody's, who may need it. */
int segment_file_make(struct segments *s, uint32_t id);

/* A descriptor. -ENOENT: it may be in the bucket. */
int segment_file_open_to(struct segments *s, uint32_t id, int flags);

/* Removes the file, not durably; readers go to the bucket from now on. -ENOENT. */
int segment_file_remove(struct segments *s, uint32_t id);

/* ---- where there is a bucket: segment_far.c ---- */

int segment_far_new(struct bucket *bucket, const struct range_cache_opts *cache, struct segment_far **ret);
void segment_far_free(struct segment_far *far); /* accepts NULL */
int segment_far_put(struct segment_far *far, uint32_t id, int fd, uint64_t size);
int segment_far_read(struct segment_far *far, uint32_t id, uint64_t from, void *buf, size_t n);
void segment_far_want(struct segment_far *far, uint32_t id, uint64_t from, uint64_t to);
int segment_far_size(struct segment_far *far, uint32_t id, uint64_t *ret);
int segment_far_describe(struct segment_far *far, uint32_t id, const uint8_t store[STORE_ID_SIZE], struct footer *ret);
void segment_far_forget(struct segment_far *far, uint32_t id); /* what is kept of it nearby */
void segment_far_doubt(struct segment_far *far);
int segment_far_remove(struct segment_far *far, uint32_t id);
int segment_far_each(struct segment_far *far, segments_each_fn *fn, void *ctx); /* also those that are files, too */

/* ---- likewise: segment_send.c ---- */

void segment_queue_free(struct segment_queue *q); /* accepts NULL; the bucket is stopped, else what is on its way is waited for */

/* It is sealed, or its last state is recorded: it goes on its way, if it is not; with START at once. The lock may be held. */
void segment_send(struct segments *s, uint32_t id, bool start);
/* Waits until there is room for another on the disk. Errors as segments_settle(). */
int segment_send_make_room(struct segments *s);
/* Until all that is on its way now is there. */
int segment_send_wait(struct segments *s);

#endif

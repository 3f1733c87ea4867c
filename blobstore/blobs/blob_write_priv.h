/* SPDX-License-Identifier: MIT */
#ifndef BLOBSTORE_BLOBS_BLOB_WRITE_PRIV_H
#define BLOBSTORE_BLOBS_BLOB_WRITE_PRIV_H

/*
 * A blob's writer, as the caller's thread (blob_write.c, blob_share.c) and the store's threads (blob_place.c) share it.
 */

#include "blobstore/base/lock.h"
#include "blobstore/blobs/blob_priv.h"
#include "blobstore/chunks/chunker.h"
#include "blobstore/hash/checksum.h"

struct chunk_job {
        struct pool_job job; /* first */
        struct blob_writer *writer;
        struct chunk_job *beside; /* NULL, or the one that is looked up with it, and is no job of its own */
        STAILQ_ENTRY(chunk_job) order; /* or in the list of free ones */
        bool looked_up; /* under the writer's lock */
        bool is_page;   /* no chunk, but the entries of a page that is borrowed; the rest does not matter then */
        struct map_page page;

        struct map_entry entry; /* offset and raw_len by the caller's thread, the rest is worked out */
        bool shared; /* place and stored_len are those of a chunk that was there */
        struct chunk_name name;
        struct packed_chunk packed; /* unless shared */
        uint8_t raw[CHUNK_SIZE_MAX];
        uint8_t stored[CHUNK_SIZE_MAX]; /* unless stored_len is raw_len */
};

struct blob_writer {
        struct blobstore *store;
        struct blob_id id;
        struct blob *pin; /* keeps collections from the blob; the caller's after the commit */
        struct index_writer hold; /* keeps collections from its chunks */

        /* The caller's thread. */
        struct checksum *checksum; /* NULL: not all bytes are seen */
        uint64_t summed_holes; /* bytes of holes that went into it */
        struct chunker chunker;
        struct chunk_job *cut; /* the chunk that is being filled, or NULL */
        struct chunk_job *alone; /* one that is outstanding, and waits for the next to be looked up beside it, or NULL */
        uint64_t size; /* bytes in chunks and holes so far */
        uint64_t data_bytes;
        uint8_t partial[BLOB_BLOCK_SIZE]; /* a block that is not complete yet */
        size_t partial_len;
        struct blob **kept; /* open because their chunks are shared */
        size_t n_kept;

        /* Whoever places. */
        struct map_writer *map;
        struct segment *segment;
        uint64_t moved_bytes;

        unsigned max_jobs;
        pthread_mutex_t lock; /* everything below */
        pthread_cond_t done; /* few jobs are outstanding, or none and nobody is placing, or there is an error */
        STAILQ_HEAD(chunk_jobs, chunk_job) jobs; /* outstanding, in order */
        STAILQ_HEAD(, chunk_job) unused;
        unsigned outstanding;
        bool placing; /* a thread is at it */
        int error; /* the first one; final */
};

/* With so few jobs outstanding, or none, or an error, whoever waits for them is woken. */
static inline unsigned blob_writer_few(const struct blob_writer *w)
{
        return w->max_jobs / 2;
}

/* 0, or the error that ended the writer. */
static inline int blob_writer_error(struct blob_writer *w)
{
        LOCK_SCOPE(&w->lock);
        return w->error;
}

/* Notes R if it is the first error; gives the error that is final. */
static inline int blob_writer_fail(struct blob_writer *w, int r)
{
        LOCK_SCOPE(&w->lock);
        if (w->error == 0)
                w->error = r;
        return w->error;
}

/* ---- blob_write.c ---- */

/* Adds a chunk of an open blob as it is stored. The blob is then kept open until the writer is freed. */
int blob_writer_add_chunk(struct blob_writer *w, struct blob *b, const struct map_entry *e);

/* Adds a page of an open blob's map, and what is a hole behind it, up to END. It begins where the writer is. */
int blob_writer_add_page(struct blob_writer *w, struct blob *b, const struct map_page *p, uint64_t end);

/* After the commit: bytes that it added to segments. */
uint64_t blob_writer_moved(const struct blob_writer *w);

/* ---- blob_share.c ---- */

/* As blob_writer_share(), but that no pages are borrowed: for a blob that is there for a moment only. */
int blob_writer_copy(struct blob_writer *w, struct blob *b, uint64_t off, uint64_t n, struct blob_share_stats *ret);

/* ---- blob_place.c ---- */

/* The job of a chunk that was cut: it is looked up, and whatever can be placed then is. */
void blob_place_run(struct pool_job *job);
/* Places every chunk whose turn it is. The writer's lock is held at the call and at the return, but not while at it. */
void blob_place_ready(struct blob_writer *w);

#endif

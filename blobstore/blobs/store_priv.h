/* SPDX-License-Identifier: MIT */
#ifndef BLOBSTORE_BLOBS_STORE_PRIV_H
#define BLOBSTORE_BLOBS_STORE_PRIV_H

/*
 * What the files of the store share. Locks are taken in this order: disks_lock, a writer's or removal_lock, blobs_lock,
 * the index's, the segments'; the caches' and pools' are leaves.
 */

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#include "blobstore/base/cleanup.h"
#include "blobstore/blobs/map.h"
#include "blobstore/blobstore.h"
#include "blobstore/chunks/cache.h"
#include "blobstore/chunks/codec.h"
#include "blobstore/chunks/index.h"
#include "blobstore/chunks/pool.h"
#include "blobstore/chunks/segment.h"

#define STORE_BLOB_BUCKETS 1024

struct disk;

struct blobstore {
        bool read_only;
        int dir_fd, lock_fd, segments_fd, maps_fd, temp_fd, incoming_fd, disks_fd;
        atomic_bool degraded;
        atomic_bool thrifty; /* the disk was full, and the reserve is spent */

        struct segments *segments;
        struct index *index; /* NULL: read_only, and it cannot be used */
        struct cache *cache;
        struct codec_pool *codecs;
        struct pool *pool;
        atomic_uint streams; /* intakes that store what comes in */

        pthread_mutex_t blobs_lock;
        LIST_HEAD(, blob) blobs[STORE_BLOB_BUCKETS]; /* open ones; under blobs_lock */

        pthread_mutex_t removal_lock; /* one blob is taken back, or one segment punched, at a time */

        pthread_mutex_t disks_lock;
        LIST_HEAD(, disk) disks; /* open ones; under disks_lock */
};

struct blob {
        struct blobstore *store;
        struct blob_id id;

        LIST_ENTRY(blob) link; /* under blobs_lock, as are the next two */
        unsigned users;
        bool removed; /* nobody opens it any more; collected when it is closed */

        pthread_mutex_t load_lock; /* the first user loads the map, others wait */
        bool loaded; /* under load_lock */
        int load_error; /* under load_lock */
        struct map *map; /* constant once loaded, as is the next */
        struct blob_info info;
};

/* Lets go of writable disks whose last sync found no room. */
void disk_close_all(struct blobstore *bs);

/* Reports each writable disk that is damaged. */
typedef void disk_problem_fn(void *ctx, const char *text);
int disk_check_all(struct blobstore *bs, disk_problem_fn *report, void *ctx);

/* -EROFS where nothing may be written. */
int store_writable(const struct blobstore *bs);

/* A sync failed with R: nothing is written any more (see blobstore.h). Gives R. */
int store_sync_failed(struct blobstore *bs, int r);

/* A random id. */
int store_make_id(struct blob_id *ret);

/* Opens a blob's map; SUFFIX is "" or STORE_DEAD. -ENOENT, or as map_open(). */
#define STORE_DEAD ".dead"
int store_open_map(struct blobstore *bs, const struct blob_id *id, const char *suffix, struct map **ret);

/* The map's path below maps_fd: "ab/<32 hex digits>", and a suffix. */
#define STORE_MAP_PATH_SIZE (3 + MAP_NAME_SIZE + sizeof(STORE_DEAD))
void store_map_path(const struct blob_id *id, const char *suffix, char ret[STORE_MAP_PATH_SIZE]);

/* Calls FN for each file below maps/; ID is NULL where the name is no blob's, DEAD tells the suffix. */
typedef int store_map_fn(void *ctx, const struct blob_id *id, bool dead, const char *path);
int store_each_map(struct blobstore *bs, store_map_fn *fn, void *ctx);

/* Makes a new index of what the maps and segments say, in place of whatever is there. */
int store_rebuild_index(struct blobstore *bs);

/* Reads and decodes a chunk into BUF (RAW_LEN bytes); NAME, unless NULL, must fit. -EBADMSG. */
int store_read_chunk(struct blobstore *bs, uint64_t place, size_t stored_len, const struct chunk_id *name, void *buf,
                     size_t raw_len);

/* As the index has it, but for the references. */
static inline struct index_chunk map_entry_chunk(const struct map_entry *e)
{
        return (struct index_chunk){
                .place = e->place,
                .key = chunk_id_key(&e->name),
                .raw_len = e->raw_len,
                .stored_len = e->stored_len,
        };
}

/* Sets aside the space that removing needs on a full disk. */
void store_fill_reserve(struct blobstore *bs);

/* A pin on a blob whose map is not there yet, so that no collection touches it. Load it with blob_load(). */
int blob_pin_new(struct blobstore *bs, const struct blob_id *id, struct blob **ret);
int blob_load(struct blob *b);

/* An open blob once more; release with blob_close(). */
struct blob *blob_ref(struct blob *b);

/*
 * blob_diff.c: are the chunks, or holes, that A and B have at OFF the same ones? *ret_end: up to where, END at the
 * most, the answer is the same. NULL, and what lies past a blob's end, is a hole.
 */
int blob_find_shared(struct blob *a, struct blob *b, uint64_t off, uint64_t end, bool *ret_shared, uint64_t *ret_end);

/*
 * The first run of data at or after OFF: 1, and where it goes from and to, or 0, where there is none before END. Goes
 * through no more than that, where blob_seek() may go through all the blob to find a hole.
 */
int blob_find_data(struct blob *b, uint64_t off, uint64_t end, uint64_t *ret_start, uint64_t *ret_end);

/* The blob is to have no checksum; at 16 GB/s the holes of a large disk take longest. */
void blob_writer_forgo_checksum(struct blob_writer *w);

/* blob_write.c, for blob_share.c: of one store, and at a block boundary? */
bool blob_writer_can_share(const struct blob_writer *w, const struct blob *b);

/* Adds a chunk of an open blob as it is stored. The blob is then kept open until the writer is freed. */
int blob_writer_add_chunk(struct blob_writer *w, struct blob *b, const struct map_entry *e);

/*
 * Keeps a blob from being opened while it is removed: 1 where it may be removed now, 0 where it is open (and marked).
 */
int blob_begin_removal(struct blobstore *bs, const struct blob_id *id);
bool blob_is_open(struct blobstore *bs, const struct blob_id *id);

/* After the commit: bytes that it added to segments. */
uint64_t blob_writer_moved(const struct blob_writer *w);

DEFINE_CLEANUP(struct map *, map_closep, map_close)
DEFINE_CLEANUP(struct blob *, blob_closep, blob_close)
DEFINE_CLEANUP(struct blob_writer *, blob_writer_freep, blob_writer_free)

#endif

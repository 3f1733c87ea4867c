/* SPDX-License-Identifier: MIT */
#ifndef BLOBSTORE_BLOBSTORE_H
#define BLOBSTORE_BLOBSTORE_H

/*
 * A store of immutable blobs (disk images), deduplicated and compressed, in one
 * directory. What is done with blobs is in blobs/blob.h, with the space of those that
 * are gone in blobs/gc.h. Beside it the layers above include disks/ (writable disks),
 * blobs/intake.h (files on their way in), import/ (foreign image files) and export/
 * (qcow2 views).
 *
 * Functions give 0, or a documented positive value, on success and a negative
 * errno on failure; out-parameters are written on success only. Any number of
 * threads may share a struct blobstore and a struct blob; a blob_writer belongs
 * to one thread at a time. No function calls back into the layers above while it
 * holds a lock. The library never logs above debug level.
 *
 * Errors that any function may give: -ENOMEM; -EIO where the disk failed;
 * -ENOSPC; -EBADMSG where stored bytes do not match their checksum (never wrong
 * bytes, never zeros); -EROFS from everything that writes, once a sync has
 * failed: after that the kernel's view of what is on disk cannot be trusted, so
 * nothing is acknowledged any more until the store has been opened anew; of a store in a bucket -EHOSTDOWN, where that does not
 * answer, or refuses: nothing is known of what was asked for, and it may be asked again.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "blobstore/blobs/blob.h"
#include "blobstore/blobs/blob_check.h"
#include "blobstore/blobs/gc.h"
#include "blobstore/blobs/scrub.h"
#include "blobstore/blobs/tidy.h"
#include "blobstore/chunks/block_cache.h"

struct fetch_ahead;

/* What is being made again, and how much of it is done; TOTAL 0: of how much is not known. */
typedef void blobstore_progress_fn(void *ctx, const char *what, uint64_t done, uint64_t total);

/* Of what was decoded. */
struct blobstore_caches {
        uint64_t memory_bytes; /* of chunks; 0: 64 MiB */
        uint64_t disk_bytes;   /* of blocks that small reads wanted, on disk; 0: none; BLOCK_CACHE_SHARE: the default */
        const char *dir;       /* where those are kept; NULL: in the store itself */
        struct fetch_ahead *ahead; /* of stores in buckets, of blobstore_ahead_new(), borrowed; NULL: nothing is fetched ahead */
};

/* Fetches ahead for all stores that are opened with it: one budget for as many as there are. */
int blobstore_ahead_new(struct fetch_ahead **ret);
void blobstore_ahead_free(struct fetch_ahead *a); /* accepts NULL; all of those are closed */

struct blobstore_opts {
        bool read_only;                  /* nothing is created, repaired or collected; for checking */
        bool existing;                   /* it is not made where there is none: -ENOENT */
        bool remake;                     /* make the index again, whatever it says of itself */
        bool as_it_is;                   /* one of an older version is left so: -ESTALE */
        struct blobstore_caches caches;
        unsigned threads;                /* that hash and compress, per store; 0: one per processor */
        struct kept *kept;               /* of DISKS_KEPT_BYTES (disks.h), borrowed: what disks keep beyond the process; may be NULL */
        const char *bucket;              /* where its blobs lie, as s3_place.h has it; NULL: in the directory */
        struct strbuf *why;              /* with a bucket: gets a sentence when that is why it cannot be opened; may be NULL */
        blobstore_progress_fn *progress; /* of making the index again; may be NULL */
        void *progress_ctx;
};

/*
 * Opens the store in directory DIR, creating it if DIR is empty or missing (its
 * parent must exist). One process at a time: -EBUSY where another has it open.
 * -EUCLEAN: not a store, or damaged beyond opening; -EPROTONOSUPPORT: a newer format.
 * A missing, damaged or older index is made again. A store of an older version is brought to
 * version 4, for which one of version 2 is read once, all of it; where it is only looked at, -ESTALE.
 *
 * With a bucket the directory has all but sealed segments, which are there, and the maps both have. A directory that was lost is made
 * again of what is there: all but disks, and what was on its way. A new one must find nothing
 * there: -ENOTEMPTY, -EBUSY (another store's); and other errors of s3.h, before anything is made.
 */
int blobstore_open(const char *dir, const struct blobstore_opts *opts, struct blobstore **ret);

/*
 * Is that a place in a bucket that this program can use? PLACE gets it as it is to be noted, with all its words, PATH_MAX bytes.
 * -EINVAL, -EOPNOTSUPP; WHY has a sentence.
 */
int blobstore_check_bucket(const char *text, char *place, size_t size, struct strbuf *why);

/*
 * Does at PLACE lie what the store with the directory DIR has in its bucket now? BS: where it is open, else NULL. -EBUSY: something else
 * does; others as blobstore_open(); WHY has a sentence.
 */
int blobstore_compare_far(struct blobstore *bs, const char *dir, const char *place, struct strbuf *why);
/* One that is open goes on with what lies at PLACE, which is the same. */
int blobstore_move_far(struct blobstore *bs, const char *place, struct strbuf *why);

/*
 * Of a store in a bucket that somebody else had since: what its directory DIR has goes, but for disks and what is on its way, so
 * that it counts as lost, and opening it has it from the bucket again; and what of it is in caches elsewhere. Nobody may have it
 * open. Durable. 0, too, where there is none.
 */
int blobstore_forget_far(const char *dir, const struct blobstore_caches *caches);

/* Does its bucket not answer, or refuse? TROUBLE, which may be NULL, says why. What is read of it meanwhile is -EHOSTDOWN. */
bool blobstore_is_away(struct blobstore *bs, struct strbuf *trouble);

/* Is it in a bucket? */
bool blobstore_is_far(const struct blobstore *bs);

/*
 * Puts the file NAME of a directory into FOLDER of its bucket, unless it is there; of those there MOST stay, the last by their
 * names. -EHOSTDOWN, -EDQUOT.
 */
int blobstore_keep_far(struct blobstore *bs, const char *folder, int dir_fd, const char *name, size_t most);

/*
 * Fetches the last by its name of those that a store at PLACE has there, into a directory, where it is not durable. -ENOENT: there is
 * none; others as blobstore_open(); WHY has a sentence.
 */
int blobstore_fetch_far(const char *place, const char *folder, int dir_fd, char *name, size_t size, struct strbuf *why);

/* Has another copy of it taken over its part of the bucket, so that it refuses writes? WHO, which may be NULL, says which. */
bool blobstore_is_taken(struct blobstore *bs, struct strbuf *who);

/* Does somebody else write into its part of the bucket, so that it refuses writes? */
bool blobstore_is_contested(struct blobstore *bs);

/* Before it is closed: what waits for its bucket waits no more, and is -EHOSTDOWN. What asks a disk is not touched. */
void blobstore_stop(struct blobstore *bs);

/* Accepts NULL. All blobs and writers must be closed before. */
void blobstore_close(struct blobstore *bs);

int blobstore_get_stats(struct blobstore *bs, struct blobstore_stats *ret);

/* Chunks that readers wanted since the opening: those that were there decoded, and those that were decoded for them. */
struct blobstore_reads {
        uint64_t cache_hits, cache_misses;
};
void blobstore_get_reads(struct blobstore *bs, struct blobstore_reads *ret);

/* Of the cache on disk; all zeros where there is none. */
void blobstore_get_disk_cache(struct blobstore *bs, struct block_cache_stats *ret);
/* What kept that cache from being opened, a negative errno; 0: nothing. The store is as good without it. */
int blobstore_disk_cache_error(const struct blobstore *bs);

/*
 * Bytes of the file system that holds the store: the free ones, as an ordinary user may use them, and all. What the
 * cache takes in the store is free: it gives way.
 */
int blobstore_free_bytes(struct blobstore *bs, uint64_t *ret);
int blobstore_disk_bytes(struct blobstore *bs, uint64_t *ret);

/* Which library a store belongs to: its name, and where it lay (a line of text). */
struct store_owner {
        char library[64];
        char place[4096];
};
/* -ENOENT: nobody's yet; -EUCLEAN: what is written there cannot be understood. */
int blobstore_get_owner(struct blobstore *bs, struct store_owner *ret);
int blobstore_set_owner(struct blobstore *bs, const struct store_owner *owner); /* durably */
/* As blobstore_get_owner(), of the store in directory DIR_FD, which need not be one that can be opened. */
int blobstore_read_owner(int dir_fd, struct store_owner *ret);

/* Is it still ours? A negative errno: its lock is lost, and another process may have it. Waits for who keeps the lock. */
int blobstore_hold(const struct blobstore *bs);

/* Did a sync fail, so that the store refuses writes? */
bool blobstore_is_degraded(struct blobstore *bs);

/*
 * Did a collection find that the index does not count all there is, so that no space is given back until the next
 * opening?
 */
bool blobstore_withholds(struct blobstore *bs);

/*
 * A directory of the store for files on their way in (uploads), on the same disk. Borrowed
 * until blobstore_close(). The owner of the files is the caller.
 */
int blobstore_incoming_dir(struct blobstore *bs);

/* The store's directory, where catalogue/ is the caller's. Borrowed until blobstore_close(). */
int blobstore_dir(struct blobstore *bs);

/*
 * Holds maps, index and segments against each other, reading every chunk when READ_DATA, looks at the writable disks,
 * and changes nothing. Gives the number of problems reported.
 */
int blobstore_check(struct blobstore *bs, bool read_data, blobstore_problem_fn *report, void *ctx);

/* Calls FN for every committed blob. A negative errno from FN ends the walk and is returned. */
typedef int blob_each_fn(void *ctx, const struct blob_id *id, const struct blob_info *info);
int blobstore_each(struct blobstore *bs, blob_each_fn *fn, void *ctx);

#endif

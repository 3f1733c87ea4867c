/* SPDX-License-Identifier: MIT */
#ifndef BLOBSTORE_OBJECTS_RANGE_CACHE_H
#define BLOBSTORE_OBJECTS_RANGE_CACHE_H

/*
 * What was read of objects that lie far away, in pieces of RANGE_SIZE, in a file on a disk that is near: of bounded size. Beside it
 * lies what tells which piece is where, with a sum of its bytes, so that most of it outlives the process: what was kept before is held
 * against that before it is read, and fetched anew where a crash, or the disk, has left something else. Nothing is synced.
 *
 * Whoever wants a piece that somebody already fetches waits for that. For who reads one piece after the other the next are fetched
 * before they are wanted (scans.h), half of what it holds at the most;
 * so is what somebody says that he will want. It is a cache and nothing else: where its disk fails, it keeps
 * nothing. Any number of threads may share one.
 */

#include <stddef.h>
#include <stdint.h>

#define RANGE_SIZE      ((size_t)1 << 20)
#define RANGE_FETCH_MAX (2 * RANGE_SIZE)

struct fetch_ahead;
struct range_cache;

/*
 * Fills in up to N bytes, RANGE_FETCH_MAX at the most, of object ID from FROM on, fewer where it ends, and how large it is; 0: not known. A negative errno, which
 * the reader is given.
 */
typedef int range_fetch_fn(void *ctx, uint32_t id, uint64_t from, void *buf, size_t n, size_t *ret_n, uint64_t *ret_size);

struct range_cache_opts {
        int dir_fd; /* needed for the call alone */
        const char *name; /* of the file, and with ".index" behind it of what tells; NULL: one without, that goes with its owner */
        uint64_t bytes; /* are kept at the most, but some pieces always */
        range_fetch_fn *fetch; /* is called by any thread, and by those of AHEAD */
        void *ctx;
        struct fetch_ahead *ahead; /* which fetch what a reader will want next; NULL: nobody does; borrowed */
};
#define RANGE_CACHE_NAME_MAX 64

/* Where NAME is another process's, or another user's, or cannot be opened, it is as if there were none. */
int range_cache_new(const struct range_cache_opts *opts, struct range_cache **ret);
void range_cache_free(struct range_cache *c); /* accepts NULL; what is being fetched comes to its end first */

/* Reads exactly N bytes. -EBADMSG: the object ends before; -ECANCELED: the thread's leash was pulled (child_leash.h). */
int range_cache_read(struct range_cache *c, uint32_t id, uint64_t from, void *buf, size_t n);

/* Bytes [FROM, TO) of the object will be read soon: they are fetched, as far as half of what it holds has room for. */
void range_cache_want(struct range_cache *c, uint32_t id, uint64_t from, uint64_t to);

/* What nobody is just reading of the object is read anew. */
void range_cache_forget(struct range_cache *c, uint32_t id);

/* Something that was read is not what it should be: what is kept is held against its sums again. */
void range_cache_doubt(struct range_cache *c);

#endif

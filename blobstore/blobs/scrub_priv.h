/* SPDX-License-Identifier: MIT */
#ifndef BLOBSTORE_BLOBS_SCRUB_PRIV_H
#define BLOBSTORE_BLOBS_SCRUB_PRIV_H

/* A pass, as scrub.c (segments) and scrub_maps.c (maps, and whose a damaged chunk is) share it. */

#include "blobstore/blobs/heal_priv.h"
#include "blobstore/blobs/scrub.h"
#include "blobstore/blobs/store.h"

/* Places known to be damaged; where there are more, those before are told, and it begins anew. */
#define SCRUB_BAD_MAX 65536
/* Of one segment so many are healed in a pass. */
#define SCRUB_SICK_MAX 4096

struct scrub {
        struct blobstore *store;
        struct chunk_store *chunks; /* the store's */
        const struct scrub_ops *ops;
        struct scrub_position pos;
        uint64_t *bad; /* places, ascending, at most SCRUB_BAD_MAX */
        size_t n_bad;
        struct heal_chunk *sick; /* damaged, of the segment that is read */
        size_t n_sick;
        uint64_t healed, healed_maps; /* since it was last told */
        uint32_t no_table;            /* of this segment there is none, as was told; 0: none */
        bool untold;            /* some of them were not looked for in the maps yet */
        uint64_t read, told_at; /* bytes so far; when they were looked for the last time … */
        uint64_t telling;       /* … and what that took */
        uint8_t buffer[CHUNK_SIZE_MAX];
};

/* scrub_maps.c */
int scrub_pace(struct scrub *s, uint64_t n);
void __attribute__((format(printf, 4, 5)))
scrub_report(struct scrub *s, enum blobstore_problem kind, const struct blob_id *id, const char *fmt, ...);

/* Is that what a disk does, and not a want of memory or descriptors? */
static inline bool scrub_is_damage(int r)
{
        return r == -EBADMSG || r == -EIO || r == -EPROTONOSUPPORT;
}

/*
 * What a chunk is called. One that was found damaged is nameless in the index, so that nobody shares it; its segment still
 * has the name. Unknown where neither can tell.
 */
struct chunk_name scrub_name_of(const struct index_chunk *c, const struct footer *footer);
int scrub_name_at(struct chunk_store *cs, uint64_t place, struct chunk_name *ret);

/* Reads the maps from the position on. */
int scrub_maps(struct scrub *s);

/* Finds out which blobs have the bad chunks, or pages of damaged maps, and tells of them. */
int scrub_tell(struct scrub *s);

#endif

/* SPDX-License-Identifier: MIT */
#ifndef BLOBSTORE_BLOBS_CHECK_PRIV_H
#define BLOBSTORE_BLOBS_CHECK_PRIV_H

/*
 * What the files of the check share: blob_check.c (the order of it), check_chunk.c (segments, and payloads in them),
 * check_map.c, check_index.c. The functions give 0, or what kept them from going on; problems are reported.
 */

#include "blobstore/blobs/blob_check.h"
#include "blobstore/blobs/blob_priv.h"
#include "blobstore/chunks/chunker.h"

struct check {
        struct blobstore *store;
        struct chunk_store *chunks; /* the store's */
        bool read_data;
        blobstore_problem_fn *report;
        void *ctx;
        int problems;

        struct index *counted;
        bool incomplete; /* a map could not be read: what it refers to is not counted */
        uint64_t *sizes; /* of segments, by id; 0: no such file */
        size_t n_sizes;
        uint64_t *bad; /* ascending */
        size_t n_bad;
        uint32_t no_table; /* of this segment there is none, as was reported; 0: none */
        uint64_t n_seen, n_chunks; /* so far, of so many that are to come */
        uint8_t buffer[CHUNK_SIZE_MAX];
};

/* ---- check_report.c ---- */

void check_report(struct check *c, enum blobstore_problem kind, const struct blob_id *id, const char *fmt, ...)
        __attribute__((format(printf, 4, 5)));

/* So many chunks were seen, of those that are to come. */
void check_tell(struct check *c, uint64_t seen);

/* ---- check_chunk.c ---- */

/* The segments' files, which are remembered, and what the index says of them. */
int check_segments(struct check *c);

/* Is the chunk where it should be, and, if that is asked, what it should be? FIRST: not met before. 1: yes, 0: no. */
int check_chunk(struct check *c, const struct map_entry *e, bool first);

/* ---- check_map.c ---- */

/* For map_file_each(), with a struct check: what a map says, and counts. */
int check_map(void *ctx, const struct blob_id *id, bool dead, const char *path);

/*
 * What maps borrow, when all chunks have been met where they are counted: those that are damaged are named for each
 * blob that has them.
 */
int check_map_borrows(void *ctx, const struct blob_id *id, bool dead, const char *path);

/* ---- check_index.c ---- */

/* The index against what was counted. */
int check_index(struct check *c);

#endif

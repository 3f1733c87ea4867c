/* SPDX-License-Identifier: MIT */
#ifndef BLOBSTORE_BLOBS_CLUSTERS_H
#define BLOBSTORE_BLOBS_CLUSTERS_H

/*
 * Which clusters of a blob have data: its pieces of BLOB_CLUSTER_SIZE, numbered from its first byte, and those with
 * data ranked in that order. Both ways between number and rank cost one page of the map.
 */

#include "blobstore/blobs/blob.h"
#include "blobstore/blobs/map.h"

/* A walk over the clusters with data, in order. On the caller's stack. */
struct clusters {
        struct map_cursor cursor;
        struct map_entry entry;
        bool in_entry; /* false: the next entry is still to be taken */
        uint64_t next; /* not given yet */
        uint64_t rank; /* of what is given next */
};

/* Before the first cluster with data from number CLUSTER on. */
int clusters_seek(struct blob *b, uint64_t cluster, struct clusters *ret);

/* Before the cluster that has RANK clusters with data before it. */
int clusters_seek_rank(struct blob *b, uint64_t rank, struct clusters *ret);

/* 1: the next one was given; 0: there is none. -EBADMSG. */
int clusters_next(struct clusters *c, uint64_t *ret_cluster, uint64_t *ret_rank);

#endif

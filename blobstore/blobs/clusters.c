/* SPDX-License-Identifier: MIT */

/*
 * The map's table gives the rank of the cluster in which each page begins; the walk goes on from there. Entries are no
 * aligned clusters: one may reach over several, several may lie in one.
 */

#include "blobstore/blobs/clusters.h"

#include "blobstore/blobs/blob_priv.h"

int clusters_next(struct clusters *c, uint64_t *ret_cluster, uint64_t *ret_rank)
{
        uint64_t first;
        int r;

        while (!c->in_entry || c->next > (c->entry.offset + c->entry.len - 1) / BLOB_CLUSTER_SIZE) {
                r = map_next(&c->cursor, &c->entry);
                if (r <= 0)
                        return r;
                c->in_entry = true;
                first = c->entry.offset / BLOB_CLUSTER_SIZE;
                if (c->next < first)
                        c->next = first;
        }
        *ret_cluster = c->next++;
        *ret_rank = c->rank++;
        return 1;
}

/* What was given last comes again. */
static void clusters_step_back(struct clusters *c)
{
        c->next--;
        c->rank--;
}

int clusters_seek(struct blob *b, uint64_t cluster, struct clusters *ret)
{
        uint64_t found, rank;
        int r;

        ret->in_entry = false; /* the rest of it is half a page, not worth clearing */
        ret->next = 0;
        r = map_seek_cluster(b->map, cluster, &ret->cursor, &ret->rank);
        if (r < 0)
                return r;
        do {
                r = clusters_next(ret, &found, &rank);
                if (r <= 0)
                        return r;
        } while (found < cluster);
        clusters_step_back(ret);
        return 0;
}

int clusters_seek_rank(struct blob *b, uint64_t rank, struct clusters *ret)
{
        uint64_t cluster, found;
        int r;

        ret->in_entry = false; /* the rest of it is half a page, not worth clearing */
        ret->next = 0;
        r = map_seek_rank(b->map, rank, &ret->cursor, &ret->rank);
        if (r < 0)
                return r;
        do {
                r = clusters_next(ret, &cluster, &found);
                if (r <= 0)
                        return r;
        } while (found < rank);
        clusters_step_back(ret);
        return 0;
}

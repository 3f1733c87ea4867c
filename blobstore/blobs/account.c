/* SPDX-License-Identifier: MIT */

#include "blobstore/blobs/account.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "blobstore/base/io.h"
#include "blobstore/base/lock.h"
#include "blobstore/blobs/map_file_priv.h"

#define ACCOUNT_SHORT "index.short"

/* ---- maps that the index does not know ---- */

#define ACCOUNT_UNKNOWN (-EUCLEAN) /* ends the walk */

/* A blob's row is there before its map has its name, and goes after it. */
static int account_map(void *ctx, const struct blob_id *id, bool dead, const char *path)
{
        struct blobstore *bs = ctx;
        struct index_blob blob;
        int r;

        (void)path;
        if (!id || dead)
                return 0;
        r = index_blob_get(bs->chunks->index, id, &blob);
        if (r != -ENOENT)
                return r;

        /* One that was just being removed, perhaps: nothing is while this is held. */
        LOCK_SCOPE(&bs->removal_lock);
        return map_file_exists(bs, id, false) ? ACCOUNT_UNKNOWN : 0;
}

int account_is_current(struct blobstore *bs)
{
        int r;

        r = map_file_each(bs, account_map, bs);
        return r == ACCOUNT_UNKNOWN ? 0 : r < 0 ? r : 1;
}

/* 1: each live blob has its map; 0: one has not. */
static int account_blobs(struct blobstore *bs)
{
        struct index_blob page[64];
        struct blob_id after;
        int n;

        for (n = index_blob_list(bs->chunks->index, true, NULL, page, 64); n > 0;
             n = index_blob_list(bs->chunks->index, true, &after, page, 64)) {
                after = page[n - 1].id;
                for (int i = 0; i < n; i++)
                        if (!map_file_exists(bs, &page[i].id, false))
                                return 0;
        }
        return n < 0 ? n : 1;
}

int account_fits(struct blobstore *bs)
{
        int r;

        r = account_is_current(bs);
        return r <= 0 ? r : account_blobs(bs);
}

/* ---- entries that were not counted ---- */

bool account_is_short(struct blobstore *bs)
{
        return faccessat(bs->dir_fd, ACCOUNT_SHORT, F_OK, 0) == 0;
}

int account_set_short(struct blobstore *bs, bool is_short)
{
        if (is_short)
                return write_file_durable(bs->dir_fd, ACCOUNT_SHORT, "", 0, 0600);
        if (unlinkat(bs->dir_fd, ACCOUNT_SHORT, 0) < 0)
                return errno == ENOENT ? 0 : -errno;
        return fsync_dir(bs->dir_fd);
}

/* ---- the answer ---- */

int account_is_whole(struct blobstore *bs)
{
        int r, known = atomic_load(&bs->accounted);

        if (known)
                return known > 0;
        r = account_is_short(bs) ? 0 : account_is_current(bs);
        if (r < 0)
                return r;
        atomic_store(&bs->accounted, r ? 1 : -1);
        if (r)
                return 1;
        return index_mark_stale(bs->dir_fd); /* so that it is made again at the next opening */
}

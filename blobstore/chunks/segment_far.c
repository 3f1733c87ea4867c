/* SPDX-License-Identifier: MIT */

/* Sealed segments as objects of a bucket: segments/<8 hex digits>.seg. */

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "blobstore/chunks/segment_priv.h"
#include "blobstore/objects/bucket.h"
#include "blobstore/objects/range_cache.h"

_Static_assert(RANGE_FETCH_MAX <= BUCKET_READ_MAX, "what a range cache fetches is asked for at once");

#define FOLDER   "segments/"
#define KEY_SIZE (sizeof(FOLDER) - 1 + SEGMENT_NAME_SIZE)

struct segment_far {
        struct bucket *bucket; /* borrowed */
        struct range_cache *ranges;
};

static void far_key(uint32_t id, char ret[KEY_SIZE])
{
        memcpy(ret, FOLDER, sizeof(FOLDER) - 1);
        segment_name(id, ret + sizeof(FOLDER) - 1);
}

/* A range_fetch_fn. */
static int far_fetch(void *ctx, uint32_t id, uint64_t from, void *buf, size_t n, size_t *ret_n, uint64_t *ret_size)
{
        const struct segment_far *far = ctx;
        char key[KEY_SIZE];

        far_key(id, key);
        return bucket_get(far->bucket, key, from, buf, n, ret_n, ret_size);
}

int segment_far_new(struct bucket *bucket, const struct range_cache_opts *cache, struct segment_far **ret)
{
        struct segment_far *far = calloc(1, sizeof(*far));
        struct range_cache_opts opts = *cache;
        int r;

        if (!far)
                return -ENOMEM;
        far->bucket = bucket;
        opts.fetch = far_fetch;
        opts.ctx = far;
        r = range_cache_new(&opts, &far->ranges);
        if (r < 0)
                free(far);
        else
                *ret = far;
        return r;
}

void segment_far_free(struct segment_far *far)
{
        if (!far)
                return;
        range_cache_free(far->ranges);
        free(far);
}

int segment_far_put(struct segment_far *far, uint32_t id, int fd, uint64_t size)
{
        char key[KEY_SIZE];

        far_key(id, key);
        return bucket_put(far->bucket, key, fd, size);
}

int segment_far_read(struct segment_far *far, uint32_t id, uint64_t from, void *buf, size_t n)
{
        int r = range_cache_read(far->ranges, id, from, buf, n);

        return r == -ENOENT ? -EBADMSG : r == -ECANCELED ? -EHOSTDOWN : r;
}

void segment_far_want(struct segment_far *far, uint32_t id, uint64_t from, uint64_t to)
{
        range_cache_want(far->ranges, id, from, to);
}

int segment_far_size(struct segment_far *far, uint32_t id, uint64_t *ret)
{
        char key[KEY_SIZE];

        far_key(id, key);
        return bucket_size(far->bucket, key, ret);
}

struct far_bytes {
        struct segment_far *far;
        uint32_t id;
};

/* A footer_bytes_fn. */
static int far_read_bytes(void *ctx, void *buf, size_t n, uint64_t off)
{
        const struct far_bytes *b = ctx;

        return segment_far_read(b->far, b->id, off, buf, n);
}

int segment_far_describe(struct segment_far *far, uint32_t id, const uint8_t store[STORE_ID_SIZE], struct footer *ret)
{
        struct far_bytes bytes = { far, id };
        uint64_t size;
        int r;

        r = segment_far_size(far, id, &size);
        return r < 0 ? r : footer_read_by(far_read_bytes, &bytes, size, store, id, ret);
}

void segment_far_forget(struct segment_far *far, uint32_t id)
{
        range_cache_forget(far->ranges, id);
}

void segment_far_doubt(struct segment_far *far)
{
        range_cache_doubt(far->ranges);
}

int segment_far_remove(struct segment_far *far, uint32_t id)
{
        char key[KEY_SIZE];

        far_key(id, key);
        segment_far_forget(far, id);
        return bucket_remove(far->bucket, key);
}

struct far_walk {
        segments_each_fn *fn;
        void *ctx;
};

/* An s3_each_fn. */
static int far_object(void *ctx, const char *name, uint64_t size)
{
        const struct far_walk *walk = ctx;
        uint32_t id;

        if (strncmp(name, FOLDER, sizeof(FOLDER) - 1) != 0 || segment_name_parse(name + sizeof(FOLDER) - 1, &id) < 0)
                return 0;
        return walk->fn(walk->ctx, id, size);
}

int segment_far_each(struct segment_far *far, segments_each_fn *fn, void *ctx)
{
        struct far_walk walk = { fn, ctx };

        return bucket_each(far->bucket, FOLDER, far_object, &walk);
}

/* SPDX-License-Identifier: MIT */

#include "blobstore/chunks/codec.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <zstd.h>
#include <zstd_errors.h>

#include "blobstore/base/lock.h"

/*
 * Level 1 with the matches of level 2, and a hash table that stays in the processor's first cache. Compression is most
 * of the work of an import. The chunks of three system disks (zstd 1.5.4), MB/s and what is left of them:
 *
 *      level 3                        257     0.368
 *      level 2                        319     0.373
 *      level 1                        363     0.380
 *      level 1, match 5               350     0.375
 *      level 1, match 5, table 12     381     0.379
 *      level 1, match 5, table 11     398     0.384
 */
#define CODEC_LEVEL     1
#define CODEC_MIN_MATCH 5
#define CODEC_HASH_LOG  12

/* More than this many are not kept: threads of the store and of the layer above, with room. */
#define CODEC_POOL_MAX 32

struct codec_pool {
        pthread_mutex_t lock;
        struct codec *idle; /* under lock */
        unsigned count; /* idle ones; under lock */
};

static void codec_free(struct codec *c)
{
        ZSTD_freeCCtx(c->compressor);
        ZSTD_freeDCtx(c->decompressor);
        free(c);
}

int codec_pool_new(struct codec_pool **ret)
{
        struct codec_pool *p = calloc(1, sizeof(*p));

        if (!p)
                return -ENOMEM;
        pthread_mutex_init(&p->lock, NULL);
        *ret = p;
        return 0;
}

void codec_pool_free(struct codec_pool *p)
{
        struct codec *next;

        if (!p)
                return;
        for (struct codec *c = p->idle; c; c = next) {
                next = c->next;
                codec_free(c);
        }
        pthread_mutex_destroy(&p->lock);
        free(p);
}

int codec_pool_get(struct codec_pool *p, struct codec **ret)
{
        struct codec *c;

        lock(&p->lock);
        c = p->idle;
        if (c) {
                p->idle = c->next;
                p->count--;
        }
        unlock(&p->lock);

        if (!c) {
                c = malloc(sizeof(*c)); /* half a megabyte of buffers: not worth clearing */
                if (!c)
                        return -ENOMEM;
                c->compressor = NULL;
                c->decompressor = NULL;
        }
        c->next = NULL;
        *ret = c;
        return 0;
}

void codec_pool_put(struct codec_pool *p, struct codec *c)
{
        if (!c)
                return;
        lock(&p->lock);
        if (p->count < CODEC_POOL_MAX) {
                c->next = p->idle;
                p->idle = c;
                p->count++;
                c = NULL;
        }
        unlock(&p->lock);
        if (c)
                codec_free(c);
}

int codec_encode(struct codec *c, const void *raw, size_t n, void *stored, size_t *ret)
{
        size_t len;

        if (!c->compressor) {
                c->compressor = ZSTD_createCCtx();
                if (!c->compressor)
                        return -ENOMEM;
                /* Constants that are in range, and no frame has begun. */
                (void)ZSTD_CCtx_setParameter(c->compressor, ZSTD_c_compressionLevel, CODEC_LEVEL);
                (void)ZSTD_CCtx_setParameter(c->compressor, ZSTD_c_minMatch, CODEC_MIN_MATCH);
                (void)ZSTD_CCtx_setParameter(c->compressor, ZSTD_c_hashLog, CODEC_HASH_LOG);
        }

        /* With less room than N bytes the compressor fails exactly where the result would not be smaller. */
        len = ZSTD_compress2(c->compressor, stored, n - 1, raw, n);
        if (ZSTD_isError(len)) {
                if (ZSTD_getErrorCode(len) == ZSTD_error_memory_allocation)
                        return -ENOMEM;
                len = n;
        }
        *ret = len;
        return 0;
}

int codec_decode(struct codec *c, const void *stored, size_t stored_len, void *raw, size_t raw_len)
{
        size_t len;

        if (stored_len == raw_len) {
                memcpy(raw, stored, raw_len);
                return 0;
        }

        if (!c->decompressor) {
                c->decompressor = ZSTD_createDCtx();
                if (!c->decompressor)
                        return -ENOMEM;
        }
        len = ZSTD_decompressDCtx(c->decompressor, raw, raw_len, stored, stored_len);
        if (ZSTD_isError(len))
                return ZSTD_getErrorCode(len) == ZSTD_error_memory_allocation ? -ENOMEM : -EBADMSG;
        return len == raw_len ? 0 : -EBADMSG;
}

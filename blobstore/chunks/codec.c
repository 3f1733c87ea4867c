/* SPDX-License-Identifier: MIT */

#include "blobstore/chunks/codec.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <zstd.h>
#include <zstd_errors.h>

#include "blobstore/base/bytes.h"
#include "blobstore/base/lock.h"
#include "blobstore/hash/hash.h"

/*
 * Compression is most of the work of an import. The chunks of three system disks (1585 MiB, of which 154 have a base;
 * zstd 1.5.4), what is left of them, and one core's time beside that of the first line:
 *
 *      level 1, match 5, table 15, in blocks of 24 KiB; level 3, tables 14 and 13, where a
 *      chunk shrinks to a fifth to two fifths                                              549.4 MiB
 *      level 1, match 4, table 13, for all                                                 556       0.74
 *      level 3, match 4, tables 13 and 13, for all                                         546.5     0.92
 *      that where a chunk shrinks to less than half, the line above it elsewhere           548       0.88
 *      the same, to less than 9 twentieths                                                 549.4     0.86
 *      the same, in blocks of 64 KiB                                                       549       0.92
 *      the chunk before as base, where there is none: more, since fewer have one that is like them
 *
 * Small tables stay in the processor's nearest cache, and find what a chunk has to find; matches of four bytes pay where
 * there is little to find, as in programs. A chunk is most often like the one before.
 */
#define CODEC_FINE_TO(n) ((n) * 9 / 20)

/* How the compressor is set; 0: as the level has it. */
struct codec_setting {
        int level, min_match, hash_log, chain_log, window_log;
};

static const struct codec_setting
        setting_coarse = { .level = 1, .min_match = 4, .hash_log = 13 },
        setting_fine = { .level = 3, .min_match = 4, .hash_log = 13, .chain_log = 13 },
        /* Whose places are to be found as well. */
        setting_base = { .level = 1, .min_match = 5, .hash_log = 15, .window_log = 20 },
        setting_best = { .level = 19 },
        setting_best_base = { .level = 19, .window_log = 20 };

/* The skippable frame that names a base. */
#define BASE_MAGIC 0x184d2a50U
#define BASE_DATA_SIZE (CODEC_BASE_HEAD - 8)
#define BASE_SIZE CODEC_BASE_HEAD

/* More than this many are not kept: threads of the store and of the layer above, with room. */
#define CODEC_POOL_MAX 32

struct codec_pool {
        pthread_mutex_t lock;
        struct codec *idle; /* under lock */
        unsigned count;     /* idle ones; under lock */
};

static void codec_free(struct codec *c)
{
        for (int i = 0; i < CODEC_EFFORTS; i++)
                ZSTD_freeCCtx(c->compressors[i]);
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
                for (int i = 0; i < CODEC_EFFORTS; i++)
                        c->compressors[i] = NULL;
                c->decompressor = NULL;
                c->fine = false;
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

uint64_t codec_base_hash(const void *bytes, size_t n)
{
        return hash64(bytes, n, 0);
}

static const struct codec_setting *codec_choose(const struct codec *c, enum codec_effort effort, bool with_base)
{
        if (effort == CODEC_BEST)
                return with_base ? &setting_best_base : &setting_best;
        return with_base ? &setting_base : c->fine ? &setting_fine : &setting_coarse;
}

static struct ZSTD_CCtx_s *codec_compressor(struct codec *c, enum codec_effort effort, bool with_base)
{
        const struct codec_setting *s = codec_choose(c, effort, with_base);
        struct ZSTD_CCtx_s *z = c->compressors[effort];

        if (!z)
                z = c->compressors[effort] = ZSTD_createCCtx();
        if (!z)
                return NULL;
        /* Constants that are in range, of which 0 is what was; and no frame has begun. */
        (void)ZSTD_CCtx_reset(z, ZSTD_reset_session_and_parameters);
        (void)ZSTD_CCtx_setParameter(z, ZSTD_c_compressionLevel, s->level);
        (void)ZSTD_CCtx_setParameter(z, ZSTD_c_minMatch, s->min_match);
        (void)ZSTD_CCtx_setParameter(z, ZSTD_c_hashLog, s->hash_log);
        (void)ZSTD_CCtx_setParameter(z, ZSTD_c_chainLog, s->chain_log);
        (void)ZSTD_CCtx_setParameter(z, ZSTD_c_windowLog, s->window_log);
        return z;
}

static void codec_put_base(uint8_t *p, const struct codec_base *base)
{
        put_le32(p, BASE_MAGIC);
        put_le32(p + 4, BASE_DATA_SIZE);
        put_le64(p + 8, base->place);
        put_le32(p + 16, base->raw_len);
        put_le32(p + 20, base->stored_len);
        put_le64(p + 24, base->hash);
}

int codec_encode(struct codec *c, enum codec_effort effort, const void *raw, size_t n, const struct codec_base *base,
                 void *stored, size_t *ret)
{
        struct ZSTD_CCtx_s *z = codec_compressor(c, effort, base != NULL);
        size_t head = base ? BASE_SIZE : 0, len;
        uint8_t *to = stored;

        if (!z)
                return -ENOMEM;
        *ret = n;
        if (n <= head + 1)
                return 0;
        if (base) {
                codec_put_base(to, base);
                (void)ZSTD_CCtx_refPrefix(z, base->bytes, base->raw_len);
        }

        /* With less room than N bytes the compressor fails exactly where the result would not be smaller. */
        len = ZSTD_compress2(z, to + head, n - head - 1, raw, n);
        if (effort == CODEC_FAST && !base)
                c->fine = !ZSTD_isError(len) && len < CODEC_FINE_TO(n);
        if (!ZSTD_isError(len))
                *ret = head + len;
        else if (ZSTD_getErrorCode(len) == ZSTD_error_memory_allocation)
                return -ENOMEM;
        return 0;
}

bool codec_get_base(const void *stored, size_t stored_len, size_t raw_len, struct codec_base *ret)
{
        const uint8_t *p = stored;

        if (stored_len == raw_len || stored_len < BASE_SIZE || get_le32(p) != BASE_MAGIC ||
            get_le32(p + 4) != BASE_DATA_SIZE)
                return false;
        *ret = (struct codec_base){
                .place = get_le64(p + 8),
                .raw_len = get_le32(p + 16),
                .stored_len = get_le32(p + 20),
                .hash = get_le64(p + 24),
        };
        return true;
}

int codec_decode(struct codec *c, const void *stored, size_t stored_len, const struct codec_base *base, void *raw,
                 size_t raw_len)
{
        const uint8_t *from = stored;
        size_t len = 0;

        if (stored_len == raw_len) {
                memcpy(raw, stored, raw_len);
                return 0;
        }

        if (!c->decompressor) {
                c->decompressor = ZSTD_createDCtx();
                if (!c->decompressor)
                        return -ENOMEM;
        }
        if (base) {
                from += BASE_SIZE;
                stored_len -= BASE_SIZE;
                (void)ZSTD_DCtx_reset(c->decompressor, ZSTD_reset_session_only);
                len = ZSTD_DCtx_refPrefix(c->decompressor, base->bytes, base->raw_len);
        }
        if (!ZSTD_isError(len)) /* else what would come out without the base would pass for damage */
                len = ZSTD_decompressDCtx(c->decompressor, raw, raw_len, from, stored_len);
        if (ZSTD_isError(len))
                return ZSTD_getErrorCode(len) == ZSTD_error_memory_allocation ? -ENOMEM : -EBADMSG;
        return len == raw_len ? 0 : -EBADMSG;
}

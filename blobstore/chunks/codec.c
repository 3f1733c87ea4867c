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
 * In blocks of some 24 KiB, so that text, code and tables that follow each other in a chunk have each their own codes.
 * Compression is most of the work of an import. The chunks of three system disks (1585 MiB, of which 154 have a base;
 * zstd 1.5.4), what is left of them, and one core's time beside the first one's:
 *
 *      level 1, match 5, table 12                      563 MiB
 *      level 1, match 5, table 14                      556     1.05
 *      level 1, match 5, table 15                      555     1.1
 *      the same, in blocks of 24 KiB                   551     1.2
 *      the same, in blocks that the compressor finds   547     2.6
 *      level 3, match 5, tables 14 and 13              552     1.3
 *      the same, in blocks of 24 KiB                   549     1.4
 *      the chunk before as base, where there is none   559     1.1: fewer have one that is like them
 *
 * Level 3 gains where a chunk shrinks to a fifth to two fifths, next to nothing elsewhere; and a chunk is most often
 * like the one before.
 */
#define CODEC_BLOCK ((size_t)24 << 10)
#define CODEC_FINE_FROM(n) ((n) / 5)
#define CODEC_FINE_TO(n)   ((n) * 2 / 5)

/* How the compressor is set; 0: as the level has it. */
struct codec_setting {
        int level, min_match, hash_log, chain_log, window_log;
};

static const struct codec_setting
        setting_coarse = { .level = 1, .min_match = 5, .hash_log = 15 },
        setting_fine = { .level = 3, .min_match = 5, .hash_log = 14, .chain_log = 13 },
        /* Whose places are to be found as well. */
        setting_base = { .level = 1, .min_match = 5, .hash_log = 15, .window_log = 20 },
        setting_best = { .level = 19 },
        setting_best_base = { .level = 19, .window_log = 20 };

/*
 * ZSTD_c_stableInBuffer and ZSTD_c_stableOutBuffer: neither buffer moves between the calls of one frame, and what comes
 * and goes is not copied once more, a tenth of the time. Earlier libraries do not let the input grow from call to call.
 */
#define CODEC_STABLE_FROM 10504
#define CODEC_STABLE_IN ZSTD_c_experimentalParam9
#define CODEC_STABLE_OUT ZSTD_c_experimentalParam10

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

/* Compresses in blocks: as ZSTD_compress2() otherwise, but that 0 says that it did not fit into ROOM bytes. */
static size_t codec_compress_blocks(struct ZSTD_CCtx_s *z, void *to, size_t room, const void *raw, size_t n)
{
        ZSTD_outBuffer out = { .dst = to, .size = room };
        ZSTD_inBuffer in = { .src = raw };
        size_t left;

        if (ZSTD_versionNumber() >= CODEC_STABLE_FROM) {
                (void)ZSTD_CCtx_setParameter(z, CODEC_STABLE_IN, 1);
                (void)ZSTD_CCtx_setParameter(z, CODEC_STABLE_OUT, 1);
        }
        (void)ZSTD_CCtx_setPledgedSrcSize(z, n); /* nothing was compressed yet */
        do {
                in.size = n - in.size < 3 * CODEC_BLOCK / 2 ? n : in.size + CODEC_BLOCK;
                left = ZSTD_compressStream2(z, &out, &in, in.size == n ? ZSTD_e_end : ZSTD_e_flush);
        } while (left == 0 && in.size < n);
        return ZSTD_isError(left) ? left : left > 0 ? 0 : out.pos;
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
        if (effort == CODEC_FAST && !base) {
                len = codec_compress_blocks(z, to, n - 1, raw, n);
                c->fine = !ZSTD_isError(len) && len >= CODEC_FINE_FROM(n) && len < CODEC_FINE_TO(n);
        } else {
                len = ZSTD_compress2(z, to + head, n - head - 1, raw, n);
        }
        if (!ZSTD_isError(len))
                *ret = len > 0 ? head + len : n;
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
        if (base) {
                from += BASE_SIZE;
                stored_len -= BASE_SIZE;
                (void)ZSTD_DCtx_reset(c->decompressor, ZSTD_reset_session_only);
                (void)ZSTD_DCtx_refPrefix(c->decompressor, base->bytes, base->raw_len);
        }
        len = ZSTD_decompressDCtx(c->decompressor, raw, raw_len, from, stored_len);
        if (ZSTD_isError(len))
                return ZSTD_getErrorCode(len) == ZSTD_error_memory_allocation ? -ENOMEM : -EBADMSG;
        return len == raw_len ? 0 : -EBADMSG;
}

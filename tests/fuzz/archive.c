/* SPDX-License-Identifier: MIT */

/*
 * What an archive holds inside: gzip with its members, xz, zstd, and OVA with its description, disks and manifest; of a tar
 * the checksums as they are or right ones, so that what stands behind them is reached. A refusal ends imagefs-unpack: here it
 * goes back, and what was allocated until then is released.
 */

#include <archive.h>
#include <archive_entry.h>
#include <expat.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zlib.h>

#include "blobstore/import/digest.h"
#include "blobstore/import/unpacker/unpacker.h"
#include "tests/fuzz/lib/fuzz.h"

#define TAR_BLOCK 512
/* A small archive may have gigabytes inside, which a child is let write until its limit. */
#define OUTPUT_MAX ((size_t)8 << 20)
#define ALLOCATED_MAX 64

static int input_fd;
static jmp_buf ended;
static struct archive *archive;
static XML_Parser parser;
static struct digest *digests_held[8];
static void *allocated[ALLOCATED_MAX];

/* ---- what a process gives back at its end ---- */

static void *take(size_t n)
{
        void *p = calloc(1, n);

        for (size_t i = 0; p && i < ALLOCATED_MAX; i++) {
                if (!allocated[i]) {
                        allocated[i] = p;
                        return p;
                }
        }
        MUST(!p); /* they are few */
        return NULL;
}

static void give(void *p)
{
        for (size_t i = 0; p && i < ALLOCATED_MAX; i++)
                if (allocated[i] == p)
                        allocated[i] = NULL;
        free(p);
}

static void *take_for_zlib(void *ctx, unsigned n, unsigned size)
{
        (void)ctx;
        return take((size_t)n * size);
}

static void give_for_zlib(void *ctx, void *p)
{
        (void)ctx;
        give(p);
}

static int begin_inflate(z_stream *z, int bits)
{
        z->zalloc = take_for_zlib;
        z->zfree = give_for_zlib;
        return inflateInit2(z, bits);
}

static struct archive *make_archive(void)
{
        archive = archive_read_new();
        return archive;
}

static int free_archive(struct archive *a)
{
        archive = NULL;
        return archive_read_free(a);
}

static XML_Parser make_parser(const XML_Char *encoding)
{
        parser = XML_ParserCreate(encoding);
        return parser;
}

static void free_parser(XML_Parser p)
{
        parser = NULL;
        XML_ParserFree(p);
}

static int make_digest(enum digest_kind kind, struct digest **ret)
{
        const int r = digest_new(kind, ret);

        for (size_t i = 0; r == 0 && i < 8; i++) {
                if (!digests_held[i]) {
                        digests_held[i] = *ret;
                        break;
                }
        }
        return r;
}

static void free_digest(struct digest *d)
{
        for (size_t i = 0; i < 8; i++)
                if (digests_held[i] == d)
                        digests_held[i] = NULL;
        digest_free(d);
}

static void release(void)
{
        if (archive)
                (void)free_archive(archive);
        if (parser)
                free_parser(parser);
        for (size_t i = 0; i < 8; i++)
                if (digests_held[i])
                        free_digest(digests_held[i]);
        for (size_t i = 0; i < ALLOCATED_MAX; i++)
                give(allocated[i]);
}

#undef UNPACK_INPUT_FD
#define UNPACK_INPUT_FD input_fd
#undef inflateInit2
#define inflateInit2(z, bits) begin_inflate(z, bits)
#define archive_read_new make_archive
#define archive_read_free free_archive
#define XML_ParserCreate make_parser
#define XML_ParserFree free_parser
#define digest_new make_digest
#define digest_free free_digest
#define malloc(n) take(n)
#define calloc(n, size) take((n) * (size))
#define free(p) give(p)
#include "blobstore/import/unpacker/compressed.c"
#include "blobstore/import/unpacker/ovf.c"
#include "blobstore/import/unpacker/ova.c" /* with that */
#undef free
#undef calloc
#undef malloc

/* ---- what main.c does ---- */

static size_t output;
static bool has_disk;

void put_frame(enum unpack_frame frame, const void *bytes, size_t n)
{
        MUST(n <= UNPACK_FRAME_MAX && (n == 0 || bytes));
        MUST(frame != UNPACK_DATA || has_disk);
        has_disk |= frame == UNPACK_DISK;
        output += n;
        if (output > OUTPUT_MAX)
                longjmp(ended, 1);
}

void put_data(const void *bytes, size_t n)
{
        for (size_t part; n > 0; n -= part) {
                part = n < UNPACK_FRAME_MAX ? n : UNPACK_FRAME_MAX;
                put_frame(UNPACK_DATA, bytes, part);
        }
}

void refuse(const char *fmt, ...)
{
        MUST(fmt[0]);
        longjmp(ended, 1);
}

/* The checksums of all headers, as far as each says where the next one is. */
static void make_right(uint8_t *tar, size_t n)
{
        for (size_t at = 0; at + TAR_BLOCK <= n;) {
                uint8_t *h = tar + at;
                char field[13] = "";
                unsigned sum = 0;

                memset(h + 148, ' ', 8);
                for (size_t i = 0; i < TAR_BLOCK; i++)
                        sum += h[i];
                (void)snprintf((char *)h + 148, 8, "%06o", sum);
                memcpy(field, h + 124, 12);
                at += TAR_BLOCK + (strtoul(field, NULL, 8) % n + TAR_BLOCK - 1) / TAR_BLOCK * TAR_BLOCK;
        }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        struct input in = { data, size };
        const unsigned what = (unsigned)input_number(&in, 1);
        uint8_t *bytes = malloc(in.left + 1);

        MUST(bytes);
        memcpy(bytes, in.at, in.left);
        if ((what & 7) == 4 && in.left > 0)
                make_right(bytes, in.left);
        input_fd = fuzz_file(bytes, in.left);
        free(bytes);
        output = 0;
        has_disk = false;
        if (setjmp(ended) == 0) {
                switch (what & 7) {
                case 0:
                        unpack_gzip();
                        break;
                case 1:
                        unpack_compressed("xz");
                        break;
                case 2:
                        unpack_compressed("zstd");
                        break;
                default:
                        unpack_ova();
                        break;
                }
        }
        release();
        (void)close(input_fd);
        return 0;
}

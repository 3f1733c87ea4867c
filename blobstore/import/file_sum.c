/* SPDX-License-Identifier: MIT */

#include "blobstore/import/file_sum.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "blobstore/base/io.h"
#include "blobstore/base/parse.h"
#include "blobstore/hash/checksum.h"
#include "blobstore/import/digest.h"

#define READ_BYTES (size_t)(1 << 20)

static const struct {
        const char *name;
        size_t bytes;
} kinds[FILE_SUM_COUNT] = {
        [FILE_SUM_SHA256] = { "sha256", 32 },
        [FILE_SUM_MD5] = { "md5", 16 },
        [FILE_SUM_XXH128] = { "xxh128", 16 },
        [FILE_SUM_SHA512] = { "sha512", 64 },
};

int file_sum_parse(const char *text, struct file_sum *ret)
{
        size_t len = strcspn(text, "=");

        for (int k = 0; k < FILE_SUM_COUNT; k++) {
                struct file_sum sum = { .kind = (enum file_sum_kind)k };

                if (strlen(kinds[k].name) != len || strncmp(kinds[k].name, text, len) != 0 || text[len] != '=')
                        continue;
                if (strlen(text + len + 1) != 2 * kinds[k].bytes ||
                    parse_hex(text + len + 1, 2 * kinds[k].bytes, sum.bytes) < 0)
                        return -EINVAL;

                *ret = sum;
                return 0;
        }

        return -EINVAL;
}

void file_sum_print(const struct file_sum *sum, char *buf, size_t size)
{
        char hex[2 * FILE_SUM_BYTES_MAX + 1] = "";

        for (size_t i = 0; i < kinds[sum->kind].bytes; i++)
                (void)snprintf(hex + 2 * i, sizeof(hex) - 2 * i, "%02x", sum->bytes[i]);
        (void)snprintf(buf, size, "%s=%s", kinds[sum->kind].name, hex);
}

bool file_sum_equal(const struct file_sum *a, const struct file_sum *b)
{
        return a->kind == b->kind && memcmp(a->bytes, b->bytes, sizeof(a->bytes)) == 0;
}

/* One of the two is at work. */
struct summing {
        struct digest *digest;
        struct checksum *checksum;
};

static void summing_done(struct summing *s)
{
        checksum_free(s->checksum);
        digest_free(s->digest);
}

static const enum digest_kind digests[FILE_SUM_COUNT] = {
        [FILE_SUM_SHA256] = DIGEST_SHA256,
        [FILE_SUM_MD5] = DIGEST_MD5,
        [FILE_SUM_SHA512] = DIGEST_SHA512,
};

static int summing_start(struct summing *s, enum file_sum_kind kind)
{
        if (kind == FILE_SUM_XXH128) {
                s->checksum = checksum_new();
                return s->checksum ? 0 : -ENOMEM;
        }

        return digest_new(digests[kind], &s->digest);
}

static void summing_add(struct summing *s, const void *bytes, size_t n)
{
        if (s->checksum)
                checksum_add(s->checksum, bytes, n);
        else
                digest_add(s->digest, bytes, n);
}

static void summing_finish(struct summing *s, uint8_t *bytes)
{
        if (s->checksum)
                checksum_get(s->checksum, bytes);
        else
                digest_finish(s->digest, bytes);
}

int file_sum_of(int fd, enum file_sum_kind kind, file_sum_fn *fn, void *ctx, struct file_sum *ret)
{
        CLEANUP(summing_done) struct summing s = { .checksum = NULL };
        struct file_sum sum = { .kind = kind };
        CLEANUP_FREE void *buf = NULL;
        uint64_t off = 0;
        ssize_t n;
        int r;

        buf = malloc(READ_BYTES);
        if (!buf)
                return -ENOMEM;

        r = summing_start(&s, kind);
        if (r < 0)
                return r;

        do {
                r = fn(ctx);
                if (r < 0)
                        return r;

                n = pread_full(fd, buf, READ_BYTES, off);
                if (n < 0)
                        return (int)n;

                summing_add(&s, buf, (size_t)n);
                off += (uint64_t)n;
        } while ((size_t)n == READ_BYTES);

        summing_finish(&s, sum.bytes);
        *ret = sum;
        return 0;
}

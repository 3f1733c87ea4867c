/* SPDX-License-Identifier: MIT */

#include "blobstore/chunks/footer.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "blobstore/base/bytes.h"
#include "blobstore/base/cleanup.h"
#include "blobstore/base/io.h"
#include "blobstore/hash/hash.h"

#define FOOTER_MAGIC UINT64_C(0x746f662d73666d69) /* "imfs-fot" */
#define FOOTER_VERSION 1

#define RECORD_SIZE 56
#define TRAILER_SIZE 64

/* Offsets in the trailer. */
enum {
        TRAILER_MAGIC = 0,
        TRAILER_VERSION = 8,
        TRAILER_SEGMENT = 12,
        TRAILER_STORE = 16,
        TRAILER_RECORDS = 32,
        TRAILER_FEATURES = 36,
        TRAILER_START = 40,
        TRAILER_CONTENT_HASH = 48,
        TRAILER_HASH = 56,
};

/* Room for N more of SIZE bytes; grows by half. */
static int footer_grow(void **array, size_t *room, size_t used, size_t n, size_t size)
{
        size_t wanted = used + n;
        void *grown;

        if (wanted <= *room)
                return 0;
        wanted += wanted / 2 + 16;
        grown = reallocarray(*array, wanted, size);
        if (!grown)
                return -ENOMEM;
        *array = grown;
        *room = wanted;
        return 0;
}

int footer_add(struct footer *f, const struct footer_record *record, const struct chunk_features *features)
{
        size_t n = features ? features->n : 0;
        int r;

        r = footer_grow((void **)&f->records, &f->room, f->n, 1, sizeof(*f->records));
        if (r == 0)
                r = footer_grow((void **)&f->features, &f->features_room, f->n_features, n, sizeof(*f->features));
        if (r < 0)
                return r;
        f->records[f->n] = *record;
        f->records[f->n++].n_features = (uint32_t)n;
        if (n > 0)
                memcpy(f->features + f->n_features, features->block, n * sizeof(*f->features));
        f->n_features += n;
        return 0;
}

void footer_done(struct footer *f)
{
        free(f->records);
        free(f->features);
        *f = (struct footer){ 0 };
}

static size_t footer_content_size(size_t records, size_t features)
{
        return records * RECORD_SIZE + features * sizeof(uint64_t);
}

static void footer_encode(const struct footer *f, uint8_t *p)
{
        for (size_t i = 0; i < f->n; i++, p += RECORD_SIZE) {
                const struct footer_record *r = &f->records[i];

                memcpy(p, r->name.bytes, CHUNK_NAME_SIZE);
                put_le64(p + 24, r->place);
                put_le64(p + 32, r->base);
                put_le32(p + 40, r->offset);
                put_le32(p + 44, r->raw_len);
                put_le32(p + 48, r->stored_len);
                put_le32(p + 52, r->n_features);
        }
        for (size_t i = 0; i < f->n_features; i++, p += sizeof(uint64_t))
                put_le64(p, f->features[i]);
}

int footer_write(const struct footer *f, int fd, uint64_t end, const uint8_t store[STORE_ID_SIZE], uint32_t segment,
                 uint64_t *ret_len)
{
        size_t size = footer_content_size(f->n, f->n_features);
        CLEANUP_FREE uint8_t *bytes = calloc(1, size + TRAILER_SIZE);
        uint8_t *trailer = bytes + size;
        int r;

        if (!bytes)
                return -ENOMEM;
        footer_encode(f, bytes);
        put_le64(trailer + TRAILER_MAGIC, FOOTER_MAGIC);
        put_le32(trailer + TRAILER_VERSION, FOOTER_VERSION);
        put_le32(trailer + TRAILER_SEGMENT, segment);
        memcpy(trailer + TRAILER_STORE, store, STORE_ID_SIZE);
        put_le32(trailer + TRAILER_RECORDS, (uint32_t)f->n);
        put_le32(trailer + TRAILER_FEATURES, (uint32_t)f->n_features);
        put_le64(trailer + TRAILER_START, end);
        put_le64(trailer + TRAILER_CONTENT_HASH, hash64(bytes, size, segment));
        put_le64(trailer + TRAILER_HASH, hash64(trailer, TRAILER_HASH, segment));
        r = pwrite_full(fd, bytes, size + TRAILER_SIZE, end);
        if (r == 0)
                *ret_len = size + TRAILER_SIZE;
        return r;
}

/* A footer_bytes_fn. */
static int footer_read_bytes(void *ctx, void *buf, size_t n, uint64_t off)
{
        ssize_t got = pread_full(*(const int *)ctx, buf, n, off);

        return got < 0 ? (int)got : (size_t)got == n ? 0 : -EBADMSG;
}

/* What the bytes say; their hash was right, so that only lengths are left to be judged. */
static int footer_decode(const uint8_t *p, size_t n, size_t n_features, uint64_t start, struct footer *ret)
{
        size_t features = 0;

        ret->records = calloc(n ? n : 1, sizeof(*ret->records));
        ret->features = calloc(n_features ? n_features : 1, sizeof(*ret->features));
        if (!ret->records || !ret->features)
                return -ENOMEM;
        ret->n = ret->room = n;
        ret->n_features = ret->features_room = n_features;
        for (size_t i = 0; i < n; i++, p += RECORD_SIZE) {
                struct footer_record *r = &ret->records[i];

                memcpy(r->name.bytes, p, CHUNK_NAME_SIZE);
                r->place = get_le64(p + 24);
                r->base = get_le64(p + 32);
                r->offset = get_le32(p + 40);
                r->raw_len = get_le32(p + 44);
                r->stored_len = get_le32(p + 48);
                r->n_features = get_le32(p + 52);
                features += r->n_features;
                if ((uint64_t)r->offset + r->stored_len > start || r->n_features > CHUNK_FEATURES_MAX)
                        return -EBADMSG;
        }
        if (features != n_features)
                return -EBADMSG;
        for (size_t i = 0; i < n_features; i++, p += sizeof(uint64_t))
                ret->features[i] = get_le64(p);
        return 0;
}

int footer_read(int fd, uint64_t size, const uint8_t store[STORE_ID_SIZE], uint32_t segment, struct footer *ret)
{
        return footer_read_by(footer_read_bytes, &fd, size, store, segment, ret);
}

int footer_read_by(footer_bytes_fn *read, void *ctx, uint64_t size, const uint8_t store[STORE_ID_SIZE], uint32_t segment,
                   struct footer *ret)
{
        uint8_t trailer[TRAILER_SIZE];
        CLEANUP_FREE uint8_t *bytes = NULL;
        struct footer footer = { 0 };
        size_t n, n_features, content;
        uint64_t start;
        int r;

        if (size < TRAILER_SIZE)
                return -ENOENT;
        r = read(ctx, trailer, sizeof(trailer), size - TRAILER_SIZE);
        if (r < 0)
                return r;
        if (get_le64(trailer + TRAILER_MAGIC) != FOOTER_MAGIC)
                return -ENOENT;
        n = get_le32(trailer + TRAILER_RECORDS);
        n_features = get_le32(trailer + TRAILER_FEATURES);
        start = get_le64(trailer + TRAILER_START);
        content = footer_content_size(n, n_features);
        if (get_le64(trailer + TRAILER_HASH) != hash64(trailer, TRAILER_HASH, segment) ||
            get_le32(trailer + TRAILER_VERSION) != FOOTER_VERSION || get_le32(trailer + TRAILER_SEGMENT) != segment ||
            memcmp(trailer + TRAILER_STORE, store, STORE_ID_SIZE) != 0 || content > size - TRAILER_SIZE ||
            start != size - TRAILER_SIZE - content)
                return -EBADMSG;

        bytes = malloc(content ? content : 1); /* no more than the file has */
        if (!bytes)
                return -ENOMEM;
        r = read(ctx, bytes, content, start);
        if (r == 0 && hash64(bytes, content, segment) != get_le64(trailer + TRAILER_CONTENT_HASH))
                r = -EBADMSG;
        if (r == 0)
                r = footer_decode(bytes, n, n_features, start, &footer);
        if (r < 0) {
                footer_done(&footer);
                return r;
        }
        footer.start = start;
        *ret = footer;
        return 0;
}

/* SPDX-License-Identifier: MIT */
#ifndef BLOBSTORE_CHUNKS_FOOTER_H
#define BLOBSTORE_CHUNKS_FOOTER_H

/*
 * What a sealed segment says of itself, so that it can be judged alone and the index be made again without reading the
 * chunks. Little endian, behind the payloads, up to the end of the file:
 *
 *      records     56 bytes each: the chunk's name[24], u64 the place that maps know it by, u64 the place of its base
 *                  (0: none), u32 where its payload begins in this file, u32 raw length, u32 stored length, u32 how
 *                  many features it has
 *      features    u64 each, of the first record, of the second …
 *      trailer     64 bytes: u64 magic, u32 version, u32 segment, the store's id[16], u32 records, u32 features, u64
 * where the records begin, u64 hash of records and features, u64 hash of the trailer before this
 *
 * Hashes are XXH3-64. A chunk that was never moved is known by the place where it lies. What lies in the file without
 * a record was left by a crash.
 */

#include <stddef.h>
#include <stdint.h>

#include "blobstore/chunks/chunk_id.h"
#include "blobstore/chunks/similar.h"

#define STORE_ID_SIZE 16

struct footer_record {
        struct chunk_name name;
        uint64_t place;  /* as maps know it */
        uint64_t base;   /* 0: none */
        uint32_t offset; /* of the payload in the segment */
        uint32_t raw_len, stored_len;
        uint32_t n_features;
};

/* Records gathered for one segment; one thread at a time. Starts as { 0 }. */
struct footer {
        struct footer_record *records;
        size_t n, room;
        uint64_t *features;
        size_t n_features, features_room;
        uint64_t start; /* of one that was read: where it begins in the file */
};

int footer_add(struct footer *f, const struct footer_record *record, const struct chunk_features *features);
void footer_done(struct footer *f);

/* Appends it to the file at offset END; gives how many bytes. */
int footer_write(const struct footer *f, int fd, uint64_t end, const uint8_t store[STORE_ID_SIZE], uint32_t segment,
                 uint64_t *ret_len);

/*
 * The footer of a segment of SIZE bytes, to be released with footer_done(). -ENOENT: it has none; -EBADMSG: it is
 * damaged, or another store's or segment's.
 */
int footer_read(int fd, uint64_t size, const uint8_t store[STORE_ID_SIZE], uint32_t segment, struct footer *ret);

/* The same, of one that is no file: reads exactly N bytes. -EBADMSG: there are fewer. */
typedef int footer_bytes_fn(void *ctx, void *buf, size_t n, uint64_t off);
int footer_read_by(footer_bytes_fn *read, void *ctx, uint64_t size, const uint8_t store[STORE_ID_SIZE], uint32_t segment,
                   struct footer *ret);

#endif

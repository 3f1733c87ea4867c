/* SPDX-License-Identifier: MIT */
#ifndef TESTS_LIB_STORE_H
#define TESTS_LIB_STORE_H

/*
 * A blob store in a private directory, for one test, and images to put into it. What goes wrong in here fails the test.
 */

#include <stdbool.h>

#include "blobstore/blobstore.h"
#include "tests/lib/random.h"
#include "tests/lib/tempdir.h"

struct store {
        char dir[TEMPDIR_MAX]; /* of the test; the store is in "store" below it */
        struct blobstore *bs;
};

/* Setup and teardown of a cmocka test: *state is the store, open. The teardown checks it, unless it was closed. */
int store_setup(void **state);
int store_teardown(void **state);

void store_path(const struct store *s, const char *name, char ret[2 * TEMPDIR_MAX]);
void store_close(struct store *s);
int store_open(struct store *s); /* as blobstore_open() says */
void store_reopen(struct store *s);

/* Checks everything, prints what is found, and gives the number of problems. */
int store_check(struct store *s);
void store_assert_clean(struct store *s);

/* Collects; NULL: nothing but what nobody uses. */
struct blobstore_gc_stats store_gc(struct store *s);

struct blobstore_stats store_stats(struct store *s);

/* For intakes: there is room for anything. */
int store_any_room(void *ctx, uint64_t n);

/* Bytes that the segments occupy on disk. */
uint64_t store_segment_bytes(struct store *s);

/*
 * N bytes as a disk has them: runs of zeros, text that compresses, noise, blocks met before. The same for the
 * same seed; owned by the caller, release with free().
 */
uint8_t *image_make(uint64_t seed, size_t n);

/* Writes, in pieces of random length, and commits. */
int image_write(struct blobstore *bs, const uint8_t *bytes, size_t n, struct blob **ret);
struct blob *image_store(struct store *s, const uint8_t *bytes, size_t n);

/* Is the blob exactly that? Reads it whole, at random, and walks its holes. */
void image_assert_same(struct blob *b, const uint8_t *bytes, size_t n);

/* XXH3-128 as the store gives it. */
void image_checksum(const uint8_t *bytes, size_t n, struct blob_checksum *ret);

#endif

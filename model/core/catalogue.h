/* SPDX-License-Identifier: MIT */
#ifndef MODEL_CORE_CATALOGUE_H
#define MODEL_CORE_CATALOGUE_H

/*
 * Copies of the database, the catalogue, in each blob store that is this library's: should it be lost, one of them is
 * put back (model/restore.h). Private to model/.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "blobstore/hash/hash.h"
#include "model/core/state.h"
#include "model/db/db_copy.h"

#define CATALOGUE_DIR  "catalogue" /* in a store's directory */
#define CATALOGUE_KEPT 7

#define CATALOGUE_APART_US (INT64_C(86400) * 1000000)

/*
 * Copies the catalogue into those stores whose newest copy is older than a day, as far as it has changed since. Gives
 * when to come again. What cannot be copied stops nobody: it is noted for info/health, and tried again soon.
 */
int64_t catalogue_renew(struct model *m, db_copy_stop_fn *stop, void *ctx);

/* Likewise into all stores, and in a limited time: the library is being closed. */
void catalogue_close(struct model *m);

/* Why the last copy could not be made; 0: it could. */
int catalogue_error(struct model *m);

/* "2026-01-31T12:00:00Z.<the checksum of its bytes, as hex>.db": only a whole one has such a name. */
#define CATALOGUE_TIME_LEN 20
#define CATALOGUE_NAME_LEN (CATALOGUE_TIME_LEN + 1 + 2 * HASH128_SIZE + 3)

struct catalogue_copy {
        char name[CATALOGUE_NAME_LEN + 1];
        int64_t time_us;
        uint8_t sum[HASH128_SIZE];
};

struct catalogue_copies {
        struct catalogue_copy *copy; /* the newest first */
        size_t n, size;
};

/* Those in the directory CATALOGUE_DIR, by their names. For CLEANUP(catalogue_copies_done), after a failure too. */
int catalogue_list(int dir_fd, struct catalogue_copies *ret);
void catalogue_copies_done(struct catalogue_copies *copies);

/* The checksum of a whole file. */
int catalogue_sum(int fd, uint8_t ret[HASH128_SIZE]);

#endif

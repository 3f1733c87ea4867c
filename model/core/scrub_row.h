/* SPDX-License-Identifier: MIT */
#ifndef MODEL_CORE_SCRUB_ROW_H
#define MODEL_CORE_SCRUB_ROW_H

/* What is kept of passes that read stores through (work/scrub.c), and of what they found. Private to model/. */

#include "blobstore/blobs/scrub.h"
#include "model/core/state.h"

struct scrub_row {
        int64_t since_us; /* when the last pass began, or the store was first seen */
        int64_t began_us; /* of the pass under way; 0: there is none */
        bool ever;        /* one came to its end */
        struct scrub_position pos;
};

int scrub_row_load(struct db_txn *t, uint64_t store, struct scrub_row *ret); /* -ENOENT; DB_READ will do */
/* Makes a row for a store that has none. */
int scrub_row_see(struct db_txn *t, uint64_t store, int64_t now_us);
/* Begins a pass. */
int scrub_row_begin(struct db_txn *t, uint64_t store, int64_t now_us);
int scrub_row_save(struct db_txn *t, uint64_t store, const struct scrub_position *pos);

/*
 * Notes what the pass that began at PASS_US found: of the blob KEY, whose row it gives, or NULL. Of one without a row
 * nothing is kept: 0.
 */
int scrub_row_note(struct db_txn *t, uint64_t store, const struct blob_id *key, const char *what, int64_t pass_us,
                   uint64_t *ret_blob);
/* Of what was found and is whole again nothing is kept but that it was, among the events. */
int scrub_row_note_healed(struct db_txn *t, uint64_t store, const char *what);
#define SCRUB_KEY_SIZE 16
/* The key of the disk that a snapshot was taken of whose blob is KEY; of several the NTH. -ENOENT; DB_READ will do. */
int scrub_row_made_of(struct db_txn *t, uint64_t store, const struct blob_id *key, unsigned nth, uint8_t ret[SCRUB_KEY_SIZE]);
struct scrub_same {
        uint64_t store;
        struct blob_id blob;
};
/* Of the other blobs, wherever they lie, that have its size and checksum the NTH. Goes through all. -ENOENT; DB_READ will do. */
int scrub_row_same(struct db_txn *t, uint64_t store, const struct blob_id *key, unsigned nth, struct scrub_same *ret);
/* It came to its end: what it did not find damaged any more is whole. */
int scrub_row_end(struct db_txn *t, uint64_t store, int64_t pass_us, int64_t now_us);

#endif

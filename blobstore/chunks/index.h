/* SPDX-License-Identifier: MIT */
#ifndef BLOBSTORE_CHUNKS_INDEX_H
#define BLOBSTORE_CHUNKS_INDEX_H

/*
 * What the store knows about its chunks, segments and blobs, so that a chunk can be found by its name, and space be
 * given back. An SQLite database, index.db; everything in it can be made again from the segments' footers and the maps.
 * Reading a blob does not need it. Any number of threads may share an index; calls wait for each other.
 *
 * Durability. A row never names bytes that are not on disk: batch.c tells in which order things are synced. New chunks
 * gather in a batch, an open transaction in which other writers see them at once, and which is committed when it has
 * grown large and before anything else is changed. That commit is not synced itself, since every other one is, and
 * comes with what was committed before it. Where a batch is lost (the disk is full), the writers that put something
 * into it fail, each when it next uses the index; nobody else does.
 *
 * Is it current? It may have been put back from a backup, or lost what its WAL held. index_state.h tells how it knows
 * (index_is_certain()); where it does not, whoever opens it holds it against the names of maps and segments.
 *
 * References. chunk.refs counts the entries of maps that name the chunk, and the chunks that have it as their base; a
 * chunk of a writer at work has none, and a dead one, whose space may be given back, has -1. A row of a dead chunk
 * stays as long as its segment does, so that what has no row is unknown and not unused. Each row of a chunk or blob
 * carries a proof, a hash of it, that is asked whenever something is changed on its word. A blob is
 *
 *      new      its map is written, and its first `retained` entries are counted: a commit in progress
 *      live     all are
 *      dead     its first `retained` entries are still counted: a removal in progress
 *
 * Its entries are those of the pages that its map owns; pages that it borrows of other maps are counted by their owner,
 * also when that is dead (index_lend.c).
 *
 * Counting goes in pieces, and `retained` changes in the same transactions. So a crash, anywhere, is
 * undone by taking back exactly `retained` entries of each blob that is not live.
 *
 * Grace. Without references, a chunk stays as long as a writer that may have found it is at work: chunk.epoch is the
 * epoch in which it was last found, added or let go; the sweep, which begins an epoch, takes only chunks from before
 * the oldest writer's. A writer that begins before the first sweep of this opening counts as older than everything,
 * so that what an interrupted writer had left is there for the one that does its work again.
 *
 * Orphans. What nobody named when the index was made again, or what a crash left in a segment, has a row of epoch 0,
 * and is not found by anybody. It becomes dead only when the owner of the store says so: it may be that the maps that
 * name it are about to be put back.
 */

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

#include "blobstore/chunks/blob_info.h"
#include "blobstore/chunks/chunk_id.h"
#include "blobstore/chunks/segment.h"

enum blob_state {
        BLOB_NEW,
        BLOB_LIVE,
        BLOB_DEAD,
};

struct index;
struct moves;

/* A stored chunk that was found. */
struct index_twin {
        uint64_t place;
        uint32_t raw_len, stored_len;
        struct chunk_name name;
};

/* A writer at work; embedded in the owner, which does not look inside. */
struct index_writer {
        LIST_ENTRY(index_writer) link;
        uint64_t epoch; /* in which it began */
        bool in_batch;  /* has chunks in the batch */
        int error;      /* the batch with its chunks was lost */
};

struct index_blob {
        struct blob_id id;
        enum blob_state state;
        uint64_t retained;
        struct blob_info info;
};

/* Pages are lent in pieces that do not reach over a multiple of this. */
#define INDEX_LOAN_PAGES 1024

/* What a map borrows: its rows from ROW on name COUNT pages of the lender's file, from PAGE on. */
struct index_loan {
        uint64_t row;
        struct blob_id lender;
        uint32_t page, count;
};

struct index_chunk {
        uint64_t place;         /* as maps know it */
        uint64_t at;            /* where it lies since it was moved; 0: at its place */
        struct chunk_name name; /* zeros: not known */
        uint32_t raw_len, stored_len;
        uint64_t base; /* place of the chunk that it is encoded with; 0: none */
        int64_t refs;
        bool proven; /* its row is as it was written */
};

/* [from, to) of a segment that may be given back. */
struct index_gap {
        uint64_t from, to;
};

/* ---- opening ---- */

/*
 * Opens index.db in DIR_FD and tells SEGMENTS (borrowed until index_close()) what it has to know. -ENOENT: there is
 * none; -EUCLEAN: damaged, older than the store, or marked as stale: to be rebuilt; -EPROTONOSUPPORT: newer.
 */
int index_open(int dir_fd, struct segments *segments, atomic_bool *degraded, struct index **ret);

/* Opens it for looking, and writes nothing, not even beside it. */
int index_open_read_only(int dir_fd, struct segments *segments, atomic_bool *degraded, struct index **ret);

/* Is it known to be current? Else it is to be held against the maps and segments, before anything is written. */
bool index_is_certain(struct index *ix);

/*
 * After it was: takes in what a crash left behind the known ends of segments, and describes these; ends what was being
 * moved (index_move.h). From here on it may be written to. MOVES may be NULL where nothing ever is.
 */
int index_recover(struct index *ix, struct moves *moves);

/* An empty one: index.db.new, until index_publish() makes it index.db; or nowhere, gone when it is closed. */
int index_new(int dir_fd, struct segments *segments, atomic_bool *degraded, struct index **ret);
int index_new_temporary(struct segments *segments, atomic_bool *degraded, struct index **ret);
int index_publish(struct index *ix, int dir_fd); /* then close it, and open it anew */

void index_close(struct index *ix); /* accepts NULL; seals the segments and commits */

/* Has the index rebuilt at the next opening, because counts in it can no longer be right. */
int index_mark_stale(int dir_fd);

/* ---- writers ---- */

void index_writer_begin(struct index *ix, struct index_writer *w);
void index_writer_end(struct index *ix, struct index_writer *w);

/*
 * Is there a chunk of that name? From then on it stays until the writer has ended. 1: yes, 0: no.
 */
int index_share(struct index *ix, struct index_writer *w, const struct chunk_name *name, uint32_t raw_len,
                struct index_twin *ret);

/* The same for the one that has most of the features, and may be a base. */
int index_find_base(struct index *ix, struct index_writer *w, const struct chunk_features *features,
                    struct index_twin *ret);

/* Adds a chunk that was appended, without references; its base gets one. What has no base can be one, by FEATURES. */
int index_add(struct index *ix, struct index_writer *w, const struct index_chunk *chunk,
              const struct chunk_features *features);

/* The chunk was found damaged: nobody shares it any more. */
void index_distrust(struct index *ix, uint64_t place);

/* ---- a blob's life ---- */

/* Records a new blob; after this all chunks added before are durable. */
int index_blob_begin(struct index *ix, struct index_writer *w, const struct blob_id *id, const struct blob_info *info);

/*
 * Counts the chunks of the N entries that come next, in the batch; the last call makes all of it durable, and the blob
 * live. -EUCLEAN: a chunk is not there.
 */
int index_blob_retain(struct index *ix, struct index_writer *w, const struct blob_id *id, const uint64_t *places,
                      size_t n, bool last);

/* live → dead; no change where it is new or dead. -ENOENT. */
int index_blob_kill(struct index *ix, const struct blob_id *id);

/* Takes back the chunks of N entries, after which the first LEFT of the blob are still counted. */
int index_blob_release(struct index *ix, const struct blob_id *id, const uint64_t *places, size_t n, uint64_t left);

/* Forgets a blob of which nothing is counted any more. */
int index_blob_forget(struct index *ix, const struct blob_id *id);

int index_blob_get(struct index *ix, const struct blob_id *id, struct index_blob *ret); /* -ENOENT */

/* Fills in up to MAX blobs that come after AFTER (NULL: from the first), live ones or others; gives the count. */
int index_blob_list(struct index *ix, bool live, const struct blob_id *after, struct index_blob *ret, size_t max);

/* ---- pages that maps borrow (index_lend.c) ---- */

/* Records loans of a new blob, in the batch, before the last of index_blob_retain(). */
int index_loan_add(struct index *ix, struct index_writer *w, const struct blob_id *borrower,
                   const struct index_loan *loans, size_t n);

/* Fills in up to MAX loans of a blob, from row ROW on, in order of the rows; gives the count. */
int index_loan_list(struct index *ix, const struct blob_id *borrower, uint64_t row, struct index_loan *ret, size_t max);

/*
 * The first LEFT pages of a loan stay, none: it is gone. PLACES, N of them, are the chunks of those others of its pages
 * which nobody borrows any more, and whose owner is dead and does not count them.
 */
int index_loan_shrink(struct index *ix, const struct blob_id *borrower, uint64_t row, uint32_t left,
                      const uint64_t *places, size_t n);

/*
 * Which of the COUNT pages from PAGE on, all of one piece, somebody borrows, in bits from PAGE on; the loan at row
 * BUT_ROW of BUT (NULL: none) does not count.
 */
int index_lent_pages(struct index *ix, const struct blob_id *lender, uint32_t page, uint32_t count,
                     const struct blob_id *but, uint64_t but_row, uint64_t ret[INDEX_LOAN_PAGES / 64]);

/* Does anybody borrow of it? 1, 0. */
int index_is_lent(struct index *ix, const struct blob_id *lender);

/* Is there a loan whose lender is no blob of the index? 1, 0. */
int index_lost_lender(struct index *ix);

/* For a new index. */
int index_loan_import(struct index *ix, const struct blob_id *borrower, const struct index_loan *loan);

/* ---- giving space back ---- */

/* Begins an epoch; *ret_limit: chunks that were let go before it may be taken, as no writer can have found them. */
int index_sweep_begin(struct index *ix, uint64_t *ret_limit);

/*
 * Makes up to MAX such chunks dead and marks their segments; gives the count. *ret_bases: so many bases have lost their
 * last reference by it, for another sweep. ORPHANS: those, too.
 */
int index_sweep(struct index *ix, uint64_t limit, bool orphans, unsigned max, unsigned *ret_bases);

/* Since when there are orphans, in microseconds since 1970; 0: there are none. */
uint64_t index_orphans_since(struct index *ix);

/* The next segment after AFTER that is marked. 1: found, 0: none. */
int index_marked_segment(struct index *ix, uint32_t after, uint32_t *ret);

/*
 * Where a segment's dead chunks lie, owned by the caller, release with free(). *ret_empty: nothing lives in it;
 * *ret_sealed: nor will anything. -EBUSY: a writer is appending to it.
 */
int index_gaps(struct index *ix, uint32_t segment, struct index_gap **ret, size_t *ret_n, bool *ret_empty,
               bool *ret_sealed);

/* Is each chunk that the segment says it holds known to be dead, or to lie elsewhere? 1, 0. */
int index_accounts_for(struct index *ix, struct moves *moves, uint32_t segment, const struct footer *footer);

/* Something is about to be given back: an index that is older than this is known for it from now on. */
int index_begin_generation(struct index *ix);

/* The gaps are punched; with REMOVED, the file is gone. */
int index_unmark_segment(struct index *ix, uint32_t segment, bool removed);

/* On a full disk: needs hardly any space for a change, at the price of more syncs. */
void index_set_thrifty(struct index *ix, bool thrifty);

/* ---- statistics, rebuilding, checking ---- */

int index_stats(struct index *ix, struct blobstore_stats *ret);

/*
 * For a new index, in this order: what the segments say, and what the maps say, each in any order; what no segment
 * said; and the end of it, after which it can be published. index_import_map_entry() gives 1 for a chunk without a
 * reference so far.
 */
int index_import_segment(struct index *ix, uint32_t id, uint64_t size);
int index_import_record(struct index *ix, const struct footer_record *record, uint64_t at,
                        const struct chunk_features *features);
int index_import_map_entry(struct index *ix, uint64_t place, uint64_t at, uint32_t raw_len, uint32_t stored_len);
int index_import_blob(struct index *ix, const struct index_blob *blob);
int index_import_name(struct index *ix, uint64_t place, const struct chunk_name *name, uint64_t base,
                      const struct chunk_features *features);
/* So many numbers of segments are not given here. */
void index_skip_segments(struct index *ix, uint32_t n);
int index_import_end(struct index *ix);

/* For a count that is only compared: one more reference by a chunk that has it as its base. */
int index_import_base(struct index *ix, uint64_t place);

/* Fills in up to MAX chunks at or after PLACE, in order of place, without the dead ones; gives the count. */
int index_chunk_list(struct index *ix, uint64_t place, struct index_chunk *ret, size_t max);

/* Calls FN for each segment, in order. FN must not use the index. */
typedef int index_segment_fn(void *ctx, const struct segment_state *s);
int index_segment_each(struct index *ix, index_segment_fn *fn, void *ctx);

/* The first after number AFTER. 1: found, 0: none. */
int index_segment_next(struct index *ix, uint32_t after, struct segment_state *ret);

/* SQLite's own check. -EUCLEAN. */
int index_verify(struct index *ix);

#endif

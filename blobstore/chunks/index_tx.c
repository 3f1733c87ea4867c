/* SPDX-License-Identifier: MIT */

/*
 * Transactions of the index, and what they all change: the counts, which are kept in memory as the open transaction has
 * them, and go with it. When one is committed is batch.c's business.
 */

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "blobstore/base/io.h"
#include "blobstore/chunks/index_priv.h"
#include "blobstore/chunks/index_state.h"

#define INDEX_NAME_STALE "index.stale"

/* ---- the mark that what is counted is wrong ---- */

bool index_is_stale(int dir_fd)
{
        return faccessat(dir_fd, INDEX_NAME_STALE, F_OK, 0) == 0;
}

int index_mark_stale(int dir_fd)
{
        return write_file_durable(dir_fd, INDEX_NAME_STALE, "", 0, 0600);
}

int index_unmark_stale(int dir_fd)
{
        if (unlinkat(dir_fd, INDEX_NAME_STALE, 0) < 0)
                return -errno;
        return fsync_dir(dir_fd);
}

/* Counts that are wrong stay wrong: no more changes now, and all is counted again at the next opening. */
int index_error(struct index *ix, int r)
{
        if (r != -EUCLEAN)
                return r;
        atomic_store(ix->degraded, true);
        if (ix->dir_fd >= 0)
                (void)index_mark_stale(ix->dir_fd); /* as good as the disk lets us */
        return -EBADMSG;
}

/* ---- transactions ---- */

int index_write_state(struct index *ix, uint64_t token)
{
        const struct index_state state = {
                .generation = ix->total.generation,
                .token = token,
                .next_segment = ix->total.next_segment,
        };
        int r = index_state_write(ix->dir_fd, &state);

        return r == -EDQUOT ? -ENOSPC : r; /* a full disk, as SQLite has it */
}

int index_tx_begin(struct index *ix, bool durable)
{
        int r;

        if (atomic_load(ix->degraded))
                return -EROFS;
        if (ix->dir_fd >= 0 && !ix->changed) {
                r = index_write_state(ix, 0);
                if (r < 0)
                        return r;
                ix->changed = true;
        }
        return index_db_begin(ix->db, durable);
}

int index_tx_open_segments(struct index *ix, index_segment_fn *fn, void *ctx)
{
        struct segment_state s = { 0 };
        int r;

        r = index_db_start(ix->db, SEGMENT_OPEN_LIST, DB_NONE);
        while (r == 0 && (r = index_db_next(ix->db, SEGMENT_OPEN_LIST)) > 0) {
                s.id = (uint32_t)index_db_column(ix->db, SEGMENT_OPEN_LIST, 0);
                s.end = (uint64_t)index_db_column(ix->db, SEGMENT_OPEN_LIST, 1);
                s.filling = index_db_column(ix->db, SEGMENT_OPEN_LIST, 2) == 2;
                r = fn(ctx, &s);
        }
        index_db_end(ix->db, SEGMENT_OPEN_LIST);
        return r;
}

int index_tx_one(int r)
{
        return r < 0 ? r : r == 0 ? -EUCLEAN : 0;
}

int index_tx_put_segments(struct index *ix, const struct segment_state *states, size_t n)
{
        int r = 0;

        for (size_t i = 0; r == 0 && i < n; i++)
                r = index_db_run(ix->db, SEGMENT_PUT,
                                 DB_ARGS(DB_INT(states[i].id), DB_INT(states[i].end), DB_INT(states[i].sealed),
                                         DB_INT(states[i].added)));
        return r;
}

void index_tx_note_orphans(struct index *ix)
{
        struct timespec now;

        (void)clock_gettime(CLOCK_REALTIME, &now);
        ix->total.orphans_us = (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

int index_tx_add_debris(struct index *ix, uint64_t place, uint64_t len, uint64_t epoch)
{
        if (len == 0)
                return 0;
        if (epoch == 0)
                index_tx_note_orphans(ix);
        return index_db_run(ix->db, DEBRIS_ADD, DB_ARGS(DB_INT(place), DB_INT(len), DB_INT(epoch)));
}

static int index_write_total(struct index *ix)
{
        const struct index_total *t = &ix->total;

        if (memcmp(&ix->total, &ix->committed, sizeof(ix->total)) == 0)
                return 0;
        return index_db_run(ix->db, TOTAL_SET,
                            DB_ARGS(DB_INT(t->stats.logical_bytes), DB_INT(t->stats.unique_bytes),
                                    DB_INT(t->stats.stored_bytes), DB_INT(t->stats.blobs), DB_INT(t->stats.chunks),
                                    DB_INT(t->epoch), DB_INT(t->next_segment), DB_INT(t->generation), DB_INT(t->token),
                                    DB_INT(t->orphans_us)));
}

int index_tx_commit(struct index *ix, uint32_t next_segment)
{
        int r;

        if (ix->total.next_segment < next_segment)
                ix->total.next_segment = next_segment;
        r = index_write_total(ix);
        if (r == 0)
                r = index_db_commit(ix->db);
        if (r == 0)
                ix->committed = ix->total;
        return r;
}

void index_tx_rollback(struct index *ix)
{
        index_db_rollback(ix->db);
        ix->total = ix->committed;
}

/* ---- counts ---- */

void index_count_chunk(struct index *ix, int64_t raw_len, int64_t stored_len, int sign)
{
        struct blobstore_stats *s = &ix->total.stats;

        s->unique_bytes += (uint64_t)(sign * raw_len);
        s->stored_bytes += (uint64_t)(sign * stored_len);
        s->chunks += (uint64_t)sign;
}

void index_count_blob(struct index *ix, const struct blob_info *info, int sign)
{
        ix->total.stats.logical_bytes += (uint64_t)(sign * (int64_t)info->data_bytes);
        ix->total.stats.blobs += (uint64_t)sign;
}

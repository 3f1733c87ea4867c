/* SPDX-License-Identifier: MIT */

/*
 * Opening, publishing and closing the index: is it the one that goes with the store?
 */

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/random.h>
#include <sys/stat.h>

#include "blobstore/base/cleanup.h"
#include "blobstore/base/io.h"
#include "blobstore/base/lock.h"
#include "blobstore/chunks/batch_priv.h"
#include "blobstore/chunks/index_priv.h"
#include "blobstore/chunks/index_state.h"

#define INDEX_NAME "index.db"
#define INDEX_NAME_NEW "index.db.new"

static int index_load(struct index *ix)
{
        int64_t v[10];
        int r;

        r = index_db_get(ix->db, TOTAL_GET, v, 10, DB_NONE);
        if (r < 0)
                return r;
        if (r == 0)
                return -EUCLEAN;
        ix->total = (struct index_total){
                .stats = { .logical_bytes = (uint64_t)v[0],
                           .unique_bytes = (uint64_t)v[1],
                           .stored_bytes = (uint64_t)v[2],
                           .blobs = (uint64_t)v[3],
                           .chunks = (uint64_t)v[4] },
                .epoch = (uint64_t)v[5],
                .next_segment = (uint64_t)v[6],
                .generation = (uint64_t)v[7],
                .token = (uint64_t)v[8],
                .orphans_us = (uint64_t)v[9],
        };
        ix->committed = ix->total;
        return 0;
}

/* Does the index go with the store? See index_state.h. */
static int index_judge(struct index *ix, int dir_fd)
{
        struct index_state state;
        int r;

        r = index_state_read(dir_fd, &state);
        if (r < 0)
                return r == -ENOENT ? -EUCLEAN : r;
        if (ix->total.generation != state.generation && ix->total.generation != state.generation + 1)
                return -EUCLEAN;
        ix->certain = state.token != 0 && state.token == ix->total.token;
        ix->total.token = 0; /* with the first change */
        if (ix->total.next_segment < state.next_segment)
                ix->total.next_segment = state.next_segment;
        return 0;
}

static int index_open_mode(int dir_fd, const char *name, enum index_db_mode mode, struct segments *segments,
                           atomic_bool *degraded, struct index **ret)
{
        struct index *ix;
        int r;

        ix = calloc(1, sizeof(*ix)); /* struct index_total is compared whole, so it has no holes that matter */
        if (!ix)
                return -ENOMEM;
        ix->dir_fd = mode == INDEX_DB_OPEN ? dir_fd : -1;
        ix->degraded = degraded;
        LIST_INIT(&ix->writers);
        pthread_mutex_init(&ix->lock, NULL);
        pthread_mutex_init(&ix->shown_lock, NULL);
        batch_init(ix, segments);
        r = index_db_open(dir_fd, name, mode, index_schema, index_step, INDEX_VERSION, index_statements,
                          INDEX_SQL_COUNT, degraded, &ix->db);
        if (r == 0)
                r = index_load(ix);
        if (r == 0 && (mode == INDEX_DB_OPEN || mode == INDEX_DB_READ_ONLY))
                r = index_judge(ix, dir_fd);
        if (r == 0 && (mode == INDEX_DB_OPEN || mode == INDEX_DB_READ_ONLY))
                segments_set_next(segments, (uint32_t)ix->total.next_segment);
        if (r < 0) {
                index_close(ix);
                return r;
        }
        ix->shown = ix->total.stats;
        *ret = ix;
        return 0;
}

bool index_is_certain(struct index *ix)
{
        return ix->certain;
}

int index_begin_generation(struct index *ix)
{
        int r;

        LOCK_SCOPE(&ix->lock);
        r = batch_begin_change(ix);
        if (r < 0)
                return r;
        ix->total.generation++;
        r = batch_end_change(ix, 0);
        return r < 0 ? r : index_write_state(ix, 0);
}

int index_open(int dir_fd, struct segments *segments, atomic_bool *degraded, struct index **ret)
{
        if (index_is_stale(dir_fd))
                return -EUCLEAN;
        return index_open_mode(dir_fd, INDEX_NAME, INDEX_DB_OPEN, segments, degraded, ret);
}

int index_open_read_only(int dir_fd, struct segments *segments, atomic_bool *degraded, struct index **ret)
{
        if (index_is_stale(dir_fd))
                return -EUCLEAN;
        return index_open_mode(dir_fd, INDEX_NAME, INDEX_DB_READ_ONLY, segments, degraded, ret);
}

int index_new(int dir_fd, struct segments *segments, atomic_bool *degraded, struct index **ret)
{
        if (unlinkat(dir_fd, INDEX_NAME_NEW, 0) < 0 && errno != ENOENT)
                return -errno;
        return index_open_mode(dir_fd, INDEX_NAME_NEW, INDEX_DB_CREATE, segments, degraded, ret);
}

int index_new_temporary(struct segments *segments, atomic_bool *degraded, struct index **ret)
{
        return index_open_mode(-1, "", INDEX_DB_TEMPORARY, segments, degraded, ret);
}

/*
 * A new one knows what is there, whatever was given back. It is numbered as if it had been there all along; where the
 * state is lost, it begins anew.
 */
static int index_join_generation(struct index *ix, int dir_fd)
{
        struct index_state state;
        int r;

        r = index_state_read(dir_fd, &state);
        if (r < 0 && r != -ENOENT && r != -EUCLEAN)
                return r;
        if (r < 0)
                state = (struct index_state){ .generation = 1 };
        LOCK_SCOPE(&ix->lock);
        ix->total.generation = state.generation;
        if (ix->total.next_segment < state.next_segment)
                ix->total.next_segment = state.next_segment;
        r = batch_begin_change(ix);
        if (r == 0)
                r = batch_end_change(ix, 0);
        if (r < 0)
                return r;
        state.token = 0;
        state.next_segment = ix->total.next_segment;
        return index_state_write(dir_fd, &state);
}

/*
 * The old database's WAL goes first: beside the new file it would be replayed into it. From then on
 * the old one may be missing its last changes, and the stale mark makes a crash in between harmless.
 */
int index_publish(struct index *ix, int dir_fd)
{
        static const char *const old[] = { INDEX_NAME "-wal", INDEX_NAME "-shm", INDEX_NAME "-journal" };
        CLEANUP_CLOSE int fd = -1;
        int r;

        r = index_join_generation(ix, dir_fd);
        if (r < 0)
                return r;

        fd = openat(dir_fd, INDEX_NAME_NEW, O_RDONLY | O_CLOEXEC);
        if (fd < 0 || fchmod(fd, 0600) < 0 || fsync(fd) < 0)
                return -errno;
        r = index_mark_stale(dir_fd);
        if (r < 0)
                return r;
        for (size_t i = 0; i < sizeof(old) / sizeof(old[0]); i++)
                if (unlinkat(dir_fd, old[i], 0) < 0 && errno != ENOENT)
                        return -errno;
        if (renameat(dir_fd, INDEX_NAME_NEW, dir_fd, INDEX_NAME) < 0)
                return -errno;
        r = fsync_dir(dir_fd);
        if (r < 0)
                return r;
        return index_unmark_stale(dir_fd);
}

/* 63 bits, since an SQL integer has a sign, and not zero. */
static uint64_t index_make_token(void)
{
        uint64_t token = 0;

        return getrandom(&token, sizeof(token), 0) == sizeof(token) ? (token >> 1) | 1 : 0;
}

/* So that the next opening need not look. Where that fails, it looks. */
static void index_close_certain(struct index *ix)
{
        uint64_t token = index_make_token();

        if (ix->dir_fd < 0 || !ix->db || !ix->recovered || atomic_load(ix->degraded) || batch_seal(ix, token) < 0)
                return;
        index_db_close(TAKE_PTR(ix->db));
        if (!index_is_stale(ix->dir_fd))
                (void)index_write_state(ix, token);
}

void index_close(struct index *ix)
{
        if (!ix)
                return;
        batch_done(ix);
        index_close_certain(ix);
        index_db_close(ix->db);
        batch_free(ix);
        pthread_mutex_destroy(&ix->lock);
        pthread_mutex_destroy(&ix->shown_lock);
        free(ix);
}

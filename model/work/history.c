/* SPDX-License-Identifier: MIT */
/*
 * To count what the regions hold takes a walk over all images, so that a count is kept, with what it followed from: the
 * counters that the schema's triggers keep. As long as these are the same, so is the count. What the stores hold they
 * know themselves.
 *
 * Days beyond the bound are told by how many there are and not by the clock, which may be wrong by years: it must not
 * take what was gathered in them.
 */

#include "model/work/history.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "blobstore/base/lock.h"
#include "blobstore/blobstore.h"
#include "model/core/clock.h"
#include "model/core/state.h"
#include "model/core/stores.h"

#define DAY_US (INT64_C(86400) * 1000000)

enum { VERSION, COUNT, WRITE, FORGET_REGIONS, FORGET_DAYS, READ };

static const char *const history_sql[] = {
        /* snapshots that go and regions that come are in no list */
        [VERSION] = "SELECT lists || '.' || (SELECT ifnull(sum(used), 0) FROM usage WHERE key = 'snapshots') || '.' || "
                    "(SELECT count(*) || '.' || ifnull(max(id), 0) FROM region) FROM library",
        [COUNT] = "SELECT region.handle, ifnull(sum(images), 0), ifnull(sum(snapshots), 0), ifnull(sum(bytes), 0), "
                  "ifnull(sum(data), 0) FROM region LEFT JOIN ("
                  "SELECT region AS place, 1 AS images, 0 AS snapshots, size AS bytes, 0 AS data FROM image "
                  "UNION ALL SELECT region, 0, 1, 0, 0 FROM snapshot "
                  "UNION ALL SELECT image.region, 0, 0, 0, blob.data FROM image_disk "
                  "JOIN image ON image.id = image_disk.image LEFT JOIN snapshot ON snapshot.id = image_disk.snapshot "
                  "JOIN blob ON blob.id = ifnull(snapshot.blob, image_disk.blob) "
                  "UNION ALL SELECT snapshot.region, 0, 0, blob.size, blob.data FROM snapshot "
                  "JOIN blob ON blob.id = snapshot.blob "
                  "WHERE NOT EXISTS (SELECT 1 FROM image_disk WHERE image_disk.snapshot = snapshot.id)) "
                  "ON place = region.id GROUP BY region.id ORDER BY region.handle",
        [WRITE] = "INSERT INTO history VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8) ON CONFLICT (day, region) DO UPDATE SET "
                  "images = ?3, snapshots = ?4, size = ?5, data = ?6, distinct_data = ?7, stored = ?8 "
                  "WHERE (history.images, history.snapshots, history.size, history.data, history.distinct_data, "
                  "history.stored) IS NOT (?3, ?4, ?5, ?6, ?7, ?8)",
        [FORGET_REGIONS] = "DELETE FROM history WHERE day = ?1 AND region <> '' "
                           "AND region NOT IN (SELECT handle FROM region)",
        [FORGET_DAYS] = "DELETE FROM history WHERE day < "
                        "(SELECT DISTINCT day FROM history ORDER BY day DESC LIMIT 1 OFFSET ?1)",
        [READ] = "SELECT day, region, images, snapshots, size, data, distinct_data, stored FROM history WHERE day < ?1 "
                 "ORDER BY day, region",
};
const struct db_statements history_statements = DB_STATEMENTS(history_sql);

struct held {
        char region[NAME_LEN_MAX + 1];
        uint64_t images, snapshots, size_bytes, data_bytes;
};

#define VERSION_MAX 96 /* four numbers */

struct history {
        int64_t day; /* what the next writing is of; the keeper's */

        pthread_mutex_t mutex; /* of the count */
        char version[VERSION_MAX]; /* what it followed from; "": there is none */
        struct held *held; /* the whole library, and then its regions by name */
        size_t n, size;
};

int history_new(struct history **ret)
{
        struct history *h = calloc(1, sizeof(*h));

        if (!h)
                return -ENOMEM;
        (void)pthread_mutex_init(&h->mutex, NULL); /* cannot fail without attributes */
        *ret = h;
        return 0;
}

void history_free(struct history *h)
{
        if (!h)
                return;
        (void)pthread_mutex_destroy(&h->mutex);
        free(h->held);
        free(h);
}

/* ---- how it is ---- */

static int take_version(void *ctx, const struct db_row *row)
{
        db_row_text(row, 0, ctx, VERSION_MAX);
        return 0;
}

static struct held *held_add(struct history *h)
{
        if (h->n == h->size) {
                size_t size = h->size ? 2 * h->size : 8;
                struct held *larger = reallocarray(h->held, size, sizeof(*larger));

                if (!larger)
                        return NULL;
                h->held = larger;
                h->size = size;
        }
        h->held[h->n] = (struct held){ 0 };
        return &h->held[h->n++];
}

static int take_held(void *ctx, const struct db_row *row)
{
        struct history *h = ctx;
        struct held *held = held_add(h), *all;

        if (!held)
                return -ENOMEM;
        db_row_text(row, 0, held->region, sizeof(held->region));
        held->images = (uint64_t)db_row_int(row, 1);
        held->snapshots = (uint64_t)db_row_int(row, 2);
        held->size_bytes = (uint64_t)db_row_int(row, 3);
        held->data_bytes = (uint64_t)db_row_int(row, 4);
        all = &h->held[0];
        all->images += held->images;
        all->snapshots += held->snapshots;
        all->size_bytes += held->size_bytes;
        all->data_bytes += held->data_bytes;
        return 0;
}

/* Counts, unless it is known. Under the mutex. */
static int count(struct history *h, struct db_txn *t)
{
        char version[VERSION_MAX];
        int r;

        r = db_one(t, history_sql[VERSION], take_version, version);
        if (r < 0 || strcmp(version, h->version) == 0)
                return r;
        h->version[0] = '\0';
        h->n = 0;
        r = held_add(h) ? db_each(t, history_sql[COUNT], take_held, h) : -ENOMEM;
        if (r == 0)
                memcpy(h->version, version, sizeof(version));
        return r;
}

struct stored {
        bool unknown;
        uint64_t unique_bytes, stored_bytes;
};

static int add_store(void *ctx, uint64_t id, struct blobstore *bs)
{
        struct stored *sum = ctx;
        struct blobstore_stats stats;
        int r;

        (void)id;
        r = blobstore_get_stats(bs, &stats);
        if (r == -EBADMSG) { /* of a library that can only be read: see model_get_stats() */
                sum->unknown = true;
                return 0;
        }
        if (r < 0)
                return r;
        sum->unique_bytes += stats.unique_bytes;
        sum->stored_bytes += stats.stored_bytes;
        return 0;
}

static int note_offline(void *ctx, const char *sentence, const char *path)
{
        struct stored *sum = ctx;

        (void)sentence;
        (void)path;
        sum->unknown = true;
        return 0;
}

static int get_stored(struct model *m, struct stored *ret)
{
        int r;

        r = stores_each(m, add_store, ret);
        return r < 0 ? r : stores_each_offline(m, note_offline, ret);
}

/* FN for each of what was counted. Under the mutex. */
static int each_held(const struct history *h, int64_t day, const struct stored *stored, history_fn *fn, void *ctx)
{
        int r = 0;

        for (size_t i = 0; i < h->n && r == 0; i++) {
                const struct held *held = &h->held[i];
                const bool known = i == 0 && !stored->unknown;

                r = fn(ctx, &(struct history_row){
                        .day = day,
                        .region = held->region,
                        .images = held->images,
                        .snapshots = held->snapshots,
                        .size_bytes = held->size_bytes,
                        .data_bytes = held->data_bytes,
                        .stored_known = known,
                        .unique_bytes = known ? stored->unique_bytes : 0,
                        .stored_bytes = known ? stored->stored_bytes : 0,
                });
        }
        return r;
}

/* ---- how it was ---- */

static int write_row(void *ctx, const struct history_row *row)
{
        const struct db_value unique = row->stored_known ? DB_INT(row->unique_bytes) : DB_NULL,
                              stored = row->stored_known ? DB_INT(row->stored_bytes) : DB_NULL;
        int r;

        r = db_run((struct db_txn *)ctx, history_sql[WRITE], DB_INT(row->day), DB_TEXT(row->region), DB_INT(row->images),
                   DB_INT(row->snapshots), DB_INT(row->size_bytes), DB_INT(row->data_bytes), unique, stored);
        return r < 0 ? r : 0;
}

int history_write(struct model *m, int64_t day)
{
        struct stored stored = { 0 };
        int r;

        r = get_stored(m, &stored);
        if (r < 0)
                return r;

        LOCK_SCOPE(&m->history->mutex);
        {
                DB_TXN(t);

                r = db_begin(m->db, DB_READ, &t);
                if (r == 0)
                        r = count(m->history, &t);
        }
        if (r < 0)
                return r;

        DB_TXN(t);
        r = db_begin(m->db, DB_WRITE, &t);
        if (r == 0)
                r = db_run(&t, history_sql[FORGET_REGIONS], DB_INT(day));
        if (r >= 0)
                r = each_held(m->history, day, &stored, write_row, &t);
        if (r == 0)
                r = db_run(&t, history_sql[FORGET_DAYS], DB_INT(HISTORY_DAYS - 1));
        return r < 0 ? r : db_commit(&t);
}

static int64_t today(void)
{
        return clock_now_us() / DAY_US;
}

int64_t history_turn(struct model *m)
{
        struct history *h = m->history;
        const int64_t day = today();

        if (h->day && h->day != day) {
                /* what cannot be kept is missing in the picture, and nowhere else */
                (void)history_write(m, h->day);
                (void)history_write(m, day);
        }
        h->day = day;
        return (day + 1) * DAY_US;
}

void history_end(struct model *m)
{
        (void)history_turn(m);
        (void)history_write(m, today()); /* as there */
}

struct reading {
        history_fn *fn;
        void *ctx;
};

static int read_row(void *ctx, const struct db_row *row)
{
        const struct reading *reading = ctx;
        const struct history_row was = {
                .day = db_row_int(row, 0),
                .region = db_row_str(row, 1),
                .images = (uint64_t)db_row_int(row, 2),
                .snapshots = (uint64_t)db_row_int(row, 3),
                .size_bytes = (uint64_t)db_row_int(row, 4),
                .data_bytes = (uint64_t)db_row_int(row, 5),
                .stored_known = !db_row_is_null(row, 7),
                .unique_bytes = (uint64_t)db_row_int(row, 6),
                .stored_bytes = (uint64_t)db_row_int(row, 7),
        };

        return reading->fn(reading->ctx, &was);
}

int history_each(struct model *m, history_fn *fn, void *ctx)
{
        struct reading reading = { .fn = fn, .ctx = ctx };
        struct stored stored = { 0 };
        const int64_t day = today();
        int r;

        r = get_stored(m, &stored);
        if (r < 0)
                return r;

        LOCK_SCOPE(&m->history->mutex);
        DB_TXN(t);
        r = db_begin(m->db, DB_READ, &t);
        if (r == 0)
                r = count(m->history, &t);
        if (r == 0)
                r = db_each(&t, history_sql[READ], read_row, &reading, DB_INT(day));
        return r < 0 ? r : each_held(m->history, day, &stored, fn, ctx);
}

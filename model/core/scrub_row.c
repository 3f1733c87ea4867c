/* SPDX-License-Identifier: MIT */

/*
 * The rows of passes. A pass that came to its end has read all blobs that there were when it began: those up to the
 * newest one then. So that a blob was read is not written down for each, which would change a row of every one.
 * Damage has a row for each blob that has some, until a pass comes to its end that did not see it.
 */

#include "model/core/scrub_row.h"

#include <errno.h>

#include "model/core/clock.h"

enum { SEE, LOAD, BEGIN, SAVE, END, FIND_BLOB, NOTE_BLOB, NOTE_STORE, NOTE_HEALED, WITHDRAW, TOUCH, TOUCH_WHOLE, FORGET, MADE_OF, SAME };

/* As many findings without a blob are kept of a store: which is one that somebody has to look at anyway. */
#define NOTES_MAX "100"

/* Images whose disks have the blob, or some of those blobs. */
#define IMAGES_OF(blobs)                                                                                               \
        "SELECT image FROM image_disk WHERE blob " blobs " UNION SELECT image FROM image_disk WHERE snapshot IN "      \
        "(SELECT id FROM snapshot WHERE blob " blobs ")"

static const char *const scrub_row_sql[] = {
        [SEE] = "INSERT INTO scrub (store, since) VALUES (?1, ?2) ON CONFLICT DO NOTHING",
        [LOAD] = "SELECT since, ifnull(began, 0), verified IS NOT NULL, stage, segment, map FROM scrub WHERE store = ?1",
        [BEGIN] = "UPDATE scrub SET began = ?2, since = ?2, newest = (SELECT ifnull(max(id), 0) FROM blob), stage = 0,"
                  " segment = 0, map = NULL WHERE store = ?1",
        [SAVE] = "UPDATE scrub SET stage = ?2, segment = ?3, map = ?4 WHERE store = ?1",
        [END] = "UPDATE scrub SET verified = began, ended = ?2, covers = newest, began = NULL WHERE store = ?1",
        [FIND_BLOB] = "SELECT id FROM blob WHERE store = ?1 AND key = ?2",
        [NOTE_BLOB] = "INSERT INTO damage (store, blob, what, found, pass) VALUES (?1, ?2, ?3, ?4, ?5)"
                      " ON CONFLICT (blob) DO UPDATE SET what = excluded.what, pass = excluded.pass",
        [NOTE_STORE] = "INSERT INTO damage (store, what, found, pass) SELECT ?1, ?2, ?3, ?4"
                       " WHERE (SELECT count(*) FROM damage WHERE store = ?1 AND blob IS NULL) < " NOTES_MAX
                       " ON CONFLICT (store, what) WHERE blob IS NULL DO UPDATE SET pass = excluded.pass",
        [NOTE_HEALED] = "INSERT INTO damage (store, what, found, pass) VALUES (?1, ?2, ?3, 0)"
                        " ON CONFLICT (store, what) WHERE blob IS NULL DO NOTHING",
        [WITHDRAW] = "DELETE FROM damage WHERE store = ?1 AND what = ?2 AND blob IS NULL",
        [TOUCH] = "UPDATE image SET updated = max(?2, updated + 1) WHERE id IN (" IMAGES_OF("= ?1") ")",
        [TOUCH_WHOLE] = "UPDATE image SET updated = max(?3, updated + 1) WHERE id IN ("
                        IMAGES_OF("IN (SELECT blob FROM damage WHERE store = ?1 AND pass <> ?2)") ")",
        [FORGET] = "DELETE FROM damage WHERE store = ?1 AND pass <> ?2",
        [MADE_OF] = "SELECT volume.key FROM blob JOIN snapshot ON snapshot.blob = blob.id"
                    " JOIN volume ON volume.id = snapshot.volume JOIN region ON region.id = volume.region"
                    " WHERE blob.store = ?1 AND blob.key = ?2 AND region.store = ?1 AND volume.key IS NOT NULL"
                    " AND volume.made = 1 ORDER BY snapshot.id LIMIT 1 OFFSET ?3",
        [SAME] = "SELECT other.store, other.key FROM blob JOIN blob AS other ON other.checksum = blob.checksum"
                 " AND other.size = blob.size AND other.id <> blob.id WHERE blob.store = ?1 AND blob.key = ?2"
                 " ORDER BY other.id LIMIT 1 OFFSET ?3",
};
const struct db_statements scrub_row_statements = DB_STATEMENTS(scrub_row_sql);

/* ---- passes ---- */

static int fill_row(void *ctx, const struct db_row *row)
{
        struct scrub_row *s = ctx;

        *s = (struct scrub_row){
                .since_us = db_row_int(row, 0),
                .began_us = db_row_int(row, 1),
                .ever = db_row_int(row, 2),
                .pos = { .stage = (enum scrub_stage)db_row_int(row, 3), .segment = (uint32_t)db_row_int(row, 4) },
        };
        db_row_blob(row, 5, s->pos.map.bytes, sizeof(s->pos.map.bytes));
        return 0;
}

int scrub_row_load(struct db_txn *t, uint64_t store, struct scrub_row *ret)
{
        return db_one(t, scrub_row_sql[LOAD], fill_row, ret, DB_INT(store));
}

int scrub_row_see(struct db_txn *t, uint64_t store, int64_t now_us)
{
        int r = db_run(t, scrub_row_sql[SEE], DB_INT(store), DB_INT(now_us));

        return r < 0 ? r : 0;
}

int scrub_row_begin(struct db_txn *t, uint64_t store, int64_t now_us)
{
        return db_run_one(t, scrub_row_sql[BEGIN], DB_INT(store), DB_INT(now_us));
}

int scrub_row_save(struct db_txn *t, uint64_t store, const struct scrub_position *pos)
{
        return db_run_one(t, scrub_row_sql[SAVE], DB_INT(store), DB_INT(pos->stage), DB_INT(pos->segment),
                          DB_BLOB(pos->map.bytes, sizeof(pos->map.bytes)));
}

/* ---- what they found ---- */

int scrub_row_note(struct db_txn *t, uint64_t store, const struct blob_id *key, const char *what, int64_t pass_us,
                   uint64_t *ret_blob)
{
        const int64_t now_us = clock_now_us();
        int64_t blob;
        int r;

        *ret_blob = 0;
        if (!key) {
                r = db_run(t, scrub_row_sql[NOTE_STORE], DB_INT(store), DB_TEXT(what), DB_INT(now_us), DB_INT(pass_us));
                return r < 0 ? r : 0;
        }
        r = db_int(t, scrub_row_sql[FIND_BLOB], &blob, DB_INT(store), DB_BLOB(key->bytes, sizeof(key->bytes)));
        if (r < 0)
                return r == -ENOENT ? 0 : r;
        r = db_run(t, scrub_row_sql[NOTE_BLOB], DB_INT(store), DB_INT(blob), DB_TEXT(what), DB_INT(now_us),
                   DB_INT(pass_us));
        if (r >= 0)
                r = db_run(t, scrub_row_sql[TOUCH], DB_INT(blob), DB_INT(now_us));
        if (r < 0)
                return r;
        *ret_blob = (uint64_t)blob;
        return 0;
}

/* A row's coming and going are what events tell of. */
int scrub_row_note_healed(struct db_txn *t, uint64_t store, const char *what)
{
        int r = db_run(t, scrub_row_sql[NOTE_HEALED], DB_INT(store), DB_TEXT(what), DB_INT(clock_now_us()));

        if (r >= 0)
                r = db_run(t, scrub_row_sql[WITHDRAW], DB_INT(store), DB_TEXT(what));
        return r < 0 ? r : 0;
}

static int key_row(void *ctx, const struct db_row *row)
{
        db_row_blob(row, 0, ctx, SCRUB_KEY_SIZE);
        return 0;
}

int scrub_row_made_of(struct db_txn *t, uint64_t store, const struct blob_id *key, unsigned nth, uint8_t ret[SCRUB_KEY_SIZE])
{
        return db_one(t, scrub_row_sql[MADE_OF], key_row, ret, DB_INT(store), DB_BLOB(key->bytes, sizeof(key->bytes)),
                      DB_INT(nth));
}

static int same_row(void *ctx, const struct db_row *row)
{
        struct scrub_same *same = ctx;

        same->store = (uint64_t)db_row_int(row, 0);
        db_row_blob(row, 1, same->blob.bytes, sizeof(same->blob.bytes));
        return 0;
}

int scrub_row_same(struct db_txn *t, uint64_t store, const struct blob_id *key, unsigned nth, struct scrub_same *ret)
{
        return db_one(t, scrub_row_sql[SAME], same_row, ret, DB_INT(store), DB_BLOB(key->bytes, sizeof(key->bytes)),
                      DB_INT(nth));
}

int scrub_row_end(struct db_txn *t, uint64_t store, int64_t pass_us, int64_t now_us)
{
        int r;

        r = db_run(t, scrub_row_sql[TOUCH_WHOLE], DB_INT(store), DB_INT(pass_us), DB_INT(now_us));
        if (r >= 0)
                r = db_run(t, scrub_row_sql[FORGET], DB_INT(store), DB_INT(pass_us));
        return r < 0 ? r : db_run_one(t, scrub_row_sql[END], DB_INT(store), DB_INT(now_us));
}

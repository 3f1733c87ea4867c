/* SPDX-License-Identifier: MIT */

/*
 * The blob stores that the library uses: its own in DIR/blobs (path '' in the database), and those that the
 * administrator gave to regions. All are opened when the library is. One that cannot be opened is offline: it is in the
 * list without its bytes, who asks for those gets a sentence that says why, and what only needs rows goes on. It comes
 * back with the next start, or when the administrator says that it is there again; then it stays. A row is made after
 * its store was, so that a store with a row is never made anew.
 *
 * A store that no region refers to any more, no blob and no disk that is still to be removed, is forgotten at the next
 * start. One belongs to one library: see owner.c.
 *
 * One that does not answer (store_hang.c) counts as offline until it does. Whoever had it before still has it. What is said of those
 * stands in stores_offline.c.
 *
 * Stores are added and brought back one at a time, under a lock that is held while the store is opened.
 */

#include "model/core/stores.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "blobstore/base/cleanup.h"
#include "blobstore/base/lock.h"
#include "blobstore/base/strbuf.h"
#include "model/core/clock.h"
#include "model/core/stores_priv.h"

enum { LIST, FIND, INSERT, FORGET, CHANGED, MOVE };

static const char *const stores_sql[] = {
        [LIST] = "SELECT id, path FROM store ORDER BY id",
        [FIND] = "SELECT id FROM store WHERE path = ?1",
        [INSERT] = "INSERT INTO store (path, changed) VALUES (?1, ?2)",
        [FORGET] = "DELETE FROM store WHERE path <> '' "
                   "AND NOT EXISTS (SELECT 1 FROM region WHERE region.store = store.id) "
                   "AND NOT EXISTS (SELECT 1 FROM blob WHERE blob.store = store.id) "
                   "AND NOT EXISTS (SELECT 1 FROM trash WHERE trash.store = store.id)",
        [MOVE] = "UPDATE store SET path = ?2, changed = ?3 WHERE id = ?1",
        [CHANGED] = "SELECT max(changed) FROM store",
};
const struct db_statements stores_statements = DB_STATEMENTS(stores_sql);

/* ---- opening them ---- */

static struct store_place place_of(const struct stores *s, uint64_t id, const char *path, bool known)
{
        return (struct store_place){
                .we = &s->we, .id = id, .path = path, .known = known, .caches = s->caches,
                .kept = s->kept,
        };
}

/* Opens one that is offline, and has it belong to us with ADOPT, whoever had it. Where that fails it stays offline. */
static int bring_online(struct model *m, struct store *st, bool adopt)
{
        struct stores *s = m->stores;
        const struct store_place at = place_of(s, st->id, st->path, true);
        struct diag why = { 0 };
        struct store_owner owner;
        struct blobstore *bs;
        int ours, r;

        ours = r = store_place_open(m, &at, &why, &bs, &owner);
        if (r >= 0 && (ours || adopt)) {
                r = store_place_make_ours(m, &at, bs, &owner, &why);
                if (r < 0)
                        blobstore_close(bs);
        }
        if (r == -ENOMEM)
                return r;
        if (r < 0)
                return store_list_set_trouble(&s->list, st, why.text);
        store_list_set_online(&s->list, st, bs, ours || adopt);
        return 0;
}

/* Gives the id of the row with PATH, which is made where there is none. */
static int ensure_row(struct db_txn *t, const char *path, uint64_t *ret)
{
        int64_t id;
        int r;

        r = db_int(t, stores_sql[FIND], &id, DB_TEXT(path));
        if (r == -ENOENT) {
                r = db_run(t, stores_sql[INSERT], DB_TEXT(path), DB_INT(clock_now_us()));
                id = (int64_t)db_last_id(t);
        }
        if (r < 0)
                return r;
        *ret = (uint64_t)id;
        return 0;
}

static int insert_row(struct model *m, const char *path, uint64_t *ret)
{
        DB_TXN(t);
        uint64_t id;
        int r;

        r = db_begin(m->db, DB_WRITE, &t);
        if (r < 0)
                return r;
        r = ensure_row(&t, path, &id);
        if (r == 0)
                r = db_commit(&t);
        if (r < 0)
                return r;
        *ret = id;
        return 0;
}

/* Takes ownership of BS on success. */
static int insert(struct model *m, const char *path, struct blobstore *bs, bool ours, uint64_t *ret)
{
        int r;

        r = insert_row(m, path, ret);
        return r < 0 ? r : store_list_append(&m->stores->list, *ret, path, bs, ours);
}

/* ---- at start ---- */

static int forget_unused(struct model *m)
{
        DB_TXN(t);
        int r;

        r = db_begin(m->db, DB_WRITE, &t);
        if (r == 0)
                r = db_run(&t, stores_sql[FORGET]);
        return r < 0 ? r : db_commit(&t);
}

static int append_row(void *ctx, const struct db_row *row)
{
        return store_list_append(ctx, (uint64_t)db_row_int(row, 0), db_row_str(row, 1), NULL, false);
}

static int load_rows(struct model *m)
{
        DB_TXN(t);
        int r;

        r = db_begin(m->db, DB_READ, &t);
        return r < 0 ? r : db_each(&t, stores_sql[LIST], append_row, &m->stores->list);
}

/* The library is new, or its catalogue is: what lies in its place may be the store of the one before. */
static int make_own(struct model *m, struct diag *diag)
{
        struct stores *s = m->stores;
        const struct store_place at = place_of(s, 0, "", false);
        struct store_owner owner;
        struct blobstore *bs;
        uint64_t id;
        int ours, r;

        ours = r = store_place_open(m, &at, diag, &bs, &owner);
        if (r < 0)
                return r;
        if (ours)
                r = store_place_make_ours(m, &at, bs, &owner, diag);
        if (r >= 0)
                r = insert(m, "", bs, ours, &id);
        if (r < 0)
                blobstore_close(bs);
        return r;
}

static int open_all(struct model *m, struct diag *diag)
{
        struct stores *s = m->stores;
        struct store *st = NULL;
        int r;

        r = m->read_only ? 0 : forget_unused(m);
        if (r == 0)
                r = load_rows(m);
        while (r == 0 && (st = store_list_next(&s->list, st, false)))
                r = bring_online(m, st, false);
        if (r == 0 && !m->read_only && !store_list_find_path(&s->list, ""))
                r = make_own(m, diag);
        return r;
}

int stores_open(struct model *m, const struct blobstore_caches *caches, struct kept *kept, struct diag *diag)
{
        struct stores *s;
        int r;

        s = calloc(1, sizeof(*s));
        if (!s)
                return -ENOMEM;
        if (pthread_mutex_init(&s->add_lock, NULL) != 0)
                abort();
        store_list_init(&s->list);
        s->caches = *caches;
        s->kept = kept;
        m->stores = s;
        r = blobstore_ahead_new(&s->caches.ahead);
        if (r == 0)
                r = owner_introduce(m, &s->we);
        return r < 0 ? r : open_all(m, diag);
}

void stores_stop(struct model *m)
{
        struct store *st = NULL;

        while ((st = store_list_next_of_all(&m->stores->list, st)))
                store_list_stop(&m->stores->list, st);
}

void stores_close(struct stores *s)
{
        if (!s)
                return;
        store_list_done(&s->list);
        blobstore_ahead_free(s->caches.ahead);
        (void)pthread_mutex_destroy(&s->add_lock);
        free(s);
}

/* ---- using them ---- */

int stores_get(struct model *m, uint64_t store, struct diag *diag, struct blobstore **ret)
{
        struct store *st = store_list_find(&m->stores->list, store);
        struct blobstore *bs;
        DB_TXN(t);
        int r;

        if (!st)
                return -ENOENT;
        bs = store_list_bs(&m->stores->list, st);
        if (bs && (!m->hang || !st->path[0] || store_ask(&st->ask, bs) == 0)) {
                *ret = bs;
                return 0;
        }
        r = db_begin(m->db, DB_READ, &t);
        if (r == 0)
                r = stores_refuse_offline(m, &t, store, diag);
        db_end(&t);
        return r < 0 ? r : stores_get(m, store, diag, ret); /* it has just come back */
}

bool stores_are_ours(struct model *m, uint64_t store)
{
        const struct store *st = store_list_find(&m->stores->list, store);

        return st && store_list_ours(&m->stores->list, st);
}

bool stores_are_with_library(struct model *m, uint64_t store)
{
        const struct store *st = store_list_find(&m->stores->list, store);

        return st && (!st->path[0] || store_path_is_far(st->path));
}

int stores_get_path(struct model *m, uint64_t store, char *buf, size_t size)
{
        const struct store *st = store_list_find(&m->stores->list, store);

        return st ? store_path_complete(m, st->path, buf, size) : -ENOENT;
}

int stores_each(struct model *m, stores_fn *fn, void *ctx)
{
        struct store *st = NULL;

        /* One that is online stays so. */
        while ((st = store_list_next(&m->stores->list, st, true))) {
                int r = fn(ctx, st->id, st->bs);

                if (r < 0)
                        return r;
        }
        return 0;
}

int stores_hold(struct model *m, char *buf, size_t size)
{
        struct store *st = NULL;

        while ((st = store_list_next(&m->stores->list, st, true))) {
                int r = blobstore_hold(st->bs);

                if (r < 0) {
                        (void)snprintf(buf, size, "%s", st->path);
                        return r;
                }
        }
        return 0;
}

size_t stores_count(struct model *m)
{
        struct store *st = NULL;
        size_t n = 0;

        while ((st = store_list_next(&m->stores->list, st, true)))
                n++;
        return n;
}

int stores_own(struct model *m, uint64_t *ret, int64_t *ret_changed_us)
{
        int64_t id, changed;
        DB_TXN(t);
        int r;

        r = db_begin(m->db, DB_READ, &t);
        if (r == 0)
                r = db_int(&t, stores_sql[FIND], &id, DB_TEXT(""));
        if (r == 0)
                r = db_int(&t, stores_sql[CHANGED], &changed);
        if (r < 0)
                return r;
        *ret = (uint64_t)id;
        *ret_changed_us = changed;
        return 0;
}

bool stores_are_degraded(struct stores *s)
{
        struct store *st = NULL;

        while ((st = store_list_next(&s->list, st, true))) {
                if (blobstore_is_degraded(st->bs))
                        return true;
        }
        return false;
}

/* ---- another one, or one that is back ---- */

/* Of one that is in the list; it is online then, and ours with ADOPT. The lock for adding is held. */
static int take_back(struct model *m, struct store *st, bool adopt, struct diag *diag)
{
        const struct store_place at = place_of(m->stores, st->id, st->path, true);
        const struct store_owner nobody = { 0 };
        int r = 0;

        if (!st->bs) /* which only changes under that lock */
                return bring_online(m, st, adopt);
        if (adopt && !st->ours)
                r = store_place_make_ours(m, &at, st->bs, &nobody, diag);
        if (r == 0 && adopt)
                store_list_set_ours(&m->stores->list, st);
        return r;
}

int stores_take_back(struct model *m, uint64_t store, bool adopt, struct diag *diag)
{
        struct store *st = store_list_find(&m->stores->list, store);
        struct blobstore *bs;
        int r;

        if (!st)
                return -ENOENT;
        {
                LOCK_SCOPE(&m->stores->add_lock);
                r = take_back(m, st, adopt, diag);
        }
        return r < 0 ? r : stores_get(m, store, diag, &bs);
}

/* "s3://bucket/prefix": what may come behind it says how to get there. */
static bool is_same_part(const char *a, const char *b)
{
        const size_t n = strcspn(a, " ");

        return store_path_is_far(a) && n == strcspn(b, " ") && memcmp(a, b, n) == 0;
}

static int note_path(struct model *m, struct store *st, const char *path)
{
        char *copy;
        int r;
        DB_TXN(t);

        copy = strdup(path);
        r = copy ? db_begin(m->db, DB_WRITE, &t) : -ENOMEM;
        if (r == 0)
                r = db_run(&t, stores_sql[MOVE], DB_INT(st->id), DB_TEXT(path), DB_INT(clock_now_us()));
        if (r >= 0)
                r = db_commit(&t);
        if (r == 0)
                return store_list_set_path(&m->stores->list, st, copy);
        free(copy);
        return r;
}

int stores_move(struct model *m, uint64_t store, const char *path, struct diag *diag)
{
        struct store *st = store_list_find(&m->stores->list, store);
        CLEANUP_STRBUF struct strbuf why = { 0 };
        char clean[PATH_MAX];
        int r;

        if (!st || !store_path_is_far(path) || !store_path_is_far(st->path) || store_path_check(m, path, clean, NULL) < 0 ||
            !is_same_part(st->path, clean) || strcmp(st->path, clean) == 0)
                return 0;
        LOCK_SCOPE(&m->stores->add_lock);
        r = store_place_link(m, st->bs, st->path, clean, diag);
        if (r == 0 && st->bs)
                r = blobstore_move_far(st->bs, clean, &why);
        if (r == 0)
                r = note_path(m, st, clean);
        if (r == 0)
                r = take_back(m, st, false, diag);
        return r < 0 ? r : 1;
}

int stores_find(struct model *m, const char *path, struct diag *diag, uint64_t *ret)
{
        const struct store *st;
        char clean[PATH_MAX];
        int r;

        r = store_path_check(m, path, clean, diag);
        if (r < 0)
                return r;
        st = store_list_find_path(&m->stores->list, clean);
        if (!st)
                return -ENOENT;
        *ret = st->id;
        return 0;
}

/* At PATH, which the library does not know. */
static int add_new(struct model *m, const char *path, bool adopt, struct diag *diag, uint64_t *ret)
{
        const struct store_place at = place_of(m->stores, 0, path, false);
        struct store_owner owner;
        struct blobstore *bs;
        int r;

        r = store_place_open(m, &at, diag, &bs, &owner);
        if (r < 0)
                /* Of a path that somebody wrote. */
                return r == -EUCLEAN || r == -EPROTONOSUPPORT || r == -ESTALE ? -EINVAL : r;
        if (r == 0 && !adopt)
                r = owner_refuse(path, &owner, diag);
        else
                r = store_place_make_ours(m, &at, bs, &owner, diag);
        if (r == 0)
                r = insert(m, path, bs, true, ret);
        if (r < 0)
                blobstore_close(bs);
        return r;
}

int stores_add(struct model *m, const char *path, bool adopt, struct diag *diag, uint64_t *ret)
{
        struct stores *s = m->stores;
        const struct store *st;
        char clean[PATH_MAX];
        uint64_t id;
        int r;

        r = store_path_check(m, path, clean, diag);
        if (r < 0)
                return r;
        {
                LOCK_SCOPE(&s->add_lock);

                st = store_list_find_path(&s->list, clean);
                if (!st)
                        return add_new(m, clean, adopt, diag, ret);
                id = st->id;
        }
        r = stores_take_back(m, id, adopt, diag);
        if (r == 0)
                *ret = id;
        return r;
}

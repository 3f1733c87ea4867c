/* SPDX-License-Identifier: MIT */

/*
 * The blob stores that the library uses: its own in DIR/blobs (path '' in the database, so that the library can be
 * moved), and those that the administrator gave to regions. All are opened when the library is: one that cannot be
 * reached fails the start, since its images would otherwise look damaged. A store that no region refers to any more, no
 * blob and no disk that is still to be removed, is forgotten at the next start.
 *
 * A store belongs to one library: see owner.c.
 *
 * The list only grows while the library is open, and what it points to stays, so the lock covers the list alone.
 * Stores are added one at a time, under another lock that is held while the store is opened.
 */

#include "model/core/stores.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "blobstore/base/cleanup.h"
#include "blobstore/base/lock.h"
#include "model/core/clock.h"
#include "model/core/owner.h"
#include "model/core/private.h"

#define STORES_MAX 64

enum { LIST, FIND, INSERT, FORGET, CHANGED };

static const char *const stores_sql[] = {
        [LIST] = "SELECT id, path FROM store ORDER BY id",
        [FIND] = "SELECT id FROM store WHERE path = ?1",
        [INSERT] = "INSERT INTO store (path, changed) VALUES (?1, ?2)",
        [FORGET] = "DELETE FROM store WHERE path <> '' "
                   "AND NOT EXISTS (SELECT 1 FROM region WHERE region.store = store.id) "
                   "AND NOT EXISTS (SELECT 1 FROM blob WHERE blob.store = store.id) "
                   "AND NOT EXISTS (SELECT 1 FROM trash WHERE trash.store = store.id)",
        [CHANGED] = "SELECT max(changed) FROM store",
};
const struct db_statements stores_statements = DB_STATEMENTS(stores_sql);

struct store {
        uint64_t id;
        char *path; /* as in the database */
        struct blobstore *bs;
        bool ours;
};

struct stores {
        uint64_t cache_bytes;
        struct store_owner we; /* as stores are told of it; constant */
        pthread_mutex_t add_lock; /* one stores_add() at a time; before lock and any transaction */
        pthread_mutex_t lock; /* of the list */
        struct store list[STORES_MAX];
        size_t n;
};

int stores_path(struct model *m, const char *path, char *buf, size_t size)
{
        int n;

        if (path[0])
                n = snprintf(buf, size, "%s", path);
        else
                n = snprintf(buf, size, "%s/" STORES_OWN_DIR, m->dir);
        return n < 0 || (size_t)n >= size ? -ENAMETOOLONG : 0;
}

static int open_failed(int r, const char *dir, struct diag *diag)
{
        switch (r) {
        case -EBUSY:
                return diag_set(diag, r, "%s: another program has this blob store open", dir);
        case -EUCLEAN:
                return diag_set(diag, r, "%s: not empty and not a blob store, or damaged: choose an empty directory",
                                dir);
        case -EPROTONOSUPPORT:
                return diag_set(diag, r, "%s: this blob store was made by another version of imagefs: use that one",
                                dir);
        case -ESTALE:
                return diag_set(diag, r, "%s: this blob store was made by an older version of imagefs: mount the library "
                                "once, which brings it up to date", dir);
        case -ENOENT:
                return diag_set(diag, r, "%s: no such directory: make it, or mount what belongs there", dir);
        }
        return diag_set(diag, r, "%s: the blob store cannot be opened: %s", dir, strerror(-r));
}

/* Is the directory missing or empty? */
static bool nothing_is_there(const char *path)
{
        DIR *d = opendir(path);
        const struct dirent *e;
        size_t n = 0;

        if (!d)
                return errno == ENOENT;
        while ((e = readdir(d)))
                n += strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0;
        (void)closedir(d);
        return n == 0;
}

/* KNOWN: it has been opened before. With nothing there its disk is not mounted, and this no place for a new store. */
static int open_store(struct model *m, struct stores *s, const char *path, bool known, struct diag *diag,
                      struct blobstore **ret)
{
        struct blobstore_opts opts = { .read_only = m->read_only, .cache_bytes = s->cache_bytes };
        char dir[PATH_MAX];
        int r;

        r = stores_path(m, path, dir, sizeof(dir));
        if (r == 0 && known && nothing_is_there(dir))
                r = -ENOENT;
        if (r == 0)
                r = blobstore_open(dir, &opts, ret);
        return r < 0 ? open_failed(r, dir, diag) : 0;
}

/* A directory that holds a blob store holds nothing else, whoever made it: it is for nobody else to enter. */
static void close_to_others(const char *dir)
{
        CLEANUP_CLOSE int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

        if (fd < 0)
                return;
        private_entries(fd);
        (void)fchmod(fd, S_IRWXU); /* not ours: as private_entries() */
}

/* The store is this library's, if it was not. OWNER: what owner_find() gave. One that is refused is not touched. */
static int make_ours(struct model *m, struct stores *s, const char *path, struct blobstore *bs,
                     const struct store_owner *owner)
{
        char dir[PATH_MAX];
        int r;

        if (m->read_only)
                return 0;
        r = owner_take_over(&s->we, bs, owner);
        if (r == 0)
                r = stores_path(m, path, dir, sizeof(dir));
        if (r == 0)
                close_to_others(dir);
        return r;
}


/* Takes ownership of BS on success. */
static int add_to_list(struct stores *s, uint64_t id, const char *path, struct blobstore *bs, bool ours)
{
        char *copy = strdup(path);

        if (!copy)
                return -ENOMEM;
        LOCK_SCOPE(&s->lock);
        s->list[s->n++] = (struct store){ .id = id, .path = copy, .bs = bs, .ours = ours };
        return 0;
}

/* ---- at start ---- */

struct rows {
        struct {
                uint64_t id;
                char *path;
        } row[STORES_MAX];
        size_t n;
};

static void rows_done(struct rows *rows)
{
        for (size_t i = 0; i < rows->n; i++)
                free(rows->row[i].path);
}

static int collect_row(void *ctx, const struct db_row *row)
{
        struct rows *rows = ctx;

        if (rows->n == STORES_MAX)
                return -E2BIG;
        rows->row[rows->n].path = strdup(db_row_str(row, 1));
        if (!rows->row[rows->n].path)
                return -ENOMEM;
        rows->row[rows->n++].id = (uint64_t)db_row_int(row, 0);
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

static int tidy_rows(struct model *m)
{
        DB_TXN(t);
        uint64_t own;
        int r;

        r = db_begin(m->db, DB_WRITE, &t);
        if (r < 0)
                return r;
        r = ensure_row(&t, "", &own);
        if (r == 0)
                r = db_run(&t, stores_sql[FORGET]);
        return r < 0 ? r : db_commit(&t);
}

static int load_rows(struct model *m, struct rows *rows)
{
        DB_TXN(t);
        int r;

        r = db_begin(m->db, DB_READ, &t);
        return r < 0 ? r : db_each(&t, stores_sql[LIST], collect_row, rows);
}

static int open_all(struct model *m, struct stores *s, struct diag *diag)
{
        CLEANUP(rows_done) struct rows rows = { 0 };
        int r;

        r = m->read_only ? 0 : tidy_rows(m);
        if (r == 0)
                r = load_rows(m, &rows);
        for (size_t i = 0; r == 0 && i < rows.n; i++) {
                struct blobstore *bs = NULL;
                struct store_owner owner;
                int ours = 0;

                r = open_store(m, s, rows.row[i].path, rows.row[i].path[0] != '\0', diag, &bs);
                if (r == 0)
                        r = ours = owner_find(m, &s->we, rows.row[i].id, bs, &owner);
                if (r > 0)
                        r = make_ours(m, s, rows.row[i].path, bs, &owner);
                if (r == 0)
                        r = add_to_list(s, rows.row[i].id, rows.row[i].path, bs, ours > 0);
                if (r < 0)
                        blobstore_close(bs);
        }
        return r;
}

DEFINE_CLEANUP(struct stores *, cleanup_stores, stores_close)

int stores_open(struct model *m, uint64_t cache_bytes, struct diag *diag, struct stores **ret)
{
        CLEANUP(cleanup_stores) struct stores *s = NULL;
        int r;

        s = calloc(1, sizeof(*s));
        if (!s)
                return -ENOMEM;
        if (pthread_mutex_init(&s->add_lock, NULL) != 0 || pthread_mutex_init(&s->lock, NULL) != 0)
                abort();
        s->cache_bytes = cache_bytes;
        r = owner_introduce(m, &s->we);
        if (r < 0)
                return r;
        r = open_all(m, s, diag);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(s);
        return 0;
}

void stores_close(struct stores *s)
{
        if (!s)
                return;
        for (size_t i = 0; i < s->n; i++) {
                blobstore_close(s->list[i].bs);
                free(s->list[i].path);
        }
        (void)pthread_mutex_destroy(&s->lock);
        (void)pthread_mutex_destroy(&s->add_lock);
        free(s);
}

/* ---- using them ---- */

int stores_get(struct model *m, uint64_t store, struct blobstore **ret)
{
        struct stores *s = m->stores;

        LOCK_SCOPE(&s->lock);
        for (size_t i = 0; i < s->n; i++) {
                if (s->list[i].id == store) {
                        *ret = s->list[i].bs;
                        return 0;
                }
        }
        return -ENOENT;
}

bool stores_are_ours(struct model *m, uint64_t store)
{
        struct stores *s = m->stores;

        LOCK_SCOPE(&s->lock);
        for (size_t i = 0; i < s->n; i++) {
                if (s->list[i].id == store)
                        return s->list[i].ours;
        }
        return false;
}

int stores_get_path(struct model *m, uint64_t store, char *buf, size_t size)
{
        struct stores *s = m->stores;

        LOCK_SCOPE(&s->lock);
        for (size_t i = 0; i < s->n; i++) {
                if (s->list[i].id == store)
                        return stores_path(m, s->list[i].path, buf, size);
        }
        return -ENOENT;
}

int stores_each(struct model *m, stores_fn *fn, void *ctx)
{
        struct stores *s = m->stores;
        size_t n;

        lock(&s->lock);
        n = s->n;
        unlock(&s->lock);

        /* Entries below N do not change any more. */
        for (size_t i = 0; i < n; i++) {
                int r = fn(ctx, s->list[i].id, s->list[i].bs);

                if (r < 0)
                        return r;
        }
        return 0;
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
        LOCK_SCOPE(&s->lock);
        for (size_t i = 0; i < s->n; i++) {
                if (blobstore_is_degraded(s->list[i].bs))
                        return true;
        }
        return false;
}

/* ---- another one ---- */

/* Is PATH the directory DIR or below it? Both absolute and without links. */
static bool is_within(const char *path, const char *dir)
{
        size_t n = strlen(dir);

        while (n > 0 && dir[n - 1] == '/')
                n--;
        return strncmp(path, dir, n) == 0 && (path[n] == '/' || path[n] == '\0');
}

/* The path without links, of a directory that exists or could be made in one that does. */
static int canonical_path(const char *path, char *buf)
{
        CLEANUP_FREE char *parent = NULL;
        const char *slash;
        size_t n;

        if (realpath(path, buf))
                return 0;
        if (errno != ENOENT)
                return -errno;

        slash = strrchr(path, '/');
        if (!slash[1] || strcmp(slash, "/.") == 0 || strcmp(slash, "/..") == 0)
                return -ENOENT;
        parent = strndup(path, slash > path ? (size_t)(slash - path) : 1);
        if (!parent)
                return -ENOMEM;
        if (!realpath(parent, buf))
                return -errno;
        n = strlen(buf);
        if (snprintf(buf + n, PATH_MAX - n, "%s%s", n > 1 ? "/" : "", slash + 1) >= (int)(PATH_MAX - n))
                return -ENAMETOOLONG;
        return 0;
}

/* The path as it goes into the database. */
static int check_path(struct model *m, const char *path, char *buf, struct diag *diag)
{
        char own[PATH_MAX];
        int r;

        if (path[0] != '/' || strlen(path) >= PATH_MAX || !text_is_clean(path, strlen(path)))
                return diag_set(diag, -EINVAL, "store: write the absolute path of a directory");
        /* Before anything below it is looked up, which would ask this very file system, and wait for itself. */
        if (m->mountpoint && is_within(path, m->mountpoint))
                return diag_set(diag, -EINVAL, "store: %s lies in the mounted library itself", path);
        r = canonical_path(path, buf);
        if (r < 0)
                return diag_set(diag, r, "%s: %s: make the directory first", path, strerror(-r));
        if (m->mountpoint && is_within(buf, m->mountpoint))
                return diag_set(diag, -EINVAL, "store: %s lies in the mounted library itself", path);

        r = stores_path(m, "", own, sizeof(own));
        if (r < 0)
                return r;
        if (strcmp(buf, own) == 0)
                buf[0] = '\0';
        else if (is_within(buf, m->dir) || is_within(m->dir, buf))
                return diag_set(diag, -EINVAL, "store: %s holds the library or lies in it: choose another directory",
                                buf);
        return 0;
}

static int find_in_list(struct stores *s, const char *path, uint64_t *ret)
{
        LOCK_SCOPE(&s->lock);
        for (size_t i = 0; i < s->n; i++) {
                if (strcmp(s->list[i].path, path) == 0) {
                        *ret = s->list[i].id;
                        return 0;
                }
        }
        return s->n < STORES_MAX ? -ENOENT : -E2BIG;
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

/* One that is in the list becomes ours; or is so already. */
static int adopt_listed(struct model *m, const char *path, uint64_t id)
{
        const struct store_owner nobody = { 0 };
        struct stores *s = m->stores;
        struct blobstore *bs;
        int r;

        r = stores_get(m, id, &bs);
        if (r == 0 && !stores_are_ours(m, id))
                r = make_ours(m, s, path, bs, &nobody);
        if (r < 0)
                return r;
        LOCK_SCOPE(&s->lock);
        for (size_t i = 0; i < s->n; i++)
                s->list[i].ours |= s->list[i].id == id;
        return 0;
}

int stores_find(struct model *m, const char *path, struct diag *diag, uint64_t *ret)
{
        char clean[PATH_MAX];
        int r;

        r = check_path(m, path, clean, diag);
        return r < 0 ? r : find_in_list(m->stores, clean, ret);
}

int stores_add(struct model *m, const char *path, bool adopt, struct diag *diag, uint64_t *ret)
{
        struct stores *s = m->stores;
        struct store_owner owner;
        struct blobstore *bs;
        char clean[PATH_MAX];
        uint64_t id = 0;
        int r;

        r = check_path(m, path, clean, diag);
        if (r < 0)
                return r;

        LOCK_SCOPE(&s->add_lock);
        r = find_in_list(s, clean, &id);
        if (r == 0 && adopt)
                r = adopt_listed(m, clean, id);
        if (r == 0) {
                *ret = id;
                return 0;
        }
        if (r == -E2BIG)
                return diag_set(diag, -EINVAL, "the library has %d blob stores already, as many as it may", STORES_MAX);
        if (r != -ENOENT)
                return r;

        r = open_store(m, s, clean, false, diag, &bs);
        if (r < 0)
                return r == -EUCLEAN || r == -EPROTONOSUPPORT ? -EINVAL : r; /* of a path that somebody wrote */
        r = owner_find(m, &s->we, 0, bs, &owner);
        if (r == 0 && !adopt)
                r = owner_refuse(clean, &owner, diag);
        else if (r >= 0)
                r = make_ours(m, s, clean, bs, &owner);
        if (r == 0)
                r = insert_row(m, clean, &id);
        if (r == 0)
                r = add_to_list(s, id, clean, bs, true);
        if (r < 0) {
                blobstore_close(bs);
                return r;
        }
        *ret = id;
        return 0;
}

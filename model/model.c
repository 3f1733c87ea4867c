/* SPDX-License-Identifier: MIT */

/*
 * Opening and closing a library. The order at start: the lock, the database, the stores, what uploads and disks a crash
 * left, and then the workers, which take up the tasks that were running.
 */

#include "model/model.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "model/address.h"
#include "model/core/catalogue.h"
#include "model/core/jobs.h"
#include "model/core/left_down.h"
#include "model/core/news.h"
#include "model/core/place.h"
#include "model/core/refusal.h"
#include "model/core/secret.h"
#include "model/core/store_hang.h"
#include "model/core/stores.h"
#include "model/core/text.h"
#include "model/core/turns.h"
#include "model/core/user_name.h"
#include "model/home.h"
#include "model/image/download_row.h"
#include "model/image/guest.h"
#include "model/image/guest_turns.h"
#include "model/image/inside_row.h"
#include "model/image/listing_cache.h"
#include "model/intake/fetch_task.h"
#include "model/intake/follow_row.h"
#include "model/intake/follow_task.h"
#include "model/intake/brief.h"
#include "model/intake/uploads.h"
#include "model/machine/volume_gate.h"
#include "model/machine/volume_row.h"
#include "model/statements.h"
#include "model/succession.h"
#include "model/work/history.h"
#include "model/work/outlooks.h"
#include "model/work/runner.h"

#define DEFAULT_WORKERS 2

/* Who uploads a disk that keeps its reader busy waits for it, and has none looked into for a hundred times as long. */
#define LOOK_STUCK_US INT64_C(2000000)
/* So long a program that has a guest's files open waits for the next question: they take milliseconds to begin. */
#define GUEST_IDLE_MS 2000
#define LOOK_NONE_US  INT64_C(500000000)

/* ---- opening ---- */

static int set_mountpoint(struct model *m, const char *path, struct diag *diag)
{
        char real[PATH_MAX];
        size_t n;

        if (!path)
                return 0;
        m->mountpoint = strdup(realpath(path, real) ? real : path); /* what a crash left mounted has no real path */
        if (!m->mountpoint)
                return -ENOMEM;
        n = strlen(m->mountpoint);
        if (strncmp(m->dir, m->mountpoint, n) == 0 && (m->dir[n] == '/' || m->dir[n] == '\0'))
                return diag_set(diag, -EINVAL, "%s: the library cannot lie in its own mount point %s", m->dir, path);
        return 0;
}

#define STATEMENTS_POINTER(stem) &stem##_statements,
static const struct db_statements *const statements[] = { STATEMENT_TABLES(STATEMENTS_POINTER) NULL };

/* What helps where there is a file, but not the catalogue. */
#define RESTORE ": \"imagefs check %s --restore-catalogue\" brings back the newest copy that there is"

static int open_far(struct model *m, const struct model_opts *opts, struct diag *diag)
{
        char trouble[256] = "", name[HOST_NAME_MAX + 1] = "", here[HOME_HERE_MAX];
        const struct db_host host = { .name = name, .directory = m->dir, .here = here, .version = IMAGEFS_VERSION,
                                      .lease_ms = (unsigned)opts->lease_seconds * 1000, .wait = opts->wait,
                                      .wait_ctx = opts->listener_ctx };
        const struct db_opts how = { .read_only = m->read_only, .tables = statements, .url = m->catalogue,
                                     .make = opts->make, .host = &host, .trouble = trouble,
                                     .trouble_size = sizeof(trouble) };
        int r;

        (void)gethostname(name, sizeof(name) - 1); /* cannot fail with that size */
        home_here(m, here, sizeof(here));
        r = db_open(m->dir_fd, &how, &m->db);
        if (r < 0)
                return address_refuse(m->catalogue, r, trouble, diag);
        return opts->make ? address_keep(m) : 0;
}

static int open_near(struct model *m, struct diag *diag)
{
        const struct db_opts opts = { .read_only = m->read_only, .tables = statements };
        int r;

        r = db_open(m->dir_fd, &opts, &m->db);
        switch (r) {
        case 0:
                return 0;
        case -EUCLEAN:
                return diag_set(diag, r, "%s/" DB_FILE ": not the database of a library" RESTORE, m->dir, m->dir);
        case -EPROTONOSUPPORT:
                return diag_set(diag, r, "%s/" DB_FILE ": made by another version of imagefs: use that one", m->dir);
        case -ESTALE:
                return diag_set(diag, r, "%s/" DB_FILE ": made by an earlier version of imagefs: mount the library "
                                         "once, which brings it up to date", m->dir);
        case -EBADMSG:
                return diag_set(diag, r, "%s/" DB_FILE ": damaged" RESTORE, m->dir, m->dir);
        case -EBUSY:
                return diag_set(diag, r, "%s/" DB_FILE ": another program has it open: close that first", m->dir);
        }
        return diag_set(diag, r, "%s/" DB_FILE ": cannot be opened: %s", m->dir, strerror(-r));
}

static int open_db(struct model *m, const struct model_opts *opts, struct diag *diag)
{
        int r;

        if (!opts->make) {
                r = address_read(m, diag);
                if (r < 0)
                        return r;
        } else if (opts->catalogue) {
                r = address_check(opts->catalogue, diag);
                if (r < 0)
                        return r;
                m->catalogue = strdup(opts->catalogue);
                if (!m->catalogue)
                        return -ENOMEM;
        }
        return m->catalogue ? open_far(m, opts, diag) : open_near(m, diag);
}

static int open_secret(struct model *m, struct diag *diag)
{
        int r = secret_open(m);

        if (r == -EUCLEAN)
                return diag_set(diag, r, "%s/" SECRET_FILE ": not the key of a library: bring it back from a "
                                         "backup, or remove it, which ends all addresses of downloads", m->dir);
        return r > 0 ? download_end_all(m) : r;
}

/* What comes in, what is open, what is under way. */
static int open_for_use(struct model *m)
{
        int r;

        r = briefs_new(&m->briefs);
        if (r == 0)
                r = uploads_open(m, &m->uploads);
        m->image_hooks = &uploads_hooks;
        m->hand_follow = follow_hand;
        if (r == 0)
                r = volumes_open(&m->volumes);
        if (r == 0)
                r = jobs_new(&m->jobs);
        if (r == 0)
                r = store_hang_new(&m->hang);
        return r;
}

static int begin_work(struct model *m, const struct model_opts *opts)
{
        int r;

        r = opts->goes_on ? 0 : uploads_recover(m, false);
        if (r == 0)
                r = fetch_recover(m);
        if (r == 0)
                r = follow_recover(m);
        if (r == 0)
                r = volumes_recover(m);
        if (r == 0)
                r = runner_start(m, opts->workers ? opts->workers : DEFAULT_WORKERS, opts->tidy_seconds * 1000000,
                                 &m->runner);
        return r;
}

DEFINE_CLEANUP(struct model *, cleanup_model, model_close)

int model_open(const char *dir, const struct model_opts *opts, struct diag *diag, struct model **ret)
{
        CLEANUP(cleanup_model) struct model *m = NULL;
        int r;

        m = calloc(1, sizeof(*m));
        if (!m)
                return -ENOMEM;
        home_init(m);
        m->read_only = opts->read_only;
        m->import_private = opts->import_private;
        m->followed = opts->followed;
        m->listener = opts->listener;
        m->listener_ctx = opts->listener_ctx;
        m->ended = opts->ended;
        m->notice = opts->notice;
        m->progress = opts->progress;
        m->remake = opts->remake;

        r = home_open(m, dir, opts->make ? HOME_MAKE : HOME_USE, diag);
        if (r == 0)
                r = set_mountpoint(m, opts->mountpoint, diag);
        if (r == 0)
                r = open_db(m, opts, diag);
        if (r == 0)
                db_set_committed(m->db, opts->committed, opts->listener_ctx);
        if (r == 0)
                r = open_secret(m, diag);
        if (r == 0)
                r = refusals_new(&m->refusals);
        if (r == 0)
                r = texts_new(m->dir_fd, &m->texts);
        if (r == 0)
                r = turns_new(&m->turns);
        if (r == 0)
                r = user_names_new(USER_NAMES_ALL, &m->user_names);
        if (r == 0)
                r = user_names_new(USER_NAMES_OF_ONE_USER, &m->user_numbers);
        if (r == 0)
                r = listings_new(&m->listings);
        if (r == 0)
                r = insides_new(&m->insides);
        if (r == 0)
                r = guests_new(GUEST_IDLE_MS, &m->guests);
        if (r == 0)
                r = guest_turns_new(LOOK_STUCK_US, LOOK_NONE_US, &m->guest_turns);
        if (r == 0)
                r = outlooks_new(&m->outlooks);
        if (r == 0)
                r = history_new(&m->history);
        if (r == 0)
                r = place_open(m);
        if (r == 0)
                r = succession_begin(m, &opts->caches);
        if (r == 0)
                r = stores_open(m, &opts->caches, opts->kept, diag);
        if (r == 0 && !opts->idle && !m->read_only)
                left_down_recall(m);
        if (r == 0 && !opts->idle)
                r = open_for_use(m);
        if (r == 0 && !opts->idle && !m->read_only)
                r = begin_work(m, opts);
        if (r < 0)
                return diag_set(diag, r, "%s: the library cannot be opened: %s", dir, strerror(-r));
        *ret = TAKE_PTR(m);
        return 0;
}

/* What it has of that library is made when it is mounted. */
static int join(struct model *m, struct diag *diag)
{
        static const struct db_statements *const none[] = { NULL };
        char trouble[256] = "";
        const struct db_opts opts = { .read_only = true, .tables = none, .url = m->catalogue, .trouble = trouble,
                                      .trouble_size = sizeof(trouble) };
        int r;

        r = db_open(m->dir_fd, &opts, &m->db);
        db_close(TAKE_PTR(m->db));
        return r < 0 ? address_refuse(m->catalogue, r, trouble, diag) : address_keep(m);
}

int model_join(const char *dir, const char *catalogue, struct diag *diag)
{
        struct model m = { 0 };
        int r;

        r = address_check(catalogue, diag);
        if (r < 0)
                return r;
        home_init(&m);
        r = home_open(&m, dir, HOME_MAKE, diag);
        if (r == 0)
                r = (m.catalogue = strdup(catalogue)) ? join(&m, diag) : -ENOMEM;
        home_close(&m);
        return r;
}

int model_went_on(struct model *m)
{
        return m->runner ? uploads_recover(m, true) : 0;
}

void model_leave(struct model *m)
{
        m->left = true;
        db_leave(m->db);
}

int model_hold(const struct model *m, char *why, size_t size)
{
        int r = home_hold(m);

        if (r == 0 && !db_is_lost(m->db))
                return 0;
        if (r < 0 || !db_trouble(m->db, why, size))
                (void)snprintf(why, size, "its lock is lost, and another host may have it: %s", strerror(-r));
        return r < 0 ? r : -EBUSY;
}

void model_stop_waiting(struct model *m)
{
        if (m->jobs)
                jobs_stop(m->jobs); /* first: what fails now has not failed for good */
        if (m->stores)
                stores_stop(m);
}

void model_close(struct model *m)
{
        if (!m)
                return;
        news_stop(m);
        home_closing(m);
        if (m->runner && !m->left)
                uploads_end_waiting(m);
        model_stop_waiting(m);
        runner_stop(m->runner);
        uploads_close(m->uploads);
        briefs_free(m->briefs);
        volumes_close(m->volumes);
        if (m->runner) { /* it came to be a library in use */
                history_end(m);
                if (!m->left) /* a copy takes as long as there is much in it, and who waits for the next process waits */
                        catalogue_close(m);
        }
        store_hang_free(m->hang);
        guests_free(m->guests);
        stores_close(m->stores);
        jobs_free(m->jobs);
        outlooks_free(m->outlooks);
        guest_turns_free(m->guest_turns);
        insides_free(m->insides);
        history_free(m->history);
        listings_free(m->listings);
        user_names_free(m->user_numbers);
        user_names_free(m->user_names);
        turns_free(m->turns);
        texts_free(m->texts);
        refusals_free(m->refusals);
        secret_close(m);
        db_close(m->db);
        home_close(m);
        free(m->mountpoint);
        free(m->left_down);
        free(m);
}

int model_hold_stores(struct model *m, char *buf, size_t size)
{
        return stores_hold(m, buf, size);
}

int model_look_at_stores(struct model *m, int64_t limit_us)
{
        bool changed;
        int r;

        if (!m->hang)
                return 0;
        r = store_hang_look(m->hang, m, limit_us, &changed);
        if (r >= 0 && m->runner && changed)
                runner_reinforce(m->runner, (unsigned)r);
        return r;
}

bool model_is_elsewhere(struct model *m, uint64_t store, unsigned *ret)
{
        return stores_are_elsewhere(m, store, ret);
}

uint64_t model_store_of_object(struct model *m, enum object_kind kind, uint64_t id)
{
        return stores_of_object(m, kind, id);
}

uint64_t model_store_of(struct model *m, const struct blobstore *bs)
{
        return stores_id(m, bs);
}

int model_refuse_offline(struct model *m, uint64_t store, struct diag *diag)
{
        DB_TXN(t);
        int r;

        if (!stores_is_offline(m, store))
                return 0;
        r = db_begin(m->db, DB_READ, &t);
        return r < 0 ? r : stores_refuse_offline(m, &t, store, diag);
}

int model_each_elsewhere(struct model *m, model_elsewhere_fn *fn, void *ctx)
{
        return stores_each_elsewhere(m, fn, ctx);
}

/* ---- statistics ---- */

static int add_stats(void *ctx, uint64_t id, struct blobstore *bs)
{
        struct model_stats *sum = ctx;
        struct blobstore_stats one;
        struct blobstore_reads reads;
        struct block_cache_stats disk;
        int r;

        (void)id;
        r = blobstore_get_stats(bs, &one);
        if (r == -EBADMSG && sum->uncounted)
                return 0;
        if (r < 0)
                return r;
        sum->blobs.logical_bytes += one.logical_bytes;
        sum->blobs.unique_bytes += one.unique_bytes;
        sum->blobs.stored_bytes += one.stored_bytes;
        sum->blobs.blobs += one.blobs;
        sum->blobs.chunks += one.chunks;
        blobstore_get_reads(bs, &reads);
        sum->reads.cache_hits += reads.cache_hits;
        sum->reads.cache_misses += reads.cache_misses;
        blobstore_get_disk_cache(bs, &disk);
        sum->disk_cache.hits += disk.hits;
        sum->disk_cache.damaged += disk.damaged;
        sum->disk_cache.bytes += disk.bytes;
        sum->disk_cache.most += disk.most;
        return 0;
}

/* Of the disk that the library's own store is on; while that is offline, of the one that it would be on. */
static int add_disk(struct model *m, uint64_t own_id, struct model_stats *sum)
{
        struct blobstore *own;
        struct statvfs st;
        int r;

        if (stores_is_offline(m, own_id)) {
                if (fstatvfs(m->dir_fd, &st) < 0)
                        return -errno;
                sum->free_bytes = (uint64_t)st.f_bavail * st.f_frsize;
                sum->disk_bytes = (uint64_t)st.f_blocks * st.f_frsize;
                return 0;
        }
        r = stores_get(m, own_id, NULL, &own);
        if (r == 0)
                r = blobstore_free_bytes(own, &sum->free_bytes);
        if (r == 0)
                r = blobstore_disk_bytes(own, &sum->disk_bytes);
        return r;
}

int model_get_stats(struct model *m, struct model_stats *ret)
{
        struct model_stats stats = { .uncounted = m->read_only };
        uint64_t own_id;
        int r;

        r = stores_own(m, &own_id, &stats.changed_us);
        if (r == 0)
                r = add_disk(m, own_id, &stats);
        if (r == 0)
                r = stores_each(m, add_stats, &stats);
        if (r < 0)
                return r;
        *ret = stats;
        return 0;
}

int model_settle(struct model *m)
{
        return db_settle(m->db);
}

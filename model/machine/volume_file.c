/* SPDX-License-Identifier: MIT */

/*
 * Volumes that are open. One list entry for each, whoever opens it: its disk, once there is one, and how many write to
 * it. That an instance runs because of a writer is known from here alone, so that nothing runs after a crash that does
 * not.
 *
 * Two mutexes. The gate is held by who starts to write, and by who begins something that needs disks as they are, over
 * their transactions; so none of them decides on what the other is about to change. The list's is a leaf, taken
 * under transactions too: looking at the list never waits for a commit. A writer that leaves takes only that one.
 *
 * Who closes a file and goes on must not be told that it is open. But a close(2) comes as a flush, before it returns,
 * and as a release, some time after; and a flush need not be the last. So whoever takes the gate from outside first
 * waits for the releases that are at work, and for a short time for those that a flush has announced.
 *
 * A volume that has no size yet can be opened: that is how truncate(1) gives it one. Its disk comes with the size.
 */

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <time.h>

#include "model/machine/volume_priv.h"

enum { TOUCH, SET_STARTED, NAMES_DISK, TRASH };

static const char *const volume_file_sql[] = {
        [TOUCH] = "UPDATE volume SET updated = max(?2, updated + 1) WHERE id = ?1",
        [SET_STARTED] = "UPDATE instance SET started = 1 WHERE started = 0 "
                        "AND id = (SELECT instance FROM volume WHERE id = ?1)",
        [NAMES_DISK] = "SELECT EXISTS (SELECT 1 FROM volume JOIN region ON region.id = volume.region "
                       "WHERE region.store = ?1 AND volume.key = ?2) "
                       "OR EXISTS (SELECT 1 FROM trash WHERE store = ?1 AND key = ?2)",
        [TRASH] = "INSERT INTO trash (store, key) VALUES (?1, ?2)",
};
const struct db_statements volume_file_statements = DB_STATEMENTS(volume_file_sql);

struct open_volume {
        uint64_t id;
        _Atomic(struct disk *) disk; /* set once, under the list's mutex */
        unsigned users, writers; /* under the list's mutex, as the rest */
        uint64_t instance; /* that its writers make run */
        LIST_ENTRY(open_volume) link;
};

/* How long a flush is waited for to be followed by its release. */
#define RELEASE_WAIT_MS 200

struct volume_file {
        struct model *m;
        struct open_volume *v;
        bool writable;
        atomic_bool resized; /* through this file */
        uint64_t announced; /* the round in which it is among volumes.announced, or 0; under the list's mutex */
};

struct volumes {
        pthread_mutex_t gate;
        pthread_mutex_t mutex;
        pthread_cond_t left; /* of the two counts below, one has become less */
        unsigned announced; /* writers that were flushed, and not released yet; under the mutex, as the rest */
        uint64_t round; /* of announcements: the next one, when those before have been waited for in vain */
        unsigned leaving; /* writers that are being released */
        LIST_HEAD(, open_volume) open;
};

int volumes_open(struct volumes **ret)
{
        struct volumes *vs;

        vs = calloc(1, sizeof(*vs));
        if (!vs)
                return -ENOMEM;
        pthread_mutex_init(&vs->gate, NULL);
        pthread_mutex_init(&vs->mutex, NULL);
        pthread_cond_init(&vs->left, NULL);
        vs->round = 1;
        LIST_INIT(&vs->open);
        *ret = vs;
        return 0;
}

void volumes_close(struct volumes *vs)
{
        struct open_volume *v;

        if (!vs)
                return;
        while ((v = LIST_FIRST(&vs->open))) { /* of files that nobody closed before the end */
                LIST_REMOVE(v, link);
                disk_close(v->disk);
                free(v);
        }
        pthread_cond_destroy(&vs->left);
        pthread_mutex_destroy(&vs->mutex);
        pthread_mutex_destroy(&vs->gate);
        free(vs);
}

/* ---- who leaves ---- */

void volumes_settle(struct model *m)
{
        struct volumes *vs = m->volumes;
        struct timespec until;
        LOCK_SCOPE(&vs->mutex);

        if (vs->announced == 0 && vs->leaving == 0)
                return;
        clock_gettime(CLOCK_MONOTONIC, &until);
        until.tv_nsec += RELEASE_WAIT_MS * 1000000L;
        until.tv_sec += until.tv_nsec / 1000000000L;
        until.tv_nsec %= 1000000000L;
        while (vs->announced > 0) {
                if (pthread_cond_clockwait(&vs->left, &vs->mutex, CLOCK_MONOTONIC, &until) != ETIMEDOUT)
                        continue;
                vs->announced = 0; /* they were not the last ones: nobody waits for them again */
                vs->round++;
        }
        while (vs->leaving > 0)
                pthread_cond_wait(&vs->left, &vs->mutex);
}

pthread_mutex_t *volumes_gate(struct model *m)
{
        volumes_settle(m);
        return &m->volumes->gate;
}

int volume_flush(struct volume_file *f)
{
        struct volumes *vs = f->m->volumes;
        int r = 0;

        if (!f->writable)
                return 0;
        if (f->v->disk)
                r = disk_sync(f->v->disk); /* so that the release has little to do */
        LOCK_SCOPE(&vs->mutex);
        if (f->announced != vs->round) {
                f->announced = vs->round;
                vs->announced++;
        }
        return r;
}

/* The release that was announced, or was not, begins. */
static void leave_begin(struct volume_file *f)
{
        struct volumes *vs = f->m->volumes;
        LOCK_SCOPE(&vs->mutex);

        vs->leaving++;
        if (f->announced == vs->round)
                vs->announced--;
        pthread_cond_broadcast(&vs->left);
}

static void leave_end(struct volumes *vs)
{
        LOCK_SCOPE(&vs->mutex);
        vs->leaving--;
        pthread_cond_broadcast(&vs->left);
}

/* ---- who writes ---- */

bool volume_is_written(struct model *m, uint64_t id, const struct volume_file *file)
{
        const struct open_volume *v;
        LOCK_SCOPE(&m->volumes->mutex);

        LIST_FOREACH(v, &m->volumes->open, link) {
                if (v->id == id)
                        return v->writers > (file && file->writable && file->v == v);
        }
        return false;
}

bool volumes_are_written(struct model *m, uint64_t instance, const struct volume_file *file)
{
        const struct open_volume *v;
        LOCK_SCOPE(&m->volumes->mutex);

        LIST_FOREACH(v, &m->volumes->open, link) {
                if (v->instance == instance && v->writers > (file && file->writable && file->v == v))
                        return true;
        }
        return false;
}

/* ---- opening ---- */

/* The list's entry, one more user. With WRITER, of INSTANCE; *ret_first: it is the first to write to the volume. */
static int join(struct volumes *vs, uint64_t id, bool writer, uint64_t instance, struct open_volume **ret,
                bool *ret_first)
{
        struct open_volume *v;
        LOCK_SCOPE(&vs->mutex);

        LIST_FOREACH(v, &vs->open, link) {
                if (v->id == id)
                        break;
        }
        if (!v) {
                v = calloc(1, sizeof(*v));
                if (!v)
                        return -ENOMEM;
                v->id = id;
                LIST_INSERT_HEAD(&vs->open, v, link);
        }
        v->users++;
        *ret_first = writer && v->writers++ == 0;
        if (*ret_first)
                v->instance = instance;
        *ret = v;
        return 0;
}

/* Gives the instance that has one volume less that is written to, or 0. */
static uint64_t leave(struct volumes *vs, struct open_volume *v, bool writer)
{
        struct disk *unused = NULL;
        uint64_t stopped = 0;

        lock(&vs->mutex);
        if (writer && --v->writers == 0) {
                stopped = v->instance;
                v->instance = 0;
        }
        if (--v->users == 0) {
                LIST_REMOVE(v, link);
                unused = v->disk;
                free(v);
        }
        unlock(&vs->mutex);
        disk_close(unused);
        return stopped;
}

/* Opens the disk where nobody did before, and mends the row of one that had grown when a crash came. */
static int open_disk(struct model *m, struct open_volume *v)
{
        struct volume_disk_ref ref;
        struct blobstore *bs;
        struct volume row;
        struct disk *d;
        int r;

        if (v->disk)
                return 0;
        {
                DB_TXN(t);

                r = db_begin(m->db, DB_READ, &t);
                if (r == 0)
                        r = volume_load_disk(&t, v->id, &ref);
                if (r == 0)
                        r = volume_load(&t, v->id, &row);
                if (r < 0 || !ref.exists)
                        return r;
        }
        r = stores_get(m, ref.store, &bs);
        if (r == 0)
                r = disk_open(bs, &ref.key, &d);
        if (r < 0)
                return r;

        if (disk_get_size(d) > row.size_bytes)
                (void)volume_note_size(m, v->id, disk_get_size(d)); /* the next one tries again */

        lock(&m->volumes->mutex);
        if (!v->disk) {
                v->disk = d;
                d = NULL;
        }
        unlock(&m->volumes->mutex);
        disk_close(d);
        return 0;
}

/* May it be opened for writing now? With the gate held. */
static int check_writer(struct model *m, uint64_t id, uint64_t *ret_instance, struct diag *diag)
{
        struct volume v;
        DB_TXN(t);
        int r;

        r = db_begin(m->db, DB_READ, &t);
        if (r == 0)
                r = volume_load(&t, id, &v);
        if (r == 0)
                r = volume_refuse_busy(&t, &v, diag);
        if (r == 0)
                *ret_instance = v.instance;
        return r;
}

static int join_as_writer(struct model *m, uint64_t id, struct open_volume **ret, uint64_t *ret_started,
                          struct diag *diag)
{
        uint64_t instance = 0;
        bool first;
        int r;
        LOCK_SCOPE(&m->volumes->gate);

        r = check_writer(m, id, &instance, diag);
        if (r == 0)
                r = join(m->volumes, id, true, instance, ret, &first);
        if (r == 0)
                *ret_started = first ? instance : 0;
        return r;
}

int volume_open(struct model *m, uint64_t id, bool writable, struct diag *diag, struct volume_file **ret)
{
        CLEANUP_FREE struct volume_file *f = NULL;
        uint64_t started = 0;
        bool first;
        int r;

        f = calloc(1, sizeof(*f));
        if (!f)
                return -ENOMEM;
        f->m = m;
        f->writable = writable;
        r = writable ? join_as_writer(m, id, &f->v, &started, diag) : join(m->volumes, id, false, 0, &f->v, &first);
        if (r < 0)
                return r;
        r = open_disk(m, f->v);
        if (r < 0) {
                (void)leave(m->volumes, f->v, writable);
                return r;
        }
        if (started)
                model_changed(m, OBJECT_INSTANCE, started);
        *ret = TAKE_PTR(f);
        return 0;
}

struct disk *volume_disk(struct volume_file *f)
{
        return f->v->disk;
}

int volume_file_set_size(struct volume_file *f, const struct caller *c, uint64_t size_bytes, struct diag *diag)
{
        int r;

        (void)c; /* it is open: that was asked before */
        f->resized = true;
        r = volume_grow(f->m, f->v->id, f, size_bytes, diag);
        return r < 0 ? r : open_disk(f->m, f->v);
}

/* The disk has other bytes now, and its instance has run. */
static int note_written(struct model *m, uint64_t id)
{
        DB_TXN(t);
        int r;

        r = db_begin(m->db, DB_WRITE, &t);
        if (r == 0)
                r = db_run(&t, volume_file_sql[TOUCH], DB_INT(id), DB_INT(model_now_us()));
        if (r >= 0)
                r = db_run(&t, volume_file_sql[SET_STARTED], DB_INT(id));
        return r < 0 ? r : db_commit(&t);
}

/*
 * The last writer's data must be safe before it counts as gone: an image may be made of the disk from then on, again
 * after a crash. What cannot be synced has been told to who called disk_sync() before. Giving a disk its size is not
 * running it.
 */
void volume_close(struct volume_file *f)
{
        uint64_t id, stopped;

        if (!f)
                return;
        if (f->writable)
                leave_begin(f);
        if (f->writable && f->v->disk)
                (void)disk_sync(f->v->disk);
        if (f->writable && !f->resized)
                (void)note_written(f->m, f->v->id); /* at worst it looks older than it is */
        id = f->v->id;
        stopped = leave(f->m->volumes, f->v, f->writable);
        if (f->writable) {
                leave_end(f->m->volumes);
                model_changed(f->m, OBJECT_VOLUME, id);
        }
        if (stopped)
                model_changed(f->m, OBJECT_INSTANCE, stopped);
        free(f);
}

/* ---- after a crash ---- */

struct recovery {
        struct model *m;
        uint64_t store;
};

static int recover_disk(void *ctx, const struct disk_id *id)
{
        const struct recovery *rec = ctx;
        int64_t named;
        int r;

        {
                DB_TXN(t);

                r = db_begin(rec->m->db, DB_READ, &t);
                if (r == 0)
                        r = db_int(&t, volume_file_sql[NAMES_DISK], &named, DB_INT(rec->store),
                                   DB_BLOB(id->bytes, sizeof(id->bytes)));
                if (r < 0 || named)
                        return r;
        }

        DB_TXN(t);

        r = db_begin(rec->m->db, DB_WRITE, &t);
        if (r == 0)
                r = db_run(&t, volume_file_sql[TRASH], DB_INT(rec->store), DB_BLOB(id->bytes, sizeof(id->bytes)));
        return r < 0 ? r : db_commit(&t);
}

static int recover_store(void *ctx, uint64_t id, struct blobstore *bs)
{
        struct recovery rec = { .m = ctx, .store = id };

        return disk_each(bs, recover_disk, &rec);
}

int volumes_recover(struct model *m)
{
        return stores_each(m, recover_store, m);
}

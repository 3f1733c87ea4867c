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
 * waits for the releases that are at work, and for a short time for those that a flush has announced: of the disks that
 * it is about, since any user can flush a file of hers as often as she likes. Nor can her own commands take all threads
 * that way: beyond WAITING_MAX nobody waits, and what is refused then would have been a moment earlier.
 *
 * What is only shown waits for no work, and a tenth of that time: as good as always the release is there by then.
 */

#include "model/machine/volume_gate.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <time.h>

#include "blobstore/base/cleanup.h"
#include "model/machine/volume_gate_priv.h"

/* How long a flush is waited for to be followed by its release. */
#define RELEASE_WAIT_US INT64_C(200000)
#define SHOW_WAIT_US    INT64_C(20000)
/* Of the threads that answer requests, a quarter. */
#define WAITING_MAX 8

enum { INSTANCE_OF };

static const char *const volume_gate_sql[] = {
        [INSTANCE_OF] = "SELECT ifnull(instance, 0) FROM volume WHERE id = ?1",
};
const struct db_statements volume_gate_statements = DB_STATEMENTS(volume_gate_sql);

int volumes_open(struct volumes **ret)
{
        struct volumes *vs;

        vs = calloc(1, sizeof(*vs));
        if (!vs)
                return -ENOMEM;
        pthread_mutex_init(&vs->gate, NULL);
        for (unsigned i = 0; i < VOLUMES_GROWING; i++)
                pthread_mutex_init(&vs->growing[i], NULL);
        pthread_mutex_init(&vs->mutex, NULL);
        pthread_cond_init(&vs->left, NULL);
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
        for (unsigned i = 0; i < VOLUMES_GROWING; i++)
                pthread_mutex_destroy(&vs->growing[i]);
        pthread_mutex_destroy(&vs->gate);
        free(vs);
}

static int64_t monotonic_us(void)
{
        struct timespec now;

        (void)clock_gettime(CLOCK_MONOTONIC, &now); /* cannot fail */
        return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

/* What is waited for: writers of a disk, and of those of an instance. */
struct concern {
        uint64_t volume, instance; /* 0: none */
        int64_t wait_us; /* after a flush */
        bool to_the_end; /* … and for releases that are at work */
};

static bool is_concerned(const struct concern *c, const struct open_volume *v)
{
        return v->id == c->volume || (c->instance && v->instance == c->instance);
}

/* When the last of those that have closed it is to be released by; 0: nobody has. Needs the mutex, as the next. */
static int64_t release_due_us(const struct volumes *vs, const struct concern *c)
{
        const struct volume_file *f;
        const struct open_volume *v;
        int64_t last_us = 0;

        LIST_FOREACH(v, &vs->open, link) {
                if (!is_concerned(c, v))
                        continue;
                if (c->to_the_end && v->leaving > 0)
                        return INT64_MAX;
                LIST_FOREACH(f, &v->flushed, link) {
                        if (f->flushed_us + c->wait_us > last_us)
                                last_us = f->flushed_us + c->wait_us;
                }
        }
        return last_us;
}

static void wait_for_releases(struct volumes *vs, const struct concern *c)
{
        const int64_t patience_us = monotonic_us() + c->wait_us;
        int64_t due_us;

        if (vs->waiting == WAITING_MAX)
                return;
        vs->waiting++;
        while ((due_us = release_due_us(vs, c))) {
                struct timespec until;

                if (due_us == INT64_MAX) { /* it is at work, and ends */
                        pthread_cond_wait(&vs->left, &vs->mutex);
                        continue;
                }
                if (due_us > patience_us)
                        due_us = patience_us;
                if (monotonic_us() >= due_us)
                        break;
                until = (struct timespec){ .tv_sec = due_us / 1000000, .tv_nsec = due_us % 1000000 * 1000 };
                (void)pthread_cond_clockwait(&vs->left, &vs->mutex, CLOCK_MONOTONIC, &until); /* or the time is up */
        }
        vs->waiting--;
}

static int find_concern(struct model *m, enum object_kind kind, uint64_t id, struct concern *ret)
{
        int64_t instance = 0;
        DB_TXN(t);
        int r;

        if (kind == OBJECT_INSTANCE) {
                ret->instance = id;
                return 0;
        }
        r = db_begin(m->db, DB_READ, &t);
        if (r == 0)
                r = db_int(&t, volume_gate_sql[INSTANCE_OF], &instance, DB_INT(id));
        ret->volume = id;
        ret->instance = (uint64_t)instance;
        return r;
}

void volumes_settle(struct model *m, enum object_kind kind, uint64_t id)
{
        struct volumes *vs = m->volumes;
        struct concern c = { .wait_us = RELEASE_WAIT_US, .to_the_end = true };

        if (kind != OBJECT_INSTANCE && kind != OBJECT_VOLUME)
                return;
        if (find_concern(m, kind, id, &c) < 0) /* whoever asks learns that next */
                return;
        LOCK_SCOPE(&vs->mutex);
        wait_for_releases(vs, &c);
}

pthread_mutex_t *volumes_gate(struct model *m, enum object_kind kind, uint64_t id)
{
        volumes_settle(m, kind, id);
        return &m->volumes->gate;
}

static void unannounce(struct volume_file *f)
{
        if (f->flushed_us)
                LIST_REMOVE(f, link);
        f->flushed_us = 0;
}

void volumes_announce(struct volume_file *f)
{
        LOCK_SCOPE(&f->m->volumes->mutex);
        unannounce(f);
        LIST_INSERT_HEAD(&f->v->flushed, f, link);
        f->flushed_us = monotonic_us();
}

void volumes_leave_begin(struct volume_file *f)
{
        LOCK_SCOPE(&f->m->volumes->mutex);
        unannounce(f);
        f->leaving = true;
        f->v->leaving++;
        pthread_cond_broadcast(&f->m->volumes->left); /* for who takes that for gone */
}

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

bool volumes_seem_written(struct model *m, uint64_t instance)
{
        const struct concern c = { .instance = instance, .wait_us = SHOW_WAIT_US };
        const struct open_volume *v;
        LOCK_SCOPE(&m->volumes->mutex);

        wait_for_releases(m->volumes, &c);
        LIST_FOREACH(v, &m->volumes->open, link) {
                if (v->instance == instance && v->writers > v->leaving)
                        return true;
        }
        return false;
}

int volumes_join(struct volumes *vs, uint64_t id, bool writer, uint64_t instance, struct open_volume **ret,
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
                LIST_INIT(&v->flushed);
                LIST_INSERT_HEAD(&vs->open, v, link);
        }
        v->users++;
        *ret_first = writer && v->writers++ == 0;
        if (*ret_first)
                v->instance = instance;
        *ret = v;
        return 0;
}

uint64_t volumes_leave(struct volume_file *f)
{
        struct volumes *vs = f->m->volumes;
        struct open_volume *v = f->v;
        struct disk *unused = NULL;
        uint64_t stopped = 0;

        lock(&vs->mutex);
        if (f->writable && --v->writers == 0) {
                stopped = v->instance;
                v->instance = 0;
        }
        if (f->leaving) {
                v->leaving--;
                pthread_cond_broadcast(&vs->left);
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

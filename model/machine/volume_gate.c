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
 */

#include "model/machine/volume_gate.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <time.h>

#include "blobstore/base/cleanup.h"
#include "model/machine/volume_gate_priv.h"

/* How long a flush is waited for to be followed by its release. */
#define RELEASE_WAIT_MS 200

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

void volumes_announce(struct volume_file *f)
{
        struct volumes *vs = f->m->volumes;
        LOCK_SCOPE(&vs->mutex);

        if (f->announced != vs->round) {
                f->announced = vs->round;
                vs->announced++;
        }
}

void volumes_leave_begin(struct volume_file *f)
{
        struct volumes *vs = f->m->volumes;
        LOCK_SCOPE(&vs->mutex);

        vs->leaving++;
        if (f->announced == vs->round)
                vs->announced--;
        pthread_cond_broadcast(&vs->left);
}

void volumes_leave_end(struct volumes *vs)
{
        LOCK_SCOPE(&vs->mutex);
        vs->leaving--;
        pthread_cond_broadcast(&vs->left);
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
                LIST_INSERT_HEAD(&vs->open, v, link);
        }
        v->users++;
        *ret_first = writer && v->writers++ == 0;
        if (*ret_first)
                v->instance = instance;
        *ret = v;
        return 0;
}

uint64_t volumes_leave(struct volumes *vs, struct open_volume *v, bool writer)
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

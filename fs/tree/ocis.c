/* SPDX-License-Identifier: MIT */

#include "fs/tree/ocis.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/queue.h>

#include "blobstore/base/lock.h"
#include "blobstore/export/oci.h"

/* A client reads one at a time; further ones are for who copies several. Each takes a few MiB at the most. */
#define OF_ONE_USER 4
#define BYTES_MAX   ((size_t)64 << 20)

struct kept {
        TAILQ_ENTRY(kept) link;
        uint64_t key;
        uid_t uid;
        struct oci *o;
};

struct ocis {
        pthread_mutex_t mutex; /* of all below */
        TAILQ_HEAD(kept_list, kept) list; /* what was used longest ago is the first */
        size_t bytes;
};

int ocis_new(struct ocis **ret)
{
        struct ocis *all = calloc(1, sizeof(*all));

        if (!all)
                return -ENOMEM;
        (void)pthread_mutex_init(&all->mutex, NULL); /* cannot fail without attributes */
        TAILQ_INIT(&all->list);
        *ret = all;
        return 0;
}

/* Needs the mutex, as the next do. */
static void forget(struct ocis *all, struct kept *k)
{
        TAILQ_REMOVE(&all->list, k, link);
        all->bytes -= oci_bytes(k->o);
        oci_unref(k->o);
        free(k);
}

void ocis_free(struct ocis *all)
{
        if (!all)
                return;
        while (!TAILQ_EMPTY(&all->list))
                forget(all, TAILQ_FIRST(&all->list));
        (void)pthread_mutex_destroy(&all->mutex);
        free(all);
}

static struct kept *find(struct ocis *all, uint64_t key)
{
        struct kept *k;

        TAILQ_FOREACH(k, &all->list, link) {
                if (k->key == key)
                        return k;
        }
        return NULL;
}

/* For one more of UID's, of N bytes. */
static void make_room(struct ocis *all, uid_t uid, size_t n)
{
        struct kept *k, *oldest = NULL;
        size_t own = 0;

        TAILQ_FOREACH(k, &all->list, link) {
                if (k->uid == uid && own++ == 0)
                        oldest = k;
        }
        if (own >= OF_ONE_USER)
                forget(all, oldest);
        while (all->bytes + n > BYTES_MAX && !TAILQ_EMPTY(&all->list))
                forget(all, TAILQ_FIRST(&all->list));
}

struct oci *ocis_get(struct ocis *all, uint64_t key)
{
        struct kept *k;
        LOCK_SCOPE(&all->mutex);

        k = find(all, key);
        if (!k)
                return NULL;
        TAILQ_REMOVE(&all->list, k, link);
        TAILQ_INSERT_TAIL(&all->list, k, link);
        return oci_ref(k->o);
}

void ocis_put(struct ocis *all, uid_t uid, uint64_t key, struct oci *o)
{
        struct kept *k = malloc(sizeof(*k));
        LOCK_SCOPE(&all->mutex);

        if (!k || find(all, key)) { /* two had it made at once */
                free(k);
                return;
        }
        make_room(all, uid, oci_bytes(o));
        *k = (struct kept){ .key = key, .uid = uid, .o = oci_ref(o) };
        TAILQ_INSERT_TAIL(&all->list, k, link);
        all->bytes += oci_bytes(o);
}

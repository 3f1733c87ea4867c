/* SPDX-License-Identifier: MIT */
/*
 * A host that did not answer its cluster for too long (it was stopped, or cut off) loses its locks there, and does not hear
 * of it. Ceph also sees to it that nothing of what it still writes arrives; that is what keeps the bytes safe, not
 * this. But what is in memory here is the past from then on, and clients would be told of it for as long as they ask for
 * nothing else.
 *
 * So the lock is taken once more, now and then: of a local file system that costs a system call, and cannot fail. When it
 * is lost the process ends as if it had been killed, since each orderly step would write: the mount is left as after a
 * crash, and what machines do there fails.
 *
 * Likewise a host whose lease on a catalogue in PostgreSQL has run out, and that another has taken over from: what it would
 * write there is refused.
 *
 * With the lock of a region's own store goes the region alone: the next process finds that another has the store, and that it
 * is offline. It is asked for by a thread of its own, which may have to wait for that store's disk.
 */

#include "fs/hold.h"

#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "blobstore/base/every.h"
#include "blobstore/base/lock.h"
#include "blobstore/base/log.h"
#include "fs/options.h"
#include "model/model.h"

/* How long the past may be told. */
#define HOLD_SECONDS 5

struct hold {
        struct model *model;
        const char *store;
        bool followed;
        struct every *library, *stores;
        pthread_mutex_t end; /* which is told by one of the two */
};

static _Noreturn void end(struct hold *h, const char *what, const char *why, int status)
{
        lock(&h->end);
        log_error("%s is no longer served: %s: nothing more is written, and the mount is as after a crash; see whether this host "
                  "still has its file system, and its network", what, why);
        _exit(status);
}

static void ask_library(void *ctx)
{
        struct hold *h = ctx;
        char why[512];

        if (model_hold(h->model, why, sizeof(why)) < 0)
                end(h, h->store, why, EXIT_MOUNT_FAILED);
}

static void ask_stores(void *ctx)
{
        struct hold *h = ctx;
        char path[PATH_MAX], why[128];
        int r = model_hold_stores(h->model, path, sizeof(path));

        if (r == 0)
                return;
        ask_library(ctx); /* which may be on the same file system */
        (void)snprintf(why, sizeof(why), "its lock is lost, and another host may have it: %s", strerror(-r));
        end(h, path[0] ? path : h->store, why, h->followed ? EXIT_FAILURE : EXIT_MOUNT_FAILED);
}

int hold_start(struct model *model, const char *store, bool followed, struct hold **ret)
{
        struct hold *h = calloc(1, sizeof(*h));
        int r;

        if (!h)
                return -ENOMEM;
        h->model = model;
        h->store = store;
        h->followed = followed;
        (void)pthread_mutex_init(&h->end, NULL); /* cannot fail without attributes */
        r = every_start(HOLD_SECONDS * 1000, ask_library, h, &h->library);
        if (r == 0)
                r = every_start(HOLD_SECONDS * 1000, ask_stores, h, &h->stores);
        if (r < 0) {
                hold_stop(h);
                return r;
        }
        *ret = h;
        return 0;
}

void hold_stop(struct hold *h)
{
        if (!h)
                return;
        every_stop(h->stores);
        every_stop(h->library);
        (void)pthread_mutex_destroy(&h->end);
        free(h);
}

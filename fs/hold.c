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
 */

#include "fs/hold.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "blobstore/base/every.h"
#include "blobstore/base/log.h"
#include "fs/options.h"
#include "model/model.h"

/* How long the past may be told. */
#define HOLD_SECONDS 5

struct hold {
        const struct model *model;
        const char *store;
        struct every *every;
};

static void ask(void *ctx)
{
        const struct hold *h = ctx;
        int r = model_hold(h->model);

        if (r == 0)
                return;
        log_error("%s is no longer served: its lock is lost, and another host may have it: %s: nothing more is written, and the "
                  "mount is as after a crash; see whether this host still has its file system", h->store, strerror(-r));
        _exit(EXIT_MOUNT_FAILED);
}

int hold_start(const struct model *model, const char *store, struct hold **ret)
{
        struct hold *h = calloc(1, sizeof(*h));
        int r;

        if (!h)
                return -ENOMEM;
        h->model = model;
        h->store = store;
        r = every_start(HOLD_SECONDS * 1000, ask, h, &h->every);
        if (r < 0) {
                free(h);
                return r;
        }
        *ret = h;
        return 0;
}

void hold_stop(struct hold *h)
{
        if (!h)
                return;
        every_stop(h->every);
        free(h);
}

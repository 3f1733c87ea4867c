/* SPDX-License-Identifier: MIT */
/*
 * The number is in the connection's control directory, where who mounted it may change it while it is used; where that is
 * not mounted (containers), it stays as it was, and others wait until the store is known to hang.
 *
 * It goes up in steps, each long before so many wait that the last one is full, up to a limit: a request costs memory, and
 * how many there are is a tenant's to say. It goes down when a look finds that nobody waits any more.
 */

#include "fs/ops/background.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "blobstore/base/cleanup.h"
#include "blobstore/base/lock.h"

#define STEP      64
#define FEW       4 /* may wait before it is raised */
#define STEPS_MAX 16

static bool set(const char *mountpoint, const char *name, unsigned n)
{
        char path[80], text[16];
        CLEANUP_CLOSE int fd = -1;
        struct statx stx;
        int len;

        /* DONT_SYNC: a question to our own mount must not need an answer from us */
        if (statx(AT_FDCWD, mountpoint, AT_STATX_DONT_SYNC | AT_NO_AUTOMOUNT, 0, &stx) < 0)
                return false;
        (void)snprintf(path, sizeof(path), "/sys/fs/fuse/connections/%u/%s", stx.stx_dev_minor, name);
        fd = open(path, O_WRONLY | O_CLOEXEC);
        len = snprintf(text, sizeof(text), "%u", n);
        return fd >= 0 && write(fd, text, (size_t)len) == len; /* they have no place to write to: no pwrite(2) */
}

void background_make_room(struct background *b, const char *mountpoint, unsigned waiting)
{
        unsigned steps = (waiting + STEP / 2 - FEW) / (STEP / 2);
        LOCK_SCOPE(&b->mutex);

        if (steps > STEPS_MAX)
                steps = STEPS_MAX;
        if (waiting > 0 ? steps <= b->steps : b->steps == 0)
                return;
        if (!set(mountpoint, "max_background", BACKGROUND_MAX + steps * STEP))
                return;
        b->steps = steps;
        (void)set(mountpoint, "congestion_threshold", BACKGROUND_ENOUGH + steps * STEP); /* of less weight */
}

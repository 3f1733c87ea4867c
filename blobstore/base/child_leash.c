/* SPDX-License-Identifier: MIT */

#include "blobstore/base/child_leash.h"

#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "blobstore/base/lock.h"

static _Thread_local struct child_leash *held;

void child_leash_take(struct child_leash *l)
{
        held = l;
}

/* By its descriptor, which is never another process's. */
static void end(const struct child_on_leash *c)
{
        (void)syscall(SYS_pidfd_send_signal, c->pid_fd, SIGKILL, NULL, 0); /* fails for one that has ended */
}

void child_leash_pull(struct child_leash *l)
{
        LOCK_SCOPE(&l->mutex);

        l->pulled = true;
        for (struct child_on_leash *c = l->first; c; c = c->next)
                end(c);
}

void child_leash_add(struct child_on_leash *c, int pid_fd)
{
        struct child_leash *l = held;

        c->pid_fd = pid_fd;
        c->leash = l;
        if (!l)
                return;

        LOCK_SCOPE(&l->mutex);

        c->next = l->first;
        l->first = c;
        if (l->pulled)
                end(c);
}

void child_leash_remove(struct child_on_leash *c)
{
        struct child_leash *l = c->leash;

        if (!l)
                return;
        c->leash = NULL;

        LOCK_SCOPE(&l->mutex);

        for (struct child_on_leash **p = &l->first; *p; p = &(*p)->next)
                if (*p == c) {
                        *p = c->next;
                        break;
                }
}

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

struct child_leash *child_leash_held(void)
{
        return held;
}

bool child_leash_is_pulled(const struct child_leash *l)
{
        return l && atomic_load(&l->pulled);
}

/* A child by its descriptor, which is never another process's. */
static void end(const struct child_on_leash *c)
{
        if (c->cond) {
                LOCK_SCOPE(c->mutex);
                (void)pthread_cond_broadcast(c->cond);
                return;
        }
        if (c->wake) {
                c->wake(c->ctx);
                return;
        }
        (void)syscall(SYS_pidfd_send_signal, c->pid_fd, SIGKILL, NULL, 0); /* fails for one that has ended */
}

void child_leash_pull(struct child_leash *l)
{
        LOCK_SCOPE(&l->mutex);

        atomic_store(&l->pulled, true);
        for (struct child_on_leash *c = l->first; c; c = c->next)
                end(c);
}

static void add(struct child_on_leash *c)
{
        struct child_leash *l = held;

        c->leash = l;
        if (!l)
                return;

        LOCK_SCOPE(&l->mutex);

        c->next = l->first;
        l->first = c;
        if (atomic_load(&l->pulled))
                end(c);
}

void child_leash_add(struct child_on_leash *c, int pid_fd)
{
        *c = (struct child_on_leash){ .pid_fd = pid_fd };
        add(c);
}

void child_leash_add_wait(struct child_on_leash *c, pthread_mutex_t *mutex, pthread_cond_t *cond)
{
        *c = (struct child_on_leash){ .pid_fd = -1, .mutex = mutex, .cond = cond };
        add(c);
}

void child_leash_add_wake(struct child_on_leash *c, void (*wake)(void *ctx), void *ctx)
{
        *c = (struct child_on_leash){ .pid_fd = -1, .wake = wake, .ctx = ctx };
        add(c);
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

/* SPDX-License-Identifier: MIT */

#include "fs/ops/parting.h"

#include <string.h>
#include <sys/queue.h>
#include <time.h>

#include "blobstore/base/lock.h"

/* The kernel comes back at once; one that was killed in between does not. */
#define PARTING_SECONDS 5

struct parting {
        TAILQ_ENTRY(parting) link;
        fuse_ino_t parent;
        pid_t pid; /* of the thread */
        uid_t uid;
        struct node node;
        time_t end;
        char name[];
};

struct partings {
        pthread_mutex_t mutex;
        uint64_t buried; /* the number of the last one that is nothing else: none is another's */
        TAILQ_HEAD(, parting) list; /* in the order in which they end; as many as are in rmdir(2) now */
};

static time_t now_seconds(void)
{
        struct timespec ts;

        (void)clock_gettime(CLOCK_MONOTONIC, &ts); /* cannot fail for this clock */
        return ts.tv_sec;
}

int partings_new(struct partings **ret)
{
        struct partings *p = calloc(1, sizeof(*p));

        if (!p)
                return -ENOMEM;
        (void)pthread_mutex_init(&p->mutex, NULL); /* cannot fail without attributes */
        TAILQ_INIT(&p->list);
        *ret = p;
        return 0;
}

static void drop(struct partings *p, struct parting *i)
{
        TAILQ_REMOVE(&p->list, i, link);
        free(i);
}

void partings_free(struct partings *p)
{
        if (!p)
                return;
        while (!TAILQ_EMPTY(&p->list))
                drop(p, TAILQ_FIRST(&p->list));
        (void)pthread_mutex_destroy(&p->mutex);
        free(p);
}

/* With the mutex held. */
static struct parting *find(struct partings *p, fuse_ino_t parent, const char *name, const struct fuse_ctx *who)
{
        struct parting *i;

        while ((i = TAILQ_FIRST(&p->list)) && i->end < now_seconds())
                drop(p, i);
        TAILQ_FOREACH(i, &p->list, link)
                if (i->parent == parent && i->pid == who->pid && i->uid == who->uid && strcmp(i->name, name) == 0)
                        return i;
        return NULL;
}

int parting_begin(struct partings *p, fuse_ino_t parent, const char *name, const struct fuse_ctx *who, struct node node)
{
        struct parting *i = malloc(sizeof(*i) + strlen(name) + 1);

        if (!i)
                return -ENOMEM;
        *i = (struct parting){ .parent = parent, .pid = who->pid, .uid = who->uid, .node = node,
                               .end = now_seconds() + PARTING_SECONDS };
        memcpy(i->name, name, strlen(name) + 1);

        LOCK_SCOPE(&p->mutex);
        TAILQ_INSERT_TAIL(&p->list, i, link);
        return 0;
}

struct node parting_stand_in(struct partings *p, bool file)
{
        LOCK_SCOPE(&p->mutex);

        return (struct node){ .kind = KIND_BURIED, .row = file ? ROW_CHILD : 0, .oid = ++p->buried };
}

int parting_bury(struct partings *p, fuse_ino_t parent, const char *name, const struct fuse_ctx *who, bool file)
{
        return parting_begin(p, parent, name, who, parting_stand_in(p, file));
}

bool parting_find(struct partings *p, fuse_ino_t parent, const char *name, const struct fuse_ctx *who, struct node *ret)
{
        const struct parting *i;
        LOCK_SCOPE(&p->mutex);

        i = find(p, parent, name, who);
        if (i)
                *ret = i->node;
        return i;
}

bool parting_end(struct partings *p, fuse_ino_t parent, const char *name, const struct fuse_ctx *who)
{
        struct parting *i;
        LOCK_SCOPE(&p->mutex);

        i = find(p, parent, name, who);
        if (i)
                drop(p, i);
        return i;
}

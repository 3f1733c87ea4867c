/* SPDX-License-Identifier: MIT */

#include "fs/ops/frozen.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

#include "blobstore/base/lock.h"
#include "fs/ops/process.h"

/* Lists by inode number and user: as many files are open as there are readers at work. */
#define LISTS 256

LIST_HEAD(frozen_list, frozen);

struct frozens {
        pthread_mutex_t mutex;
        struct frozen_list list[LISTS];
};

int frozens_new(struct frozens **ret)
{
        struct frozens *all = calloc(1, sizeof(*all)); /* empty lists are zeros */

        if (!all)
                return -ENOMEM;
        (void)pthread_mutex_init(&all->mutex, NULL); /* cannot fail without attributes */
        *ret = all;
        return 0;
}

void frozens_free(struct frozens *all)
{
        if (!all)
                return;
        (void)pthread_mutex_destroy(&all->mutex);
        free(all);
}

static struct frozen_list *list_of(struct frozens *all, fuse_ino_t ino, uid_t uid)
{
        const uint64_t mixed = (ino ^ (uint64_t)uid) * UINT64_C(0x9e3779b97f4a7c15);

        return &all->list[mixed >> 56];
}
_Static_assert(LISTS == 1 << 8, "the upper bits of a hash are its list");

void frozen_add(struct frozens *all, struct frozen *f, fuse_ino_t ino, const struct fuse_ctx *who,
                const struct frozen_as *as)
{
        const pid_t process = process_of(who->pid);

        if (process <= 0)
                return;
        *f = (struct frozen){ .in = all, .ino = ino, .uid = who->uid, .process = process, .as = *as };
        LOCK_SCOPE(&all->mutex);
        LIST_INSERT_HEAD(list_of(all, ino, who->uid), f, link);
}

void frozen_remove(struct frozen *f)
{
        if (!f->in)
                return;
        LOCK_SCOPE(&f->in->mutex);
        LIST_REMOVE(f, link);
}

/* PROCESS 0: any. */
static const struct frozen *find(struct frozens *all, fuse_ino_t ino, uid_t uid, pid_t process)
{
        const struct frozen *f;

        LIST_FOREACH(f, list_of(all, ino, uid), link)
                if (f->ino == ino && f->uid == uid && (!process || f->process == process))
                        return f;
        return NULL;
}

static bool is_open(struct frozens *all, fuse_ino_t ino, uid_t uid)
{
        LOCK_SCOPE(&all->mutex);
        return find(all, ino, uid, 0);
}

bool frozen_find(struct frozens *all, fuse_ino_t ino, const struct fuse_ctx *who, struct frozen_as *ret)
{
        const struct frozen *f;
        pid_t process;

        if (who->pid <= 0 || !is_open(all, ino, who->uid)) /* nearly always: the process need not be found out */
                return false;
        process = process_of(who->pid);

        LOCK_SCOPE(&all->mutex);
        f = find(all, ino, who->uid, process);
        if (f)
                *ret = f->as;
        return f;
}

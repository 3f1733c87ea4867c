/* SPDX-License-Identifier: MIT */

#include "fs/ops/frozen.h"

#include <pthread.h>

#include "blobstore/base/lock.h"

/* Lists by inode number and thread: as many files are open as there are readers at work. */
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

static struct frozen_list *list_of(struct frozens *all, fuse_ino_t ino, pid_t pid)
{
        const uint64_t mixed = (ino ^ (uint64_t)pid) * UINT64_C(0x9e3779b97f4a7c15);

        return &all->list[mixed >> 56];
}
_Static_assert(LISTS == 1 << 8, "the upper bits of a hash are its list");

void frozen_add(struct frozens *all, struct frozen *f, fuse_ino_t ino, pid_t pid, uint64_t size)
{
        *f = (struct frozen){ .in = all, .ino = ino, .pid = pid, .size = size };
        LOCK_SCOPE(&all->mutex);
        LIST_INSERT_HEAD(list_of(all, ino, pid), f, link);
}

void frozen_remove(struct frozen *f)
{
        if (!f->in)
                return;
        LOCK_SCOPE(&f->in->mutex);
        LIST_REMOVE(f, link);
}

bool frozen_find(struct frozens *all, fuse_ino_t ino, pid_t pid, uint64_t *ret_size)
{
        const struct frozen *f;
        LOCK_SCOPE(&all->mutex);

        LIST_FOREACH(f, list_of(all, ino, pid), link) {
                if (f->ino == ino && f->pid == pid) {
                        *ret_size = f->size;
                        return true;
                }
        }
        return false;
}

/* SPDX-License-Identifier: MIT */
/*
 * The file is an array of slots, as long as there were ever slots in use. It is mapped once, at the length that it may
 * reach: what lies beyond its end is not touched, and a slot has its memory before it is handed out, so that want of memory
 * is an error and not a signal. One that is given back gives back its pages, where it consists of such.
 *
 * Which slots are free is known to the process alone, and found out again by the next one from their states.
 */

#include "blobstore/base/kept.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "blobstore/base/cleanup.h"
#include "blobstore/base/lock.h"

#define PAGE_BYTES 4096

enum { SLOT_FREE, SLOT_TAKEN, SLOT_PUBLISHED };

struct kept {
        int fd; /* borrowed */
        size_t slot_bytes;
        uint8_t *map;
        uint32_t inherited; /* slots that were there at the opening */

        pthread_mutex_t mutex; /* of what follows */
        _Atomic uint32_t n; /* slots that the file has; grows under the mutex */
        uint32_t *unused; /* a stack of their numbers */
        size_t n_unused, unused_size;
};

int kept_file(const char *name)
{
        int fd = memfd_create(name, MFD_CLOEXEC);

        return fd < 0 ? -errno : fd;
}

static struct kept_slot *slot_at(const struct kept *k, uint32_t number)
{
        return (struct kept_slot *)(k->map + number * k->slot_bytes);
}

/* Call with the mutex held. */
static int add_unused(struct kept *k, uint32_t number)
{
        if (k->n_unused == k->unused_size) {
                const size_t size = k->unused_size ? 2 * k->unused_size : 64;
                uint32_t *unused = reallocarray(k->unused, size, sizeof(*unused));

                if (!unused)
                        return -ENOMEM;
                k->unused = unused;
                k->unused_size = size;
        }
        k->unused[k->n_unused++] = number;
        return 0;
}

static int find_inherited(struct kept *k)
{
        struct stat st;

        if (fstat(k->fd, &st) < 0)
                return -errno;
        if ((uint64_t)st.st_size / k->slot_bytes > KEPT_SLOTS_MAX)
                return -EBADMSG;
        k->n = k->inherited = (uint32_t)((uint64_t)st.st_size / k->slot_bytes);
        for (uint32_t i = k->n; i-- > 0;) {
                slot_at(k, i)->number = i; /* whatever a process that died of what it wrote has made of it */
                if (atomic_load(&slot_at(k, i)->state) == SLOT_PUBLISHED)
                        continue;
                atomic_store(&slot_at(k, i)->state, SLOT_FREE);
                if (add_unused(k, i) < 0)
                        return -ENOMEM;
        }
        return 0;
}

DEFINE_CLEANUP(struct kept *, kept_closep, kept_close)

int kept_open(int fd, size_t slot_bytes, struct kept **ret)
{
        CLEANUP(kept_closep) struct kept *k = calloc(1, sizeof(*k));
        int r;

        if (!k)
                return -ENOMEM;
        k->fd = fd;
        k->slot_bytes = slot_bytes;
        (void)pthread_mutex_init(&k->mutex, NULL); /* cannot fail without attributes */
        k->map = mmap(NULL, slot_bytes * KEPT_SLOTS_MAX, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, fd, 0);
        if (k->map == MAP_FAILED)
                return -errno;
        r = find_inherited(k);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(k);
        return 0;
}

void kept_close(struct kept *k)
{
        if (!k)
                return;
        if (k->map != MAP_FAILED)
                (void)munmap(k->map, k->slot_bytes * KEPT_SLOTS_MAX);
        (void)pthread_mutex_destroy(&k->mutex);
        free(k->unused);
        free(k);
}

/* Call with the mutex held. */
static int take_number(struct kept *k, uint32_t *ret)
{
        uint32_t end;

        if (k->n_unused > 0) {
                *ret = k->unused[--k->n_unused];
                return 0;
        }
        if (k->n == KEPT_SLOTS_MAX)
                return -ENOMEM;
        *ret = k->n;
        end = *ret + (uint32_t)(k->slot_bytes < PAGE_BYTES ? PAGE_BYTES / k->slot_bytes : 1);
        if (fallocate(k->fd, 0, (off_t)(*ret * k->slot_bytes), (off_t)((end - *ret) * k->slot_bytes)) < 0)
                return -ENOMEM;
        k->n = end;
        while (--end > *ret)
                (void)add_unused(k, end); /* else it is lost until the next process */
        return 0;
}

/* One that was given back is as long as it was, and may be without memory. */
static int find_memory(struct kept *k, uint32_t number)
{
        if (k->slot_bytes % PAGE_BYTES != 0 ||
            fallocate(k->fd, 0, (off_t)(number * k->slot_bytes), (off_t)k->slot_bytes) == 0)
                return 0;
        (void)add_unused(k, number); /* likewise */
        return -ENOMEM;
}

int kept_take(struct kept *k, void **ret)
{
        struct kept_slot *slot;
        uint32_t number;
        int r;
        LOCK_SCOPE(&k->mutex);

        r = take_number(k, &number);
        if (r == 0)
                r = find_memory(k, number);
        if (r < 0)
                return r;
        slot = slot_at(k, number);
        memset(slot, 0, k->slot_bytes);
        slot->number = number;
        atomic_store(&slot->state, SLOT_TAKEN);
        *ret = slot;
        return 0;
}

void kept_publish(struct kept *k, void *slot)
{
        (void)k;
        atomic_store(&((struct kept_slot *)slot)->state, SLOT_PUBLISHED);
}

void kept_give(struct kept *k, void *slot)
{
        struct kept_slot *s = slot;
        const uint32_t number = s->number;
        LOCK_SCOPE(&k->mutex);

        atomic_store(&s->state, SLOT_FREE);
        if (k->slot_bytes % PAGE_BYTES == 0) /* a failure costs memory alone */
                (void)fallocate(k->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)(number * k->slot_bytes),
                                (off_t)k->slot_bytes);
        (void)add_unused(k, number);
}

void *kept_slot(struct kept *k, uint32_t number)
{
        if (number >= atomic_load(&k->n) || atomic_load(&slot_at(k, number)->state) == SLOT_FREE)
                return NULL;
        return slot_at(k, number);
}

int kept_each_inherited(struct kept *k, kept_fn *fn, void *ctx)
{
        for (uint32_t i = 0; i < k->inherited; i++) {
                struct kept_slot *slot = slot_at(k, i);
                int r;

                if (atomic_load(&slot->state) != SLOT_PUBLISHED)
                        continue;
                r = fn(ctx, slot);
                if (r < 0)
                        return r;
        }
        return 0;
}

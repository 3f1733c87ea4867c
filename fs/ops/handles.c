/* SPDX-License-Identifier: MIT */

#include "fs/ops/handles.h"

#include <errno.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>

#include "blobstore/base/cleanup.h"

#define FILES_BYTES (KEPT_SLOTS_MAX * sizeof(_Atomic(void *)))

struct handles {
        int own_fd; /* -1: the file is somebody else's */
        struct kept *kept;
        _Atomic(void *) *files; /* by number, in address space that takes memory where there are some */
        pthread_mutex_t again;
        _Atomic uint32_t turn; /* the last one; where it began is left to chance, since earlier processes had theirs */
};

DEFINE_CLEANUP(struct handles *, handles_freep, handles_free)

int handles_new(int fd, struct handles **ret)
{
        CLEANUP(handles_freep) struct handles *h = calloc(1, sizeof(*h));
        int r;

        if (!h)
                return -ENOMEM;
        if (getrandom((void *)&h->turn, sizeof(h->turn), 0) != sizeof(h->turn))
                return -EIO;
        h->own_fd = -1;
        h->files = MAP_FAILED;
        (void)pthread_mutex_init(&h->again, NULL); /* cannot fail without attributes */
        if (fd < 0) {
                fd = h->own_fd = kept_file("imagefs handles");
                if (fd < 0)
                        return fd;
        }
        r = kept_open(fd, sizeof(struct handle), &h->kept);
        if (r < 0)
                return r;
        h->files = mmap(NULL, FILES_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        if (h->files == MAP_FAILED)
                return -ENOMEM;
        *ret = TAKE_PTR(h);
        return 0;
}

void handles_free(struct handles *h)
{
        if (!h)
                return;
        if (h->files != MAP_FAILED)
                (void)munmap((void *)h->files, FILES_BYTES);
        kept_close(h->kept);
        cleanup_close(&h->own_fd);
        (void)pthread_mutex_destroy(&h->again);
        free(h);
}

bool handles_last(const struct handles *h)
{
        return h->own_fd < 0;
}

int handles_add(struct handles *h, const struct handle *how, void *file, uint64_t *ret_number)
{
        const size_t head = offsetof(struct handle, ino);
        struct handle *slot;
        void *taken;
        int r;

        r = kept_take(h->kept, &taken);
        if (r < 0)
                return r;
        slot = taken;
        memcpy((char *)slot + head, (const char *)how + head, sizeof(*how) - head);
        slot->turn = atomic_fetch_add(&h->turn, 1) + 1;
        atomic_store_explicit(&h->files[slot->slot.number], file, memory_order_release);
        kept_publish(h->kept, slot);
        *ret_number = (uint64_t)slot->turn << 32 | slot->slot.number;
        return 0;
}

void *handles_close(struct handles *h, uint64_t number)
{
        return handles_how(h, number) ? atomic_exchange(&h->files[(uint32_t)number], NULL) : NULL;
}

void *handles_remove(struct handles *h, uint64_t number)
{
        struct handle *how = handles_how(h, number);
        void *file;

        if (!how)
                return NULL;
        file = handles_close(h, number);
        kept_give(h->kept, how);
        return file;
}

void *handles_file(struct handles *h, uint64_t number)
{
        return atomic_load_explicit(&h->files[(uint32_t)number], memory_order_acquire);
}

struct handle *handles_how(struct handles *h, uint64_t number)
{
        struct handle *how = kept_slot(h->kept, (uint32_t)number);

        return how && how->turn == number >> 32 ? how : NULL;
}

pthread_mutex_t *handles_again(struct handles *h)
{
        return &h->again;
}

void handles_set_file(struct handles *h, uint64_t number, void *file)
{
        atomic_store_explicit(&h->files[(uint32_t)number], file, memory_order_release);
}

struct walk {
        handles_fn *fn;
        void *ctx;
};

static int each(void *ctx, void *slot)
{
        const struct handle *how = slot;
        const struct walk *w = ctx;

        w->fn(w->ctx, (uint64_t)how->turn << 32 | how->slot.number);
        return 0;
}

void handles_each_inherited(struct handles *h, handles_fn *fn, void *ctx)
{
        (void)kept_each_inherited(h->kept, each, &(struct walk){ .fn = fn, .ctx = ctx });
}

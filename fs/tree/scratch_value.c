/* SPDX-License-Identifier: MIT */

#include "fs/tree/scratch_value.h"

#include <errno.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>

#include "blobstore/base/cleanup.h"
#include "blobstore/base/io.h"
#include "blobstore/base/kept.h"

struct scratch_value {
        struct kept_slot slot;
        _Atomic uint32_t named; /* which of the notes holds: a name is changed at once */
        _Atomic uint32_t size;
        struct scratch_note notes[2];
        _Alignas(4096) uint8_t bytes[SCRATCH_BYTES_MAX];
};
_Static_assert(sizeof(struct scratch_value) == SCRATCH_VALUE_SLOT_BYTES, "a page for the rest");

void scratch_value_note(struct kept *values, struct scratch_value **v, const struct scratch_note *note)
{
        uint32_t other;
        void *slot;

        if (!*v) {
                if (kept_take(values, &slot) < 0)
                        return;
                *v = slot;
                (*v)->notes[0] = *note;
                kept_publish(values, slot);
                return;
        }
        other = (atomic_load(&(*v)->named) ^ 1) & 1;
        (*v)->notes[other] = *note;
        atomic_store(&(*v)->named, other);
}

void scratch_value_put(struct scratch_value *v, const void *buf, size_t n, uint64_t off)
{
        uint32_t size = atomic_load(&v->size);

        if (n == 0)
                return;
        memcpy(v->bytes + off, buf, n);
        while (size < off + n && !atomic_compare_exchange_weak(&v->size, &size, (uint32_t)(off + n)))
                ;
}

void scratch_value_cut(struct scratch_value *v, uint32_t size)
{
        const uint32_t was = atomic_exchange(&v->size, size);

        if (was > size) /* what comes behind it later begins with zeros */
                memset(v->bytes + size, 0, was - size);
}

int scratch_value_open(const struct scratch_value *v, struct scratch_note *ret, uint32_t *ret_size)
{
        const struct scratch_note note = v->notes[atomic_load(&v->named) & 1];
        const uint32_t size = atomic_load(&v->size);
        CLEANUP_CLOSE int fd = -1;
        int r;

        if (size > SCRATCH_BYTES_MAX || strnlen(note.name, sizeof(note.name)) == sizeof(note.name))
                return -EBADMSG;
        fd = memfd_create("imagefs-scratch", MFD_CLOEXEC);
        if (fd < 0)
                return -errno;
        r = pwrite_full(fd, v->bytes, size, 0);
        if (r < 0)
                return r;
        *ret = note;
        *ret_size = size;
        return TAKE_FD(fd);
}

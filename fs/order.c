/* SPDX-License-Identifier: MIT */
/*
 * A node has one of so many places, as a request that is under way has. Nodes that share one seem to be more in order than
 * they are; a request that has been under way while so many others came leaves no order.
 */

#include "fs/order.h"

#if !ORDER_IS_SEEN

#include <linux/fuse.h>
#include <stdatomic.h>
#include <stdint.h>
#include <string.h>

#define PLACES 65536

void __tsan_acquire(void *at);
void __tsan_release(void *at);

/* Of the process, as the sanitizer is. */
static char nodes[PLACES];
/* Relaxed, so that these order nothing themselves. Of a copy the second one is the node that is written. */
static struct {
        _Atomic uint64_t node[2];
} requests[PLACES];

static char *place_of(uint64_t node)
{
        return &nodes[(node ^ node >> 16 ^ node >> 32 ^ node >> 48) % PLACES];
}

void order_note_request(const void *buf, size_t n)
{
        struct fuse_copy_file_range_in copy = { 0 };
        struct fuse_in_header header;
        uint64_t number;

        if (n < sizeof(header))
                return;
        memcpy(&header, buf, sizeof(header));
        number = header.unique / 2 % PLACES;
        if (header.opcode == FUSE_COPY_FILE_RANGE && n >= sizeof(header) + sizeof(copy))
                memcpy(&copy, (const char *)buf + sizeof(header), sizeof(copy));
        atomic_store_explicit(&requests[number].node[0], header.nodeid, memory_order_relaxed);
        atomic_store_explicit(&requests[number].node[1], copy.nodeid_out, memory_order_relaxed);
        __tsan_acquire(place_of(header.nodeid));
        if (copy.nodeid_out)
                __tsan_acquire(place_of(copy.nodeid_out));
}

void order_note_answer(const struct iovec *iov, int count)
{
        struct fuse_out_header header;
        uint64_t number;

        if (count < 1 || iov[0].iov_len < sizeof(header))
                return;
        memcpy(&header, iov[0].iov_base, sizeof(header));
        if (header.unique == 0) /* news */
                return;
        number = header.unique / 2 % PLACES;
        for (int i = 0; i < 2; i++) {
                const uint64_t node = atomic_load_explicit(&requests[number].node[i], memory_order_relaxed);

                if (node)
                        __tsan_release(place_of(node));
        }
}

#endif

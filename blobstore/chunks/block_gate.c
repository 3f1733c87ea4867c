/* SPDX-License-Identifier: MIT */

#include "blobstore/chunks/block_gate.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>

#define GATE_CHUNK (64U << 10) /* on average */
#define GATE_TURN  8

/* A row holds so many chunks, the newest first: with fewer, some would for ever push each other out. */
#define GATE_ROW 8

/* Rows, as powers of two: a small cache has some to tell by, and the largest one's are 4 MiB. */
#define GATE_BITS_MIN 9
#define GATE_BITS_MAX 17

struct block_gate {
        unsigned bits;
        atomic_uint turns;
        _Atomic uint32_t missed[][GATE_ROW]; /* by the key's first bits: its last 32 */
};

int block_gate_new(uint64_t cache_bytes, struct block_gate **ret)
{
        unsigned bits = GATE_BITS_MIN;
        struct block_gate *g;

        while (bits < GATE_BITS_MAX && cache_bytes / GATE_CHUNK / GATE_ROW > UINT64_C(1) << bits)
                bits++;
        g = calloc(1, sizeof(*g) + sizeof(g->missed[0]) * ((size_t)1 << bits));
        if (!g)
                return -ENOMEM;
        g->bits = bits;
        *ret = g;
        return 0;
}

void block_gate_free(struct block_gate *g)
{
        free(g);
}

bool block_gate_is_again(struct block_gate *g, uint64_t key)
{
        uint64_t mixed = key * UINT64_C(0x9e3779b97f4a7c15);
        uint32_t mark = (uint32_t)mixed | 1; /* 0: no chunk */
        _Atomic uint32_t *row = g->missed[mixed >> (64 - g->bits)];

        for (unsigned i = 0; i < GATE_ROW; i++)
                if (atomic_load_explicit(&row[i], memory_order_relaxed) == mark)
                        return true;
        for (unsigned i = 0; i < GATE_ROW && mark; i++) /* the others move on */
                mark = atomic_exchange_explicit(&row[i], mark, memory_order_relaxed);
        return false;
}

bool block_gate_is_turn(struct block_gate *g)
{
        return atomic_fetch_add_explicit(&g->turns, 1, memory_order_relaxed) % GATE_TURN == GATE_TURN - 1;
}

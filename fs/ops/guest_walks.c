/* SPDX-License-Identifier: MIT */

#include "fs/ops/guest_walks.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>

#define WALKS_BITS 10 /* of as many directories; where two have one place the later one has it */
#define PIECES     16 /* come with attributes before one does not */

struct walk {
        atomic_uint_fast64_t dir; /* 0: none */
        atomic_uint left; /* pieces */
};

struct guest_walks {
        struct walk walks[1 << WALKS_BITS];
};

int guest_walks_new(struct guest_walks **ret)
{
        *ret = calloc(1, sizeof(**ret));
        return *ret ? 0 : -ENOMEM;
}

void guest_walks_free(struct guest_walks *gw)
{
        free(gw);
}

static struct walk *walk_of(struct guest_walks *gw, fuse_ino_t dir)
{
        return &gw->walks[(uint64_t)dir * UINT64_C(0x9e3779b97f4a7c15) >> (64 - WALKS_BITS)];
}

void guest_walks_asked(struct guest_walks *gw, fuse_ino_t dir)
{
        struct walk *w = walk_of(gw, dir);

        atomic_store(&w->left, PIECES);
        atomic_store(&w->dir, dir);
}

bool guest_walks_wants(struct guest_walks *gw, fuse_ino_t dir, bool first)
{
        struct walk *w = walk_of(gw, dir);
        unsigned left = atomic_load(&w->left);

        if (first)
                return true;
        return atomic_load(&w->dir) == dir && left > 0 && atomic_compare_exchange_strong(&w->left, &left, left - 1);
}

/* SPDX-License-Identifier: MIT */

#include "blobstore/import/inside_reader/name_index.h"

#include <errno.h>
#include <stdlib.h>

#include "blobstore/base/bytes.h"

#define ROOT_AT    24u /* 4 zeros; the hash; how long this is; floors below; flags that nobody knows */
#define NODE_AT    8u
#define ENTRY      8u
#define BLOCK_MASK 0x0fffffffu
#define COUNT_AT   2u /* of the present number, in the first entry */

static uint32_t hash_at(const struct index_node *n, uint32_t i)
{
        return i == 0 ? 0 : get_le32(n->entries + (size_t)i * ENTRY);
}

static uint32_t block_at(const struct index_node *n)
{
        return get_le32(n->entries + (size_t)n->at * ENTRY + 4) & BLOCK_MASK;
}

static int read_node(struct name_index *x, unsigned floor, uint32_t block, size_t from)
{
        struct index_node *n = &x->node[floor];
        int r;

        if (!n->block)
                n->block = malloc(x->block_bytes);
        r = n->block ? x->read(x->ctx, block, n->block) : -EUCLEAN;
        if (r < 0)
                return r;
        n->entries = n->block + from;
        n->n = get_le16(n->entries + COUNT_AT);
        n->at = 0;
        return n->n > 0 && n->n <= (x->block_bytes - from) / ENTRY ? 0 : -EUCLEAN;
}

/* The last entry that is not above HASH. */
static void seek(struct index_node *n, uint32_t hash)
{
        uint32_t above = n->n;

        n->at = 0;
        while (above - n->at > 1) {
                const uint32_t i = n->at + (above - n->at) / 2;

                if (hash_at(n, i) > hash)
                        above = i;
                else
                        n->at = i;
        }
}

int index_open(struct name_index *x, index_read_fn *read, void *ctx, size_t block_bytes, unsigned *ret_hash)
{
        const uint8_t *info;
        int r;

        *x = (struct name_index){ .read = read, .ctx = ctx, .block_bytes = block_bytes };
        r = read_node(x, 0, 0, ROOT_AT + 8);
        if (r < 0)
                return r;
        info = x->node[0].block + ROOT_AT;
        if (get_le32(info) != 0 || info[5] != 8 || info[6] >= INDEX_FLOORS_MAX || (info[7] & 1))
                return -EUCLEAN;
        *ret_hash = info[4];
        x->floors = info[6] + 1u;
        return 0;
}

void index_close(struct name_index *x)
{
        for (unsigned i = 0; i < INDEX_FLOORS_MAX; i++)
                free(x->node[i].block);
}

int index_first(struct name_index *x, uint32_t hash, uint32_t *ret_block)
{
        int r = 0;

        seek(&x->node[0], hash);
        for (unsigned i = 1; r == 0 && i < x->floors; i++) {
                r = read_node(x, i, block_at(&x->node[i - 1]), NODE_AT);
                if (r == 0)
                        seek(&x->node[i], hash);
        }
        *ret_block = block_at(&x->node[x->floors - 1]);
        return r;
}

int index_next(struct name_index *x, uint32_t hash, uint32_t *ret_block)
{
        unsigned floor = x->floors;
        int r = 0;

        do {
                if (floor-- == 0)
                        return 1;
        } while (++x->node[floor].at >= x->node[floor].n);
        if (hash_at(&x->node[floor], x->node[floor].at) != (hash | 1))
                return 1;
        for (; r == 0 && floor + 1 < x->floors; floor++)
                r = read_node(x, floor + 1, block_at(&x->node[floor]), NODE_AT);
        *ret_block = block_at(&x->node[x->floors - 1]);
        return r;
}

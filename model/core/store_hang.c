/* SPDX-License-Identifier: MIT */

#include "model/core/store_hang.h"

#include <errno.h>
#include <stdlib.h>

#include "blobstore/base/waits.h"
#include "model/core/stores.h"

struct store_hang {
        struct waits waits;
};

int store_hang_new(struct store_hang **ret)
{
        struct store_hang *h = calloc(1, sizeof(*h));

        if (!h)
                return -ENOMEM;
        *ret = h;
        return 0;
}

void store_hang_free(struct store_hang *h)
{
        if (!h)
                return;
        waits_done(&h->waits);
        free(h);
}

struct judgement {
        const struct waits *waits;
        int64_t before_us;
};

/* A stores_hang_fn. */
static bool hangs(void *ctx, uint64_t store)
{
        const struct judgement *j = ctx;

        for (size_t i = 0; i < j->waits->n; i++) {
                if (j->waits->all[i].of == store && j->waits->all[i].since_us < j->before_us)
                        return true;
        }
        return false;
}

/* A waits_fn. */
static uint64_t store_of(void *ctx, const char *path)
{
        return stores_of_file(ctx, path);
}

int store_hang_look(struct store_hang *h, struct model *m, int64_t limit_us, bool *ret_changed)
{
        struct judgement j = { .waits = &h->waits, .before_us = waits_now_us() - limit_us };
        int r;

        r = waits_look(&h->waits, store_of, m);
        return r < 0 ? r : stores_judge(m, hangs, &j, ret_changed);
}

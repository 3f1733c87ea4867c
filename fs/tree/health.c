/* SPDX-License-Identifier: MIT */

#include "fs/tree/health.h"

#include <stdio.h>

int health_each(struct fs *fs, model_health_fn *fn, void *ctx)
{
        unsigned slow = atomic_load(&fs->counts.slow);
        char sentence[160];

        if (slow > 0) {
                (void)snprintf(sentence, sizeof(sentence),
                               "%u request%s at work for more than %u s: the daemon's log says which, and what %s", slow,
                               slow == 1 ? " is" : "s are", fs->counts.slow_seconds,
                               slow == 1 ? "it waits for" : "they wait for");
                fn(ctx, sentence);
        }
        return model_health(fs->model, fn, ctx);
}

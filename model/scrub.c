/* SPDX-License-Identifier: MIT */

#include "model/scrub.h"

#include <errno.h>
#include <limits.h>
#include <string.h>

#include "model/core/damage.h"
#include "model/core/stores.h"
#include "model/model.h"
#include "model/work/scrub.h"

struct scrubbing {
        struct model *m;
        const struct model_scrub_ops *ops;
        char path[PATH_MAX]; /* of the store */
        uint64_t done;
        int found;
};

static int pace(void *ctx, uint64_t n, uint64_t left)
{
        struct scrubbing *s = ctx;

        s->done += n;
        return s->ops->goes_on(s->ops->ctx, s->path, s->done, left > s->done ? left : s->done) ? 0 : -ECANCELED;
}

static void report_healed(void *ctx, const char *line)
{
        const struct scrubbing *s = ctx;

        s->ops->healed(s->ops->ctx, line);
}

static int scrub_one(void *ctx, uint64_t id, struct blobstore *bs)
{
        struct scrubbing *s = ctx;
        const struct scrub_how how = { .pace = pace, .healed = report_healed, .ctx = s };
        int r;

        s->done = 0;
        r = stores_get_path(s->m, id, s->path, sizeof(s->path));
        return r < 0 ? r : scrub_pass(s->m, id, bs, &how);
}

static void report_damage(void *ctx, const char *line)
{
        struct scrubbing *s = ctx;

        s->found++;
        s->ops->report(s->ops->ctx, line);
}

static int report_offline(void *ctx, const char *sentence, const char *path)
{
        (void)path; /* the sentence has it */
        report_damage(ctx, sentence);
        return 0;
}

DEFINE_CLEANUP(struct model *, model_closep, model_close)

int model_scrub(const char *dir, const struct model_scrub_ops *ops, struct diag *diag)
{
        CLEANUP(model_closep) struct model *m = NULL;
        struct scrubbing s = { .ops = ops };
        int r;

        r = model_open(dir, &(struct model_opts){ .idle = true }, diag, &m);
        if (r < 0)
                return r;
        s.m = m;
        r = stores_each_offline(m, report_offline, &s);
        if (r == 0)
                r = stores_each(m, scrub_one, &s);
        if (r == 0)
                r = damage_each(m, report_damage, &s);
        if (r < 0)
                return diag_set(diag, r, "%s: cannot be read through to the end: %s", dir, strerror(-r));
        return s.found;
}

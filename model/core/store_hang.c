/* SPDX-License-Identifier: MIT */
/*
 * A thread that is in the same call at two looks, and did not wait for anything else between them, has been in it since the
 * first. What it waits for says /proc, so that reads and writes need not say anything.
 */

#include "model/core/store_hang.h"

#include <dirent.h>
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <time.h>

#include "blobstore/base/blocked.h"
#include "blobstore/base/cleanup.h"
#include "blobstore/base/parse.h"
#include "model/core/stores.h"

struct wait {
        pid_t thread;
        uint64_t waits; /* as in struct blocked */
        uint64_t store;
        int64_t since_us;
};

struct waits {
        struct wait *all;
        size_t n, room;
};

struct store_hang {
        struct waits waits; /* of the last look */
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
        free(h->waits.all);
        free(h);
}

static int64_t now_us(void)
{
        struct timespec t;

        (void)clock_gettime(CLOCK_MONOTONIC, &t); /* cannot fail with it */
        return t.tv_sec * INT64_C(1000000) + t.tv_nsec / 1000;
}

/* ---- who waits ---- */

static int waits_add(struct waits *w, const struct wait *one)
{
        struct wait *more;

        if (w->n == w->room) {
                more = reallocarray(w->all, w->room * 2 + 16, sizeof(*more));
                if (!more)
                        return -ENOMEM;
                w->all = more;
                w->room = w->room * 2 + 16;
        }
        w->all[w->n++] = *one;
        return 0;
}

/* Since when, where it was met before. */
static int64_t waits_since(const struct waits *w, const struct wait *one)
{
        for (size_t i = 0; i < w->n; i++) {
                if (w->all[i].thread == one->thread && w->all[i].waits == one->waits && w->all[i].store == one->store)
                        return w->all[i].since_us;
        }
        return one->since_us;
}

static int look_at(struct store_hang *h, struct model *m, pid_t thread, struct waits *found)
{
        struct wait one = { .thread = thread, .since_us = now_us() };
        struct blocked b;

        if (blocked_look(thread, &b) < 0 || !b.path[0])
                return 0;
        one.waits = b.waits;
        one.store = stores_of_file(m, b.path);
        if (!one.store)
                return 0;
        one.since_us = waits_since(&h->waits, &one);
        return waits_add(found, &one);
}

static void close_dir(DIR **dir)
{
        if (*dir)
                (void)closedir(*dir);
}

static int look_at_all(struct store_hang *h, struct model *m, struct waits *found)
{
        __attribute__((cleanup(close_dir))) DIR *tasks = opendir("/proc/self/task");
        struct dirent *e;
        uint64_t thread;
        int r = 0;

        if (!tasks)
                return -errno;
        while (r == 0 && (e = readdir(tasks))) {
                if (parse_u64(e->d_name, &thread) == 0)
                        r = look_at(h, m, (pid_t)thread, found);
        }
        return r;
}

/* ---- stores ---- */

struct judgement {
        const struct waits *waits;
        int64_t before_us;
};

/* A stores_hang_fn. */
static bool hangs(void *ctx, uint64_t store)
{
        const struct judgement *j = ctx;

        for (size_t i = 0; i < j->waits->n; i++) {
                if (j->waits->all[i].store == store && j->waits->all[i].since_us < j->before_us)
                        return true;
        }
        return false;
}

int store_hang_look(struct store_hang *h, struct model *m, int64_t limit_us, bool *ret_changed)
{
        struct judgement j = { .before_us = now_us() - limit_us };
        struct waits found = { 0 };
        int r;

        r = look_at_all(h, m, &found);
        if (r < 0) {
                free(found.all);
                return r;
        }
        free(h->waits.all);
        h->waits = found;
        j.waits = &h->waits;
        return stores_judge(m, hangs, &j, ret_changed);
}

/* SPDX-License-Identifier: MIT */

#include "blobstore/base/waits.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <time.h>

#include "blobstore/base/blocked.h"
#include "blobstore/base/cleanup.h"
#include "blobstore/base/parse.h"

void waits_done(struct waits *w)
{
        free(w->all);
        *w = (struct waits){ 0 };
}

int64_t waits_now_us(void)
{
        struct timespec t;

        (void)clock_gettime(CLOCK_MONOTONIC, &t); /* cannot fail with it */
        return t.tv_sec * INT64_C(1000000) + t.tv_nsec / 1000;
}

static int add(struct waits *w, const struct wait *one)
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
static int64_t since(const struct waits *w, const struct wait *one)
{
        for (size_t i = 0; i < w->n; i++) {
                if (w->all[i].thread == one->thread && w->all[i].number == one->number && w->all[i].of == one->of)
                        return w->all[i].since_us;
        }
        return one->since_us;
}

struct look {
        const struct waits *before;
        struct waits found;
        waits_fn *fn;
        void *ctx;
};

static int look_at(struct look *l, pid_t thread)
{
        struct wait one = { .thread = thread, .since_us = waits_now_us() };
        struct blocked b;

        if (blocked_look(thread, &b) < 0 || !b.path[0])
                return 0;
        one.number = b.waits;
        one.of = l->fn(l->ctx, b.path);
        if (!one.of)
                return 0;
        one.since_us = since(l->before, &one);
        return add(&l->found, &one);
}

static void close_dir(DIR **dir)
{
        if (*dir)
                (void)closedir(*dir);
}

static int look_at_all(struct look *l)
{
        __attribute__((cleanup(close_dir))) DIR *tasks = opendir("/proc/self/task");
        struct dirent *e;
        uint64_t thread;
        int r = 0;

        if (!tasks)
                return -errno;
        while (r == 0 && (e = readdir(tasks))) {
                if (parse_u64(e->d_name, &thread) == 0)
                        r = look_at(l, (pid_t)thread);
        }
        return r;
}

int waits_look(struct waits *w, waits_fn *fn, void *ctx)
{
        struct look l = { .before = w, .fn = fn, .ctx = ctx };
        int r;

        r = look_at_all(&l);
        if (r < 0) {
                waits_done(&l.found);
                return r;
        }
        free(w->all);
        *w = l.found;
        return 0;
}

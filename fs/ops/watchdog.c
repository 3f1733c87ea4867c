/* SPDX-License-Identifier: MIT */
/*
 * A thread looks several times within the time from which on a request is slow. It must not wait for what the requests
 * wait for: so it first says what it knows by itself, and then which path that is, for which the catalogue is asked.
 */

#include "fs/ops/watchdog.h"

#include <inttypes.h>
#include <stdlib.h>

#include "blobstore/base/blocked.h"
#include "blobstore/base/every.h"
#include "blobstore/base/log.h"
#include "fs/http/http.h"
#include "fs/ops/gate.h"
#include "fs/ops/later.h"
#include "fs/ops/reply.h"
#include "fs/tree/users.h"
#include "fs/tree/watch.h"

#define SECOND_US INT64_C(1000000)
/* So many looks within the time: what is slow is said after a quarter more of it at the latest. */
#define LOOKS 4

struct watchdog {
        struct fs *fs;
        unsigned seconds;
        struct every *every;
};

static void add_wait(const struct watched *what, struct strbuf *out)
{
        struct blocked b;

        if (!what->thread)
                strbuf_add(out, "waits for a thread of its lane, which others before it have");
        else if (blocked_look(what->thread, &b) < 0)
                strbuf_add(out, "what it waits for is not known");
        else if (b.lock)
                strbuf_add(out, "waits for a lock or for another thread");
        else if (b.call && b.path[0])
                strbuf_addf(out, "waits in %s of %s", b.call, b.path);
        else if (b.number >= 0)
                strbuf_addf(out, "waits in system call %ld", b.number);
        else
                strbuf_add(out, "works, or waits for a page of memory");
}

/* Whole paths and names, as the log has them of refusals. */
static void log_path(struct fs *fs, const struct watched *what)
{
        CLEANUP_STRBUF struct strbuf path = { 0 };
        const struct node n = node_of(what->ino);
        char user[NAME_LEN_MAX + 1];
        CLEANUP_REQ struct req rq;

        req_init_as(&rq, fs, NULL, 0, 0);
        rq.doing.verb = count_request_name(what->request);
        if (what->name[0]) {
                rq.doing.in = n;
                rq.doing.name = what->name;
        }
        reply_add_path(&rq, n, &path);
        user_name(fs->model, what->uid, user, sizeof(user));
        log_warning("slow request: %s by %s: %s", rq.doing.verb, user, strbuf_text(&path));
}

/* A watch_fn. */
static void tell(void *ctx, const struct watched *what, bool ended, int64_t slow_us)
{
        CLEANUP_STRBUF struct strbuf wait = { 0 };
        struct watchdog *d = ctx;

        if (ended) {
                log_warning("slow request: %s by user %u: ended after some %" PRId64 " s",
                            count_request_name(what->request), (unsigned)what->uid, slow_us / SECOND_US);
                return;
        }
        counts_add(&d->fs->counts, COUNT_SLOW, 1);
        add_wait(what, &wait);
        log_warning("slow request: %s by user %u: at work for %" PRId64 " s: %s", count_request_name(what->request),
                    (unsigned)what->uid, slow_us / SECOND_US, strbuf_text(&wait));
        log_path(d->fs, what);
}

static void look(void *ctx)
{
        struct watchdog *d = ctx;
        const int64_t limit_us = (int64_t)d->seconds * SECOND_US;
        unsigned slow;

        slow = watch_look(d->fs->watch, limit_us, tell, d);
        slow += later_look(d->fs->later, limit_us, tell, d);
        (void)model_look_at_stores(d->fs->model, limit_us); /* without memory, or /proc: the next one */
        later_refuse_hanging(d->fs);
        slow += gates_look(d->fs, limit_us);
        http_look(d->fs->http);
        atomic_store(&d->fs->counts.slow, slow);
}

int watchdog_start(struct fs *fs, unsigned seconds, struct watchdog **ret)
{
        struct watchdog *d = calloc(1, sizeof(*d));
        int r;

        if (!d)
                return -ENOMEM;
        d->fs = fs;
        d->seconds = seconds;
        fs->counts.slow_seconds = seconds;
        r = every_start(seconds * 1000 / LOOKS, look, d, &d->every);
        if (r < 0) {
                free(d);
                return r;
        }
        *ret = d;
        return 0;
}

void watchdog_stop(struct watchdog *d)
{
        if (!d)
                return;
        every_stop(d->every);
        free(d);
}

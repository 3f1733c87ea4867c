/* SPDX-License-Identifier: MIT */
/*
 * Who is set aside is BUSY until the job is done, or until it is LEFT: the thread that is stuck with it holds the transfer
 * then, which goes when both that thread and the client are done with it. One that was left reads no more.
 */

#include "fs/http/http_transfer.h"

#include <inttypes.h>
#include <microhttpd.h>
#include <pthread.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <time.h>

#include "blobstore/base/lock.h"
#include "blobstore/base/log.h"
#include "fs/http/http_far.h"
#include "model/model.h"

#define PIECE_BYTES (64 << 10) /* read at once, and held for each client */

enum state { IDLE, BUSY, DONE, LEFT };

struct transfers {
        struct model *model;
        const atomic_uint *changes;
        struct http_far *far;
        pthread_mutex_t mutex; /* of the state of all; no lock is taken within it but the server's, and those of jobs */
        LIST_HEAD(, transfer) busy;
        bool stopped;
};

struct transfer {
        struct transfers *all;
        struct download download;
        struct export *content;
        struct MHD_Connection *client;
        uint64_t begin;
        unsigned changes; /* what all->changes was, when the address was last seen to be there */
        bool found; /* the address was there then */

        /* Of another store: */
        uint64_t store;
        atomic_uint users; /* the client; the job */
        enum state state;
        LIST_ENTRY(transfer) link; /* while it is busy */
        struct http_far_job job;
        /* Of the job while it is busy, of the client when it is done: */
        struct diag diag;
        char *piece;
        uint64_t at;
        size_t wanted;
        ssize_t result;
};

static int64_t now_us(void)
{
        struct timespec now;

        (void)clock_gettime(CLOCK_REALTIME, &now); /* cannot fail with this clock */
        return now.tv_sec * INT64_C(1000000) + now.tv_nsec / 1000;
}

/* ---- of another store ---- */

static struct transfer *of_job(struct http_far_job *job)
{
        return (struct transfer *)((char *)job - offsetof(struct transfer, job));
}

static void destroy(struct transfer *t)
{
        export_close(t->content);
        free(t->piece);
        free(t);
}

/* A job, as the two below it. */
static void run_destroy(struct http_far_job *job)
{
        destroy(of_job(job));
}

/* With the mutex held. The client may be answered, and gone, before this returns. */
static void come_back(struct transfer *t, enum state state)
{
        t->state = state;
        LIST_REMOVE(t, link);
        MHD_resume_connection(t->client);
}

static bool is_wanted(struct transfer *t)
{
        LOCK_SCOPE(&t->all->mutex);

        return t->state == BUSY;
}

static void end_job(struct transfer *t)
{
        {
                LOCK_SCOPE(&t->all->mutex);
                if (t->state == BUSY)
                        come_back(t, DONE);
        }
        if (atomic_fetch_sub(&t->users, 1) == 1)
                destroy(t);
}

static void run_open(struct http_far_job *job)
{
        struct transfer *t = of_job(job);

        if (is_wanted(t))
                t->result = download_open(t->all->model, &t->download, &t->diag, &t->content);
        end_job(t);
}

static void run_read(struct http_far_job *job)
{
        struct transfer *t = of_job(job);

        if (is_wanted(t))
                t->result = export_pread(t->content, t->piece, t->wanted, t->at);
        end_job(t);
}

/* Has JOB done, and C set aside until it is. */
static int set_aside(struct transfer *t, struct MHD_Connection *c, void (*run)(struct http_far_job *job))
{
        int r;

        r = model_refuse_offline(t->all->model, t->store, &t->diag);
        if (r < 0)
                return r;
        LOCK_SCOPE(&t->all->mutex);
        if (t->all->stopped)
                return -ESHUTDOWN;
        t->job = (struct http_far_job){ .store = t->store, .run = run };
        atomic_fetch_add(&t->users, 1);
        t->state = BUSY;
        r = http_far_add(t->all->far, &t->job);
        if (r < 0) {
                t->state = IDLE;
                atomic_fetch_sub(&t->users, 1);
                return r;
        }
        t->client = c;
        LIST_INSERT_HEAD(&t->all->busy, t, link);
        MHD_suspend_connection(c);
        return 0;
}

/* Breaks off those of STORE; 0: all. */
static void leave(struct transfers *all, uint64_t store)
{
        struct transfer *t, *next;
        LOCK_SCOPE(&all->mutex);

        for (t = LIST_FIRST(&all->busy); t; t = next) {
                next = LIST_NEXT(t, link);
                if (store == 0 || t->store == store)
                        come_back(t, LEFT);
        }
}

/* The next after LAST that somebody waits for; 0: there is none. */
static uint64_t next_store(struct transfers *all, uint64_t last)
{
        const struct transfer *t;
        uint64_t next = 0;
        LOCK_SCOPE(&all->mutex);

        LIST_FOREACH(t, &all->busy, link)
                if (t->store > last && (next == 0 || t->store < next))
                        next = t->store;
        return next;
}

void transfers_look(struct transfers *all)
{
        struct diag ignored = { 0 };

        for (uint64_t store = 0; (store = next_store(all, store));)
                if (model_refuse_offline(all->model, store, &ignored) == -EIO)
                        leave(all, store);
}

/* ---- all ---- */

int transfers_new(struct model *m, const atomic_uint *changes, struct transfers **ret)
{
        struct transfers *all = calloc(1, sizeof(*all));
        int r;

        if (!all)
                return -ENOMEM;
        all->model = m;
        all->changes = changes;
        (void)pthread_mutex_init(&all->mutex, NULL); /* cannot fail without attributes */
        LIST_INIT(&all->busy);
        r = http_far_new(&all->far);
        if (r < 0) {
                transfers_free(all);
                return r;
        }
        *ret = all;
        return 0;
}

void transfers_stop(struct transfers *all)
{
        {
                LOCK_SCOPE(&all->mutex);
                all->stopped = true;
        }
        leave(all, 0);
}

void transfers_free(struct transfers *all)
{
        if (!all)
                return;
        http_far_free(all->far);
        (void)pthread_mutex_destroy(&all->mutex);
        free(all);
}

/* ---- one ---- */

int transfer_open(struct transfers *all, const struct download *d, struct MHD_Connection *c, struct diag *diag,
                  bool *ret_later, struct transfer **ret)
{
        struct transfer *t = calloc(1, sizeof(*t));
        unsigned elsewhere;
        int r;

        if (!t)
                return -ENOMEM;
        t->all = all;
        t->download = *d;
        t->found = true;
        t->changes = atomic_load(all->changes) - 1; /* it is looked for again: that may be before a change that ends it */
        atomic_store(&t->users, 1);
        t->store = model_store_of_object(all->model, OBJECT_IMAGE, d->image);
        if (!model_is_elsewhere(all->model, t->store, &elsewhere))
                t->store = 0;

        r = t->store ? set_aside(t, c, run_open) : download_open(all->model, d, &t->diag, &t->content);
        if (r < 0) {
                *diag = t->diag;
                destroy(t); /* it was not opened */
                return r;
        }
        *ret_later = t->store;
        *ret = t;
        return 0;
}

int transfer_opened(struct transfer *t, struct diag *diag)
{
        bool left;

        {
                LOCK_SCOPE(&t->all->mutex);
                left = t->state == LEFT;
                if (!left)
                        t->state = IDLE;
        }
        if (left)
                return model_refuse_offline(t->all->model, t->store, diag) < 0 ? -EIO : -ESHUTDOWN;
        *diag = t->diag;
        return (int)t->result;
}

/* To close it may wait for the disk as well. */
void transfer_free(struct transfer *t)
{
        if (!t || atomic_fetch_sub(&t->users, 1) != 1)
                return;
        t->job = (struct http_far_job){ .store = t->store, .run = run_destroy };
        if (!t->store || !t->content || http_far_add(t->all->far, &t->job) < 0)
                destroy(t);
}

const struct download *transfer_download(const struct transfer *t)
{
        return &t->download;
}

uint64_t transfer_size(const struct transfer *t)
{
        return export_get_size(t->content);
}

/* ---- the answer ---- */

/* May the download go on? */
static bool may_go_on(struct transfer *t)
{
        unsigned changes = atomic_load(t->all->changes);
        struct download d;

        if (changes != t->changes) {
                t->changes = changes;
                t->found = download_get(t->all->model, t->download.id, &d) == 0;
        }
        return t->found || now_us() >= t->download.expires_us;
}

/* *RET_LATER: the client is set aside, and asks again for the same when it comes back. */
static ssize_t read_far(struct transfer *t, uint64_t at, char *buf, size_t max, bool *ret_later)
{
        enum state state;
        ssize_t n;

        {
                LOCK_SCOPE(&t->all->mutex);
                state = t->state;
                if (state == DONE)
                        t->state = IDLE;
        }
        if (state == LEFT)
                return -EIO;
        if (state == IDLE) {
                t->piece = malloc(max);
                t->at = at;
                t->wanted = max;
                n = t->piece ? set_aside(t, t->client, run_read) : -ENOMEM;
                *ret_later = n == 0;
                return n;
        }
        n = t->result > (ssize_t)max ? (ssize_t)max : t->result;
        if (n > 0)
                memcpy(buf, t->piece, (size_t)n);
        free(t->piece);
        t->piece = NULL;
        return n;
}

/* That a store hangs, or is offline, is told by who finds it out, and not for each download. */
static bool is_told(const struct transfer *t)
{
        struct diag ignored = { 0 };

        return t->store && model_refuse_offline(t->all->model, t->store, &ignored) < 0;
}

/* An MHD_ContentReaderCallback. */
static ssize_t read_piece(void *ctx, uint64_t pos, char *buf, size_t max)
{
        struct transfer *t = ctx;
        const uint64_t at = t->begin + pos;
        bool later = false;
        ssize_t n;

        if (!may_go_on(t))
                return MHD_CONTENT_READER_END_WITH_ERROR;
        n = t->store ? read_far(t, at, buf, max, &later) : export_pread(t->content, buf, max, at);
        if (n > 0 || later)
                return n;
        if (n < 0 && !is_told(t))
                log_errno((int)n, "a download of %s, at %" PRIu64, t->download.image_ident, at);
        return n < 0 ? MHD_CONTENT_READER_END_WITH_ERROR : MHD_CONTENT_READER_END_OF_STREAM;
}

static void free_transfer(void *ctx)
{
        transfer_free(ctx);
}

struct MHD_Response *transfer_respond(struct transfer *t, struct MHD_Connection *c, uint64_t begin, uint64_t len)
{
        struct MHD_Response *response;

        t->client = c;
        t->begin = begin;
        response = MHD_create_response_from_callback(len, PIECE_BYTES, read_piece, t, free_transfer);
        if (!response)
                transfer_free(t);
        return response;
}

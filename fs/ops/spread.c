/* SPDX-License-Identifier: MIT */

#include "fs/ops/spread.h"

#include <pthread.h>
#include <time.h>

#include "blobstore/base/lock.h"
#include "fs/ops/abort.h"

#define SPREAD_PIECES 8

/* What the thread gets to end by itself. */
#define SPREAD_END_SECONDS 2

struct spread {
        struct fuse_session *session; /* NULL: not started */
        const char *mountpoint;
        pthread_t thread;

        pthread_mutex_t mutex; /* everything below */
        pthread_cond_t wake; /* a piece is waiting, or the end */
        struct spread_piece *unused;
        struct spread_piece *first, **last; /* waiting */
        unsigned made;
        bool ending;
};

int spread_new(struct spread **ret)
{
        struct spread *s = calloc(1, sizeof(*s));

        if (!s)
                return -ENOMEM;
        s->last = &s->first;
        (void)pthread_mutex_init(&s->mutex, NULL); /* neither can fail without attributes */
        (void)pthread_cond_init(&s->wake, NULL);
        *ret = s;
        return 0;
}

/* Call with the mutex held. */
static void spread_put_back(struct spread *s, struct spread_piece *piece)
{
        piece->next = s->unused;
        s->unused = piece;
}

static void spread_tell(struct spread *s, const struct spread_piece *piece)
{
        struct fuse_bufvec bytes = FUSE_BUFVEC_INIT(piece->n);

        bytes.buf[0].mem = (void *)piece->bytes;
        /* the kernel may have forgotten the file, or have no memory to spare: it asks again when it needs the bytes */
        (void)fuse_lowlevel_notify_store(s->session, piece->ino, (off_t)piece->off, &bytes, 0);
}

static void *spread_main(void *ctx)
{
        struct spread *s = ctx;
        struct spread_piece *piece;

        LOCK_SCOPE(&s->mutex);
        for (;;) {
                while (!s->first && !s->ending)
                        pthread_cond_wait(&s->wake, &s->mutex);
                if (s->ending)
                        return NULL;
                piece = s->first;
                s->first = piece->next;
                if (!s->first)
                        s->last = &s->first;
                unlock(&s->mutex);
                if (!fuse_session_exited(s->session))
                        spread_tell(s, piece);
                lock(&s->mutex);
                spread_put_back(s, piece);
        }
}

int spread_start(struct spread *s, struct fuse_session *session, const char *mountpoint)
{
        int r;

        s->session = session;
        s->mountpoint = mountpoint;
        r = -pthread_create(&s->thread, NULL, spread_main, s);
        if (r < 0)
                s->session = NULL;
        return r;
}

/*
 * Where the daemon is stopped under a reader, a request may come when nobody serves any more; if the thread then waits
 * for a page of that request, it would wait for ever, and nobody could even kill it.
 */
static void spread_join(struct spread *s)
{
        struct timespec end;

        lock(&s->mutex);
        s->ending = true;
        pthread_cond_signal(&s->wake);
        unlock(&s->mutex);

        (void)clock_gettime(CLOCK_REALTIME, &end);
        end.tv_sec += SPREAD_END_SECONDS;
        if (pthread_timedjoin_np(s->thread, NULL, &end) == 0)
                return;
        abort_requests(s->mountpoint);
        (void)pthread_join(s->thread, NULL);
}

void spread_free(struct spread *s)
{
        struct spread_piece *next;

        if (!s)
                return;
        if (s->session)
                spread_join(s);
        *s->last = s->unused;
        for (struct spread_piece *piece = s->first; piece; piece = next) {
                next = piece->next;
                free(piece);
        }
        pthread_cond_destroy(&s->wake);
        pthread_mutex_destroy(&s->mutex);
        free(s);
}

struct spread_piece *spread_take(struct spread *s)
{
        struct spread_piece *piece;

        if (!s->session)
                return NULL;
        LOCK_SCOPE(&s->mutex);
        piece = s->unused;
        if (piece) {
                s->unused = piece->next;
        } else if (s->made < SPREAD_PIECES) {
                piece = malloc(sizeof(*piece));
                s->made += piece != NULL;
        }
        return piece;
}

void spread_give(struct spread *s, struct spread_piece *piece)
{
        LOCK_SCOPE(&s->mutex);
        if (piece->n == 0) {
                spread_put_back(s, piece);
                return;
        }
        piece->next = NULL;
        *s->last = piece;
        s->last = &piece->next;
        pthread_cond_signal(&s->wake);
}

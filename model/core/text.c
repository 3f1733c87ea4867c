/* SPDX-License-Identifier: MIT */

/*
 * Small texts are in memory, larger ones in files, until a user has so many small ones that they, too, go there. A file
 * takes a descriptor of ours, so that it counts for no less than FILE_COUNTS. Where none can be made (a full disk, on
 * which people look for what to delete) the text stays in memory, as long as all such texts together are few.
 */

#include "model/core/text.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "blobstore/base/cleanup.h"
#include "blobstore/base/io.h"
#include "blobstore/base/lock.h"
#include "model/core/spool.h"
#include "model/core/state.h"

#define SMALL_MAX         ((size_t)16 << 10)
#define USER_MEMORY_MAX   ((size_t)4 << 20)
#define USER_BYTES_MAX    ((size_t)256 << 20)
#define FILE_COUNTS       ((size_t)64 << 10)
#define TEXT_COUNTS       ((size_t)256) /* of memory, for the struct and the file that it is open for */
#define HELD_BACK_MAX     ((size_t)64 << 20) /* of memory, for all texts that found no file */

struct text {
        struct texts *ts;
        atomic_uint refs;
        uid_t uid;
        size_t size, counts;
        int fd; /* -1: in memory */
        bool in_memory, held_back; /* as it is counted */
        char *bytes; /* size of them, and a zero; NULL: in the file */
};

/* What one user has. */
struct owner {
        struct owner *next;
        uid_t uid;
        size_t bytes, memory;
};

struct texts {
        int dir_fd;
        pthread_mutex_t mutex; /* of all below */
        struct owner *owners; /* who has none is not in it */
        size_t held_back;
};

int texts_new(int dir_fd, struct texts **ret)
{
        struct texts *ts = calloc(1, sizeof(*ts));

        if (!ts)
                return -ENOMEM;
        ts->dir_fd = dir_fd;
        (void)pthread_mutex_init(&ts->mutex, NULL); /* cannot fail without attributes */
        *ret = ts;
        return 0;
}

void texts_free(struct texts *ts)
{
        if (!ts)
                return;
        for (struct owner *o; (o = ts->owners);) { /* of files that nobody closed before the end */
                ts->owners = o->next;
                free(o);
        }
        (void)pthread_mutex_destroy(&ts->mutex);
        free(ts);
}

/* ---- who has how much ---- */

/* The place of a user, or of the end. Needs the mutex; so do the next. */
static struct owner **find_owner(struct texts *ts, uid_t uid)
{
        struct owner **at = &ts->owners;

        while (*at && (*at)->uid != uid)
                at = &(*at)->next;
        return at;
}

static void give_back(struct texts *ts, const struct text *t)
{
        struct owner **at = find_owner(ts, t->uid), *o = *at;

        o->bytes -= t->counts;
        if (t->in_memory)
                o->memory -= t->counts;
        if (t->held_back)
                ts->held_back -= t->counts;
        if (o->bytes == 0) {
                *at = o->next;
                free(o);
        }
}

/* Decides where the text goes, and counts it there. */
static int take(struct texts *ts, struct text *t, struct diag *diag)
{
        struct owner **at = find_owner(ts, t->uid);
        struct owner *o = *at;
        size_t memory = t->size + TEXT_COUNTS;

        if (!o) {
                o = calloc(1, sizeof(*o));
                if (!o)
                        return -ENOMEM;
                o->uid = t->uid;
        }
        t->in_memory = t->size <= SMALL_MAX && o->memory + memory <= USER_MEMORY_MAX;
        t->counts = t->in_memory || memory > FILE_COUNTS ? memory : FILE_COUNTS;
        if (o->bytes + t->counts > USER_BYTES_MAX) {
                if (o != *at)
                        free(o);
                return diag_set(diag, -EDQUOT, "you have lists and other generated files open that take %zu MiB, of %zu "
                                "at most: close some first", o->bytes >> 20, USER_BYTES_MAX >> 20);
        }
        *at = o;
        o->bytes += t->counts;
        if (t->in_memory)
                o->memory += t->counts;
        return 0;
}

/* ---- files ---- */

static int put_into_file(struct text *t)
{
        CLEANUP_CLOSE int fd = spool_open_file(t->ts->dir_fd);
        int r;

        if (fd < 0)
                return fd;
        r = pwrite_full(fd, t->bytes, t->size, 0);
        if (r < 0)
                return r;
        free(TAKE_PTR(t->bytes));
        t->fd = fd;
        fd = -1;
        return 0;
}

/* It stays in memory, if there is some left; ERROR says why. */
static int hold_back(struct text *t, int error)
{
        LOCK_SCOPE(&t->ts->mutex);
        if (t->ts->held_back + t->counts > HELD_BACK_MAX)
                return error;
        t->ts->held_back += t->counts;
        (*find_owner(t->ts, t->uid))->memory += t->counts;
        t->in_memory = t->held_back = true;
        return 0;
}

/* ---- texts ---- */

static void uncount(struct text *t)
{
        LOCK_SCOPE(&t->ts->mutex);
        give_back(t->ts, t);
}

static void text_free(struct text *t)
{
        cleanup_close(&t->fd);
        free(t->bytes);
        free(t);
}

/* What is not in a file yet goes to one, if it is to. */
static int place(struct text *t, struct spool *from)
{
        char *fitting;
        int r = 0;

        if (from->fd >= 0) {
                t->fd = from->fd;
                from->fd = -1;
                strbuf_done(&from->buf);
                return 0;
        }
        strbuf_add(&from->buf, ""); /* so that there is a text */
        t->bytes = strbuf_take(&from->buf);
        if (!t->bytes)
                return -ENOMEM;
        if (!t->in_memory) {
                r = put_into_file(t);
                if (r < 0)
                        r = hold_back(t, r);
        }
        if (r == 0 && t->bytes) {
                fitting = realloc(t->bytes, t->size + 1); /* it grew by doubling */
                t->bytes = fitting ? fitting : t->bytes;
        }
        return r;
}

int text_new_spooled(struct model *m, uid_t uid, struct spool *from, struct diag *diag, struct text **ret)
{
        struct text *t = calloc(1, sizeof(*t));
        int r;

        if (!t)
                return -ENOMEM;
        spool_end(from);
        *t = (struct text){ .ts = m->texts, .refs = 1, .uid = uid, .size = (size_t)spool_size(from), .fd = -1 };
        r = spool_error(from);
        if (r == 0) {
                LOCK_SCOPE(&t->ts->mutex);
                r = take(t->ts, t, diag);
        }
        if (r < 0) {
                text_free(t);
                return r;
        }
        r = place(t, from);
        if (r < 0) {
                text_unref(t);
                return r;
        }
        *ret = t;
        return 0;
}

int text_new(struct model *m, uid_t uid, struct strbuf *from, struct diag *diag, struct text **ret)
{
        struct spool whole = SPOOL_IN_MEMORY;
        int r;

        whole.buf = *from;
        r = text_new_spooled(m, uid, &whole, diag, ret);
        *from = whole.buf;
        return r;
}

struct text *text_ref(struct text *t)
{
        atomic_fetch_add(&t->refs, 1);
        return t;
}

void text_unref(struct text *t)
{
        if (!t || atomic_fetch_sub(&t->refs, 1) > 1)
                return;
        uncount(t);
        text_free(t);
}

size_t text_size(const struct text *t)
{
        return t->size;
}

const char *text_get(const struct text *t, size_t off, size_t n, char *buf)
{
        if (t->bytes)
                return t->bytes + off;
        return pread_full(t->fd, buf, n, off) == (ssize_t)n ? buf : NULL;
}

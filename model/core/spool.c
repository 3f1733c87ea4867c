/* SPDX-License-Identifier: MIT */

#include "model/core/spool.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "blobstore/base/io.h"

#define TEMP_NAME "text.tmp"
#define PIECE ((size_t)256 << 10) /* what is written, and read back, at once */

void spool_done(struct spool *s)
{
        strbuf_done(&s->buf);
        cleanup_close(&s->fd);
}

/*
 * Not every file system can make one without a name. It is nobody's name for longer than this takes, and may be removed
 * by another who wants one at the same time.
 */
int spool_open_file(int dir_fd)
{
        const int flags = O_RDWR | O_CLOEXEC;
        int fd;

        fd = openat(dir_fd, ".", flags | O_TMPFILE, 0600);
        if (fd >= 0 || (errno != EOPNOTSUPP && errno != EISDIR && errno != ENOENT))
                return fd < 0 ? -errno : fd;
        do {
                if (unlinkat(dir_fd, TEMP_NAME, 0) < 0 && errno != ENOENT) /* that a crash has left */
                        return -errno;
                fd = openat(dir_fd, TEMP_NAME, flags | O_CREAT | O_EXCL | O_NOFOLLOW, 0600);
        } while (fd < 0 && errno == EEXIST);
        if (fd < 0)
                return -errno;
        (void)unlinkat(dir_fd, TEMP_NAME, 0);
        return fd;
}

/* ---- adding ---- */

static int write_out(struct spool *s)
{
        int r;

        if (s->fd < 0) {
                r = spool_open_file(s->dir_fd);
                if (r < 0)
                        return r;
                s->fd = r;
        }
        r = pwrite_full(s->fd, s->buf.text, s->buf.len, s->written);
        if (r < 0)
                return r;
        s->written += s->buf.len;
        strbuf_reset(&s->buf);
        return 0;
}

/* Back into memory with what the file took of it. */
static int recall(struct spool *s)
{
        CLEANUP_STRBUF struct strbuf whole = { 0 };
        CLEANUP_FREE char *piece = malloc(PIECE);
        uint64_t off = 0;

        if (!piece)
                return -ENOMEM;
        while (off < s->written) {
                const size_t n = s->written - off < PIECE ? (size_t)(s->written - off) : PIECE;

                if (pread_full(s->fd, piece, n, off) != (ssize_t)n)
                        return -EIO;
                strbuf_add_bytes(&whole, piece, n);
                off += n;
        }
        strbuf_add_bytes(&whole, strbuf_text(&s->buf), s->buf.len);
        if (strbuf_error(&whole))
                return strbuf_error(&whole);
        strbuf_done(&s->buf);
        s->buf = whole;
        whole = (struct strbuf){ 0 };
        cleanup_close(&s->fd);
        s->fd = -1;
        s->written = 0;
        return 0;
}

static void fail(struct spool *s, int error)
{
        if (!s->error)
                s->error = error;
        strbuf_reset(&s->buf);
}

/* What there is goes to the file, or all stays in memory from now on. */
static void move_out(struct spool *s)
{
        int r;

        if (!s->no_file) {
                r = write_out(s);
                if (r == 0)
                        return;
                s->no_file = r;
                r = spool_size(s) > SPOOL_HELD_MAX ? r : recall(s);
                if (r < 0)
                        fail(s, r);
        } else if (s->buf.len > SPOOL_HELD_MAX) {
                fail(s, s->no_file);
        }
}

void spool_step(struct spool *s)
{
        if (s->dir_fd >= 0 && s->buf.len >= PIECE && !spool_error(s))
                move_out(s);
}

void spool_end(struct spool *s)
{
        if (s->fd >= 0 && s->buf.len > 0 && !spool_error(s))
                move_out(s);
}

uint64_t spool_size(const struct spool *s)
{
        return s->written + s->buf.len;
}

void spool_patch(struct spool *s, uint64_t at, const void *bytes, size_t n)
{
        const char *from = bytes;
        size_t in_file = 0;
        int r;

        if (spool_error(s))
                return;
        assert(at + n <= spool_size(s));
        if (at < s->written) {
                in_file = s->written - at < n ? (size_t)(s->written - at) : n;
                r = pwrite_full(s->fd, from, in_file, at);
                if (r < 0)
                        fail(s, r);
        }
        if (in_file < n && !s->error)
                memcpy(s->buf.text + (at + in_file - s->written), from + in_file, n - in_file);
}

int spool_error(const struct spool *s)
{
        return s->error ? s->error : strbuf_error(&s->buf);
}

/* ---- reading ---- */

void spool_reader_done(struct spool_reader *r)
{
        free(TAKE_PTR(r->window));
}

/* Moves what is left of the window to its beginning, and fills it up, so that N are there. */
static int fill(struct spool_reader *r, size_t n)
{
        const uint64_t left = r->s->written - r->off;
        const size_t size = n > PIECE ? n : PIECE;
        char *window;
        size_t more;

        if (size > r->size) {
                window = realloc(r->window, size);
                if (!window)
                        return -ENOMEM;
                r->window = window;
                r->size = size;
        }
        memmove(r->window, r->window + r->at, r->len - r->at);
        r->len -= r->at;
        r->at = 0;
        more = r->size - r->len < left ? r->size - r->len : (size_t)left;
        if (more > 0 && pread_full(r->s->fd, r->window + r->len, more, r->off) != (ssize_t)more)
                return -EIO;
        r->off += more;
        r->len += more;
        return 0;
}

/* A file ends where a thing ended that was added whole, so that none lies in both. */
int spool_read(struct spool_reader *r, size_t n, const char **ret)
{
        int e;

        if (r->len - r->at < n && r->off < r->s->written) {
                e = fill(r, n);
                if (e < 0)
                        return e;
        }
        if (r->at < r->len) {
                if (r->len - r->at < n)
                        return -EIO;
                *ret = r->window + r->at;
                r->at += n;
                return 0;
        }
        if (spool_size(r->s) - r->off < n)
                return -EIO;
        *ret = r->s->buf.text + (r->off - r->s->written);
        r->off += n;
        return 0;
}

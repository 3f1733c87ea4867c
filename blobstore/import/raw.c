/* SPDX-License-Identifier: MIT */

/*
 * Raw: the guest's bytes are the file's bytes, whatever their number; the file's
 * own holes are the disk's.
 */

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "blobstore/base/io.h"
#include "blobstore/import/format_priv.h"

#define PIECE_BYTES (1 << 20)

struct raw_source {
        struct image_source base;
        int fd;
        uint64_t size_bytes;
        uint64_t pos;
        uint64_t data_end; /* data is known to go on to here; at or before pos: unknown */
        uint8_t *buf;
};

/* Gives the length of the hole at POS, and where there is none finds out how far the data goes. */
static int find_hole(struct raw_source *s, uint64_t *ret_len)
{
        off_t data, hole;

        data = lseek(s->fd, (off_t)s->pos, SEEK_DATA);
        if (data < 0 && errno == ENXIO)
                data = (off_t)s->size_bytes; /* nothing but a hole, or the file has shrunk: the end tells */
        else if (data < 0)
                data = (off_t)s->pos; /* a file system that does not know */
        if ((uint64_t)data > s->pos) {
                *ret_len = ((uint64_t)data < s->size_bytes ? (uint64_t)data : s->size_bytes) - s->pos;
                return 0;
        }

        hole = lseek(s->fd, (off_t)s->pos, SEEK_HOLE);
        s->data_end = hole < 0 || (uint64_t)hole > s->size_bytes ? s->size_bytes : (uint64_t)hole;
        if (s->data_end <= s->pos)
                return -EINVAL;
        *ret_len = 0;
        return 0;
}

static int truncated(struct strbuf *reason)
{
        return format_refuse(reason, "the file became shorter while it was read");
}

static int raw_next(struct image_source *base, const void **ret_buf, uint64_t *ret_len, struct strbuf *reason)
{
        struct raw_source *s = (struct raw_source *)base;
        uint64_t n = 0;
        ssize_t got;

        if (s->pos == s->size_bytes)
                return 0;
        if (s->pos >= s->data_end && find_hole(s, &n) < 0)
                return truncated(reason);
        if (n) {
                /* A file cut short looks like a hole up to the old end. */
                off_t end = lseek(s->fd, 0, SEEK_END);

                if (end < 0 || (uint64_t)end < s->pos + n)
                        return truncated(reason);
                *ret_buf = NULL;
        } else {
                n = s->data_end - s->pos < PIECE_BYTES ? s->data_end - s->pos : PIECE_BYTES;
                got = pread_full(s->fd, s->buf, n, s->pos);
                if (got < 0) {
                        strbuf_add(reason, "the file could not be read");
                        return (int)got;
                }
                if ((uint64_t)got < n)
                        return truncated(reason);
                *ret_buf = s->buf;
        }
        s->pos += n;
        *ret_len = n;
        return 1;
}

static void raw_close(struct image_source *base)
{
        struct raw_source *s = (struct raw_source *)base;

        free(s->buf);
        free(s);
}

static const struct source_ops raw_ops = { .next = raw_next, .close = raw_close };

int raw_open(int fd, const struct image_probe *probe, struct image_source **ret, struct strbuf *reason)
{
        struct raw_source *s;

        (void)reason;
        s = calloc(1, sizeof(*s));
        if (!s)
                return -ENOMEM;
        s->base.ops = &raw_ops;
        s->fd = fd;
        s->size_bytes = probe->size_bytes;
        s->buf = malloc(PIECE_BYTES);
        if (!s->buf) {
                free(s);
                return -ENOMEM;
        }
        (void)posix_fadvise(fd, 0, 0, POSIX_FADV_SEQUENTIAL); /* only speed is at stake */
        *ret = &s->base;
        return 0;
}

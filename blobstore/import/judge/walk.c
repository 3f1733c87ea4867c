/* SPDX-License-Identifier: MIT */

#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "blobstore/base/io.h"
#include "blobstore/import/judge/judge.h"

int walk_damaged(const struct walk *w, struct strbuf *reason, const char *what)
{
        return format_refuse(reason, "this %s file is damaged: %s", w->title, what);
}

int walk_truncated(const struct walk *w, struct strbuf *reason)
{
        return format_refuse(reason, "this %s file is truncated: it names data past its end", w->title);
}

int walk_start(int fd, const char *title, struct walk *ret, struct strbuf *reason)
{
        struct stat st;

        if (fstat(fd, &st) < 0) {
                strbuf_add(reason, "the file could not be read");
                return -errno;
        }
        *ret = (struct walk){ .fd = fd, .title = title, .file_bytes = (uint64_t)st.st_size };
        return 0;
}

void walk_done(struct walk *w)
{
        free(w->map);
        w->map = NULL;
}

bool walk_has(const struct walk *w, uint64_t offset, uint64_t len)
{
        return offset <= w->file_bytes && len <= w->file_bytes - offset;
}

int walk_read(const struct walk *w, void *buf, size_t len, uint64_t offset, struct strbuf *reason)
{
        ssize_t n;

        if (!walk_has(w, offset, len))
                return walk_truncated(w, reason);
        n = pread_full(w->fd, buf, len, offset);
        if (n < 0) {
                strbuf_add(reason, "the file could not be read");
                return (int)n;
        }
        return (size_t)n == len ? 0 : walk_truncated(w, reason);
}

int walk_entry(struct walk *w, uint64_t table, uint64_t i, size_t entry_bytes, const uint8_t **ret,
               struct strbuf *reason)
{
        uint64_t at = table + i * entry_bytes;
        uint64_t left;
        int r;

        if (at < w->piece_offset || at + entry_bytes > w->piece_offset + w->piece_len) {
                if (!walk_has(w, at, entry_bytes))
                        return walk_truncated(w, reason);
                left = w->file_bytes - at;
                w->piece_len = 0; /* of no use after an error */
                r = walk_read(w, w->piece, left < sizeof(w->piece) ? left : sizeof(w->piece), at, reason);
                if (r < 0)
                        return r;
                w->piece_offset = at;
                w->piece_len = left < sizeof(w->piece) ? left : sizeof(w->piece);
        }
        *ret = w->piece + (at - w->piece_offset);
        return 0;
}

int walk_place(struct walk *w, uint64_t bytes, struct strbuf *reason)
{
        w->placed_bytes += bytes;
        if (w->placed_bytes > w->file_bytes + w->block_bytes)
                return walk_damaged(w, reason, "parts of it lie at the same place");
        return 0;
}

int walk_block(struct walk *w, uint64_t offset, uint64_t len, uint64_t data_bytes, struct strbuf *reason)
{
        if (!walk_has(w, offset, len))
                return walk_truncated(w, reason);
        w->data_bytes += data_bytes;
        return walk_place(w, len, reason);
}

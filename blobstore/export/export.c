/* SPDX-License-Identifier: MIT */

#include "blobstore/export/export.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "blobstore/base/cleanup.h"
#include "blobstore/export/export_priv.h"
#include "blobstore/export/qcow2_view_priv.h"

static const char *const export_names[EXPORT_FORMAT_COUNT] = {
        [EXPORT_RAW] = "raw",
        [EXPORT_QCOW2] = "qcow2",
};

struct export {
        struct blob *blob;
        struct qcow2_view *view; /* NULL: raw */
        struct export_between *between; /* NULL: nothing of ours is around it; else its head is behind it */
        uint64_t off; /* where it begins in the blob; 0 of a view */
        uint64_t size_bytes;
};

const char *export_format_name(enum export_format f)
{
        return export_names[f];
}

int export_format_parse(const char *name, enum export_format *ret)
{
        for (unsigned f = 0; f < EXPORT_FORMAT_COUNT; f++)
                if (strcmp(export_names[f], name) == 0) {
                        *ret = (enum export_format)f;
                        return 0;
                }
        return -EINVAL;
}

uint64_t export_size(enum export_format f, const struct blob_info *info)
{
        return f == EXPORT_QCOW2 ? qcow2_view_size(info) : info->size_bytes;
}

uint64_t export_space(enum export_format f, const struct blob_info *info)
{
        return f == EXPORT_QCOW2 ? 1 : info->data_bytes;
}

int export_open(struct blob *b, enum export_format f, struct export **ret)
{
        struct export *e = calloc(1, sizeof(*e));
        int r = e ? 0 : -ENOMEM;

        if (r == 0 && f == EXPORT_QCOW2)
                r = qcow2_view_open(b, &e->view);
        if (r < 0) {
                free(e);
                blob_close(b);
                return r;
        }
        e->blob = b;
        e->size_bytes = export_size(f, blob_get_info(b));
        *ret = e;
        return 0;
}

int export_open_part(struct blob *b, uint64_t off, uint64_t len, struct export **ret)
{
        const uint64_t size = blob_get_info(b)->size_bytes;
        struct export *e;
        int r;

        if (off > size || len > size - off) {
                blob_close(b);
                return -EINVAL;
        }
        r = export_open(b, EXPORT_RAW, &e);
        if (r < 0)
                return r;
        e->off = off;
        e->size_bytes = len;
        *ret = e;
        return 0;
}

int export_open_between(struct blob *b, const struct export_between *parts, struct export **ret)
{
        CLEANUP_FREE struct export_between *own = malloc(sizeof(*own) + parts->head_n);
        struct export *e = own ? calloc(1, sizeof(*e)) : NULL;

        if (!e) {
                blob_close(b);
                return -ENOMEM;
        }
        *own = *parts;
        own->head = memcpy(own + 1, parts->head, parts->head_n);
        *e = (struct export){ .blob = b, .size_bytes = parts->head_n + parts->len + parts->zeros };
        e->between = TAKE_PTR(own);
        *ret = e;
        return 0;
}

void export_close(struct export *e)
{
        if (!e)
                return;
        free(e->between);
        qcow2_view_close(e->view);
        blob_close(e->blob);
        free(e);
}

uint64_t export_get_size(const struct export *e)
{
        return e->size_bytes;
}

struct blobstore *export_store(const struct export *e)
{
        return blob_store(e->blob);
}

struct blob *export_get_blob(const struct export *e)
{
        return e->view || e->between || e->size_bytes != blob_get_info(e->blob)->size_bytes ? NULL : e->blob;
}

static ssize_t between_pread(const struct export *e, uint8_t *buf, size_t n, uint64_t off)
{
        const struct export_between *b = e->between;
        const uint64_t zeros_at = b->head_n + b->len;
        size_t done = 0, part;

        if (off >= e->size_bytes)
                return 0;
        if (n > SSIZE_MAX)
                n = SSIZE_MAX;
        if (n > e->size_bytes - off)
                n = (size_t)(e->size_bytes - off);
        if (off < b->head_n) {
                done = n < b->head_n - off ? n : (size_t)(b->head_n - off);
                memcpy(buf, (const uint8_t *)b->head + off, done);
        }
        if (done < n && off + done < zeros_at) {
                const uint64_t at = off + done - b->head_n;
                ssize_t got;

                part = n - done < b->len - at ? n - done : (size_t)(b->len - at);
                got = blob_pread(e->blob, buf + done, part, b->off + at);
                if (got < 0 || (size_t)got < part)
                        return got < 0 ? got : -EBADMSG;
                done += part;
        }
        memset(buf + done, 0, n - done);
        return (ssize_t)n;
}

ssize_t export_pread(struct export *e, void *buf, size_t n, uint64_t off)
{
        if (e->between)
                return between_pread(e, buf, n, off);
        if (e->view)
                return qcow2_view_pread(e->view, buf, n, off);
        if (off >= e->size_bytes)
                return 0;
        return blob_pread(e->blob, buf, n < e->size_bytes - off ? n : (size_t)(e->size_bytes - off), e->off + off);
}

int export_stretch(struct export *e, uint64_t off, uint64_t *ret_off, size_t *ret_n)
{
        uint64_t from, end;
        size_t n;
        int r;

        r = e->view || e->between || off >= e->size_bytes ? 0 : blob_stretch(e->blob, e->off + off, &from, &n);
        if (r <= 0)
                return r;
        end = from + n - e->off < e->size_bytes ? from + n - e->off : e->size_bytes;
        *ret_off = from > e->off ? from - e->off : 0;
        *ret_n = (size_t)(end - *ret_off);
        return r;
}

int export_seek(struct export *e, uint64_t off, int whence, uint64_t *ret)
{
        uint64_t found;
        int r;

        if (whence != SEEK_DATA && whence != SEEK_HOLE)
                return -EINVAL;
        if (off >= e->size_bytes)
                return -ENXIO;
        if (e->view || e->between) {
                *ret = whence == SEEK_DATA ? off : e->size_bytes;
                return 0;
        }
        r = blob_seek(e->blob, e->off + off, whence, &found);
        if (r < 0)
                return r;
        found -= e->off;
        if (found >= e->size_bytes && whence == SEEK_DATA)
                return -ENXIO;
        *ret = found < e->size_bytes ? found : e->size_bytes;
        return 0;
}

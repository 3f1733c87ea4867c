/* SPDX-License-Identifier: MIT */

/*
 * The files of segments, by id, whoever appends to them: making, reading, punching, describing and removing them.
 */

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "blobstore/base/bytes.h"
#include "blobstore/base/cleanup.h"
#include "blobstore/base/dir.h"
#include "blobstore/base/io.h"
#include "blobstore/base/lock.h"
#include "blobstore/chunks/segment_priv.h"
#include "blobstore/objects/fd_cache.h"

#define SEGMENT_MAGIC "imfs-seg"
#define SEGMENT_VERSION 1

/* To append to, where objects are only read. */
int segment_file_open_to(struct segments *s, uint32_t id, int flags)
{
        char name[SEGMENT_NAME_SIZE];
        int fd;

        segment_name(id, name);
        fd = openat(s->objects.dir_fd, name, flags | O_CLOEXEC | O_NOFOLLOW, 0600);
        return fd < 0 ? -errno : fd;
}

int segment_file_open(void *ctx, uint32_t id)
{
        const struct segments *s = ctx;
        char name[SEGMENT_NAME_SIZE];
        int fd, r;

        segment_name(id, name);
        r = objects_open(&s->objects, name, &fd);
        return r < 0 ? r : fd;
}

int segment_file_make(struct segments *s, uint32_t id)
{
        uint8_t header[SEGMENT_HEADER_SIZE] = SEGMENT_MAGIC;
        CLEANUP_CLOSE int fd = -1;
        int r;

        fd = segment_file_open_to(s, id, O_RDWR | O_CREAT | O_EXCL);
        if (fd < 0)
                return fd;
        put_le32(header + 8, SEGMENT_VERSION);
        put_le32(header + 12, id);
        r = pwrite_full(fd, header, sizeof(header), 0);
        if (r < 0) {
                (void)segment_file_remove(s, id); /* on a full disk: nothing would ever look at it again */
                return r;
        }
        return TAKE_FD(fd);
}

int segments_read(struct segments *s, uint64_t place, void *buf, size_t n)
{
        struct fd_ref *ref;
        ssize_t got;
        int fd, r;

        r = fd_cache_get(s->readers, place_segment(place), &ref, &fd);
        if (r == -ENOENT && s->far)
                return segment_far_read(s->far, place_segment(place), place_offset(place), buf, n);
        if (r < 0)
                return r == -ENOENT ? -EBADMSG : r;
        got = pread_full(fd, buf, n, place_offset(place));
        fd_cache_put(s->readers, ref);
        if (got < 0)
                return (int)got;
        return (size_t)got == n ? 0 : -EBADMSG;
}

void segments_want(struct segments *s, uint32_t id, uint64_t from, uint64_t to)
{
        struct fd_ref *ref;
        int fd, r;

        if (!s->far)
                return;
        r = fd_cache_get(s->readers, id, &ref, &fd);
        if (r == -ENOENT)
                segment_far_want(s->far, id, from, to);
        else if (r == 0)
                fd_cache_put(s->readers, ref);
}

int segments_stat(struct segments *s, uint32_t id, uint64_t *ret_size, uint64_t *ret_allocated)
{
        char name[SEGMENT_NAME_SIZE];

        int r;

        segment_name(id, name);
        r = objects_stat(&s->objects, name, ret_size, ret_allocated);
        if (r != -ENOENT || !s->far)
                return r;
        r = segment_far_size(s->far, id, ret_size);
        if (r == 0)
                *ret_allocated = *ret_size;
        return r;
}

void segments_drop_cached(struct segments *s, uint32_t id)
{
        char name[SEGMENT_NAME_SIZE];

        segment_name(id, name);
        objects_drop_cached(&s->objects, name);
        if (s->far)
                segment_far_forget(s->far, id);
}

int segments_punch(struct segments *s, uint32_t id, uint64_t from, uint64_t to)
{
        char name[SEGMENT_NAME_SIZE];

        if (s->far)
                return -EOPNOTSUPP; /* nor a file that is on its way there, as its sum is known */
        segment_name(id, name);
        return objects_punch(&s->objects, name, from, to);
}

int segments_describe(struct segments *s, uint32_t id, struct footer *ret)
{
        struct fd_ref *ref;
        struct stat st;
        int fd, r;

        r = fd_cache_get(s->readers, id, &ref, &fd);
        if (r == -ENOENT && s->far)
                return segment_far_describe(s->far, id, s->store, ret);
        if (r < 0)
                return r;
        r = fstat(fd, &st) < 0 ? -errno : footer_read(fd, (uint64_t)st.st_size, s->store, id, ret);
        fd_cache_put(s->readers, ref);
        return r;
}

int segments_add_footer(struct segments *s, uint32_t id, const struct footer *f, uint64_t *ret_size)
{
        CLEANUP_CLOSE int fd = segment_file_open_to(s, id, O_RDWR);
        struct stat st;
        uint64_t len;
        int r;

        if (fd == -ENOENT && s->far)
                return segment_far_size(s->far, id, ret_size);
        if (fd < 0)
                return fd;
        if (fstat(fd, &st) < 0)
                return -errno;
        r = footer_write(f, fd, (uint64_t)st.st_size, s->store, id, &len);
        if (r < 0)
                return r;
        if (fsync(fd) < 0) {
                r = -errno;
                atomic_store(s->degraded, true);
                return r;
        }
        *ret_size = (uint64_t)st.st_size + len;
        return 0;
}

int segment_file_remove(struct segments *s, uint32_t id)
{
        char name[SEGMENT_NAME_SIZE];
        int r;

        segment_name(id, name);
        r = objects_remove(&s->objects, name);
        fd_cache_forget(s->readers, id);
        return r;
}

struct each_segment {
        struct segments *segments;
        uint32_t from;
        segments_each_fn *fn;
        void *ctx;
};

static int segments_each_name(void *ctx, const char *name)
{
        const struct each_segment *each = ctx;
        uint64_t size, allocated;
        uint32_t id;
        int r;

        if (segment_name_parse(name, &id) < 0 || id < each->from)
                return 0;
        r = objects_stat(&each->segments->objects, name, &size, &allocated);
        return r < 0 ? r : each->fn(each->ctx, id, size);
}

int segments_each_file(struct segments *s, uint32_t from, segments_each_fn *fn, void *ctx)
{
        struct each_segment each = { .segments = s, .from = from, .fn = fn, .ctx = ctx };

        return dir_each(s->objects.dir_fd, ".", segments_each_name, &each);
}

/* An object that is no file here, too. */
static int segments_each_far(void *ctx, uint32_t id, uint64_t size)
{
        const struct each_segment *each = ctx;
        char name[SEGMENT_NAME_SIZE];

        segment_name(id, name);
        return objects_exists(&each->segments->objects, name) ? 0 : each->fn(each->ctx, id, size);
}

int segments_each(struct segments *s, segments_each_fn *fn, void *ctx)
{
        struct each_segment each = { .segments = s, .fn = fn, .ctx = ctx };
        int r;

        /* The files first: one may become an object meanwhile, and be told twice, but none is missed. */
        r = segments_each_file(s, 0, fn, ctx);
        return r < 0 || !s->far ? r : segment_far_each(s->far, segments_each_far, &each);
}

/* SPDX-License-Identifier: MIT */

/*
 * Compressed disks and OVA archives. A child (unpacker/, confined as qemu is) takes them apart into a stream, and each
 * disk in it becomes a file without a name in a directory of the store, so that it goes in every case with its
 * descriptor. Blocks of zeros are left out of it.
 */

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "blobstore/base/block.h"
#include "blobstore/base/child.h"
#include "blobstore/base/cleanup.h"
#include "blobstore/base/io.h"
#include "blobstore/base/log.h"
#include "blobstore/base/nameless.h"
#include "blobstore/base/parse.h"
#include "blobstore/import/format_priv.h"
#include "blobstore/import/unpacker/stream.h"

#define PROGRAM      "imagefs-unpack"
#define BLOCK_BYTES  4096
#define SILENCE_MS   60000
#define EXIT_MS      5000
#define SENTENCE_MAX 300

#define CHILD_MEMORY_BYTES (UINT64_C(512) << 20) /* the largest dictionaries of xz -9 and zstd fit */
#define CHILD_CPU_SECONDS(file_bytes) (60 + (file_bytes) / (256 << 10))

static const char *const verbs[] = {
        [IMAGE_PACKING_GZIP] = "gzip",
        [IMAGE_PACKING_XZ] = "xz",
        [IMAGE_PACKING_ZSTD] = "zstd",
        [IMAGE_PACKING_OVA] = "ova",
};

struct unpack {
        struct image_pack *pack;
        int dir_fd; /* borrowed */
        int pipe_fd;
        uint64_t file_bytes;
        int current; /* number of the disk that is coming in, or -1 */
        uint64_t disk_bytes; /* of that one */
        uint64_t total_bytes, data_bytes;
        bool ended;
        uint8_t buf[UNPACK_FRAME_MAX + 1];
};

/* ---- the stream ---- */

static int read_full(struct unpack *u, void *buf, size_t n, struct strbuf *reason)
{
        struct pollfd ready = { .fd = u->pipe_fd, .events = POLLIN };
        uint8_t *at = buf;
        ssize_t got;
        int r;

        while (n > 0) {
                r = poll(&ready, 1, SILENCE_MS);
                if (r < 0 && errno != EINTR)
                        return -errno;
                if (r == 0) {
                        strbuf_add(reason, "unpacking this file took too long and was given up");
                        return -ETIMEDOUT;
                }
                if (r < 0)
                        continue;
                got = read(u->pipe_fd, at, n);
                if (got < 0 && errno != EINTR)
                        return -errno;
                if (got == 0) /* it died: out of memory or time, or of what it read */
                        return format_refuse(reason, "this file could not be unpacked: it is damaged, or takes more "
                                             "memory or time than it may");
                if (got > 0) {
                        at += got;
                        n -= (size_t)got;
                }
        }
        return 0;
}

/* ---- disks ---- */

static int end_disk(struct unpack *u)
{
        if (u->current < 0)
                return 0;
        return ftruncate(u->pack->disk_fd[u->current], (off_t)u->disk_bytes) < 0 ? -errno : 0;
}

static int begin_disk(struct unpack *u, size_t n)
{
        unsigned disk = u->buf[0];
        int r;

        r = end_disk(u);
        if (r < 0)
                return r;
        if (n != 1 || disk >= IMAGE_DISKS_MAX || u->pack->disk_fd[disk] >= 0)
                return -EINVAL;
        r = nameless_open(u->dir_fd);
        if (r < 0)
                return r;
        u->pack->disk_fd[disk] = r;
        u->current = (int)disk;
        u->disk_bytes = 0;
        if (u->pack->n_disks <= disk)
                u->pack->n_disks = disk + 1;
        return 0;
}

static bool is_zero(const uint8_t *p, size_t n)
{
        return p[0] == 0 && memcmp(p, p + 1, n - 1) == 0;
}

/* Runs of blocks that are not zero are written as they come. */
static int write_sparse(struct unpack *u, const uint8_t *p, size_t n)
{
        size_t done = 0, start = 0;
        int r;

        for (;;) {
                size_t part = n - done < BLOCK_BYTES ? n - done : BLOCK_BYTES;
                bool hole = part > 0 && is_zero(p + done, part);

                if ((part == 0 || hole) && done > start) {
                        r = pwrite_full(u->pack->disk_fd[u->current], p + start, done - start, u->disk_bytes + start);
                        if (r < 0)
                                return r;
                        u->data_bytes += done - start;
                }
                if (part == 0)
                        break;
                done += part;
                if (hole)
                        start = done;
        }
        u->disk_bytes += n;
        u->total_bytes += n;
        return 0;
}

static int add_data(struct unpack *u, size_t n, struct strbuf *reason)
{
        int r;

        if (u->current < 0)
                return -EINVAL;
        r = write_sparse(u, u->buf, n);
        if (r < 0)
                return r;
        if (u->disk_bytes > BLOB_SIZE_MAX)
                return format_refuse(reason, "the disk in this file is larger than %llu TiB",
                                     (unsigned long long)(BLOB_SIZE_MAX >> 40));
        if (u->total_bytes > growth_limit(u->file_bytes, GROWTH_TOTAL_FACTOR) ||
            u->data_bytes > growth_limit(u->file_bytes, GROWTH_DATA_FACTOR))
                return format_refuse(reason, "this file unpacks to far more than a disk that is compressed does: if it "
                                     "is meant, unpack it first");
        return 0;
}

/* ---- what is said of them ---- */

static void take_hint(struct unpack *u, const char *text)
{
        static const struct {
                const char *key;
                size_t place, size;
        } hints[] = {
                { "os=", offsetof(struct image_pack, os), sizeof(u->pack->os) },
                { "platform=", offsetof(struct image_pack, platform), sizeof(u->pack->platform) },
                { "description=", offsetof(struct image_pack, description), sizeof(u->pack->description) },
        };

        for (size_t i = 0; i < sizeof(hints) / sizeof(hints[0]); i++) {
                size_t n = strlen(hints[i].key);

                if (strncmp(text, hints[i].key, n) == 0 && text_is_clean(text + n, strlen(text + n)) &&
                    strlen(text + n) < hints[i].size)
                        (void)snprintf((char *)u->pack + hints[i].place, hints[i].size, "%s", text + n);
        }
}

static int take_frame(struct unpack *u, const struct unpack_header *h, struct strbuf *reason)
{
        switch (h->frame) {
        case UNPACK_DISK:
                return begin_disk(u, h->len);
        case UNPACK_DATA:
                return add_data(u, h->len, reason);
        case UNPACK_HINT:
                take_hint(u, (const char *)u->buf);
                return 0;
        case UNPACK_REFUSED:
                if (h->len > SENTENCE_MAX || !text_is_clean((const char *)u->buf, h->len))
                        return -EINVAL;
                return format_refuse(reason, "%s", (const char *)u->buf);
        case UNPACK_END:
                u->ended = true;
                return end_disk(u);
        default:
                return -EINVAL;
        }
}

static int take_stream(struct unpack *u, unpack_progress_fn *progress, void *ctx, struct strbuf *reason)
{
        struct unpack_header h;
        int r;

        while (!u->ended) {
                r = read_full(u, &h, sizeof(h), reason);
                if (r == 0 && h.len > UNPACK_FRAME_MAX)
                        r = -EINVAL;
                if (r == 0)
                        r = read_full(u, u->buf, h.len, reason);
                if (r < 0)
                        return r;
                u->buf[h.len] = '\0';
                r = take_frame(u, &h, reason);
                if (r == 0 && progress)
                        r = progress(ctx);
                if (r < 0)
                        return r;
        }
        for (size_t i = 0; i < u->pack->n_disks; i++) {
                if (u->pack->disk_fd[i] < 0)
                        return -EINVAL;
        }
        return u->pack->n_disks > 0 ? 0 : -EINVAL;
}

/* ---- starting ---- */

static int start_child(int fd, int pipe_fd, enum image_packing packing, uint64_t file_bytes, struct child **ret,
                       struct strbuf *reason)
{
        CLEANUP_STRBUF struct strbuf program = { 0 };
        const char *argv[] = { NULL, verbs[packing], NULL };
        struct child_opts opts = {
                .argv = argv,
                .fds = { { .fd = fd }, { .fd = pipe_fd } },
                .n_fds = 2,
                .memory_bytes = CHILD_MEMORY_BYTES,
                .cpu_seconds = CHILD_CPU_SECONDS(file_bytes),
        };

        if (child_find_program(PROGRAM, &program) < 0) {
                strbuf_addf(reason, "imagefs was built here without libarchive, which reading %s files takes: unpack "
                            "it first", verbs[packing]);
                return -EOPNOTSUPP;
        }
        argv[0] = strbuf_text(&program);
        if (lseek(fd, 0, SEEK_SET) < 0)
                return -errno;
        return child_start(&opts, ret, reason);
}

static int run(struct unpack *u, int fd, enum image_packing packing, unpack_progress_fn *progress, void *ctx,
               struct strbuf *reason)
{
        CLEANUP_CLOSE int write_end = -1;
        struct child *child = NULL;
        struct stat st;
        int ends[2];
        int r;

        if (fstat(fd, &st) < 0 || pipe2(ends, O_CLOEXEC) < 0)
                return -errno;
        u->file_bytes = (uint64_t)st.st_size;
        u->pipe_fd = ends[0];
        write_end = ends[1];
        (void)fcntl(write_end, F_SETPIPE_SZ, UNPACK_FRAME_MAX); /* only speed is at stake */

        r = start_child(fd, write_end, packing, u->file_bytes, &child, reason);
        cleanup_close(&write_end);
        write_end = -1;
        if (r == 0)
                r = take_stream(u, progress, ctx, reason);
        if (r == -EINVAL && strbuf_text(reason)[0] == '\0')
                strbuf_add(reason, "this file could not be unpacked");
        if (r < 0 && child)
                log_debug(PROGRAM ": %s", child_output(child));
        child_kill_and_wait(child);
        return r;
}

int image_unpack(int fd, const struct image_probe *probe, int dir_fd, unpack_progress_fn *progress, void *ctx,
                 struct image_pack *ret, struct strbuf *reason)
{
        struct unpack *u;
        int r;

        u = malloc(sizeof(*u));
        if (!u)
                return -ENOMEM;
        *u = (struct unpack){ .pack = ret, .dir_fd = dir_fd, .pipe_fd = -1, .current = -1 };
        *ret = (struct image_pack){ 0 };
        for (size_t i = 0; i < IMAGE_DISKS_MAX; i++)
                ret->disk_fd[i] = -1;

        r = run(u, fd, probe->packing, progress, ctx, reason);
        cleanup_close(&u->pipe_fd);
        free(u);
        if (r < 0)
                image_pack_done(ret);
        return r;
}

void image_pack_done(struct image_pack *p)
{
        for (size_t i = 0; i < p->n_disks; i++)
                cleanup_close(&p->disk_fd[i]);
        p->n_disks = 0;
}

/* SPDX-License-Identifier: MIT */

/*
 * An intake is a file at first. When its first bytes are there without a gap, and look like a disk as it is, they go
 * to a blob's writer, and all that follows in order does:
 *
 *      file ──the first INTAKE_HEAD_BYTES are there──► stream ──intake_commit()──► blob
 *       ▲                                                │
 *       │                                                ├── written to once more, or cut off
 *       │                                                ▼
 *       └──intake_settle(): read back from the store── patched
 *
 * Patched, the writer keeps what was streamed, and all that follows goes to the file, which is told apart by ranges: to
 * read gigabytes back is not for whoever writes a byte to wait for. A stream that turns out to be no plain disk at its
 * end is settled, too.
 *
 * The file keeps the first bytes of a stream, and is given the last ones and the length for whoever wants to look what
 * it is: signatures stand nowhere else. Gaps become holes.
 *
 * Where another process may go on with it, the file of a stream has all of its bytes, too, as long as there is room: the
 * writer's are lost with the process. The file's mode says that it has, since nothing else goes on with it and off it at
 * once. Then a stream that ends early is simply given up.
 *
 * An upload of 3 GiB by way of the file cost half its processor time in the kernel: a page of the page cache for each
 * piece, the write to the disk, and the way back.
 */

#include "blobstore/blobs/intake.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "blobstore/base/io.h"
#include "blobstore/base/lock.h"
#include "blobstore/blobs/store.h"

/* Streams at once in a store, each with a writer's buffers, some 10 MiB. More uploads than that go by way of files. */
#define INTAKE_STREAMS_MAX 8

#define INTAKE_RANGES_MAX 65536 /* a megabyte of them; with more the stream is read back at once */
#define INTAKE_PIECE      ((size_t)1 << 20)
#define INTAKE_END_BYTES  512 /* that signatures stand in */
#define INTAKE_WHOLE      S_IXUSR /* of a file's mode: it has all that was taken */
#define INTAKE_SHOWN_SIZE (UINT64_C(1) << 30) /* where the file system takes no longer file; ext4: 16 TiB */

struct intake_range {
        uint64_t from, to;
};

struct intake {
        struct blobstore *store;
        int fd;
        struct intake_ops ops;
        void *ctx;

        pthread_mutex_t lock; /* everything below */
        int error; /* final */
        uint64_t size; /* of what was written */
        uint64_t data_end; /* after the last byte written */
        uint64_t in_order; /* the bytes before this were written without a gap, and those of a stream are in the writer */
        bool is_judged; /* whether it is to be a stream */
        bool in_file; /* it is to be none */
        bool lasts; /* another process may go on with it */
        bool is_marked; /* it can: the file has all that was taken, and its mode says so */
        struct blob_writer *writer; /* NULL: the bytes are in the file */
        bool is_patched; /* of the bytes before KEPT the writer has those that are in no range, the file all others */
        uint64_t kept;
        struct intake_range *ranges; /* in order, and apart */
        size_t n_ranges, max_ranges;
        time_t begun; /* when the writer did */
        uint8_t last[INTAKE_END_BYTES]; /* of a stream, before in_order */
};

int intake_new(struct blobstore *bs, int fd, const struct intake_ops *ops, void *ctx, struct intake **ret)
{
        struct intake *in;

        in = calloc(1, sizeof(*in));
        if (!in)
                return -ENOMEM;
        in->store = bs;
        in->fd = fd;
        in->ops = *ops;
        in->ctx = ctx;
        pthread_mutex_init(&in->lock, NULL);
        *ret = in;
        return 0;
}

static void intake_drop_writer(struct intake *in)
{
        if (!in->writer)
                return;
        blob_writer_free(TAKE_PTR(in->writer));
        atomic_fetch_sub(&in->store->streams, 1);
}

void intake_free(struct intake *in)
{
        if (!in)
                return;
        lock(&in->lock); /* a write may still be at what it was given */
        intake_drop_writer(in);
        free(in->ranges);
        unlock(&in->lock);
        pthread_mutex_destroy(&in->lock);
        free(in);
}

/* All that follows is called with the lock held. */

static time_t intake_now(void)
{
        struct timespec ts;

        (void)clock_gettime(CLOCK_MONOTONIC, &ts); /* cannot fail */
        return ts.tv_sec;
}

static int intake_mark(struct intake *in, bool whole)
{
        if (fchmod(in->fd, S_IRUSR | S_IWUSR | (whole ? INTAKE_WHOLE : 0)) < 0)
                return -errno;
        in->is_marked = whole;
        return 0;
}

static int intake_fail(struct intake *in, int r)
{
        if (r < 0)
                in->error = r;
        if (r < 0 && in->is_marked)
                (void)intake_mark(in, false); /* on a disk that takes no mode nothing goes on either */
        return r;
}

/* ---- streams ---- */

/* Notes the last bytes of a piece that begins where the stream ends; NULL: zeros. */
static void intake_note_last(struct intake *in, const uint8_t *buf, uint64_t n)
{
        size_t new = n < INTAKE_END_BYTES ? (size_t)n : INTAKE_END_BYTES;
        size_t old = INTAKE_END_BYTES - new;

        memmove(in->last, in->last + new, old);
        if (buf)
                memcpy(in->last + old, buf + (n - new), new);
        else
                memset(in->last + old, 0, new);
        in->in_order += n;
}

static int stream_append(struct intake *in, const void *buf, size_t n)
{
        int r;

        r = blob_writer_append(in->writer, buf, n);
        if (r == 0)
                intake_note_last(in, buf, n);
        return r;
}

static int stream_hole(struct intake *in, uint64_t n)
{
        int r;

        r = blob_writer_hole(in->writer, n);
        if (r == 0)
                intake_note_last(in, NULL, n);
        return r;
}

/* Gives the writer what is in the file, up to IN_ORDER. */
static int stream_catch_up(struct intake *in, uint8_t *buf)
{
        const uint64_t end = in->in_order;
        int r = 0;

        for (in->in_order = 0; r == 0 && in->in_order < end;) {
                size_t n = end - in->in_order < INTAKE_PIECE ? (size_t)(end - in->in_order) : INTAKE_PIECE;
                ssize_t got = pread_full(in->fd, buf, n, in->in_order);

                if (got < 0)
                        r = (int)got;
                else
                        r = (size_t)got < n ? -EIO : stream_append(in, buf, n);
        }
        in->in_order = end;
        return r;
}

/* Makes a stream of the file, where it can be one. What goes wrong leaves the file as it is. */
static void intake_judge(struct intake *in)
{
        CLEANUP_FREE uint8_t *buf = NULL;

        in->is_judged = true;
        if (in->in_file || in->data_end > in->in_order) /* pieces further on are there already */
                return;
        buf = malloc(INTAKE_PIECE);
        if (!buf || pread_full(in->fd, buf, INTAKE_HEAD_BYTES, 0) < (ssize_t)INTAKE_HEAD_BYTES ||
            !in->ops.begins_plain(in->ctx, buf))
                return;
        if (atomic_fetch_add(&in->store->streams, 1) >= INTAKE_STREAMS_MAX ||
            blob_writer_new(in->store, &in->writer) < 0) {
                atomic_fetch_sub(&in->store->streams, 1);
                return;
        }
        in->begun = intake_now();
        if (stream_catch_up(in, buf) < 0)
                intake_drop_writer(in);
}

/* ---- patches ---- */

static void patch_end(struct intake *in)
{
        free(TAKE_PTR(in->ranges));
        in->n_ranges = in->max_ranges = 0;
        in->is_patched = false;
}

/* From here on the file has what is written; whatever of the stream was put into it goes, unless that is all of it. */
static int patch_begin(struct intake *in)
{
        if (in->is_patched)
                return 0;
        if (in->is_marked) {
                intake_drop_writer(in);
                return 0;
        }
        if (ftruncate(in->fd, 0) < 0)
                return -errno;
        in->is_patched = true;
        in->kept = in->in_order;
        return 0;
}

static size_t patch_find(const struct intake *in, uint64_t off)
{
        size_t low = 0, high = in->n_ranges;

        while (low < high) {
                size_t middle = low + (high - low) / 2;

                if (in->ranges[middle].to < off)
                        low = middle + 1;
                else
                        high = middle;
        }
        return low;
}

/* Notes that the file has the bytes FROM to TO, one range with those that it touches. */
static int patch_note(struct intake *in, uint64_t from, uint64_t to)
{
        size_t first = patch_find(in, from), end = first;

        for (; end < in->n_ranges && in->ranges[end].from <= to; end++) {
                if (in->ranges[end].from < from)
                        from = in->ranges[end].from;
                if (in->ranges[end].to > to)
                        to = in->ranges[end].to;
        }
        if (end == first && in->n_ranges == in->max_ranges) {
                size_t max = in->max_ranges ? 2 * in->max_ranges : 16;
                struct intake_range *ranges = realloc(in->ranges, max * sizeof(*ranges));

                if (!ranges)
                        return -ENOMEM;
                in->ranges = ranges;
                in->max_ranges = max;
        }
        memmove(in->ranges + first + 1, in->ranges + end, (in->n_ranges - end) * sizeof(*in->ranges));
        in->ranges[first] = (struct intake_range){ from, to };
        in->n_ranges = in->n_ranges - (end - first) + 1;
        return 0;
}

static void patch_cut(struct intake *in, uint64_t size)
{
        if (size >= in->kept)
                return;
        in->kept = size;
        while (in->n_ranges > 0 && in->ranges[in->n_ranges - 1].from >= size)
                in->n_ranges--;
        if (in->n_ranges > 0 && in->ranges[in->n_ranges - 1].to > size)
                in->ranges[in->n_ranges - 1].to = size;
}

struct settling {
        struct intake *in;
        intake_progress_fn *progress;
        void *ctx;
        uint8_t *buf;
        size_t range; /* the first that ends after what was written */
};

/* Writes what the blob has there to the file, but for what the file has. */
static int settle_range(struct settling *s, struct blob *b, uint64_t from, uint64_t to)
{
        struct intake *in = s->in;
        uint64_t end;
        ssize_t n;
        int r;

        while (from < to) {
                while (s->range < in->n_ranges && in->ranges[s->range].to <= from)
                        s->range++;
                end = to;
                if (s->range < in->n_ranges && in->ranges[s->range].from <= from) {
                        from = in->ranges[s->range].to;
                        continue;
                }
                if (s->range < in->n_ranges && in->ranges[s->range].from < end)
                        end = in->ranges[s->range].from;
                r = s->progress ? s->progress(s->ctx) : 0;
                if (r < 0)
                        return r;
                n = blob_pread(b, s->buf, end - from < INTAKE_PIECE ? (size_t)(end - from) : INTAKE_PIECE, from);
                if (n < 0)
                        return (int)n;
                r = in->ops.room(in->ctx, (uint64_t)n);
                if (r == 0)
                        r = pwrite_full(in->fd, s->buf, (size_t)n, from);
                if (r < 0)
                        return r;
                from += (uint64_t)n;
        }
        return 0;
}

/* Holes stay holes. */
static int settle_bytes(struct intake *in, struct blob *b, intake_progress_fn *progress, void *ctx)
{
        CLEANUP_FREE uint8_t *buf = malloc(INTAKE_PIECE);
        struct settling s = { .in = in, .progress = progress, .ctx = ctx, .buf = buf };
        uint64_t data, hole = 0;
        int r;

        if (!buf)
                return -ENOMEM;
        while ((r = blob_seek(b, hole, SEEK_DATA, &data)) == 0 && data < in->kept) {
                r = blob_seek(b, data, SEEK_HOLE, &hole);
                if (r == 0)
                        r = settle_range(&s, b, data, hole < in->kept ? hole : in->kept);
                if (r < 0)
                        return r;
        }
        return r == -ENXIO ? 0 : r;
}

/* Whoever writes meanwhile waits. */
static int stream_settle(struct intake *in, intake_progress_fn *progress, void *ctx)
{
        struct blob_id id;
        struct blob *b;
        int r;

        r = patch_begin(in);
        if (r == 0 && !in->writer)
                return 0;
        if (r == 0)
                r = blob_writer_commit(in->writer, &b);
        if (r == 0) {
                r = settle_bytes(in, b, progress, ctx);
                id = *blob_get_id(b);
                blob_close(b);
                (void)blob_remove(in->store, &id); /* else the next start finds that nothing names it */
        }
        if (r == 0 && ftruncate(in->fd, (off_t)in->size) < 0)
                r = -errno;
        intake_drop_writer(in);
        patch_end(in);
        return r;
}

/* ---- writing ---- */

static int file_put(struct intake *in, const void *buf, size_t n, uint64_t off)
{
        int r;

        r = pwrite_full(in->fd, buf, n, off);
        if (r < 0 && store_make_room(in->store, r))
                r = pwrite_full(in->fd, buf, n, off);
        return r;
}

static int file_write(struct intake *in, const void *buf, size_t n, uint64_t off)
{
        int r;

        r = file_put(in, buf, n, off);
        if (r < 0)
                return r;
        if (off <= in->in_order && off + n > in->in_order)
                in->in_order = off + n;
        if (off + n > in->data_end)
                in->data_end = off + n;
        return 0;
}

static int stream_write(struct intake *in, const void *buf, size_t n, uint64_t off)
{
        int r = 0;

        if (off > in->in_order)
                r = stream_hole(in, off - in->in_order);
        if (r == 0)
                r = stream_append(in, buf, n);
        in->data_end = in->in_order;
        return r;
}

/* The stream goes on without another process: the file has what it has of any stream. */
static int stream_stop_lasting(struct intake *in)
{
        const int r = intake_mark(in, false);

        return r < 0 || ftruncate(in->fd, INTAKE_HEAD_BYTES) == 0 ? r : -errno;
}

/* What has to be done with a write before it counts as taken: all of it, unless there is a stream that goes on. */
static int intake_take(struct intake *in, const void *buf, size_t n, uint64_t off)
{
        int r = 0;

        if (in->error < 0)
                return in->error;
        if (n == 0)
                return 0;
        if (in->writer && off < in->in_order)
                r = patch_begin(in);
        if (r == 0 && in->is_patched && in->n_ranges >= INTAKE_RANGES_MAX)
                r = stream_settle(in, NULL, NULL);
        if (r == 0 && (!in->writer || in->is_patched))
                r = file_write(in, buf, n, off);
        else if (r == 0 && in->is_marked && file_put(in, buf, n, off) < 0)
                r = stream_stop_lasting(in);
        if (r == 0 && in->is_patched && off < in->kept)
                r = patch_note(in, off, off + n < in->kept ? off + n : in->kept);
        if (r < 0)
                return intake_fail(in, r);
        if (off + n > in->size)
                in->size = off + n;
        return 0;
}

/*
 * Whoever copies a disk in reads its next piece while this one is cut, hashed and handed to the store's threads. Who
 * writes that next piece waits for the lock: there is one on its way, and not more.
 */
int intake_write(struct intake *in, const void *buf, size_t n, uint64_t off, intake_taken_fn *taken, void *ctx)
{
        int r;

        LOCK_SCOPE(&in->lock);
        r = intake_take(in, buf, n, off);
        if (r < 0)
                return r;
        if (taken)
                taken(ctx);
        if (in->writer && !in->is_patched && n > 0)
                (void)intake_fail(in, stream_write(in, buf, n, off));
        else if (!in->is_judged && in->in_order >= INTAKE_HEAD_BYTES)
                intake_judge(in);
        return 0;
}

int intake_truncate(struct intake *in, uint64_t size)
{
        int r = 0;

        LOCK_SCOPE(&in->lock);
        if (size == 0) {
                intake_drop_writer(in);
                patch_end(in);
                in->error = 0;
                in->is_judged = false;
        } else if (in->error < 0) {
                return in->error;
        } else if (in->writer && size < in->in_order) {
                r = patch_begin(in);
        }
        if (r == 0 && in->is_patched)
                patch_cut(in, size);
        if (r == 0 && (!in->writer || in->is_patched) && ftruncate(in->fd, (off_t)size) < 0)
                r = -errno;
        else if (r == 0 && in->writer && in->is_marked && ftruncate(in->fd, (off_t)size) < 0)
                r = stream_stop_lasting(in);
        if (r == 0 && size == 0 && in->lasts)
                (void)intake_mark(in, true); /* else no other process goes on */
        if (r < 0)
                return intake_fail(in, r);
        in->size = size;
        if (size < in->in_order)
                in->in_order = size;
        if (size < in->data_end)
                in->data_end = size;
        return 0;
}

/* ---- over the end of a process ---- */

void intake_last(struct intake *in)
{
        LOCK_SCOPE(&in->lock);
        in->lasts = intake_mark(in, true) == 0;
}

int intake_resume(struct intake *in)
{
        struct stat st;

        if (fstat(in->fd, &st) < 0)
                return -errno;
        if (!(st.st_mode & INTAKE_WHOLE))
                return -ESTALE;
        LOCK_SCOPE(&in->lock);
        in->lasts = in->is_marked = true;
        in->is_judged = in->in_file = true;
        in->size = in->data_end = in->in_order = (uint64_t)st.st_size;
        return 0;
}

void intake_spoil(struct intake *in)
{
        LOCK_SCOPE(&in->lock);
        if (in->is_marked)
                (void)intake_mark(in, false); /* as in intake_fail() */
}

bool intake_give_way(struct intake *in)
{
        LOCK_SCOPE(&in->lock);
        return in->writer && in->is_marked && stream_stop_lasting(in) == 0;
}

/* ---- its state, and its end ---- */

bool intake_keep_in_file(struct intake *in)
{
        LOCK_SCOPE(&in->lock);
        if (in->is_marked)
                intake_drop_writer(in);
        if (in->writer)
                return false;
        in->in_file = true;
        return true;
}

bool intake_is_streaming(struct intake *in)
{
        LOCK_SCOPE(&in->lock);
        return in->writer && !in->is_patched;
}

bool intake_is_whole(struct intake *in)
{
        LOCK_SCOPE(&in->lock);
        return !in->is_patched;
}

int intake_renew(struct intake *in, unsigned seconds)
{
        int r;

        LOCK_SCOPE(&in->lock);
        if (in->error < 0)
                return in->error;
        if (!in->writer || intake_now() - in->begun < (time_t)seconds)
                return 0;
        r = blob_writer_renew(&in->writer);
        in->begun = intake_now();
        return intake_fail(in, r);
}

int intake_sync(struct intake *in)
{
        LOCK_SCOPE(&in->lock);
        if (in->error < 0)
                return in->error;
        return in->writer ? intake_fail(in, blob_writer_sync(in->writer)) : 0;
}

/* The last bytes of a stream that ends at SIZE, after a hole of HOLE bytes. */
static int show_end(struct intake *in, uint64_t size, uint64_t hole)
{
        int r;

        r = pwrite_full(in->fd, in->last, INTAKE_END_BYTES, size - hole - INTAKE_END_BYTES);
        if (r == 0 && ftruncate(in->fd, (off_t)size) < 0)
                r = -errno;
        return r;
}

int intake_show(struct intake *in)
{
        uint64_t hole;
        int r;

        LOCK_SCOPE(&in->lock);
        if (in->error < 0)
                return in->error;
        if (!in->writer || in->is_patched || in->is_marked)
                return 0;
        hole = in->size - in->in_order;
        r = show_end(in, in->size, hole);
        if (r == -EFBIG)
                r = show_end(in, INTAKE_SHOWN_SIZE + in->size % BLOB_BLOCK_SIZE,
                             hole < INTAKE_SHOWN_SIZE / 2 ? hole : INTAKE_SHOWN_SIZE / 2);
        return intake_fail(in, r);
}

int intake_commit(struct intake *in, struct blob **ret)
{
        struct blob *b = NULL;
        int r = 0;

        LOCK_SCOPE(&in->lock);
        if (in->error < 0)
                return in->error;
        if (in->is_patched) {
                r = stream_settle(in, NULL, NULL);
        } else if (in->writer) {
                r = stream_hole(in, in->size - in->in_order);
                if (r == 0)
                        r = blob_writer_commit(in->writer, &b);
                intake_drop_writer(in);
        }
        if (r < 0)
                return intake_fail(in, r);
        *ret = b;
        return 0;
}

int intake_settle(struct intake *in, intake_progress_fn *progress, void *ctx)
{
        LOCK_SCOPE(&in->lock);
        if (in->error < 0)
                return in->error;
        return in->writer ? intake_fail(in, stream_settle(in, progress, ctx)) : 0;
}

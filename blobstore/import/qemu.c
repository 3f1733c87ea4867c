/* SPDX-License-Identifier: MIT */

/*
 * Reads a format through qemu-nbd, confined, with libnbd at this end. The child has
 * the file, one connected client, and nothing else: no other file can be named by
 * what it reads. It opens the file by its descriptor, which it is lent as root's
 * child (child_lend.h); nobody else can read the file meanwhile.
 *
 * The listening socket that qemu-nbd wants lives at a path in a private directory
 * for as long as it takes to connect to it ourselves; then the path is gone, and
 * nobody else can be its client.
 *
 * A ring of runs, in the order of the disk, lies between the child and the caller:
 * holes, and reads in flight. The first is the one handed out next. Reads are cut at
 * multiples of PIECE_BYTES, the largest cluster of a qcow2, so that no compressed
 * cluster is decoded twice. Holes are what the child says reads as zeros, or what the
 * walk over the file's tables has found where the child does not know.
 *
 * An answer must be complete ANSWER_MS after it is waited for, or the child is killed.
 */

#include <errno.h>
#include <libnbd.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "blobstore/base/block.h"
#include "blobstore/base/child.h"
#include "blobstore/base/cleanup.h"
#include "blobstore/base/log.h"
#include "blobstore/import/format_priv.h"

#define PIECE_BYTES   (UINT64_C(2) << 20)
#define RING_RUNS     8
#define EXTENTS_MAX   1024
#define STATUS_BYTES  (UINT64_C(1) << 31) /* asked about at once; the protocol's lengths have 32 bits */
#define HOLE_BYTES    (UINT64_C(64) << 30) /* a longer one is handed out in parts: the caller may want to stop */
#define ANSWER_MS     60000
#define EXIT_MS       1000 /* for a child that has closed its connection */

#define CHILD_MEMORY_BYTES (UINT64_C(1) << 30)
/*
 * An order of magnitude below what one core decompresses; opening a file is granted a minute. What a file claims to
 * hold brings no more than what it has.
 */
#define CHILD_CPU_OPEN      60
#define CHILD_CPU_DATA_RATE (16 << 20) /* of the disk, bytes in a second */
#define CHILD_CPU_FILE_RATE (256 << 10) /* likewise of the file, as unpacking has it */

#define CONTEXT LIBNBD_CONTEXT_BASE_ALLOCATION

/* The number of the file in the child: 3 is the listening socket. */
#define CHILD_FILE_FD "4"

static const char *const programs[] = {
        "/usr/bin/qemu-nbd",
        "/usr/local/bin/qemu-nbd",
        "/run/current-system/sw/bin/qemu-nbd",
};

struct run {
        uint64_t len;
        bool hole;
        int64_t cookie; /* of the read, where it is not a hole */
        uint8_t *buf; /* made when first needed, kept for the next one */
};

struct extent {
        uint64_t len;
        bool hole;
};

struct qemu_source {
        struct image_source base;
        struct child *child;
        struct nbd_handle *nbd;
        const char *title;
        int timeout_ms;
        int error; /* final */
        uint8_t *map; /* of data; NULL: the child is asked */
        uint64_t map_block_bytes;
        uint64_t size_bytes;
        uint64_t file_bytes;
        uint64_t given; /* handed out up to here */
        uint64_t given_data; /* of that, what is not zero */
        uint64_t planned; /* in the ring up to here */
        struct run ring[RING_RUNS];
        unsigned first, n_runs;
        bool lent; /* the first run is the caller's until the next call */
        struct extent extents[EXTENTS_MAX]; /* what is known from `planned` on */
        unsigned first_extent, n_extents;
        uint64_t extents_end; /* while an answer comes in */
        bool extents_bad;
};

static uint64_t now_ms(void)
{
        struct timespec t;

        (void)clock_gettime(CLOCK_MONOTONIC, &t);
        return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

/* ---- waiting ---- */

/* The child is of no use any more: says why, once and for all. -EFBIG: it gave too much; comes out as -EINVAL. */
static int fail(struct qemu_source *s, int error, struct strbuf *reason)
{
        int status;

        if (error == -EFBIG)
                error = format_refuse_growth(reason, s->title);
        else if (error == -ETIMEDOUT)
                strbuf_addf(reason, "reading this %s file took too long and was given up", s->title);
        else if (error == -EINVAL)
                strbuf_addf(reason, "this %s file is damaged: the disk in it cannot be read at byte %llu", s->title,
                            (unsigned long long)s->given);

        if (s->nbd && (nbd_aio_is_dead(s->nbd) || nbd_aio_is_closed(s->nbd))) {
                if (child_wait(s->child, EXIT_MS, &status) == 0)
                        log_debug("qemu-nbd ended with status %#x", (unsigned)status);
        }
        log_debug("qemu-nbd: %s", child_output(s->child));
        child_kill_and_wait(s->child);
        s->child = NULL;
        s->error = error;
        return error;
}

/* Lets the connection go on, until DEADLINE. */
static int step(struct qemu_source *s, uint64_t deadline)
{
        uint64_t now = now_ms();
        int r;

        if (now >= deadline)
                return -ETIMEDOUT;
        r = nbd_poll(s->nbd, (int)(deadline - now));
        if (r < 0)
                return nbd_get_errno() == EINTR ? 0 : -EINVAL; /* the child has gone, or talks nonsense */
        return r == 0 ? -ETIMEDOUT : 0;
}

static int wait_answer(struct qemu_source *s, int64_t cookie)
{
        uint64_t deadline = now_ms() + (uint64_t)s->timeout_ms;
        int r;

        for (;;) {
                r = nbd_aio_command_completed(s->nbd, (uint64_t)cookie);
                if (r < 0)
                        return -EINVAL; /* the child read something that cannot be right, or died of it */
                if (r > 0)
                        return 0;
                r = step(s, deadline);
                if (r < 0)
                        return r;
        }
}

/* ---- what is a hole ---- */

static int note_extents(void *ctx, const char *context, uint64_t offset, uint32_t *entries, size_t n_entries,
                        int *error)
{
        struct qemu_source *s = ctx;
        struct extent *last;

        (void)error;
        if (strcmp(context, CONTEXT) != 0)
                return 0;
        if (offset != s->extents_end)
                s->extents_bad = true;
        for (size_t i = 0; i + 1 < n_entries && s->extents_end < s->size_bytes; i += 2) {
                uint64_t left = s->size_bytes - s->extents_end;
                uint64_t len = entries[i] < left ? entries[i] : left;
                bool hole = entries[i + 1] & LIBNBD_STATE_ZERO;

                if (len == 0) {
                        s->extents_bad = true;
                        break;
                }
                last = s->n_extents ? &s->extents[s->n_extents - 1] : NULL;
                if (last && last->hole == hole)
                        last->len += len;
                else if (s->n_extents < EXTENTS_MAX)
                        s->extents[s->n_extents++] = (struct extent){ .len = len, .hole = hole };
                else
                        break; /* asked for again when these are used up */
                s->extents_end += len;
        }
        return 0;
}

static int ask_extents(struct qemu_source *s)
{
        uint64_t left = s->size_bytes - s->planned;
        nbd_extent_callback callback = { .callback = note_extents, .user_data = s };
        int64_t cookie;
        int r;

        s->first_extent = 0;
        s->n_extents = 0;
        s->extents_end = s->planned;
        s->extents_bad = false;
        cookie = nbd_aio_block_status(s->nbd, left < STATUS_BYTES ? left : STATUS_BYTES, s->planned, callback,
                                      NBD_NULL_COMPLETION, 0);
        if (cookie < 0)
                return -EINVAL;
        r = wait_answer(s, cookie);
        if (r < 0)
                return r;
        return s->n_extents == 0 || s->extents_bad ? -EINVAL : 0;
}

/* One extent, up to where the map changes. */
static void look_up_extent(struct qemu_source *s)
{
        uint64_t block = s->planned / s->map_block_bytes;
        bool data = s->map[block / 8] >> block % 8 & 1;
        uint64_t end = (block + 1) * s->map_block_bytes;

        for (; end < s->size_bytes && end - s->planned < HOLE_BYTES; end += s->map_block_bytes) {
                block++;
                if ((s->map[block / 8] >> block % 8 & 1) != data)
                        break;
        }
        if (end > s->size_bytes)
                end = s->size_bytes;
        s->extents[0] = (struct extent){ .len = end - s->planned, .hole = !data };
        s->first_extent = 0;
        s->n_extents = 1;
}

/* ---- the ring ---- */

static struct run *ring_at(struct qemu_source *s, unsigned i)
{
        return &s->ring[(s->first + i) % RING_RUNS];
}

static int start_read(struct qemu_source *s, struct run *run)
{
        if (!run->buf) {
                run->buf = malloc(PIECE_BYTES);
                if (!run->buf)
                        return -ENOMEM;
        }
        run->cookie = nbd_aio_pread(s->nbd, run->buf, run->len, s->planned, NBD_NULL_COMPLETION, 0);
        return run->cookie < 0 ? -EINVAL : 0;
}

/* Plans one more run, or adds to a hole that is the last. */
static int plan_run(struct qemu_source *s)
{
        struct run *last = s->n_runs ? ring_at(s, s->n_runs - 1) : NULL;
        struct extent *e;
        struct run *run;
        uint64_t len;
        int r;

        if (s->first_extent == s->n_extents && s->map)
                look_up_extent(s);
        if (s->first_extent == s->n_extents) {
                r = ask_extents(s);
                if (r < 0)
                        return r;
        }
        e = &s->extents[s->first_extent];
        len = e->len;
        if (e->hole && last && last->hole) {
                last->len += len;
        } else {
                if (!e->hole && len > PIECE_BYTES - s->planned % PIECE_BYTES)
                        len = PIECE_BYTES - s->planned % PIECE_BYTES;
                run = ring_at(s, s->n_runs);
                run->len = len;
                run->hole = e->hole;
                r = run->hole ? 0 : start_read(s, run);
                if (r < 0)
                        return r;
                s->n_runs++;
        }
        s->planned += len;
        e->len -= len;
        if (e->len == 0)
                s->first_extent++;
        return 0;
}

/* A file that is not compressed cannot get there: it has as many bytes as it holds. */
static int count_data(struct qemu_source *s, const struct run *run)
{
        for (uint64_t at = 0, part; at < run->len; at += part) {
                part = run->len - at < BLOB_BLOCK_SIZE ? run->len - at : BLOB_BLOCK_SIZE;
                s->given_data += block_is_zero(run->buf + at, part) ? 0 : part;
        }
        return s->given_data > growth_limit(s->file_bytes, GROWTH_DATA_FACTOR) ? -EFBIG : 0;
}

static bool is_ahead(struct qemu_source *s)
{
        const struct run *last = s->n_runs ? ring_at(s, s->n_runs - 1) : NULL;

        return s->n_runs == RING_RUNS || s->planned == s->size_bytes || (last && last->hole && last->len >= HOLE_BYTES);
}

static int qemu_next(struct image_source *base, const void **ret_buf, uint64_t *ret_len, struct strbuf *reason)
{
        struct qemu_source *s = (struct qemu_source *)base;
        struct run *run;
        int r = 0;

        if (s->error)
                return s->error;
        if (s->lent) {
                s->first = (s->first + 1) % RING_RUNS;
                s->n_runs--;
                s->lent = false;
        }
        while (r == 0 && !is_ahead(s))
                r = plan_run(s);
        if (r == 0 && s->n_runs == 0)
                return 0;
        run = ring_at(s, 0);
        if (r == 0 && !run->hole)
                r = wait_answer(s, run->cookie);
        if (r == 0 && !run->hole)
                r = count_data(s, run);
        if (r < 0)
                return fail(s, r, reason);

        *ret_buf = run->hole ? NULL : run->buf;
        *ret_len = run->len;
        s->given += run->len;
        s->lent = true;
        return 1;
}

static void qemu_close(struct image_source *base)
{
        struct qemu_source *s = (struct qemu_source *)base;

        child_kill_and_wait(s->child); /* first: with nobody at the other end no answer can come into what is freed */
        nbd_close(s->nbd);
        for (unsigned i = 0; i < RING_RUNS; i++)
                free(s->ring[i].buf);
        free(s->map);
        free(s);
}

static const struct source_ops qemu_ops = { .next = qemu_next, .close = qemu_close };

/* ---- starting ---- */

static const char *find_program(void)
{
        for (size_t i = 0; i < sizeof(programs) / sizeof(programs[0]); i++) {
                if (access(programs[i], X_OK) == 0)
                        return programs[i];
        }
        return NULL;
}

static int bind_and_connect(const char *path, int listen_fd, int connect_fd)
{
        struct sockaddr_un a = { .sun_family = AF_UNIX };
        int r;

        if (strlen(path) >= sizeof(a.sun_path))
                return -ENAMETOOLONG;
        memcpy(a.sun_path, path, strlen(path) + 1);
        if (bind(listen_fd, (const struct sockaddr *)&a, sizeof(a)) < 0)
                return -errno;
        /* A place in the backlog is all that connecting takes; the child accepts it once it runs. */
        r = listen(listen_fd, 1) < 0 || connect(connect_fd, (const struct sockaddr *)&a, sizeof(a)) < 0 ? -errno : 0;
        (void)unlink(path); /* the directory's removal is what would fail, and tell */
        return r;
}

/* A listening socket that nobody can reach any more, and its one client. */
static int make_connection(int *ret_listen, int *ret_client)
{
        const char *tmp = secure_getenv("TMPDIR");
        CLEANUP_CLOSE int listen_fd = -1;
        CLEANUP_CLOSE int client_fd = -1;
        CLEANUP_STRBUF struct strbuf path = { 0 };
        CLEANUP_FREE char *dir = NULL;
        int r;

        strbuf_addf(&path, "%s/imagefs-XXXXXX", tmp && tmp[0] == '/' ? tmp : "/tmp");
        dir = strbuf_take(&path);
        if (!dir)
                return -ENOMEM;
        listen_fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        client_fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (listen_fd < 0 || client_fd < 0)
                return -errno;

        if (!mkdtemp(dir))
                return -errno;
        strbuf_addf(&path, "%s/nbd", dir);
        r = strbuf_error(&path) ? -ENOMEM : bind_and_connect(strbuf_text(&path), listen_fd, client_fd);
        if (rmdir(dir) < 0 && r == 0)
                r = -errno;
        if (r < 0)
                return r;
        *ret_listen = TAKE_FD(listen_fd);
        *ret_client = TAKE_FD(client_fd);
        return 0;
}

static uint64_t cpu_seconds(const struct qemu_opts *opts)
{
        uint64_t for_data = opts->data_bytes / CHILD_CPU_DATA_RATE;
        uint64_t for_file = opts->file_bytes / CHILD_CPU_FILE_RATE;

        return CHILD_CPU_OPEN + (for_data < for_file ? for_data : for_file);
}

static int start_child(int fd, int listen_fd, const struct qemu_opts *opts, struct child **ret, struct strbuf *reason)
{
        const char *argv[] = { find_program(), "--read-only", "--image-opts", NULL, NULL };
        CLEANUP_STRBUF struct strbuf image = { 0 };
        struct child_opts child_opts = {
                .argv = argv,
                .fds = { { .fd = listen_fd }, { .fd = fd, .reopen = true } },
                .n_fds = 2,
                .socket_activation = true,
                .memory_bytes = CHILD_MEMORY_BYTES,
                .cpu_seconds = cpu_seconds(opts),
        };

        if (!argv[0]) {
                strbuf_addf(reason, "reading %s files takes qemu-nbd (package qemu-utils), which is not installed here",
                            opts->title);
                return -EOPNOTSUPP;
        }
        strbuf_addf(&image, "driver=%s,file.driver=file,file.locking=off,file.filename=/proc/self/fd/" CHILD_FILE_FD,
                    opts->driver);
        if (strbuf_error(&image))
                return -ENOMEM;
        argv[3] = strbuf_text(&image);
        return child_start(&child_opts, ret, reason);
}

static int shake_hands(struct qemu_source *s, int client_fd)
{
        uint64_t deadline = now_ms() + (uint64_t)s->timeout_ms;
        int r;

        s->nbd = nbd_create();
        if (!s->nbd) {
                (void)close(client_fd);
                return -ENOMEM;
        }
        if (nbd_add_meta_context(s->nbd, CONTEXT) < 0) {
                (void)close(client_fd);
                return -ENOMEM;
        }
        if (nbd_aio_connect_socket(s->nbd, client_fd) < 0) /* takes the descriptor in any case */
                return -EINVAL;
        while (nbd_aio_is_connecting(s->nbd)) {
                r = step(s, deadline);
                if (r < 0)
                        return r;
        }
        if (!nbd_aio_is_ready(s->nbd) || nbd_can_meta_context(s->nbd, CONTEXT) != 1)
                return -EINVAL;
        return nbd_get_size(s->nbd) == (int64_t)s->size_bytes ? 0 : -EINVAL;
}

int qemu_open(int fd, const struct qemu_opts *opts, struct image_source **ret, struct strbuf *reason)
{
        CLEANUP_CLOSE int listen_fd = -1;
        CLEANUP_CLOSE int client_fd = -1;
        struct qemu_source *s;
        int r;

        s = calloc(1, sizeof(*s));
        if (!s)
                return -ENOMEM;
        s->base.ops = &qemu_ops;
        s->title = opts->title;
        s->size_bytes = opts->size_bytes;
        s->file_bytes = opts->file_bytes;
        s->timeout_ms = opts->timeout_ms ? opts->timeout_ms : ANSWER_MS;

        r = make_connection(&listen_fd, &client_fd);
        if (r < 0)
                strbuf_addf(reason, "cannot prepare the reading of this %s file: %s", s->title, strerror(-r));
        if (r == 0)
                r = start_child(fd, listen_fd, opts, &s->child, reason);
        if (r == 0) {
                /* Only the child's copy may be left, so that the connection ends with the child. */
                cleanup_close(&listen_fd);
                listen_fd = -1;
                r = shake_hands(s, TAKE_FD(client_fd));
                if (r < 0)
                        fail(s, r, reason);
                else
                        child_has_opened(s->child);
        }
        if (r < 0) {
                qemu_close(&s->base);
                return r;
        }
        s->map = opts->map;
        s->map_block_bytes = opts->map_block_bytes;
        *ret = &s->base;
        return 0;
}

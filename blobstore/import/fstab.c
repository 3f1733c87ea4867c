/* SPDX-License-Identifier: MIT */

/*
 * A child (fstab_reader/, confined as qemu is) understands partitions and file systems, and asks for the bytes of the
 * disks through a socket. Whatever it says is taken as said by the guest: requests are bounded in size, place and
 * number, texts in length and characters, and the time that is spent on waiting for it all together. A packet is never
 * waited to be taken: who asks has room for the answer.
 */

#include "blobstore/import/fstab.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>

#include "blobstore/base/child.h"
#include "blobstore/base/cleanup.h"
#include "blobstore/base/log.h"
#include "blobstore/import/fstab_reader/protocol.h"

#define PROGRAM            "imagefs-fstab"
#define WAIT_MS            5000
#define EXIT_MS            1000
#define CHILD_MEMORY_BYTES (UINT64_C(128) << 20) /* the group descriptors of 64 TiB fit */
#define CHILD_CPU_SECONDS  2

static int64_t now_ms(void)
{
        struct timespec ts;

        clock_gettime(CLOCK_MONOTONIC, &ts);
        return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

/* One request. 1: there is one; 0: the other side is done. *LEFT_MS is what may be spent on waiting. */
static int receive(int fd, int64_t *left_ms, struct fstab_request *ret)
{
        struct pollfd ready = { .fd = fd, .events = POLLIN };
        ssize_t n;
        int r;

        do {
                int64_t start = now_ms();

                r = poll(&ready, 1, *left_ms > 0 ? (int)*left_ms : 0);
                if (r < 0 && errno != EINTR)
                        return -errno;
                *left_ms -= now_ms() - start;
        } while (r < 0);
        if (r == 0)
                return -ETIMEDOUT;
        n = recv(fd, ret, sizeof(*ret), MSG_DONTWAIT | MSG_TRUNC);
        if (n < 0)
                return errno == ECONNRESET ? 0 : -errno; /* it died with an answer unread */
        if (n == 0)
                return 0;
        return n == sizeof(*ret) ? 1 : -EPROTO;
}

static int answer_read(int fd, const struct fstab_request *q, const struct fstab_disk *disks, size_t n_disks,
                       fstab_read_fn *read, void *ctx)
{
        uint8_t buf[FSTAB_READ_MAX];
        uint64_t size;
        int r;

        if (q->disk >= n_disks || q->len == 0 || q->len > sizeof(buf))
                return -EPROTO;
        size = disks[q->disk].size_bytes;
        if (q->off > size || q->len > size - q->off)
                return -EPROTO;
        r = read(ctx, q->disk, buf, q->len, q->off);
        if (r < 0)
                return r;
        return send(fd, buf, q->len, MSG_DONTWAIT | MSG_NOSIGNAL) < 0 ? -errno : 0;
}

static void take_text(const char *said, char *buf)
{
        size_t n = strnlen(said, FSTAB_TEXT_MAX - 1);

        for (size_t i = 0; i < n; i++)
                buf[i] = said[i] >= ' ' && said[i] <= '~' ? said[i] : '?';
        buf[n] = '\0';
}

static int take_finding(const struct fstab_finding *said, struct fstab_findings *ret)
{
        struct fstab_finding *f = &ret->finding[ret->n];

        if (ret->n == FSTAB_FINDINGS_MAX)
                return 0;
        if (said->device[0] != 'v' || said->device[1] != 'd' || said->device[2] < 'b' || said->device[2] > 'z' ||
            said->device[3] != '\0')
                return -EPROTO;
        *f = (struct fstab_finding){ .swap = said->swap != 0 };
        memcpy(f->device, said->device, sizeof("vda"));
        take_text(said->source, f->source);
        take_text(said->target, f->target);
        ret->n++;
        return 0;
}

int fstab_answer(int fd, const struct fstab_disk *disks, size_t n, fstab_read_fn *read, void *ctx, int wait_ms,
                 struct fstab_findings *ret)
{
        int64_t left_ms = wait_ms;
        struct fstab_request q;
        int r;

        ret->n = 0;
        for (unsigned asked = 0;; asked++) {
                r = receive(fd, &left_ms, &q);
                if (r <= 0)
                        return r;
                if (asked == FSTAB_REQUESTS_MAX)
                        return -EPROTO;
                if (q.kind == FSTAB_READ)
                        r = answer_read(fd, &q, disks, n, read, ctx);
                else if (q.kind == FSTAB_FOUND)
                        r = take_finding(&q.found, ret);
                else
                        r = -EPROTO;
                if (r < 0)
                        return r;
        }
}

static int start(const struct fstab_disk *disks, size_t n, int *ret_fd, struct child **ret)
{
        CLEANUP_STRBUF struct strbuf program = { 0 };
        CLEANUP_STRBUF struct strbuf reason = { 0 };
        CLEANUP_CLOSE int ours = -1;
        CLEANUP_CLOSE int theirs = -1;
        struct fstab_hello hello = { .n_disks = (uint32_t)n };
        const char *argv[] = { NULL, NULL };
        struct child_opts opts = {
                .argv = argv,
                .n_fds = 1,
                .memory_bytes = CHILD_MEMORY_BYTES,
                .cpu_seconds = CHILD_CPU_SECONDS,
        };
        int ends[2];
        int r;

        if (n > FSTAB_DISKS_MAX)
                return -E2BIG;
        r = child_find_program(PROGRAM, &program);
        if (r < 0)
                return r;
        argv[0] = strbuf_text(&program);
        if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) < 0)
                return -errno;
        ours = ends[0];
        theirs = ends[1];
        memcpy(hello.disk, disks, n * sizeof(*disks));
        if (send(ours, &hello, sizeof(hello), MSG_NOSIGNAL) < 0)
                return -errno;
        opts.fds[0].fd = theirs;
        r = child_start(&opts, ret, &reason);
        if (r < 0) {
                log_debug("%s", strbuf_text(&reason));
                return r;
        }
        *ret_fd = TAKE_FD(ours);
        return 0;
}

int fstab_check(const struct fstab_disk *disks, size_t n, fstab_read_fn *read, void *ctx, struct fstab_findings *ret)
{
        CLEANUP_CLOSE int fd = -1;
        struct fstab_findings found;
        struct child *child = NULL;
        int status;
        int r;

        r = start(disks, n, &fd, &child);
        if (r < 0)
                return r;
        r = fstab_answer(fd, disks, n, read, ctx, WAIT_MS, &found);
        if (r == 0)
                r = child_wait(child, EXIT_MS, &status);
        if (r == 0 && status != 0)
                r = -EIO; /* of memory or time, or of what it read */
        if (r < 0)
                log_debug(PROGRAM ": %s", child_output(child));
        child_kill_and_wait(child);
        if (r == 0)
                *ret = found;
        return r;
}

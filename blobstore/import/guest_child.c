/* SPDX-License-Identifier: MIT */

#include "blobstore/import/guest_child_priv.h"

#include <errno.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>

#include "blobstore/base/cleanup.h"
#include "blobstore/base/log.h"

#define EXIT_MS 1000

static int64_t now_ms(void)
{
        struct timespec ts;

        clock_gettime(CLOCK_MONOTONIC, &ts);
        return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

ssize_t guest_child_receive(int fd, int64_t *left_ms, void *buf, size_t size)
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
        n = recv(fd, buf, size, MSG_DONTWAIT | MSG_TRUNC);
        if (n < 0)
                return errno == ECONNRESET ? 0 : -errno; /* it died with an answer unread */
        return (size_t)n > size ? -EPROTO : n;
}

int guest_child_answer(int fd, const void *buf, size_t n)
{
        return send(fd, buf, n, MSG_DONTWAIT | MSG_NOSIGNAL) < 0 ? -errno : 0;
}

int guest_child_start(const struct guest_child *what, int *ret_fd, struct child **ret)
{
        CLEANUP_STRBUF struct strbuf program = { 0 };
        CLEANUP_STRBUF struct strbuf reason = { 0 };
        CLEANUP_CLOSE int ours = -1;
        CLEANUP_CLOSE int theirs = -1;
        const char *argv[] = { NULL, NULL };
        struct child_opts opts = {
                .argv = argv,
                .n_fds = 1,
                .memory_bytes = what->memory_bytes,
                .cpu_seconds = what->cpu_seconds,
        };
        int ends[2];
        int r;

        r = child_find_program(what->program, &program);
        if (r < 0)
                return r;
        argv[0] = strbuf_text(&program);
        if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) < 0)
                return -errno;
        ours = ends[0];
        theirs = ends[1];
        if (send(ours, what->hello, what->hello_len, MSG_NOSIGNAL) < 0)
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

int guest_child_end(struct child *c, const char *program, int r)
{
        int status;

        if (r == 0)
                r = child_wait(c, EXIT_MS, &status);
        if (r == 0 && status != 0)
                r = -EIO; /* of memory or time, or of what it read */
        if (r < 0)
                log_debug("%s: %s", program, child_output(c));
        child_kill_and_wait(c);
        return r;
}

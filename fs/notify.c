/* SPDX-License-Identifier: MIT */

#include "fs/notify.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "blobstore/base/cleanup.h"
#include "blobstore/base/lock.h"
#include "blobstore/base/parse.h"

struct notify {
        struct sockaddr_un to;
        socklen_t to_len;
        int fd;
        uint64_t watchdog_us; /* 0: nobody waits to hear */
        const char *mountpoint;
        bool watching;
        pthread_t thread;

        pthread_mutex_t mutex;
        pthread_cond_t wake;
        bool ending; /* under the mutex */
};

static void notify_send(const struct notify *n, const char *what)
{
        /* a manager that does not listen has its own ways to find out */
        (void)sendto(n->fd, what, strlen(what), MSG_NOSIGNAL, (const struct sockaddr *)&n->to, n->to_len);
}

static uint64_t notify_watchdog_us(void)
{
        const char *usec = getenv("WATCHDOG_USEC"), *pid = getenv("WATCHDOG_PID");
        uint64_t us, wanted;

        if (!usec || parse_u64(usec, &us) < 0)
                return 0;
        if (pid && (parse_u64(pid, &wanted) < 0 || (wanted != (uint64_t)getpid() && wanted != (uint64_t)getppid())))
                return 0;
        return us;
}

/* A path, or with @ a name in the abstract space. */
static bool notify_set_address(struct notify *n, const char *name)
{
        size_t len = strlen(name);

        if ((name[0] != '/' && name[0] != '@') || len >= sizeof(n->to.sun_path))
                return false;
        n->to.sun_family = AF_UNIX;
        memcpy(n->to.sun_path, name, len);
        if (name[0] == '@')
                n->to.sun_path[0] = '\0';
        n->to_len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len);
        return true;
}

int notify_new(struct notify **ret)
{
        const char *name = getenv("NOTIFY_SOCKET");
        struct notify *n;

        *ret = NULL;
        if (!name)
                return 0;
        n = calloc(1, sizeof(*n));
        if (!n)
                return -ENOMEM;
        n->fd = notify_set_address(n, name) ? socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0) : -1;
        n->watchdog_us = notify_watchdog_us();
        (void)unsetenv("NOTIFY_SOCKET");
        (void)unsetenv("WATCHDOG_USEC");
        (void)unsetenv("WATCHDOG_PID");
        if (n->fd < 0) {
                free(n);
                return 0;
        }
        (void)pthread_mutex_init(&n->mutex, NULL); /* neither can fail without attributes */
        (void)pthread_cond_init(&n->wake, NULL);
        *ret = n;
        return 0;
}

/* One request that the kernel cannot answer by itself. A mount that hangs never comes back, and nothing is sent. */
static bool notify_is_answered(const struct notify *n)
{
        struct statx stx;

        return statx(AT_FDCWD, n->mountpoint, AT_STATX_FORCE_SYNC | AT_NO_AUTOMOUNT, STATX_MODE, &stx) == 0;
}

static void *notify_watch(void *ctx)
{
        struct notify *n = ctx;
        struct timespec next;

        LOCK_SCOPE(&n->mutex);
        while (!n->ending) {
                unlock(&n->mutex);
                if (notify_is_answered(n))
                        notify_send(n, "WATCHDOG=1");
                lock(&n->mutex);
                (void)clock_gettime(CLOCK_MONOTONIC, &next);
                next.tv_sec += (time_t)(n->watchdog_us / 2000000);
                next.tv_nsec += (long)(n->watchdog_us / 2 % 1000000 * 1000);
                if (next.tv_nsec >= 1000000000) {
                        next.tv_sec++;
                        next.tv_nsec -= 1000000000;
                }
                while (!n->ending && pthread_cond_clockwait(&n->wake, &n->mutex, CLOCK_MONOTONIC, &next) == 0)
                        ;
        }
        return NULL;
}

void notify_ready(struct notify *n, const char *mountpoint)
{
        if (!n)
                return;
        n->mountpoint = mountpoint;
        notify_send(n, "READY=1");
        n->watching = n->watchdog_us && pthread_create(&n->thread, NULL, notify_watch, n) == 0;
}

void notify_stopping(struct notify *n)
{
        if (!n)
                return;
        notify_send(n, "STOPPING=1");
        LOCK_SCOPE(&n->mutex);
        n->ending = true;
        (void)pthread_cond_signal(&n->wake);
}

void notify_free(struct notify *n)
{
        if (!n)
                return;
        if (n->watching)
                (void)pthread_join(n->thread, NULL);
        (void)pthread_cond_destroy(&n->wake);
        (void)pthread_mutex_destroy(&n->mutex);
        (void)close(n->fd);
        free(n);
}

/* SPDX-License-Identifier: MIT */

#include "fs/lasting.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "blobstore/base/cleanup.h"
#include "blobstore/base/kept.h"
#include "blobstore/base/parse.h"

/* Where the next program finds the memory: a descriptor. */
#define VARIABLE "IMAGEFS_LASTING"
#define VARIABLE_MORE "IMAGEFS_LASTING_MORE"

static int map_memory(struct lasting *l)
{
        l->memory = mmap(NULL, sizeof(*l->memory), PROT_READ | PROT_WRITE, MAP_SHARED, l->memory_fd, 0);
        if (l->memory != MAP_FAILED)
                return 0;
        l->memory = NULL;
        return -errno;
}

static int map_more(struct lasting *l)
{
        l->more = mmap(NULL, sizeof(*l->more), PROT_READ | PROT_WRITE, MAP_SHARED, l->more_fd, 0);
        if (l->more != MAP_FAILED)
                return 0;
        l->more = NULL;
        return -errno;
}

static int make_file(const char *name, int *ret)
{
        int fd = kept_file(name);

        if (fd < 0)
                return fd;
        *ret = fd;
        return 0;
}

int lasting_make(struct lasting *ret)
{
        struct lasting l = { .memory_fd = -1, .more_fd = -1, .handles_fd = -1, .disks_fd = -1, .grants_fd = -1, .values_fd = -1,
                             .fuse_fd = -1, .sockets = { -1, -1 } };
        int r;

        r = make_file(LASTING_NAME, &l.memory_fd);
        if (r == 0)
                r = make_file("imagefs handles", &l.handles_fd);
        if (r == 0)
                r = make_file("imagefs disks", &l.disks_fd);
        if (r == 0)
                r = make_file("imagefs session, more", &l.more_fd);
        if (r == 0)
                r = make_file("imagefs grants", &l.grants_fd);
        if (r == 0)
                r = make_file("imagefs values", &l.values_fd);
        if (r == 0 && (ftruncate(l.memory_fd, sizeof(*l.memory)) < 0 || ftruncate(l.more_fd, sizeof(*l.more)) < 0))
                r = -errno;
        if (r == 0)
                r = map_memory(&l);
        if (r == 0)
                r = map_more(&l);
        if (r == 0 && socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, l.sockets) < 0)
                r = -errno;
        if (r < 0) {
                lasting_done(&l);
                return r;
        }
        l.memory->layout = LASTING_LAYOUT;
        *ret = l;
        return 0;
}

void lasting_done(struct lasting *l)
{
        if (l->memory)
                (void)munmap(l->memory, sizeof(*l->memory));
        l->memory = NULL;
        if (l->more)
                (void)munmap(l->more, sizeof(*l->more));
        l->more = NULL;
        cleanup_close(&l->memory_fd);
        cleanup_close(&l->more_fd);
        cleanup_close(&l->grants_fd);
        cleanup_close(&l->values_fd);
        cleanup_close(&l->handles_fd);
        cleanup_close(&l->disks_fd);
        cleanup_close(&l->fuse_fd);
        cleanup_close(&l->sockets[0]);
        cleanup_close(&l->sockets[1]);
}

void lasting_died(struct lasting *l, int pid)
{
        if (atomic_load(&l->more->known_to) != pid)
                atomic_store(&l->more->outdated, 1);
}

int lasting_pass_on(const struct lasting *l)
{
        const int fds[] = { l->memory_fd, l->handles_fd, l->disks_fd, l->fuse_fd, l->more_fd, l->grants_fd, l->values_fd };
        char text[16];

        for (size_t i = 0; i < sizeof(fds) / sizeof(fds[0]); i++)
                if (fcntl(fds[i], F_SETFD, 0) < 0)
                        return -errno;
        l->memory->handles_fd = l->handles_fd;
        l->memory->disks_fd = l->disks_fd;
        l->memory->fuse_fd = l->fuse_fd;
        l->more->grants_fd = l->grants_fd;
        l->more->values_fd = l->values_fd;
        (void)snprintf(text, sizeof(text), "%d", l->more_fd);
        if (setenv(VARIABLE_MORE, text, 1) < 0)
                return -errno;
        (void)snprintf(text, sizeof(text), "%d", l->memory_fd);
        return setenv(VARIABLE, text, 1) < 0 ? -errno : 0;
}

/* It was written by a process that died, perhaps of what it wrote where it should not. */
static bool is_sound(const struct lasting_memory *m)
{
        return m->init_bytes <= LASTING_INIT_BYTES && memchr(m->store, '\0', PATH_MAX) &&
               memchr(m->mountpoint, '\0', PATH_MAX) && memchr(m->directory, '\0', PATH_MAX);
}

/* Without it, the process goes on with the rest. */
static int inherit_more(struct lasting *l)
{
        const char *text = getenv(VARIABLE_MORE);
        uint64_t fd;
        int r;

        l->more_fd = l->grants_fd = l->values_fd = -1;
        if (!text)
                return 0;
        if (parse_u64(text, &fd) < 0 || fd > INT_MAX)
                return -EPROTO;
        (void)unsetenv(VARIABLE_MORE);
        l->more_fd = (int)fd;
        r = map_more(l);
        if (r < 0)
                return r;
        l->grants_fd = l->more->grants_fd;
        l->values_fd = l->more->values_fd;
        if (atomic_load(&l->more->outdated) && (ftruncate(l->grants_fd, 0) < 0 || ftruncate(l->values_fd, 0) < 0))
                return -errno;
        atomic_store(&l->more->outdated, 0);
        atomic_store(&l->more->known_to, (int32_t)getpid());
        return fcntl(l->more_fd, F_SETFD, FD_CLOEXEC) < 0 || fcntl(l->grants_fd, F_SETFD, FD_CLOEXEC) < 0 ||
                               fcntl(l->values_fd, F_SETFD, FD_CLOEXEC) < 0 ?
                       -EPROTO :
                       0;
}

int lasting_inherit(struct lasting *ret)
{
        const char *text = getenv(VARIABLE);
        struct lasting l = { .sockets = { -1, -1 } };
        uint64_t fd;
        int r;

        if (!text)
                return 0;
        if (parse_u64(text, &fd) < 0 || fd > INT_MAX)
                return -EPROTO;
        (void)unsetenv(VARIABLE);
        l.memory_fd = (int)fd;
        r = map_memory(&l);
        if (r < 0)
                return r;
        if (l.memory->layout != LASTING_LAYOUT || !is_sound(l.memory)) {
                (void)munmap(l.memory, sizeof(*l.memory));
                return -EPROTO;
        }
        l.handles_fd = l.memory->handles_fd;
        l.disks_fd = l.memory->disks_fd;
        l.fuse_fd = l.memory->fuse_fd;

        const int fds[] = { l.memory_fd, l.handles_fd, l.disks_fd, l.fuse_fd };

        for (size_t i = 0; i < sizeof(fds) / sizeof(fds[0]); i++)
                if (fcntl(fds[i], F_SETFD, FD_CLOEXEC) < 0)
                        return -EPROTO;
        r = inherit_more(&l);
        if (r < 0)
                return r;
        *ret = l;
        return 1;
}

int lasting_send_fuse(const struct lasting *l, int fuse_fd)
{
        union {
                char bytes[CMSG_SPACE(sizeof(int))];
                struct cmsghdr align;
        } control = { 0 };
        struct iovec byte = { .iov_base = &control, .iov_len = 1 }; /* any: with none nothing is sent */
        struct msghdr m = { .msg_iov = &byte, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof(control) };
        struct cmsghdr *c = CMSG_FIRSTHDR(&m);

        c->cmsg_level = SOL_SOCKET;
        c->cmsg_type = SCM_RIGHTS;
        c->cmsg_len = CMSG_LEN(sizeof(int));
        memcpy(CMSG_DATA(c), &fuse_fd, sizeof(int));
        return sendmsg(l->sockets[1], &m, MSG_NOSIGNAL) < 0 ? -errno : 0;
}

int lasting_receive_fuse(struct lasting *l)
{
        union {
                char bytes[CMSG_SPACE(sizeof(int))];
                struct cmsghdr align;
        } control = { 0 };
        char byte;
        struct iovec piece = { .iov_base = &byte, .iov_len = 1 };
        struct msghdr m = { .msg_iov = &piece, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof(control) };
        const struct cmsghdr *c;

        if (recvmsg(l->sockets[0], &m, MSG_DONTWAIT | MSG_CMSG_CLOEXEC) < 0)
                return -errno;
        c = CMSG_FIRSTHDR(&m);
        if (!c || c->cmsg_type != SCM_RIGHTS || c->cmsg_len != CMSG_LEN(sizeof(int)))
                return -EAGAIN;
        memcpy(&l->fuse_fd, CMSG_DATA(c), sizeof(int));
        return 0;
}

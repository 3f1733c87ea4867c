/* SPDX-License-Identifier: MIT */

/*
 * Opening a file again by /proc/self/fd asks its owner and mode again. Nothing of these is changed: the child gets the
 * file as it shows through a mount of its own, which has no place in any tree and on which the owner is nobody. Such a
 * mount takes a user namespace, and that a process that is its first.
 *
 * Some file systems cannot be mounted so (overlays, those of networks). There the file becomes nobody's own for as long
 * as it takes the child to open it, with its mode as it was. It stays so if the daemon is killed just then; root reads
 * it all the same.
 */

#include "blobstore/base/child_lend.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/mount.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "blobstore/base/cleanup.h"
#include "blobstore/base/lock.h"

/*
 * ---- a user namespace in which the owner is nobody ----
 *
 * Kept for the next file, whose owner is nearly always the same. Its process takes a fork of the whole daemon.
 */

/* Async-signal-safe calls only, as in child.c. Of what is open here none may stay so for its sake. */
static _Noreturn void namespace_main(int ready_fd, pid_t parent)
{
        if (prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) < 0 || getppid() != parent)
                _exit(1);
        if (ready_fd > 0)
                (void)syscall(SYS_close_range, 0U, (unsigned)ready_fd - 1, 0U);
        (void)syscall(SYS_close_range, (unsigned)ready_fd + 1, ~0U, 0U);
        if (syscall(SYS_unshare, CLONE_NEWUSER) < 0 || write(ready_fd, "", 1) != 1)
                _exit(1);
        for (;;)
                (void)pause();
}

static pid_t fork_namespace(int ready_fd)
{
        const pid_t parent = getpid();
        sigset_t all, old;
        pid_t pid;
        int e;

        sigfillset(&all);
        (void)pthread_sigmask(SIG_SETMASK, &all, &old);
        pid = fork();
        if (pid == 0)
                namespace_main(ready_fd, parent);
        e = errno;
        (void)pthread_sigmask(SIG_SETMASK, &old, NULL);
        errno = e;
        return pid;
}

static int open_of(pid_t pid, const char *name, int flags)
{
        char path[64];
        int fd;

        (void)snprintf(path, sizeof(path), "/proc/%d/%s", (int)pid, name);
        fd = open(path, flags | O_CLOEXEC);
        return fd < 0 ? -errno : fd;
}

static int write_map(pid_t pid, const char *name, unsigned id)
{
        CLEANUP_CLOSE int fd = open_of(pid, name, O_WRONLY);
        char line[64];
        int n;

        if (fd < 0)
                return fd;
        n = snprintf(line, sizeof(line), "%u %u 1\n", id, CHILD_LEND_UID);
        return write(fd, line, (size_t)n) < 0 ? -errno : 0;
}

static int make_namespace(uid_t uid, gid_t gid)
{
        CLEANUP_CLOSE int ready = -1;
        CLEANUP_CLOSE int ready_end = -1;
        int ends[2];
        pid_t pid;
        char byte;
        int r;

        if (pipe2(ends, O_CLOEXEC) < 0)
                return -errno;
        ready = ends[0];
        ready_end = ends[1];
        pid = fork_namespace(ready_end);
        if (pid < 0)
                return -errno;
        cleanup_close(&ready_end);
        ready_end = -1;

        r = read(ready, &byte, 1) == 1 ? 0 : -EPERM;
        if (r == 0)
                r = write_map(pid, "uid_map", uid);
        if (r == 0)
                r = write_map(pid, "gid_map", gid);
        if (r == 0)
                r = open_of(pid, "ns/user", O_RDONLY);
        (void)kill(pid, SIGKILL);
        while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
                ;
        return r;
}

static struct {
        pthread_mutex_t mutex;
        int fd;
        uid_t uid;
        gid_t gid;
} last = { .mutex = PTHREAD_MUTEX_INITIALIZER, .fd = -1 };

static int map_owner(int tree_fd, uid_t uid, gid_t gid)
{
        struct mount_attr attr = { .attr_set = MOUNT_ATTR_IDMAP | MOUNT_ATTR_RDONLY };
        LOCK_SCOPE(&last.mutex);

        if (last.fd < 0 || last.uid != uid || last.gid != gid) {
                const int fd = make_namespace(uid, gid);

                if (fd < 0)
                        return fd;
                cleanup_close(&last.fd);
                last.fd = fd;
                last.uid = uid;
                last.gid = gid;
        }
        attr.userns_fd = (uint64_t)last.fd;
        return syscall(SYS_mount_setattr, tree_fd, "", AT_EMPTY_PATH, &attr, sizeof(attr)) < 0 ? -errno : 0;
}

/* ---- lending ---- */

static int open_again(int fd)
{
        char path[64];
        int again;

        (void)snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
        again = open(path, O_RDONLY | O_CLOEXEC);
        return again < 0 ? -errno : again;
}

static int open_on_mount(int fd, const struct stat *st)
{
        CLEANUP_CLOSE int tree_fd = -1;
        int r;

        tree_fd = (int)syscall(SYS_open_tree, fd, "", AT_EMPTY_PATH | OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
        if (tree_fd < 0)
                return -errno;
        r = map_owner(tree_fd, st->st_uid, st->st_gid);
        return r < 0 ? r : open_again(tree_fd);
}

int child_lend(int fd, struct child_loan *ret)
{
        struct child_loan l = { .fd = -1 };
        struct stat st;

        if (fstat(fd, &st) < 0)
                return -errno;
        if (geteuid() == 0 && !(st.st_mode & S_IROTH)) {
                l.fd = open_on_mount(fd, &st);
                if (l.fd < 0) {
                        if (fchown(fd, CHILD_LEND_UID, (gid_t)-1) < 0)
                                return -errno;
                        l.given = true;
                        l.owner = st.st_uid;
                }
        }
        if (l.fd < 0)
                l.fd = fcntl(fd, F_DUPFD_CLOEXEC, 0);
        if (l.fd < 0) {
                int r = -errno;

                if (l.given)
                        (void)!fchown(fd, l.owner, (gid_t)-1);
                return r;
        }
        *ret = l;
        return 0;
}

void child_lend_end(struct child_loan *l)
{
        /* It was changed a moment ago; should that not work backwards, root reads it all the same. */
        if (l->fd >= 0 && l->given)
                (void)!fchown(l->fd, l->owner, (gid_t)-1);
        cleanup_close(&l->fd);
        *l = (struct child_loan){ .fd = -1 };
}

/* SPDX-License-Identifier: MIT */
/*
 * /proc/self/task/THREAD/syscall has the call's number and what it was given, as proc(5) says. A descriptor leads to the
 * file's path; a path that was given lies in our memory, which may be another's by now and is therefore copied by the
 * kernel, that knows whether there is any.
 */

#include "blobstore/base/blocked.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include "blobstore/base/cleanup.h"

enum given {
        GIVEN_FILE, /* a descriptor first */
        GIVEN_PATH, /* a directory's first, and a path */
        GIVEN_PATH_ALONE,
        GIVEN_LOCK,
};

static const struct call {
        long number;
        const char *name;
        enum given given;
} calls[] = {
        { SYS_futex, "futex", GIVEN_LOCK },
        { SYS_read, "read", GIVEN_FILE },
        { SYS_write, "write", GIVEN_FILE },
        { SYS_pread64, "pread", GIVEN_FILE },
        { SYS_pwrite64, "pwrite", GIVEN_FILE },
        { SYS_preadv, "preadv", GIVEN_FILE },
        { SYS_pwritev, "pwritev", GIVEN_FILE },
        { SYS_preadv2, "preadv2", GIVEN_FILE },
        { SYS_pwritev2, "pwritev2", GIVEN_FILE },
        { SYS_fsync, "fsync", GIVEN_FILE },
        { SYS_fdatasync, "fdatasync", GIVEN_FILE },
        { SYS_sync_file_range, "sync_file_range", GIVEN_FILE },
        { SYS_syncfs, "syncfs", GIVEN_FILE },
        { SYS_fallocate, "fallocate", GIVEN_FILE },
        { SYS_ftruncate, "ftruncate", GIVEN_FILE },
        { SYS_copy_file_range, "copy_file_range", GIVEN_FILE },
        { SYS_lseek, "lseek", GIVEN_FILE },
        { SYS_ioctl, "ioctl", GIVEN_FILE },
        { SYS_fcntl, "fcntl", GIVEN_FILE },
        { SYS_flock, "flock", GIVEN_FILE },
        { SYS_close, "close", GIVEN_FILE },
        { SYS_getdents64, "getdents", GIVEN_FILE },
        { SYS_fstat, "fstat", GIVEN_FILE },
        { SYS_fstatfs, "fstatfs", GIVEN_FILE },
        { SYS_fchmod, "fchmod", GIVEN_FILE },
        { SYS_fchown, "fchown", GIVEN_FILE },
        { SYS_openat, "openat", GIVEN_PATH },
        { SYS_newfstatat, "fstatat", GIVEN_PATH },
        { SYS_statx, "statx", GIVEN_PATH },
        { SYS_faccessat, "faccessat", GIVEN_PATH },
        { SYS_unlinkat, "unlinkat", GIVEN_PATH },
        { SYS_mkdirat, "mkdirat", GIVEN_PATH },
        { SYS_renameat2, "renameat", GIVEN_PATH },
        { SYS_linkat, "linkat", GIVEN_PATH },
        { SYS_utimensat, "utimensat", GIVEN_PATH },
        { SYS_readlinkat, "readlinkat", GIVEN_PATH },
        { SYS_statfs, "statfs", GIVEN_PATH_ALONE },
        { SYS_truncate, "truncate", GIVEN_PATH_ALONE },
#ifdef SYS_open /* the older names, which newer machines have not */
        { SYS_open, "open", GIVEN_PATH_ALONE },
        { SYS_stat, "stat", GIVEN_PATH_ALONE },
        { SYS_lstat, "lstat", GIVEN_PATH_ALONE },
        { SYS_access, "access", GIVEN_PATH_ALONE },
        { SYS_unlink, "unlink", GIVEN_PATH_ALONE },
        { SYS_rmdir, "rmdir", GIVEN_PATH_ALONE },
        { SYS_mkdir, "mkdir", GIVEN_PATH_ALONE },
        { SYS_rename, "rename", GIVEN_PATH_ALONE },
        { SYS_readlink, "readlink", GIVEN_PATH_ALONE },
#endif
#ifdef SYS_renameat
        { SYS_renameat, "renameat", GIVEN_PATH },
#endif
};

static const struct call *find_call(long number)
{
        for (size_t i = 0; i < sizeof(calls) / sizeof(calls[0]); i++) {
                if (calls[i].number == number)
                        return &calls[i];
        }
        return NULL;
}

/* ---- what was given ---- */

/* Where descriptor FD leads; AT_FDCWD: the working directory. "" where that is no path. */
static void find_file(int fd, char path[PATH_MAX])
{
        char link[64];
        ssize_t n;

        if (fd == AT_FDCWD)
                (void)snprintf(link, sizeof(link), "/proc/self/cwd");
        else
                (void)snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
        n = readlink(link, path, PATH_MAX - 1); /* asks no file system */
        path[n > 0 && path[0] == '/' ? n : 0] = '\0';
}

/* The string at ADDRESS, as far as there is one. */
static void copy_string(uintptr_t address, char path[PATH_MAX])
{
        const size_t page = 4096;
        size_t n = 0;

        path[0] = '\0';
        while (n < PATH_MAX - 1) {
                size_t some = page - (address + n) % page;
                struct iovec to, from;
                ssize_t got;

                if (some > PATH_MAX - 1 - n)
                        some = PATH_MAX - 1 - n;
                to = (struct iovec){ .iov_base = path + n, .iov_len = some };
                from = (struct iovec){ .iov_base = (void *)(address + n), .iov_len = some };
                got = process_vm_readv(getpid(), &to, 1, &from, 1, 0);
                if (got <= 0)
                        break;
                path[n + (size_t)got] = '\0';
                if (memchr(path + n, '\0', (size_t)got))
                        break;
                n += (size_t)got;
        }
}

static void find_path(int dir, uintptr_t address, char path[PATH_MAX])
{
        char name[PATH_MAX];
        size_t len;

        copy_string(address, name);
        if (name[0] == '/') {
                memcpy(path, name, sizeof(name));
                return;
        }
        find_file(dir, path);
        len = strlen(path);
        if (name[0] && len > 0)
                (void)snprintf(path + len, PATH_MAX - len, "/%s", name);
}

/* ---- asking ---- */

/* What /proc has of the thread in FILE. */
static int read_of(pid_t thread, const char *file, char *buf, size_t size)
{
        CLEANUP_CLOSE int fd = -1;
        char path[64];
        ssize_t n;

        (void)snprintf(path, sizeof(path), "/proc/self/task/%d/%s", (int)thread, file);
        fd = open(path, O_RDONLY | O_CLOEXEC);
        if (fd < 0)
                return -ESRCH;
        n = read(fd, buf, size - 1);
        if (n <= 0)
                return -ESRCH;
        buf[n] = '\0';
        return 0;
}

int blocked_look(pid_t thread, struct blocked *ret)
{
        static const char waits[] = "\nvoluntary_ctxt_switches:";
        struct blocked b = { .number = -1 };
        unsigned long long given[2];
        const struct call *call;
        char text[4096];
        const char *at;
        int r;

        r = read_of(thread, "status", text, sizeof(text));
        if (r < 0)
                return r;
        at = strstr(text, waits);
        if (at)
                (void)sscanf(at + sizeof(waits) - 1, "%" SCNu64, &b.waits);
        r = read_of(thread, "syscall", text, sizeof(text));
        if (r < 0)
                return r;
        if (sscanf(text, "%ld %llx %llx", &b.number, &given[0], &given[1]) != 3)
                b.number = -1; /* "running", or a place in memory alone */
        call = b.number < 0 ? NULL : find_call(b.number);
        if (call) {
                b.call = call->name;
                b.lock = call->given == GIVEN_LOCK;
                if (call->given == GIVEN_FILE)
                        find_file((int)given[0], b.path);
                else if (call->given == GIVEN_PATH)
                        find_path((int)given[0], (uintptr_t)given[1], b.path);
                else if (call->given == GIVEN_PATH_ALONE)
                        find_path(AT_FDCWD, (uintptr_t)given[0], b.path);
        }
        *ret = b;
        return 0;
}

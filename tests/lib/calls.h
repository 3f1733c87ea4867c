/* SPDX-License-Identifier: MIT */
#ifndef TESTS_LIB_CALLS_H
#define TESTS_LIB_CALLS_H

/*
 * Stands between a test program and the system calls of all that is in it, the store's and SQLite's: the one that a
 * countdown reaches fails with an errno, or kills the process. Code and not declarations: for the one file of a
 * program, before all others, since it is the program's functions that are found before the library's.
 */

/* The calls are replaced under both of their names, which that macro would make one. */
#undef _FILE_OFFSET_BITS

#ifdef __clang__
#pragma clang diagnostic ignored "-Wstatic-in-inline" /* the library's headers, fortified, declare some of these inline */
#endif

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

enum fault {
        FAULT_KILL,
        FAULT_EIO,
        FAULT_ENOSPC,
        FAULT_EDQUOT,
        FAULT_ENOMEM,
};

/* Which calls count. */
enum calls {
        CALLS_SYNCS = 1,
        CALLS_OTHERS = 2, /* that change something */
        CALLS_ALL = CALLS_SYNCS | CALLS_OTHERS,
        CALLS_READS = 4,
        CALLS_MEMORY = 8, /* not under sanitizers, whose own functions these are */
};

static atomic_int countdown; /* 0: no fault any more */
static enum calls calls = CALLS_ALL;
static enum fault fault;

/* True: the call is to fail, and errno says how. */
static bool faulted(enum calls kind)
{
        static const int errnos[] = {
                [FAULT_EIO] = EIO, [FAULT_ENOSPC] = ENOSPC, [FAULT_EDQUOT] = EDQUOT, [FAULT_ENOMEM] = ENOMEM,
        };
        int left = atomic_load(&countdown);

        if (!(calls & kind))
                return false;
        while (left > 0 && !atomic_compare_exchange_weak(&countdown, &left, left - 1))
                ;
        if (left != 1)
                return false;
        if (fault == FAULT_KILL)
                (void)kill(getpid(), SIGKILL);
        errno = errnos[fault];
        return true;
}

/* Stands in for the library's function of that name, for the store and for SQLite. */
#define INTERPOSE(kind, name, number, params, ...)                                                                  \
        int name params;                                                                                               \
        int name params                                                                                                \
        {                                                                                                              \
                return faulted(kind) ? -1 : (int)syscall(number, __VA_ARGS__);                                      \
        }

INTERPOSE(CALLS_SYNCS, fsync, SYS_fsync, (int fd), fd)
INTERPOSE(CALLS_SYNCS, fdatasync, SYS_fdatasync, (int fd), fd)
INTERPOSE(CALLS_OTHERS, ftruncate, SYS_ftruncate, (int fd, off_t n), fd, n)
INTERPOSE(CALLS_OTHERS, ftruncate64, SYS_ftruncate, (int fd, off_t n), fd, n)
INTERPOSE(CALLS_OTHERS, fallocate, SYS_fallocate, (int fd, int mode, off_t off, off_t n), fd, mode, off, n)
INTERPOSE(CALLS_OTHERS, unlink, SYS_unlinkat, (const char *path), AT_FDCWD, path, 0) /* arm64 has no other */
INTERPOSE(CALLS_OTHERS, unlinkat, SYS_unlinkat, (int fd, const char *path, int flags), fd, path, flags)
INTERPOSE(CALLS_OTHERS, mkdirat, SYS_mkdirat, (int fd, const char *path, mode_t mode), fd, path, mode)
INTERPOSE(CALLS_OTHERS, renameat, SYS_renameat, (int from_fd, const char *from, int to_fd, const char *to), from_fd,
          from, to_fd, to)

ssize_t pwrite(int fd, const void *buf, size_t n, off_t off)
{
        return faulted(CALLS_OTHERS) ? -1 : syscall(SYS_pwrite64, fd, buf, n, off);
}

ssize_t pwrite64(int fd, const void *buf, size_t n, off_t off)
{
        return pwrite(fd, buf, n, off);
}

/* A sector that cannot be read: the next read at that place of any file. */
static atomic_llong bad_offset = -1;

ssize_t pread(int fd, void *buf, size_t n, off_t off)
{
        long long bad = off;

        if (atomic_compare_exchange_strong(&bad_offset, &bad, -1)) {
                errno = EIO;
                return -1;
        }
        if (faulted(CALLS_READS))
                return -1;
        return syscall(SYS_pread64, fd, buf, n, off);
}

ssize_t pread64(int fd, void *buf, size_t n, off_t off)
{
        return pread(fd, buf, n, off);
}

#if defined(__GLIBC__) && !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
#define CALLS_HAVE_MEMORY 1

void *__libc_malloc(size_t n);
void *__libc_calloc(size_t n, size_t size);
void *__libc_realloc(void *p, size_t n);

void *malloc(size_t n)
{
        return faulted(CALLS_MEMORY) ? NULL : __libc_malloc(n);
}

void *calloc(size_t n, size_t size)
{
        return faulted(CALLS_MEMORY) ? NULL : __libc_calloc(n, size);
}

void *realloc(void *p, size_t n)
{
        return faulted(CALLS_MEMORY) ? NULL : __libc_realloc(p, n);
}
#endif

#endif

/* SPDX-License-Identifier: MIT */

#include "model/db/reserve.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "blobstore/base/cleanup.h"

#define RESERVE_FILE "reserve"

/* The WAL grows to 4 MiB before it is used again from its start. */
#define RESERVE_BYTES (UINT64_C(6) << 20)

/* More than a transaction needs. */
#define EASE_BYTES (UINT64_C(1) << 20)

static bool has_free(int dir_fd, uint64_t n)
{
        struct statvfs st;

        return fstatvfs(dir_fd, &st) == 0 && (uint64_t)st.f_bavail * st.f_frsize >= n;
}

bool reserve_leaves(int dir_fd, uint64_t n)
{
        return has_free(dir_fd, n + RESERVE_LEAVES);
}

void reserve_give_up(int dir_fd)
{
        (void)unlinkat(dir_fd, RESERVE_FILE, 0);
}

void reserve_ease(int dir_fd)
{
        if (!has_free(dir_fd, EASE_BYTES))
                reserve_give_up(dir_fd);
}

/* Only where it leaves what uploads leave, so that it is not made and given up in turn. */
void reserve_fill(int dir_fd)
{
        CLEANUP_CLOSE int fd = -1;
        struct stat st;

        if (fstatat(dir_fd, RESERVE_FILE, &st, AT_SYMLINK_NOFOLLOW) == 0 && st.st_size == (off_t)RESERVE_BYTES)
                return;
        if (!reserve_leaves(dir_fd, RESERVE_BYTES))
                return;

        fd = openat(dir_fd, RESERVE_FILE, O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
        if (fd >= 0 && fallocate(fd, 0, 0, (off_t)RESERVE_BYTES) < 0)
                reserve_give_up(dir_fd); /* a file system that cannot set space aside, or no space any more */
}

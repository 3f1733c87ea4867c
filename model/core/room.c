/* SPDX-License-Identifier: MIT */

#include "model/core/room.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "blobstore/base/cleanup.h"
#include "blobstore/blobstore.h"

#define RESERVE_FILE "reserve"

/* The WAL grows to 4 MiB before it is used again from its start. */
#define RESERVE_BYTES (UINT64_C(6) << 20)

/* More than a transaction needs. */
#define EASE_BYTES (UINT64_C(1) << 20)

int room_check(struct blobstore *bs, uint64_t n, uint64_t left)
{
        uint64_t free_bytes;
        int r;

        r = blobstore_free_bytes(bs, &free_bytes);
        if (r < 0)
                return r;

        return free_bytes < left || free_bytes - left < n ? -ENOSPC : 0;
}

static bool has_free(int dir_fd, uint64_t n)
{
        struct statvfs st;

        return fstatvfs(dir_fd, &st) == 0 && (uint64_t)st.f_bavail * st.f_frsize >= n;
}

void room_give_up_reserve(int dir_fd)
{
        (void)unlinkat(dir_fd, RESERVE_FILE, 0);
}

void room_ease(int dir_fd)
{
        if (!has_free(dir_fd, EASE_BYTES))
                room_give_up_reserve(dir_fd);
}

/* Only where it leaves what uploads leave, so that it is not made and given up in turn. */
void room_fill_reserve(int dir_fd)
{
        CLEANUP_CLOSE int fd = -1;
        struct stat st;

        if (fstatat(dir_fd, RESERVE_FILE, &st, AT_SYMLINK_NOFOLLOW) == 0 && st.st_size == (off_t)RESERVE_BYTES)
                return;
        if (!has_free(dir_fd, RESERVE_BYTES + ROOM_LEFT_BY_UPLOADS))
                return;

        fd = openat(dir_fd, RESERVE_FILE, O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
        if (fd >= 0 && fallocate(fd, 0, 0, (off_t)RESERVE_BYTES) < 0)
                room_give_up_reserve(dir_fd); /* a file system that cannot set space aside, or no space any more */
}

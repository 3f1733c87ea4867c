/* SPDX-License-Identifier: MIT */

#include "blobstore/base/io.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>

#include "blobstore/base/cleanup.h"
#include "blobstore/base/parse.h"

ssize_t pread_full(int fd, void *buf, size_t n, uint64_t off)
{
        size_t done = 0;
        ssize_t got;

        while (done < n) {
                got = pread(fd, (char *)buf + done, n - done, (off_t)(off + done));
                if (got < 0 && errno == EINTR)
                        continue;
                if (got < 0)
                        return -errno;
                if (got == 0)
                        break;
                done += (size_t)got;
        }
        return (ssize_t)done;
}

int pwrite_full(int fd, const void *buf, size_t n, uint64_t off)
{
        size_t done = 0;
        ssize_t put;

        while (done < n) {
                put = pwrite(fd, (const char *)buf + done, n - done, (off_t)(off + done));
                if (put < 0 && errno == EINTR)
                        continue;
                if (put < 0)
                        return -errno;
                if (put == 0)
                        return -EIO;
                done += (size_t)put;
        }
        return 0;
}

int fsync_dir(int dir_fd)
{
        return fsync(dir_fd) < 0 ? -errno : 0;
}

static int write_temp(int dir_fd, const char *temp, const void *bytes, size_t n, mode_t mode)
{
        CLEANUP_CLOSE int fd = -1;
        int r;

        fd = openat(dir_fd, temp, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, mode);
        if (fd < 0)
                return -errno;
        r = pwrite_full(fd, bytes, n, 0);
        if (r < 0)
                return r;
        return fsync(fd) < 0 ? -errno : 0;
}

int write_file_durable(int dir_fd, const char *name, const void *bytes, size_t n, mode_t mode)
{
        char temp[NAME_LEN_MAX + 16];
        int r;

        r = snprintf(temp, sizeof(temp), "%s.tmp", name);
        if (r < 0 || (size_t)r >= sizeof(temp))
                return -ENAMETOOLONG;

        r = write_temp(dir_fd, temp, bytes, n, mode);
        if (r == 0 && renameat(dir_fd, temp, dir_fd, name) < 0)
                r = -errno;
        if (r < 0) {
                (void)unlinkat(dir_fd, temp, 0); /* the first error is the one to report */
                return r;
        }
        return fsync_dir(dir_fd);
}

int mkdir_durable(int dir_fd, const char *name, mode_t mode)
{
        if (mkdirat(dir_fd, name, mode) < 0 && errno != EEXIST)
                return -errno;
        return fsync_dir(dir_fd);
}

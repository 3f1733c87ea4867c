/* SPDX-License-Identifier: MIT */

#include "blobstore/base/dir.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "blobstore/base/cleanup.h"

static void cleanup_closedir(DIR **d)
{
        if (*d)
                (void)closedir(*d);
}

int dir_each(int dir_fd, const char *name, dir_each_fn *fn, void *ctx)
{
        CLEANUP(cleanup_closedir) DIR *dir = NULL;
        CLEANUP_CLOSE int fd = -1;
        struct dirent *de;
        int r;

        fd = openat(dir_fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
        if (fd < 0)
                return -errno;
        dir = fdopendir(fd);
        if (!dir)
                return -errno;
        (void)TAKE_FD(fd); /* the stream's now */

        while (errno = 0, (de = readdir(dir))) {
                if (strcmp(de->d_name, ".") == 0 || strcmp(de->d_name, "..") == 0)
                        continue;
                r = fn(ctx, de->d_name);
                if (r < 0)
                        return r;
        }
        return -errno;
}

/* A dir_each_fn. */
static int remove_in(void *ctx, const char *name)
{
        return dir_remove(*(const int *)ctx, name);
}

int dir_remove(int dir_fd, const char *name)
{
        CLEANUP_CLOSE int fd = -1;
        int r;

        if (unlinkat(dir_fd, name, 0) == 0 || errno == ENOENT)
                return 0;
        if (errno != EISDIR)
                return -errno;
        fd = openat(dir_fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
        if (fd < 0)
                return -errno;
        r = dir_each(fd, ".", remove_in, &fd);
        if (r < 0)
                return r;
        return unlinkat(dir_fd, name, AT_REMOVEDIR) < 0 ? -errno : 0;
}

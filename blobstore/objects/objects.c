/* SPDX-License-Identifier: MIT */

#include "blobstore/objects/objects.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "blobstore/base/cleanup.h"
#include "blobstore/base/io.h"

/* False: NAME is in no folder. */
static bool object_folder(const char *name, char ret[NAME_MAX + 1])
{
        const char *slash = strchr(name, '/');

        if (!slash)
                return false;
        (void)snprintf(ret, NAME_MAX + 1, "%.*s", (int)(slash - name), name);
        return true;
}

/* -1: NAME is in none. */
static int object_open_folder(const struct objects *o, const char *name, int *ret)
{
        char folder[NAME_MAX + 1];
        int fd = -1;

        if (object_folder(name, folder)) {
                fd = openat(o->dir_fd, folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
                if (fd < 0)
                        return -errno;
        }
        *ret = fd;
        return 0;
}

/* FD is -1 for the directory itself. */
static int object_sync_folder(const struct objects *o, int fd)
{
        int r;

        r = fsync_dir(fd < 0 ? o->dir_fd : fd);
        if (r < 0)
                atomic_store(o->degraded, true);
        return r;
}

/* The folder of NAME, if it is to be in one; synced also where it is there: another thread may have just made it. */
static int object_make_folder(const struct objects *o, const char *name)
{
        char folder[NAME_MAX + 1];

        if (!object_folder(name, folder))
                return 0;
        if (mkdirat(o->dir_fd, folder, 0700) < 0 && errno != EEXIST)
                return -errno;
        return object_sync_folder(o, -1);
}

int objects_put(const struct objects *o, int from_fd, const char *from, const char *name)
{
        CLEANUP_CLOSE int fd = -1;
        int r;

        r = object_make_folder(o, name);
        if (r == 0)
                r = object_open_folder(o, name, &fd); /* before it has a name there: what can fail now changes nothing */
        if (r < 0)
                return r;
        if (renameat(from_fd, from, o->dir_fd, name) < 0)
                return -errno;
        return object_sync_folder(o, fd);
}

static int object_open_to(const struct objects *o, const char *name, int flags)
{
        int fd = openat(o->dir_fd, name, flags | O_CLOEXEC | O_NOFOLLOW);

        return fd < 0 ? -errno : fd;
}

int objects_open(const struct objects *o, const char *name, int *ret)
{
        int fd = object_open_to(o, name, O_RDONLY);

        if (fd < 0)
                return fd;
        *ret = fd;
        return 0;
}

bool objects_exists(const struct objects *o, const char *name)
{
        return faccessat(o->dir_fd, name, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

int objects_stat(const struct objects *o, const char *name, uint64_t *ret_size, uint64_t *ret_allocated)
{
        struct stat st;

        if (fstatat(o->dir_fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
                return -errno;
        *ret_size = (uint64_t)st.st_size;
        *ret_allocated = (uint64_t)st.st_blocks * 512;
        return 0;
}

void objects_drop_cached(const struct objects *o, const char *name)
{
        CLEANUP_CLOSE int fd = object_open_to(o, name, O_RDONLY);

        if (fd >= 0)
                (void)posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
}

int objects_mend(const struct objects *o, const char *name, uint64_t off, const void *buf, size_t n)
{
        CLEANUP_CLOSE int fd = object_open_to(o, name, O_RDWR);
        int r;

        if (fd < 0)
                return fd;
        r = pwrite_full(fd, buf, n, off);
        if (r == 0 && fsync(fd) < 0)
                r = -errno;
        return r;
}

int objects_punch(const struct objects *o, const char *name, uint64_t from, uint64_t to)
{
        CLEANUP_CLOSE int fd = object_open_to(o, name, O_RDWR);

        if (fd < 0)
                return fd;
        if (fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)from, (off_t)(to - from)) < 0)
                return -errno;
        return 0;
}

int objects_rename(const struct objects *o, const char *from, const char *to)
{
        return renameat(o->dir_fd, from, o->dir_fd, to) < 0 ? -errno : 0;
}

int objects_remove(const struct objects *o, const char *name)
{
        return unlinkat(o->dir_fd, name, 0) < 0 ? -errno : 0;
}

int objects_sync_names(const struct objects *o, const char *name)
{
        CLEANUP_CLOSE int fd = -1;
        int r;

        r = object_open_folder(o, name, &fd);
        return r < 0 ? r : object_sync_folder(o, fd);
}

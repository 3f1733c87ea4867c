/* SPDX-License-Identifier: MIT */

#include "blobstore/chunks/block_dir.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "blobstore/base/block.h"
#include "blobstore/base/bytes.h"
#include "blobstore/base/cleanup.h"
#include "blobstore/base/dir.h"
#include "blobstore/base/io.h"
#include "blobstore/base/lock.h"
#include "blobstore/base/parse.h"

#define NAME_SIZE (2 * BLOB_ID_SIZE + 1)

static const char tag_name[] = "CACHEDIR.TAG";
static const char tag[] = "Signature: 8a477f597d28d172789f06886806bc55\n"
                          "# Decoded data of an imagefs blob store: see -o cache-disk of imagefs(1).\n"
                          "# All of it may be removed at any moment. See https://bford.info/cachedir/\n";

/* A checksum is no proof against somebody who can write here, and what lies here was for its owners alone. */
static int check_is_ours(int fd)
{
        struct stat st;

        if (fstat(fd, &st) < 0)
                return -errno;
        return st.st_uid != geteuid() || (st.st_mode & (S_IRWXG | S_IRWXO)) ? -EPERM : 0;
}

/* A hint to programs that make backups. */
static void put_tag(int dir_fd)
{
        CLEANUP_CLOSE int fd = openat(dir_fd, tag_name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);

        if (fd >= 0)
                (void)pwrite_full(fd, tag, sizeof(tag) - 1, 0);
}

/* A file of a few blocks here and there must not be one of zeros, nor keep what is given back. */
static int check_holes(int dir_fd)
{
        static const char name[] = "holes", page[BLOB_BLOCK_SIZE] = "x";
        CLEANUP_CLOSE int fd = -1;
        int r;

        fd = openat(dir_fd, name, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
        if (fd < 0)
                return -errno;
        r = pwrite_full(fd, page, sizeof(page), 0);
        if (r == 0 && fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, sizeof(page)) < 0)
                r = -errno;
        (void)unlinkat(dir_fd, name, 0);
        return r == -ENOSPC || r == -EDQUOT ? 0 : r; /* told when there is room */
}

static int make_dir(const char *dir, const char *name, int *ret)
{
        CLEANUP_CLOSE int parent = -1;
        CLEANUP_CLOSE int fd = -1;
        int r;

        if (mkdir(dir, 0700) < 0 && errno != EEXIST)
                return -errno;
        parent = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (parent < 0 || (mkdirat(parent, name, 0700) < 0 && errno != EEXIST))
                return -errno;
        fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
        if (fd < 0)
                return -errno;
        r = check_is_ours(fd);
        if (r == 0)
                r = check_holes(fd);
        if (r < 0)
                return r;
        put_tag(fd);
        *ret = TAKE_FD(fd);
        return 0;
}

int block_dir_init(struct block_dir *d, const char *dir, const char *name)
{
        *d = (struct block_dir){ .dir = strdup(dir), .name = strdup(name), .fd = -1 };
        pthread_mutex_init(&d->lock, NULL);
        return d->dir && d->name ? make_dir(dir, name, &d->fd) : -ENOMEM;
}

void block_dir_done(struct block_dir *d)
{
        cleanup_close(&d->fd);
        pthread_mutex_destroy(&d->lock);
        free(d->name);
        free(d->dir);
}

/* In the place of the one that was removed, or of one that somebody put there since. */
static int block_dir_make_again(struct block_dir *d)
{
        CLEANUP_CLOSE int fd = -1;
        struct stat st;
        int r;

        LOCK_SCOPE(&d->lock);
        if (fstat(d->fd, &st) == 0 && st.st_nlink > 0)
                return 0; /* another thread has */
        r = make_dir(d->dir, d->name, &fd);
        if (r < 0)
                return r;
        return dup3(fd, d->fd, O_CLOEXEC) < 0 ? -errno : 0;
}

/* ---- files ---- */

static int open_file(const struct block_dir *d, const char *name, bool create)
{
        int fd = openat(d->fd, name, O_RDWR | (create ? O_CREAT : 0) | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0600);

        return fd < 0 ? -errno : fd;
}

int block_dir_open(struct block_dir *d, const struct blob_id *id, bool create, int *ret)
{
        char name[NAME_SIZE];
        struct stat st;
        int fd, r = 0;

        put_hex(name, id->bytes, BLOB_ID_SIZE);
        fd = open_file(d, name, create);
        if (fd == -ENOENT && create) {
                r = block_dir_make_again(d);
                fd = r < 0 ? r : open_file(d, name, true);
        }
        if (fd < 0)
                return fd;
        if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode)) {
                (void)close(fd); /* nothing was written */
                return -EUCLEAN;
        }
        (void)posix_fadvise(fd, 0, 0, POSIX_FADV_RANDOM); /* what lies beside a block is another machine's */
        *ret = fd;
        return 0;
}

void block_dir_remove(struct block_dir *d, const struct blob_id *id)
{
        char name[NAME_SIZE];

        put_hex(name, id->bytes, BLOB_ID_SIZE);
        (void)unlinkat(d->fd, name, 0); /* what stays is found when the cache is opened */
}

struct dir_walk {
        struct block_dir *dir;
        block_dir_fn *fn;
        void *ctx;
};

static int walk_name(void *ctx, const char *name)
{
        const struct dir_walk *w = ctx;
        struct blob_id id;
        struct stat st;

        if (strlen(name) != NAME_SIZE - 1 || parse_hex(name, NAME_SIZE - 1, id.bytes) < 0 ||
            fstatat(w->dir->fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0 || !S_ISREG(st.st_mode))
                return 0;
        return w->fn(w->ctx, &id, (uint64_t)st.st_blocks * 512);
}

int block_dir_each(struct block_dir *d, block_dir_fn *fn, void *ctx)
{
        struct dir_walk walk = { d, fn, ctx };

        return dir_each(d->fd, ".", walk_name, &walk);
}

int block_dir_space(struct block_dir *d, uint64_t *ret_free, uint64_t *ret_all)
{
        struct statvfs st;

        if (fstatvfs(d->fd, &st) < 0)
                return -errno;
        *ret_free = (uint64_t)st.f_bavail * st.f_frsize;
        *ret_all = (uint64_t)st.f_blocks * st.f_frsize;
        return 0;
}

/* SPDX-License-Identifier: MIT */
/*
 * hang-fs DIR MOUNTPOINT MARK [syncs]: shows DIR, and stops answering when it is told to, as a network mount does whose
 * server is gone. SIGUSR1: from now on nothing is answered, or with "syncs" everything but those; MARK is there once that is
 * so. SIGUSR2: it goes on, and MARK is gone.
 */

#define FUSE_USE_VERSION 312
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <fuse.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

static int top; /* DIR */
static const char *mark;
static pthread_rwlock_t hang = PTHREAD_RWLOCK_INITIALIZER; /* held for writing: nothing is answered */
static pthread_rwlock_t never = PTHREAD_RWLOCK_INITIALIZER;
static pthread_rwlock_t *but_syncs = &hang; /* what all else waits for */

static void *obey(void *arg)
{
        const sigset_t *orders = arg;
        int order;
        bool hung = false;

        while (sigwait(orders, &order) == 0) {
                if (order == SIGUSR1 && !hung) {
                        (void)pthread_rwlock_wrlock(&hang);
                        hung = true;
                        (void)close(open(mark, O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
                } else if (order == SIGUSR2 && hung) {
                        (void)unlink(mark);
                        hung = false;
                        (void)pthread_rwlock_unlock(&hang);
                }
        }
        return NULL;
}

static pthread_rwlock_t *answer_begin(pthread_rwlock_t *l)
{
        (void)pthread_rwlock_rdlock(l);
        return l;
}

static void answer_end(pthread_rwlock_t **l)
{
        (void)pthread_rwlock_unlock(*l);
}

/* To the end of the block: what has begun is not stopped in the middle. */
#define ANSWER_WITH(l) pthread_rwlock_t *answering __attribute__((cleanup(answer_end), unused)) = answer_begin(l)
#define ANSWER         ANSWER_WITH(but_syncs)

/* PATH below DIR. */
static const char *at(const char *path)
{
        return path[1] ? path + 1 : ".";
}

static int result(ssize_t r)
{
        return r < 0 ? -errno : (int)r;
}

static int hang_getattr(const char *path, struct stat *st, struct fuse_file_info *fi)
{
        ANSWER;
        return result(fi ? fstat((int)fi->fh, st) : fstatat(top, at(path), st, AT_SYMLINK_NOFOLLOW));
}

static int hang_readdir(const char *path, void *buf, fuse_fill_dir_t fill, off_t off, struct fuse_file_info *fi,
                        enum fuse_readdir_flags flags)
{
        int fd;
        struct dirent *e;
        DIR *dir;
        ANSWER;

        (void)off;
        (void)fi;
        (void)flags;
        fd = openat(top, at(path), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        dir = fd < 0 ? NULL : fdopendir(fd);
        if (!dir)
                return -errno;
        while ((e = readdir(dir)))
                (void)fill(buf, e->d_name, NULL, 0, 0);
        (void)closedir(dir);
        return 0;
}

static int open_file(const char *path, int flags, mode_t mode, struct fuse_file_info *fi)
{
        int fd = openat(top, at(path), (flags & ~O_DIRECT) | O_CLOEXEC, mode);

        fi->fh = (uint64_t)fd;
        return result(fd) < 0 ? -errno : 0;
}

static int hang_open(const char *path, struct fuse_file_info *fi)
{
        ANSWER;
        return open_file(path, fi->flags, 0, fi);
}

static int hang_create(const char *path, mode_t mode, struct fuse_file_info *fi)
{
        ANSWER;
        return open_file(path, fi->flags | O_CREAT, mode, fi);
}

static int hang_release(const char *path, struct fuse_file_info *fi)
{
        (void)path;
        return result(close((int)fi->fh));
}

static int hang_read(const char *path, char *buf, size_t n, off_t off, struct fuse_file_info *fi)
{
        ANSWER;
        (void)path;
        return result(pread((int)fi->fh, buf, n, off));
}

static int hang_write(const char *path, const char *buf, size_t n, off_t off, struct fuse_file_info *fi)
{
        ANSWER;
        (void)path;
        return result(pwrite((int)fi->fh, buf, n, off));
}

static int hang_fsync(const char *path, int data, struct fuse_file_info *fi)
{
        ANSWER_WITH(&hang);
        (void)path;
        return result(data ? fdatasync((int)fi->fh) : fsync((int)fi->fh));
}

static int hang_fallocate(const char *path, int mode, off_t off, off_t n, struct fuse_file_info *fi)
{
        ANSWER;
        (void)path;
        return result(fallocate((int)fi->fh, mode, off, n));
}

static off_t hang_lseek(const char *path, off_t off, int whence, struct fuse_file_info *fi)
{
        off_t r;
        ANSWER;

        (void)path;
        r = lseek((int)fi->fh, off, whence);
        return r < 0 ? -errno : r;
}

static int hang_truncate(const char *path, off_t size, struct fuse_file_info *fi)
{
        int fd, r;
        ANSWER;

        if (fi)
                return result(ftruncate((int)fi->fh, size));
        fd = openat(top, at(path), O_WRONLY | O_CLOEXEC);
        if (fd < 0)
                return -errno;
        r = result(ftruncate(fd, size));
        (void)close(fd);
        return r;
}

static int hang_mkdir(const char *path, mode_t mode)
{
        ANSWER;
        return result(mkdirat(top, at(path), mode));
}

static int hang_unlink(const char *path)
{
        ANSWER;
        return result(unlinkat(top, at(path), 0));
}

static int hang_rmdir(const char *path)
{
        ANSWER;
        return result(unlinkat(top, at(path), AT_REMOVEDIR));
}

static int hang_rename(const char *from, const char *to, unsigned flags)
{
        ANSWER;
        return result(renameat2(top, at(from), top, at(to), flags));
}

static int hang_link(const char *from, const char *to)
{
        ANSWER;
        return result(linkat(top, at(from), top, at(to), 0));
}

static int hang_chmod(const char *path, mode_t mode, struct fuse_file_info *fi)
{
        ANSWER;
        (void)fi;
        return result(fchmodat(top, at(path), mode, 0));
}

static int hang_utimens(const char *path, const struct timespec times[2], struct fuse_file_info *fi)
{
        ANSWER;
        (void)fi;
        return result(utimensat(top, at(path), times, AT_SYMLINK_NOFOLLOW));
}

static int hang_statfs(const char *path, struct statvfs *st)
{
        ANSWER;
        (void)path;
        return result(fstatvfs(top, st));
}

static const struct fuse_operations hang_ops = {
        .getattr = hang_getattr,
        .readdir = hang_readdir,
        .open = hang_open,
        .create = hang_create,
        .release = hang_release,
        .read = hang_read,
        .write = hang_write,
        .fsync = hang_fsync,
        .fallocate = hang_fallocate,
        .lseek = hang_lseek,
        .truncate = hang_truncate,
        .mkdir = hang_mkdir,
        .unlink = hang_unlink,
        .rmdir = hang_rmdir,
        .rename = hang_rename,
        .link = hang_link,
        .chmod = hang_chmod,
        .utimens = hang_utimens,
        .statfs = hang_statfs,
};

int main(int argc, char **argv)
{
        const char *const given[] = { argv[0], "-f", "-o", "fsname=hang-fs,attr_timeout=0,entry_timeout=0,max_threads=64",
                                      argc >= 4 ? argv[2] : "" };
        struct fuse_args args = FUSE_ARGS_INIT(0, NULL);
        sigset_t orders;
        pthread_t thread;

        if (argc != 4 && !(argc == 5 && strcmp(argv[4], "syncs") == 0)) {
                (void)fprintf(stderr, "usage: hang-fs DIR MOUNTPOINT MARK [syncs]\n");
                return 2;
        }
        if (argc == 5)
                but_syncs = &never;
        mark = argv[3];
        top = open(argv[1], O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (top < 0) {
                perror(argv[1]);
                return 1;
        }
        (void)sigemptyset(&orders);
        (void)sigaddset(&orders, SIGUSR1);
        (void)sigaddset(&orders, SIGUSR2);
        (void)pthread_sigmask(SIG_BLOCK, &orders, NULL);
        if (pthread_create(&thread, NULL, obey, &orders) != 0)
                return 1;
        for (size_t i = 0; i < sizeof(given) / sizeof(given[0]); i++)
                (void)fuse_opt_add_arg(&args, given[i]);
        return fuse_main(args.argc, args.argv, &hang_ops, NULL);
}

/* SPDX-License-Identifier: MIT */
/*
 * One file system call, and the name of its errno: what the mount tests check, since the messages of
 * coreutils differ between versions and say nothing about which call failed.
 *
 *     fsop OPERATION ARGUMENT...
 *
 * prints `ok`, or the answer where the call has one (an offset, a value), and exits 0; or prints the
 * errno's name and the step that failed (`EBUSY write`) and exits 1. Exit status 2 is a wrong call of fsop itself.
 *
 * It makes test data too (`pattern`), so that the tests need no program for that and get the same bytes each time.
 */

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/types.h>
#include <sys/xattr.h>
#include <time.h>
#include <unistd.h>

#define BLOCK 4096

static int failed(const char *step)
{
        const char *name = strerrorname_np(errno);

        printf("%s %s\n", name ? name : "E?", step);
        return 1;
}

static int ok(void)
{
        puts("ok");
        return 0;
}

static int done(int r, const char *step)
{
        return r < 0 ? failed(step) : ok();
}

static _Noreturn void usage(const char *what)
{
        fprintf(stderr, "fsop: %s\n", what);
        exit(2);
}

/* Also takes K, M, G, T, so that the cases can say 64M. */
static uint64_t number(const char *s)
{
        char *end;
        uint64_t n = strtoull(s, &end, 0);
        const char *unit = "KMGT", *u;

        if (*end && !end[1] && (u = strchr(unit, *end)))
                n <<= 10 * (u - unit + 1);
        else if (end == s || *end)
                usage("not a number");
        return n;
}

static void *memory(size_t n)
{
        void *p = aligned_alloc(BLOCK, (n + BLOCK - 1) / BLOCK * BLOCK);

        if (!p)
                usage("out of memory");
        return p;
}

static void release(void *p)
{
        free(*(void **)p);
}
#define RELEASED __attribute__((cleanup(release)))

static int op_mkdir(char **a)
{
        return done(mkdir(a[0], 0777), "mkdir");
}

static int op_rmdir(char **a)
{
        return done(rmdir(a[0]), "rmdir");
}

static int op_unlink(char **a)
{
        return done(unlink(a[0]), "unlink");
}

static int op_rename(char **a)
{
        return done(rename(a[0], a[1]), "rename");
}

static int op_exchange(char **a)
{
        return done(renameat2(AT_FDCWD, a[0], AT_FDCWD, a[1], RENAME_EXCHANGE), "renameat2");
}

static int op_link(char **a)
{
        return done(link(a[0], a[1]), "link");
}

static int op_symlink(char **a)
{
        return done(symlink(a[0], a[1]), "symlink");
}

static int op_fifo(char **a)
{
        return done(mknod(a[0], S_IFIFO | 0600, 0), "mknod");
}

static int op_chmod(char **a)
{
        return done(chmod(a[1], strtoul(a[0], NULL, 8)), "chmod");
}

/* fsop chown UID GID PATH */
static int op_chown(char **a)
{
        return done(chown(a[2], number(a[0]), number(a[1])), "chown");
}

/*
 * FILE TEXT: opens FILE, writes TEXT through another open, and then asks the first how long it is (both ways) and reads
 * it: the sizes are those of what is read, which is what was there before.
 */
static int op_frozen(char **a)
{
        char was[65536], now[65536];
        const int before = open(a[0], O_RDONLY);
        ssize_t n = before < 0 ? -1 : read(before, was, sizeof(was)), m;
        const int fd = open(a[0], O_RDONLY);
        const int other = open(a[0], O_WRONLY);
        struct stat st;

        if (n < 0 || fd < 0 || other < 0)
                return failed("open");
        if (write(other, a[1], strlen(a[1])) < 0)
                return failed("write");
        if (fstat(fd, &st) < 0)
                return failed("fstat");
        m = read(fd, now, sizeof(now));
        if (m != n || memcmp(was, now, (size_t)n) != 0) {
                puts("another-text");
                return 0;
        }
        if (st.st_size != n || lseek(fd, 0, SEEK_END) != n) {
                printf("size %lld of %lld\n", (long long)st.st_size, (long long)n);
                return 0;
        }
        (void)close(fd);
        (void)close(before);
        /* The kernel says that a file was closed some time after close(2) has returned. */
        for (int i = 0; i < 200; i++) {
                const struct timespec moment = { .tv_nsec = 10000000 };

                if (stat(a[0], &st) < 0)
                        return failed("stat");
                if ((size_t)st.st_size == strlen(a[1]) + 1)
                        break;
                (void)nanosleep(&moment, NULL);
        }
        printf("%s\n", (size_t)st.st_size == strlen(a[1]) + 1 ? "ok" : "afterwards another size");
        return 0;
}

static int op_touch(char **a)
{
        return done(utimensat(AT_FDCWD, a[0], NULL, 0), "utimensat");
}

static int op_stat(char **a)
{
        struct stat st;

        return done(lstat(a[0], &st), "lstat");
}

static int op_opendir(char **a)
{
        int fd = open(a[0], O_RDONLY | O_DIRECTORY | O_CLOEXEC);

        return done(fd, "open");
}

/* Opens a directory, says so, and lists it when there is something to read from stdin. */
static int op_list_later(char **a)
{
        DIR *dir = opendir(a[0]);
        char c;
        int r;

        if (!dir)
                return failed("opendir");
        puts("open");
        fflush(stdout);
        if (read(STDIN_FILENO, &c, 1) < 0)
                return failed("read");
        errno = 0;
        r = readdir(dir) || !errno ? ok() : failed("readdir");
        (void)closedir(dir);
        return r;
}

/* fsop targets LINK FILE: reads a link again and again until FILE is gone; prints each change, then how often it was read. */
static int op_targets(char **a)
{
        char last[4096] = "", target[4096];
        unsigned long reads = 0;
        ssize_t n;

        for (; !access(a[1], F_OK); reads++) {
                n = readlink(a[0], target, sizeof(target) - 1);
                if (n < 0)
                        return failed("readlink");
                target[n] = 0;
                if (strcmp(target, last))
                        puts(strcpy(last, target));
        }
        printf("%lu reads\n", reads);
        return 0;
}

/* Keeps a directory open, and after a byte reads it again and again for two seconds: what then of a file below it? */
static int op_list_again(char **a)
{
        DIR *dir = opendir(a[0]);
        struct stat st;
        char c;
        int r;

        if (!dir)
                return failed("opendir");
        while (readdir(dir))
                ;
        puts("open");
        fflush(stdout);
        if (read(STDIN_FILENO, &c, 1) < 0)
                return failed("read");
        for (int i = 0; i < 20; i++) {
                rewinddir(dir);
                while (readdir(dir))
                        ;
                usleep(100000);
        }
        rewinddir(dir);
        while (readdir(dir))
                ;
        r = fstatat(dirfd(dir), a[1], &st, 0) == 0 ? ok() : failed("fstatat");
        (void)closedir(dir);
        return r;
}

static int op_truncate(char **a)
{
        return done(truncate(a[1], number(a[0])), "truncate");
}

/* fsop open r|w|rw|a|create|excl|trunc PATH: opens, closes. */
static int op_open(char **a)
{
        static const struct {
                const char *name;
                int flags;
        } modes[] = {
                { "r", O_RDONLY },
                { "w", O_WRONLY },
                { "rw", O_RDWR },
                { "a", O_WRONLY | O_APPEND },
                { "create", O_WRONLY | O_CREAT },
                { "excl", O_WRONLY | O_CREAT | O_EXCL },
                { "trunc", O_WRONLY | O_TRUNC },
                { "direct", O_RDONLY | O_DIRECT },
        };
        int fd;

        for (size_t i = 0; i < sizeof(modes) / sizeof(modes[0]); i++)
                if (!strcmp(modes[i].name, a[0])) {
                        fd = open(a[1], modes[i].flags | O_CLOEXEC, 0666);
                        if (fd < 0)
                                return failed("open");
                        return done(close(fd), "close");
                }
        usage("unknown way to open");
}

static int write_texts(int fd, char **texts)
{
        for (; *texts; texts++) {
                size_t n = strlen(*texts);
                ssize_t w = write(fd, *texts, n);

                if (w < 0)
                        return failed("write");
                if ((size_t)w != n) {
                        printf("short write\n");
                        return 1;
                }
        }
        return done(close(fd), "close");
}

/* fsop write PATH TEXT...: as a shell's `>` does it; each TEXT is one write(2). */
static int op_write(char **a)
{
        int fd = open(a[0], O_WRONLY | O_TRUNC | O_CLOEXEC);

        return fd < 0 ? failed("open") : write_texts(fd, a + 1);
}

static int op_append(char **a)
{
        int fd = open(a[0], O_WRONLY | O_APPEND | O_CLOEXEC);

        return fd < 0 ? failed("open") : write_texts(fd, a + 1);
}

static int op_create(char **a)
{
        int fd = open(a[0], O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);

        return fd < 0 ? failed("open") : write_texts(fd, a + 1);
}

/* fsop write-bytes COUNT PATH: one write(2) of COUNT bytes. */
static int op_write_bytes(char **a)
{
        size_t n = number(a[0]);
        RELEASED char *buf = memory(n);
        int fd = open(a[1], O_WRONLY | O_CLOEXEC);
        ssize_t w;

        if (fd < 0)
                return failed("open");
        memset(buf, 'x', n);
        w = write(fd, buf, n);
        if (w < 0)
                return failed("write");
        if ((size_t)w != n) {
                printf("short write\n");
                return 1;
        }
        return done(close(fd), "close");
}

/* fsop pwrite OFFSET PATH TEXT */
static int op_pwrite(char **a)
{
        int fd = open(a[1], O_WRONLY | O_CLOEXEC);

        if (fd < 0)
                return failed("open");
        if (pwrite(fd, a[2], strlen(a[2]), number(a[0])) < 0)
                return failed("write");
        return done(close(fd), "close");
}

/* fsop read OFFSET COUNT PATH: prints how many bytes one pread(2) gave. */
static int op_read(char **a)
{
        size_t n = number(a[1]);
        RELEASED char *buf = memory(n);
        int fd = open(a[2], O_RDONLY | O_CLOEXEC);
        ssize_t r;

        if (fd < 0)
                return failed("open");
        r = pread(fd, buf, n, number(a[0]));
        if (r < 0)
                return failed("read");
        printf("%zd\n", r);
        return 0;
}

static int seek(char **a, int whence)
{
        int fd = open(a[1], O_RDONLY | O_CLOEXEC);
        off_t r;

        if (fd < 0)
                return failed("open");
        r = lseek(fd, number(a[0]), whence);
        if (r < 0)
                return failed("lseek");
        printf("%jd\n", (intmax_t)r);
        return 0;
}

/* fsop seek-data OFFSET PATH */
static int op_seek_data(char **a)
{
        return seek(a, SEEK_DATA);
}

static int op_seek_hole(char **a)
{
        return seek(a, SEEK_HOLE);
}

/* fsop extents PATH: the data runs as lseek(2) tells them, a line `OFFSET LENGTH` each. */
static int op_extents(char **a)
{
        int fd = open(a[0], O_RDONLY | O_CLOEXEC);
        off_t data, hole = 0;

        if (fd < 0)
                return failed("open");
        for (;;) {
                data = lseek(fd, hole, SEEK_DATA);
                if (data < 0)
                        return errno == ENXIO ? 0 : failed("lseek");
                hole = lseek(fd, data, SEEK_HOLE);
                if (hole < 0)
                        return failed("lseek");
                printf("%jd %jd\n", (intmax_t)data, (intmax_t)(hole - data));
        }
}

/* The runs of 4 KiB blocks of A that are not those of B, whose end reads as zeros. */
static int print_runs(const char *a, const char *b)
{
        int fa = open(a, O_RDONLY | O_CLOEXEC);
        int fb = open(b, O_RDONLY | O_CLOEXEC);
        off_t off = 0, start = -1;
        char buf[BLOCK], other[BLOCK];
        ssize_t n;

        if (fa < 0 || fb < 0)
                return failed("open");
        while ((n = pread(fa, buf, sizeof(buf), off)) > 0) {
                bool same;

                memset(other, 0, sizeof(other));
                if (pread(fb, other, n, off) < 0)
                        return failed("read");
                same = !memcmp(buf, other, n);
                if (!same && start < 0)
                        start = off;
                if (same && start >= 0) {
                        printf("%jd %jd\n", (intmax_t)start, (intmax_t)(off - start));
                        start = -1;
                }
                off += n;
        }
        if (n < 0)
                return failed("read");
        if (start >= 0)
                printf("%jd %jd\n", (intmax_t)start, (intmax_t)(off - start));
        return 0;
}

/* fsop data-runs PATH: the lines of `extents`, worked out from the bytes. */
static int op_data_runs(char **a)
{
        return print_runs(a[0], "/dev/null");
}

/* fsop diff-runs A B: where the two differ. */
static int op_diff_runs(char **a)
{
        return print_runs(a[0], a[1]);
}

static int op_getxattr(char **a)
{
        char value[65536];
        ssize_t n = lgetxattr(a[1], a[0], value, sizeof(value));

        if (n < 0)
                return failed("getxattr");
        printf("%.*s\n", (int)n, value);
        return 0;
}

/* fsop setxattr NAME VALUE PATH */
static int op_setxattr(char **a)
{
        return done(lsetxattr(a[2], a[0], a[1], strlen(a[1]), 0), "setxattr");
}

static int op_removexattr(char **a)
{
        return done(lremovexattr(a[1], a[0]), "removexattr");
}

/* fsop listxattr PATH [BYTES]: with a buffer of that size. */
static int op_listxattr(char **a)
{
        char names[65536] = "";
        ssize_t n = llistxattr(a[0], names, a[1] ? (size_t)number(a[1]) : sizeof(names));

        if (n < 0)
                return failed("listxattr");
        for (ssize_t i = 0; i < n; i += strlen(names + i) + 1)
                puts(names + i);
        return 0;
}

/* fsop lock PATH: an open file description lock, as qemu takes them on its images. */
static int op_lock(char **a)
{
        struct flock fl = { .l_type = F_RDLCK, .l_whence = SEEK_SET, .l_start = 100, .l_len = 1 };
        int fd = open(a[0], O_RDONLY | O_CLOEXEC);

        if (fd < 0)
                return failed("open");
        return done(fcntl(fd, F_OFD_SETLK, &fl), "fcntl");
}

/* fsop write-lock PATH: the same, for writing. */
static int op_write_lock(char **a)
{
        struct flock fl = { .l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = 100, .l_len = 1 };
        int fd = open(a[0], O_RDWR | O_CLOEXEC);

        if (fd < 0)
                return failed("open");
        return done(fcntl(fd, F_OFD_SETLK, &fl), "fcntl");
}

/* fsop fallocate punch|zero|allocate|collapse OFFSET LENGTH PATH */
static int op_fallocate(char **a)
{
        static const struct {
                const char *name;
                int mode;
        } modes[] = {
                { "punch", FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE },
                { "zero", FALLOC_FL_ZERO_RANGE },
                { "allocate", 0 },
                { "collapse", FALLOC_FL_COLLAPSE_RANGE },
        };
        int fd;

        for (size_t i = 0; i < sizeof(modes) / sizeof(modes[0]); i++)
                if (!strcmp(modes[i].name, a[0])) {
                        fd = open(a[3], O_RDWR | O_CLOEXEC);
                        if (fd < 0)
                                return failed("open");
                        return done(fallocate(fd, modes[i].mode, number(a[1]), number(a[2])), "fallocate");
                }
        usage("unknown way to allocate");
}

/* fsop mmap-write PATH: asks for a shared, writable mapping. */
static int op_mmap_write(char **a)
{
        int fd = open(a[0], O_RDWR | O_CLOEXEC);
        void *p;

        if (fd < 0)
                return failed("open");
        p = mmap(NULL, BLOCK, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        return p == MAP_FAILED ? failed("mmap") : ok();
}

/* fsop mmap-put OFFSET PATH TEXT: writes through a shared mapping, and syncs it. */
static int op_mmap_put(char **a)
{
        size_t at = number(a[0]) % BLOCK, n = at + strlen(a[2]);
        int fd = open(a[1], O_RDWR | O_CLOEXEC);
        char *p;

        if (fd < 0)
                return failed("open");
        p = mmap(NULL, n, PROT_READ | PROT_WRITE, MAP_SHARED, fd, number(a[0]) - at);
        if (p == MAP_FAILED)
                return failed("mmap");
        memcpy(p + at, a[2], strlen(a[2]));
        return done(msync(p, n, MS_SYNC), "msync");
}

/* fsop mmap-cmp A B: A through a mapping, B through read(2). */
static int op_mmap_cmp(char **a)
{
        int fa = open(a[0], O_RDONLY | O_CLOEXEC);
        int fb = open(a[1], O_RDONLY | O_CLOEXEC);
        size_t piece = 1 << 20;
        RELEASED char *buf = memory(piece);
        char *map;
        struct stat sa, sb;
        ssize_t n = 0;

        if (fa < 0 || fb < 0 || fstat(fa, &sa) < 0 || fstat(fb, &sb) < 0)
                return failed("open");
        if (sa.st_size != sb.st_size) {
                printf("sizes differ\n");
                return 1;
        }
        map = mmap(NULL, sa.st_size, PROT_READ, MAP_SHARED, fa, 0);
        if (map == MAP_FAILED)
                return failed("mmap");
        for (off_t off = 0; off < sb.st_size; off += n) {
                n = pread(fb, buf, piece, off);
                if (n <= 0)
                        return failed("read");
                if (memcmp(map + off, buf, n)) {
                        printf("differ near %jd\n", (intmax_t)off);
                        return 1;
                }
        }
        return ok();
}

/* fsop copy-range FROM TO: copy_file_range(2) alone, no falling back. */
static int op_copy_range(char **a)
{
        int from = open(a[0], O_RDONLY | O_CLOEXEC);
        int to = open(a[1], O_WRONLY | O_CREAT | O_CLOEXEC, 0666);
        ssize_t n;

        if (from < 0 || to < 0)
                return failed("open");
        do {
                n = copy_file_range(from, NULL, to, NULL, 1 << 30, 0);
                if (n < 0)
                        return failed("copy_file_range");
        } while (n > 0);
        return done(close(to), "close");
}

/* A small generator of its own: the same seed gives the same bytes everywhere. */
static uint64_t next_random(uint64_t *state)
{
        uint64_t x = *state;

        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        return *state = x;
}

static uint64_t seeded(const char *s)
{
        return number(s) * UINT64_C(0x9e3779b97f4a7c15) + 1;
}

/*
 * fsop pattern SEED SIZE PATH: a file as disks are: runs of data between holes, about half of it text-like, some
 * blocks of zeros written out, a tail that need not end on a block.
 */
static int op_pattern(char **a)
{
        uint64_t seed = seeded(a[0]), size = number(a[1]), off = 0;
        RELEASED char *buf = memory(64 * BLOCK);
        int fd = open(a[2], O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);

        if (fd < 0)
                return failed("open");
        if (ftruncate(fd, size) < 0)
                return failed("truncate");
        while (off < size) {
                uint64_t kind = next_random(&seed) % 8;
                size_t n = (next_random(&seed) % 64 + 1) * BLOCK;

                if (n > size - off)
                        n = size - off;
                if (kind >= 2) {
                        for (size_t i = 0; i < n; i += 8) {
                                uint64_t x = next_random(&seed);

                                if (kind >= 5) /* 16 letters only, so that it can be compressed */
                                        x = (x & UINT64_C(0x0f0f0f0f0f0f0f0f)) | UINT64_C(0x6060606060606060);
                                memcpy(buf + i, &x, 8);
                        }
                        if (kind == 2)
                                memset(buf, 0, n / 2);
                        if (pwrite(fd, buf, n, off) != (ssize_t)n)
                                return failed("write");
                }
                off += n;
        }
        return done(close(fd), "close");
}

/*
 * fsop upload FROM TO [PIECE [SEED]]: writes FROM into the existing file TO in writes of PIECE bytes; with a SEED in a
 * shuffled order. Tells the errno of write and of close apart.
 */
static int upload(char **a, int flags)
{
        size_t piece = a[2] ? number(a[2]) : 1 << 20;
        uint64_t seed = a[2] && a[3] ? seeded(a[3]) : 0;
        RELEASED char *buf = memory(piece);
        int from = open(a[0], O_RDONLY | O_CLOEXEC);
        int to = open(a[1], O_WRONLY | O_TRUNC | O_CLOEXEC | flags, 0666);
        RELEASED size_t *order = NULL;
        size_t count;
        struct stat st;
        ssize_t n;

        if (from < 0 || to < 0 || fstat(from, &st) < 0)
                return failed("open");
        count = (st.st_size + piece - 1) / piece;
        order = memory((count + 1) * sizeof(*order));
        for (size_t i = 0; i < count; i++)
                order[i] = i;
        for (size_t i = count; seed && i > 1; i--) {
                size_t j = next_random(&seed) % i, swap = order[i - 1];

                order[i - 1] = order[j];
                order[j] = swap;
        }
        for (size_t i = 0; i < count; i++) {
                n = pread(from, buf, piece, order[i] * piece);
                if (n < 0)
                        return failed("read");
                for (ssize_t w, done_bytes = 0; done_bytes < n; done_bytes += w) {
                        w = pwrite(to, buf + done_bytes, n - done_bytes, order[i] * piece + done_bytes);
                        if (w < 0)
                                return failed("write");
                }
        }
        return done(close(to), "close");
}

static int op_upload(char **a)
{
        return upload(a, 0);
}

/* fsop upload-new FROM TO …: makes TO, as cp does for a file that is not there. */
static int op_upload_new(char **a)
{
        return upload(a, O_CREAT | O_EXCL);
}

struct op {
        const char *name;
        int (*run)(char **args);
        int min_args;
};

static const struct op ops[] = {
        { "mkdir", op_mkdir, 1 },
        { "rmdir", op_rmdir, 1 },
        { "unlink", op_unlink, 1 },
        { "rename", op_rename, 2 },
        { "exchange", op_exchange, 2 },
        { "link", op_link, 2 },
        { "symlink", op_symlink, 2 },
        { "fifo", op_fifo, 1 },
        { "chmod", op_chmod, 2 },
        { "chown", op_chown, 3 },
        { "touch", op_touch, 1 },
        { "stat", op_stat, 1 },
        { "frozen", op_frozen, 2 },
        { "opendir", op_opendir, 1 },
        { "list-later", op_list_later, 1 },
        { "list-again", op_list_again, 2 },
        { "targets", op_targets, 2 },
        { "truncate", op_truncate, 2 },
        { "open", op_open, 2 },
        { "write", op_write, 2 },
        { "append", op_append, 2 },
        { "create", op_create, 1 },
        { "write-bytes", op_write_bytes, 2 },
        { "pwrite", op_pwrite, 3 },
        { "read", op_read, 3 },
        { "seek-data", op_seek_data, 2 },
        { "seek-hole", op_seek_hole, 2 },
        { "extents", op_extents, 1 },
        { "data-runs", op_data_runs, 1 },
        { "diff-runs", op_diff_runs, 2 },
        { "getxattr", op_getxattr, 2 },
        { "setxattr", op_setxattr, 3 },
        { "removexattr", op_removexattr, 2 },
        { "listxattr", op_listxattr, 1 },
        { "lock", op_lock, 1 },
        { "write-lock", op_write_lock, 1 },
        { "fallocate", op_fallocate, 4 },
        { "mmap-write", op_mmap_write, 1 },
        { "mmap-put", op_mmap_put, 3 },
        { "mmap-cmp", op_mmap_cmp, 2 },
        { "copy-range", op_copy_range, 2 },
        { "pattern", op_pattern, 3 },
        { "upload", op_upload, 2 },
        { "upload-new", op_upload_new, 2 },
};

static int run(int argc, char **argv)
{
        for (size_t i = 0; i < sizeof(ops) / sizeof(ops[0]); i++)
                if (!strcmp(ops[i].name, argv[0])) {
                        if (argc - 1 < ops[i].min_args)
                                usage("too few arguments");
                        return ops[i].run(argv + 1);
                }
        usage("unknown operation");
}

/* Several by the same thread: OPERATION ARGUMENT... then OPERATION ARGUMENT...; a line each, and the status of the last. */
int main(int argc, char **argv)
{
        int at = 1, r = 2;

        if (argc < 2)
                usage("fsop OPERATION ARGUMENT...");
        for (int i = 1; i <= argc; i++) {
                if (i < argc && strcmp(argv[i], "then") != 0)
                        continue;
                if (i == at)
                        usage("fsop OPERATION ARGUMENT...");
                argv[i] = NULL;
                r = run(i - at, argv + at);
                at = i + 1;
        }
        return r;
}

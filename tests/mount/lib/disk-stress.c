/* SPDX-License-Identifier: MIT */
/*
 * Works on a writable disk of the mount by every way that a program has, and knows what must be there.
 *
 *     disk-stress run DISK MODEL SEED COUNT   random operations; the plain file MODEL holds what DISK must hold, before
 *                                             and after
 *     disk-stress write DISK LOG SEED         writes and syncs until it cannot, and notes in LOG what was synced
 *     disk-stress verify DISK BASE LOG SEED   after that: what was synced is there, and nothing that was never written;
 *                                             the plain file BASE holds what DISK held before
 *
 * Exit status 0: as it must be; 1: not so, with a sentence; 2: a wrong call.
 */

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define SECTOR    512
#define BLOCK     4096
#define PIECE_MAX (128 << 10)

static _Noreturn __attribute__((format(printf, 1, 2))) void fail(const char *format, ...)
{
        va_list args;

        va_start(args, format);
        (void)fputs("disk-stress: ", stderr);
        (void)vfprintf(stderr, format, args);
        (void)fputc('\n', stderr);
        va_end(args);
        exit(1);
}

static uint64_t next_random(uint64_t *state)
{
        uint64_t z = *state += UINT64_C(0x9e3779b97f4a7c15);

        z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
        z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
        return z ^ z >> 31;
}

static uint64_t below(uint64_t *state, uint64_t n)
{
        return next_random(state) % n;
}

static int open_or_fail(const char *path, int flags)
{
        int fd = open(path, flags | O_CLOEXEC, 0666);

        if (fd < 0)
                fail("%s: %s", path, strerror(errno));
        return fd;
}

static uint64_t size_of(int fd)
{
        struct stat st;

        if (fstat(fd, &st) < 0)
                fail("fstat: %s", strerror(errno));
        return (uint64_t)st.st_size;
}

static void *memory(size_t n)
{
        void *p = aligned_alloc(BLOCK, (n + BLOCK - 1) / BLOCK * BLOCK);

        if (!p)
                fail("out of memory");
        return p;
}

static void read_all(int fd, uint8_t *to, uint64_t n)
{
        for (uint64_t at = 0; at < n;) {
                ssize_t got = pread(fd, to + at, n - at, (off_t)at);

                if (got <= 0)
                        fail("reading at %" PRIu64 ": %s", at, got < 0 ? strerror(errno) : "the end");
                at += (uint64_t)got;
        }
}

/* ---- run ---- */

struct run {
        int fd, direct; /* the disk, twice */
        uint8_t *map; /* and a third time */
        uint8_t *model;
        uint64_t size;
        uint64_t random;
        uint8_t *buffer; /* PIECE_MAX, aligned */
        const char *doing; /* for the sentence */
        uint64_t number;
};

static _Noreturn void run_fail(const struct run *r, uint64_t off, uint64_t n, const char *what)
{
        fail("operation %" PRIu64 ", %s of %" PRIu64 " bytes at %" PRIu64 ": %s", r->number, r->doing, n, off, what);
}

static void check_call(const struct run *r, int64_t result, int64_t wanted, uint64_t off, uint64_t n)
{
        if (result != wanted)
                run_fail(r, off, n, result < 0 ? strerror(errno) : "it was cut short");
}

static void check_bytes(const struct run *r, const uint8_t *bytes, uint64_t off, uint64_t n)
{
        if (memcmp(bytes, r->model + off, n) != 0)
                run_fail(r, off, n, "other bytes than were written");
}

/* Blocks, sectors or bytes (UNIT at least), anywhere or near the start, where ranges meet often. */
static void pick(struct run *r, uint64_t unit, uint64_t *ret_off, uint64_t *ret_n)
{
        static const uint64_t units[] = { BLOCK, SECTOR, 1 };
        uint64_t u = units[below(&r->random, 3)], off, n;

        if (u < unit)
                u = unit;
        off = below(&r->random, below(&r->random, 2) ? r->size : 64 * BLOCK) / u * u;
        n = (1 + below(&r->random, below(&r->random, 4) ? 3 * BLOCK : PIECE_MAX) + u - 1) / u * u;
        if (n > PIECE_MAX)
                n = PIECE_MAX;
        if (n > r->size - off)
                n = (r->size - off) / unit * unit;
        *ret_off = off;
        *ret_n = n;
}

static void fill(struct run *r, uint64_t off, uint64_t n)
{
        for (uint64_t i = 0; i < n; i++)
                r->model[off + i] = (uint8_t)(next_random(&r->random) >> 32);
}

static void op_write(struct run *r, uint64_t off, uint64_t n)
{
        fill(r, off, n);
        check_call(r, pwrite(r->fd, r->model + off, n, (off_t)off), (int64_t)n, off, n);
}

static void op_read(struct run *r, uint64_t off, uint64_t n)
{
        check_call(r, pread(r->fd, r->buffer, n, (off_t)off), (int64_t)n, off, n);
        check_bytes(r, r->buffer, off, n);
}

static void op_direct_write(struct run *r, uint64_t off, uint64_t n)
{
        fill(r, off, n);
        memcpy(r->buffer, r->model + off, n);
        check_call(r, pwrite(r->direct, r->buffer, n, (off_t)off), (int64_t)n, off, n);
}

static void op_direct_read(struct run *r, uint64_t off, uint64_t n)
{
        check_call(r, pread(r->direct, r->buffer, n, (off_t)off), (int64_t)n, off, n);
        check_bytes(r, r->buffer, off, n);
}

static void op_map_write(struct run *r, uint64_t off, uint64_t n)
{
        fill(r, off, n);
        memcpy(r->map + off, r->model + off, n);
}

static void op_map_read(struct run *r, uint64_t off, uint64_t n)
{
        check_bytes(r, r->map + off, off, n);
}

static void op_punch(struct run *r, uint64_t off, uint64_t n)
{
        memset(r->model + off, 0, n);
        check_call(r, fallocate(r->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)off, (off_t)n), 0, off, n);
}

static void op_zero(struct run *r, uint64_t off, uint64_t n)
{
        memset(r->model + off, 0, n);
        check_call(r, fallocate(r->fd, FALLOC_FL_ZERO_RANGE, (off_t)off, (off_t)n), 0, off, n);
}

/* From the mirrored place, if the two are apart. */
static void op_copy(struct run *r, uint64_t off, uint64_t n)
{
        uint64_t from = (r->size - off - n) / BLOCK * BLOCK + off % BLOCK;
        off_t in = (off_t)from, out = (off_t)off;
        uint64_t left = n;

        if (from + n > r->size || (from < off + n && off < from + n))
                return;
        memcpy(r->model + off, r->model + from, n);
        while (left > 0) {
                ssize_t got = copy_file_range(r->fd, &in, r->fd, &out, left, 0);

                if (got <= 0)
                        run_fail(r, off, n, got < 0 ? strerror(errno) : "it was cut short");
                left -= (uint64_t)got;
        }
}

static void op_sync(struct run *r, uint64_t off, uint64_t n)
{
        switch (below(&r->random, 3)) {
        case 0:
                check_call(r, fsync(r->fd), 0, off, n);
                break;
        case 1:
                check_call(r, fdatasync(r->direct), 0, off, n);
                break;
        default:
                check_call(r, msync(r->map, r->size, MS_SYNC), 0, off, n);
        }
}

/* What is called a hole is zeros. The kernel asks the daemon, which does not know yet what lies in a mapping. */
static void op_seek(struct run *r, uint64_t off, uint64_t n)
{
        uint64_t end;
        off_t data;

        check_call(r, msync(r->map, r->size, MS_SYNC), 0, off, n);
        data = lseek(r->fd, (off_t)off, SEEK_DATA);
        end = data < 0 ? r->size : (uint64_t)data;
        if (data < 0 && errno != ENXIO)
                run_fail(r, off, n, strerror(errno));
        for (uint64_t i = off; i < end; i++)
                if (r->model[i] != 0)
                        run_fail(r, off, n, "data is told to be a hole");
}

static const struct {
        const char *name;
        void (*run)(struct run *r, uint64_t off, uint64_t n);
        unsigned weight, unit;
} ops[] = {
        { "write", op_write, 16, 1 },
        { "read", op_read, 16, 1 },
        { "direct write", op_direct_write, 14, SECTOR },
        { "direct read", op_direct_read, 14, SECTOR },
        { "write to a mapping", op_map_write, 12, 1 },
        { "read from a mapping", op_map_read, 12, 1 },
        { "punch", op_punch, 4, 1 },
        { "zero", op_zero, 3, 1 },
        { "copy", op_copy, 4, 1 },
        { "sync", op_sync, 2, 1 },
        { "seek", op_seek, 3, 1 },
};

static int run(char **a)
{
        struct run r = { .random = strtoull(a[2], NULL, 0), .buffer = memory(PIECE_MAX) };
        uint64_t count = strtoull(a[3], NULL, 0);
        int model = open_or_fail(a[1], O_RDWR);
        unsigned all = 0;

        r.fd = open_or_fail(a[0], O_RDWR);
        r.direct = open_or_fail(a[0], O_RDWR | O_DIRECT);
        r.size = size_of(r.fd);
        if (size_of(model) != r.size)
                fail("%s is not as large as %s", a[1], a[0]);
        r.model = memory(r.size);
        read_all(model, r.model, r.size);
        r.map = mmap(NULL, r.size, PROT_READ | PROT_WRITE, MAP_SHARED, r.fd, 0);
        if (r.map == MAP_FAILED)
                fail("mmap: %s", strerror(errno));
        for (size_t i = 0; i < sizeof(ops) / sizeof(ops[0]); i++)
                all += ops[i].weight;

        for (r.number = 0; r.number < count; r.number++) {
                uint64_t point = below(&r.random, all), off, n;
                size_t op = 0;

                while (point >= ops[op].weight)
                        point -= ops[op++].weight;
                pick(&r, ops[op].unit, &off, &n);
                r.doing = ops[op].name;
                if (n > 0)
                        ops[op].run(&r, off, n);
        }
        r.doing = "the last look";
        for (uint64_t off = 0; off < r.size; off += PIECE_MAX)
                op_read(&r, off, r.size - off < PIECE_MAX ? r.size - off : PIECE_MAX);
        if (pwrite(model, r.model, r.size, 0) != (ssize_t)r.size)
                fail("%s: %s", a[1], strerror(errno));
        (void)munmap(r.map, r.size);
        if (close(r.direct) < 0 || close(r.fd) < 0)
                fail("close: %s", strerror(errno));
        free(r.model);
        free(r.buffer);
        return 0;
}

/* ---- write and verify ---- */

/* Write number I of a sequence: sectors FIRST … FIRST + N - 1, past the page cache or not, and a sync after it or not. */
struct step {
        uint64_t first, n;
        bool direct, sync;
};

static struct step step_of(uint64_t seed, uint64_t i, uint64_t sectors)
{
        uint64_t random = seed * 1000003 + i;
        struct step s;

        s.first = below(&random, sectors);
        s.n = 1 + below(&random, 64);
        if (s.n > sectors - s.first)
                s.n = sectors - s.first;
        s.direct = below(&random, 2);
        s.sync = below(&random, 8) == 0;
        return s;
}

/* Says which write it is of, and belongs to its place alone. */
static void sector_make(uint64_t seed, uint64_t i, uint64_t sector, uint8_t *ret)
{
        uint64_t random = (seed * 1000003 + i) * 7919 + sector;

        memcpy(ret, &i, 8);
        for (unsigned at = 8; at < SECTOR; at += 8) {
                uint64_t word = next_random(&random);

                memcpy(ret + at, &word, 8);
        }
}

static int write_until_killed(char **a)
{
        int fd = open_or_fail(a[0], O_RDWR), direct = open_or_fail(a[0], O_RDWR | O_DIRECT);
        int log = open_or_fail(a[1], O_WRONLY | O_CREAT | O_TRUNC);
        uint64_t seed = strtoull(a[2], NULL, 0), sectors = size_of(fd) / SECTOR;
        uint8_t *buffer = memory(64 * SECTOR);

        for (uint64_t i = 1;; i++) {
                struct step s = step_of(seed, i, sectors);

                for (uint64_t k = 0; k < s.n; k++)
                        sector_make(seed, i, s.first + k, buffer + k * SECTOR);
                if (pwrite(s.direct ? direct : fd, buffer, s.n * SECTOR, (off_t)(s.first * SECTOR)) < 0)
                        break;
                if (!s.sync)
                        continue;
                if (fdatasync(fd) < 0)
                        break;
                if (pwrite(log, &i, sizeof(i), 0) != sizeof(i))
                        fail("%s: %s", a[1], strerror(errno));
        }
        free(buffer);
        return 0;
}

static int verify(char **a)
{
        int fd = open_or_fail(a[0], O_RDONLY), base = open_or_fail(a[1], O_RDONLY), log = open_or_fail(a[2], O_RDONLY);
        uint64_t seed = strtoull(a[3], NULL, 0), size = size_of(fd), sectors = size / SECTOR;
        uint8_t *bytes = memory(size), *before = memory(size), made[SECTOR];
        uint64_t *of = calloc(sectors, sizeof(*of)); /* the write that each sector has; 0: none */
        uint64_t *least = calloc(sectors, sizeof(*least)); /* the last one before the last sync */
        bool *hit = calloc(sectors, sizeof(*hit)); /* that write went there */
        uint64_t synced = 0, last = 0;

        if (!of || !least || !hit)
                fail("out of memory");
        read_all(fd, bytes, size);
        read_all(base, before, size);
        if (pread(log, &synced, sizeof(synced), 0) < 0)
                fail("%s: %s", a[2], strerror(errno));
        for (uint64_t k = 0; k < sectors; k++) {
                hit[k] = memcmp(bytes + k * SECTOR, before + k * SECTOR, SECTOR) == 0;
                if (hit[k])
                        continue;
                memcpy(&of[k], bytes + k * SECTOR, 8);
                sector_make(seed, of[k], k, made);
                if (memcmp(bytes + k * SECTOR, made, SECTOR) != 0)
                        fail("sector %" PRIu64 " holds what was never written", k);
                if (of[k] > last)
                        last = of[k];
        }
        for (uint64_t i = 1; i <= last || i <= synced; i++) {
                struct step s = step_of(seed, i, sectors);

                for (uint64_t k = s.first; k < s.first + s.n; k++) {
                        hit[k] |= of[k] == i;
                        if (i <= synced)
                                least[k] = i;
                }
        }
        for (uint64_t k = 0; k < sectors; k++)
                if (!hit[k] || of[k] < least[k])
                        fail("sector %" PRIu64 " is of write %" PRIu64 ", and write %" PRIu64 " was synced", k, of[k], least[k]);
        printf("%" PRIu64 " writes were synced, %" PRIu64 " are there\n", synced, last);
        free(bytes);
        free(before);
        free(of);
        free(least);
        free(hit);
        return 0;
}

int main(int argc, char **argv)
{
        if (argc == 6 && strcmp(argv[1], "run") == 0)
                return run(argv + 2);
        if (argc == 5 && strcmp(argv[1], "write") == 0)
                return write_until_killed(argv + 2);
        if (argc == 6 && strcmp(argv[1], "verify") == 0)
                return verify(argv + 2);
        (void)fputs("usage: disk-stress run DISK MODEL SEED COUNT | write DISK LOG SEED | verify DISK BASE LOG SEED\n", stderr);
        return 2;
}

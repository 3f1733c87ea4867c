/* SPDX-License-Identifier: MIT */

/*
 * Writable disks held against plain memory: random operations, many threads, snapshots beside writers, and a process
 * that is killed. IMAGEFS_TEST_SEED sets the seed, which is printed; IMAGEFS_TEST_COUNT the operations (a million take
 * some minutes).
 */

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "blobstore/base/cleanup.h"
#include "blobstore/disks/disk.h"
#include "tests/lib/expect.h"
#include "tests/lib/store.h"

#define BLOCK         4096
#define BASE_BYTES    (6u << 20)
#define DISK_BYTES    (8u << 20) /* at first */
#define DISK_MAX      (12u << 20)
#define WRITE_MAX     (64u << 10)
#define COUNT_DEFAULT 10000

static uint64_t seed;
static uint64_t count = COUNT_DEFAULT;

static uint64_t below(uint64_t *state, uint64_t n)
{
        return random_next(state) % n;
}

/* ---- one thread ---- */

struct sim {
        struct store *store;
        struct disk *disk;
        struct disk_id id;
        uint8_t *model; /* DISK_MAX bytes */
        uint64_t size;
        uint64_t random;
        uint8_t buffer[WRITE_MAX];
};

/* Whole blocks, a few bytes, or anything, here or there; more often near what was touched before. */
static void pick_range(struct sim *s, uint64_t max, uint64_t *ret_off, uint64_t *ret_n)
{
        uint64_t off = below(&s->random, below(&s->random, 2) ? s->size : 64 * BLOCK);
        uint64_t n = 1 + below(&s->random, below(&s->random, 8) ? 3 * BLOCK : max);

        switch (below(&s->random, 3)) {
        case 0:
                off -= off % BLOCK;
                n += BLOCK - n % BLOCK;
                break;
        case 1:
                off -= off % 512;
                n += 512 - n % 512;
                break;
        default:
                break;
        }
        if (n > max)
                n = max;
        if (n > s->size - off)
                n = s->size - off;
        *ret_off = off;
        *ret_n = n;
}

static void sim_check_range(struct sim *s, uint64_t off, uint64_t n)
{
        assert_int_equal(disk_pread(s->disk, s->buffer, n, off), n);
        if (memcmp(s->buffer, s->model + off, n) != 0)
                fail_msg("%llu bytes at %llu differ", (unsigned long long)n, (unsigned long long)off);
}

static void sim_check_all(struct sim *s)
{
        assert_int_equal(disk_get_size(s->disk), s->size);
        for (uint64_t off = 0; off < s->size; off += WRITE_MAX)
                sim_check_range(s, off, s->size - off < WRITE_MAX ? s->size - off : WRITE_MAX);
}

static void op_read(struct sim *s)
{
        uint64_t off, n;

        pick_range(s, WRITE_MAX, &off, &n);
        sim_check_range(s, off, n);
}

static void op_write(struct sim *s)
{
        uint64_t off, n;

        pick_range(s, WRITE_MAX, &off, &n);
        random_fill(&s->random, s->model + off, n);
        assert_int_equal(disk_pwrite(s->disk, s->model + off, n, off), n);
}

static void op_discard(struct sim *s)
{
        uint64_t off, n;

        pick_range(s, 1u << 20, &off, &n);
        memset(s->model + off, 0, n);
        assert_ok(disk_discard(s->disk, off, n));
}

static void op_sync(struct sim *s)
{
        assert_ok(disk_sync(s->disk));
}

static void op_grow(struct sim *s)
{
        uint64_t size = s->size + below(&s->random, 3 * BLOCK);

        if (size > DISK_MAX)
                return;
        assert_ok(disk_resize(s->disk, size));
        s->size = size;
}

/* What is called a hole is zeros; what is between two holes is data, to a block's accuracy. */
static void op_seek(struct sim *s)
{
        uint64_t pos = below(&s->random, s->size), data, hole;
        int r;

        for (int i = 0; i < 20 && pos < s->size; i++) {
                r = disk_seek(s->disk, pos, SEEK_DATA, &data);
                if (r == -ENXIO)
                        data = s->size;
                else
                        assert_ok(r);
                for (; pos < data; pos++)
                        if (s->model[pos] != 0)
                                fail_msg("byte %llu is data, and told to be a hole", (unsigned long long)pos);
                if (data == s->size)
                        return;
                assert_true(data == pos);
                assert_ok(disk_seek(s->disk, data, SEEK_HOLE, &hole));
                assert_true(hole > data && (hole % BLOCK == 0 || hole == s->size));
                pos = hole;
        }
}

static void op_reopen(struct sim *s)
{
        disk_close(s->disk);
        if (below(&s->random, 2))
                store_reopen(s->store);
        assert_ok(disk_open(s->store->bs, &s->id, &s->disk));
}

/* Sometimes it goes on as a new disk made from the snapshot. */
static void op_snapshot(struct sim *s)
{
        struct disk_snapshot_stats stats;
        struct disk_id id;
        struct blob *b;

        assert_ok(disk_snapshot(s->disk, NULL, NULL, &b, &stats));
        image_assert_same(b, s->model, s->size);
        if (below(&s->random, 2) == 0) {
                assert_ok(blob_remove(s->store->bs, blob_get_id(b)));
                blob_close(b);
                return;
        }
        assert_ok(disk_create(s->store->bs, blob_get_id(b), s->size, &id));
        blob_close(b);
        assert_ok(disk_remove(s->store->bs, &s->id));
        disk_close(s->disk);
        s->id = id;
        assert_ok(disk_open(s->store->bs, &id, &s->disk));
        sim_check_all(s);
}

static void test_random_operations_against_memory(void **state)
{
        static const struct {
                void (*run)(struct sim *s);
                unsigned weight;
        } ops[] = {
                { op_write, 450 }, { op_read, 400 }, { op_discard, 70 }, { op_seek, 20 },
                { op_sync, 40 },   { op_grow, 16 },  { op_reopen, 3 },   { op_snapshot, 1 },
        };
        struct sim s = { .store = *state, .random = seed, .size = DISK_BYTES + 77 };
        CLEANUP_FREE uint8_t *base = image_make(seed, BASE_BYTES + 1000);
        struct blob *b = image_store(s.store, base, BASE_BYTES + 1000);

        s.model = calloc(1, DISK_MAX);
        assert_non_null(s.model);
        memcpy(s.model, base, BASE_BYTES + 1000);
        assert_ok(disk_create(s.store->bs, blob_get_id(b), s.size, &s.id));
        blob_close(b);
        assert_ok(disk_open(s.store->bs, &s.id, &s.disk));
        for (uint64_t i = 0; i < count; i++) {
                unsigned pick = (unsigned)below(&s.random, 1000), op = 0;

                while (pick >= ops[op].weight)
                        pick -= ops[op++].weight;
                ops[op].run(&s);
        }
        sim_check_all(&s);
        disk_close(s.disk);
        free(s.model);
}

/* ---- many threads ---- */

#define THREADS    4
#define RACE_BYTES (1u << 20)
#define SECTOR     512

struct racer {
        pthread_t thread;
        struct disk *disk;
        const uint8_t *base;
        unsigned number;
        uint64_t random;
        uint64_t count;
        uint8_t *written; /* per sector of its own: 0 as in the base, else what it was filled with; 255: zeros */
};

/* Sectors belong to the threads in turn, so that nearly every block is written by all of them. */
static void *race_write(void *arg)
{
        struct racer *r = arg;
        uint8_t sector[SECTOR];

        for (uint64_t i = 0; i < r->count; i++) {
                uint64_t n = below(&r->random, RACE_BYTES / SECTOR / THREADS) * THREADS + r->number;
                uint8_t value = (uint8_t)(1 + below(&r->random, 255));

                memset(sector, value == 255 ? 0 : value, sizeof(sector));
                if (value == 255)
                        assert_ok(disk_discard(r->disk, n * SECTOR, SECTOR));
                else
                        assert_int_equal(disk_pwrite(r->disk, sector, SECTOR, n * SECTOR), SECTOR);
                r->written[n] = value;
                if (below(&r->random, 256) == 0)
                        assert_ok(disk_sync(r->disk));
        }
        return NULL;
}

static void race_check(const struct racer *r, const uint8_t *bytes)
{
        uint8_t sector[SECTOR];

        for (uint64_t n = r->number; n < RACE_BYTES / SECTOR; n += THREADS) {
                if (r->written[n] == 0)
                        memcpy(sector, r->base + n * SECTOR, SECTOR);
                else
                        memset(sector, r->written[n] == 255 ? 0 : r->written[n], SECTOR);
                if (memcmp(bytes + n * SECTOR, sector, SECTOR) != 0)
                        fail_msg("sector %llu of thread %u differs", (unsigned long long)n, r->number);
        }
}

static void test_writers_of_one_block_keep_each_others_bytes(void **state)
{
        struct store *store = *state;
        CLEANUP_FREE uint8_t *base = image_make(seed + 1, RACE_BYTES);
        CLEANUP_FREE uint8_t *written = calloc(1, RACE_BYTES / SECTOR);
        CLEANUP_FREE uint8_t *bytes = malloc(RACE_BYTES);
        struct racer racers[THREADS];
        struct blob *b = image_store(store, base, RACE_BYTES);
        struct disk_id id;
        struct disk *d;

        assert_ok(disk_create(store->bs, blob_get_id(b), RACE_BYTES, &id));
        assert_ok(disk_open(store->bs, &id, &d));
        for (unsigned i = 0; i < THREADS; i++) {
                racers[i] = (struct racer){ .disk = d, .base = base, .number = i, .random = seed + 100 + i,
                                            .count = count / 8, .written = written };
                assert_int_equal(pthread_create(&racers[i].thread, NULL, race_write, &racers[i]), 0);
        }
        for (unsigned i = 0; i < THREADS; i++)
                assert_int_equal(pthread_join(racers[i].thread, NULL), 0);

        assert_int_equal(disk_pread(d, bytes, RACE_BYTES, 0), RACE_BYTES);
        for (unsigned i = 0; i < THREADS; i++)
                race_check(&racers[i], bytes);
        disk_close(d);
        blob_close(b);
}

/* ---- snapshots beside writers ---- */

#define PAIRS 64

struct pair_writer {
        pthread_t thread;
        struct disk *disk;
        unsigned number;
        uint64_t random;
        atomic_bool *stop;
};

static uint64_t pair_offset(uint64_t pair, unsigned half)
{
        return (pair * 2 + half) * 37 % (2 * PAIRS) * 5 * BLOCK + pair;
}

/* A number goes to the one half, then to the other: at no moment is the second ahead of the first, or two behind. */
static void *write_pairs(void *arg)
{
        struct pair_writer *w = arg;

        for (uint64_t n = 1; !atomic_load(w->stop); n++) {
                for (uint64_t pair = w->number; pair < PAIRS; pair += THREADS)
                        for (unsigned half = 0; half < 2; half++)
                                assert_int_equal(disk_pwrite(w->disk, &n, sizeof(n), pair_offset(pair, half)),
                                                 sizeof(n));
                if (below(&w->random, 4) == 0)
                        assert_ok(disk_sync(w->disk));
        }
        return NULL;
}

static void test_snapshot_is_one_moment_beside_writers(void **state)
{
        struct store *store = *state;
        struct pair_writer writers[THREADS];
        struct disk_snapshot_stats stats;
        atomic_bool stop = false;
        uint64_t value[2], last[PAIRS] = { 0 };
        struct disk_id id;
        struct disk *d;
        struct blob *b;

        assert_ok(disk_create(store->bs, NULL, PAIRS * 12 * BLOCK, &id));
        assert_ok(disk_open(store->bs, &id, &d));
        for (unsigned i = 0; i < THREADS; i++) {
                writers[i] = (struct pair_writer){ .disk = d, .number = i, .random = seed + i, .stop = &stop };
                assert_int_equal(pthread_create(&writers[i].thread, NULL, write_pairs, &writers[i]), 0);
        }
        for (uint64_t i = 0; i < 10 + count / 1000; i++) {
                assert_ok(disk_snapshot(d, NULL, NULL, &b, &stats));
                for (uint64_t pair = 0; pair < PAIRS; pair++) {
                        for (unsigned half = 0; half < 2; half++)
                                assert_int_equal(blob_pread(b, &value[half], 8, pair_offset(pair, half)), 8);
                        if (value[1] > value[0] || value[0] > value[1] + 1 || value[1] < last[pair])
                                fail_msg("pair %llu: %llu and %llu, %llu before", (unsigned long long)pair,
                                         (unsigned long long)value[0], (unsigned long long)value[1],
                                         (unsigned long long)last[pair]);
                        last[pair] = value[1];
                }
                assert_ok(blob_remove(store->bs, blob_get_id(b)));
                blob_close(b);
        }
        atomic_store(&stop, true);
        for (unsigned i = 0; i < THREADS; i++)
                assert_int_equal(pthread_join(writers[i].thread, NULL), 0);
        disk_close(d);
}

/* ---- a process that is killed ---- */

#define CRASH_BYTES (1u << 20)

/* Shared with the process that is killed. */
struct crash_log {
        _Atomic uint64_t begun; /* operations */
        _Atomic uint64_t synced; /* of them, those that were done before a sync that ended */
};

struct crash_op {
        bool discard;
        uint64_t off, n;
        uint8_t bytes[8 * BLOCK];
};

/* Number I of a sequence that both processes know. */
static void crash_make_op(uint64_t sequence, uint64_t i, struct crash_op *ret)
{
        uint64_t random = sequence * 1000003 + i;

        ret->discard = below(&random, 8) == 0;
        ret->off = below(&random, CRASH_BYTES);
        ret->n = 1 + below(&random, sizeof(ret->bytes));
        if (below(&random, 2)) {
                ret->off -= ret->off % BLOCK;
                ret->n += BLOCK - 1 - (ret->n - 1) % BLOCK;
        }
        if (ret->n > CRASH_BYTES - ret->off)
                ret->n = CRASH_BYTES - ret->off;
        memset(ret->bytes, 0, ret->n);
        if (!ret->discard)
                random_fill(&random, ret->bytes, ret->n);
}

static void crash_run(const struct store *store, const struct disk_id *id, uint64_t sequence, struct crash_log *log)
{
        const struct blobstore_opts opts = { .threads = 1 };
        char path[2 * TEMPDIR_MAX];
        struct blobstore *bs;
        struct crash_op op;
        struct disk *d;

        (void)prctl(PR_SET_PDEATHSIG, SIGKILL); /* it ends in no other way */
        store_path(store, "", path);
        if (blobstore_open(path, &opts, &bs) < 0 || disk_open(bs, id, &d) < 0)
                _exit(1);
        for (uint64_t i = 0;; i++) {
                crash_make_op(sequence, i, &op);
                atomic_store(&log->begun, i + 1);
                if (op.discard ? disk_discard(d, op.off, op.n) < 0 :
                                 disk_pwrite(d, op.bytes, op.n, op.off) != (ssize_t)op.n)
                        _exit(2);
                if (i % 50 == 49) {
                        if (disk_sync(d) < 0)
                                _exit(3);
                        atomic_store(&log->synced, i + 1);
                }
        }
}

/*
 * Every block is as it was at the last sync, or as some later operation left it. Takes what is there as the new model.
 */
static void crash_check(struct disk *d, uint8_t *model, uint64_t sequence, const struct crash_log *log)
{
        CLEANUP_FREE uint8_t *found = malloc(CRASH_BYTES);
        bool good[CRASH_BYTES / BLOCK];
        struct crash_op op;

        assert_int_equal(disk_pread(d, found, CRASH_BYTES, 0), CRASH_BYTES);
        for (uint64_t i = 0; i <= log->begun; i++) {
                if (i >= log->synced)
                        for (uint64_t block = 0; block < CRASH_BYTES / BLOCK; block++)
                                good[block] = (i > log->synced && good[block]) ||
                                              memcmp(found + block * BLOCK, model + block * BLOCK, BLOCK) == 0;
                if (i == log->begun)
                        break;
                crash_make_op(sequence, i, &op);
                memcpy(model + op.off, op.bytes, op.n);
        }
        for (uint64_t block = 0; block < CRASH_BYTES / BLOCK; block++)
                if (!good[block])
                        fail_msg("block %llu is nothing that was written (%llu operations, %llu synced)",
                                 (unsigned long long)block, (unsigned long long)log->begun,
                                 (unsigned long long)log->synced);
        memcpy(model, found, CRASH_BYTES);
}

static void test_what_was_synced_survives_a_kill(void **state)
{
        struct store *store = *state;
        CLEANUP_FREE uint8_t *model = image_make(seed + 2, CRASH_BYTES);
        struct blob *b = image_store(store, model, CRASH_BYTES);
        struct crash_log *log = mmap(NULL, sizeof(*log), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
        uint64_t random = seed, rounds = 5 + count / 4000;
        struct disk_id id;
        struct disk *d;

        assert_true(log != MAP_FAILED);
        assert_ok(disk_create(store->bs, blob_get_id(b), CRASH_BYTES, &id));
        blob_close(b);
        for (uint64_t i = 0; i < rounds; i++) {
                int status;
                pid_t pid;

                store_close(store);
                log->begun = log->synced = 0;
                pid = fork();
                assert_true(pid >= 0);
                if (pid == 0)
                        crash_run(store, &id, seed + i, log);
                (void)usleep((useconds_t)(10000 + below(&random, 100000)));
                assert_int_equal(kill(pid, SIGKILL), 0);
                assert_int_equal(waitpid(pid, &status, 0), pid);
                assert_true(WIFSIGNALED(status));

                assert_ok(store_open(store));
                assert_ok(disk_open(store->bs, &id, &d));
                crash_check(d, model, seed + i, log);
                disk_close(d);
        }
        (void)munmap(log, sizeof(*log));
}

int main(void)
{
        const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, store_setup, store_teardown)
                T(test_random_operations_against_memory),
                T(test_writers_of_one_block_keep_each_others_bytes),
                T(test_snapshot_is_one_moment_beside_writers),
                T(test_what_was_synced_survives_a_kill),
        };

        seed = environment_number("IMAGEFS_TEST_SEED", (uint64_t)time(NULL));
        count = environment_number("IMAGEFS_TEST_COUNT", count);
        printf("IMAGEFS_TEST_SEED=%llu IMAGEFS_TEST_COUNT=%llu\n", (unsigned long long)seed, (unsigned long long)count);
        return cmocka_run_group_tests(tests, NULL, NULL);
}

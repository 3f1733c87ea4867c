/* SPDX-License-Identifier: MIT */

/* Blobs read with a cache on disk: what goes into it, what comes from it, and a disk that both share and that is full. */

#include "blobstore/blobstore.h"
#include "blobstore/disks/disk.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "blobstore/base/bytes.h"
#include "blobstore/blobs/scrub.h"
#include "tests/lib/expect.h"
#include "tests/lib/store.h"

#define BLOCK ((size_t)BLOB_BLOCK_SIZE)
#define MIB   ((size_t)1 << 20)
#define SIZE  (16 * MIB + 1234)

/* The cache lies beside the store. */
static void open_cached(struct store *s)
{
        char path[2 * TEMPDIR_MAX], cache[2 * TEMPDIR_MAX];
        /* memory for a chunk or two, so that what is read again comes from the disk */
        const struct blobstore_opts opts = {
                .threads = 2, .caches = { .memory_bytes = 1, .dir = cache, .disk_bytes = 64 * MIB },
        };

        if (s->bs)
                store_close(s);
        store_path(s, "", path);
        store_path(s, "../cache", cache);
        assert_ok(blobstore_open(path, &opts, &s->bs));
        assert_ok(blobstore_disk_cache_error(s->bs));
}

static struct block_cache_stats stats(struct store *s)
{
        struct block_cache_stats st;

        blobstore_get_disk_cache(s->bs, &st);
        return st;
}

static void read_block(struct blob *b, const uint8_t *bytes, uint64_t block)
{
        uint8_t got[BLOB_BLOCK_SIZE];
        size_t n = SIZE - block * BLOCK < BLOCK ? SIZE - block * BLOCK : BLOCK;

        assert_int_equal(blob_pread(b, got, BLOCK, block * BLOCK), n);
        assert_memory_equal(got, bytes + block * BLOCK, n);
}

/* Blocks from all over it, none after the other. */
static void read_blocks(struct blob *b, const uint8_t *bytes)
{
        for (uint64_t i = 0; i < SIZE / BLOCK; i += 37)
                read_block(b, bytes, SIZE / BLOCK - i);
}

static uint8_t *noise(size_t n)
{
        uint8_t *bytes = malloc(n);
        uint64_t seed = 3;

        assert_non_null(bytes);
        random_fill(&seed, bytes, n);
        return bytes;
}

static void damage(struct store *s, const char *name, off_t off, size_t n)
{
        char path[2 * TEMPDIR_MAX];
        uint8_t *zeros = calloc(1, n);
        int fd;

        store_path(s, name, path);
        fd = open(path, O_WRONLY);
        assert_true(fd >= 0);
        assert_int_equal(pwrite(fd, zeros, n, off), n);
        (void)close(fd);
        free(zeros);
}

/* A hit asks neither map nor chunks: what they would say here is that they are damaged. */
static void test_hit_reads_neither_map_nor_chunk(void **state)
{
        char name[3 * BLOB_ID_SIZE], digits[2 * BLOB_ID_SIZE + 1];
        struct store *s = *state;
        uint8_t *bytes = noise(SIZE), got[BLOB_BLOCK_SIZE];
        struct blob_id id;
        struct blob *b;
        struct stat st;

        open_cached(s);
        b = image_store(s, bytes, SIZE);
        id = *blob_get_id(b);
        read_blocks(b, bytes);
        read_blocks(b, bytes);
        blob_close(b);
        open_cached(s);
        put_hex(digits, id.bytes, BLOB_ID_SIZE);
        (void)snprintf(name, sizeof(name), "maps/%.2s/%s", digits, digits);
        assert_ok(fstatat(blobstore_dir(s->bs), name, &st, 0));
        assert_ok(blob_open(s->bs, &id, &b)); /* it reads rows, and no page */
        damage(s, name, 4096, 4096);
        read_blocks(b, bytes);
        assert_true(stats(s).hits >= SIZE / BLOCK / 37);
        assert_int_equal(stats(s).damaged, 0);
        assert_err(blob_pread(b, got, 4096, 5 * BLOCK), -EBADMSG);
        blob_close(b);
        store_close(s); /* the check would find it */
        free(bytes);
}

static int go_on(void *ctx, uint64_t n)
{
        (void)ctx;
        (void)n;
        return 0;
}

static int note_nothing(void *ctx, const struct scrub_position *pos)
{
        (void)ctx;
        (void)pos;
        return 0;
}

static void no_problem(void *ctx, enum blobstore_problem kind, const struct blob_id *id, const char *text)
{
        (void)ctx;
        (void)kind;
        (void)id;
        fail_msg("%s", text);
}

static int find_none(void *ctx, const struct chunk_name *name, void *buf, size_t n)
{
        (void)ctx;
        (void)name;
        (void)buf;
        (void)n;
        return 0;
}

static void count_healed(void *ctx, enum scrub_healed what, uint64_t n)
{
        assert_int_equal(what, SCRUB_HEALED_CHUNKS);
        *(uint64_t *)ctx += n;
}

/* What was read often is whole here when the disk has lost it there. */
static void test_what_is_cached_heals_what_is_damaged(void **state)
{
        struct store *s = *state;
        uint8_t *bytes = noise(SIZE);
        uint64_t healed = 0;
        const struct scrub_ops ops = { .pace = go_on, .reached = note_nothing, .problem = no_problem, .find = find_none,
                                       .healed = count_healed, .ctx = &healed };
        struct blob_id id;
        struct blob *b;

        open_cached(s);
        b = image_store(s, bytes, SIZE);
        id = *blob_get_id(b);
        read_blocks(b, bytes);
        read_blocks(b, bytes);
        blob_close(b);
        open_cached(s);
        damage(s, "segments/00000001.seg", 5 * MIB, 100);
        damage(s, "segments/00000001.seg", 7 * MIB, 100);
        assert_ok(blob_scrub(s->bs, &(struct scrub_position){ 0 }, &ops));
        assert_int_equal(healed, 2);
        assert_ok(blob_open(s->bs, &id, &b));
        image_assert_same(b, bytes, SIZE);
        blob_close(b);
        free(bytes);
}

/* Pieces of any length and place, from many threads; chunks that lie in the blob in part, holes, a last block. */
struct crowd {
        struct store *store;
        struct blob *blob;
        const uint8_t *bytes;
        size_t size;
        atomic_uint seeds;
};

static void *crowd_read(void *arg)
{
        struct crowd *c = arg;
        uint64_t state = atomic_fetch_add(&c->seeds, 1) + 1;
        uint8_t *got = malloc(MIB);

        assert_non_null(got);
        for (unsigned i = 0; i < 1500; i++) {
                uint64_t off = random_next(&state) % c->size;
                size_t n = random_next(&state) % (i % 8 ? 20000 : MIB) + 1, want = n < c->size - off ? n : c->size - off;

                if (i % 2)
                        off -= off % BLOCK;
                want = n < c->size - off ? n : c->size - off;
                assert_int_equal(blob_pread(c->blob, got, n, off), want);
                assert_memory_equal(got, c->bytes + off, want);
        }
        free(got);
        return NULL;
}

static void test_whoever_reads_gets_what_was_stored(void **state)
{
        struct store *s = *state;
        uint8_t *bytes = image_make(11, SIZE);
        struct crowd crowd = { .store = s, .bytes = bytes, .size = SIZE };
        pthread_t threads[4];

        open_cached(s);
        crowd.blob = image_store(s, bytes, SIZE);
        for (size_t i = 0; i < 4; i++)
                assert_ok(pthread_create(&threads[i], NULL, crowd_read, &crowd));
        for (size_t i = 0; i < 4; i++)
                assert_ok(pthread_join(threads[i], NULL));
        assert_true(stats(s).hits > 0);
        assert_int_equal(stats(s).damaged, 0);
        image_assert_same(crowd.blob, bytes, SIZE);
        blob_close(crowd.blob);
        free(bytes);
}

/* In the store unless told otherwise, which says no less of its disk to be free; it is there the next time. */
static void test_store_keeps_its_cache_itself(void **state)
{
        struct blobstore_opts opts = { .threads = 2, .caches = { .memory_bytes = 1, .disk_bytes = BLOCK_CACHE_SHARE } };
        struct store *s = *state;
        uint8_t *bytes = noise(SIZE);
        char path[2 * TEMPDIR_MAX], cache[2 * TEMPDIR_MAX];
        struct blob_id id;
        struct blob *b;
        struct stat st;

        store_path(s, "", path);
        store_path(s, "cache", cache);
        assert_int_equal(lstat(cache, &st), -1); /* made for who asks for it */
        store_close(s);
        assert_ok(blobstore_open(path, &opts, &s->bs));
        assert_ok(blobstore_disk_cache_error(s->bs));
        b = image_store(s, bytes, SIZE);
        id = *blob_get_id(b);
        read_blocks(b, bytes);
        read_blocks(b, bytes); /* what is missed again is kept */
        blob_close(b);
        assert_int_equal(stat(cache, &st), 0);
        assert_int_equal(st.st_mode & 0777, 0700);
        assert_true(stats(s).bytes > MIB);
        store_close(s);

        /* Looked at only, there is none, and nothing of it is needed. */
        opts.read_only = true;
        assert_ok(blobstore_open(path, &opts, &s->bs));
        assert_int_equal(stats(s).most, 0);
        assert_ok(blob_open(s->bs, &id, &b));
        read_blocks(b, bytes);
        blob_close(b);
        store_close(s);

        opts.read_only = false;
        assert_ok(blobstore_open(path, &opts, &s->bs));
        assert_true(stats(s).bytes > MIB);
        assert_ok(blob_open(s->bs, &id, &b));
        read_blocks(b, bytes);
        assert_true(stats(s).hits > 0);
        blob_close(b);
        free(bytes);
}

/* A fortieth of the blob was asked for: all of its chunks, decoded. */
static void test_what_is_missed_once_is_not_written(void **state)
{
        struct store *s = *state;
        uint8_t *bytes = noise(SIZE);
        struct blob *b;

        open_cached(s);
        b = image_store(s, bytes, SIZE);
        for (uint64_t i = 0; i < SIZE / BLOCK; i += 64) /* the largest chunk */
                read_block(b, bytes, SIZE / BLOCK - i);
        assert_int_equal(stats(s).bytes, 0);
        for (uint64_t i = 0; i < SIZE / BLOCK; i += 64)
                read_block(b, bytes, SIZE / BLOCK - i);
        assert_true(stats(s).bytes > MIB);
        assert_int_equal(stats(s).hits, 0);
        for (uint64_t i = 0; i < SIZE / BLOCK; i += 64)
                read_block(b, bytes, SIZE / BLOCK - i);
        assert_true(stats(s).hits >= SIZE / BLOCK / 64);
        blob_close(b);
        free(bytes);
}

static void test_removed_blob_takes_its_file_with_it(void **state)
{
        struct store *s = *state;
        uint8_t *bytes = noise(SIZE);
        struct blob_id ids[2];
        struct blob *b;

        open_cached(s);
        for (int i = 0; i < 2; i++) {
                bytes[0] = (uint8_t)i;
                b = image_store(s, bytes, SIZE);
                ids[i] = *blob_get_id(b);
                read_blocks(b, bytes);
                read_blocks(b, bytes);
                assert_true(stats(s).bytes > 0);
                if (i == 0) /* closed, or open, when it is removed */
                        blob_close(b);
                assert_ok(blob_remove(s->bs, &ids[i]));
        }
        read_blocks(b, bytes);
        blob_close(b);
        assert_int_equal(stats(s).bytes, 0);
        free(bytes);
}

/* ---- a full disk ---- */

static int full_setup(void **state)
{
        struct store *s = calloc(1, sizeof(*s));

        assert_non_null(s);
        tempdir_make(s->dir);
        *state = s;
        if (mount("tmpfs", s->dir, "tmpfs", 0, "size=80m,mode=700") == 0)
                open_cached(s);
        return 0;
}

static int full_teardown(void **state)
{
        struct store *s = *state;
        int problems = s->bs ? store_check(s) : 0;

        if (s->bs) {
                store_close(s);
                assert_ok(umount(s->dir));
        }
        tempdir_remove(s->dir);
        free(s);
        return problems;
}

/* Fills what is left, to the last block. */
static void fill_disk(struct store *s)
{
        char path[2 * TEMPDIR_MAX], block[4096] = "b";
        int fd;

        store_path(s, "../ballast", path);
        fd = open(path, O_WRONLY | O_CREAT | O_APPEND, 0600);
        assert_true(fd >= 0);
        while (write(fd, block, sizeof(block)) > 0)
                ;
        assert_int_equal(errno, ENOSPC);
        (void)close(fd);
}

/* A blob whose blocks are in the cache, most of them. */
static struct blob *store_and_read(struct store *s, const uint8_t *bytes)
{
        struct blob *b = image_store(s, bytes, SIZE);

        for (uint64_t i = 0; i <= SIZE / BLOCK; i += 4) /* each chunk several times */
                read_block(b, bytes, SIZE / BLOCK - i);
        assert_true(stats(s).bytes > 8 * MIB);
        return b;
}

static void test_machine_writes_where_the_cache_was(void **state)
{
        struct store *s = *state;
        uint8_t *bytes, block[4096] = "machine", got[4096];
        struct disk_id id;
        struct blob *b;
        struct disk *d;

        if (!s->bs)
                skip();
        bytes = noise(SIZE);
        b = store_and_read(s, bytes);
        assert_ok(disk_create(s->bs, blob_get_id(b), 64 * MIB, &id));
        assert_ok(disk_open(s->bs, &id, &d));
        fill_disk(s);
        for (uint64_t i = 0; i < 64; i++)
                assert_int_equal(disk_pwrite(d, block, sizeof(block), i * MIB), sizeof(block));
        assert_ok(disk_sync(d));
        for (uint64_t i = 0; i < 64; i++) {
                assert_int_equal(disk_pread(d, got, sizeof(got), i * MIB), sizeof(got));
                assert_memory_equal(got, block, sizeof(got));
        }
        assert_true(stats(s).bytes < 8 * MIB);

        /* When it has given all, the disk is full. */
        fill_disk(s);
        assert_err(disk_pwrite(d, block, sizeof(block), 33 * BLOCK), -ENOSPC);
        read_blocks(b, bytes);
        disk_close(d);
        blob_close(b);
        free(bytes);
}

static void test_blob_is_stored_where_the_cache_was(void **state)
{
        struct store *s = *state;
        uint8_t *bytes, *others;
        struct blob *a, *b = NULL;
        uint64_t free_bytes;

        if (!s->bs)
                skip();
        bytes = noise(SIZE);
        a = store_and_read(s, bytes);
        fill_disk(s);
        others = noise(SIZE + 4 * MIB) + SIZE;
        assert_ok(image_write(s->bs, others, 4 * MIB, &b));
        image_assert_same(b, others, 4 * MIB);
        blob_close(b);

        /* Who asks what is free is told of some, as long as there is some to give. */
        free(others - SIZE);
        read_blocks(a, bytes);
        assert_ok(blobstore_free_bytes(s->bs, &free_bytes));
        assert_true(free_bytes > 0);
        blob_close(a);
        free(bytes);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(test_hit_reads_neither_map_nor_chunk, store_setup, store_teardown),
                cmocka_unit_test_setup_teardown(test_what_is_cached_heals_what_is_damaged, store_setup, store_teardown),
                cmocka_unit_test_setup_teardown(test_whoever_reads_gets_what_was_stored, store_setup, store_teardown),
                cmocka_unit_test_setup_teardown(test_store_keeps_its_cache_itself, store_setup, store_teardown),
                cmocka_unit_test_setup_teardown(test_what_is_missed_once_is_not_written, store_setup, store_teardown),
                cmocka_unit_test_setup_teardown(test_removed_blob_takes_its_file_with_it, store_setup, store_teardown),
                cmocka_unit_test_setup_teardown(test_machine_writes_where_the_cache_was, full_setup, full_teardown),
                cmocka_unit_test_setup_teardown(test_blob_is_stored_where_the_cache_was, full_setup, full_teardown),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}

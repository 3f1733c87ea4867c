/* SPDX-License-Identifier: MIT */

/* Blobs as qcow2 files: qemu accepts them and finds the same disk, and every part of one reads as the whole does. */

#include "tests/lib/expect.h"

#include <fcntl.h>
#include <pthread.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "blobstore/base/cleanup.h"
#include "blobstore/base/io.h"
#include "blobstore/export/export.h"
#include "tests/lib/store.h"

#define KIB UINT64_C(1024)
#define MIB (1024 * KIB)
#define GIB (1024 * MIB)

/* A disk of SIZE bytes, with runs of data in it. */
struct run {
        uint64_t offset, len;
};

/* The largest disk here; a TiB of zeros takes a minute to sum up. IMAGEFS_TEST_LONG asks for that. */
static uint64_t large(void)
{
        return (getenv("IMAGEFS_TEST_LONG") ? 1024 : 20) * GIB;
}

static uint8_t noise[2 * MIB];

static void fill_noise(void)
{
        uint64_t seed = 71;

        random_fill(&seed, noise, sizeof(noise));
}

static void test_path(const struct store *s, const char *name, char ret[2 * TEMPDIR_MAX])
{
        (void)snprintf(ret, 2 * TEMPDIR_MAX, "%s/%s", s->dir, name);
}

/* Puts the runs into the store, and into the file "disk.raw". */
static struct blob *make_disk(struct store *s, uint64_t size, const struct run *runs, size_t n)
{
        CLEANUP_CLOSE int fd = -1;
        struct blob_writer *w;
        struct blob *b;
        char path[2 * TEMPDIR_MAX];
        uint64_t pos = 0;

        test_path(s, "disk.raw", path);
        fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
        assert_true(fd >= 0);
        assert_ok(ftruncate(fd, (off_t)size));
        assert_ok(blob_writer_new(s->bs, &w));
        for (size_t i = 0; i < n; i++) {
                assert_ok(blob_writer_hole(w, runs[i].offset - pos));
                pos = runs[i].offset;
                for (uint64_t left = runs[i].len; left > 0;) {
                        size_t part = left < sizeof(noise) ? (size_t)left : sizeof(noise);

                        assert_ok(blob_writer_append(w, noise, part));
                        assert_ok(pwrite_full(fd, noise, part, pos));
                        pos += part;
                        left -= part;
                }
        }
        assert_ok(blob_writer_hole(w, size - pos));
        assert_ok(blob_writer_commit(w, &b));
        blob_writer_free(w);
        return b;
}

/* Opens a second time, since an export takes its blob over. */
static struct export *open_view(struct store *s, struct blob *b)
{
        struct export *e;
        struct blob *own;

        assert_ok(blob_open(s->bs, blob_get_id(b), &own));
        assert_ok(export_open(own, EXPORT_QCOW2, &e));
        return e;
}

/* Reads the view from its first byte to its last into the file "disk.qcow2", leaving out zeros. */
static void write_view(struct store *s, struct export *e, uint64_t size)
{
        static const uint8_t zeros[4 * KIB];
        CLEANUP_FREE uint8_t *buf = malloc(MIB);
        CLEANUP_CLOSE int fd = -1;
        char path[2 * TEMPDIR_MAX];
        ssize_t n;

        test_path(s, "disk.qcow2", path);
        fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
        assert_true(fd >= 0);
        assert_ok(ftruncate(fd, (off_t)size));
        for (uint64_t pos = 0; pos < size; pos += (uint64_t)n) {
                n = export_pread(e, buf, MIB, pos);
                assert_int_equal(n, size - pos < MIB ? size - pos : MIB);
                for (size_t i = 0; i < (size_t)n; i += sizeof(zeros))
                        if (memcmp(buf + i, zeros, sizeof(zeros)) != 0)
                                assert_ok(pwrite_full(fd, buf + i, sizeof(zeros), pos + i));
        }
        assert_int_equal(export_pread(e, buf, MIB, size), 0);
}

static void assert_runs(struct store *s, const char *command)
{
        char line[4 * TEMPDIR_MAX];

        (void)snprintf(line, sizeof(line), "cd '%s' && %s >out 2>&1 || { cat out >&2; exit 1; }", s->dir, command);
        if (system(line) != 0)
                fail_msg("%s", command);
}

/* Reads of any length, at any offset, give what the whole file has there. */
static void assert_parts(struct store *s, struct export *e, uint64_t size)
{
        CLEANUP_FREE uint8_t *buf = malloc(512 * KIB);
        CLEANUP_FREE uint8_t *whole = malloc(512 * KIB);
        CLEANUP_CLOSE int fd = -1;
        char path[2 * TEMPDIR_MAX];
        uint64_t seed = size;

        test_path(s, "disk.qcow2", path);
        fd = open(path, O_RDONLY | O_CLOEXEC);
        for (int i = 0; i < 300; i++) {
                uint64_t off = random_next(&seed) % size;
                size_t n = random_next(&seed) % (i % 3 ? 9 * KIB : 512 * KIB);

                if (i % 10 == 0)
                        off = off % 8 * 64 * KIB % size; /* the tables */
                assert_int_equal(export_pread(e, buf, n, off), pread_full(fd, whole, n, off));
                assert_memory_equal(buf, whole, n < size - off ? n : size - off);
        }
}

static void check_disk(struct store *s, uint64_t size, const struct run *runs, size_t n)
{
        struct blob *b = make_disk(s, size, runs, n);
        struct export *e = open_view(s, b);
        uint64_t file_size = export_size(EXPORT_QCOW2, blob_get_info(b)), found;

        write_view(s, e, file_size);
        assert_runs(s, "qemu-img check -f qcow2 disk.qcow2");
        assert_runs(s, "qemu-img compare -f raw -F qcow2 disk.raw disk.qcow2");
        assert_parts(s, e, file_size);

        assert_ok(export_seek(e, 0, SEEK_HOLE, &found));
        assert_int_equal(found, file_size);
        assert_ok(export_seek(e, 1, SEEK_DATA, &found));
        assert_int_equal(found, 1);
        assert_err(export_seek(e, file_size, SEEK_DATA, &found), -ENXIO);
        export_close(e);
        blob_close(b);
}

#define CHECK_DISK(s, size, ...)                                                                \
        do {                                                                                    \
                const struct run runs_[] = { __VA_ARGS__ };                                     \
                check_disk(s, size, runs_, sizeof(runs_) / sizeof(runs_[0]));                   \
        } while (0)

static int setup(void **state)
{
        if (system("qemu-img --version >/dev/null 2>&1") != 0)
                exit(77);
        fill_noise();
        return store_setup(state);
}

/* ---- tests ---- */

static void test_qemu_accepts_full_disks_of_any_size(void **state)
{
        static const uint64_t sizes[] = { 1,       511,         512,     4095,         4096,         65535,
                                          65536,   65537,       MIB - 1, 3 * MIB + 17, 20 * MIB + 5, 64 * KIB * 100 + 512 };

        for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++)
                CHECK_DISK(*state, sizes[i], { 0, sizes[i] });
}

static void test_qemu_accepts_disks_without_data(void **state)
{
        const uint64_t sizes[] = { 1, 512, 65537, 512 * MIB, 512 * MIB + 1, 3 * GIB, large() };

        for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++)
                check_disk(*state, sizes[i], NULL, 0);
}

static void test_qemu_accepts_sparse_disks(void **state)
{
        CHECK_DISK(*state, 10 * MIB, { 4 * KIB, 4 * KIB });
        CHECK_DISK(*state, 10 * MIB + 3, { 60 * KIB, 8 * KIB }, { MIB, 200 * KIB }, { 10 * MIB, 3 });
        CHECK_DISK(*state, 2 * GIB, { 512 * MIB - 4 * KIB, 8 * KIB }, { 2 * GIB - 64 * KIB, 64 * KIB });
        CHECK_DISK(*state, large(), { 0, 4 * KIB }, { large() / 2 - 64 * KIB, 3 * MIB }, { large() - 4 * KIB, 4 * KIB });
}

/* Data in every other block, in every other cluster, in whole runs: many pages of the map. */
static void test_qemu_accepts_scattered_data(void **state)
{
        struct run *runs = calloc(6000, sizeof(*runs));
        uint64_t seed = 72, pos = 0;
        size_t n;

        for (n = 0; n < 6000; n++) {
                pos += (random_next(&seed) % 40 + 1) * 4 * KIB;
                runs[n] = (struct run){ pos, (random_next(&seed) % 6 + 1) * 4 * KIB };
                pos += runs[n].len;
        }
        check_disk(*state, pos + 12345, runs, n);
        free(runs);
}

/* More clusters than one block of refcounts counts. */
static void test_qemu_accepts_several_refcount_blocks(void **state)
{
        struct run *runs = calloc(33000, sizeof(*runs));

        for (size_t n = 0; n < 33000; n++)
                runs[n] = (struct run){ n * 128 * KIB, 4 * KIB };
        check_disk(*state, 33000 * 128 * KIB, runs, 33000);
        free(runs);
}

static void test_size_is_that_of_the_clusters_with_data(void **state)
{
        const struct run runs[] = { { 0, 4 * KIB }, { 8 * KIB, 4 * KIB }, { 200 * KIB, 80 * KIB }, { 600 * MIB, 4 * KIB } };
        struct blob *b = make_disk(*state, GIB, runs, 4);
        const struct blob_info *info = blob_get_info(b);

        assert_int_equal(info->data_clusters, 1 + 2 + 1);
        assert_int_equal(info->data_spans, 2);
        /* header, refcount table and block, L1, two L2, data */
        assert_int_equal(export_size(EXPORT_QCOW2, info), (1 + 1 + 1 + 1 + 2 + 4) * 64 * KIB);
        assert_int_equal(export_space(EXPORT_QCOW2, info), 1);
        assert_int_equal(export_size(EXPORT_RAW, info), GIB);
        assert_int_equal(export_space(EXPORT_RAW, info), info->data_bytes);
        blob_close(b);
}

static void test_bytes_are_the_same_after_reopening(void **state)
{
        struct store *s = *state;
        uint8_t *before = malloc(MIB), *after = malloc(MIB);
        struct blob *b = make_disk(s, 5 * MIB, &(struct run){ 100 * KIB, 400 * KIB }, 1);
        struct blob_id id = *blob_get_id(b);
        struct export *e = open_view(s, b);
        ssize_t n = export_pread(e, before, MIB, 0);

        assert_true(n > 0);
        export_close(e);
        blob_close(b);
        store_reopen(s);
        assert_ok(blob_open(s->bs, &id, &b));
        e = open_view(s, b);
        assert_int_equal(export_pread(e, after, MIB, 0), n);
        assert_memory_equal(before, after, n);
        export_close(e);
        blob_close(b);
        free(before);
        free(after);
}

struct reader {
        struct export *e;
        const uint8_t *whole;
        uint64_t size, seed;
        bool same;
};

static void *reader_run(void *arg)
{
        struct reader *v = arg;
        uint8_t *buf = malloc(128 * KIB);

        v->same = true;
        for (int i = 0; i < 400; i++) {
                uint64_t off = random_next(&v->seed) % v->size;
                size_t n = random_next(&v->seed) % (128 * KIB);
                ssize_t got = export_pread(v->e, buf, n, off);

                if (got < 0 || memcmp(buf, v->whole + off, (size_t)got) != 0)
                        v->same = false;
        }
        free(buf);
        return NULL;
}

static void test_threads_share_a_view(void **state)
{
        struct blob *b = make_disk(*state, 9 * MIB, &(struct run){ MIB, 3 * MIB + 4 * KIB }, 1);
        struct export *e = open_view(*state, b);
        uint64_t size = export_size(EXPORT_QCOW2, blob_get_info(b));
        uint8_t *whole = malloc(size);
        struct reader readers[4];
        pthread_t threads[4];

        assert_int_equal(export_pread(e, whole, size, 0), size);
        for (int i = 0; i < 4; i++) {
                readers[i] = (struct reader){ .e = e, .whole = whole, .size = size, .seed = (uint64_t)i + 1 };
                assert_ok(pthread_create(&threads[i], NULL, reader_run, &readers[i]));
        }
        for (int i = 0; i < 4; i++) {
                assert_ok(pthread_join(threads[i], NULL));
                assert_true(readers[i].same);
        }
        free(whole);
        export_close(e);
        blob_close(b);
}

static void test_words_of_formats(void **state)
{
        enum export_format f;

        (void)state;
        assert_ok(export_format_parse("raw", &f));
        assert_int_equal(f, EXPORT_RAW);
        assert_ok(export_format_parse("qcow2", &f));
        assert_int_equal(f, EXPORT_QCOW2);
        assert_string_equal(export_format_name(f), "qcow2");
        assert_err(export_format_parse("vmdk", &f), -EINVAL);
        assert_err(export_format_parse("", &f), -EINVAL);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, store_teardown)

int main(void)
{
        const struct CMUnitTest tests[] = {
                TEST(test_qemu_accepts_full_disks_of_any_size),
                TEST(test_qemu_accepts_disks_without_data),
                TEST(test_qemu_accepts_sparse_disks),
                TEST(test_qemu_accepts_scattered_data),
                TEST(test_qemu_accepts_several_refcount_blocks),
                TEST(test_size_is_that_of_the_clusters_with_data),
                TEST(test_bytes_are_the_same_after_reopening),
                TEST(test_threads_share_a_view),
                TEST(test_words_of_formats),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}

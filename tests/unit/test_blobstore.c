/* SPDX-License-Identifier: MIT */

#include "blobstore/blobstore.h"

#include <dirent.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "tests/lib/expect.h"
#include "tests/lib/store.h"

#define MIB (UINT64_C(1) << 20)

static void write_file(const char *path, const char *text)
{
        int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);

        assert_true(fd >= 0);
        assert_int_equal(write(fd, text, strlen(text)), strlen(text));
        (void)close(fd);
}

static int open_at(const char *dir, bool read_only, struct blobstore **ret)
{
        struct blobstore_opts opts = { .read_only = read_only, .threads = 2 };

        return blobstore_open(dir, &opts, ret);
}

static void test_second_opening_is_refused(void **state)
{
        struct store *s = *state, other = *s;

        assert_err(store_open(&other), -EBUSY);
        store_reopen(s);
}

static void test_other_directories_are_refused_untouched(void **state)
{
        struct store *s = *state;
        char path[2 * TEMPDIR_MAX];
        struct blobstore *bs;

        store_path(s, "../other", path);
        assert_ok(mkdir(path, 0700));
        store_path(s, "../other/letter.txt", path);
        write_file(path, "dear");
        store_path(s, "../other", path);
        assert_err(open_at(path, false, &bs), -EUCLEAN);
        store_path(s, "../other/lock", path);
        assert_int_equal(access(path, F_OK), -1);
        store_path(s, "../no/where", path);
        assert_err(open_at(path, false, &bs), -ENOENT);
        store_path(s, "../fresh", path);
        assert_err(open_at(path, true, &bs), -ENOENT);
        assert_int_equal(access(path, F_OK), -1);
}

/* Below the mount point of a disk that is not mounted, say. */
static void test_one_that_is_to_be_there_is_not_made(void **state)
{
        const struct blobstore_opts opts = { .existing = true, .threads = 2 };
        struct store *s = *state;
        char path[2 * TEMPDIR_MAX], lost[2 * TEMPDIR_MAX + 16];
        struct blobstore *bs;

        store_path(s, "../elsewhere", path);
        assert_err(blobstore_open(path, &opts, &bs), -ENOENT);
        assert_int_equal(access(path, F_OK), -1);
        assert_ok(mkdir(path, 0700));
        assert_err(blobstore_open(path, &opts, &bs), -ENOENT);
        (void)snprintf(lost, sizeof(lost), "%s/lost+found", path);
        assert_ok(mkdir(lost, 0700));
        assert_err(blobstore_open(path, &opts, &bs), -ENOENT);
        assert_ok(rmdir(lost));
        assert_ok(rmdir(path)); /* nothing else was put there */

        store_close(s);
        store_path(s, "", path);
        assert_ok(blobstore_open(path, &opts, &s->bs));
}

static void test_another_format_and_no_format_are_told_apart(void **state)
{
        struct store *s = *state;
        char path[2 * TEMPDIR_MAX];

        store_close(s);
        store_path(s, "format", path);
        write_file(path, "imagefs blob store 1\n");
        assert_err(store_open(s), -EPROTONOSUPPORT);
        write_file(path, "imagefs blob store 5\n");
        assert_err(store_open(s), -EPROTONOSUPPORT);
        write_file(path, "something else\n");
        assert_err(store_open(s), -EUCLEAN);
}

static void test_creation_that_was_interrupted_goes_on(void **state)
{
        struct store *s = *state;
        char path[2 * TEMPDIR_MAX];

        store_close(s);
        store_path(s, "format", path);
        assert_ok(unlink(path));
        assert_ok(store_open(s));
        assert_ok(access(path, F_OK));
}

static void test_every_file_is_private(void **state)
{
        struct store *s = *state;
        static const char *const names[] = { "format", "lock", "index.db", "segments", "maps", "incoming", "segments/00000001.seg" };
        uint8_t *bytes = image_make(1, MIB);
        char path[2 * TEMPDIR_MAX];
        struct stat st;

        blob_close(image_store(s, bytes, MIB));
        for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
                store_path(s, names[i], path);
                assert_ok(stat(path, &st));
                if ((st.st_mode & 0077) != 0)
                        fail_msg("%s has mode %o", names[i], st.st_mode & 07777);
        }
        free(bytes);
}

struct seen {
        int n;
        uint64_t size;
        int stop_at;
};

static int see_blob(void *ctx, const struct blob_id *id, const struct blob_info *info)
{
        struct seen *seen = ctx;

        (void)id;
        seen->size += info->size_bytes;
        return ++seen->n == seen->stop_at ? -ECANCELED : 0;
}

static void test_each_blob_is_told_once(void **state)
{
        struct seen all = { 0 }, some = { .stop_at = 3 };
        struct store *s = *state;
        uint8_t byte = 7;

        for (int i = 0; i < 70; i++)
                blob_close(image_store(s, &byte, 1));
        assert_ok(blobstore_each(s->bs, see_blob, &all));
        assert_int_equal(all.n, 70);
        assert_int_equal(all.size, 70);
        assert_err(blobstore_each(s->bs, see_blob, &some), -ECANCELED);
        assert_int_equal(some.n, 3);
}

/* ---- the index made again ---- */

static void make_blobs(struct store *s)
{
        for (uint64_t i = 0; i < 5; i++) {
                uint8_t *bytes = image_make(i / 2, (i + 1) * 300000);

                blob_close(image_store(s, bytes, (i + 1) * 300000));
                free(bytes);
        }
}

static void assert_rebuilt(struct store *s, const struct blobstore_stats *before)
{
        struct blobstore_stats after;

        assert_ok(store_open(s));
        after = store_stats(s);
        assert_memory_equal(before, &after, sizeof(after));
        store_assert_clean(s);
        (void)store_gc(s);
        store_assert_clean(s);
        after = store_stats(s);
        assert_memory_equal(before, &after, sizeof(after));
        make_blobs(s);
        store_assert_clean(s);
}

static void test_missing_index_is_made_again(void **state)
{
        struct blobstore_stats before;
        struct store *s = *state;
        char path[2 * TEMPDIR_MAX];

        make_blobs(s);
        before = store_stats(s);
        store_close(s);
        store_path(s, "index.db", path);
        assert_ok(unlink(path));
        assert_rebuilt(s, &before);
}

static void test_damaged_index_is_made_again(void **state)
{
        struct blobstore_stats before;
        struct store *s = *state;
        char path[2 * TEMPDIR_MAX];

        make_blobs(s);
        before = store_stats(s);
        store_close(s);
        store_path(s, "index.db", path);
        write_file(path, "this is no database, and longer than a few bytes");
        assert_rebuilt(s, &before);
}

static void test_stale_index_is_made_again_and_trusted_then(void **state)
{
        struct blobstore_stats before;
        struct store *s = *state;
        char path[2 * TEMPDIR_MAX];

        make_blobs(s);
        before = store_stats(s);
        store_close(s);
        store_path(s, "index.stale", path);
        write_file(path, "");
        assert_rebuilt(s, &before);
        assert_int_equal(access(path, F_OK), -1);
}

static void test_chunks_unknown_to_a_new_index_are_collected(void **state)
{
        struct store *s = *state;
        uint8_t *bytes = image_make(9, 4 * MIB);
        char path[2 * TEMPDIR_MAX];
        struct blob_writer *w;

        make_blobs(s);
        assert_ok(blob_writer_new(s->bs, &w));
        assert_ok(blob_writer_append(w, bytes, 4 * MIB));
        assert_ok(blob_writer_sync(w)); /* so that they have been stored */
        blob_writer_free(w);
        store_close(s);
        store_path(s, "index.db", path);
        assert_ok(unlink(path));
        assert_ok(store_open(s));
        assert_true(store_gc(s).bytes_freed > MIB / 2);
        store_assert_clean(s);
        free(bytes);
}

/* ---- looking only ---- */

static uint64_t listing;

static int add_to_listing(const char *path, const struct stat *st, int kind, struct FTW *where)
{
        (void)kind;
        (void)where;
        for (const char *p = path; *p; p++)
                listing = listing * 31 + (unsigned char)*p;
        listing = listing * 31 + (uint64_t)st->st_size;
        listing = listing * 31 + (uint64_t)st->st_mtim.tv_nsec; /* not ctime: SQLite gives a WAL its database's owner */
        return 0;
}

static uint64_t list_everything(const char *dir)
{
        uint64_t sum;

        listing = 0;
        assert_ok(nftw(dir, add_to_listing, 16, FTW_PHYS));
        sum = listing;
        return sum;
}

static void ignore_problem(void *ctx, enum blobstore_problem kind, const struct blob_id *id, const char *text)
{
        (void)ctx;
        (void)kind;
        (void)id;
        (void)text;
}

static int no_writes; /* an errno */

int faccessat(int fd, const char *path, int mode, int flags)
{
        if (no_writes && mode == W_OK) {
                errno = no_writes;
                return -1;
        }
        return (int)(flags ? syscall(SYS_faccessat2, fd, path, mode, flags) : syscall(SYS_faccessat, fd, path, mode));
}

/* CRASHED: with a WAL that was not written back. */
static void assert_read_only_changes_nothing(struct store *s, bool crashed)
{
        char path[2 * TEMPDIR_MAX], copy[2 * TEMPDIR_MAX], command[5 * TEMPDIR_MAX];
        struct blobstore *bs, *second;
        struct blob_writer *w;
        struct blobstore_gc_stats stats;
        uint64_t before;

        store_path(s, "", path);
        store_path(s, "../copy", copy);
        make_blobs(s);
        if (!crashed)
                store_close(s);
        (void)snprintf(command, sizeof(command), "cp -a %s %s", path, copy);
        assert_ok(system(command));
        if (crashed)
                store_close(s);

        before = list_everything(copy);
        assert_ok(open_at(copy, true, &bs));
        /* Reading a WAL takes the database for itself. */
        assert_err(open_at(copy, true, &second), crashed ? -EBUSY : 0);
        assert_err(open_at(copy, false, &(struct blobstore *){ NULL }), -EBUSY);
        assert_int_equal(blobstore_check(bs, true, ignore_problem, NULL), 0);
        assert_err(blob_writer_new(bs, &w), -EROFS);
        assert_err(blobstore_gc(bs, NULL, NULL, NULL, 0, &stats), -EROFS);
        blobstore_close(crashed ? NULL : second);
        blobstore_close(bs);

        /* On a file system that nobody can write to, a WAL cannot be read, and the index is not used. */
        for (int i = 0; i < 2; i++) {
                no_writes = i == 0 ? EROFS : EACCES;
                assert_ok(open_at(copy, true, &bs));
                no_writes = 0;
                assert_int_equal(blobstore_check(bs, false, ignore_problem, NULL) > 0, crashed && i == 0);
                blobstore_close(bs);
        }
        assert_int_equal(list_everything(copy), before);
}

static void test_read_only_changes_nothing(void **state)
{
        assert_read_only_changes_nothing(*state, false);
}

static void test_read_only_changes_nothing_after_a_crash(void **state)
{
        assert_read_only_changes_nothing(*state, true);
}

/* ---- damage ---- */

static char found_path[2 * TEMPDIR_MAX];

static int find_map(const char *path, const struct stat *st, int kind, struct FTW *where)
{
        (void)where;
        (void)st;
        if (kind == FTW_F && strstr(path, "/maps/"))
                (void)snprintf(found_path, sizeof(found_path), "%s", path);
        return 0;
}

static void flip(const char *path, off_t off, uint8_t mask)
{
        int fd = open(path, O_RDWR);
        uint8_t byte;

        assert_true(fd >= 0);
        assert_int_equal(pread(fd, &byte, 1, off), 1);
        byte ^= mask;
        assert_int_equal(pwrite(fd, &byte, 1, off), 1);
        (void)close(fd);
}

static off_t file_size(const char *path)
{
        struct stat st;

        assert_ok(stat(path, &st));
        return st.st_size;
}

/* Every read must give the right bytes or -EBADMSG; how many reads did not give bytes? */
static int count_refusals(struct store *s, const struct blob_id *id, const uint8_t *bytes, size_t n)
{
        int refused = 0;
        uint8_t buf[70000];
        struct blob *b;
        uint64_t pos;
        int r;

        store_reopen(s); /* with an empty cache */
        r = blob_open(s->bs, id, &b);
        if (r < 0) {
                assert_err(r, -EBADMSG);
                return 1;
        }
        for (uint64_t off = 0; off < n; off += sizeof(buf)) {
                size_t want = n - off < sizeof(buf) ? (size_t)(n - off) : sizeof(buf);
                ssize_t got = blob_pread(b, buf, want, off);

                if (got < 0) {
                        assert_err(got, -EBADMSG);
                        refused++;
                        continue;
                }
                assert_int_equal(got, want);
                assert_memory_equal(buf, bytes + off, want);
        }
        r = blob_seek(b, 0, SEEK_DATA, &pos);
        if (r != 0)
                assert_err(r, -EBADMSG);
        blob_close(b);
        return refused;
}

static void test_flipped_bit_is_never_read(void **state)
{
        struct store *s = *state;
        size_t n = 20 * MIB;
        uint8_t *bytes = image_make(3, n);
        struct blob *b = image_store(s, bytes, n);
        struct blob_id id = *blob_get_id(b);
        char path[2 * TEMPDIR_MAX];
        uint64_t seed = 5;
        int refused = 0;
        off_t size;

        blob_close(b);
        store_path(s, "", path);
        assert_ok(nftw(path, find_map, 16, FTW_PHYS));
        size = file_size(found_path);
        assert_true(size > 4 * 4096);
        for (int i = 0; i < 40; i++) { /* header, pages and table */
                off_t off = i < 10 ? i * 8 : i < 15 ? size - 1 - i : (off_t)(random_next(&seed) % (uint64_t)size);
                uint8_t mask = (uint8_t)(1 << random_next(&seed) % 8);

                flip(found_path, off, mask);
                assert_true(count_refusals(s, &id, bytes, n) >= 1);
                flip(found_path, off, mask);
        }
        store_path(s, "segments/00000001.seg", path);
        size = file_size(path);
        for (int i = 0; i < 20; i++) { /* chunks; perhaps the footer, which no read asks for */
                off_t off = 16 + (off_t)(random_next(&seed) % (uint64_t)(size - 16));
                uint8_t mask = (uint8_t)(1 << random_next(&seed) % 8);

                flip(path, off, mask);
                refused += count_refusals(s, &id, bytes, n) >= 1;
                assert_true(store_check(s) >= 1);
                flip(path, off, mask);
        }
        assert_true(refused > 15);
        assert_int_equal(count_refusals(s, &id, bytes, n), 0);
        free(bytes);
}

static void test_truncated_files_are_damage(void **state)
{
        struct store *s = *state;
        uint8_t *bytes = image_make(4, 4 * MIB);
        struct blob *b = image_store(s, bytes, 4 * MIB);
        struct blob_id id = *blob_get_id(b);
        char path[2 * TEMPDIR_MAX];
        off_t size;

        blob_close(b);
        store_path(s, "segments/00000001.seg", path);
        size = file_size(path);
        store_close(s);
        assert_ok(truncate(path, size / 2));
        assert_true(count_refusals(s, &id, bytes, 4 * MIB) >= 1);
        assert_true(store_check(s) >= 1);
        store_close(s);
        assert_ok(unlink(path));
        assert_true(count_refusals(s, &id, bytes, 4 * MIB) >= 1);
        assert_true(store_check(s) >= 1);

        store_path(s, "", path);
        assert_ok(nftw(path, find_map, 16, FTW_PHYS));
        for (size = file_size(found_path); size > 0; size /= 3) {
                assert_ok(truncate(found_path, size - 1));
                assert_err(blob_open(s->bs, &id, &b), -EBADMSG);
        }
        store_close(s);
        free(bytes);
}

static void test_nothing_is_written_over_a_truncated_segment(void **state)
{
        struct store *s = *state;
        uint8_t *bytes = image_make(5, MIB), *more = image_make(6, MIB);
        char path[2 * TEMPDIR_MAX];
        struct blob *b;

        blob_close(image_store(s, bytes, MIB));
        store_close(s);
        store_path(s, "segments/00000001.seg", path);
        assert_ok(truncate(path, 5000));
        assert_ok(store_open(s));
        b = image_store(s, more, MIB);
        image_assert_same(b, more, MIB);
        blob_close(b);
        assert_int_equal(file_size(path), 5000);
        store_close(s);
        free(bytes);
        free(more);
}

static void test_damaged_chunk_is_not_shared(void **state)
{
        struct store *s = *state;
        uint8_t *bytes = image_make(7, MIB), *back = malloc(MIB);
        char path[2 * TEMPDIR_MAX];
        struct blob *b;

        b = image_store(s, bytes, MIB);
        store_path(s, "segments/00000001.seg", path);
        flip(path, 3000, 0xff);
        assert_err(blob_pread(b, back, MIB, 0), -EBADMSG); /* so that it is known */
        blob_close(b);
        b = image_store(s, bytes, MIB);
        image_assert_same(b, bytes, MIB);
        blob_close(b);
        assert_true(store_check(s) >= 1);
        store_close(s);
        free(back);
        free(bytes);
}

static void test_blob_with_a_damaged_map_can_be_removed(void **state)
{
        struct store *s = *state;
        uint8_t *bytes = image_make(8, 20 * MIB);
        struct blob *b = image_store(s, bytes, 20 * MIB);
        struct blob_id id = *blob_get_id(b);
        char path[2 * TEMPDIR_MAX];

        blob_close(b);
        store_path(s, "", path);
        assert_ok(nftw(path, find_map, 16, FTW_PHYS));
        flip(found_path, 2 * 4096 + 100, 1);
        store_reopen(s);
        assert_ok(blob_remove(s->bs, &id));
        assert_err(blob_open(s->bs, &id, &b), -ENOENT);
        store_reopen(s); /* counts again */
        (void)store_gc(s);
        store_assert_clean(s);
        assert_int_equal(store_stats(s).chunks, 0);
        assert_true(store_segment_bytes(s) <= 4 * 8192);
        free(bytes);
}

static void test_free_bytes_and_incoming_directory(void **state)
{
        struct store *s = *state;
        uint64_t bytes = 0;

        assert_ok(blobstore_free_bytes(s->bs, &bytes));
        assert_true(bytes > 0);
        assert_ok(faccessat(blobstore_incoming_dir(s->bs), ".", W_OK, 0));
        assert_false(blobstore_is_degraded(s->bs));
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, store_setup, store_teardown)
        const struct CMUnitTest tests[] = {
                T(test_second_opening_is_refused),
                T(test_other_directories_are_refused_untouched),
                T(test_one_that_is_to_be_there_is_not_made),
                T(test_another_format_and_no_format_are_told_apart),
                T(test_creation_that_was_interrupted_goes_on),
                T(test_every_file_is_private),
                T(test_each_blob_is_told_once),
                T(test_missing_index_is_made_again),
                T(test_damaged_index_is_made_again),
                T(test_stale_index_is_made_again_and_trusted_then),
                T(test_chunks_unknown_to_a_new_index_are_collected),
                T(test_read_only_changes_nothing),
                T(test_read_only_changes_nothing_after_a_crash),
                T(test_flipped_bit_is_never_read),
                T(test_truncated_files_are_damage),
                T(test_nothing_is_written_over_a_truncated_segment),
                T(test_damaged_chunk_is_not_shared),
                T(test_blob_with_a_damaged_map_can_be_removed),
                T(test_free_bytes_and_incoming_directory),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}

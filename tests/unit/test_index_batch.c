/* SPDX-License-Identifier: MIT */
/* Batches of the index: large ones are committed while writers go on, and whoever loses something in one is told. */

#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "blobstore/chunks/index.h"
#include "tests/lib/expect.h"
#include "tests/lib/tempdir.h"

/* More than two batches. */
#define MANY 9000

static atomic_bool fail_data_syncs;
static atomic_int log_syncs; /* of the database's log */

int fdatasync(int fd)
{
        char path[64], name[256] = { 0 };

        (void)snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
        assert_true(readlink(path, name, sizeof(name) - 1) > 0);
        if (strstr(name, "-wal")) {
                atomic_fetch_add(&log_syncs, 1);
        } else if (atomic_load(&fail_data_syncs)) {
                errno = EIO;
                return -1;
        }
        return (int)syscall(SYS_fdatasync, fd);
}

static atomic_bool log_is_full;

ssize_t pwrite64(int fd, const void *buf, size_t n, off64_t off)
{
        char path[64], name[256] = { 0 };

        (void)snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
        if (atomic_load(&log_is_full) && readlink(path, name, sizeof(name) - 1) > 0 && strstr(name, "-wal")) {
                errno = ENOSPC;
                return -1;
        }
        return (ssize_t)syscall(SYS_pwrite64, fd, buf, n, off);
}

struct fixture {
        char dir[TEMPDIR_MAX];
        int dir_fd;
        atomic_bool degraded;
        struct segments *segments;
        struct index *ix;
        struct segment *seg;
        uint64_t places[MANY];
};

static void open_index(struct fixture *f)
{
        assert_ok(segments_new(f->dir_fd, &f->degraded, &f->segments));
        assert_ok(index_open(f->dir_fd, f->segments, &f->degraded, &f->ix));
        assert_ok(index_recover(f->ix, NULL));
        assert_ok(segments_take(f->segments, &f->seg));
}

static void close_index(struct fixture *f)
{
        segments_give(f->segments, f->seg);
        index_close(f->ix);
        segments_free(f->segments);
}

static int setup(void **state)
{
        struct fixture *f = calloc(1, sizeof(*f));

        assert_non_null(f);
        f->dir_fd = tempdir_open(f->dir);
        assert_ok(segments_new(f->dir_fd, &f->degraded, &f->segments));
        assert_ok(index_new(f->dir_fd, f->segments, &f->degraded, &f->ix));
        assert_ok(index_publish(f->ix, f->dir_fd));
        index_close(f->ix);
        segments_free(f->segments);
        open_index(f);
        *state = f;
        return 0;
}

static int teardown(void **state)
{
        struct fixture *f = *state;

        atomic_store(&fail_data_syncs, false);
        close_index(f);
        (void)close(f->dir_fd);
        tempdir_remove(f->dir);
        free(f);
        return 0;
}

static struct chunk_name name_of(int i)
{
        struct chunk_name name = { { 1 } };

        memcpy(name.bytes + 4, &i, sizeof(i));
        memcpy(name.bytes + 12, &i, sizeof(i));
        return name;
}

/* Is it there? From then on it stays, as far as W is concerned. */
static int share(struct fixture *f, struct index_writer *w, int i, struct index_twin *ret)
{
        struct chunk_name name = name_of(i);

        return index_share(f->ix, w, &name, 4096, ret);
}

static int add(struct fixture *f, struct index_writer *w, int i)
{
        struct index_chunk chunk = { .name = name_of(i), .raw_len = 4096, .stored_len = 1 };
        const struct footer_record what = { .name = chunk.name, .raw_len = 4096 };
        int r;

        r = segment_append(f->seg, "x", 1, &what, NULL, &f->places[i]);
        if (r < 0)
                return r;
        chunk.place = f->places[i];
        return index_add(f->ix, w, &chunk, NULL);
}

static int found(struct fixture *f)
{
        struct index_writer w;
        struct index_twin twin;
        int n = 0;

        index_writer_begin(f->ix, &w);
        for (int i = 0; i < MANY; i++)
                n += share(f, &w, i, &twin) == 1 && twin.place == f->places[i];
        index_writer_end(f->ix, &w);
        return n;
}

static void make_id(struct blob_id *id)
{
        memset(id, 7, sizeof(*id));
}

static void test_all_are_found_while_and_after_batches_are_committed(void **state)
{
        struct fixture *f = *state;
        struct index_twin twin;
        struct index_writer w;

        index_writer_begin(f->ix, &w);
        for (int i = 0; i < MANY; i++) {
                assert_ok(add(f, &w, i));
                assert_int_equal(share(f, &w, i / 2, &twin), 1);
        }
        index_writer_end(f->ix, &w);
        close_index(f);
        open_index(f);
        assert_int_equal(found(f), MANY);
}

/* Where there can be no thread, whoever fills a batch commits it. */
static void test_without_a_thread_batches_are_committed_all_the_same(void **state)
{
        struct fixture *f = *state;
        pthread_attr_t usual, huge;
        struct index_writer w;

        assert_ok(pthread_getattr_default_np(&usual));
        assert_ok(pthread_attr_init(&huge));
        assert_ok(pthread_attr_setstacksize(&huge, (size_t)1 << 47));
        assert_ok(pthread_setattr_default_np(&huge));
        index_writer_begin(f->ix, &w);
        for (int i = 0; i < MANY; i++)
                assert_ok(add(f, &w, i));
        index_writer_end(f->ix, &w);
        assert_ok(pthread_setattr_default_np(&usual));
        (void)pthread_attr_destroy(&usual);
        (void)pthread_attr_destroy(&huge);
        assert_int_equal(found(f), MANY);
}

static void test_writers_of_a_batch_that_is_lost_are_told_and_others_are_not(void **state)
{
        struct fixture *f = *state;
        struct index_writer a, b, other;
        struct index_twin twin;
        int i, r = 0;

        index_writer_begin(f->ix, &a);
        index_writer_begin(f->ix, &b);
        index_writer_begin(f->ix, &other);
        atomic_store(&fail_data_syncs, true);
        assert_ok(add(f, &b, 0));
        for (i = 1; i < MANY && r == 0; i++)
                r = add(f, &a, i);
        assert_true(r == -EIO || r == -EROFS); /* its batch, or the store that was degraded a moment before */
        assert_true(i < MANY);                 /* soon, and not only at the end */
        while ((r = share(f, &b, 0, &twin)) == 1)
                (void)sched_yield();
        assert_err(r, -EIO);
        assert_int_equal(share(f, &other, 0, &twin), 0);
        index_writer_end(f->ix, &a);
        index_writer_end(f->ix, &b);
        index_writer_end(f->ix, &other);
}

/* What nobody was promised costs no sync of its own; what somebody is told of is durable. */
static void test_only_what_is_promised_is_synced(void **state)
{
        struct fixture *f = *state;
        struct blob_info info = { .size_bytes = 3 * 4096, .data_bytes = 3 * 4096 };
        struct index_blob blob;
        struct index_writer w;
        struct blob_id id;

        make_id(&id);
        index_writer_begin(f->ix, &w);
        assert_ok(index_blob_begin(f->ix, &w, &id, &info)); /* a log that begins is synced in any case */
        assert_ok(index_blob_forget(f->ix, &id));
        atomic_store(&log_syncs, 0);
        for (int i = 0; i < MANY; i++)
                assert_ok(add(f, &w, i));
        assert_int_equal(atomic_load(&log_syncs), 0);

        assert_ok(index_blob_begin(f->ix, &w, &id, &info));
        assert_int_equal(atomic_load(&log_syncs), 1);
        assert_ok(index_blob_retain(f->ix, &w, &id, f->places, 2, false));
        assert_int_equal(atomic_load(&log_syncs), 1);
        assert_ok(index_blob_retain(f->ix, &w, &id, &f->places[2], 1, true));
        assert_int_equal(atomic_load(&log_syncs), 2);
        assert_ok(index_blob_get(f->ix, &id, &blob));
        assert_int_equal(blob.state, BLOB_LIVE);
        assert_int_equal(blob.retained, 3);
        index_writer_end(f->ix, &w);
}

/* References that were counted in a batch and went with it: the blob must not become live without them. */
static void test_a_blob_whose_references_were_lost_does_not_live(void **state)
{
        struct fixture *f = *state;
        struct blob_info info = { .size_bytes = 4096, .data_bytes = 4096 };
        struct index_writer w, other;
        struct index_blob blob;
        struct blob_id id;

        make_id(&id);
        index_writer_begin(f->ix, &w);
        index_writer_begin(f->ix, &other);
        assert_ok(add(f, &w, 0));
        assert_ok(index_blob_begin(f->ix, &w, &id, &info));
        assert_ok(index_blob_retain(f->ix, &w, &id, f->places, 1, false));

        assert_ok(add(f, &other, 1));
        assert_err(index_add(f->ix, &other, &(struct index_chunk){ .place = f->places[1], .raw_len = 1 }, NULL),
                   -EBADMSG);
        assert_true(index_blob_retain(f->ix, &w, &id, f->places, 0, true) < 0);
        assert_ok(index_blob_get(f->ix, &id, &blob));
        assert_int_equal(blob.state, BLOB_NEW);
        assert_int_equal(blob.retained, 0);
        index_writer_end(f->ix, &w);
        index_writer_end(f->ix, &other);
}

/* Its commit found the chunk gone, took that for a contradiction, and the store was read-only from then on. */
static void test_who_found_a_chunk_in_a_batch_that_is_lost_is_told(void **state)
{
        struct blob_info info = { .size_bytes = 4096, .data_bytes = 4096 };
        struct index_writer a, b, other;
        struct fixture *f = *state;
        struct index_twin twin;
        struct blob_id id;

        make_id(&id);
        index_writer_begin(f->ix, &a);
        index_writer_begin(f->ix, &b);
        index_writer_begin(f->ix, &other);
        assert_ok(add(f, &a, 0));
        assert_int_equal(share(f, &b, 0, &twin), 1);
        atomic_store(&log_is_full, true);
        assert_err(index_blob_begin(f->ix, &other, &id, &info), -ENOSPC);
        atomic_store(&log_is_full, false);

        assert_err(index_blob_begin(f->ix, &b, &id, &info), -ENOSPC);
        assert_err(index_blob_begin(f->ix, &a, &id, &info), -ENOSPC);
        assert_false(atomic_load(&f->degraded));
        index_writer_end(f->ix, &a);
        index_writer_end(f->ix, &b);
        index_writer_end(f->ix, &other);
}

/* After an import a log as large as the index lay beside it. */
static void test_when_the_last_writer_ends_the_log_takes_no_space(void **state)
{
        struct fixture *f = *state;
        struct blob_info info = { 0 };
        struct blob_id id = { { 1 } };
        struct index_writer a, b;
        struct stat st;

        index_writer_begin(f->ix, &a);
        index_writer_begin(f->ix, &b);
        for (int i = 0; i < MANY; i++)
                assert_ok(add(f, &a, i));
        assert_ok(index_blob_begin(f->ix, &a, &id, &info));
        index_writer_end(f->ix, &a);
        assert_ok(fstatat(f->dir_fd, "index.db-wal", &st, 0));
        assert_true(st.st_size > 600000);
        index_writer_end(f->ix, &b);
        assert_ok(fstatat(f->dir_fd, "index.db-wal", &st, 0));
        assert_int_equal(st.st_size, 0);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
        const struct CMUnitTest tests[] = {
                TEST(test_all_are_found_while_and_after_batches_are_committed),
                TEST(test_without_a_thread_batches_are_committed_all_the_same),
                TEST(test_writers_of_a_batch_that_is_lost_are_told_and_others_are_not),
                TEST(test_only_what_is_promised_is_synced),
                TEST(test_a_blob_whose_references_were_lost_does_not_live),
                TEST(test_who_found_a_chunk_in_a_batch_that_is_lost_is_told),
                TEST(test_when_the_last_writer_ends_the_log_takes_no_space),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}

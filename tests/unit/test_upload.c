/* SPDX-License-Identifier: MIT */
/* Uploads: what opens, joins, gives up and ends one, and what a crash leaves. */

#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "blobstore/base/io.h"
#include "blobstore/base/lock.h"
#include "model/core/quota.h"
#include "model/core/state.h"
#include "model/intake/data_disk.h"
#include "model/intake/fetch.h"
#include "model/intake/pull.h"
#include "model/work/runner.h"
#include "tests/lib/fault.h"
#include "tests/lib/work.h"

#define SIZE 300000

static void write_at(struct upload *u, const void *bytes, size_t n, uint64_t off)
{
        struct diag diag = { 0 };

        assert_ok(upload_write(u, bytes, n, off, NULL, NULL, &diag));
}

/* One that cannot be written. */
static void lose_a_byte(struct library *l, struct upload *u)
{
        assert_refused(l, upload_write(u, "x", 1, BLOB_SIZE_MAX, NULL, NULL, library_diag(l)), -EFBIG);
}

static void test_bytes_written_in_any_order_by_any_writer_are_imported(void **state)
{
        struct library *l = *state;
        uint8_t *bytes = work_bytes(SIZE, 1);
        uint64_t id = library_image(l, "web");
        struct upload *a, *b;

        assert_ok(upload_open(l->m, &l->alice, id, library_diag(l), &a));
        assert_int_equal(work_get(l, id).status, IMAGE_UPLOADING);
        assert_ok(upload_open(l->m, &l->alice, id, library_diag(l), &b));
        write_at(b, bytes + 200000, SIZE - 200000, 200000);
        write_at(a, bytes, 200000, 0);
        upload_close(a);
        assert_int_equal(work_get(l, id).status, IMAGE_UPLOADING);
        upload_close(b);

        work_wait_available(l, id);
        work_assert_bytes(l, id, SIZE, 1);
        assert_string_equal(work_get(l, id).format, "raw");
        assert_int_equal(work_get(l, id).o.size_bytes, SIZE);
        work_wait_incoming(l);
        work_assert_clean(l);
        work_assert_bytes(l, id, SIZE, 1);
        free(bytes);
}

struct held {
        pthread_mutex_t mutex;
        pthread_cond_t changed;
        bool begun, ended, in_vain;
};

/* The first sync ends when its maker is told so, and in the end without. */
static void hold(void *ctx)
{
        struct held *h = ctx;
        struct timespec end;

        (void)clock_gettime(CLOCK_MONOTONIC, &end);
        end.tv_sec += 60;
        LOCK_SCOPE(&h->mutex);
        h->begun = true;
        (void)pthread_cond_broadcast(&h->changed);
        while (!h->ended && !h->in_vain)
                h->in_vain = pthread_cond_clockwait(&h->changed, &h->mutex, CLOCK_MONOTONIC, &end) != 0;
}

struct adding {
        struct library *l;
        uint64_t image;
        struct upload *upload; /* of it; NULL: none is open */
};

static void *add_disk(void *ctx)
{
        const struct adding *a = ctx;
        struct diag diag = { 0 };
        uint64_t disk;

        return (void *)(intptr_t)image_add_data_disk(a->l->m, &a->l->alice, a->image, "vdb", &diag, &disk);
}

static void *fetch_it(void *ctx)
{
        const struct adding *a = ctx;
        struct diag diag = { 0 };

        return (void *)(intptr_t)image_fetch(a->l->m, &a->l->alice, a->image, "http://192.0.2.1/x.raw", &diag);
}

static void *end_it(void *ctx)
{
        upload_close(((struct adding *)ctx)->upload);
        return NULL;
}

/* What the catalogue's file is made to do, a server's is not. */
static void skip_where_it_is_on_a_server(const struct library *l)
{
        if (l->database[0])
                skip();
}

/* All that open an upload waited for the disk under the library, where somebody had just done that. */
static void others_open_uploads_while(struct library *l, void *do_it(void *))
{
        struct held h = { .mutex = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER };
        struct adding a = { .l = l, .image = library_image(l, "web") };
        const uint64_t others = library_image(l, "others");
        struct upload *u;
        pthread_t adding;
        void *r;

        skip_where_it_is_on_a_server(l);
        if (do_it == end_it)
                assert_ok(upload_open(l->m, &l->alice, a.image, library_diag(l), &a.upload));
        runner_stop(l->m->runner); /* which has syncs of its own */
        l->m->runner = NULL;
        fault_watch_syncs(hold, &h);
        assert_ok(pthread_create(&adding, NULL, do_it, &a));
        lock(&h.mutex);
        while (!h.begun)
                (void)pthread_cond_wait(&h.changed, &h.mutex);
        unlock(&h.mutex);
        assert_int_equal(upload_join(l->m, others, &u), -ENOENT);
        lock(&h.mutex);
        h.ended = true;
        (void)pthread_cond_broadcast(&h.changed);
        unlock(&h.mutex);
        assert_ok(pthread_join(adding, &r));
        fault_watch_syncs(NULL, NULL);
        assert_ok((int)(intptr_t)r);
        assert_false(h.in_vain);
}

static void test_while_a_data_disk_is_made_durable_others_open_uploads(void **state)
{
        others_open_uploads_while(*state, add_disk);
}

static void test_while_the_end_of_an_upload_is_made_durable_others_open_theirs(void **state)
{
        others_open_uploads_while(*state, end_it);
}

static void test_while_a_url_is_made_durable_others_open_uploads(void **state)
{
        if (!pull_is_supported())
                skip();
        others_open_uploads_while(*state, fetch_it);
}

static void test_an_upload_without_a_byte_gives_everything_back(void **state)
{
        struct library *l = *state;
        uint64_t id = library_image(l, "web");
        struct upload *u;

        assert_ok(upload_open(l->m, &l->alice, id, library_diag(l), &u));
        assert_int_equal(work_used(l, l->region, &l->alice, LIMIT_SNAPSHOTS), 1);
        assert_ok(upload_truncate(u, 0, library_diag(l)));
        assert_ok(upload_check(u, library_diag(l)));
        upload_close(u);

        assert_int_equal(work_get(l, id).status, IMAGE_QUEUED);
        assert_int_equal(work_used(l, l->region, &l->alice, LIMIT_SNAPSHOTS), 0);
        assert_int_equal(work_incoming(l), 0);
        assert_int_equal(work_tasks(l), 0);
        work_assert_clean(l);

        work_upload(l, id, "x", 1);
        work_wait_available(l, id);
}

static void test_a_file_that_is_only_a_hole_is_imported(void **state)
{
        struct library *l = *state;
        uint64_t id = library_image(l, "empty");
        struct upload *u;

        assert_ok(upload_open(l->m, &l->alice, id, library_diag(l), &u));
        assert_ok(upload_truncate(u, UINT64_C(1) << 20, library_diag(l)));
        upload_close(u);
        work_wait_available(l, id);
        assert_int_equal(work_get(l, id).o.size_bytes, 1 << 20);
}

static void test_what_was_only_made_waits_to_be_opened_again(void **state)
{
        struct library *l = *state;
        uint8_t *bytes = work_bytes(SIZE, 1), got[10];
        uint64_t id = library_image(l, "web");
        struct upload *u, *reader;

        assert_ok(upload_open(l->m, &l->alice, id, library_diag(l), &u));
        assert_int_equal(upload_join(l->m, id, &reader), -ENOENT);
        upload_make_readable(u);
        write_at(u, "header", 6, 0);
        assert_true(upload_is_only_made(u));
        upload_close(u);
        assert_int_equal(work_get(l, id).status, IMAGE_UPLOADING);
        assert_int_equal(upload_size(l->m, id), 6);

        assert_ok(upload_join(l->m, id, &reader)); /* in its place, and gives it back */
        assert_int_equal(upload_read(reader, got, sizeof(got), 2, library_diag(l)), 4);
        assert_memory_equal(got, "ader", 4);
        upload_close(reader);
        assert_int_equal(work_get(l, id).status, IMAGE_UPLOADING);

        assert_ok(upload_open(l->m, &l->alice, id, library_diag(l), &u));
        assert_ok(upload_truncate(u, 0, library_diag(l)));
        for (unsigned i = 0; i < 40; i++) /* more than any format has around no data */
                write_at(u, bytes, SIZE, 0);
        assert_false(upload_is_only_made(u));
        upload_close(u);
        work_wait_available(l, id);
        work_assert_bytes(l, id, SIZE, 1);
        assert_int_equal(upload_size(l->m, id), 0);
        assert_int_equal(upload_join(l->m, id, &reader), -ENOENT);
        work_wait_incoming(l);
        work_assert_clean(l);
        free(bytes);
}

static void test_what_waits_is_taken_for_whole_when_the_library_is_closed(void **state)
{
        struct library *l = *state;
        uint64_t id = library_image(l, "made"), removed = library_image(l, "removed");
        struct upload *u;

        assert_ok(upload_open(l->m, &l->alice, removed, library_diag(l), &u));
        assert_ok(upload_truncate(u, 1 << 20, library_diag(l)));
        upload_close(u);
        assert_ok(image_remove(l->m, &l->alice, removed, library_diag(l)));

        assert_ok(upload_open(l->m, &l->alice, id, library_diag(l), &u));
        assert_ok(upload_truncate(u, 1 << 20, library_diag(l)));
        upload_close(u);
        library_close(l);
        assert_ok(library_open(l));
        work_wait_available(l, id);
        assert_int_equal(work_get(l, id).o.size_bytes, 1 << 20);
        work_wait_incoming(l);
        work_assert_clean(l);
}

static void test_a_writer_that_was_interrupted_makes_no_image(void **state)
{
        struct library *l = *state;
        uint64_t id = library_image(l, "web"), anew = library_image(l, "anew");
        struct upload *u;

        assert_ok(upload_open(l->m, &l->alice, id, library_diag(l), &u));
        write_at(u, "half", 4, 0);
        upload_interrupt(u);
        upload_close(u);
        assert_int_equal(work_get(l, id).status, IMAGE_ERROR);
        assert_non_null(strstr(work_get(l, id).error, "ended by a signal, after 4 bytes"));
        assert_int_equal(work_incoming(l), 0);

        assert_ok(upload_open(l->m, &l->alice, anew, library_diag(l), &u));
        write_at(u, "half", 4, 0);
        upload_interrupt(u);
        assert_ok(upload_truncate(u, 0, library_diag(l)));
        write_at(u, "whole", 5, 0);
        upload_close(u);
        work_wait_available(l, anew);
        work_assert_clean(l);
}

static void test_opening_takes_the_snapshot_quota(void **state)
{
        struct library *l = *state;
        uint64_t id = library_image(l, "web");
        struct upload *u;

        assert_ok(quota_set_line(l->m, &l->admin, l->region, "snapshots limit=0", library_diag(l)));
        assert_refused(l, upload_open(l->m, &l->alice, id, library_diag(l), &u), -EDQUOT);
        assert_int_equal(work_get(l, id).status, IMAGE_QUEUED);
        assert_int_equal(work_incoming(l), 0);

        assert_ok(image_set(l->m, &l->alice, id, IMAGE_FIELD_TYPE, "local", library_diag(l)));
        work_upload(l, id, "disk", 4);
        work_wait_available(l, id);
        assert_int_equal(work_snapshots(l, l->region), 0);
}

static void test_an_image_that_has_its_bytes_takes_no_others(void **state)
{
        struct library *l = *state;
        uint64_t id = work_image(l, &l->alice, l->region, "web", NULL, SIZE, 1);
        struct upload *u;

        assert_refused(l, upload_open(l->m, &l->alice, id, library_diag(l), &u), -EBUSY);
        assert_err(upload_open(l->m, &l->alice, id + 1000, library_diag(l), &u), -ENOENT);
        work_assert_bytes(l, id, SIZE, 1);
}

static void test_only_the_administrator_uploads_what_all_will_see(void **state)
{
        struct library *l = *state;
        struct upload *u;
        uint64_t id;

        assert_ok(image_create(l->m, &l->admin, l->region, CLASS_PUBLIC, "debian", library_diag(l), &id));
        assert_refused(l, upload_open(l->m, &l->alice, id, library_diag(l), &u), -EPERM);
        assert_int_equal(work_get(l, id).status, IMAGE_QUEUED);
        assert_ok(upload_open(l->m, &l->admin, id, library_diag(l), &u));
        upload_close(u);
}

static void test_removing_the_image_ends_its_upload(void **state)
{
        struct library *l = *state;
        uint64_t id = library_image(l, "web");
        struct upload *u;

        assert_ok(upload_open(l->m, &l->alice, id, library_diag(l), &u));
        write_at(u, "abc", 3, 0);
        assert_ok(image_remove(l->m, &l->alice, id, library_diag(l)));
        assert_refused(l, upload_write(u, "d", 1, 3, NULL, NULL, library_diag(l)), -ESTALE);
        assert_int_equal(work_incoming(l), 0);
        assert_ok(upload_check(u, library_diag(l)));
        upload_close(u);

        assert_int_equal(work_used(l, l->region, &l->alice, LIMIT_SNAPSHOTS), 0);
        assert_int_equal(work_used(l, l->region, &l->alice, LIMIT_PRIVATE_IMAGES), 0);
        assert_int_equal(work_tasks(l), 0);
        work_assert_clean(l);
}

static void test_the_format_must_agree(void **state)
{
        struct library *l = *state;
        uint64_t id = library_image(l, "web");
        struct upload *u;

        assert_ok(image_set(l->m, &l->alice, id, IMAGE_FIELD_FORMAT, "qcow2", library_diag(l)));
        assert_ok(upload_open(l->m, &l->alice, id, library_diag(l), &u));
        write_at(u, "not a qcow2", 11, 0);
        assert_refused(l, upload_check(u, library_diag(l)), -EINVAL);
        upload_close(u);
        assert_int_equal(work_get(l, id).status, IMAGE_ERROR);
}

static void test_offsets_past_the_limit_are_refused(void **state)
{
        struct library *l = *state;
        uint64_t id = library_image(l, "web");
        struct upload *u;

        assert_ok(upload_open(l->m, &l->alice, id, library_diag(l), &u));
        assert_refused(l, upload_write(u, "x", 1, BLOB_SIZE_MAX, NULL, NULL, library_diag(l)), -EFBIG);
        assert_refused(l, upload_write(u, "xx", 2, UINT64_MAX, NULL, NULL, library_diag(l)), -EFBIG);
        assert_refused(l, upload_truncate(u, BLOB_SIZE_MAX + 1, library_diag(l)), -EFBIG);
        upload_close(u);
}

static void test_an_upload_cut_off_by_the_end_of_the_program_is_an_error(void **state)
{
        struct library *l = *state;
        uint64_t id = library_image(l, "web");
        struct upload *u;

        assert_ok(upload_open(l->m, &l->alice, id, library_diag(l), &u));
        write_at(u, "abc", 3, 0);
        work_assert_clean(l);

        assert_int_equal(work_get(l, id).status, IMAGE_ERROR);
        assert_contains(work_get(l, id).error, "cut off");
        assert_int_equal(work_used(l, l->region, &l->alice, LIMIT_SNAPSHOTS), 0);
        assert_int_equal(work_incoming(l), 0);
        assert_ok(image_remove(l->m, &l->alice, id, library_diag(l)));
}

static void test_files_that_no_import_wants_are_removed_at_start(void **state)
{
        struct library *l = *state;
        char path[2 * TEMPDIR_MAX];
        int fd;

        library_close(l);
        (void)snprintf(path, sizeof(path), "%s/lib/blobs/incoming/img-left", l->dir);
        fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
        assert_true(fd >= 0);
        (void)close(fd);
        assert_ok(library_open(l));
        assert_int_equal(work_incoming(l), 0);
}

/* ---- what cannot be written ---- */

static void test_bytes_that_were_lost_make_no_image(void **state)
{
        struct library *l = *state;
        uint8_t *bytes = work_bytes(SIZE, 1);
        uint64_t id = library_image(l, "web");
        struct upload *u;

        assert_ok(upload_open(l->m, &l->alice, id, library_diag(l), &u));
        write_at(u, bytes, 200000, 0);
        lose_a_byte(l, u); /* the half that was there used to be imported */
        assert_refused(l, upload_check(u, library_diag(l)), -EFBIG);
        upload_close(u);

        assert_int_equal(work_get(l, id).status, IMAGE_ERROR);
        assert_contains(work_get(l, id).error, "too large");
        assert_int_equal(work_incoming(l), 0);
        assert_int_equal(work_tasks(l), 0);
        assert_int_equal(work_snapshots(l, l->region), 0);
        work_assert_clean(l);
        free(bytes);
}

static void test_what_was_lost_can_be_written_anew(void **state)
{
        struct library *l = *state;
        uint8_t *bytes = work_bytes(SIZE, 1);
        uint64_t id = library_image(l, "web");
        struct upload *u;

        assert_ok(upload_open(l->m, &l->alice, id, library_diag(l), &u));
        lose_a_byte(l, u);
        assert_ok(upload_truncate(u, 0, library_diag(l)));
        write_at(u, bytes, SIZE, 0);
        assert_ok(upload_check(u, library_diag(l)));
        upload_close(u);
        work_wait_available(l, id);
        work_assert_bytes(l, id, SIZE, 1);
        free(bytes);
}

static unsigned changes(struct library *l)
{
        LOCK_SCOPE(&l->mutex);

        return l->changes;
}

static bool is_recorded(struct library *l, uint64_t id)
{
        return library_sql_int(l, "SELECT status = 'error' FROM image WHERE id = %lld", (long long)id) == 1;
}

/* The image stayed uploading for ever, with nobody to wake those who wait for it. */
static void test_an_end_without_space_to_record_it_is_an_error_and_recorded_later(void **state)
{
        struct library *l = *state;
        uint64_t id = library_image(l, "web"), other = library_image(l, "other");
        struct upload *u;
        uint8_t *bytes;
        unsigned seen;

        skip_where_it_is_on_a_server(l);
        bytes = work_bytes(SIZE, 1);
        assert_ok(upload_open(l->m, &l->alice, id, library_diag(l), &u));
        write_at(u, bytes, SIZE, 0);
        seen = changes(l);
        fault_set(FAULT_WRITE, 1, true);
        upload_close(u);

        assert_int_equal(library_wait_image(l, id), IMAGE_ERROR);
        assert_true(changes(l) > seen);
        assert_non_null(strstr(work_get(l, id).error, "full"));
        assert_int_equal(work_incoming(l), 0); /* its space is given back at once */
        assert_refused(l, upload_open(l->m, &l->alice, id, library_diag(l), &u), -EBUSY);
        assert_false(model_is_degraded(l->m));
        assert_false(is_recorded(l, id));

        fault_set(FAULT_WRITE, 0, false);
        assert_ok(image_remove(l->m, &l->alice, other, library_diag(l))); /* what may give space is a reason to look */
        work_wait(l, is_recorded, id);
        assert_int_equal(work_get(l, id).status, IMAGE_ERROR);
        assert_non_null(strstr(work_get(l, id).error, "full"));
        assert_int_equal(work_used(l, l->region, &l->alice, LIMIT_SNAPSHOTS), 0);
        work_assert_clean(l);
        free(bytes);
}

static void test_an_image_whose_end_is_not_recorded_can_be_removed(void **state)
{
        struct library *l = *state;
        uint64_t id = library_image(l, "web");
        struct upload *u;

        skip_where_it_is_on_a_server(l);
        assert_ok(upload_open(l->m, &l->alice, id, library_diag(l), &u));
        write_at(u, "x", 1, 0);
        fault_set(FAULT_WRITE, 1, true);
        upload_close(u);
        assert_err(image_remove(l->m, &l->alice, id, library_diag(l)), -ENOSPC);
        fault_set(FAULT_WRITE, 0, false);
        assert_ok(image_remove(l->m, &l->alice, id, library_diag(l)));
        assert_int_equal(work_used(l, l->region, &l->alice, LIMIT_PRIVATE_IMAGES), 0);
        work_assert_clean(l);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, library_setup, library_teardown)
                TEST(test_bytes_written_in_any_order_by_any_writer_are_imported),
                TEST(test_while_a_data_disk_is_made_durable_others_open_uploads),
                TEST(test_while_the_end_of_an_upload_is_made_durable_others_open_theirs),
                TEST(test_while_a_url_is_made_durable_others_open_uploads),
                TEST(test_an_upload_without_a_byte_gives_everything_back),
                TEST(test_a_file_that_is_only_a_hole_is_imported),
                TEST(test_what_was_only_made_waits_to_be_opened_again),
                TEST(test_what_waits_is_taken_for_whole_when_the_library_is_closed),
                TEST(test_a_writer_that_was_interrupted_makes_no_image),
                TEST(test_opening_takes_the_snapshot_quota),
                TEST(test_an_image_that_has_its_bytes_takes_no_others),
                TEST(test_only_the_administrator_uploads_what_all_will_see),
                TEST(test_removing_the_image_ends_its_upload),
                TEST(test_the_format_must_agree),
                TEST(test_offsets_past_the_limit_are_refused),
                TEST(test_an_upload_cut_off_by_the_end_of_the_program_is_an_error),
                TEST(test_files_that_no_import_wants_are_removed_at_start),
                TEST(test_bytes_that_were_lost_make_no_image),
                TEST(test_what_was_lost_can_be_written_anew),
                TEST(test_an_end_without_space_to_record_it_is_an_error_and_recorded_later),
                TEST(test_an_image_whose_end_is_not_recorded_can_be_removed),
        };

        fault_install();
        return cmocka_run_group_tests(tests, NULL, NULL);
}

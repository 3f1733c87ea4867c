/* SPDX-License-Identifier: MIT */

/* Addresses of downloads: who gets one, how it is found, and every way in which it ends. */

#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "model/core/limits.h"
#include "model/image/download.h"
#include "tests/lib/work.h"

#define SIZE    400000
#define HOUR_US (INT64_C(3600) * 1000000)

static struct download make(struct library *l, uint64_t image, const char *name)
{
        struct download d;
        uint64_t id;

        assert_ok(download_create(l->m, image, name, library_diag(l), &id));
        assert_ok(download_get(l->m, id, &d));
        return d;
}

static void assert_gone(struct library *l, const struct download *d)
{
        struct download other;
        char name[DOWNLOAD_NAME_SIZE];

        download_name(d, name);
        assert_err(download_get(l->m, d->id, &other), -ENOENT);
        assert_err(download_find_token(l->m, d->token, &other), -ENOENT);
        if (download_find(l->m, d->image, name, &other) == 0)
                assert_int_not_equal(other.id, d->id);
}

static int count(void *ctx, const struct download *d)
{
        (void)d;
        ++*(unsigned *)ctx;
        return 0;
}

static unsigned downloads(struct library *l, uint64_t image)
{
        unsigned n = 0;

        assert_ok(download_each(l->m, image, count, &n));
        return n;
}

static void test_an_address_leads_to_the_disk(void **state)
{
        struct library *l = *state;
        uint64_t image = work_image(l, &l->alice, l->region, "a", NULL, SIZE, 1);
        struct download d = make(l, image, "vda.raw"), found;
        uint8_t *bytes = work_bytes(SIZE, 1), *got = malloc(SIZE);
        struct export *e;

        assert_int_equal(d.image, image);
        assert_string_equal(d.device, "vda");
        assert_int_equal(d.format, EXPORT_RAW);
        assert_int_equal(strlen(d.token), DOWNLOAD_TOKEN_LEN);
        assert_int_equal(d.expires_us - d.created_us, 24 * HOUR_US);
        assert_string_equal(d.image_ident, work_get(l, image).ident);

        assert_ok(download_find_token(l->m, d.token, &found));
        assert_int_equal(found.id, d.id);
        assert_ok(download_find(l->m, image, "vda.raw", &found));
        assert_int_equal(found.id, d.id);
        assert_ok(download_open(l->m, &found, NULL, &e));
        assert_int_equal(export_get_size(e), SIZE);
        assert_int_equal(export_pread(e, got, SIZE, 0), SIZE);
        assert_memory_equal(got, bytes, SIZE);
        export_close(e);
        free(bytes);
        free(got);
}

static void test_each_format_has_its_address(void **state)
{
        struct library *l = *state;
        uint64_t image = work_image(l, &l->alice, l->region, "a", "local", SIZE, 1);
        struct download raw = make(l, image, "vda.raw"), qcow2 = make(l, image, "vda.qcow2");
        struct export *e;

        assert_string_not_equal(raw.token, qcow2.token);
        assert_int_equal(downloads(l, image), 2);
        assert_ok(download_open(l->m, &qcow2, NULL, &e));
        assert_int_equal(export_get_size(e) % 65536, 0);
        export_close(e);
}

static void test_tokens_must_be_right_to_the_last_digit(void **state)
{
        struct library *l = *state;
        uint64_t image = work_image(l, &l->alice, l->region, "a", NULL, SIZE, 1);
        struct download d = make(l, image, "vda.raw"), found;
        char token[DOWNLOAD_TOKEN_LEN + 8];

        for (size_t i = 0; i < DOWNLOAD_TOKEN_LEN; i++) {
                memcpy(token, d.token, sizeof(d.token));
                token[i] = token[i] == '0' ? '1' : '0';
                assert_err(download_find_token(l->m, token, &found), -ENOENT);
        }
        (void)snprintf(token, sizeof(token), "%s0", d.token);
        assert_err(download_find_token(l->m, token, &found), -ENOENT);
        token[DOWNLOAD_TOKEN_LEN - 1] = '\0';
        assert_err(download_find_token(l->m, token, &found), -ENOENT);
        assert_err(download_find_token(l->m, "", &found), -ENOENT);
        assert_err(download_find_token(l->m, "not hexadecimal", &found), -ENOENT);
}

/* Whoever reads the database has nothing that leads to a disk. */
static void test_the_database_does_not_hold_tokens(void **state)
{
        struct library *l = *state;
        uint64_t image = work_image(l, &l->alice, l->region, "a", NULL, SIZE, 1);
        struct download d = make(l, image, "vda.raw"), found;
        char path[TEMPDIR_MAX + 32];

        assert_int_equal(library_sql_int(l, "SELECT count(*) FROM download WHERE lower(hex(nonce) || hex(hash)) LIKE '%%%s%%'",
                                         d.token), 0);
        assert_int_equal(library_sql_int(l, "SELECT count(*) FROM download WHERE lower(hex(hash)) LIKE '%%%.16s%%'", d.token), 0);

        library_close(l);
        assert_ok(library_open(l));
        assert_ok(download_get(l->m, d.id, &found));
        assert_string_equal(found.token, d.token);
        assert_ok(download_find_token(l->m, d.token, &found));

        /* With another key there are none. */
        library_close(l);
        (void)snprintf(path, sizeof(path), "%s/lib/secret", l->dir);
        assert_ok(unlink(path));
        assert_ok(library_open(l));
        assert_gone(l, &d);
        assert_int_equal(downloads(l, image), 0);
        found = make(l, image, "vda.raw");
        assert_string_not_equal(found.token, d.token);
}

static void test_refusals(void **state)
{
        static const char *const names[] = { "", "vda", ".raw", "vda.", "vda.vmdk", "raw", "vda.raw.raw", "longdevice.raw" };
        struct library *l = *state;
        uint64_t image = work_image(l, &l->alice, l->region, "a", NULL, SIZE, 1);
        uint64_t queued = library_image(l, "queued"), id = 77;

        for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
                assert_refused(l, download_create(l->m, image, names[i], library_diag(l), &id), -EINVAL);
        assert_refused(l, download_create(l->m, image, "vdb.raw", library_diag(l), &id), -ENOENT);
        assert_refused(l, download_create(l->m, queued, "vda.raw", library_diag(l), &id), -EBUSY);
        assert_err(download_create(l->m, 4711, "vda.raw", library_diag(l), &id), -ENOENT);
        (void)make(l, image, "vda.raw");
        assert_refused(l, download_create(l->m, image, "vda.raw", library_diag(l), &id), -EEXIST);
        assert_int_equal(id, 77);

        assert_ok(limit_set_line(l->m, &l->admin, "download-hours 0", library_diag(l)));
        assert_refused(l, download_create(l->m, image, "vda.qcow2", library_diag(l), &id), -EOPNOTSUPP);
        assert_int_equal(downloads(l, image), 1);
}

static void test_it_ends_when_it_is_removed(void **state)
{
        struct library *l = *state;
        uint64_t image = work_image(l, &l->alice, l->region, "a", NULL, SIZE, 1);
        struct download d = make(l, image, "vda.raw");

        assert_ok(download_remove(l->m, d.id));
        assert_gone(l, &d);
        assert_err(download_remove(l->m, d.id), -ENOENT);
        assert_string_not_equal(make(l, image, "vda.raw").token, d.token);
}

static void test_it_ends_with_the_image(void **state)
{
        struct library *l = *state;
        uint64_t image = work_image(l, &l->alice, l->region, "a", NULL, SIZE, 1);
        struct download d = make(l, image, "vda.raw");

        assert_ok(image_remove(l->m, &l->alice, image, library_diag(l)));
        assert_gone(l, &d);
        assert_ok(image_move(l->m, &l->alice, image, l->region, CLASS_PRIVATE, "a", library_diag(l)));
        assert_gone(l, &d);
        assert_int_equal(downloads(l, image), 0);
        work_assert_clean(l);
}

static void test_it_ends_when_the_image_is_handed_over(void **state)
{
        struct library *l = *state;
        uint64_t image = work_image(l, &l->alice, l->region, "a", NULL, SIZE, 1);
        struct download d = make(l, image, "vda.raw");

        assert_ok(model_set_access(l->m, &l->admin, OBJECT_IMAGE, image, NULL, &l->bob.uid, NULL, library_diag(l)));
        assert_gone(l, &d);
}

static void test_it_outlives_what_does_not_concern_it(void **state)
{
        struct library *l = *state;
        uint64_t image = work_image(l, &l->alice, l->region, "a", NULL, SIZE, 1);
        struct download d = make(l, image, "vda.raw"), found;

        assert_ok(image_move(l->m, &l->alice, image, l->region, CLASS_PRIVATE, "b", library_diag(l)));
        assert_ok(image_set(l->m, &l->alice, image, IMAGE_FIELD_DESCRIPTION, "else", library_diag(l)));
        library_close(l);
        assert_ok(library_open(l));
        assert_ok(download_find_token(l->m, d.token, &found));
        assert_int_equal(found.id, d.id);
        assert_int_equal(found.expires_us, d.expires_us);
}

static bool row_is_gone(struct library *l, uint64_t id)
{
        return library_sql_int(l, "SELECT count(*) FROM download WHERE id = %llu", (unsigned long long)id) == 0;
}

static void test_it_ends_when_its_time_is_up(void **state)
{
        struct library *l = *state;
        uint64_t image = work_image(l, &l->alice, l->region, "a", NULL, SIZE, 1);
        struct download old = make(l, image, "vda.raw"), young = make(l, image, "vda.qcow2"), found;

        library_close(l);
        library_sql(l, "UPDATE download SET expires = expires - %lld WHERE id = %llu", (long long)(24 * HOUR_US),
                    (unsigned long long)old.id);
        assert_ok(library_open(l));
        assert_gone(l, &old);
        assert_err(download_remove(l->m, old.id), -ENOENT);
        assert_int_equal(downloads(l, image), 1);
        assert_ok(download_get(l->m, young.id, &found));
        (void)make(l, image, "vda.raw"); /* its name is free */
}

/* The upkeep sleeps until then, and no longer. */
static void test_rows_whose_time_is_up_are_removed(void **state)
{
        struct library *l = *state;
        uint64_t image = work_image(l, &l->alice, l->region, "a", NULL, SIZE, 1);
        struct download d = make(l, image, "vda.raw");

        library_close(l);
        library_sql(l, "UPDATE download SET expires = %lld", (long long)(time(NULL) + 2) * 1000000);
        assert_ok(library_open(l));
        for (int i = 0; i < 200 && !row_is_gone(l, d.id); i++)
                (void)usleep(50000); /* nobody is told of it */
        assert_true(row_is_gone(l, d.id));
        assert_gone(l, &d);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, library_setup, library_teardown)
                TEST(test_an_address_leads_to_the_disk),
                TEST(test_each_format_has_its_address),
                TEST(test_tokens_must_be_right_to_the_last_digit),
                TEST(test_the_database_does_not_hold_tokens),
                TEST(test_refusals),
                TEST(test_it_ends_when_it_is_removed),
                TEST(test_it_ends_with_the_image),
                TEST(test_it_ends_when_the_image_is_handed_over),
                TEST(test_it_outlives_what_does_not_concern_it),
                TEST(test_it_ends_when_its_time_is_up),
                TEST(test_rows_whose_time_is_up_are_removed),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}

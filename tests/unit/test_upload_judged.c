/* SPDX-License-Identifier: MIT */
/* Uploads whose headers are judged when the last writer closes: by a child, so where there is Landlock. */

#include "model/core/quota.h"
#include "tests/lib/work.h"

static void test_a_header_that_cannot_be_imported_is_refused_at_close(void **state)
{
        static const uint8_t qcow2[512] = { 'Q', 'F', 'I', 0xfb, 0, 0, 0, 9 };
        struct library *l = *state;
        uint64_t id = library_image(l, "web");
        struct upload *u;

        assert_ok(upload_open(l->m, &l->alice, id, library_diag(l), &u));
        assert_ok(upload_write(u, qcow2, sizeof(qcow2), 0, NULL, NULL, library_diag(l)));
        assert_refused(l, upload_check(u, library_diag(l)), -EINVAL);
        upload_close(u);

        assert_int_equal(work_get(l, id).status, IMAGE_ERROR);
        assert_string_equal(work_get(l, id).error, l->diag.text);
        assert_int_equal(work_used(l, l->region, &l->alice, LIMIT_SNAPSHOTS), 0);
        assert_int_equal(work_incoming(l), 0);
        work_assert_clean(l);
}

static void test_nothing_is_wrong_before_the_last_writer_closes(void **state)
{
        static const uint8_t half[4] = { 'Q', 'F', 'I', 0xfb };
        struct library *l = *state;
        uint64_t id = library_image(l, "web");
        struct upload *a, *b;

        assert_ok(upload_open(l->m, &l->alice, id, library_diag(l), &a));
        assert_ok(upload_check(a, library_diag(l)));
        assert_ok(upload_open(l->m, &l->alice, id, library_diag(l), &b));
        assert_ok(upload_write(a, half, sizeof(half), 0, NULL, NULL, library_diag(l)));
        assert_ok(upload_check(a, library_diag(l)));
        upload_close(b);
        assert_err(upload_check(a, library_diag(l)), -EINVAL);
        upload_close(a);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, library_setup, library_teardown)
                TEST(test_a_header_that_cannot_be_imported_is_refused_at_close),
                TEST(test_nothing_is_wrong_before_the_last_writer_closes),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}

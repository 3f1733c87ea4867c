/* SPDX-License-Identifier: MIT */
/* Texts that users keep open: shared, and within a budget. */

#include <dirent.h>
#include <stdlib.h>
#include <string.h>

#include "model/core/text.h"
#include "tests/lib/work.h"

#define MIB ((size_t)1 << 20)

static int make(struct library *l, uid_t uid, size_t n, struct text **ret)
{
        CLEANUP_STRBUF struct strbuf s = { 0 };
        CLEANUP_FREE char *bytes = malloc(n + 1);

        assert_non_null(bytes);
        for (size_t i = 0; i < n; i++)
                bytes[i] = (char)('a' + i % 23);
        strbuf_add_bytes(&s, bytes, n);
        return text_new(l->m, uid, &s, library_diag(l), ret);
}

static void test_small_or_large_it_reads_the_same(void **state)
{
        static const size_t sizes[] = { 0, 1, 16384, 16385, 3 << 20 };
        struct library *l = *state;

        for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
                struct text *t;
                char buf[8];

                assert_ok(make(l, 1, sizes[i], &t));
                assert_int_equal(text_size(t), sizes[i]);
                if (sizes[i] > 1000) {
                        const char *at = text_get(t, 1000, sizeof(buf), buf);

                        assert_non_null(at);
                        for (unsigned k = 0; k < sizeof(buf); k++)
                                assert_int_equal(at[k], 'a' + (1000 + k) % 23);
                }
                text_unref(t);
        }
}

static void test_a_user_has_a_budget_and_others_theirs(void **state)
{
        struct library *l = *state;
        struct text *held[512], *other;
        size_t n = 0;
        int r = 0;

        while (n < 512 && (r = make(l, 1, MIB, &held[n])) == 0)
                n++;
        assert_refused(l, r, -EDQUOT);
        assert_contains(l->diag.text, "close some");
        assert_true(n >= 200 && n <= 256);
        assert_ok(make(l, 2, MIB, &other));
        text_unref(other);
        (void)text_ref(held[0]);
        text_unref(held[0]); /* it is still open */
        assert_refused(l, make(l, 1, MIB, &other), -EDQUOT);
        text_unref(held[0]);
        assert_ok(make(l, 1, MIB, &held[0]));
        while (n > 0)
                text_unref(held[--n]);
        assert_ok(make(l, 1, 200 * MIB, &other));
        text_unref(other);
}

static void test_many_small_ones_are_bounded_too(void **state)
{
        struct library *l = *state;
        struct text **held = calloc(100000, sizeof(*held));
        size_t n = 0;
        int r = 0;

        assert_non_null(held);
        while (n < 100000 && (r = make(l, 1, 100, &held[n])) == 0)
                n++;
        assert_true(r == -EDQUOT || r == -EMFILE);
        assert_true(n > 10000 && n < 20000);
        while (n > 0)
                text_unref(held[--n]);
        free(held);
}

/* Others come and go: the database's, the reserve. */
static unsigned count_files(struct library *l)
{
        const struct dirent *e;
        char path[TEMPDIR_MAX + 8];
        unsigned n = 0;
        DIR *d;

        (void)snprintf(path, sizeof(path), "%s/lib", l->dir);
        d = opendir(path);
        assert_non_null(d);
        while ((e = readdir(d)))
                n += strncmp(e->d_name, "text", 4) == 0 || e->d_name[0] == '#';
        (void)closedir(d);
        return n;
}

static void test_its_file_has_no_name(void **state)
{
        struct library *l = *state;
        struct text *t;

        assert_ok(make(l, 1, MIB, &t));
        assert_int_equal(count_files(l), 0);
        text_unref(t);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, library_setup, library_teardown)

int main(void)
{
        const struct CMUnitTest tests[] = {
                TEST(test_small_or_large_it_reads_the_same),
                TEST(test_a_user_has_a_budget_and_others_theirs),
                TEST(test_many_small_ones_are_bounded_too),
                TEST(test_its_file_has_no_name),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}

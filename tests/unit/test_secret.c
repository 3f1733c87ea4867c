/* SPDX-License-Identifier: MIT */

#include "model/core/secret.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/lib/expect.h"
#include "tests/lib/library.h"

static const char text[] = "ftp://eve:s3cr%3At@192.0.2.1/x.raw";

static void test_what_is_sealed_can_be_read_again(void **state)
{
        struct library *l = *state;
        char sealed[SECRET_SEALED_SIZE(sizeof(text) - 1)], again[sizeof(sealed)], open[sizeof(text)];

        assert_ok(secret_seal(l->m, text, sealed, sizeof(sealed)));
        assert_true(secret_is_sealed(sealed));
        assert_null(strstr(sealed, "s3cr"));
        assert_int_equal(strlen(sealed), sizeof(sealed) - 1);
        assert_ok(secret_seal(l->m, text, again, sizeof(again)));
        assert_string_not_equal(again, sealed);

        library_close(l);
        assert_ok(library_open(l));
        assert_ok(secret_unseal(l->m, sealed, open, sizeof(open)));
        assert_string_equal(open, text);
        assert_err(secret_unseal(l->m, sealed, open, sizeof(open) - 1), -E2BIG);
        assert_err(secret_seal(l->m, text, again, sizeof(again) - 1), -E2BIG);
        assert_ok(secret_seal(l->m, "", again, sizeof(again)));
        assert_ok(secret_unseal(l->m, again, open, sizeof(open)));
        assert_string_equal(open, "");
}

static void test_what_was_changed_is_refused(void **state)
{
        static const char *const others[] = { "", "sealed:", "sealed:00", "sealed:x", "http://192.0.2.1/" };
        struct library *l = *state;
        char sealed[SECRET_SEALED_SIZE(sizeof(text) - 1)], open[sizeof(sealed)];

        assert_ok(secret_seal(l->m, text, sealed, sizeof(sealed)));
        for (size_t i = 0; sealed[i]; i++) {
                char was = sealed[i];

                sealed[i] = was == '0' ? '1' : '0';
                assert_err(secret_unseal(l->m, sealed, open, sizeof(open)), -EKEYREJECTED);
                assert_string_equal(open, i < strlen("sealed:") ? open : "");
                sealed[i] = was;
        }
        sealed[strlen(sealed) - 2] = '\0';
        assert_err(secret_unseal(l->m, sealed, open, sizeof(open)), -EKEYREJECTED);
        for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++)
                assert_err(secret_unseal(l->m, others[i], open, sizeof(open)), -EKEYREJECTED);
}

static void test_the_key_is_a_file_of_its_own(void **state)
{
        struct library *l = *state;
        char sealed[SECRET_SEALED_SIZE(sizeof(text) - 1)], open[sizeof(sealed)], path[TEMPDIR_MAX + 32];
        uint8_t mac[SECRET_MAC_SIZE], other[SECRET_MAC_SIZE];
        struct stat st;

        assert_ok(secret_seal(l->m, text, sealed, sizeof(sealed)));
        assert_ok(secret_mac(l->m, "a", "x", 1, mac));
        assert_ok(secret_mac(l->m, "b", "x", 1, other));
        assert_memory_not_equal(mac, other, sizeof(mac));
        assert_ok(secret_mac(l->m, "a", "x", 1, other));
        assert_memory_equal(mac, other, sizeof(mac));

        (void)snprintf(path, sizeof(path), "%s/lib/" SECRET_FILE, l->dir);
        assert_ok(stat(path, &st));
        assert_int_equal(st.st_mode & 07777, 0600);
        assert_int_equal(st.st_size, 32);

        /* Another one is made, and has nothing of it. */
        library_close(l);
        assert_ok(unlink(path));
        assert_ok(library_open(l));
        assert_err(secret_unseal(l->m, sealed, open, sizeof(open)), -EKEYREJECTED);
        assert_ok(secret_mac(l->m, "a", "x", 1, other));
        assert_memory_not_equal(mac, other, sizeof(mac));

        /* What is none is left alone. */
        library_close(l);
        assert_ok(truncate(path, 31));
        assert_err(library_open(l), -EUCLEAN);
        assert_ok(stat(path, &st));
        assert_int_equal(st.st_size, 31);
        assert_ok(unlink(path));
        assert_ok(library_open(l));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, library_setup, library_teardown)

int main(void)
{
        const struct CMUnitTest tests[] = {
                TEST(test_what_is_sealed_can_be_read_again),
                TEST(test_what_was_changed_is_refused),
                TEST(test_the_key_is_a_file_of_its_own),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}

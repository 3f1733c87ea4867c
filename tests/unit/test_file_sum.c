/* SPDX-License-Identifier: MIT */
/* Sums of files, against those that the usual programs print. */

#include "blobstore/import/file_sum.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "blobstore/base/io.h"
#include "tests/lib/expect.h"

static int go_on(void *ctx)
{
        unsigned *calls = ctx;

        (*calls)++;
        return 0;
}

static int give_up(void *ctx)
{
        (void)ctx;
        return -ECANCELED;
}

/* A nameless file of N bytes 0, 1, … 250, 0 … */
static int make_file(size_t n)
{
        char name[] = "/tmp/test_file_sum.XXXXXX";
        uint8_t *bytes = malloc(n + 1);
        int fd = mkstemp(name);

        assert_true(fd >= 0);
        assert_non_null(bytes);
        (void)unlink(name);
        for (size_t i = 0; i < n; i++)
                bytes[i] = (uint8_t)(i % 251);
        assert_ok(pwrite_full(fd, bytes, n, 0));
        free(bytes);
        return fd;
}

static void test_sums_are_those_of_the_usual_programs(void **state)
{
        static const struct {
                size_t n;
                const char *sum;
        } known[] = {
                { 0, "sha256=e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855" },
                { 0, "md5=d41d8cd98f00b204e9800998ecf8427e" },
                { 0, "xxh128=99aa06d3014798d86001c324468d497f" },
                { 55, "sha256=463eb28e72f82e0a96c0a4cc53690c571281131f672aa229e0d45ae59b598b59" },
                { 55, "md5=6912ee65fff2d9f9ce2508cddf8bcda0" },
                { 55, "xxh128=d7420506a37184c24d27405399d46ba6" },
                { 56, "sha256=da2ae4d6b36748f2a318f23e7ab1dfdf45acdc9d049bd80e59de82a60895f562" },
                { 56, "md5=51fdd1acda72405dfdfa03fcb85896d7" },
                { 56, "xxh128=9e4390d2170659904a1730efd65eb655" },
                { 64, "sha256=fdeab9acf3710362bd2658cdc9a29e8f9c757fcf9811603a8c447cd1d9151108" },
                { 64, "md5=b2d3f56bc197fd985d5965079b5e7148" },
                { 64, "xxh128=9c6e140a465545e590c1971ddb04ce74" },
                { 1000, "sha256=4e4c294b331f7a2099a379bec34b9f9fc03dc46ab465d998f4d683da53487e6d" },
                { 1000, "md5=a24f1e3ef66950e1327f210e3997ba2c" },
                { 1000, "xxh128=18bf41bc8229e27733ef703fb2b20ed1" },
                { 1048576, "sha256=631b84027d6b9e52b539c4e8373622d23032dfadc64d60af87339c9037e4f769" },
                { 1048576, "md5=8f293a2f6c19b345152f7a49bb4c643c" },
                { 1048576, "xxh128=53738d98098cabba6e0d7ac36b8c10ff" },
                { 3000001, "sha256=6676c19ef38e4bb8a162d4efd71b8de3150e82b93da3918ee0e9f69891925d9f" },
                { 3000001, "md5=5a22de1ca8b6a22fb69e5d689fa39862" },
                { 3000001, "sha512=de6c9d869fbfeb4c6b319d79db9be730d2cda9c4185fdd1bff600e460e6a664412cd4ec26dfa8b5b6da427be743cc7cde9686b450227365fe860d88b2958eed5" },
                { 3000001, "xxh128=5f783874605563482ce140c441f3a060" },
        };

        (void)state;
        for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
                CLEANUP_CLOSE int fd = make_file(known[i].n);
                struct file_sum wanted, found;
                char text[FILE_SUM_TEXT_MAX];
                unsigned calls = 0;

                assert_ok(file_sum_parse(known[i].sum, &wanted));
                assert_ok(file_sum_of(fd, wanted.kind, go_on, &calls, &found));
                file_sum_print(&found, text, sizeof(text));
                assert_string_equal(text, known[i].sum);
                assert_true(file_sum_equal(&wanted, &found));
                assert_true(calls >= 1 + known[i].n / (1 << 20));
        }
}

static void test_only_whole_sums_are_understood(void **state)
{
        static const char *const bad[] = {
                "", "md5", "md5=", "md5=00112233445566778899aabbccddeef", "md5=00112233445566778899aabbccddeeff0",
                "md5=0011223344556677889 aabbccddeeff", "md5=g0112233445566778899aabbccddeeff",
                "sha1=00112233445566778899aabbccddeeff00112233", "sha256=00112233445566778899aabbccddeeff",
                "xxh12=00112233445566778899aabbccddeeff", "MD5=00112233445566778899aabbccddeeff",
        };
        struct file_sum a, b;

        (void)state;
        for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
                assert_err(file_sum_parse(bad[i], &a), -EINVAL);

        assert_ok(file_sum_parse("md5=00112233445566778899AABBccddeeff", &a));
        assert_ok(file_sum_parse("xxh128=00112233445566778899aabbccddeeff", &b));
        assert_false(file_sum_equal(&a, &b));
}

static void test_summing_can_be_given_up(void **state)
{
        CLEANUP_CLOSE int fd = make_file(10);
        struct file_sum sum;

        (void)state;
        assert_err(file_sum_of(fd, FILE_SUM_SHA256, give_up, NULL, &sum), -ECANCELED);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_sums_are_those_of_the_usual_programs),
                cmocka_unit_test(test_only_whole_sums_are_understood),
                cmocka_unit_test(test_summing_can_be_given_up),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}

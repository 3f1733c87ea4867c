/* SPDX-License-Identifier: MIT */

/*
 * What imagefs-judge does, in this process, where sanitizers can watch it: good files of every format with bytes
 * changed are judged or refused with a sentence, and nothing else happens. IMAGEFS_TEST_COUNT says how many,
 * IMAGEFS_TEST_SEED how.
 */

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "blobstore/base/cleanup.h"
#include "blobstore/base/io.h"
#include "blobstore/import/judge/judge.h"
#include "tests/lib/foreign.h"
#include "tests/lib/random.h"

#define COUNT      4000
#define FILE_MAX   (16 << 20)
#define TABLES_MAX (256 << 10) /* where most of a change goes */

static const struct kind {
        const char *format;
        const char *command; /* makes the file `good` of `disk` */
} kinds[] = {
        { "qcow2", "qemu-img convert -O qcow2 disk good" },
        { "qcow2", "qemu-img convert -O qcow2 -o compat=0.10,cluster_size=4k disk good && "
                   "qemu-img snapshot -c s good" },
        { "qcow2", "qemu-img convert -O qcow2 -c disk good" },
        { "qcow2", "qemu-img convert -O qcow2 -o extended_l2=on,cluster_size=16k disk good" },
        { "vmdk", "qemu-img convert -O vmdk disk good" },
        { "vmdk", "qemu-img convert -O vmdk -o subformat=streamOptimized disk good" },
        { "vhd", "qemu-img convert -O vpc disk good" },
        { "vhd", "qemu-img convert -O vpc -o subformat=fixed,force_size=on disk good" },
        { "vhdx", "qemu-img convert -O vhdx -o block_size=1M disk good" },
        { "vdi", "qemu-img convert -O vdi disk good" },
        { "iso", "cp disk good && printf '\\1CD001\\1' | dd of=good bs=1 seek=32768 conv=notrunc status=none && "
                 "printf '\\040\\0\\0\\0\\0\\0\\0\\040' | dd of=good bs=1 seek=32848 conv=notrunc status=none && "
                 "printf '\\0\\010\\010\\0' | dd of=good bs=1 seek=32896 conv=notrunc status=none" },
};

#define N_KINDS (sizeof(kinds) / sizeof(kinds[0]))

static void judge(int fd, const struct judge_format *f, int *ret, char *sentence, size_t size)
{
        CLEANUP_STRBUF struct strbuf reason = { 0 };
        CLEANUP(walk_done) struct walk w = { 0 };
        struct judged judged = { 0 };
        int r;

        r = walk_start(fd, f->title, &w, &reason);
        if (r == 0)
                r = f->check(&w, &judged, &reason);
        if (r == 0 && f->walk && !judged.flat)
                r = f->walk(&w, &reason);
        (void)snprintf(sentence, size, "%s", strbuf_text(&reason));
        *ret = r;
}

static void change(int fd, uint64_t size, uint64_t *state)
{
        static const uint64_t odd[] = { 0, 1, INT32_MAX, UINT32_MAX, INT64_MAX, UINT64_MAX, UINT64_C(1) << 40 };
        uint64_t span = random_next(state) % 2 ? 1024 : TABLES_MAX;
        uint64_t number = odd[random_next(state) % (sizeof(odd) / sizeof(odd[0]))] - random_next(state) % 2;
        uint64_t at = random_next(state) % (span < size ? span : size);
        size_t n = (size_t)1 << random_next(state) % 4;

        if (random_next(state) % 2)
                number = htobe64(number);
        if (random_next(state) % 4 == 0)
                number = random_next(state);
        assert_int_equal(pwrite_full(fd, &number, n, at), 0);
}

static void test_changed_files_are_judged_or_refused(void **state)
{
        uint64_t seed = environment_number("IMAGEFS_TEST_SEED", (uint64_t)time(NULL));
        const uint64_t count = environment_number("IMAGEFS_TEST_COUNT", COUNT);
        CLEANUP_FREE uint8_t *good = malloc(FILE_MAX);
        uint64_t n_good = 0;

        (void)state;
        print_message("IMAGEFS_TEST_SEED=%llu\n", (unsigned long long)seed);
        shell("head -c 1M disk >small && seq 9000 | dd of=small bs=4k seek=99 conv=notrunc status=none && "
              "mv small disk");
        for (size_t k = 0; k < N_KINDS; k++) {
                const struct judge_format *f = judge_format_find(kinds[k].format);
                CLEANUP_CLOSE int fd = memfd_create("mutant", MFD_CLOEXEC);
                CLEANUP_CLOSE int good_fd = -1;
                char sentence[512];
                ssize_t n;
                int r;

                assert_non_null(f);
                shell("rm -f good && %s", kinds[k].command);
                good_fd = open_at("good", O_RDONLY);
                n = pread_full(good_fd, good, FILE_MAX, 0);
                assert_true(n > 0);
                judge(good_fd, f, &r, sentence, sizeof(sentence));
                if (r < 0)
                        fail_msg("%s: %s", kinds[k].command, sentence);
                for (uint64_t i = 0; i < count / N_KINDS; i++) {
                        assert_int_equal(ftruncate(fd, 0), 0);
                        assert_int_equal(pwrite_full(fd, good, (size_t)n, 0), 0);
                        for (uint64_t left = 1 + random_next(&seed) % 4; left > 0; left--)
                                change(fd, (uint64_t)n, &seed);
                        if (random_next(&seed) % 16 == 0)
                                assert_int_equal(ftruncate(fd, (off_t)(random_next(&seed) % (uint64_t)n)), 0);
                        judge(fd, f, &r, sentence, sizeof(sentence));
                        if (r != 0 && (r != -EINVAL || !strchr(sentence, ' ')))
                                fail_msg("%s: %d, \"%s\"", kinds[k].command, r, sentence);
                        n_good += r == 0;
                }
        }
        print_message("%llu of %llu were good\n", (unsigned long long)n_good, (unsigned long long)count);
}

static void test_other_names_are_no_format(void **state)
{
        (void)state;
        assert_null(judge_format_find("raw"));
        assert_null(judge_format_find(""));
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_changed_files_are_judged_or_refused),
                cmocka_unit_test(test_other_names_are_no_format),
        };

        if (!foreign_can_run())
                return 77;
        return cmocka_run_group_tests(tests, foreign_setup, foreign_teardown);
}

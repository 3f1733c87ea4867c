/* SPDX-License-Identifier: MIT */

/* Passes of a library's stores: what they leave in rows, and what is told of it. */

#include "model/scrub.h"

#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "blobstore/base/strbuf.h"
#include "model/core/damage.h"
#include "model/core/verified.h"
#include "tests/lib/work.h"

#define DISK_BYTES ((size_t)1 << 20)

struct said {
        unsigned asked, enough; /* goes_on() says no at the ENOUGHth time; 0: never */
        uint64_t done, total;
        unsigned lines;
        char line[512];
};

static bool goes_on(void *ctx, const char *path, uint64_t done, uint64_t total)
{
        struct said *s = ctx;

        assert_contains(path, "/blobs");
        s->done = done;
        s->total = total;
        return ++s->asked != s->enough;
}

static void report(void *ctx, const char *line)
{
        struct said *s = ctx;

        s->lines++;
        (void)snprintf(s->line, sizeof(s->line), "%s", line);
}

/* With the library closed. */
static int scrub(struct library *l, struct said *s)
{
        const struct model_scrub_ops ops = { .goes_on = goes_on, .report = report, .healed = report, .ctx = s };
        char path[TEMPDIR_MAX + 8];

        (void)snprintf(path, sizeof(path), "%s/lib", l->dir);
        return model_scrub(path, &ops, library_diag(l));
}

static void flip(const struct library *l, const char *name, off_t at)
{
        char path[2 * TEMPDIR_MAX];
        uint8_t byte;
        int fd;

        (void)snprintf(path, sizeof(path), "%s/lib/blobs/%s", l->dir, name);
        fd = open(path, O_RDWR | O_CLOEXEC);
        assert_true(fd >= 0);
        if (at < 0)
                at += lseek(fd, 0, SEEK_END);
        assert_int_equal(pread(fd, &byte, 1, at), 1);
        byte ^= 0x10;
        assert_int_equal(pwrite(fd, &byte, 1, at), 1);
        (void)close(fd);
}

static int64_t image_verified(struct library *l, uint64_t image)
{
        int64_t us = -1;

        assert_ok(verified_image(l->m, image, &us));
        return us;
}

static void test_a_pass_says_of_what_there_was_that_it_is_whole(void **state)
{
        struct library *l = *state;
        uint64_t before = work_image(l, &l->alice, l->region, "before", NULL, DISK_BYTES, 1), after;
        struct damage_stats stats = { 0 };
        struct said s = { 0 };

        assert_int_equal(image_verified(l, before), 0);
        assert_ok(damage_get_stats(l->m, &stats));
        assert_int_equal(stats.scrubbed_us, 0);
        library_close(l);
        assert_int_equal(scrub(l, &s), 0);
        assert_true(s.done > 0 && s.total >= s.done);
        assert_ok(library_open(l));
        after = work_image(l, &l->alice, l->region, "after", NULL, DISK_BYTES, 2);
        assert_true(image_verified(l, before) > 0);
        assert_int_equal(image_verified(l, after), 0);
        assert_ok(damage_get_stats(l->m, &stats));
        assert_true(stats.scrubbed_us >= image_verified(l, before));
        assert_int_equal(stats.blobs, 0);
}

static void test_one_that_is_stopped_verifies_nothing_and_goes_on(void **state)
{
        struct library *l = *state;
        uint64_t image = 0;
        struct said s = { 0 };
        uint64_t all;

        for (unsigned i = 0; i < 3; i++) { /* a segment each */
                char handle[8];

                (void)snprintf(handle, sizeof(handle), "i%u", i);
                image = work_image(l, &l->alice, l->region, handle, NULL, DISK_BYTES, i + 1);
                library_close(l);
                assert_ok(library_open(l));
        }
        library_close(l);
        for (unsigned enough = 1; enough == 1 || library_sql_int(l, "SELECT segment FROM scrub") == 0; enough++) {
                s = (struct said){ .enough = enough };
                assert_err(scrub(l, &s), -ECANCELED);
        }
        assert_int_equal(library_sql_int(l, "SELECT segment FROM scrub"), 1);
        assert_int_equal(library_sql_int(l, "SELECT verified IS NULL AND began > 0 FROM scrub"), 1);
        all = s.total;

        s = (struct said){ 0 };
        assert_int_equal(scrub(l, &s), 0);
        assert_true(s.total < all);
        assert_int_equal(library_sql_int(l, "SELECT began IS NULL AND verified > 0 FROM scrub"), 1);
        assert_ok(library_open(l));
        assert_true(image_verified(l, image) > 0);
}

static void test_what_is_the_stores_own_is_told_without_an_image(void **state)
{
        struct library *l = *state;
        uint64_t image = work_image(l, &l->alice, l->region, "web", NULL, DISK_BYTES, 1);
        struct said s = { 0 }, health = { 0 };

        library_close(l);
        flip(l, "segments/00000001.seg", -80); /* what it says of itself */
        assert_int_equal(scrub(l, &s), 1);
        assert_contains(s.line, "segment 00000001 does not say what is in it");
        assert_int_equal(scrub(l, &s), 1); /* it is noted once */
        assert_int_equal(library_sql_int(l, "SELECT count(*) FROM damage"), 1);
        assert_ok(library_open(l));
        assert_ok(damage_health(l->m, report, &health));
        assert_int_equal(health.lines, 1);
        assert_contains(health.line, "--repair");
        assert_true(image_verified(l, image) > 0);
        library_close(l);
        flip(l, "segments/00000001.seg", -80);
        assert_int_equal(scrub(l, &s), 0);
        assert_int_equal(library_sql_int(l, "SELECT count(*) FROM damage"), 0);
        assert_ok(library_open(l));
}

static void test_damage_goes_with_its_blob(void **state)
{
        struct library *l = *state;
        uint64_t image = work_image(l, &l->alice, l->region, "web", "local", DISK_BYTES, 1);
        CLEANUP_STRBUF struct strbuf warnings = { 0 };
        struct said s = { 0 }, health = { 0 };

        library_close(l);
        flip(l, "segments/00000001.seg", 20000);
        assert_int_equal(scrub(l, &s), 1);
        assert_contains(s.line, "image r1/private/web, vda: 1 chunks are missing or damaged");
        assert_ok(library_open(l));
        assert_int_equal(image_verified(l, image), 0);
        assert_ok(image_get_warnings(l->m, image, &warnings));
        assert_contains(strbuf_text(&warnings), "disks/vda.raw is damaged: 1 chunks");
        assert_ok(damage_health(l->m, report, &health));
        assert_contains(health.line, "bytes of 1 blob are damaged");
        library_close(l);
        library_sql(l, "DELETE FROM image_disk");
        library_sql(l, "DELETE FROM image");
        library_sql(l, "PRAGMA foreign_keys = ON; DELETE FROM blob");
        assert_int_equal(library_sql_int(l, "SELECT count(*) FROM damage"), 0);
        flip(l, "segments/00000001.seg", 20000);
        assert_ok(library_open(l));
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(test_a_pass_says_of_what_there_was_that_it_is_whole, library_setup,
                                                library_teardown),
                cmocka_unit_test_setup_teardown(test_one_that_is_stopped_verifies_nothing_and_goes_on, library_setup,
                                                library_teardown),
                cmocka_unit_test_setup_teardown(test_what_is_the_stores_own_is_told_without_an_image, library_setup,
                                                library_teardown),
                cmocka_unit_test_setup_teardown(test_damage_goes_with_its_blob, library_setup, library_teardown),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}

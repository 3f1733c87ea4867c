/* SPDX-License-Identifier: MIT */
/* Events: who sees which, from where one can go on, and how many are kept. */

#include "model/core/event.h"

#include <stdio.h>
#include <string.h>

#include "model/core/quota.h"
#include "model/image/share.h"
#include "tests/lib/machine.h"

/* Everybody sees that there is a region, and what the limits are: the administrator's events. */
#define REGION_MADE 1
#define LIMIT_SET   1

/* What C sees after SEQ, at most MAX: `what object` of each. Gives the last one's number, or SEQ. */
static uint64_t after(struct library *l, const struct caller *c, uint64_t seq, size_t max, char *ret, size_t size)
{
        struct events e = { 0 };
        uint64_t last;
        size_t n = 0;

        ret[0] = '\0';
        assert_ok(events_last(l->m, &last));
        assert_ok(events_after(l->m, c, seq, last, max, &e));
        for (size_t i = 0; i < e.n; i++) {
                assert_true(e.event[i].seq > seq);
                seq = e.event[i].seq;
                n += (size_t)snprintf(ret + n, size - n, "%s%s %s", i ? "; " : "", e.event[i].what, e.event[i].object);
                assert_true(n < size);
        }
        events_done(&e);
        return seq;
}

static uint64_t newest(struct library *l, const struct caller *c, size_t max, size_t *ret_n)
{
        struct events e = { 0 };
        uint64_t last;

        assert_ok(events_newest(l->m, c, max, &e));
        *ret_n = e.n;
        last = e.n ? e.event[e.n - 1].seq : 0;
        for (size_t i = 1; i < e.n; i++)
                assert_true(e.event[i].seq > e.event[i - 1].seq);
        events_done(&e);
        return last;
}

static void burst(struct library *l, uid_t uid, unsigned n)
{
        library_sql(l, "WITH RECURSIVE i(n) AS (VALUES (1) UNION ALL SELECT n + 1 FROM i WHERE n < %u) INSERT INTO "
                    "happening SELECT 'made', %llu, 'private/i' || n, '', %u, 0, 448, NULL, NULL, '' FROM i",
                    n, (unsigned long long)l->region, (unsigned)uid);
}

static void test_each_sees_her_own_and_what_is_shared_with_her(void **state)
{
        struct library *l = *state;
        char text[512];
        uint64_t start, image, id;
        size_t n;

        start = newest(l, &l->admin, 100, &n);
        (void)library_image(l, "web");
        (void)after(l, &l->alice, start, 10, text, sizeof(text));
        assert_string_equal(text, "made private/web");
        assert_int_equal(after(l, &l->bob, start, 10, text, sizeof(text)), start);
        assert_string_equal(text, "");
        (void)after(l, &l->admin, start, 10, text, sizeof(text));
        assert_string_equal(text, "made private/web");

        image = work_image(l, &l->alice, l->region, "app", "local", 100000, 1);
        (void)snprintf(text, sizeof(text), "%u", (unsigned)l->bob.uid);
        assert_ok(share_create(l->m, &l->alice, image, text, library_diag(l), &id));
        start = after(l, &l->bob, start, 10, text, sizeof(text));
        assert_string_equal(text, "shared private/app");
        assert_ok(image_remove(l->m, &l->alice, image, library_diag(l)));
        assert_int_equal(newest(l, &l->bob, 1, &n), after(l, &l->bob, start, 10, text, sizeof(text)));
        assert_int_equal(n, 1);
        assert_non_null(strstr(text, "private/app"));
}

static void test_in_pieces_they_are_the_same(void **state)
{
        struct library *l = *state;
        char whole[4096], piece[512], all[4096] = "";
        uint64_t start, seq, next;
        size_t n;

        start = newest(l, &l->alice, 1, &n);
        burst(l, l->alice.uid, 10);
        burst(l, l->bob.uid, 10);
        burst(l, l->alice.uid, 5);
        (void)after(l, &l->alice, start, 100, whole, sizeof(whole));
        for (seq = start; (next = after(l, &l->alice, seq, 4, piece, sizeof(piece))) > seq; seq = next)
                (void)snprintf(all + strlen(all), sizeof(all) - strlen(all), "%s%s", *all ? "; " : "", piece);
        assert_string_equal(all, whole);
        assert_ok(events_check(l->m, &l->alice, seq, library_diag(l)));
        assert_refused(l, events_check(l->m, &l->alice, seq + 1000, library_diag(l)), -ESTALE);
}

static void test_as_many_are_kept_as_the_limit_says_of_each_owner(void **state)
{
        struct library *l = *state;
        uint64_t start, of_bob, last;
        size_t n;

        burst(l, l->bob.uid, 3);
        start = newest(l, &l->alice, 1, &n);
        of_bob = newest(l, &l->bob, 1, &n);
        assert_ok(limit_set_line(l->m, &l->admin, "events 100", library_diag(l)));
        burst(l, l->alice.uid, 20000);
        assert_int_equal(library_sql_int(l, "SELECT count(*) FROM event WHERE uid = %u", (unsigned)l->alice.uid), 100);
        last = newest(l, &l->alice, 1000, &n);
        assert_int_equal(n, 100 + REGION_MADE + LIMIT_SET);
        assert_refused(l, events_check(l->m, &l->alice, start, library_diag(l)), -ESTALE);
        assert_refused(l, events_check(l->m, &l->alice, last - 101, library_diag(l)), -ESTALE);
        assert_ok(events_check(l->m, &l->alice, last - 100, library_diag(l)));
        assert_refused(l, events_check(l->m, &l->admin, start, library_diag(l)), -ESTALE);

        /* What others do costs her nothing. */
        assert_ok(events_check(l->m, &l->bob, of_bob, library_diag(l)));
        (void)newest(l, &l->bob, 1000, &n);
        assert_int_equal(n, 3 + REGION_MADE + LIMIT_SET);
}

static void test_no_number_is_used_twice(void **state)
{
        struct library *l = *state;
        uint64_t last;
        size_t n;

        assert_ok(limit_set_line(l->m, &l->admin, "events 1", library_diag(l)));
        burst(l, l->alice.uid, 5);
        last = newest(l, &l->alice, 10, &n);
        assert_int_equal(n, 1 + LIMIT_SET); /* in the place of the region's */
        library_close(l);
        assert_ok(library_open(l));
        burst(l, l->alice.uid, 1);
        assert_int_equal(newest(l, &l->alice, 10, &n), last + 1);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, library_setup, library_teardown)
                TEST(test_each_sees_her_own_and_what_is_shared_with_her),
                TEST(test_in_pieces_they_are_the_same),
                TEST(test_as_many_are_kept_as_the_limit_says_of_each_owner),
                TEST(test_no_number_is_used_twice),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: MIT */

/* Connections are counted by the place that they come from. */

#include "fs/http/http_clients.h"

#include <arpa/inet.h>
#include <netinet/in.h>

#include "tests/lib/expect.h"

static struct sockaddr_storage address(const char *text)
{
        struct sockaddr_storage a = { 0 };

        if (strchr(text, ':')) {
                a.ss_family = AF_INET6;
                assert_int_equal(inet_pton(AF_INET6, text, &((struct sockaddr_in6 *)&a)->sin6_addr), 1);
        } else {
                a.ss_family = AF_INET;
                assert_int_equal(inet_pton(AF_INET, text, &((struct sockaddr_in *)&a)->sin_addr), 1);
        }
        return a;
}

static bool admit(struct http_clients *c, const char *text)
{
        struct sockaddr_storage a = address(text);

        return http_clients_admit(c, (struct sockaddr *)&a);
}

static void come(struct http_clients *c, const char *text)
{
        struct sockaddr_storage a = address(text);

        assert_true(http_clients_come(c, (struct sockaddr *)&a));
}

static void go(struct http_clients *c, const char *text)
{
        struct sockaddr_storage a = address(text);

        http_clients_go(c, (struct sockaddr *)&a);
}

static void test_each_place_has_its_bound(void **state)
{
        static const struct {
                const char *taken, *same, *other;
        } places[] = {
                { "192.0.2.1", "192.0.2.1", "192.0.2.2" },
                { "::ffff:192.0.2.1", "192.0.2.1", "::ffff:192.0.2.2" },
                { "2001:db8:1:2::1", "2001:db8:1:2:ffff::2", "2001:db8:1:3::1" },
        };

        (void)state;
        for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
                struct http_clients *c = http_clients_make(2);

                assert_non_null(c);
                come(c, places[i].taken);
                assert_true(admit(c, places[i].same));
                come(c, places[i].same);
                assert_false(admit(c, places[i].taken));
                assert_false(admit(c, places[i].same));
                assert_true(admit(c, places[i].other));
                come(c, places[i].other);
                go(c, places[i].same);
                assert_true(admit(c, places[i].taken));
                go(c, places[i].taken);
                come(c, places[i].taken); /* counted from nothing again */
                assert_true(admit(c, places[i].taken));
                http_clients_free(c); /* with some still there */
        }
}

static void test_what_nobody_told_of_is_not_counted(void **state)
{
        struct http_clients *c = http_clients_make(1);

        (void)state;
        go(c, "192.0.2.1");
        come(c, "192.0.2.1");
        assert_false(admit(c, "192.0.2.1"));
        http_clients_free(c);
        http_clients_free(NULL);
}

int main(void)
{
        static const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_each_place_has_its_bound),
                cmocka_unit_test(test_what_nobody_told_of_is_not_counted),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}

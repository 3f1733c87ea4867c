/* SPDX-License-Identifier: MIT */
/* Where imports may connect to. */

#include "model/intake/address.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/un.h>

#include "tests/lib/expect.h"

static enum address_reach reach(const char *text)
{
        struct sockaddr_in6 six = { .sin6_family = AF_INET6 };
        struct sockaddr_in four = { .sin_family = AF_INET };

        if (inet_pton(AF_INET, text, &four.sin_addr) == 1)
                return address_classify((const struct sockaddr *)&four);
        assert_int_equal(inet_pton(AF_INET6, text, &six.sin6_addr), 1);
        return address_classify((const struct sockaddr *)&six);
}

static void all_are(enum address_reach wanted, const char *const *texts, size_t n)
{
        for (size_t i = 0; i < n; i++)
                if (reach(texts[i]) != wanted)
                        fail_msg("%s: got %d, want %d", texts[i], (int)reach(texts[i]), (int)wanted);
}

#define ALL_ARE(wanted, ...) \
        all_are(wanted, (const char *const[]){ __VA_ARGS__ }, sizeof((const char *const[]){ __VA_ARGS__ }) / sizeof(char *))

static void test_the_internet_is_public(void **state)
{
        (void)state;
        ALL_ARE(ADDRESS_PUBLIC, "1.1.1.1", "9.255.255.255", "11.0.0.0", "100.63.255.255", "100.128.0.0", "126.255.255.255",
                "128.0.0.0", "172.15.255.255", "172.32.0.0", "192.167.255.255", "192.169.0.0", "223.255.255.255",
                "2606:4700::1111", "64:ff9b::1.1.1.1", "::ffff:1.1.1.1");
}

static void test_this_machine_and_the_site_are_private(void **state)
{
        (void)state;
        ALL_ARE(ADDRESS_PRIVATE, "127.0.0.1", "127.255.255.255", "0.0.0.0", "10.0.0.1", "10.255.255.255", "172.16.0.1",
                "172.31.255.255", "192.168.1.1", "100.64.0.1", "100.127.255.255", "::1", "::", "fc00::1", "fdff::1",
                "fec0::1", "64:ff9b:1::a00:1", "5f00::1");
}

static void test_what_tells_machines_their_secrets_is_never_reached(void **state)
{
        (void)state;
        ALL_ARE(ADDRESS_NEVER, "169.254.169.254", "169.254.0.1", "100.100.100.200", "168.63.129.16", "192.0.0.192",
                "fe80::1", "febf::1", "fd00:ec2::254", "224.0.0.1", "255.255.255.255", "240.0.0.1", "ff02::1");
}

static void test_an_address_inside_another_counts_as_what_it_is(void **state)
{
        (void)state;
        ALL_ARE(ADDRESS_PRIVATE, "::ffff:127.0.0.1", "64:ff9b::10.0.0.1", "2002:7f00:1::", "::10.0.0.1");
        ALL_ARE(ADDRESS_NEVER, "::ffff:169.254.169.254", "64:ff9b::169.254.169.254", "2002:a9fe:a9fe::",
                "::169.254.169.254");
}

static void test_sockets_of_the_machine_are_never_reached(void **state)
{
        struct sockaddr_un local = { .sun_family = AF_UNIX };

        (void)state;
        assert_int_equal(address_classify((const struct sockaddr *)&local), ADDRESS_NEVER);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_the_internet_is_public),
                cmocka_unit_test(test_this_machine_and_the_site_are_private),
                cmocka_unit_test(test_what_tells_machines_their_secrets_is_never_reached),
                cmocka_unit_test(test_an_address_inside_another_counts_as_what_it_is),
                cmocka_unit_test(test_sockets_of_the_machine_are_never_reached),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}

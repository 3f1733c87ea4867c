/* SPDX-License-Identifier: MIT */

#include <stdio.h>
#include <string.h>

#include "blobstore/import/digest.h"
#include "tests/lib/expect.h"

/* Of a million times 'a': RFC 1321's md5 program's, FIPS 180-2's examples. */
static const char *const of_a_million[DIGEST_COUNT] = {
        [DIGEST_MD5] = "7707d6ae4e027c70eea2a935c2296f21",
        [DIGEST_SHA1] = "34aa973cd4c4daa4f61eeb2bdbad27316534016f",
        [DIGEST_SHA256] = "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0",
        [DIGEST_SHA384] = "9d0e1809716474cb086e834e310a4a1ced149e9c00f248527972cec5704c2a5b"
                          "07b8b3dc38ecc4ebae97ddd87f3d8985",
        [DIGEST_SHA512] = "e718483d0ce769644e2e42c7bc15b4638e1f98b13b2044285632a803afa973eb"
                          "de0ff244877ea60a4cb0432ce577c31beb009c5c2c49aa2e4eadb217ad8cc09b",
};

static void test_digests_are_those_of_the_standards(void **state)
{
        char as[1000];

        (void)state;
        memset(as, 'a', sizeof(as));
        for (int k = 0; k < DIGEST_COUNT; k++) {
                char hex[2 * DIGEST_BYTES_MAX + 1];
                uint8_t bytes[DIGEST_BYTES_MAX];
                struct digest *d;

                assert_err(digest_new((enum digest_kind)k, &d), 0);
                for (size_t left = 1000000, part = 1; left > 0; left -= part) { /* unevenly */
                        part = left < part % 997 + 1 ? left : part % 997 + 1;
                        digest_add(d, as, part);
                }
                digest_finish(d, bytes);
                digest_free(d);
                for (size_t i = 0; i < digest_bytes((enum digest_kind)k); i++)
                        (void)snprintf(hex + 2 * i, 3, "%02x", bytes[i]);
                assert_string_equal(hex, of_a_million[k]);
        }
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_digests_are_those_of_the_standards),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}

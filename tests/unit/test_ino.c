/* SPDX-License-Identifier: MIT */

/* What inode numbers show of ids. */

#include "fs/tree/ino.h"

#include "fs/tree/node.h"
#include "tests/lib/expect.h"
#include "tests/lib/random.h"

/* As the cipher's authors published it: key, plaintext and ciphertext, words from the left. */
static const uint8_t published_key[INO_KEY_SIZE] = { 0x1a, 0x19, 0x18, 0x12, 0x11, 0x10,
                                                     0x0a, 0x09, 0x08, 0x02, 0x01, 0x00 };
#define PUBLISHED_PLAIN  UINT64_C(0x6d2073696874)
#define PUBLISHED_CIPHER UINT64_C(0x735e10b6445d)

static void test_it_is_the_published_cipher(void **state)
{
        (void)state;
        ino_set_key(published_key);
        assert_true(ino_hide(PUBLISHED_PLAIN) == PUBLISHED_CIPHER);
        assert_true(ino_find(PUBLISHED_CIPHER) == PUBLISHED_PLAIN);
        ino_forget_key();
        assert_true(ino_hide(PUBLISHED_PLAIN) == PUBLISHED_PLAIN);
}

static void test_every_node_comes_back(void **state)
{
        uint64_t seed = 48;
        uint8_t key[INO_KEY_SIZE];

        (void)state;
        random_fill(&seed, key, sizeof(key));
        ino_set_key(key);
        for (unsigned i = 0; i < 100000; i++) {
                const struct node n = { .kind = (enum node_kind)(1 + i % (KIND_COUNT - 1)), .row = i % ROW_PLACE,
                                        .oid = i < 50000 ? i : random_next(&seed) >> (64 - OID_BITS) };
                const struct node back = node_of(node_ino(n));

                assert_int_equal(back.kind, n.kind);
                assert_int_equal(back.row, n.row);
                assert_true(back.oid == n.oid);
        }
        assert_int_equal(node_ino(node_of(1)), 1); /* the root's is the protocol's */
        ino_forget_key();
}

/* Ids that follow each other are nowhere near each other, and another library shows others. */
static void test_nothing_shows_how_many_there_are(void **state)
{
        uint64_t seed = 7, near = 0, same = 0, other[1000];
        uint8_t key[INO_KEY_SIZE];

        (void)state;
        random_fill(&seed, key, sizeof(key));
        ino_set_key(key);
        for (uint64_t i = 0; i < 1000; i++)
                other[i] = ino_hide(i);
        key[11] ^= 1;
        ino_set_key(key);
        for (uint64_t i = 0; i < 1000; i++) {
                const uint64_t a = ino_hide(i), b = ino_hide(i + 1), d = a > b ? a - b : b - a;

                near += d < UINT64_C(1) << 36;
                same += a == other[i];
        }
        assert_in_range(near, 0, 10);
        assert_int_equal(same, 0);
        ino_forget_key();
}

int main(void)
{
        static const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_it_is_the_published_cipher),
                cmocka_unit_test(test_every_node_comes_back),
                cmocka_unit_test(test_nothing_shows_how_many_there_are),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}

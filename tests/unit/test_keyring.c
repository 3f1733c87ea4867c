/* SPDX-License-Identifier: MIT */

#include "blobstore/import/keyring.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>

#include "tests/lib/expect.h"

/* A key, an id and a signature, as far as their heads go: old and new format, one and two bytes of length. */
static const uint8_t packets[] = { 0x98, 3, 4, 1, 2, 0xcd, 2, 'm', 'e', 0xc2, 0xc0, 0x00, 0x88, 0 };
#define LONG_BODY 192

static void make(struct strbuf *out)
{
        const char body[LONG_BODY] = "sig";

        strbuf_add_bytes(out, packets, 12);
        strbuf_add_bytes(out, body, sizeof(body));
        strbuf_add_bytes(out, packets + 12, 2);
}

static int read_it(const void *bytes, size_t n, struct strbuf *ret)
{
        CLEANUP_STRBUF struct strbuf reason = { 0 };
        int r = keyring_read(bytes, n, ret, &reason);

        assert_int_equal(r < 0, reason.len > 0);
        return r;
}

static void assert_same(const struct strbuf *a, const struct strbuf *b)
{
        assert_int_equal(a->len, b->len);
        assert_memory_equal(a->text, b->text, a->len);
}

static void test_packets_are_taken_armoured_or_not(void **state)
{
        CLEANUP_STRBUF struct strbuf plain = { 0 }, armoured = { 0 }, twice = { 0 }, crlf = { 0 }, got = { 0 };

        (void)state;
        make(&plain);
        assert_ok(read_it(plain.text, plain.len, &got));
        assert_same(&got, &plain);
        keyring_print(plain.text, plain.len, &armoured);
        assert_ok(read_it(armoured.text, armoured.len, &got));
        assert_same(&got, &plain);

        strbuf_addf(&twice, "what stands before\n%sand between\n%s", strbuf_text(&armoured), strbuf_text(&armoured));
        assert_ok(read_it(twice.text, twice.len, &got));
        assert_int_equal(got.len, 2 * plain.len);

        /* as mail has it, with a header and a checksum */
        for (const char *p = strbuf_text(&armoured); *p; p++) {
                if (strncmp(p, "-----END", 8) == 0)
                        strbuf_add(&crlf, "=abcd\r\n");
                strbuf_add_bytes(&crlf, *p == '\n' ? "\r\n" : p, *p == '\n' ? 2 : 1);
                if (*p == '\n' && p[1] == '\n')
                        strbuf_add(&crlf, "Comment: x\r\n");
        }
        assert_ok(read_it(crlf.text, crlf.len, &got));
        assert_same(&got, &plain);
}

/* One that is printed ends in none, one and two signs that fill up. */
static void test_every_length_comes_back(void **state)
{
        (void)state;
        for (uint8_t n = 0; n < 100; n++) {
                CLEANUP_STRBUF struct strbuf plain = { 0 }, armoured = { 0 }, got = { 0 };
                const uint8_t head[] = { 0x98, n }, body[100] = { n, 0xff, n };

                strbuf_add_bytes(&plain, head, sizeof(head));
                strbuf_add_bytes(&plain, body, n);
                keyring_print(plain.text, plain.len, &armoured);
                assert_ok(read_it(armoured.text, armoured.len, &got));
                assert_same(&got, &plain);
        }
}

static void test_what_is_cut_goes_on(void **state)
{
        CLEANUP_STRBUF struct strbuf plain = { 0 }, armoured = { 0 }, got = { 0 };

        (void)state;
        make(&plain);
        keyring_print(plain.text, plain.len, &armoured);
        for (size_t n = 1; n < plain.len; n++) {
                const bool between = n == 5 || n == 9 || n == 12 + LONG_BODY;

                assert_err(read_it(plain.text, n, &got), between ? 0 : 1);
        }
        for (size_t n = sizeof("-----BEGIN PGP PUBLIC KEY BLOCK-----"); n < armoured.len - 1; n++)
                assert_err(read_it(armoured.text, n, &got), 1);
}

#define BYTES(literal) (literal), sizeof(literal) - 1

static void test_what_is_no_keyring(void **state)
{
        static const struct {
                const char *bytes;
                size_t n;
        } bad[] = {
                { BYTES("") },
                { BYTES("\n") },
                { BYTES("keys") },
                { BYTES("\xcd\x01x") }, /* begins with an id */
                { BYTES("\x98\x01x\x94\x01x") }, /* a private key after a public one */
                { BYTES("\x98\x01x\x04\x01x") }, /* no packet */
                { BYTES("\x98\x01x\xcb\x01x") }, /* text */
                { BYTES("\x98\x01x\xff\x01x") },
                { BYTES("\x9b\x01xxxxxxxxx") }, /* of no length */
                { BYTES("\xc6\xe1xxxxxxxxx") }, /* in parts */
                { BYTES("-----BEGIN PGP PUBLIC KEY BLOCK-----\n\n-----END PGP PUBLIC KEY BLOCK-----\n") },
                { BYTES("-----BEGIN PGP PUBLIC KEY BLOCK-----\n\nmA!x\n-----END PGP PUBLIC KEY BLOCK-----\n") },
                { BYTES("-----BEGIN PGP PUBLIC KEY BLOCK-----\n\nmDB4\n-----END PGP PUBLIC KEY BLOCK-----\n") }, /* cut in it */
        };
        CLEANUP_STRBUF struct strbuf got = { 0 };

        (void)state;
        strbuf_add(&got, "as it was");
        for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
                assert_err(read_it(bad[i].bytes, bad[i].n, &got), -EINVAL);
        assert_string_equal(strbuf_text(&got), "as it was");
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_packets_are_taken_armoured_or_not),
                cmocka_unit_test(test_every_length_comes_back),
                cmocka_unit_test(test_what_is_cut_goes_on),
                cmocka_unit_test(test_what_is_no_keyring),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: MIT */

/* Signatures that gpg made in 2020, by a key that never expires. What gpgv takes and what it does not. */

#include "blobstore/import/signature.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <unistd.h>

#include "blobstore/import/keyring.h"
#include "tests/lib/expect.h"
#include "tests/lib/tempdir.h"

#define MADE_S 1578182400

static const char text[] = "abc  disk.raw\n- dash\n";

static const char key[] =
        "-----BEGIN PGP PUBLIC KEY BLOCK-----\n"
        "\n"
        "mDMEXCqtgBYJKwYBBAHaRw8BAQdAj2Rb4mn6eCRA+NpcFQyU2raXKCT4GHemqvlr\n"
        "CbtxtUO0EWEgPGFAZXhhbXBsZS5vcmc+iJAEExYIADgWIQQa6jF5Cn6fl7MYJ+VB\n"
        "T+qIuzmcagUCXCqtgAIbAwULCQgHAgYVCgkICwIEFgIDAQIeAQIXgAAKCRBBT+qI\n"
        "uzmcan8tAP4x8cHdzXabEzJxcNFzyoxHRbg+A8hka8p6gRvq0jmf0QD/R5b0DY9q\n"
        "TLyOCELWKhpdh92HnqZJCr/NQa6zRYEzUQg=\n"
        "=PQw5\n"
        "-----END PGP PUBLIC KEY BLOCK-----\n";

static const char clear[] =
        "-----BEGIN PGP SIGNED MESSAGE-----\n"
        "Hash: SHA256\n"
        "\n"
        "abc  disk.raw\n"
        "- - dash\n"
        "-----BEGIN PGP SIGNATURE-----\n"
        "\n"
        "iIQEARYIACwWIQQa6jF5Cn6fl7MYJ+VBT+qIuzmcagUCXhEnAA4cYUBleGFtcGxl\n"
        "Lm9yZwAKCRBBT+qIuzmcaubmAQCY0bvAlrtPsyvU+a/HlgawmgNHfp/GFG7nmBdQ\n"
        "tqRx0AD+JS4/AxSUMk7qY9rXJAwWe3yIrB77PQghCEUfJHYR2AU=\n"
        "=KQWq\n"
        "-----END PGP SIGNATURE-----\n";

static const char detached[] =
        "-----BEGIN PGP SIGNATURE-----\n"
        "\n"
        "iIQEABYIACwWIQQa6jF5Cn6fl7MYJ+VBT+qIuzmcagUCXhEnAA4cYUBleGFtcGxl\n"
        "Lm9yZwAKCRBBT+qIuzmcapbQAQDEulKwvrs9oV0Z0InL0iNZ/QVHIKLR08sKvUYs\n"
        "oMREagEAkKjHp3fY/OcwyUnHRkNXgtzgz/IyqiilYOOtH364DAA=\n"
        "=vnMj\n"
        "-----END PGP SIGNATURE-----\n";

/* Besides by a key that is not in the keyring. */
static const char by_two[] =
        "-----BEGIN PGP SIGNATURE-----\n"
        "\n"
        "iIQEABYIACwWIQQa6jF5Cn6fl7MYJ+VBT+qIuzmcagUCXhEnAA4cYUBleGFtcGxl\n"
        "Lm9yZwAKCRBBT+qIuzmcapbQAQDEulKwvrs9oV0Z0InL0iNZ/QVHIKLR08sKvUYs\n"
        "oMREagEAkKjHp3fY/OcwyUnHRkNXgtzgz/IyqiilYOOtH364DACIhAQAFggALBYh\n"
        "BGp6e9WuqCYc2u8oQu7LJ2eWwpTZBQJeEScADhxiQGV4YW1wbGUub3JnAAoJEO7L\n"
        "J2eWwpTZnzwBAIJI8u235vt8YusNk5D7YNsIBhKJwBJN3jl0g5BmTmviAQDqoe9e\n"
        "aReIYC9mSqW2PRtHfpVoVJT0wJ1XMjofgJ56Dg==\n"
        "=6IaY\n"
        "-----END PGP SIGNATURE-----\n";

/* A message of gpg -s, which has its text in it. */
static const char in_line[] =
        "-----BEGIN PGP MESSAGE-----\n"
        "\n"
        "owGbwMvMwCHm6P+qY7flnCzGNTJJjCFxguoMiUnJCgopmcXZekWJ5Vy6CimJxRlc\n"
        "HS0sDGIcDDpiiixSrwwruermT98sof4UppuVCaSTTybRIbUiMbcgJ1UvvyidgYtT\n"
        "AKZg2gVGhiO7gjbs2227MFbyQufpS8qRf1ndFRZdvHyaa6+bzoIjLlmMDBNWHF9e\n"
        "fuPPc4OTnsfdnMOb7jw4/8lolcbShMdr5et28DAAAA==\n"
        "=0FZR\n"
        "-----END PGP MESSAGE-----\n";

/* One of RSA, which signs by any digest. */
static const char rsa_key[] =
        "-----BEGIN PGP PUBLIC KEY BLOCK-----\n"
        "\n"
        "mQENBFwqrYABCAC2531ITafzPDW9gOhuzx/XaVxi7igiQ5Ab5UfsmxuyhGgQF560\n"
        "o7TPiL5le/NHdgBIunuKfGOO4ntaQXrKxX0KqXKdMowMo+yJu/siX9xvHIuYhe6X\n"
        "UTBZHy7RqiOO4X1WVM/lvgnnzbDGH+N/M6NYNNCxrQBvZ1pPhUObSIW10kzyHNua\n"
        "jZ2pTEusaYvh8xIqPc9zztcra3mNy8WQR67cy//xck7/SGlIG8NLjjM3ptQI5hBo\n"
        "EYjv1AJkPSzDK8huDRYJjYMJHQfobMhKYdGyPovn6hzEj29I6OUuo03nebuM83ru\n"
        "L+ndcfms2gNJwVKkNg/fGPoBiCrl7GoHIV4PABEBAAG0AXeJAU4EEwEKADgWIQRa\n"
        "6SOL+0FbjkyMh/HQKcGcZdvfgQUCXCqtgAIbAwULCQgHAgYVCgkICwIEFgIDAQIe\n"
        "AQIXgAAKCRDQKcGcZdvfgflkCACU9v158WNXiW9zjEFllZNLvPjouiy/0g5Vr/yS\n"
        "7paWkabXNOO3GxB2YagHUmjcMzNFjAXeoJSDeuoWXVXN6VhahV+pxVg2Hdhl7KVE\n"
        "hq8D/QyBHbiNl0VOjZ3CLczZihZt5nolC6mh+YCZzPtEFsk8nk/Syz8i9beZb/sH\n"
        "80plsv2pB9EjV0HhKzQVH9ZsDPCUzBilYEmKIlTnthX3IV/MIXu6W3i8NJBDa0KX\n"
        "EUAnmRZus2i+z9mWWE4Fe7FVEL1bGzn1txtTcldr2bL++phFJTzB5XE/rI6rdcDU\n"
        "RohQLQDLQz/M4ffoApIDProRG1aBYAlPrTpSVwSgan+dMArw\n"
        "=G//Q\n"
        "-----END PGP PUBLIC KEY BLOCK-----\n";

static const char by_sha1[] =
        "-----BEGIN PGP SIGNATURE-----\n"
        "\n"
        "iQEzBAABAgAdFiEEWukji/tBW45MjIfx0CnBnGXb34EFAl4RJwAACgkQ0CnBnGXb\n"
        "34H6LAgAmVtm/PFcsQuJOChi1MAOc9RztRMFOpzFQ8o5U5/NtLnSWEho7bFzxjxM\n"
        "nLsmyxd4vMV8xuZyYuPJDwbgzNVdXGQKD8RmqcOnNY0LAQLWpeKbAd5SsKyBRjZz\n"
        "XOUffzqNkrC+ecj5TAJtHFIfaY6OFHZ/g9J89R9DFORmuMxrzDtmU8VzVDG2erOB\n"
        "NFIEcWAD1argg89OTwTr87gbPuYRPj4CVdQRo3xzBk8np8R62tCHzcrNbiQkwuqe\n"
        "OAkqrWrDZDZ0sYfV3arvWuji0G0A7cl7SxIBL0nEEAQvYM+/QZxd0EWob+9boJeA\n"
        "IPUDgsqxl54VN/ndDFBE5Q9TjzXvEQ==\n"
        "=pHaE\n"
        "-----END PGP SIGNATURE-----\n";

static const char by_sha512[] =
        "-----BEGIN PGP SIGNATURE-----\n"
        "\n"
        "iQEzBAABCgAdFiEEWukji/tBW45MjIfx0CnBnGXb34EFAl4RJwAACgkQ0CnBnGXb\n"
        "34GQoQf8Dxa6EgfmuZnIUaVy39sanZiBlsuRhU2VyrzmaTug2ZZ6dfl9dXR3wmo1\n"
        "FxbmAyjlYlZSUnvyVqF6JDII6H/llGIjs5/cygD6C4EiM862OO5YzwePfqsVg5YJ\n"
        "gcrfanGVUnGs8T3Au+DA/d/+mxGjXTIJ1BWfqyZ7MnxqK4PsGje+An7BQcoZBAAr\n"
        "aL8t23GiPcxyzmDQh0sc6F/B3APcp2MwGesKKN7X6TZLvOTzrxcOIoaKuomao8wk\n"
        "oeazPQ9wWIGW2eoLy+RU7fnCrFIemq3crSAXQ/ZVnnHKCRW/lYGDSvMYmM7aWiJF\n"
        "mGoMSDoKU5M8H/PcChT/J1N3bpM9LA==\n"
        "=j3Cx\n"
        "-----END PGP SIGNATURE-----\n";

struct fixture {
        char dir[TEMPDIR_MAX];
        int dir_fd;
        struct strbuf keyring;
};

static int setup(void **state)
{
        CLEANUP_STRBUF struct strbuf reason = { 0 };
        struct fixture *f = calloc(1, sizeof(*f));

        assert_non_null(f);
        tempdir_make(f->dir);
        f->dir_fd = open(f->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        assert_ok(keyring_read(key, strlen(key), &f->keyring, &reason));
        *state = f;
        return f->dir_fd < 0;
}

static int teardown(void **state)
{
        struct fixture *f = *state;

        strbuf_done(&f->keyring);
        (void)close(f->dir_fd);
        tempdir_remove(f->dir);
        free(f);
        return 0;
}

/* SIGNATURE NULL: TEXT is clear-signed. Gives what came back in RET. */
static int check(struct fixture *f, const char *signed_text, const char *signature, struct strbuf *ret, const char *why)
{
        CLEANUP_STRBUF struct strbuf list = { 0 }, beside = { 0 }, reason = { 0 };
        struct signature s = { .keyring = f->keyring.text, .keyring_bytes = f->keyring.len, .text = &list };
        int64_t made_s = 0;
        int r;

        strbuf_add(&list, signed_text);
        if (signature) {
                strbuf_add(&beside, signature);
                s.detached = &beside;
        }
        r = signature_check(&s, f->dir_fd, ret, &made_s, &reason);
        if (r == -EOPNOTSUPP)
                skip(); /* no gpgv, or a kernel that cannot confine it */
        assert_int_equal(made_s, r == 0 ? MADE_S : 0);
        if (r < 0)
                assert_contains(strbuf_text(&reason), why);
        return r;
}

static void refuse(struct fixture *f, const char *signed_text, const char *signature, const char *why)
{
        CLEANUP_STRBUF struct strbuf got = { 0 };

        strbuf_add(&got, "as it was");
        assert_err(check(f, signed_text, signature, &got, why), -EKEYREJECTED);
        assert_string_equal(strbuf_text(&got), "as it was");
}

/* OLD in TEXT becomes NEW. */
static char *changed(const char *whole, const char *old, const char *new)
{
        CLEANUP_STRBUF struct strbuf out = { 0 };
        const char *at = strstr(whole, old);

        assert_non_null(at);
        strbuf_add_bytes(&out, whole, (size_t)(at - whole));
        strbuf_addf(&out, "%s%s", new, at + strlen(old));
        return strbuf_take(&out);
}

static void test_what_was_signed_comes_back_and_nothing_else(void **state)
{
        CLEANUP_STRBUF struct strbuf got = { 0 }, more = { 0 };
        struct fixture *f = *state;

        assert_ok(check(f, clear, NULL, &got, ""));
        assert_string_equal(strbuf_text(&got), text);
        assert_ok(check(f, text, detached, &got, ""));
        assert_string_equal(strbuf_text(&got), text);

        strbuf_addf(&more, "000  disk.raw\n%s111  disk.raw\n", clear);
        assert_ok(check(f, strbuf_text(&more), NULL, &got, ""));
        assert_string_equal(strbuf_text(&got), text);
}

static void test_what_was_changed_is_refused(void **state)
{
        CLEANUP_FREE char *other = changed(clear, "abc", "abd");
        CLEANUP_FREE char *bare = changed(clear, strstr(clear, "-----BEGIN PGP SIGNATURE-----"), "");
        struct fixture *f = *state;

        refuse(f, other, NULL, "");
        refuse(f, bare, NULL, "");
        refuse(f, "abd  disk.raw\n- dash\n", detached, "its signature is not good");
        refuse(f, "", detached, "its signature is not good");
        refuse(f, text, "nonsense", "its signature is not good");
        refuse(f, text, "", "its signature is not good");
        refuse(f, text, key, "its signature is not good");
        refuse(f, text, clear, "");
        refuse(f, text, in_line, "");
}

/* Of a second one gpgv may say nothing. */
static void test_one_text_is_signed(void **state)
{
        CLEANUP_STRBUF struct strbuf twice = { 0 };
        struct fixture *f = *state;

        strbuf_addf(&twice, "%s%s", clear, clear);
        refuse(f, strbuf_text(&twice), NULL, "");
}

static void test_all_who_signed_must_be_known(void **state)
{
        struct fixture *f = *state;

        refuse(f, text, by_two, "by a key that is not in keyring");
        strbuf_reset(&f->keyring);
        strbuf_add_bytes(&f->keyring, "\x98\x01x", 3);
        refuse(f, text, detached, "");
}

static void test_a_digest_that_proves_nothing_is_refused(void **state)
{
        CLEANUP_STRBUF struct strbuf got = { 0 }, reason = { 0 };
        struct fixture *f = *state;

        assert_ok(keyring_read(rsa_key, strlen(rsa_key), &f->keyring, &reason));
        assert_ok(check(f, text, by_sha512, &got, ""));
        refuse(f, text, by_sha1, "SHA-1");
}

/* In a child, in which it is not there. */
static void test_without_gpgv_it_is_said(void **state)
{
        CLEANUP_STRBUF struct strbuf got = { 0 };
        struct fixture *f = *state;
        int status;
        pid_t pid;

        if (geteuid() != 0)
                skip();
        (void)check(f, clear, NULL, &got, ""); /* skips where it is not there at all */
        pid = fork();
        assert_true(pid >= 0);
        if (pid == 0) {
                CLEANUP_STRBUF struct strbuf list = { 0 }, reason = { 0 };
                struct signature s = { .keyring = f->keyring.text, .keyring_bytes = f->keyring.len, .text = &list };
                int64_t made_s;

                if (unshare(CLONE_NEWNS) < 0 || mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
                    mount("none", "/usr/bin", "tmpfs", 0, NULL) < 0)
                        _exit(77);
                strbuf_add(&list, clear);
                _exit(signature_check(&s, f->dir_fd, &got, &made_s, &reason) != -EOPNOTSUPP ||
                      !strstr(strbuf_text(&reason), "package gpgv"));
        }
        assert_int_equal(waitpid(pid, &status, 0), pid);
        if (WIFEXITED(status) && WEXITSTATUS(status) == 77)
                skip();
        assert_int_equal(status, 0);
}

static void test_what_says_that_it_is_clear_signed(void **state)
{
        static const struct {
                const char *text;
                bool clear;
        } known[] = {
                { clear, true },
                { "x\n-----BEGIN PGP SIGNED MESSAGE-----\n", true },
                { "x -----BEGIN PGP SIGNED MESSAGE-----\n", false },
                { detached, false },
                { "", false },
        };

        (void)state;
        for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
                CLEANUP_STRBUF struct strbuf list = { 0 };

                strbuf_add(&list, known[i].text);
                assert_int_equal(signature_is_clear(&list), known[i].clear);
        }
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(test_what_was_signed_comes_back_and_nothing_else, setup, teardown),
                cmocka_unit_test_setup_teardown(test_what_was_changed_is_refused, setup, teardown),
                cmocka_unit_test_setup_teardown(test_one_text_is_signed, setup, teardown),
                cmocka_unit_test_setup_teardown(test_all_who_signed_must_be_known, setup, teardown),
                cmocka_unit_test_setup_teardown(test_a_digest_that_proves_nothing_is_refused, setup, teardown),
                cmocka_unit_test_setup_teardown(test_without_gpgv_it_is_said, setup, teardown),
                cmocka_unit_test(test_what_says_that_it_is_clear_signed),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}

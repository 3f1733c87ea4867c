/* SPDX-License-Identifier: MIT */
/* What cloud-init is told, and the secret in it. */

#include "tests/lib/machine.h"

#include <crypt.h>
#include <stdlib.h>
#include <string.h>

#include "blobstore/base/strbuf.h"

#define KEY "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ alice@example"

static uint64_t machine(struct library *l)
{
        uint64_t image = machine_image(l, "web", "local", "");

        assert_ok(image_set(l->m, &l->alice, image, IMAGE_FIELD_FEATURES, "qemu-ga cloud-init", library_diag(l)));
        return machine_make(l, image, "vm1");
}

static void seed(struct library *l, uint64_t id, struct strbuf *user, struct strbuf *meta)
{
        strbuf_reset(user);
        strbuf_reset(meta);
        assert_ok(instance_seed(l->m, id, user, meta));
}

static void test_nothing_set_is_nothing_said(void **state)
{
        CLEANUP_STRBUF struct strbuf user = { 0 }, meta = { 0 };
        struct library *l = *state;

        seed(l, machine(l), &user, &meta);
        assert_string_equal(strbuf_text(&user), "");
        assert_string_equal(strbuf_text(&meta), "");
}

static void test_all_of_it(void **state)
{
        CLEANUP_STRBUF struct strbuf user = { 0 }, meta = { 0 };
        CLEANUP_STRBUF struct strbuf wanted = { 0 };
        struct library *l = *state;
        uint64_t id = machine(l);
        char hash[256];
        const char *p;

        assert_ok(machine_set(l, id, INSTANCE_FIELD_HOSTNAME, "web-1.example.org"));
        assert_ok(machine_set(l, id, INSTANCE_FIELD_SSH_KEYS,
                              "# mine\n" KEY "\n\nssh-rsa AAAAB3 \"q\\uote\" \xc3\xa9\xf0\x9f\x98\x80"));
        assert_ok(machine_set(l, id, INSTANCE_FIELD_PASSWORD, "s3cret \"\xc3\xa9: #"));
        seed(l, id, &user, &meta);

        p = strstr(strbuf_text(&user), "password: \"");
        assert_non_null(p);
        (void)snprintf(hash, sizeof(hash), "%.*s", (int)strcspn(p + 11, "\""), p + 11);
        strbuf_addf(&wanted,
                    "#cloud-config\n"
                    "hostname: \"web-1.example.org\"\n"
                    "ssh_authorized_keys:\n"
                    "  - \"" KEY "\"\n"
                    "  - \"ssh-rsa AAAAB3 \\\"q\\\\uote\\\" \\U000000e9\\U0001f600\"\n"
                    "password: \"%s\"\n"
                    "chpasswd:\n"
                    "  expire: false\n"
                    "users:\n"
                    "  - default\n"
                    "  - name: root\n"
                    "    lock_passwd: false\n"
                    "    hashed_passwd: \"%s\"\n",
                    hash, hash);
        assert_string_equal(strbuf_text(&user), strbuf_text(&wanted));
        strbuf_reset(&wanted);
        strbuf_addf(&wanted, "instance-id: \"%s\"\nlocal-hostname: \"web-1.example.org\"\n", machine_get(l, id).ident);
        assert_string_equal(strbuf_text(&meta), strbuf_text(&wanted));

        assert_memory_equal(hash, "$6$", 3);
        assert_string_equal(crypt("s3cret \"\xc3\xa9: #", hash), hash);
}

static void test_the_password_alone_opens_ssh_too(void **state)
{
        CLEANUP_STRBUF struct strbuf user = { 0 }, meta = { 0 };
        CLEANUP_STRBUF struct strbuf first = { 0 };
        struct library *l = *state;
        uint64_t id = machine(l);

        assert_ok(machine_set(l, id, INSTANCE_FIELD_PASSWORD, "secret"));
        assert_true(machine_get(l, id).has_password);
        seed(l, id, &first, &meta);
        assert_contains(strbuf_text(&first), "ssh_pwauth: true\n");
        assert_null(strstr(strbuf_text(&first), "secret"));

        /* The same again is another hash, and an empty one takes it away. */
        assert_ok(machine_set(l, id, INSTANCE_FIELD_PASSWORD, "secret"));
        seed(l, id, &user, &meta);
        assert_string_not_equal(strbuf_text(&user), strbuf_text(&first));
        assert_ok(machine_set(l, id, INSTANCE_FIELD_PASSWORD, ""));
        assert_false(machine_get(l, id).has_password);
        seed(l, id, &user, &meta);
        assert_string_equal(strbuf_text(&user), "");
}

static void test_values_that_are_refused(void **state)
{
        static const char *const hostnames[] = { "-a", "a-", "a..b", ".a", "a.", "a_b", "a b", "\xc3\xa9", "a\n" };
        static const char *const keys[] = { "x",       "ssh-ed25519",       "ssh-ed25519 x", "ssh-dss AAAA",
                                            KEY "\nx", "ssh-ed25519  AAAA", " " KEY,         KEY "\x1b" };
        struct library *l = *state;
        uint64_t id = machine(l);
        char *text;

        for (size_t i = 0; i < sizeof(hostnames) / sizeof(hostnames[0]); i++)
                assert_refused(l, machine_set(l, id, INSTANCE_FIELD_HOSTNAME, hostnames[i]), -EINVAL);
        for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++)
                assert_refused(l, machine_set(l, id, INSTANCE_FIELD_SSH_KEYS, keys[i]), -EINVAL);
        assert_refused(l, machine_set(l, id, INSTANCE_FIELD_PASSWORD, "a\tb"), -EINVAL);

        text = calloc(1, INSTANCE_KEYS_MAX + 2);
        assert_non_null(text);
        memset(text, 'a', 300);
        assert_refused(l, machine_set(l, id, INSTANCE_FIELD_PASSWORD, text), -EINVAL);
        assert_refused(l, machine_set(l, id, INSTANCE_FIELD_HOSTNAME, text), -EINVAL);
        memset(text, '#', INSTANCE_KEYS_MAX + 1);
        assert_refused(l, machine_set(l, id, INSTANCE_FIELD_SSH_KEYS, text), -EINVAL);
        text[INSTANCE_KEYS_MAX] = '\0';
        assert_ok(machine_set(l, id, INSTANCE_FIELD_SSH_KEYS, text));
        assert_ok(machine_set(l, id, INSTANCE_FIELD_HOSTNAME, "a"));
        assert_ok(machine_set(l, id, INSTANCE_FIELD_HOSTNAME, ""));
        free(text);
}

static void test_an_image_without_cloud_init_has_nobody_to_tell(void **state)
{
        struct library *l = *state;
        uint64_t id = machine_make(l, machine_image(l, "web", "local", ""), "vm1"),
                 empty = machine_make_empty(l, "vm2");

        assert_refused(l, machine_set(l, id, INSTANCE_FIELD_PASSWORD, "secret"), -EOPNOTSUPP);
        assert_refused(l, machine_set(l, id, INSTANCE_FIELD_SSH_KEYS, KEY), -EOPNOTSUPP);
        assert_refused(l, machine_set(l, id, INSTANCE_FIELD_HOSTNAME, "web"), -EOPNOTSUPP);
        assert_refused(l, machine_set(l, empty, INSTANCE_FIELD_HOSTNAME, "web"), -EBUSY);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, library_setup, library_teardown)
                TEST(test_nothing_set_is_nothing_said),
                TEST(test_all_of_it),
                TEST(test_the_password_alone_opens_ssh_too),
                TEST(test_values_that_are_refused),
                TEST(test_an_image_without_cloud_init_has_nobody_to_tell),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}

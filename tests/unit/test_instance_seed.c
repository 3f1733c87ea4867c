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

/* What the files say, and of which there is none. */
struct said {
        char *meta, *user, *vendor, *network;
};

static void said_done(struct said *s)
{
        free(s->meta);
        free(s->user);
        free(s->vendor);
        free(s->network);
}

static void seed(struct library *l, uint64_t id, struct said *ret)
{
        CLEANUP(instance_seed_done) struct instance_seed s = { 0 };

        assert_ok(instance_seed(l->m, id, &s));
        said_done(ret);
        *ret = (struct said){ strdup(strbuf_text(&s.meta_data)), strdup(strbuf_text(&s.user_data)),
                              strdup(strbuf_text(&s.vendor_data)), strdup(strbuf_text(&s.network_config)) };
        assert_true(ret->meta && ret->user && ret->vendor && ret->network);
}

static void expect_meta(struct library *l, uint64_t id, const struct said *said, const char *rest)
{
        CLEANUP_STRBUF struct strbuf wanted = { 0 };

        strbuf_addf(&wanted, "instance-id: \"%s\"\n%s", machine_get(l, id).ident, rest);
        assert_string_equal(said->meta, strbuf_text(&wanted));
}

static void test_nothing_set_is_a_seed_all_the_same(void **state)
{
        CLEANUP(said_done) struct said said = { 0 };
        struct library *l = *state;
        uint64_t id = machine(l);

        seed(l, id, &said);
        expect_meta(l, id, &said, "local-hostname: \"vm1\"\n");
        assert_string_equal(said.user, "#cloud-config\n{}\n");
        assert_string_equal(said.vendor, "");
        assert_string_equal(said.network, "");

        /* What is no name for a host is not given as one. */
        assert_ok(instance_rename(l->m, &l->alice, id, "the first", library_diag(l)));
        seed(l, id, &said);
        expect_meta(l, id, &said, "");
}

static void test_all_of_it(void **state)
{
        CLEANUP(said_done) struct said said = { 0 };
        CLEANUP_STRBUF struct strbuf wanted = { 0 };
        struct library *l = *state;
        uint64_t id = machine(l);
        char hash[256];
        const char *p;

        assert_ok(machine_set(l, id, INSTANCE_FIELD_HOSTNAME, "web-1.example.org"));
        assert_ok(machine_set(l, id, INSTANCE_FIELD_SSH_KEYS,
                              "# mine\n" KEY "\n\nssh-rsa AAAAB3 \"q\\uote\" \xc3\xa9\xf0\x9f\x98\x80"));
        assert_ok(machine_set(l, id, INSTANCE_FIELD_PASSWORD, "s3cret \"\xc3\xa9: #"));
        seed(l, id, &said);

        p = strstr(said.user, "password: \"");
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
        assert_string_equal(said.user, strbuf_text(&wanted));
        expect_meta(l, id, &said, "local-hostname: \"web-1.example.org\"\n");
        assert_string_equal(said.vendor, "");

        assert_memory_equal(hash, "$6$", 3);
        assert_string_equal(crypt("s3cret \"\xc3\xa9: #", hash), hash);

        /* Beside user-data of one's own, which is as it was written, it is the vendor's. */
        assert_ok(machine_set(l, id, INSTANCE_FIELD_USER_DATA, "#!/bin/sh\n\ttouch /x"));
        assert_ok(machine_set(l, id, INSTANCE_FIELD_NETWORK_CONFIG, "version: 2"));
        seed(l, id, &said);
        assert_string_equal(said.user, "#!/bin/sh\n\ttouch /x\n");
        assert_string_equal(said.vendor, strbuf_text(&wanted));
        assert_string_equal(said.network, "version: 2\n");
        expect_meta(l, id, &said, "local-hostname: \"web-1.example.org\"\n");
}

static void test_user_data_alone_needs_nothing_beside_it(void **state)
{
        CLEANUP_STRBUF struct strbuf user = { 0 }, network = { 0 };
        CLEANUP(said_done) struct said said = { 0 };
        struct library *l = *state;
        uint64_t id = machine(l);

        assert_ok(machine_set(l, id, INSTANCE_FIELD_USER_DATA, "#cloud-config\npackages: [nginx]\n"));
        seed(l, id, &said);
        assert_string_equal(said.user, "#cloud-config\npackages: [nginx]\n\n");
        assert_string_equal(said.vendor, "");
        assert_ok(instance_get_told(l->m, id, &user, &network));
        assert_string_equal(strbuf_text(&user), "#cloud-config\npackages: [nginx]\n");
        assert_string_equal(strbuf_text(&network), "");
        assert_err(instance_get_told(l->m, id + 1, &user, &network), -ENOENT);
}

static void test_the_password_alone_opens_ssh_too(void **state)
{
        CLEANUP(said_done) struct said said = { 0 }, first = { 0 };
        struct library *l = *state;
        uint64_t id = machine(l);

        assert_ok(machine_set(l, id, INSTANCE_FIELD_PASSWORD, "secret"));
        assert_true(machine_get(l, id).has_password);
        seed(l, id, &first);
        assert_contains(first.user, "ssh_pwauth: true\n");
        assert_null(strstr(first.user, "secret"));

        /* The same again is another hash, and an empty one takes it away. */
        assert_ok(machine_set(l, id, INSTANCE_FIELD_PASSWORD, "secret"));
        seed(l, id, &said);
        assert_string_not_equal(said.user, first.user);
        assert_ok(machine_set(l, id, INSTANCE_FIELD_PASSWORD, ""));
        assert_false(machine_get(l, id).has_password);
        seed(l, id, &said);
        assert_string_equal(said.user, "#cloud-config\n{}\n");
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

static void test_user_data_that_nothing_would_read_is_refused(void **state)
{
        static const char *const unknown[] = { "packages: [nginx]", "hello", " #cloud-config", "{}", "\n#cloud-config" };
        static const char *const known[] = { "#cloud-config", "#!/bin/sh\ntrue", "## template: jinja\n#cloud-config",
                                             "#include\nhttps://x/y", "content-type: multipart/mixed; boundary=x",
                                             "MIME-Version: 1.0", "" };
        struct library *l = *state;
        uint64_t id = machine(l);
        char *text;

        for (size_t i = 0; i < sizeof(unknown) / sizeof(unknown[0]); i++) {
                assert_refused(l, machine_set(l, id, INSTANCE_FIELD_USER_DATA, unknown[i]), -EINVAL);
                assert_contains(l->diag.text, "its first line says what it is, such as #cloud-config");
        }
        for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
                assert_ok(machine_set(l, id, INSTANCE_FIELD_USER_DATA, known[i]));
        assert_refused(l, machine_set(l, id, INSTANCE_FIELD_USER_DATA, "#\x1b"), -EINVAL);
        assert_refused(l, machine_set(l, id, INSTANCE_FIELD_NETWORK_CONFIG, "\x1b"), -EINVAL);

        text = calloc(1, INSTANCE_USER_DATA_MAX + 2);
        assert_non_null(text);
        memset(text, '#', INSTANCE_USER_DATA_MAX + 1);
        assert_refused(l, machine_set(l, id, INSTANCE_FIELD_USER_DATA, text), -EINVAL);
        text[INSTANCE_USER_DATA_MAX] = '\0';
        assert_ok(machine_set(l, id, INSTANCE_FIELD_USER_DATA, text));
        text[INSTANCE_NETWORK_MAX + 1] = '\0';
        assert_refused(l, machine_set(l, id, INSTANCE_FIELD_NETWORK_CONFIG, text), -EINVAL);
        text[INSTANCE_NETWORK_MAX] = '\0';
        assert_ok(machine_set(l, id, INSTANCE_FIELD_NETWORK_CONFIG, text));
        free(text);
}

static void test_an_image_without_cloud_init_has_nobody_to_tell(void **state)
{
        struct library *l = *state;
        uint64_t id = machine_make(l, machine_image(l, "web", "local", ""), "vm1"),
                 empty = machine_make_empty(l, "vm2");

        assert_refused(l, machine_set(l, id, INSTANCE_FIELD_PASSWORD, "secret"), -EOPNOTSUPP);
        assert_contains(l->diag.text, "echo \"cloud-init\" > private/web/features");
        assert_refused(l, machine_set(l, id, INSTANCE_FIELD_USER_DATA, "#cloud-config"), -EOPNOTSUPP);
        assert_refused(l, machine_set(l, id, INSTANCE_FIELD_NETWORK_CONFIG, "version: 2"), -EOPNOTSUPP);
        assert_refused(l, machine_set(l, id, INSTANCE_FIELD_SSH_KEYS, KEY), -EOPNOTSUPP);
        assert_refused(l, machine_set(l, id, INSTANCE_FIELD_HOSTNAME, "web"), -EOPNOTSUPP);
        assert_refused(l, machine_set(l, empty, INSTANCE_FIELD_HOSTNAME, "web"), -EBUSY);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, library_setup, library_teardown)
                TEST(test_nothing_set_is_a_seed_all_the_same),
                TEST(test_all_of_it),
                TEST(test_user_data_alone_needs_nothing_beside_it),
                TEST(test_the_password_alone_opens_ssh_too),
                TEST(test_values_that_are_refused),
                TEST(test_user_data_that_nothing_would_read_is_refused),
                TEST(test_an_image_without_cloud_init_has_nobody_to_tell),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: MIT */

#include "model/region.h"

#include "tests/lib/expect.h"
#include "tests/lib/library.h"

#define HEADER                                                                                            \
        "class,directory,id,name,status,type,encrypted,features,os,platform,platform-version,architecture,size,owner," \
        "project-group,created\n"

static char *csv(struct library *l, const struct caller *c)
{
        CLEANUP_STRBUF struct strbuf out = { 0 };

        assert_ok(listing_csv(l->m, c, l->region, &out));
        return strbuf_take(&out);
}

static char *json(struct library *l, const struct caller *c)
{
        CLEANUP_STRBUF struct strbuf out = { 0 };

        assert_ok(listing_json(l->m, c, l->region, &out));
        return strbuf_take(&out);
}

/* Makes an image whose row is the same in every run. */
static void make(struct library *l)
{
        uint64_t id = library_image(l, "web"), blob = library_blob(l, "0123456789", 10);

        library_sql(l,
                    "UPDATE image SET ident = 'img-1', name = 'a \"b\", c', os = 'linux', platform = 'Debian', "
                    "platform_version = '12', architecture = 'x86_64', features = 'cloud-init qemu-ga', encrypted = 1, "
                    "project_group = 'g', status = 'available', created = 1700000000000000 WHERE id = %lld",
                    (long long)id);
        library_sql(l, "INSERT INTO image_disk (image, device, role, blob) VALUES (%lld, 'vda', 'system', %lld)",
                    (long long)id, (long long)blob);
}

static void test_an_empty_region(void **state)
{
        CLEANUP_FREE char *c = csv(*state, &((struct library *)*state)->alice);
        CLEANUP_FREE char *j = json(*state, &((struct library *)*state)->alice);

        assert_string_equal(c, HEADER);
        assert_string_equal(j, "[]\n");
}

static void test_csv_quotes_what_needs_it(void **state)
{
        struct library *l = *state;
        CLEANUP_FREE char *text = NULL;

        make(l);
        text = csv(l, &l->alice);
        assert_string_equal(
                text, HEADER
                "private,web,img-1,\"a \"\"b\"\", c\",available,cloud,yes,cloud-init qemu-ga,linux,Debian,12,x86_64,10,"
                "61001,g,2023-11-14T22:13:20Z\n");
}

static void test_json_has_numbers_and_booleans(void **state)
{
        struct library *l = *state;
        CLEANUP_FREE char *text = NULL;

        make(l);
        (void)library_image(l, "x");
        text = json(l, &l->alice);
        assert_contains(text, "[\n  {\"class\": \"private\", \"directory\": \"web\", \"id\": \"img-1\", "
                              "\"name\": \"a \\\"b\\\", c\", \"status\": \"available\"");
        assert_contains(text, "\"encrypted\": true");
        assert_contains(text, "\"size\": 10, \"owner\": \"61001\"");
        assert_contains(text, "},\n  {\"class\": \"private\", \"directory\": \"x\"");
        assert_true(strcmp(text + strlen(text) - 5, "\"}\n]\n") == 0);
}

static void test_shows_what_the_caller_may_enter(void **state)
{
        struct library *l = *state;
        uint64_t id = library_image(l, "hers");
        struct caller group = { .uid = 7, .gid = l->alice.gid };
        const mode_t shared = 0750, closed = 0;
        char *text;

        assert_ok(image_create(l->m, &l->admin, l->region, CLASS_PUBLIC, "everybodys", library_diag(l), &id));
        text = csv(l, &l->bob);
        assert_contains(text, "everybodys");
        assert_null(strstr(text, "hers"));
        free(text);

        text = csv(l, &l->admin);
        assert_contains(text, "private,hers");
        free(text);

        text = csv(l, &group);
        assert_null(strstr(text, "hers"));
        free(text);
        id = (uint64_t)library_sql_int(l, "SELECT id FROM image WHERE handle = 'hers'");
        assert_ok(model_set_access(l->m, &l->alice, OBJECT_IMAGE, id, &shared, NULL, NULL, library_diag(l)));
        text = csv(l, &group);
        assert_contains(text, "private,hers");
        free(text);

        assert_ok(model_set_access(l->m, &l->alice, OBJECT_IMAGE, id, &closed, NULL, NULL, library_diag(l)));
        text = csv(l, &l->alice);
        assert_null(strstr(text, "private,hers"));
        free(text);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, library_setup, library_teardown)

int main(void)
{
        const struct CMUnitTest tests[] = {
                TEST(test_an_empty_region),
                TEST(test_csv_quotes_what_needs_it),
                TEST(test_json_has_numbers_and_booleans),
                TEST(test_shows_what_the_caller_may_enter),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: MIT */
/* Where a bucket is, as a person writes it; whose keys; how requests are signed; what a list says. */

#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "blobstore/objects/s3_list.h"
#include "blobstore/objects/s3_place.h"
#include "blobstore/objects/s3_sign.h"
#include "tests/lib/expect.h"
#include "tests/lib/tempdir.h"

#define SERVER " endpoint=https://s3.example:9000"

static void test_an_address_is_taken_apart(void **state)
{
        CLEANUP_STRBUF struct strbuf why = { 0 };
        struct s3_place p;

        (void)state;
        assert_ok(s3_place_parse("s3://lib.one/a/b/" SERVER " region=eu-1 path-style=no profile=me", &p, &why));
        assert_string_equal(p.bucket, "lib.one");
        assert_string_equal(p.prefix, "a/b/");
        assert_string_equal(p.endpoint, "https://s3.example:9000");
        assert_string_equal(p.region, "eu-1");
        assert_string_equal(p.profile, "me");
        assert_false(p.path_style);
        assert_ok(s3_place_parse("s3://lib" SERVER, &p, &why));
        assert_string_equal(p.prefix, "");
        assert_string_equal(p.region, "us-east-1");
        assert_true(p.path_style);
        assert_string_equal(strbuf_text(&why), "");
}

static void test_an_address_is_noted_in_one_way(void **state)
{
        static const char *const texts[][2] = {
                { "s3://lib.one/a/b/" SERVER " path-style=no profile=me region=eu-1",
                  "s3://lib.one/a/b" SERVER " region=eu-1 path-style=no profile=me" },
                { "s3://lib  path-style=yes region=us-east-1" SERVER, "s3://lib" SERVER },
        };
        CLEANUP_STRBUF struct strbuf why = { 0 };
        struct s3_place p;
        char buf[128];

        (void)state;
        for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
                for (int again = 0; again < 2; again++) {
                        assert_ok(s3_place_parse(again ? buf : texts[i][0], &p, &why));
                        assert_ok(s3_place_print(&p, buf, sizeof(buf)));
                        assert_string_equal(buf, texts[i][1]);
                }
        }
        assert_err(s3_place_print(&p, buf, strlen(buf)), -ENAMETOOLONG);
}

static void test_what_is_no_address_is_refused_with_a_sentence(void **state)
{
        static const struct {
                const char *text, *why;
        } cases[] = {
                { "/srv/images", "write s3://" },
                { "s3://lib", "endpoint= is missing" },
                { "s3://Lib" SERVER, "small letters" },
                { "s3://li" SERVER, "3 to 63" },
                { "s3://-lib" SERVER, "3 to 63" },
                { "s3://lib/a b" SERVER, "profile= only" },
                { "s3://lib/a//b" SERVER, "single slashes" },
                { "s3://lib/?x" SERVER, "the prefix has" },
                { "s3://lib endpoint=s3.example", "endpoint= wants" },
                { "s3://lib endpoint=https://", "endpoint= wants" },
                { "s3://lib endpoint=https://key:secret@host", "endpoint= wants" },
                { "s3://lib endpoint=https://host/path", "endpoint= wants" },
                { "s3://lib" SERVER " path-style=perhaps", "yes or no" },
                { "s3://lib" SERVER " region=", "want a name" },
                { "s3://lib" SERVER " secret=x", "profile= only" },
                { "s3://lib" SERVER " word", "profile= only" },
        };
        char *longer = malloc(5000);
        struct s3_place p = { .bucket = "kept" };

        (void)state;
        for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
                CLEANUP_STRBUF struct strbuf why = { 0 };

                assert_err(s3_place_parse(cases[i].text, &p, &why), -EINVAL);
                assert_contains(strbuf_text(&why), cases[i].why);
        }
        memset(longer, 'a', 4999);
        memcpy(longer, "s3://", 5);
        longer[4999] = '\0';
        {
                CLEANUP_STRBUF struct strbuf why = { 0 };

                assert_err(s3_place_parse(longer, &p, &why), -EINVAL);
        }
        assert_string_equal(p.bucket, "kept");
        free(longer);
}

static void test_keys_are_of_the_environment_or_of_the_file(void **state)
{
        static const char text[] = "# mine\n[default]\naws_access_key_id = ONE\naws_secret_access_key=first\r\n\n[other]\n"
                                   "aws_access_key_id=TWO\naws_secret_access_key =  se/c+nd= \naws_session_token=t\nregion=x\n"
                                   "[half]\naws_access_key_id=THREE\n";
        CLEANUP_STRBUF struct strbuf why = { 0 };
        char dir[TEMPDIR_MAX], path[TEMPDIR_MAX + 32];
        struct s3_keys keys;
        int fd;

        (void)state;
        tempdir_make(dir);
        (void)snprintf(path, sizeof(path), "%s/credentials", dir);
        (void)unsetenv("AWS_ACCESS_KEY_ID");
        (void)unsetenv("AWS_PROFILE");
        (void)setenv("AWS_SHARED_CREDENTIALS_FILE", path, 1);
        assert_err(s3_keys_find("", &keys, &why), -ENOENT);
        assert_contains(strbuf_text(&why), "AWS_ACCESS_KEY_ID");
        fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
        assert_int_equal(write(fd, text, sizeof(text) - 1), sizeof(text) - 1);

        assert_ok(s3_keys_find("", &keys, &why));
        assert_string_equal(keys.id, "ONE");
        assert_string_equal(keys.secret, "first");
        assert_string_equal(keys.token, "");
        assert_ok(s3_keys_find("other", &keys, &why));
        assert_string_equal(keys.secret, "se/c+nd=");
        assert_string_equal(keys.token, "t");
        assert_err(s3_keys_find("half", &keys, &why), -ENOENT);
        assert_err(s3_keys_find("none", &keys, &why), -ENOENT);
        (void)setenv("AWS_PROFILE", "other", 1);
        assert_ok(s3_keys_find("", &keys, &why));
        assert_string_equal(keys.id, "TWO");

        (void)setenv("AWS_ACCESS_KEY_ID", "ENV", 1);
        (void)setenv("AWS_SECRET_ACCESS_KEY", "env", 1);
        assert_ok(s3_keys_find("", &keys, &why));
        assert_string_equal(keys.id, "ENV");
        assert_ok(s3_keys_find("default", &keys, &why));
        assert_string_equal(keys.id, "ONE");
        (void)setenv("AWS_SECRET_ACCESS_KEY", "a\nb", 1);
        assert_err(s3_keys_find("", &keys, &why), -EINVAL);

        (void)unsetenv("AWS_ACCESS_KEY_ID");
        assert_int_equal(ftruncate(fd, 1 << 20), 0);
        assert_err(s3_keys_find("", &keys, &why), -EFBIG);
        assert_null(strstr(strbuf_text(&why), "first"));
        (void)close(fd);
        tempdir_remove(dir);
}

/* The examples of Amazon's documentation. */
static void test_signatures_are_those_of_the_documentation(void **state)
{
        const struct s3_keys keys = { .id = "AKIAIOSFODNN7EXAMPLE", .secret = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY" };
        const char *nothing = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        const struct s3_header range = { "range", "bytes=0-9" };
        const struct {
                const char *path, *query, *signature;
                size_t n;
        } cases[] = {
                { "/test.txt", "", "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41", 1 },
                { "/", "lifecycle=", "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543", 0 },
                { "/", "max-keys=2&prefix=J", "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7", 0 },
        };

        (void)state;
        for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
                CLEANUP_STRBUF struct strbuf headers = { 0 };
                const struct s3_request rq = { .method = "GET", .host = "examplebucket.s3.amazonaws.com", .path = cases[i].path,
                                               .query = cases[i].query, .body_sha = nothing, .headers = &range,
                                               .n_headers = cases[i].n };

                assert_ok(s3_sign(&rq, "us-east-1", &keys, 1369353600, &headers));
                assert_contains(strbuf_text(&headers), cases[i].signature);
                assert_contains(strbuf_text(&headers), "x-amz-date: 20130524T000000Z\n");
                assert_null(strstr(strbuf_text(&headers), keys.secret));
        }
}

static void test_a_session_has_a_token(void **state)
{
        const struct s3_keys keys = { .id = "A", .secret = "b", .token = "TOKEN" };
        const struct s3_request rq = { .method = "GET", .host = "h", .path = "/", .query = "", .body_sha = "x" };
        CLEANUP_STRBUF struct strbuf headers = { 0 };

        (void)state;
        assert_ok(s3_sign(&rq, "r", &keys, 0, &headers));
        assert_contains(strbuf_text(&headers), "x-amz-security-token: TOKEN\n");
        assert_contains(strbuf_text(&headers), "SignedHeaders=host;x-amz-content-sha256;x-amz-date;x-amz-security-token,");
}

static void test_names_are_encoded(void **state)
{
        CLEANUP_STRBUF struct strbuf path = { 0 }, value = { 0 };

        (void)state;
        s3_encode("a/b c+~\xc3\xa4", false, &path);
        assert_string_equal(strbuf_text(&path), "a/b%20c%2B~%C3%A4");
        s3_encode("a/b=", true, &value);
        assert_string_equal(strbuf_text(&value), "a%2Fb%3D");
}

/* ---- lists ---- */

static int note(void *ctx, const char *name, uint64_t size)
{
        strbuf_addf(ctx, "%s:%ju ", name, (uintmax_t)size);
        return strcmp(name, "stop") == 0 ? -EINTR : 0;
}

static int listed(const char *text, struct strbuf *seen, struct strbuf *next)
{
        char *page = strdup(text);
        int r = s3_list_page(page, "p/", note, seen, next);

        free(page);
        return r;
}

#define OBJECT(key, size) "<Contents><Key>" key "</Key><ETag>&#34;x&#34;</ETag><Size>" size "</Size></Contents>"
#define LIST(more, rest)                                                                                    \
        "<?xml?><ListBucketResult><Prefix>p%2F</Prefix><IsTruncated>" more "</IsTruncated>" rest "</ListBucketResult>"

static void test_a_list_is_read(void **state)
{
        CLEANUP_STRBUF struct strbuf seen = { 0 }, next = { 0 };

        (void)state;
        assert_err(listed(LIST("true", OBJECT("p%2Fa", "1") OBJECT("p/b%20c", "22") "<NextContinuationToken>x&amp;y=&lt;"
                                                                                    "</NextContinuationToken>"), &seen, &next), 1);
        assert_string_equal(strbuf_text(&seen), "a:1 b c:22 ");
        assert_string_equal(strbuf_text(&next), "x&y=<");
        strbuf_reset(&next);
        assert_ok(listed(LIST("false", OBJECT("p%2fz", "3")), &seen, &next));
        assert_string_equal(strbuf_text(&next), "");
        assert_ok(listed(LIST("false", ""), &seen, &next));
        assert_string_equal(strbuf_text(&seen), "a:1 b c:22 z:3 ");
        assert_err(listed(LIST("false", OBJECT("p/stop", "1") OBJECT("p/on", "1")), &seen, &next), -EINTR);
        assert_null(strstr(strbuf_text(&seen), "on:1"));
}

static void test_what_is_no_whole_list_is_an_error(void **state)
{
        static const char *const cases[] = {
                "", "<html></html>", "<ListBucketResult><IsTruncated>false</IsTruncated>", /* cut */
                "<ListBucketResult></ListBucketResult>", LIST("true", ""), /* where does it go on? */
                LIST("true", "<NextContinuationToken></NextContinuationToken>"),
                LIST("false", "<Contents><Key>p/a</Key></Contents>"), LIST("false", OBJECT("p/a", "x")),
                LIST("false", OBJECT("q/a", "1")), LIST("false", OBJECT("p/a%0", "1")), LIST("false", OBJECT("p/a%00", "1")),
        };

        (void)state;
        for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
                CLEANUP_STRBUF struct strbuf seen = { 0 }, next = { 0 };

                assert_err(listed(cases[i], &seen, &next), -EPROTO);
        }
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_an_address_is_taken_apart),
                cmocka_unit_test(test_an_address_is_noted_in_one_way),
                cmocka_unit_test(test_what_is_no_address_is_refused_with_a_sentence),
                cmocka_unit_test(test_keys_are_of_the_environment_or_of_the_file),
                cmocka_unit_test(test_signatures_are_those_of_the_documentation),
                cmocka_unit_test(test_a_session_has_a_token),
                cmocka_unit_test(test_names_are_encoded),
                cmocka_unit_test(test_a_list_is_read),
                cmocka_unit_test(test_what_is_no_whole_list_is_an_error),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}

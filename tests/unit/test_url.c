/* SPDX-License-Identifier: MIT */
/* Addresses: what is understood, what is not, and that nothing said about one holds its password. */

#include "model/intake/url.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#ifdef HAVE_CURL
#include <curl/curl.h>
#endif

#include "tests/lib/expect.h"
#include "tests/lib/random.h"

static struct url parse(const char *text)
{
        struct diag diag = { 0 };
        struct url url;

        if (url_parse(text, &url, &diag) < 0)
                fail_msg("%s: %s", text, diag.text);
        return url;
}

static void test_an_address_is_taken_apart(void **state)
{
        struct url url;

        (void)state;
        url = parse("https://Cloud.example:8443/a/b.qcow2?x=1#top");
        assert_int_equal(url.scheme, URL_HTTPS);
        assert_string_equal(url.shown, "https://Cloud.example:8443/a/b.qcow2?x=1");
        assert_string_equal(url.host, "Cloud.example");
        assert_false(url.has_login);

        url = parse("HTTP://[2001:db8::1]:80/x");
        assert_int_equal(url.scheme, URL_HTTP);
        assert_string_equal(url.host, "2001:db8::1");
        assert_string_equal(url.shown, "http://[2001:db8::1]:80/x");

        assert_string_equal(parse("http://host").shown, "http://host/");
        assert_string_equal(parse("http://host?q=a@b").shown, "http://host/?q=a@b");
        assert_false(parse("http://host/a@b:c").has_login);
        assert_string_equal(parse("http://host.example./x").host, "host.example.");
        assert_string_equal(parse("http://127.0.0.1/x").host, "127.0.0.1");
}

static void test_the_login_is_not_in_what_is_shown(void **state)
{
        static const struct {
                const char *text, *user, *password;
        } logins[] = {
                { "ftp://user:secret@host/x", "user", "secret" },
                { "ftp://user@host/x", "user", "" },
                { "ftp://u%40site:p%3Aq%2f@host/x", "u@site", "p:q/" },
                { "ftp://user:se@cret@host/x", "user", "se@cret" },
                { "ftp://user:a:b@host/x", "user", "a:b" },
                { "ftp://:secret@host/x", "", "secret" },
                { "ftp://@host/x", "", "" },
        };

        (void)state;
        for (size_t i = 0; i < sizeof(logins) / sizeof(logins[0]); i++) {
                struct url url = parse(logins[i].text);

                assert_string_equal(url.shown, "ftp://host/x");
                assert_true(url.has_login || logins[i].user[0] == '\0');
                assert_string_equal(url.user, logins[i].user);
                assert_string_equal(url.password, logins[i].password);
        }
}

static void test_what_is_not_understood_is_refused_without_being_repeated(void **state)
{
        static const char *const texts[] = {
                "",
                "secret",
                "host/secret",
                "file:///etc/secret",
                "gopher://user:secret@host/x",
                "smb://user:secret@host/x",
                "http://user:secret@0x7f.1/x",
                "http://user:secret@2130706433/x",
                "http://user:secret@127.1/x",
                "http://user:secret@127.0.0.1./x",
                "http://user:secret@./x",
                "http://user:secret@[1::2::3]/x",
                "https//user:secret@host/x",
                " http://user:secret@host/x",
                "http://user:secret@host/x y",
                "http://user:secret@host\\@evil/x",
                "http://user:secret@host/\x01",
                "http://user:secret@h\xc3\xb6st/x",
                "http://user:secret@/x",
                "http://user:secret@host:/x",
                "http://user:secret@host:0/x",
                "http://user:secret@host:65536/x",
                "http://user:secret@host:80secret/x",
                "http://user:secret@ho%73t/x",
                "http://user:secret@ho:st:80/x",
                "http://user:secret@[::1/x",
                "http://user:secret@[host]/x",
                "http://user:secret%@host/x",
                "http://user:secret%0d%0aX@host/x",
                "http://user%00:secret@host/x",
                "ftp://user:secret@host",
                "ftp://user:secret@host/",
                "ftp://user:secret@host/dir/",
        };
        char longest[URL_MAX + 2];

        (void)state;
        for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
                struct diag diag = { 0 };
                struct url url;

                if (url_parse(texts[i], &url, &diag) != -EINVAL)
                        fail_msg("%s was understood", texts[i]);
                assert_non_null(strchr(diag.text, ' '));
                assert_null(strstr(diag.text, "secret"));
                assert_null(strstr(diag.text, "user:"));
        }

        memset(longest, 'a', sizeof(longest) - 1);
        longest[sizeof(longest) - 1] = '\0';
        memcpy(longest, "http://h/", 9);
        assert_err(url_parse(longest, &(struct url){ 0 }, NULL), -EINVAL);
        longest[URL_MAX] = '\0';
        assert_int_equal(strlen(parse(longest).shown), URL_MAX);
}

static void test_a_server_that_repeats_the_login_is_not_repeated(void **state)
{
        struct url url = parse("http://alice:open%20sesame@host/x");
        struct strbuf out CLEANUP_STRBUF = { 0 };
        char many[1000];

        (void)state;
        url_add_quoted(&out, &url, "401 alice:open sesame\r\nis\x1b[1mwrong");
        assert_string_equal(strbuf_text(&out), "401 ***:***is[1mwrong");

        strbuf_reset(&out);
        memset(many, 'x', sizeof(many) - 1);
        many[sizeof(many) - 1] = '\0';
        url_add_quoted(&out, &url, many);
        assert_true(out.len < 300);
}

/* It used to be taken out of the middle of words: of "failed", where it was "a". */
static void test_what_is_no_login_stays_to_be_read(void **state)
{
        static const struct {
                const char *address, *said, *shown;
        } cases[] = {
                { "http://a:a@host/x", "a bad day at a@host, as a:a said", "a bad day at ***@host, as ***:*** said" },
                { "http://u:file@host/x", "530 no profile", "530 no profile" },
                { "http://u:file@host/x", "530 not u:file", "530 not ***:***" },
                { "http://bob:sesame@host/x", "bob has not sesame, nor sesames", "bob has not ***, nor sesames" },
                { "ftp://bob:sesame@host/x", "530 ftp://bob:sesame@host/", "530 ftp://***:***@host/" },
        };

        (void)state;
        for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
                struct url url = parse(cases[i].address);
                struct strbuf out CLEANUP_STRBUF = { 0 };

                url_add_quoted(&out, &url, cases[i].said);
                assert_string_equal(strbuf_text(&out), cases[i].shown);
        }
}

#ifdef HAVE_CURL

/* A part of URL as libcurl reads it; NULL where it has none. Freed by the next call. */
static const char *curl_part(CURLU *url, CURLUPart part, unsigned flags)
{
        static char *text;

        curl_free(text);
        text = NULL;
        return curl_url_get(url, part, &text, flags) == CURLUE_OK ? text : NULL;
}

/*
 * Who fetches is libcurl: what is taken here is read there as the same host, of the same scheme, and what is asked for has
 * no login that only libcurl finds.
 */
static void test_libcurl_reads_the_same(void **state)
{
        static const char *const pieces[] = {
                "http://", "https://", "ftp://", "HTTP://", "host", "a.b", "[::1]", "[fe80::1%25eth0]", ":", ":80", ":0", ":65536", "@", "/",
                "//", "?", "#", "user", ":pass", "%40", "%2f", "%00", "..", "/../", "x", "=", "&", "\\", "1.2.3.4", "0x7f.1", "_", "-",
                ";", "\t", "%", "ä",
        };
        uint64_t seed = 20261123;
        unsigned taken = 0;

        (void)state;
        for (int round = 0; round < 200000; round++) {
                struct diag diag = { 0 };
                char text[512] = "";
                struct url url;
                CURLU *curl;

                for (uint64_t n = 1 + random_next(&seed) % 9; n > 0; n--)
                        strcat(text, pieces[random_next(&seed) % (sizeof(pieces) / sizeof(pieces[0]))]);
                if (url_parse(text, &url, &diag) < 0)
                        continue;
                taken++;
                curl = curl_url();
                assert_non_null(curl);
                if (curl_url_set(curl, CURLUPART_URL, url.shown, CURLU_PATH_AS_IS) != CURLUE_OK)
                        fail_msg("%s, taken as %s: libcurl refuses it", text, url.shown);
                if (curl_part(curl, CURLUPART_USER, 0) || curl_part(curl, CURLUPART_PASSWORD, 0))
                        fail_msg("%s, taken as %s: libcurl finds a login", text, url.shown);
                const char *host = curl_part(curl, CURLUPART_HOST, 0);
                size_t n = host ? strlen(host) : 0;

                if (n > 2 && host[0] == '[') { /* as it stands in brackets */
                        assert_true(n - 2 == strlen(url.host) && strncmp(host + 1, url.host, n - 2) == 0);
                } else if (n == 0 || strcasecmp(host, url.host) != 0) {
                        fail_msg("%s: host %s, and for libcurl %s", text, url.host, host ? host : "none");
                }
                curl_url_cleanup(curl);
        }
        assert_true(taken > 1000);
}

#endif

int main(void)
{
        const struct CMUnitTest tests[] = {
#ifdef HAVE_CURL
                cmocka_unit_test(test_libcurl_reads_the_same),
#endif
                cmocka_unit_test(test_an_address_is_taken_apart),
                cmocka_unit_test(test_the_login_is_not_in_what_is_shown),
                cmocka_unit_test(test_what_is_not_understood_is_refused_without_being_repeated),
                cmocka_unit_test(test_a_server_that_repeats_the_login_is_not_repeated),
                cmocka_unit_test(test_what_is_no_login_stays_to_be_read),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: MIT */
/*
 * One try to get a file from a server, which is a thread here and says one thing to whoever connects: which replies are
 * taken, from which byte on, and what each kind of failure is called.
 */

#include "model/intake/pull.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "tests/lib/expect.h"

struct server {
        int fd;
        in_port_t port;
        pthread_t thread;
        const char *reply; /* NULL: it says nothing */
        bool dribbles; /* the end of the reply comes in small pieces, 4 KiB a second, for some seconds */
        char request[4096]; /* the last one; after the end of the try */
};

static void *server_main(void *arg)
{
        struct server *s = arg;
        int fd;

        while ((fd = accept(s->fd, NULL, NULL)) >= 0) {
                size_t have = 0;
                ssize_t n;

                s->request[0] = '\0';
                while (!strstr(s->request, "\r\n\r\n")) {
                        n = read(fd, s->request + have, sizeof(s->request) - 1 - have);
                        if (n <= 0)
                                break;
                        have += (size_t)n;
                        s->request[have] = '\0';
                }
                if (s->dribbles) {
                        const struct timespec pause = { .tv_nsec = 100000000 };

                        (void)send(fd, s->reply, strlen(s->reply), MSG_NOSIGNAL);
                        for (int i = 0; i < 50 && send(fd, (char[400]){ 0 }, 400, MSG_NOSIGNAL) == 400; i++)
                                (void)nanosleep(&pause, NULL);
                } else if (s->reply)
                        (void)send(fd, s->reply, strlen(s->reply), MSG_NOSIGNAL);
                else if (read(fd, &n, sizeof(n)) < 0) /* until the other side gives up */
                        break;
                (void)close(fd);
        }
        return NULL;
}

static void server_start(struct server *s, const char *reply)
{
        struct sockaddr_in sa = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
        socklen_t len = sizeof(sa);

        *s = (struct server){
                .fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0),
                .reply = reply,
                .dribbles = reply && strstr(reply, "dribble"),
        };
        assert_int_equal(bind(s->fd, (const struct sockaddr *)&sa, sizeof(sa)), 0);
        assert_int_equal(listen(s->fd, 8), 0);
        assert_int_equal(getsockname(s->fd, (struct sockaddr *)&sa, &len), 0);
        s->port = ntohs(sa.sin_port);
        assert_int_equal(pthread_create(&s->thread, NULL, server_main, s), 0);
}

static void server_stop(struct server *s)
{
        (void)shutdown(s->fd, SHUT_RDWR);
        (void)pthread_join(s->thread, NULL);
        (void)close(s->fd);
}

/* What the callbacks were told. */
struct got {
        bool begun;
        uint64_t off;
        struct pull_version version;
        char body[32768];
        size_t n;
        int begin_error, write_error, poll_error;
};

static int on_begin(void *ctx, uint64_t off, const struct pull_version *v)
{
        struct got *got = ctx;

        got->begun = true;
        got->off = off;
        got->version = *v;
        return got->begin_error;
}

static int on_write(void *ctx, const void *bytes, size_t n)
{
        struct got *got = ctx;

        assert_true(got->begun);
        assert_true(got->n + n < sizeof(got->body));
        memcpy(got->body + got->n, bytes, n);
        got->n += n;
        return got->write_error;
}

static int on_poll(void *ctx)
{
        return ((const struct got *)ctx)->poll_error;
}

/* One try against a server with this reply. */
static int try_reply(const char *reply, const struct pull *how, struct got *got, struct strbuf *reason, char *request)
{
        struct pull pull = how ? *how : (struct pull){ .reach_private = true };
        struct diag diag = { 0 };
        struct server server;
        struct url url;
        char text[64];
        int r;

        server_start(&server, reply);
        (void)snprintf(text, sizeof(text), "http://alice:sesame@127.0.0.1:%u/x", server.port);
        assert_ok(url_parse(text, &url, &diag));
        pull.url = &url;
        pull.stall_s = 1;
        pull.begin = on_begin;
        pull.write = on_write;
        pull.poll = on_poll;
        pull.ctx = got;
        strbuf_reset(reason);
        r = pull_run(&pull, reason);
        server_stop(&server);
        if (request)
                memcpy(request, server.request, sizeof(server.request));
        assert_null(strstr(strbuf_text(reason), "sesame"));
        return r;
}

#define OK(headers, body) "HTTP/1.1 200 OK\r\n" headers "\r\n" body
#define PART(headers, body) "HTTP/1.1 206 Partial Content\r\n" headers "\r\n" body

static const struct pull rest = {
        .reach_private = true, .have = 3, .version = { .etag = "\"v1\"", .modified = "yesterday", .size = 6 },
};

static void test_a_whole_file_comes_with_its_version(void **state)
{
        struct strbuf reason CLEANUP_STRBUF = { 0 };
        struct got got = { 0 };
        char request[4096];

        (void)state;
        assert_ok(try_reply(OK("etag:  \"v1\" \r\nLast-Modified: yesterday\r\nContent-Length: 6\r\n", "abcdef"), NULL, &got,
                            &reason, request));
        assert_string_equal(got.body, "abcdef");
        assert_string_equal(got.version.etag, "\"v1\"");
        assert_string_equal(got.version.modified, "yesterday");
        assert_int_equal(got.version.size, 6);
        assert_null(strstr(request, "Range"));
        assert_contains(request, "Authorization: Basic YWxpY2U6c2VzYW1l\r\n");
}

static void test_the_end_of_a_file_of_unknown_size_is_its_end(void **state)
{
        struct strbuf reason CLEANUP_STRBUF = { 0 };
        struct got got = { 0 };

        (void)state;
        assert_ok(try_reply(OK("", "abc"), NULL, &got, &reason, NULL));
        assert_true(got.version.size == PULL_SIZE_UNKNOWN);
        assert_int_equal(got.n, 3);
}

static void test_a_file_without_a_byte_begins_too(void **state)
{
        struct strbuf reason CLEANUP_STRBUF = { 0 };
        struct got got = { 0 };

        (void)state;
        assert_ok(try_reply(OK("Content-Length: 0\r\n", ""), NULL, &got, &reason, NULL));
        assert_true(got.begun);
        assert_int_equal(got.version.size, 0);
}

static void test_the_rest_is_asked_for_if_the_file_is_the_same(void **state)
{
        struct strbuf reason CLEANUP_STRBUF = { 0 };
        struct pull weak = rest, dated = rest, unknown = rest;
        struct got got = { 0 };
        char request[4096];

        (void)state;
        assert_ok(try_reply(PART("ETag: \"v1\"\r\nContent-Range: bytes 3-5/6\r\nContent-Length: 3\r\n", "def"), &rest, &got,
                            &reason, request));
        assert_contains(request, "Range: bytes=3-\r\n");
        assert_contains(request, "If-Range: \"v1\"\r\n");
        assert_int_equal(got.off, 3);
        assert_int_equal(got.version.size, 6);
        assert_string_equal(got.body, "def");

        /* A weak one may not be asked about, and a date only where there is nothing better. */
        strcpy(weak.version.etag, "W/\"v1\"");
        assert_err(try_reply("HTTP/1.1 404 No\r\n\r\n", &weak, &got, &reason, request), -EPROTO);
        assert_null(strstr(request, "If-Range"));
        dated.version.etag[0] = '\0';
        assert_err(try_reply("HTTP/1.1 404 No\r\n\r\n", &dated, &got, &reason, request), -EPROTO);
        assert_contains(request, "If-Range: yesterday\r\n");
        unknown.version = (struct pull_version){ .size = PULL_SIZE_UNKNOWN };
        assert_err(try_reply("HTTP/1.1 404 No\r\n\r\n", &unknown, &got, &reason, request), -EPROTO);
        assert_null(strstr(request, "If-Range"));
        assert_contains(request, "Range: bytes=3-\r\n");
}

static void test_all_of_it_in_place_of_the_rest_begins_at_the_start(void **state)
{
        struct strbuf reason CLEANUP_STRBUF = { 0 };
        struct got got = { .off = 99 };

        (void)state;
        assert_ok(try_reply(OK("ETag: \"v2\"\r\nContent-Length: 4\r\n", "wxyz"), &rest, &got, &reason, NULL));
        assert_int_equal(got.off, 0);
        assert_string_equal(got.version.etag, "\"v2\"");
        assert_string_equal(got.body, "wxyz");
}

static void test_a_part_of_another_file_is_not_taken(void **state)
{
        static const char *const replies[] = {
                PART("ETag: \"v2\"\r\nContent-Range: bytes 3-5/6\r\nContent-Length: 3\r\n", "def"),
                PART("Last-Modified: today\r\nContent-Range: bytes 3-5/6\r\nContent-Length: 3\r\n", "def"),
                PART("ETag: \"v1\"\r\nContent-Range: bytes 3-5/7\r\nContent-Length: 3\r\n", "def"),
                PART("ETag: \"v1\"\r\nContent-Range: bytes 2-4/6\r\nContent-Length: 3\r\n", "def"),
                PART("ETag: \"v1\"\r\nContent-Range: bytes x-5/6\r\nContent-Length: 3\r\n", "def"),
                PART("ETag: \"v1\"\r\nContent-Range: pages 3-5/6\r\nContent-Length: 3\r\n", "def"),
                PART("ETag: \"v1\"\r\nContent-Length: 3\r\n", "def"),
                "HTTP/1.1 416 Range Not Satisfiable\r\nContent-Length: 0\r\n\r\n",
        };
        struct strbuf reason CLEANUP_STRBUF = { 0 };

        (void)state;
        for (size_t i = 0; i < sizeof(replies) / sizeof(replies[0]); i++) {
                struct got got = { 0 };

                assert_err(try_reply(replies[i], &rest, &got, &reason, NULL), -ESTALE);
                assert_false(got.begun);
        }
}

static void test_what_is_cut_off_may_go_better_later(void **state)
{
        static const char *const replies[] = {
                OK("Content-Length: 9\r\n", "abc"),
                "HTTP/1.1 500 Oops\r\nContent-Length: 0\r\n\r\n",
                "HTTP/1.1 503 Later\r\nContent-Length: 0\r\n\r\n",
                "HTTP/1.1 429 Too Many\r\nContent-Length: 0\r\n\r\n",
                "",
        };
        struct strbuf reason CLEANUP_STRBUF = { 0 };

        (void)state;
        for (size_t i = 0; i < sizeof(replies) / sizeof(replies[0]); i++) {
                struct got got = { 0 };

                assert_err(try_reply(replies[i], NULL, &got, &reason, NULL), -EAGAIN);
                assert_contains(strbuf_text(&reason), " ");
        }
}

static void test_a_server_that_says_nothing_is_given_up(void **state)
{
        struct strbuf reason CLEANUP_STRBUF = { 0 };
        struct got got = { 0 };
        time_t start = time(NULL);

        (void)state;
        assert_err(try_reply(NULL, NULL, &got, &reason, NULL), -EAGAIN);
        assert_contains(strbuf_text(&reason), "next to nothing");
        assert_true(time(NULL) - start < 10);
}

/* So little that the fetch would have gone on for days, and others' behind it. */
static void test_a_server_that_dribbles_is_given_up(void **state)
{
        struct strbuf reason CLEANUP_STRBUF = { 0 };
        struct got got = { 0 };

        (void)state;
        assert_err(try_reply(OK("X-How: dribble\r\nContent-Length: 1000000\r\n", "abc"), NULL, &got, &reason, NULL),
                   -EAGAIN);
        assert_contains(strbuf_text(&reason), "less than 16 KiB a second");
}

static void test_what_will_not_go_better_is_refused(void **state)
{
        static const struct {
                const char *reply, *words;
        } refused[] = {
                { "HTTP/1.1 404 Not Found\r\nContent-Length: 4\r\n\r\nabcd", "404 Not Found" },
                { "HTTP/1.1 401 alice:sesame\r\nContent-Length: 0\r\n\r\n", "401 ***:***" },
                { "HTTP/1.1 204 Nothing\r\n\r\n", "204 Nothing" },
                { "HTTP/1.1 300 Choose\r\nContent-Length: 4\r\n\r\nabcd", "300 Choose" },
                { PART("Content-Range: bytes 0-3/6\r\nContent-Length: 4\r\n", "abcd"), "206" },
                { OK("Content-Type: text/html\r\nContent-Length: 4\r\n", "abcd"), "web page" },
                { OK("Content-Type: Application/XHTML+xml\r\nContent-Length: 4\r\n", "abcd"), "web page" },
                { "HTTP/1.1 302 Away\r\nLocation: file:///etc/passwd\r\nContent-Length: 0\r\n\r\n", "not fetched from" },
                { "HTTP/1.1 302 Away\r\nLocation: smb://h/x\r\nContent-Length: 0\r\n\r\n", "not fetched from" },
                { "HTTP/1.1 302 Away\r\nLocation: http://169.254.169.254/\r\nContent-Length: 0\r\n\r\n", "address" },
                { "HTTP/1.1 302 Away\r\nLocation: /x\r\nConnection: close\r\nContent-Length: 0\r\n\r\n", "redirects" },
        };
        struct strbuf reason CLEANUP_STRBUF = { 0 };

        (void)state;
        for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++) {
                struct got got = { 0 };

                assert_err(try_reply(refused[i].reply, NULL, &got, &reason, NULL), -EPROTO);
                assert_contains(strbuf_text(&reason), refused[i].words);
                assert_false(got.begun);
        }
}

static void test_a_file_larger_than_the_limit_is_refused(void **state)
{
        struct strbuf reason CLEANUP_STRBUF = { 0 };
        struct got got = { 0 };

        (void)state;
        assert_err(try_reply(OK("Content-Length: 9000000000000000000\r\n", "abc"), NULL, &got, &reason, NULL), -EFBIG);
        assert_false(got.begun);
}

static void test_this_machine_is_for_those_who_may(void **state)
{
        struct strbuf reason CLEANUP_STRBUF = { 0 };
        struct pull stranger = { .reach_private = false };
        struct got got = { 0 };
        char request[4096];

        (void)state;
        assert_err(try_reply(OK("", "abc"), &stranger, &got, &reason, request), -EPROTO);
        assert_contains(strbuf_text(&reason), "for the administrator");
        assert_string_equal(request, "");
}

static void test_callbacks_can_end_it(void **state)
{
        struct strbuf reason CLEANUP_STRBUF = { 0 };
        struct got begin = { .begin_error = -ENOSPC }, write = { .write_error = -EIO }, poll = { .poll_error = -ECANCELED };

        (void)state;
        assert_err(try_reply(OK("Content-Length: 3\r\n", "abc"), NULL, &begin, &reason, NULL), -ENOSPC);
        assert_int_equal(begin.n, 0);
        assert_err(try_reply(OK("Content-Length: 3\r\n", "abc"), NULL, &write, &reason, NULL), -EIO);
        assert_err(try_reply(NULL, NULL, &poll, &reason, NULL), -ECANCELED);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_a_whole_file_comes_with_its_version),
                cmocka_unit_test(test_the_end_of_a_file_of_unknown_size_is_its_end),
                cmocka_unit_test(test_a_file_without_a_byte_begins_too),
                cmocka_unit_test(test_the_rest_is_asked_for_if_the_file_is_the_same),
                cmocka_unit_test(test_all_of_it_in_place_of_the_rest_begins_at_the_start),
                cmocka_unit_test(test_a_part_of_another_file_is_not_taken),
                cmocka_unit_test(test_what_is_cut_off_may_go_better_later),
                cmocka_unit_test(test_a_server_that_says_nothing_is_given_up),
                cmocka_unit_test(test_a_server_that_dribbles_is_given_up),
                cmocka_unit_test(test_what_will_not_go_better_is_refused),
                cmocka_unit_test(test_a_file_larger_than_the_limit_is_refused),
                cmocka_unit_test(test_this_machine_is_for_those_who_may),
                cmocka_unit_test(test_callbacks_can_end_it),
        };

        if (!pull_is_supported())
                return 77;
        return cmocka_run_group_tests(tests, NULL, NULL);
}

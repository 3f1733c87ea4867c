/* SPDX-License-Identifier: MIT */
/*
 * A bucket's client. Against a server here, which does what a test tells it for each request: answers, cuts, resets, says
 * nothing; and, where IMAGEFS_TEST_S3 is the address of a bucket (and the environment has its keys), against that one.
 */

#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <strings.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "blobstore/base/child_leash.h"
#include "blobstore/objects/s3.h"
#include "tests/lib/expect.h"

#define REQUEST_MAX ((size_t)64 << 10)
#define REQUESTS    32

enum doing { ANSWER, CUT, RESET, HANG, ECHO };

/* What the server does with the next request. */
struct step {
        enum doing doing;
        const char *answer; /* HANG, RESET: before that; ECHO: what the put before it was called, as the object's */
};

struct server {
        int listen_fd, stop[2];
        pthread_t thread;
        const struct step *steps;
        size_t n_steps;
        char *requests[REQUESTS]; /* as they came, without bodies but for their first bytes */
        atomic_size_t n_requests;
        struct s3 *client;
};

static const struct s3_keys keys = { .id = "AKID", .secret = "the-secret" };

/* Until it is all there: 0, or -1 where the client has gone, or the test is over. */
static int read_request(struct server *s, int fd, char *buf)
{
        size_t n = 0, want = 0;

        for (;;) {
                struct pollfd fds[] = { { .fd = fd, .events = POLLIN }, { .fd = s->stop[0], .events = POLLIN } };
                char *end, *length;
                ssize_t got;

                (void)poll(fds, 2, -1);
                if (fds[1].revents)
                        return -1;
                got = recv(fd, buf + n, REQUEST_MAX - 1 - n, 0);
                if (got <= 0)
                        return -1;
                n += (size_t)got;
                buf[n] = '\0';
                end = strstr(buf, "\r\n\r\n");
                if (!end)
                        continue;
                length = strcasestr(buf, "\r\ncontent-length: ");
                want = (size_t)(end + 4 - buf) + (length && length < end ? strtoul(length + 18, NULL, 10) : 0);
                if (n >= want)
                        return 0;
        }
}

/* Of the request before the last. */
static void echo_put(struct server *s, int fd)
{
        const char *put = strstr(s->requests[atomic_load(&s->n_requests) - 2], "x-amz-meta-put: ");
        char answer[256];

        (void)snprintf(answer, sizeof(answer), "HTTP/1.1 200 OK\r\n%.48s\r\nContent-Length: 5\r\n\r\n", put);
        (void)!send(fd, answer, strlen(answer), MSG_NOSIGNAL);
}

static void serve_connection(struct server *s, int fd, char *buf)
{
        while (read_request(s, fd, buf) == 0) {
                const size_t at = atomic_fetch_add(&s->n_requests, 1);
                const struct step none = { ANSWER, "HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n" };
                const struct step *step = at < s->n_steps ? &s->steps[at] : &none;

                if (at < REQUESTS)
                        s->requests[at] = strdup(buf);
                if (step->answer)
                        (void)!send(fd, step->answer, strlen(step->answer), MSG_NOSIGNAL);
                if (step->doing == ECHO)
                        echo_put(s, fd);
                if (step->doing == ANSWER || step->doing == ECHO)
                        continue;
                if (step->doing == RESET)
                        (void)setsockopt(fd, SOL_SOCKET, SO_LINGER, &(struct linger){ 1, 0 }, sizeof(struct linger));
                if (step->doing == HANG) {
                        struct pollfd fds[] = { { .fd = fd, .events = POLLIN }, { .fd = s->stop[0], .events = POLLIN } };

                        (void)poll(fds, 2, -1);
                }
                return;
        }
}

static void *serve(void *arg)
{
        struct server *s = arg;
        char *buf = malloc(REQUEST_MAX);

        for (;;) {
                struct pollfd fds[] = { { .fd = s->listen_fd, .events = POLLIN }, { .fd = s->stop[0], .events = POLLIN } };
                int fd;

                (void)poll(fds, 2, -1);
                if (fds[1].revents)
                        break;
                fd = accept(s->listen_fd, NULL, NULL);
                serve_connection(s, fd, buf);
                (void)close(fd);
        }
        free(buf);
        return NULL;
}

static void client_new(struct server *s, const char *address, const struct s3_keys *with, unsigned deadline_ms,
                       unsigned stall_ms)
{
        CLEANUP_STRBUF struct strbuf why = { 0 };
        struct s3_opts opts = { .keys = with, .deadline_ms = deadline_ms, .stall_ms = stall_ms };

        assert_ok(s3_place_parse(address, &opts.place, &why));
        assert_ok(s3_new(&opts, &s->client));
}

static void begin(struct server *s, const struct step *steps, size_t n, unsigned deadline_ms, unsigned stall_ms)
{
        struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
        socklen_t size = sizeof(a);
        char address[128];

        *s = (struct server){ .steps = steps, .n_steps = n };
        s->listen_fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        assert_int_equal(bind(s->listen_fd, (struct sockaddr *)&a, size), 0);
        assert_int_equal(listen(s->listen_fd, 16), 0);
        assert_int_equal(getsockname(s->listen_fd, (struct sockaddr *)&a, &size), 0);
        assert_int_equal(pipe(s->stop), 0);
        assert_int_equal(pthread_create(&s->thread, NULL, serve, s), 0);
        (void)snprintf(address, sizeof(address), "s3://lib/p endpoint=http://127.0.0.1:%u", ntohs(a.sin_port));
        client_new(s, address, &keys, deadline_ms, stall_ms);
}

static void end(struct server *s)
{
        s3_free(s->client);
        (void)close(s->stop[1]);
        (void)pthread_join(s->thread, NULL);
        (void)close(s->stop[0]);
        (void)close(s->listen_fd);
        for (size_t i = 0; i < REQUESTS; i++)
                free(s->requests[i]);
}

#define BEGIN(s, deadline, ...) BEGIN_STALL(s, deadline, LONG, __VA_ARGS__)
#define BEGIN_STALL(s, deadline, stall, ...)                                             \
        static const struct step steps[] = { __VA_ARGS__ };                 \
        struct server s;                                                    \
        CLEANUP_STRBUF struct strbuf why = { 0 };                           \
        (void)state;                                                        \
        if (!s3_is_supported())                                             \
                skip();                                                     \
        begin(&s, steps, sizeof(steps) / sizeof(steps[0]), deadline, stall)

#define LONG      60000 /* nothing here takes that long */
#define EMPTY(st) "HTTP/1.1 " st "\r\nContent-Length: 0\r\n\r\n"
#define SLOW_DOWN \
        "HTTP/1.1 503 Slow Down\r\nContent-Length: 60\r\n\r\n<Error><Code>SlowDown</Code><Message>Later</Message></Error>"
#define PART(range, bytes, n) "HTTP/1.1 206 Partial Content\r\nContent-Range: bytes " range "\r\nContent-Length: " n "\r\n\r\n" bytes

static int file_of(const char *text)
{
        int fd = memfd_create("body", MFD_CLOEXEC);

        assert_int_equal(write(fd, text, strlen(text)), strlen(text));
        return fd;
}

static void test_a_put_is_whole_signed_and_conditional(void **state)
{
        BEGIN(s, LONG, { ANSWER, EMPTY("200 OK") }, { ANSWER, EMPTY("412 Precondition Failed") },
              { ANSWER, EMPTY("200 OK") });
        int fd = file_of("hello");

        assert_ok(s3_put(s.client, "maps/a b", fd, 5, &why));
        assert_contains(s.requests[0], "PUT /lib/p/maps/a%20b HTTP/1.1\r\n");
        assert_contains(s.requests[0], "\r\nif-none-match: *\r\n");
        assert_contains(s.requests[0], "content-sha256: 2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824\r\n");
        assert_contains(s.requests[0], "\r\nx-amz-meta-put: ");
        assert_contains(s.requests[0], "Credential=AKID/");
        assert_contains(s.requests[0], "\r\n\r\nhello");
        assert_null(strstr(s.requests[0], keys.secret));
        assert_err(s3_put(s.client, "maps/a b", fd, 5, &why), -EEXIST);
        assert_contains(strbuf_text(&why), "412");
        assert_err(s3_put(s.client, "longer than the file", fd, 6, NULL), -ENODATA);
        assert_int_equal(s.n_requests, 3);
        end(&s);
        (void)close(fd);
}

static void test_a_server_that_is_busy_is_asked_again(void **state)
{
        BEGIN(s, LONG, { ANSWER, SLOW_DOWN }, { ANSWER, SLOW_DOWN }, { RESET, NULL }, { CUT, "HTTP/1.1 200 OK\r\nContent-Le" },
              { ANSWER, EMPTY("200 OK") });
        int fd = file_of("hello");

        assert_ok(s3_put(s.client, "a", fd, 5, &why));
        assert_int_equal(s.n_requests, 5);
        for (size_t i = 0; i < 5; i++)
                assert_contains(s.requests[i], "\r\n\r\nhello");
        assert_string_equal(strbuf_text(&why), "");
        end(&s);
        (void)close(fd);
}

/* The first try was carried out, and its answer was lost: what the second finds is ours. */
static void test_what_a_lost_try_has_put_is_known_again(void **state)
{
        BEGIN(s, LONG, { RESET, NULL }, { ANSWER, EMPTY("412 Precondition Failed") }, { ECHO, NULL }, { RESET, NULL },
              { ANSWER, EMPTY("412 Precondition Failed") }, { ECHO, NULL }, { RESET, NULL },
              { ANSWER, EMPTY("412 Precondition Failed") },
              { ANSWER, "HTTP/1.1 200 OK\r\nx-amz-meta-put: another\r\nContent-Length: 5\r\n\r\n" });
        int fd = file_of("hello");

        assert_ok(s3_put(s.client, "a", fd, 5, &why));
        assert_contains(s.requests[2], "HEAD /lib/p/a ");
        assert_ok(s3_put(s.client, "a", fd, 5, &why)); /* over a connection that was kept, where libcurl tries again */
        assert_err(s3_put(s.client, "a", fd, 5, &why), -EEXIST);
        assert_int_equal(s.n_requests, 9);
        end(&s);
        (void)close(fd);
}

static void test_a_part_is_held_against_what_was_asked(void **state)
{
        BEGIN(s, LONG, { ANSWER, PART("10-13/100", "abcd", "4") }, { ANSWER, PART("10-11/12", "ab", "2") },
              { ANSWER, EMPTY("416 Range Not Satisfiable") }, { ANSWER, PART("11-14/100", "abcd", "4") },
              { ANSWER, PART("10-11/100", "ab", "2") }, { ANSWER, PART("10-13/100", "abcde", "5") },
              { ANSWER, "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nabcd" }, { CUT, PART("10-13/100", "ab", "4") },
              { ANSWER, PART("10-13/100", "abcd", "4") });
        char buf[4];
        size_t n = 0;

        assert_ok(s3_get(s.client, "a", 10, buf, 4, &n, NULL, &why));
        assert_int_equal(n, 4);
        assert_memory_equal(buf, "abcd", 4);
        assert_contains(s.requests[0], "\r\nrange: bytes=10-13\r\n");
        assert_ok(s3_get(s.client, "a", 10, buf, 4, &n, NULL, &why));
        assert_int_equal(n, 2); /* its end */
        assert_ok(s3_get(s.client, "a", 10, buf, 4, &n, NULL, &why));
        assert_int_equal(n, 0); /* behind it */
        for (int i = 0; i < 4; i++) /* from elsewhere, too short, too long, all of it */
                assert_err(s3_get(s.client, "a", 10, buf, 4, &n, NULL, &why), -EPROTO);
        assert_contains(strbuf_text(&why), "than was asked for");
        assert_ok(s3_get(s.client, "a", 10, buf, 4, &n, NULL, &why)); /* one that was cut is asked for again */
        assert_int_equal(n, 4);
        assert_int_equal(s.n_requests, 9);
        assert_ok(s3_get(s.client, "a", 10, buf, 0, &n, NULL, &why));
        assert_int_equal(n, 0);
        end(&s);
}

static void test_refusals_have_an_errno_and_no_second_try(void **state)
{
#define REFUSAL(st, code, n) { ANSWER, "HTTP/1.1 " st "\r\nContent-Length: " n "\r\n\r\n<Error><Code>" code "</Code></Error>" }
        BEGIN(s, LONG, REFUSAL("404 Not Found", "NoSuchKey", "37"), REFUSAL("404 Not Found", "NoSuchBucket", "40"),
              REFUSAL("403 Forbidden", "AccessDenied", "40"), REFUSAL("403 Forbidden", "QuotaExceeded", "41"),
              REFUSAL("401 Unauthorized", "Unauthorized", "40"), REFUSAL("507 Insufficient Storage", "Full", "32"),
              REFUSAL("301 Moved Permanently", "PermanentRedirect", "45"),
              REFUSAL("501 Not Implemented", "NotImplemented", "42"), REFUSAL("501 Not Implemented", "Not\33[31m\377", "37"));
        static const int errors[] = { -ENOENT, -ENODEV, -EACCES, -EDQUOT, -EACCES, -EDQUOT, -EIO, -EIO, -EIO };
        char buf[4];
        size_t n;

        for (size_t i = 0; i < sizeof(errors) / sizeof(errors[0]); i++) {
                strbuf_reset(&why);
                assert_err(s3_get(s.client, "a", 0, buf, 4, &n, NULL, &why), errors[i]);
                assert_int_equal(s.n_requests, i + 1);
                assert_contains(strbuf_text(&why), "s3://lib: GET a: the server answers ");
                if (i == 7)
                        assert_contains(strbuf_text(&why), "501 NotImplemented");
        }
        assert_contains(strbuf_text(&why), "501 Not?[31m?"); /* whoever reads it has a terminal */
        end(&s);
}

static void test_size_and_removal(void **state)
{
        BEGIN(s, LONG, { ANSWER, "HTTP/1.1 200 OK\r\nContent-Length: 123456\r\n\r\n" }, { ANSWER, EMPTY("404 Not Found") },
              { ANSWER, "HTTP/1.1 204 No Content\r\n\r\n" }, { ANSWER, EMPTY("404 Not Found") },
              { ANSWER, EMPTY("403 Forbidden") });
        uint64_t size = 0;

        assert_ok(s3_size(s.client, "a", &size, &why));
        assert_int_equal(size, 123456);
        assert_err(s3_size(s.client, "a", &size, &why), -ENOENT);
        assert_ok(s3_remove(s.client, "a", &why));
        assert_contains(s.requests[2], "DELETE /lib/p/a ");
        assert_ok(s3_remove(s.client, "a", &why));
        assert_err(s3_remove(s.client, "a", &why), -EACCES);
        end(&s);
}

static int64_t now_ms(void)
{
        struct timespec ts;

        (void)clock_gettime(CLOCK_MONOTONIC, &ts);
        return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

/* Whatever has kept it: nothing is sent that was to be sent before, be it the first time or again. */
static void test_a_removal_may_come_too_late(void **state)
{
        BEGIN(s, LONG, { ANSWER, SLOW_DOWN }, { ANSWER, "HTTP/1.1 204 No Content\r\n\r\n" }, { ANSWER, SLOW_DOWN },
              { ANSWER, SLOW_DOWN }, { ANSWER, SLOW_DOWN }, { ANSWER, SLOW_DOWN }, { ANSWER, SLOW_DOWN }, { ANSWER, SLOW_DOWN });

        assert_err(s3_remove_until(s.client, "a", s3_clock_ms() - 1, &why), -ESTALE);
        assert_int_equal(s.n_requests, 0);
        assert_ok(s3_remove_until(s.client, "a", s3_clock_ms() + LONG, &why));
        assert_int_equal(s.n_requests, 2);
        assert_err(s3_remove_until(s.client, "a", s3_clock_ms() + 200, &why), -ESTALE);
        end(&s);
}

/* Not before, and then at once: how much later is the machine's. */
static void test_the_deadline_ends_all_tries(void **state)
{
        BEGIN(s, 1500, { ANSWER, SLOW_DOWN }, { HANG, NULL }, { HANG, NULL }, { HANG, NULL });
        int64_t began = now_ms();
        uint64_t size;

        assert_err(s3_size(s.client, "a", &size, &why), -ETIMEDOUT);
        assert_true(now_ms() - began >= 1000);
        assert_contains(strbuf_text(&why), "for 1500 ms");
        end(&s);
}

static void test_a_connection_that_stands_still_is_given_up(void **state)
{
        BEGIN_STALL(s, LONG, 1000, { HANG, "HTTP/1.1 206 Partial Content\r\nContent-Range: bytes 0-3/4\r\nContent-Length: 4\r\n\r\nab" },
              { ANSWER, PART("0-3/4", "abcd", "4") }, { ANSWER, PART("0-3/4", "abcd", "4") },
              { ANSWER, PART("0-3/4", "abcd", "4") }, { ANSWER, PART("0-3/4", "abcd", "4") });
        char buf[4];
        size_t n;

        assert_ok(s3_get(s.client, "a", 0, buf, 4, &n, NULL, &why));
        assert_memory_equal(buf, "abcd", 4);
        assert_true(s.n_requests >= 2); /* a machine may stand still as well */
        end(&s);
}

static void *stop_when_asked(void *arg)
{
        struct server *s = arg;

        while (atomic_load(&s->n_requests) == 0)
                (void)sched_yield();
        s3_stop(s->client);
        return NULL;
}

static void test_what_is_at_work_can_be_stopped(void **state)
{
        BEGIN(s, LONG, { HANG, NULL });
        pthread_t thread;
        uint64_t size;

        assert_int_equal(pthread_create(&thread, NULL, stop_when_asked, &s), 0);
        assert_err(s3_size(s.client, "a", &size, &why), -ECANCELED);
        (void)pthread_join(thread, NULL);
        assert_err(s3_size(s.client, "a", &size, &why), -ECANCELED);
        assert_int_equal(s.n_requests, 1);
        end(&s);
}

struct ending {
        struct server *s;
        struct child_leash *leash; /* NULL: the client is stopped */
        atomic_int_fast64_t since_ms;
};

static void *end_when_asked(void *arg)
{
        struct ending *e = arg;

        while (atomic_load(&e->s->n_requests) == 0)
                (void)sched_yield();
        (void)usleep(300000); /* libcurl's timer of a new connection comes after 200 ms: past that it waits a whole second */
        atomic_store(&e->since_ms, now_ms());
        if (e->leash)
                child_leash_pull(e->leash);
        else
                s3_stop(e->s->client);
        return NULL;
}

/* How long it takes until somebody has -ECANCELED whose request hangs. */
static int64_t ended_after(void **state, bool by_leash)
{
        struct child_leash leash = CHILD_LEASH_INIT;
        BEGIN(s, LONG, { HANG, NULL });
        struct ending e = { .s = &s, .leash = by_leash ? &leash : NULL };
        pthread_t thread;
        uint64_t size;
        int64_t after;

        child_leash_take(e.leash);
        assert_int_equal(pthread_create(&thread, NULL, end_when_asked, &e), 0);
        assert_err(s3_size(s.client, "a", &size, &why), -ECANCELED);
        (void)pthread_join(thread, NULL);
        after = now_ms() - e.since_ms;
        assert_null(leash.first);
        child_leash_take(NULL);
        end(&s);
        return after;
}

/* libcurl by itself looks once a second; a machine may stand still, but not each time. */
static void test_what_is_at_work_ends_at_once(void **state)
{
        for (int by_leash = 0; by_leash < 2; by_leash++) {
                int64_t best = INT64_MAX;

                for (int i = 0; i < 20 && best >= 500; i++) {
                        const int64_t after = ended_after(state, by_leash);

                        best = after < best ? after : best;
                }
                assert_true(best < 500);
        }
}

static int count(void *ctx, const char *name, uint64_t size)
{
        strbuf_addf(ctx, "%s:%ju ", name, (uintmax_t)size);
        return 0;
}

#define PAGE(n, more, rest)                                                                                        \
        "HTTP/1.1 200 OK\r\nContent-Length: " n "\r\n\r\n<ListBucketResult><IsTruncated>" more "</IsTruncated>" rest \
        "</ListBucketResult>"
#define OBJECT(name) "<Contents><Key>p%2F" name "</Key><Size>1</Size></Contents>"
#define NEXT(token)  "<NextContinuationToken>" token "</NextContinuationToken>"

static void test_a_list_goes_on_to_its_end(void **state)
{
        BEGIN(s, LONG, { ANSWER, PAGE("174", "true", OBJECT("a") NEXT("x/1&amp;")) }, { ANSWER, PAGE("120", "false", OBJECT("b")) },
              { ANSWER, PAGE("167", "true", OBJECT("a") NEXT("x")) }, { ANSWER, PAGE("167", "true", OBJECT("a") NEXT("x")) },
              { ANSWER, PAGE("167", "true", OBJECT("a") NEXT("x")) }, { ANSWER, EMPTY("403 Forbidden") });
        CLEANUP_STRBUF struct strbuf seen = { 0 };

        assert_ok(s3_list(s.client, "m/", count, &seen, &why));
        assert_string_equal(strbuf_text(&seen), "a:1 b:1 ");
        assert_contains(s.requests[0], "GET /lib?encoding-type=url&list-type=2&prefix=p%2Fm%2F HTTP");
        assert_contains(s.requests[1], "?continuation-token=x%2F1%26&encoding-type=url&");
        assert_err(s3_list(s.client, "m/", count, &seen, &why), -EPROTO); /* the same again: it would never end */
        assert_err(s3_list(s.client, "m/", count, &seen, &why), -EACCES); /* what came before is no list */
        assert_int_equal(s.n_requests, 6);
        end(&s);
}

static void test_a_server_that_does_not_keep_it_is_found_out(void **state)
{
        BEGIN(s, LONG, { ANSWER, EMPTY("200 OK") }, { ANSWER, EMPTY("200 OK") }, { ANSWER, "HTTP/1.1 204 No Content\r\n\r\n" });

        assert_err(s3_probe(s.client, &why), -EPROTO);
        assert_contains(strbuf_text(&why), "gives a name twice");
        assert_contains(s.requests[2], "DELETE /lib/p/probe-");
        assert_int_equal(s.n_requests, 3);
        end(&s);
}

static void test_nobody_there_is_the_deadline(void **state)
{
        struct server s = { 0 };
        CLEANUP_STRBUF struct strbuf why = { 0 };
        uint64_t size;

        (void)state;
        if (!s3_is_supported())
                skip();
        client_new(&s, "s3://lib endpoint=http://127.0.0.1:1", &keys, 300, LONG);
        assert_err(s3_size(s.client, "a", &size, &why), -ETIMEDOUT);
        assert_null(strstr(strbuf_text(&why), keys.secret));
        s3_free(s.client);
}

/* ---- a bucket ---- */

static void test_a_real_bucket(void **state)
{
        const char *address = getenv("IMAGEFS_TEST_S3");
        CLEANUP_STRBUF struct strbuf why = { 0 }, seen = { 0 };
        struct server s = { 0 };
        struct s3_keys real;
        const size_t big = (size_t)20 << 20;
        int fd, small_fd;
        uint64_t size;
        char *bytes, *back;
        size_t n;

        (void)state;
        if (!address || !s3_is_supported())
                skip();
        assert_ok(s3_keys_find("", &real, &why));
        client_new(&s, address, &real, 10 * LONG, LONG);
        if (s3_probe(s.client, &why) < 0)
                fail_msg("%s", strbuf_text(&why));

        bytes = malloc(big);
        back = malloc(big);
        for (size_t i = 0; i < big; i++)
                bytes[i] = (char)(i * 2654435761u >> 13);
        fd = memfd_create("big", MFD_CLOEXEC);
        assert_int_equal(write(fd, bytes, big), big);
        assert_ok(s3_put(s.client, "segments/a +&=ä", fd, big, &why));
        assert_err(s3_put(s.client, "segments/a +&=ä", fd, big, &why), -EEXIST);
        assert_ok(s3_size(s.client, "segments/a +&=ä", &size, &why));
        assert_int_equal(size, big);
        assert_ok(s3_get(s.client, "segments/a +&=ä", 0, back, big, &n, NULL, &why));
        assert_int_equal(n, big);
        assert_memory_equal(bytes, back, big);
        assert_ok(s3_get(s.client, "segments/a +&=ä", big - 10, back, 100, &n, NULL, &why));
        assert_int_equal(n, 10);
        assert_memory_equal(bytes + big - 10, back, 10);
        assert_ok(s3_get(s.client, "segments/a +&=ä", big, back, 100, &n, NULL, &why));
        assert_int_equal(n, 0);

        small_fd = file_of("x");
        for (int i = 0; i < 1203; i++) {
                char name[32];

                (void)snprintf(name, sizeof(name), "maps/%04d", i);
                assert_ok(s3_put(s.client, name, small_fd, i % 2, &why));
        }
        assert_ok(s3_list(s.client, "maps/", count, &seen, &why));
        assert_contains(strbuf_text(&seen), "maps/0000:0 maps/0001:1 ");
        assert_contains(strbuf_text(&seen), "maps/1202:0 ");
        n = 0;
        for (const char *at = strbuf_text(&seen); (at = strchr(at, ' ')); at++)
                n++;
        assert_int_equal(n, 1203);
        strbuf_reset(&seen);
        assert_ok(s3_list(s.client, "segments/", count, &seen, &why));
        assert_string_equal(strbuf_text(&seen), "segments/a +&=ä:20971520 ");

        assert_ok(s3_remove(s.client, "segments/a +&=ä", &why));
        assert_ok(s3_remove(s.client, "segments/a +&=ä", &why));
        assert_err(s3_get(s.client, "segments/a +&=ä", 0, back, 100, &n, NULL, &why), -ENOENT);
        for (int i = 0; i < 1203; i++) {
                char name[32];

                (void)snprintf(name, sizeof(name), "maps/%04d", i);
                assert_ok(s3_remove(s.client, name, &why));
        }
        s3_free(s.client);

        real.secret[0] ^= 1;
        client_new(&s, address, &real, 10 * LONG, LONG);
        assert_err(s3_size(s.client, "a", &size, &why), -EACCES);
        assert_err(s3_probe(s.client, &why), -EACCES);
        s3_free(s.client);
        (void)close(fd);
        (void)close(small_fd);
        free(bytes);
        free(back);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_a_put_is_whole_signed_and_conditional),
                cmocka_unit_test(test_a_server_that_is_busy_is_asked_again),
                cmocka_unit_test(test_what_a_lost_try_has_put_is_known_again),
                cmocka_unit_test(test_a_part_is_held_against_what_was_asked),
                cmocka_unit_test(test_refusals_have_an_errno_and_no_second_try),
                cmocka_unit_test(test_size_and_removal),
                cmocka_unit_test(test_a_removal_may_come_too_late),
                cmocka_unit_test(test_the_deadline_ends_all_tries),
                cmocka_unit_test(test_a_connection_that_stands_still_is_given_up),
                cmocka_unit_test(test_what_is_at_work_can_be_stopped),
                cmocka_unit_test(test_what_is_at_work_ends_at_once),
                cmocka_unit_test(test_a_list_goes_on_to_its_end),
                cmocka_unit_test(test_a_server_that_does_not_keep_it_is_found_out),
                cmocka_unit_test(test_nobody_there_is_the_deadline),
                cmocka_unit_test(test_a_real_bucket),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: MIT */

#include "blobstore/objects/s3.h"

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

#include "blobstore/base/child_leash.h"
#include "blobstore/base/cleanup.h"
#include "blobstore/base/lock.h"
#include "blobstore/base/parse.h"
#include "blobstore/hash/sha256.h"
#include "blobstore/objects/s3_http_priv.h"
#include "blobstore/objects/s3_list.h"
#include "blobstore/objects/s3_sign.h"

#define PAUSE_MS     50 /* after the first try; it doubles */
#define PAUSE_MAX_MS 2000
#define SLOW_BYTES_PER_MS 64 /* no line is slower than that */
#define LIST_BYTES   ((size_t)4 << 20) /* of a thousand names, however long they are */
#define NO_BODY_SHA  "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

struct s3 {
        struct s3_place place;
        struct s3_keys keys;
        unsigned deadline_ms, stall_ms;
        struct s3_http *http;
        pthread_mutex_t mutex;
        pthread_cond_t wake; /* by the clock that only goes forwards: of those who pause */
        atomic_bool stopped; /* set under the mutex */
};

/* A request with all its tries, and the answer of the last. */
struct call {
        const char *method, *name;
        const char *query; /* NULL: of the object NAME; else of the bucket */
        const char *headers; /* that are not signed, a line each; NULL: none */
        int fd; /* -1: no body */
        uint64_t size;
        char sha[S3_SHA_HEX]; /* of the body */
        char put[S3_PUT_HEX]; /* this call's own name, that the object will carry */
        void *buf;
        size_t n;
        int64_t until_ms; /* no try begins later, by s3_clock_ms(); 0: none but for the deadline */
        bool wrong; /* to be signed with other keys, as a test */
        struct s3_answer answer;
};

bool s3_is_supported(void)
{
        return s3_http_is_supported();
}

int s3_new(const struct s3_opts *opts, struct s3 **ret)
{
        struct s3 *s = calloc(1, sizeof(*s));
        int r;

        if (!s)
                return -ENOMEM;
        r = s3_http_new(&s->http);
        if (r < 0) {
                free(s);
                return r;
        }
        s->place = opts->place;
        s->keys = *opts->keys;
        s->deadline_ms = opts->deadline_ms;
        s->stall_ms = opts->stall_ms;
        (void)pthread_mutex_init(&s->mutex, NULL); /* cannot fail so */
        cond_init(&s->wake);
        *ret = s;
        return 0;
}

void s3_free(struct s3 *s)
{
        if (!s)
                return;
        s3_http_free(s->http);
        (void)pthread_cond_destroy(&s->wake);
        (void)pthread_mutex_destroy(&s->mutex);
        explicit_bzero(&s->keys, sizeof(s->keys));
        free(s);
}

void s3_stop(struct s3 *s)
{
        LOCK_SCOPE(&s->mutex);

        atomic_store(&s->stopped, true);
        (void)pthread_cond_broadcast(&s->wake);
        s3_http_wake(s->http);
}

/* ---- a request ---- */

static int64_t now_ms(void)
{
        struct timespec ts;

        (void)clock_gettime(CLOCK_MONOTONIC, &ts); /* cannot fail */
        return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

int64_t s3_clock_ms(void)
{
        struct timespec ts;

        (void)clock_gettime(CLOCK_BOOTTIME, &ts); /* cannot fail */
        return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

/* Host and path of the place, as they are signed and sent. */
static void locate(const struct s3 *s, const struct call *c, struct strbuf *host, struct strbuf *path)
{
        const char *end = strstr(s->place.endpoint, "://") + 3;
        const char *standard = s->place.endpoint[4] == 's' ? ":443" : ":80";
        size_t n = strlen(end), tail = strlen(standard);

        if (n > tail && strcmp(end + n - tail, standard) == 0)
                n -= tail; /* nobody sends it */
        if (!s->place.path_style)
                strbuf_addf(host, "%s.", s->place.bucket);
        strbuf_add_bytes(host, end, n);
        strbuf_add(path, "/");
        if (s->place.path_style) {
                strbuf_add(path, s->place.bucket);
                if (!c->query)
                        strbuf_add(path, "/");
        }
        if (!c->query) {
                s3_encode(s->place.prefix, false, path);
                s3_encode(c->name, false, path);
        }
}

static int try_once(struct s3 *s, struct call *c, unsigned left_ms)
{
        CLEANUP_STRBUF struct strbuf host = { 0 }, path = { 0 }, url = { 0 }, headers = { 0 };
        const struct s3_header meta = { S3_META_PUT, c->put };
        struct s3_keys keys = s->keys;
        struct s3_request rq;
        struct s3_try try;
        int r;

        locate(s, c, &host, &path);
        strbuf_addf(&url, "%.*s%s%s%s%s", s->place.endpoint[4] == 's' ? 8 : 7, s->place.endpoint, strbuf_text(&host),
                    strbuf_text(&path), c->query ? "?" : "", c->query ?: "");
        r = strbuf_error(&host) < 0 || strbuf_error(&path) < 0 ? -ENOMEM : strbuf_error(&url);
        if (c->wrong)
                keys.secret[0] ^= 1;
        rq = (struct s3_request){ .method = c->method, .host = strbuf_text(&host), .path = strbuf_text(&path),
                                  .query = c->query ?: "", .body_sha = c->fd >= 0 ? c->sha : NO_BODY_SHA,
                                  .headers = &meta, .n_headers = c->fd >= 0 ? 1 : 0 };
        if (r == 0)
                r = s3_sign(&rq, s->place.region, &keys, time(NULL), &headers);
        explicit_bzero(&keys, sizeof(keys));
        strbuf_add(&headers, "expect:\n"); /* one answer less to wait for */
        strbuf_add(&headers, c->headers ?: "");
        if (r == 0)
                r = strbuf_error(&headers);
        if (r == 0 && c->until_ms > 0 && s3_clock_ms() >= c->until_ms)
                r = -ESTALE;
        if (r < 0)
                return r;
        try = (struct s3_try){ .method = c->method, .url = strbuf_text(&url), .headers = strbuf_text(&headers), .fd = c->fd,
                               .size = c->size, .buf = c->buf, .n = c->n, .stall_ms = s->stall_ms, .deadline_ms = left_ms,
                               .stopped = &s->stopped };
        return s3_http_try(s->http, &try, &c->answer);
}

static bool passes(unsigned status)
{
        return status == 409 || status == 429 || status == 500 || status == 502 || status == 503 || status == 504;
}

static const struct {
        unsigned status;
        const char *code; /* NULL: any */
        int error;
} meanings[] = {
        { 404, "NoSuchBucket", -ENODEV },
        { 404, NULL, -ENOENT },
        { 412, NULL, -EEXIST },
        { 416, NULL, -ERANGE },
        { 403, "QuotaExceeded", -EDQUOT },
        { 507, NULL, -EDQUOT },
        { 401, NULL, -EACCES },
        { 403, NULL, -EACCES },
};

static int meaning(const struct s3_answer *a)
{
        if (a->status >= 200 && a->status < 300)
                return 0;
        for (size_t i = 0; i < sizeof(meanings) / sizeof(meanings[0]); i++) {
                if (meanings[i].status == a->status && (!meanings[i].code || strcmp(meanings[i].code, a->code) == 0))
                        return meanings[i].error;
        }
        return -EIO;
}

static int explain(const struct s3 *s, const struct call *c, int error, struct strbuf *why)
{
        const struct s3_answer *a = &c->answer;

        if (!why)
                return error;
        strbuf_addf(why, "s3://%s: %s %s: ", s->place.bucket, c->method, c->query ? "of the list" : c->name);
        if (a->error[0])
                strbuf_add(why, a->error);
        else if (a->status)
                strbuf_addf(why, "the server answers %u %s", a->status, a->code);
        else
                strbuf_add(why, strerror(-error));
        if (error == -ETIMEDOUT)
                strbuf_addf(why, ", for %u ms", s->deadline_ms);
        return error;
}

static bool is_stopped(struct s3 *s)
{
        return atomic_load(&s->stopped) || child_leash_is_pulled(child_leash_held());
}

static int pause_ms(struct s3 *s, unsigned ms)
{
        CLEANUP(child_leash_remove) struct child_on_leash wait;
        struct timespec due;

        child_leash_add_wait(&wait, &s->mutex, &s->wake);
        LOCK_SCOPE(&s->mutex);

        (void)clock_gettime(CLOCK_MONOTONIC, &due);
        due.tv_sec += ms / 1000;
        due.tv_nsec += (long)(ms % 1000) * 1000000;
        if (due.tv_nsec >= 1000000000) {
                due.tv_sec++;
                due.tv_nsec -= 1000000000;
        }
        while (!is_stopped(s) && pthread_cond_timedwait(&s->wake, &s->mutex, &due) != ETIMEDOUT)
                ;
        return is_stopped(s) ? -ECANCELED : 0;
}

/* So much longer a try may take that sends, or gets, all that it could, as long as it moves. */
static unsigned transfer_ms(const struct call *c)
{
        return (unsigned)((c->fd >= 0 ? c->size : c->n) / SLOW_BYTES_PER_MS);
}

/* Until there is an answer that stays, or the deadline. */
static int make(struct s3 *s, struct call *c, struct strbuf *why)
{
        const int64_t deadline = now_ms() + s->deadline_ms;
        unsigned pause = PAUSE_MS, wait;
        int r;

        for (;;) {
                const int64_t left = deadline - now_ms();

                if (is_stopped(s))
                        return explain(s, c, -ECANCELED, why);
                r = left > 0 ? try_once(s, c, (unsigned)left + transfer_ms(c)) : -EAGAIN;
                if (r < 0 && r != -EAGAIN)
                        return explain(s, c, r, why);
                if (r == 0 && !passes(c->answer.status)) {
                        r = meaning(&c->answer);
                        return r < 0 ? explain(s, c, r, why) : 0;
                }
                /* Not all who were sent away come back at the same moment. */
                wait = pause / 2 + (unsigned)(now_ms() * 7919 % (pause / 2 + 1));
                if (now_ms() + wait >= deadline)
                        return explain(s, c, -ETIMEDOUT, why);
                r = pause_ms(s, wait);
                if (r < 0)
                        return explain(s, c, r, why);
                pause = 2 * pause < PAUSE_MAX_MS ? 2 * pause : PAUSE_MAX_MS;
        }
}

static int cannot_be(const struct s3 *s, const struct call *c, const char *what, struct strbuf *why)
{
        if (why)
                strbuf_addf(why, "s3://%s: %s %s: %s", s->place.bucket, c->method, c->query ? "of the list" : c->name, what);
        return -EPROTO;
}

/* ---- what can be asked ---- */

int s3_put(struct s3 *s, const char *name, int fd, uint64_t size, struct strbuf *why)
{
        struct call c = { .method = "PUT", .name = name, .fd = fd, .size = size, .headers = "if-none-match: *\n" };
        struct call is = { .method = "HEAD", .name = name, .fd = -1 };
        CLEANUP_STRBUF struct strbuf first = { 0 };
        uint8_t digest[SHA256_SIZE], own[S3_PUT_BYTES];
        int r;

        r = sha256_file(fd, size, digest);
        if (r < 0)
                return explain(s, &c, r, why);
        if (getrandom(own, sizeof(own), 0) != sizeof(own))
                return -errno; /* cannot fail once the system runs */
        s3_hex(digest, sizeof(digest), c.sha);
        s3_hex(own, sizeof(own), c.put);
        r = make(s, &c, &first);
        /*
         * It may be a try of ours that has made it, whose answer was lost; libcurl, too, sends a request once more when it finds
         * that a connection it has kept was closed meanwhile, and says nothing.
         */
        if (r == -EEXIST) {
                r = make(s, &is, NULL);
                if (r < 0 && r != -ENOENT)
                        return explain(s, &is, r, why);
                r = r == 0 && strcmp(is.answer.put, c.put) == 0 ? 0 : -EEXIST;
        }
        if (r < 0 && why)
                strbuf_add(why, strbuf_text(&first));
        return r;
}

/* Of "bytes 0-9/100" the last; 0: there is none. */
static uint64_t size_in_range(const char *range)
{
        const char *slash = strchr(range, '/');
        uint64_t size;

        return slash && parse_u64(slash + 1, &size) == 0 ? size : 0;
}

int s3_get(struct s3 *s, const char *name, uint64_t from, void *buf, size_t n, size_t *ret_n, uint64_t *ret_size, struct strbuf *why)
{
        struct call c = { .method = "GET", .name = name, .fd = -1, .buf = buf, .n = n };
        char range[64], begins[64];
        int r;

        if (ret_size)
                *ret_size = 0;
        if (n == 0) {
                *ret_n = 0;
                return 0;
        }
        (void)snprintf(range, sizeof(range), "range: bytes=%" PRIu64 "-%" PRIu64 "\n", from, from + n - 1);
        (void)snprintf(begins, sizeof(begins), "bytes %" PRIu64 "-%" PRIu64 "/", from, from + n - 1);
        c.headers = range;
        r = make(s, &c, NULL);
        if (r == -ERANGE) { /* nothing of it is there */
                *ret_n = 0;
                return 0;
        }
        if (r < 0)
                return explain(s, &c, r, why);
        if (c.answer.too_long || c.answer.status != 206)
                return cannot_be(s, &c, "the server sends more than the part that was asked for", why);
        if (c.answer.got < n)
                (void)snprintf(begins, sizeof(begins), "bytes %" PRIu64 "-%" PRIu64 "/%" PRIu64, from, from + c.answer.got - 1,
                               from + c.answer.got);
        if (c.answer.got == 0 || strncmp(c.answer.range, begins, strlen(begins)) != 0)
                return cannot_be(s, &c, "the server sends another part than was asked for", why);
        *ret_n = c.answer.got;
        if (ret_size)
                *ret_size = size_in_range(c.answer.range);
        return 0;
}

int s3_size(struct s3 *s, const char *name, uint64_t *ret, struct strbuf *why)
{
        struct call c = { .method = "HEAD", .name = name, .fd = -1 };
        int r = make(s, &c, why);

        if (r < 0)
                return r;
        if (c.answer.length < 0)
                return cannot_be(s, &c, "the server does not say how large it is", why);
        *ret = (uint64_t)c.answer.length;
        return 0;
}

int s3_remove(struct s3 *s, const char *name, struct strbuf *why)
{
        return s3_remove_until(s, name, 0, why);
}

int s3_remove_until(struct s3 *s, const char *name, int64_t until_ms, struct strbuf *why)
{
        struct call c = { .method = "DELETE", .name = name, .fd = -1, .until_ms = until_ms };
        int r = make(s, &c, NULL);

        return r == 0 || r == -ENOENT ? 0 : explain(s, &c, r, why);
}

int s3_list(struct s3 *s, const char *start, s3_each_fn *each, void *ctx, struct strbuf *why)
{
        CLEANUP_FREE char *page = malloc(LIST_BYTES + 1);
        CLEANUP_STRBUF struct strbuf after = { 0 };
        int r;

        if (!page)
                return -ENOMEM;
        do {
                CLEANUP_STRBUF struct strbuf query = { 0 }, next = { 0 };
                struct call c = { .method = "GET", .fd = -1, .buf = page, .n = LIST_BYTES };

                if (strbuf_text(&after)[0]) {
                        strbuf_add(&query, "continuation-token=");
                        s3_encode(strbuf_text(&after), true, &query);
                        strbuf_add(&query, "&");
                }
                strbuf_add(&query, "encoding-type=url&list-type=2&prefix=");
                s3_encode(s->place.prefix, true, &query);
                s3_encode(start, true, &query);
                r = strbuf_error(&query);
                c.query = strbuf_text(&query);
                if (r == 0)
                        r = make(s, &c, why);
                if (r < 0)
                        return r;
                page[c.answer.got] = '\0';
                r = c.answer.too_long ? -EPROTO : s3_list_page(page, s->place.prefix, each, ctx, &next);
                if (r == -EPROTO)
                        return cannot_be(s, &c, "the server sends what is no list", why);
                if (r == 1 && strcmp(strbuf_text(&next), strbuf_text(&after)) == 0)
                        return cannot_be(s, &c, "the list does not go on", why);
                strbuf_reset(&after);
                strbuf_add(&after, strbuf_text(&next));
                if (r == 1 && strbuf_error(&after) < 0)
                        r = -ENOMEM;
        } while (r == 1);
        return r;
}

/* ---- what a server keeps ---- */

struct sought {
        const char *name;
        uint64_t size;
        bool found;
};

static int seek(void *ctx, const char *name, uint64_t size)
{
        struct sought *w = ctx;

        w->found |= strcmp(name, w->name) == 0 && size == w->size;
        return 0;
}

static int does_not(struct strbuf *why, const char *what)
{
        if (why)
                strbuf_addf(why, "this bucket cannot have a store: %s", what);
        return -EPROTO;
}

static int probe(struct s3 *s, const char *name, int fd, int other_fd, struct strbuf *why)
{
        struct sought sought = { name, 8, false };
        struct call forged = { .method = "GET", .name = name, .fd = -1 };
        char part[4], all[8];
        uint64_t size;
        size_t n;
        int r;

        r = s3_put(s, name, fd, 8, why);
        if (r < 0)
                return r;
        r = s3_put(s, name, other_fd, 8, NULL);
        if (r != -EEXIST)
                return does_not(why, "its server gives a name twice (it does not heed If-None-Match)");
        r = s3_get(s, name, 0, all, sizeof(all), &n, NULL, why);
        if (r < 0)
                return r;
        if (n != sizeof(all) || memcmp(all, "imagefs.", n) != 0)
                return does_not(why, "what was put first is not there");
        r = s3_get(s, name, 5, part, sizeof(part), &n, NULL, why);
        if (r < 0)
                return r;
        if (n != 3 || memcmp(part, "fs.", n) != 0)
                return does_not(why, "its server sends another part than was asked for");
        r = s3_size(s, name, &size, why);
        if (r == 0)
                r = s3_list(s, name, seek, &sought, why);
        if (r < 0)
                return r;
        if (size != 8 || !sought.found)
                return does_not(why, "what was put is not in the list at once");
        forged.buf = all;
        forged.n = sizeof(all);
        forged.wrong = true;
        r = make(s, &forged, NULL);
        if (r != -EACCES)
                return does_not(why, "its server lets in who signs wrongly");
        r = s3_remove(s, name, why);
        if (r < 0)
                return r;
        r = s3_size(s, name, &size, NULL);
        return r == -ENOENT ? 0 : does_not(why, "what was removed is still there");
}

int s3_probe(struct s3 *s, struct strbuf *why)
{
        CLEANUP_CLOSE int fd = memfd_create("probe", MFD_CLOEXEC), other_fd = memfd_create("probe", MFD_CLOEXEC);
        char name[64];
        int r;

        if (fd < 0 || other_fd < 0 || write(fd, "imagefs.", 8) != 8 || write(other_fd, "another.", 8) != 8)
                return -ENOMEM;
        (void)snprintf(name, sizeof(name), "probe-%lx-%lx", (long)getpid(), (long)now_ms());
        r = probe(s, name, fd, other_fd, why);
        if (r < 0)
                (void)s3_remove(s, name, NULL);
        return r;
}

/* SPDX-License-Identifier: MIT */
/*
 * Over libcurl, which is told nothing that it could send elsewhere: no proxy, no redirect, no .netrc. Whether anything moves is
 * looked at by its progress function, which comes at least once a second; its own limit of speed takes three times as long. Who is
 * to end is woken from libcurl's wait, which its simple interface has no way to.
 * Whom the system trusts, or the file SSL_CERT_FILE, proves the server's name.
 */

#include "blobstore/objects/s3_http_priv.h"

#include <curl/curl.h>
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/queue.h>
#include <time.h>
#include <unistd.h>

#include "blobstore/base/child_leash.h"
#include "blobstore/base/cleanup.h"
#include "blobstore/base/io.h"
#include "blobstore/base/lock.h"
#include "blobstore/base/parse.h"

#define KEPT_MAX   64 /* connections; a call that finds none makes one */
#define ERROR_MAX  4096 /* of an error's body */
#define BUFFER     (256L << 10)
#define CONNECT_MS 10000L
#define LOOK_MS    1000 /* whether anything moves */

struct connection {
        LIST_ENTRY(connection) link; /* while it is in use */
        CURL *easy;
        CURLM *multi; /* that EASY alone is in, while it is in use; it has what is connected */
};

struct s3_http {
        pthread_mutex_t mutex; /* of all that follows */
        LIST_HEAD(, connection) used;
        struct connection *kept[KEPT_MAX];
        size_t n_kept;
};

struct trying {
        const struct s3_try *try;
        struct s3_answer *answer;
        CURL *easy;
        uint64_t sent;
        int read_error;
        char error[ERROR_MAX + 1];
        size_t error_n;
        curl_off_t moved;
        int64_t moved_ms; /* when */
        bool stalled;
        bool headed; /* all headers have come */
};

static int64_t now_ms(void)
{
        struct timespec ts;

        (void)clock_gettime(CLOCK_MONOTONIC, &ts); /* cannot fail */
        return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

static void start_once(void)
{
        (void)curl_global_init(CURL_GLOBAL_DEFAULT); /* a failure comes back from curl_easy_init() */
}

bool s3_http_is_supported(void)
{
        return true;
}

int s3_http_new(struct s3_http **ret)
{
        static pthread_once_t once = PTHREAD_ONCE_INIT;
        struct s3_http *h = calloc(1, sizeof(*h));

        if (!h)
                return -ENOMEM;
        (void)pthread_once(&once, start_once);
        (void)pthread_mutex_init(&h->mutex, NULL); /* cannot fail so */
        *ret = h;
        return 0;
}

static void connection_free(struct connection *c)
{
        if (c->easy)
                curl_easy_cleanup(c->easy);
        (void)curl_multi_cleanup(c->multi); /* accepts NULL */
        free(c);
}

static struct connection *connection_new(void)
{
        struct connection *c = calloc(1, sizeof(*c));

        if (!c)
                return NULL;
        c->easy = curl_easy_init();
        c->multi = curl_multi_init();
        if (c->easy && c->multi)
                return c;
        connection_free(c);
        return NULL;
}

void s3_http_free(struct s3_http *h)
{
        if (!h)
                return;
        for (size_t i = 0; i < h->n_kept; i++)
                connection_free(h->kept[i]);
        (void)pthread_mutex_destroy(&h->mutex);
        free(h);
}

static struct connection *take_connection(struct s3_http *h)
{
        struct connection *c = NULL;

        {
                LOCK_SCOPE(&h->mutex);
                if (h->n_kept > 0)
                        c = h->kept[--h->n_kept];
        }
        if (!c)
                c = connection_new();
        if (!c)
                return NULL;
        LOCK_SCOPE(&h->mutex);
        LIST_INSERT_HEAD(&h->used, c, link);
        return c;
}

static void give_connection(struct s3_http *h, struct connection *c)
{
        curl_easy_reset(c->easy); /* what it was told points into the call */
        {
                LOCK_SCOPE(&h->mutex);
                LIST_REMOVE(c, link);
                if (h->n_kept < KEPT_MAX) {
                        h->kept[h->n_kept++] = c;
                        return;
                }
        }
        connection_free(c);
}

/* Of what waits for libcurl: CTX is a connection. */
static void wake(void *ctx)
{
        const struct connection *c = ctx;

        (void)curl_multi_wakeup(c->multi); /* where it cannot, the next look is within a second */
}

void s3_http_wake(struct s3_http *h)
{
        struct connection *c;

        LOCK_SCOPE(&h->mutex);
        LIST_FOREACH(c, &h->used, link)
                wake(c);
}

/* ---- what libcurl calls ---- */

static size_t on_body(char *bytes, size_t size, size_t n, void *ctx)
{
        struct trying *t = ctx;
        struct s3_answer *a = t->answer;
        long status = 0;

        n *= size;
        (void)curl_easy_getinfo(t->easy, CURLINFO_RESPONSE_CODE, &status);
        if (status >= 300) {
                size_t fits = n < ERROR_MAX - t->error_n ? n : ERROR_MAX - t->error_n;

                memcpy(t->error + t->error_n, bytes, fits);
                t->error_n += fits;
                return n;
        }
        if (n > t->try->n - a->got) {
                a->too_long = true;
                return CURL_WRITEFUNC_ERROR;
        }
        if (n > 0)
                memcpy((char *)t->try->buf + a->got, bytes, n);
        a->got += n;
        return n;
}

static bool take_header(const char *line, size_t n, const char *name, char *ret, size_t size)
{
        const size_t len = strlen(name);

        if (n <= len || strncasecmp(line, name, len) != 0 || line[len] != ':')
                return false;
        for (line += len + 1, n -= len + 1; n > 0 && (*line == ' ' || *line == '\t');)
                line++, n--;
        while (n > 0 && strchr("\r\n\t ", line[n - 1]))
                n--;
        (void)snprintf(ret, size, "%.*s", n < size ? (int)n : 0, line);
        return true;
}

static size_t on_header(char *line, size_t size, size_t n, void *ctx)
{
        struct trying *t = ctx;

        t->headed = size * n <= 2; /* the blank line */
        (void)(take_header(line, size * n, "content-range", t->answer->range, sizeof(t->answer->range)) ||
               take_header(line, size * n, S3_META_PUT, t->answer->put, sizeof(t->answer->put)));
        return size * n;
}

static size_t on_read(char *buf, size_t size, size_t n, void *ctx)
{
        struct trying *t = ctx;
        const uint64_t left = t->try->size - t->sent;
        ssize_t got;

        n = size * n < left ? size * n : (size_t)left;
        got = pread_full(t->try->fd, buf, n, (off_t)t->sent);
        if (got < 0 || (size_t)got < n) {
                t->read_error = got < 0 ? (int)got : -ENODATA;
                return CURL_READFUNC_ABORT;
        }
        t->sent += n;
        return n;
}

static int on_seek(void *ctx, curl_off_t to, int whence)
{
        struct trying *t = ctx;

        if (whence != SEEK_SET)
                return CURL_SEEKFUNC_CANTSEEK;
        t->sent = (uint64_t)to;
        return CURL_SEEKFUNC_OK;
}

static bool is_ended(const struct s3_try *try)
{
        return atomic_load(try->stopped) || child_leash_is_pulled(child_leash_held());
}

static int on_progress(void *ctx, curl_off_t down_all, curl_off_t down, curl_off_t up_all, curl_off_t up)
{
        struct trying *t = ctx;
        const int64_t now = now_ms();

        (void)down_all;
        (void)up_all;
        if (down + up != t->moved) {
                t->moved = down + up;
                t->moved_ms = now;
        }
        t->stalled = now - t->moved_ms >= (int64_t)t->try->stall_ms;
        return t->stalled || is_ended(t->try);
}

/* ---- a try ---- */

/* "<Code>SlowDown</Code>" of an error's body. What else it says may have the key's name in it. */
static void take_code(const char *body, char *ret)
{
        const char *code = strstr(body, "<Code>");

        if (!code)
                return;
        (void)snprintf(ret, S3_CODE_MAX, "%.*s", (int)strcspn(code + 6, "<\r\n"), code + 6);
        text_make_clean(ret); /* it is shown, and who says it may be anybody */
}

static int add_headers(const char *lines, struct curl_slist **list)
{
        CLEANUP_FREE char *copy = strdup(lines);
        char *rest = copy, *line;

        if (!copy)
                return -ENOMEM;
        while ((line = strsep(&rest, "\n"))) {
                struct curl_slist *longer = *line ? curl_slist_append(*list, line) : *list;

                if (*line && !longer)
                        return -ENOMEM;
                *list = longer;
        }
        return 0;
}

static void tell(struct trying *t, const struct curl_slist *headers)
{
        const char *authorities = secure_getenv("SSL_CERT_FILE");
        const struct s3_try *try = t->try;
        CURL *e = t->easy;

        if (authorities)
                curl_easy_setopt(e, CURLOPT_CAINFO, authorities);
        curl_easy_setopt(e, CURLOPT_URL, try->url);
        curl_easy_setopt(e, CURLOPT_PROTOCOLS_STR, "http,https");
        curl_easy_setopt(e, CURLOPT_HTTP_VERSION, CURL_HTTP_VERSION_1_1);
        curl_easy_setopt(e, CURLOPT_PROXY, "");
        curl_easy_setopt(e, CURLOPT_PATH_AS_IS, 1L);
        curl_easy_setopt(e, CURLOPT_NOSIGNAL, 1L);
        curl_easy_setopt(e, CURLOPT_TCP_NODELAY, 1L);
        curl_easy_setopt(e, CURLOPT_BUFFERSIZE, BUFFER);
        curl_easy_setopt(e, CURLOPT_HTTPHEADER, headers);
        curl_easy_setopt(e, CURLOPT_CONNECTTIMEOUT_MS, CONNECT_MS);
        curl_easy_setopt(e, CURLOPT_TIMEOUT_MS, (long)try->deadline_ms);
        curl_easy_setopt(e, CURLOPT_NOPROGRESS, 0L);
        curl_easy_setopt(e, CURLOPT_XFERINFOFUNCTION, on_progress);
        curl_easy_setopt(e, CURLOPT_XFERINFODATA, t);
        curl_easy_setopt(e, CURLOPT_WRITEFUNCTION, on_body);
        curl_easy_setopt(e, CURLOPT_WRITEDATA, t);
        curl_easy_setopt(e, CURLOPT_HEADERFUNCTION, on_header);
        curl_easy_setopt(e, CURLOPT_HEADERDATA, t);
        if (try->fd >= 0) {
                curl_easy_setopt(e, CURLOPT_UPLOAD, 1L);
                curl_easy_setopt(e, CURLOPT_UPLOAD_BUFFERSIZE, BUFFER);
                curl_easy_setopt(e, CURLOPT_INFILESIZE_LARGE, (curl_off_t)try->size);
                curl_easy_setopt(e, CURLOPT_READFUNCTION, on_read);
                curl_easy_setopt(e, CURLOPT_READDATA, t);
                curl_easy_setopt(e, CURLOPT_SEEKFUNCTION, on_seek);
                curl_easy_setopt(e, CURLOPT_SEEKDATA, t);
        } else if (strcmp(try->method, "HEAD") == 0) {
                curl_easy_setopt(e, CURLOPT_NOBODY, 1L);
        } else {
                curl_easy_setopt(e, CURLOPT_CUSTOMREQUEST, try->method);
        }
}

static int judge(struct trying *t, CURLcode code)
{
        struct s3_answer *a = t->answer;

        if (a->too_long) /* of what there is an answer to, and enough of it */
                return 0;
        if (code == CURLE_OK && t->headed)
                return 0;
        if (t->read_error < 0)
                return t->read_error;
        if (is_ended(t->try))
                return -ECANCELED;
        (void)snprintf(a->error, sizeof(a->error), "%s", t->stalled ? "nothing moves"
                                                             : code == CURLE_OK ? "the answer was cut"
                                                                                : curl_easy_strerror(code));
        switch (code) {
        case CURLE_OUT_OF_MEMORY:
                return -ENOMEM;
        case CURLE_PEER_FAILED_VERIFICATION:
        case CURLE_SSL_CACERT_BADFILE:
                return -EKEYREJECTED;
        case CURLE_URL_MALFORMAT:
        case CURLE_UNSUPPORTED_PROTOCOL:
                return -EINVAL;
        default:
                return -EAGAIN;
        }
}

/* As curl_easy_perform(), which could not be woken. */
static CURLcode perform(struct connection *c, const struct s3_try *try)
{
        CLEANUP(child_leash_remove) struct child_on_leash wait;
        CURLcode code = CURLE_ABORTED_BY_CALLBACK;
        int running, left;
        CURLMcode failed;
        CURLMsg *message;

        if (curl_multi_add_handle(c->multi, c->easy) != CURLM_OK)
                return CURLE_OUT_OF_MEMORY;
        child_leash_add_wake(&wait, wake, c);
        for (;;) {
                failed = is_ended(try) ? CURLM_ABORTED_BY_CALLBACK : curl_multi_perform(c->multi, &running);
                if (failed != CURLM_OK || running == 0)
                        break;
                failed = curl_multi_poll(c->multi, NULL, 0, LOOK_MS, NULL);
                if (failed != CURLM_OK)
                        break;
        }
        message = failed == CURLM_OK ? curl_multi_info_read(c->multi, &left) : NULL;
        if (message)
                code = message->data.result;
        else if (failed == CURLM_OUT_OF_MEMORY)
                code = CURLE_OUT_OF_MEMORY;
        (void)curl_multi_remove_handle(c->multi, c->easy); /* cannot fail so */
        return code;
}

int s3_http_try(struct s3_http *h, const struct s3_try *try, struct s3_answer *ret)
{
        struct trying t = { .try = try, .answer = ret, .moved_ms = now_ms() };
        struct curl_slist *headers = NULL;
        struct connection *c;
        curl_off_t length = -1;
        long status = 0;
        int r;

        *ret = (struct s3_answer){ .length = -1 };
        r = add_headers(try->headers, &headers);
        c = r == 0 ? take_connection(h) : NULL;
        if (!c) {
                curl_slist_free_all(headers);
                return -ENOMEM;
        }
        t.easy = c->easy;
        tell(&t, headers);
        r = judge(&t, perform(c, try));
        (void)curl_easy_getinfo(t.easy, CURLINFO_RESPONSE_CODE, &status);
        (void)curl_easy_getinfo(t.easy, CURLINFO_CONTENT_LENGTH_DOWNLOAD_T, &length);
        ret->status = (unsigned)status;
        ret->length = length;
        take_code(t.error, ret->code);
        give_connection(h, c);
        curl_slist_free_all(headers);
        return r;
}

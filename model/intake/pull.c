/* SPDX-License-Identifier: MIT */
/*
 * One of two users of libcurl. A request says what is there already (Range, If-Range; REST), and what the reply says of
 * the file is held against that before its first byte is taken:
 *
 *      206, from where we are, of the same file     goes on
 *      304, where nothing is wanted of it           -EALREADY
 *      200                                          begins at the start: changed, or a server without ranges
 *      another part, another file                   -ESTALE
 *      a web page                                   no image
 *
 * The login never is in a URL that libcurl sees, so that none of its messages can have it; it goes to the host that was
 * named and to no other. A server must prove its name to those whom the system trusts, or the file SSL_CERT_FILE, and
 * what https has begun goes on by https, unless there is a checksum. What libcurl could read or send by itself is off:
 * cookies, .netrc, other protocols, proxies. A proxy would resolve names elsewhere, and address.c would be asked about
 * the proxy.
 */

#include "model/intake/pull.h"

#include <curl/curl.h>
#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <time.h>

#include "blobstore/base/block.h"
#include "blobstore/base/parse.h"
#include "model/intake/address.h"

#if LIBCURL_VERSION_NUM < 0x075500
#error "libcurl is too old: 7.85 names protocols by text"
#endif

#define CONNECT_S       30
#define REDIRECTS_MAX   10
#define SPEED_MIN       16384 /* bytes a second, over stall_s: else a server could keep a fetch for ever */
#define HEADER_TEXT_MAX 256

/* The reply whose body comes, or is to come: a redirect begins another one. */
struct reply {
        char status[HEADER_TEXT_MAX]; /* "404 Not Found" */
        char etag[HEADER_TEXT_MAX];
        char modified[HEADER_TEXT_MAX];
        char type[HEADER_TEXT_MAX];
        char range[HEADER_TEXT_MAX];
};

struct pulling {
        const struct pull *pull;
        struct strbuf *reason;
        CURL *easy;
        struct reply reply;
        bool begun;
        bool refused_address;
        bool too_slow;
        int64_t window_us; /* when the present one of stall_s began, and with how much */
        uint64_t window_at;
        uint64_t at, size; /* SIZE may be unknown */
        int error; /* what ended it from this side; REASON is there then */
};

static void start_once(void)
{
        (void)curl_global_init(CURL_GLOBAL_DEFAULT); /* a failure comes back from curl_easy_init() */
}

/* Global by libcurl's design, and never undone: another library of this process may be using it. */
static void start(void)
{
        static pthread_once_t once = PTHREAD_ONCE_INIT;

        (void)pthread_once(&once, start_once);
}

bool pull_is_supported(void)
{
        return true;
}

/* ---- the reply ---- */

/* Takes the value of a header called NAME; LINE ends with its line feed. */
static bool take_header(const char *line, size_t n, const char *name, char *ret)
{
        size_t len = strlen(name);

        if (n <= len || strncasecmp(line, name, len) != 0 || line[len] != ':')
                return false;

        for (line += len + 1, n -= len + 1; n > 0 && (*line == ' ' || *line == '\t');)
                line++, n--;
        while (n > 0 && strchr("\r\n\t ", line[n - 1]))
                n--;

        /* One that is cut is not the same any more, and without it the file is fetched again. */
        (void)snprintf(ret, HEADER_TEXT_MAX, "%.*s", n < HEADER_TEXT_MAX ? (int)n : 0, line);
        return true;
}

static size_t on_header(char *line, size_t size, size_t n, void *ctx)
{
        struct pulling *p = ctx;
        struct reply *reply = &p->reply;
        const char *blank = memchr(line, ' ', size * n);

        if (size * n > 5 && memcmp(line, "HTTP/", 5) == 0) {
                *reply = (struct reply){ .status = "" };
                if (blank)
                        (void)snprintf(reply->status, sizeof(reply->status), "%.*s",
                                       (int)(line + size * n - blank - 1), blank + 1);
                reply->status[strcspn(reply->status, "\r\n")] = '\0';
                return size * n;
        }

        (void)(take_header(line, size * n, "ETag", reply->etag) ||
               take_header(line, size * n, "Last-Modified", reply->modified) ||
               take_header(line, size * n, "Content-Type", reply->type) ||
               take_header(line, size * n, "Content-Range", reply->range));
        return size * n;
}

/* "bytes 100-199/200"; the whole may be "*". */
static int parse_range(char *text, uint64_t *ret_start, uint64_t *ret_size)
{
        char *first, *whole;

        if (strncasecmp(text, "bytes ", 6) != 0)
                return -EINVAL;

        whole = text + 6;
        first = strsep(&whole, "-");
        (void)strsep(&whole, "/");
        if (!whole || parse_u64(first, ret_start) < 0)
                return -EINVAL;

        *ret_size = PULL_SIZE_UNKNOWN;
        return strcmp(whole, "*") == 0 ? 0 : parse_u64(whole, ret_size);
}

static bool differ(const char *a, const char *b)
{
        return *a != '\0' && *b != '\0' && strcmp(a, b) != 0;
}

/* Where both say what they are. */
static bool is_known_version(const struct pull_version *a, const struct pull_version *b)
{
        if (a->etag[0] && b->etag[0])
                return strcmp(a->etag, b->etag) == 0;

        return a->modified[0] && strcmp(a->modified, b->modified) == 0;
}

static bool is_same_version(const struct pull_version *a, const struct pull_version *b)
{
        if (differ(a->etag, b->etag) || differ(a->modified, b->modified))
                return false;

        return a->size == b->size || a->size == PULL_SIZE_UNKNOWN || b->size == PULL_SIZE_UNKNOWN;
}

static uint64_t body_bytes(struct pulling *p)
{
        curl_off_t n = -1;

        (void)curl_easy_getinfo(p->easy, CURLINFO_CONTENT_LENGTH_DOWNLOAD_T, &n);
        return n < 0 ? PULL_SIZE_UNKNOWN : (uint64_t)n;
}

static bool is_web_page(const char *type)
{
        return strncasecmp(type, "text/html", 9) == 0 || strncasecmp(type, "application/xhtml", 17) == 0;
}

static int read_http(struct pulling *p, struct pull_version *v, uint64_t *ret_off)
{
        const uint64_t have = p->pull->have;
        long code = 0;

        (void)curl_easy_getinfo(p->easy, CURLINFO_RESPONSE_CODE, &code);
        (void)snprintf(v->etag, sizeof(v->etag), "%s", p->reply.etag);
        if (strlen(p->reply.modified) < sizeof(v->modified))
                memcpy(v->modified, p->reply.modified, strlen(p->reply.modified) + 1);
        v->size = body_bytes(p);

        if (code == 304 && p->pull->unless_same)
                return -EALREADY;
        if (is_web_page(p->reply.type)) {
                strbuf_add(p->reason, "the server answers with a web page instead of a file: open the address in a "
                                      "browser, and look for that of the file itself");
                return -EPROTO;
        }
        if (code == 200) {
                *ret_off = 0;
                return 0;
        }
        if (code == 206 && have > 0) {
                if (parse_range(p->reply.range, ret_off, &v->size) < 0 || *ret_off != have)
                        return -ESTALE;
                return 0;
        }

        strbuf_add(p->reason, "the server sends no file; it says ");
        url_add_quoted(p->reason, p->pull->url, p->reply.status);
        return -EPROTO;
}

static int read_ftp(struct pulling *p, struct pull_version *v, uint64_t *ret_off)
{
        const uint64_t n = body_bytes(p);
        curl_off_t time = -1;

        (void)curl_easy_getinfo(p->easy, CURLINFO_FILETIME_T, &time);
        if (time >= 0)
                (void)snprintf(v->modified, sizeof(v->modified), "%" PRId64, (int64_t)time);
        v->size = n == PULL_SIZE_UNKNOWN ? n : p->pull->have + n;
        *ret_off = p->pull->have;
        return 0;
}

static int64_t monotonic_us(void)
{
        struct timespec now;

        (void)clock_gettime(CLOCK_MONOTONIC, &now); /* cannot fail */
        return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

/* Judges the reply before its first byte. */
static int begin(struct pulling *p)
{
        struct pull_version v = { .size = PULL_SIZE_UNKNOWN };
        const char *scheme = NULL;
        uint64_t off = 0;
        int r;

        (void)curl_easy_getinfo(p->easy, CURLINFO_SCHEME, &scheme);
        r = scheme && strcasecmp(scheme, "ftp") == 0 ? read_ftp(p, &v, &off) : read_http(p, &v, &off);
        if (r < 0)
                return r;
        if (off > 0 && !is_same_version(&p->pull->version, &v))
                return -ESTALE;
        if (p->pull->unless_same && is_known_version(&p->pull->version, &v))
                return -EALREADY;
        if (v.size != PULL_SIZE_UNKNOWN && v.size > BLOB_SIZE_MAX) {
                strbuf_addf(p->reason, "a file of more than %llu TiB cannot be imported",
                            (unsigned long long)(BLOB_SIZE_MAX >> 40));
                return -EFBIG;
        }

        p->begun = true;
        p->at = p->window_at = off;
        p->window_us = monotonic_us();
        p->size = v.size;
        return p->pull->begin(p->pull->ctx, off, &v);
}

static size_t on_body(char *bytes, size_t size, size_t n, void *ctx)
{
        struct pulling *p = ctx;

        if (!p->begun)
                p->error = begin(p);
        if (p->error == 0 && p->at + size * n > BLOB_SIZE_MAX)
                p->error = -EFBIG;
        if (p->error == 0)
                p->error = p->pull->write(p->pull->ctx, bytes, size * n);
        if (p->error < 0)
                return size * n + 1; /* another number than was given: the end */

        p->at += size * n;
        return size * n;
}

/* libcurl gives up who is slow all the time; this one also who sends a little in time. */
static bool is_too_slow(struct pulling *p)
{
        const int64_t now_us = monotonic_us();

        if (!p->begun || now_us - p->window_us < (int64_t)p->pull->stall_s * 1000000)
                return false;
        p->too_slow = p->at - p->window_at < (uint64_t)SPEED_MIN * p->pull->stall_s;
        p->window_us = now_us;
        p->window_at = p->at;
        return p->too_slow;
}

static int on_progress(void *ctx, curl_off_t all_down, curl_off_t down, curl_off_t all_up, curl_off_t up)
{
        struct pulling *p = ctx;

        (void)all_down, (void)down, (void)all_up, (void)up;

        if (p->error == 0)
                p->error = p->pull->poll(p->pull->ctx);
        return p->error < 0 || is_too_slow(p);
}

static curl_socket_t on_socket(void *ctx, curlsocktype purpose, struct curl_sockaddr *address)
{
        struct pulling *p = ctx;
        enum address_reach reach = address_classify(&address->addr);

        (void)purpose;

        if (reach == ADDRESS_NEVER || (reach == ADDRESS_PRIVATE && !p->pull->reach_private)) {
                p->refused_address = true;
                return CURL_SOCKET_BAD;
        }

        return socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
}

/* ---- the request ---- */

/* Sets an option once none before it has failed. */
#define SET(option, value)                                                      \
        do {                                                                    \
                if (code == CURLE_OK)                                           \
                        code = curl_easy_setopt(p->easy, option, value);        \
        } while (0)

static CURLcode set_limits(struct pulling *p)
{
        const struct pull *pull = p->pull;
        const bool stay = pull->url->scheme == URL_HTTPS && !pull->has_sum;
        const char *authorities = secure_getenv("SSL_CERT_FILE");
        CURLcode code = CURLE_OK;

        SET(CURLOPT_PROTOCOLS_STR, "http,https,ftp");
        SET(CURLOPT_REDIR_PROTOCOLS_STR, stay ? "https" : "http,https,ftp");
        SET(CURLOPT_FOLLOWLOCATION, 1L);
        SET(CURLOPT_MAXREDIRS, (long)REDIRECTS_MAX);
        SET(CURLOPT_UNRESTRICTED_AUTH, 0L);
        SET(CURLOPT_NETRC, (long)CURL_NETRC_IGNORED);
        SET(CURLOPT_PROXY, "");
        SET(CURLOPT_SSL_VERIFYPEER, 1L);
        SET(CURLOPT_SSL_VERIFYHOST, 2L);
        if (authorities)
                SET(CURLOPT_CAINFO, authorities); /* as most programs do it; libcurl leaves it to them */
        SET(CURLOPT_FAILONERROR, 1L); /* what comes with 404 is not the file */
        SET(CURLOPT_NOSIGNAL, 1L); /* one thread of many */
        SET(CURLOPT_CONNECTTIMEOUT, (long)CONNECT_S);
        SET(CURLOPT_LOW_SPEED_LIMIT, (long)SPEED_MIN);
        SET(CURLOPT_LOW_SPEED_TIME, (long)pull->stall_s);
        SET(CURLOPT_FTP_RESPONSE_TIMEOUT, (long)pull->stall_s);
#if LIBCURL_VERSION_NUM >= 0x075700
        SET(CURLOPT_QUICK_EXIT, 1L); /* a resolver that hangs does not hold up the end */
#endif
        return code;
}

static CURLcode set_request(struct pulling *p, struct curl_slist *headers)
{
        const struct pull *pull = p->pull;
        CURLcode code = CURLE_OK;
        char range[32];

        SET(CURLOPT_URL, pull->url->shown);
        SET(CURLOPT_USERAGENT, "imagefs/" IMAGEFS_VERSION);
        SET(CURLOPT_FILETIME, 1L); /* the version of a file that comes by ftp */
        SET(CURLOPT_HTTPHEADER, headers);
        if (pull->url->has_login) {
                SET(CURLOPT_USERNAME, pull->url->user);
                SET(CURLOPT_PASSWORD, pull->url->password);
        }
        if (pull->have > 0) {
                /* Not CURLOPT_RESUME_FROM, with which an answer from the start is an error. */
                (void)snprintf(range, sizeof(range), "%" PRIu64 "-", pull->have);
                SET(CURLOPT_RANGE, range);
        }

        SET(CURLOPT_HEADERFUNCTION, on_header);
        SET(CURLOPT_HEADERDATA, p);
        SET(CURLOPT_WRITEFUNCTION, on_body);
        SET(CURLOPT_WRITEDATA, p);
        SET(CURLOPT_NOPROGRESS, 0L);
        SET(CURLOPT_XFERINFOFUNCTION, on_progress);
        SET(CURLOPT_XFERINFODATA, p);
        SET(CURLOPT_OPENSOCKETFUNCTION, on_socket);
        SET(CURLOPT_OPENSOCKETDATA, p);
        return code;
}

/*
 * If the file is still what it was, the rest of it, else all of it, in one request. A weak ETag may not be asked about;
 * then the reply shows.
 */
static int add_if_range(const struct pull *pull, struct curl_slist **headers)
{
        const struct pull_version *v = &pull->version;
        const bool strong = v->etag[0] == '"';
        char line[sizeof("If-Range: ") + sizeof(v->etag)];

        if (pull->have == 0 || (v->etag[0] ? !strong : !v->modified[0]) || pull->url->scheme == URL_FTP)
                return 0;

        (void)snprintf(line, sizeof(line), "If-Range: %s", strong ? v->etag : v->modified);
        *headers = curl_slist_append(NULL, line);
        return *headers ? 0 : -ENOMEM;
}

/* A server that does not know of this sends the file, and then the reply shows. */
static int add_unless_same(const struct pull *pull, struct curl_slist **headers)
{
        const struct pull_version *v = &pull->version;
        char line[sizeof("If-Modified-Since: ") + sizeof(v->etag)];

        if (!pull->unless_same || (!v->etag[0] && !v->modified[0]) || pull->url->scheme == URL_FTP)
                return 0;

        if (v->etag[0])
                (void)snprintf(line, sizeof(line), "If-None-Match: %s", v->etag);
        else
                (void)snprintf(line, sizeof(line), "If-Modified-Since: %s", v->modified);
        *headers = curl_slist_append(NULL, line);
        return *headers ? 0 : -ENOMEM;
}

static int judge_http_error(struct pulling *p)
{
        long code = 0;

        (void)curl_easy_getinfo(p->easy, CURLINFO_RESPONSE_CODE, &code);
        if (code == 416 && p->pull->have > 0)
                return -ESTALE; /* there is no such part any more */

        strbuf_add(p->reason, "the server says ");
        url_add_quoted(p->reason, p->pull->url, p->reply.status);
        return code >= 500 || code == 408 || code == 425 || code == 429 ? -EAGAIN : -EPROTO;
}

/* What a try that did not come to its end means. TEXT is libcurl's, and may have words of the server. */
static int judge(struct pulling *p, CURLcode code, const char *text)
{
        int r = -EAGAIN;

        if (p->error < 0)
                return p->error;
        if (p->refused_address && code == CURLE_COULDNT_CONNECT) {
                strbuf_addf(p->reason, "%s leads to an address that images are not fetched from%s", p->pull->url->host,
                            p->pull->reach_private ? ""
                                                   : " (private networks are for the administrator): fetch the file "
                                                     "yourself, and cp it to upload");
                return -EPROTO;
        }

        switch (p->too_slow ? CURLE_OPERATION_TIMEDOUT : code) {
        case CURLE_HTTP_RETURNED_ERROR:
                return judge_http_error(p);
        case CURLE_OUT_OF_MEMORY:
                return -ENOMEM;
        case CURLE_FTP_COULDNT_USE_REST:
        case CURLE_BAD_DOWNLOAD_RESUME:
                return -ESTALE;
        case CURLE_UNSUPPORTED_PROTOCOL:
        case CURLE_URL_MALFORMAT:
                strbuf_add(p->reason, "the server sends us on to where images are not fetched from: only http, https "
                                      "and ftp are followed, and from https only https unless a checksum is given");
                return -EPROTO;
        case CURLE_OPERATION_TIMEDOUT:
                strbuf_addf(p->reason, "%s sent next to nothing for too long, less than %d KiB a second", p->pull->url->host,
                            SPEED_MIN >> 10);
                return -EAGAIN;
        case CURLE_PEER_FAILED_VERIFICATION:
                strbuf_addf(p->reason, "%s does not prove who it is: ", p->pull->url->host);
                url_add_quoted(p->reason, p->pull->url, text[0] ? text : curl_easy_strerror(code));
                strbuf_add(p->reason, ". Have its certificate set right or, if an authority of your own has signed it, "
                                      "have that one added to those that this system trusts");
                return -EPROTO;
        case CURLE_TOO_MANY_REDIRECTS:
        case CURLE_LOGIN_DENIED:
        case CURLE_REMOTE_ACCESS_DENIED:
        case CURLE_REMOTE_FILE_NOT_FOUND:
        case CURLE_SSL_CACERT_BADFILE:
                r = -EPROTO;
                break;
        default:
                break;
        }

        strbuf_addf(p->reason, "%s: ", p->pull->url->host);
        url_add_quoted(p->reason, p->pull->url, text[0] ? text : curl_easy_strerror(code));
        return r;
}

DEFINE_CLEANUP(CURL *, easy_freep, curl_easy_cleanup)
DEFINE_CLEANUP(struct curl_slist *, headers_freep, curl_slist_free_all)

int pull_run(const struct pull *pull, struct strbuf *reason)
{
        CLEANUP(headers_freep) struct curl_slist *headers = NULL;
        CLEANUP(easy_freep) CURL *easy = NULL;
        struct pulling p = { .pull = pull, .reason = reason, .size = PULL_SIZE_UNKNOWN };
        char text[CURL_ERROR_SIZE] = "";
        CURLcode code;
        int r;

        start();

        easy = curl_easy_init();
        if (!easy)
                return -ENOMEM;
        p.easy = easy;

        r = pull->unless_same ? add_unless_same(pull, &headers) : add_if_range(pull, &headers);
        if (r < 0)
                return r;

        code = set_limits(&p);
        if (code == CURLE_OK)
                code = set_request(&p, headers);
        if (code == CURLE_OK)
                code = curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, text);
        if (code != CURLE_OK)
                return code == CURLE_OUT_OF_MEMORY ? -ENOMEM : -EOPNOTSUPP;

        code = curl_easy_perform(easy);
        if (code == CURLE_OK && !p.begun)
                p.error = begin(&p); /* a file without a byte, or a reply without a file */
        if (code != CURLE_OK || p.error < 0)
                return judge(&p, code, text);

        if (p.size != PULL_SIZE_UNKNOWN && p.at != p.size) {
                strbuf_addf(reason, "%s ended before all was there", pull->url->host);
                return -EAGAIN;
        }
        return 0;
}

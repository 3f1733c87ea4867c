/* SPDX-License-Identifier: MIT */

/*
 * The HTTP server of downloads: /TOKEN/NAME is one disk in one format, and there is nothing else: no lists, no words
 * about what is there. Every address that is not to be served gives the same 404.
 *
 * A few threads of libmicrohttpd wait for sockets; none belongs to a client, and none waits for one. What a client
 * costs is a connection's memory and one piece of the file that was read and not sent yet. Their number is limited, and
 * so is the time in which nothing moves.
 *
 * None waits for the disk of a blob store other than the library's own either, which may not answer (http_transfer.h).
 *
 * A download may run for longer than its address is valid. But when the address is ended before its time (rmdir, the
 * image deleted), so is the download: it looks again whether it is still there whenever any image changes
 * (http_opts.changes).
 */

#include "fs/http/http.h"

#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <microhttpd.h>
#include <netdb.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include "blobstore/base/io.h"
#include "blobstore/base/log.h"
#include "fs/http/http_clients.h"
#include "fs/http/http_range.h"
#include "fs/http/http_transfer.h"

#define HTTP_THREADS      4
#define HTTP_CLIENTS_MAX  2048
#define HTTP_CLIENTS_PART 4 /* of the clients that there may be, one place has this part at most */
#define HTTP_CLIENT_BYTES (16 << 10) /* for a request's headers */
#define HTTP_IDLE_SECONDS 60
#define HTTP_PEM_MAX      (1 << 20)

struct http {
        struct model *model;
        struct transfers *transfers;
        enum http_metrics metrics;
        int (*metrics_add)(void *ctx, struct strbuf *out);
        void *metrics_ctx;
        struct MHD_Daemon *daemon;
        struct http_clients *clients;
        char *base; /* "http://host:port" */
        char *cert, *key;
};

/* ---- requests ---- */

/* "/TOKEN/NAME", exactly. */
static int http_find(struct http *h, const char *url, struct download *ret)
{
        char token[DOWNLOAD_TOKEN_LEN + 1], name[DOWNLOAD_NAME_SIZE];
        struct download d;
        int r;

        if (url[0] != '/' || strcspn(url + 1, "/") != DOWNLOAD_TOKEN_LEN || url[1 + DOWNLOAD_TOKEN_LEN] != '/')
                return -ENOENT;
        memcpy(token, url + 1, DOWNLOAD_TOKEN_LEN);
        token[DOWNLOAD_TOKEN_LEN] = '\0';
        r = download_find_token(h->model, token, &d);
        if (r < 0)
                return r;
        download_name(&d, name);
        if (strcmp(url + 1 + DOWNLOAD_TOKEN_LEN + 1, name) != 0)
                return -ENOENT;
        *ret = d;
        return 0;
}

/*
 * The disk of an image never changes, so its name is a tag of its bytes; the number is that of the way in which a file
 * of the format is laid out, and goes up when that changes.
 */
#define HTTP_ETAG_SIZE 64
#define HTTP_LAYOUT    1

static void http_etag(const struct download *d, char ret[HTTP_ETAG_SIZE])
{
        char name[DOWNLOAD_NAME_SIZE];

        download_name(d, name);
        (void)snprintf(ret, HTTP_ETAG_SIZE, "\"%s-%s-%d\"", d->image_ident, name, HTTP_LAYOUT);
}

/* ---- responses ---- */

static enum MHD_Result http_reply(struct MHD_Connection *c, unsigned status, struct MHD_Response *response)
{
        enum MHD_Result r = response ? MHD_queue_response(c, status, response) : MHD_NO;

        if (response)
                MHD_destroy_response(response);
        return r;
}

/* An empty answer with one header, or none. */
static enum MHD_Result http_reply_empty(struct MHD_Connection *c, unsigned status, const char *header,
                                        const char *value)
{
        struct MHD_Response *response = MHD_create_response_from_buffer(0, (void *)"", MHD_RESPMEM_PERSISTENT);

        if (response && header)
                (void)MHD_add_response_header(response, header, value);
        return http_reply(c, status, response);
}

/* What every answer that has the file, or a part of it, says about it. */
static void http_describe(struct MHD_Response *response, const char *etag)
{
        (void)MHD_add_response_header(response, MHD_HTTP_HEADER_ETAG, etag);
        (void)MHD_add_response_header(response, MHD_HTTP_HEADER_ACCEPT_RANGES, "bytes");
        (void)MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, "application/octet-stream");
        (void)MHD_add_response_header(response, MHD_HTTP_HEADER_CACHE_CONTROL, "private, no-transform");
}

/* Takes T over. */
static enum MHD_Result http_reply_file(struct MHD_Connection *c, struct transfer *t, const struct http_range *range,
                                       const char *etag, const char *content_range)
{
        struct MHD_Response *response = transfer_respond(t, c, range->begin, range->len);

        if (!response)
                return MHD_NO;
        http_describe(response, etag);
        if (content_range)
                (void)MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_RANGE, content_range);
        return http_reply(c, content_range ? MHD_HTTP_PARTIAL_CONTENT : MHD_HTTP_OK, response);
}

static const char *http_header(struct MHD_Connection *c, const char *name)
{
        return MHD_lookup_connection_value(c, MHD_HEADER_KIND, name);
}

/* The range that is asked for, if the client knows this very file: as http_range_parse(). */
static int http_wanted_range(struct MHD_Connection *c, bool get, const char *etag, uint64_t size,
                             struct http_range *ret)
{
        const char *range = http_header(c, MHD_HTTP_HEADER_RANGE);
        const char *if_range = http_header(c, MHD_HTTP_HEADER_IF_RANGE);

        if (!get || !range || (if_range && strcmp(if_range, etag) != 0)) /* weak tags and dates are no proof */
                return 0;
        return http_range_parse(range, size, ret);
}

/* Takes T over. */
static enum MHD_Result http_reply_download(struct MHD_Connection *c, struct transfer *t, bool get)
{
        const char *if_match = http_header(c, MHD_HTTP_HEADER_IF_MATCH);
        const char *if_none_match = http_header(c, MHD_HTTP_HEADER_IF_NONE_MATCH);
        const uint64_t size = transfer_size(t);
        char etag[HTTP_ETAG_SIZE], content_range[80];
        struct http_range range;
        int r;

        http_etag(transfer_download(t), etag);
        if (if_match && !http_tag_matches(if_match, etag)) {
                transfer_free(t);
                return http_reply_empty(c, MHD_HTTP_PRECONDITION_FAILED, NULL, NULL);
        }
        if (if_none_match && http_tag_matches(if_none_match, etag)) {
                transfer_free(t);
                return http_reply_empty(c, MHD_HTTP_NOT_MODIFIED, MHD_HTTP_HEADER_ETAG, etag);
        }

        r = http_wanted_range(c, get, etag, size, &range);
        if (r < 0) {
                transfer_free(t);
                (void)snprintf(content_range, sizeof(content_range), "bytes */%" PRIu64, size);
                return http_reply_empty(c, MHD_HTTP_RANGE_NOT_SATISFIABLE, MHD_HTTP_HEADER_CONTENT_RANGE,
                                        content_range);
        }
        if (r == 0)
                return http_reply_file(c, t, &(struct http_range){ .len = size }, etag, NULL);
        (void)snprintf(content_range, sizeof(content_range), "bytes %" PRIu64 "-%" PRIu64 "/%" PRIu64, range.begin,
                       range.begin + range.len - 1, size);
        return http_reply_file(c, t, &range, etag, content_range);
}

/* ---- metrics ---- */

static bool http_is_loopback(const struct sockaddr *a)
{
        const struct in6_addr *six = &((const struct sockaddr_in6 *)a)->sin6_addr;

        if (a->sa_family == AF_INET)
                return ntohl(((const struct sockaddr_in *)a)->sin_addr.s_addr) >> 24 == IN_LOOPBACKNET;
        return a->sa_family == AF_INET6 &&
               (IN6_IS_ADDR_LOOPBACK(six) || (IN6_IS_ADDR_V4MAPPED(six) && six->s6_addr[12] == IN_LOOPBACKNET));
}

static bool http_may_see_metrics(const struct http *h, struct MHD_Connection *c)
{
        const union MHD_ConnectionInfo *from = MHD_get_connection_info(c, MHD_CONNECTION_INFO_CLIENT_ADDRESS);

        if (h->metrics == HTTP_METRICS_LOOPBACK)
                return from && http_is_loopback(from->client_addr);
        return h->metrics == HTTP_METRICS_ALL;
}

static enum MHD_Result http_reply_metrics(struct http *h, struct MHD_Connection *c)
{
        CLEANUP_STRBUF struct strbuf text = { 0 };
        struct MHD_Response *response;
        int r;

        r = h->metrics_add(h->metrics_ctx, &text);
        if (r < 0) {
                log_errno(r, "metrics");
                return http_reply_empty(c, MHD_HTTP_INTERNAL_SERVER_ERROR, NULL, NULL);
        }
        response = MHD_create_response_from_buffer(text.len, text.text, MHD_RESPMEM_MUST_COPY);
        if (response)
                (void)MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE,
                                              "text/plain; version=0.0.4; charset=utf-8");
        return http_reply(c, MHD_HTTP_OK, response);
}

/* Asking for the disk gave R. Takes T over. */
static enum MHD_Result http_reply_opened(struct MHD_Connection *c, bool get, int r, const struct diag *diag,
                                         struct transfer *t)
{
        if (r == 0)
                return http_reply_download(c, t, get);
        transfer_free(t);
        if (r == -ENOENT)
                return http_reply_empty(c, MHD_HTTP_NOT_FOUND, NULL, NULL);
        if (!diag->of_store) /* else the log has it, once for all that is in the store */
                log_errno(r, "opening a download%s%s", diag->error ? ": " : "", diag->text);
        return http_reply_empty(c, diag->error ? MHD_HTTP_SERVICE_UNAVAILABLE : MHD_HTTP_INTERNAL_SERVER_ERROR, NULL,
                                NULL);
}

/* SEEN: what the answer is going to be made of, once the disk is open; until then H itself, or NULL at the first call. */
static enum MHD_Result http_answer(void *ctx, struct MHD_Connection *c, const char *url, const char *method,
                                   const char *version, const char *body, size_t *body_len, void **seen)
{
        bool get = strcmp(method, MHD_HTTP_METHOD_GET) == 0, later = false;
        struct http *h = ctx;
        struct transfer *t = NULL;
        struct diag diag = { 0 };
        struct download d;
        int r;

        (void)version;
        (void)body;
        /* The first call has the headers only, and is too early for an answer; a body that follows is thrown away. */
        if (!*seen || *body_len) {
                *seen = h;
                *body_len = 0;
                return MHD_YES;
        }
        if (*seen != h) {
                t = *seen;
                *seen = h;
                return http_reply_opened(c, get, transfer_opened(t, &diag), &diag, t);
        }

        if (!get && strcmp(method, MHD_HTTP_METHOD_HEAD) != 0)
                return http_reply_empty(c, MHD_HTTP_METHOD_NOT_ALLOWED, MHD_HTTP_HEADER_ALLOW, "GET, HEAD");
        if (strcmp(url, "/metrics") == 0 && http_may_see_metrics(h, c))
                return http_reply_metrics(h, c);
        r = http_find(h, url, &d);
        if (r == 0)
                r = transfer_open(h->transfers, &d, c, &diag, &later, &t);
        if (!later)
                return http_reply_opened(c, get, r, &diag, t);
        *seen = t;
        return MHD_YES;
}

/* A request has ended, answered or not. */
static void http_end(void *ctx, struct MHD_Connection *c, void **seen, enum MHD_RequestTerminationCode why)
{
        (void)c;
        (void)why;
        if (*seen != ctx)
                transfer_free(*seen);
        *seen = NULL;
}

/* ---- begin and end ---- */

/* Splits "ADDRESS:PORT" or "[ADDRESS]:PORT". */
static int http_split(const char *text, char host[NI_MAXHOST], char port[NI_MAXSERV])
{
        const char *colon = strrchr(text, ':');
        size_t len = colon ? (size_t)(colon - text) : 0;

        if (!colon || strlen(colon + 1) == 0 || strlen(colon + 1) >= NI_MAXSERV || len >= NI_MAXHOST)
                return -EINVAL;
        if (len >= 2 && text[0] == '[' && text[len - 1] == ']') {
                text++;
                len -= 2;
        } else if (memchr(text, ':', len)) {
                return -EINVAL; /* an IPv6 address without its brackets: where would it end? */
        }
        memcpy(host, text, len);
        host[len] = '\0';
        memcpy(port, colon + 1, strlen(colon + 1) + 1);
        return 0;
}

static int http_bind(const struct addrinfo *a)
{
        CLEANUP_CLOSE int fd = -1;
        int one = 1;

        fd = socket(a->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        if (fd < 0)
                return -errno;
        /* Or a restart has to wait; no more than that. */
        (void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
        if (bind(fd, a->ai_addr, a->ai_addrlen) < 0 || listen(fd, SOMAXCONN) < 0)
                return -errno;
        return TAKE_FD(fd);
}

static int http_listen(const char *text, struct diag *diag)
{
        const struct addrinfo hints = { .ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE | AI_NUMERICSERV };
        char host[NI_MAXHOST], port[NI_MAXSERV];
        struct addrinfo *found;
        int r;

        if (http_split(text, host, port) < 0)
                return diag_set(diag, -EINVAL, "http=%s: say ADDRESS:PORT, such as 127.0.0.1:8080 or [::1]:8080", text);
        r = getaddrinfo(host[0] ? host : NULL, port, &hints, &found);
        if (r != 0)
                return diag_set(diag, -EINVAL, "http=%s: %s", text, gai_strerror(r));
        r = http_bind(found);
        freeaddrinfo(found);
        return r < 0 ? diag_set(diag, r, "http=%s: %s", text, strerror(-r)) : r;
}

static bool http_is_any(const struct sockaddr_storage *a)
{
        const struct sockaddr_in6 *six = (const struct sockaddr_in6 *)a;
        const struct sockaddr_in *four = (const struct sockaddr_in *)a;

        return a->ss_family == AF_INET6 ? IN6_IS_ADDR_UNSPECIFIED(&six->sin6_addr) :
                                          four->sin_addr.s_addr == htonl(INADDR_ANY);
}

/* What addresses begin with: the name that was given, else where the socket listens. */
static int http_make_base(struct http *h, int fd, const struct http_opts *opts)
{
        char host[NI_MAXHOST], port[NI_MAXSERV], own[HOST_NAME_MAX + 1];
        const char *scheme = opts->cert_file ? "https" : "http", *name = opts->name, *bracket;
        struct sockaddr_storage a = { 0 };
        socklen_t len = sizeof(a);
        bool six;
        int r;

        if (getsockname(fd, (struct sockaddr *)&a, &len) < 0)
                return -errno;
        if (getnameinfo((struct sockaddr *)&a, len, host, sizeof(host), port, sizeof(port),
                        NI_NUMERICHOST | NI_NUMERICSERV) != 0)
                return -EINVAL;
        six = a.ss_family == AF_INET6;
        if (!name && http_is_any(&a) && gethostname(own, sizeof(own)) == 0)
                name = own;

        bracket = name ? strrchr(name, ']') : NULL;
        if (name && strchr(bracket ? bracket : name, ':'))
                r = asprintf(&h->base, "%s://%s", scheme, name);
        else if (name)
                r = asprintf(&h->base, "%s://%s:%s", scheme, name, port);
        else
                r = asprintf(&h->base, "%s://%s%s%s:%s", scheme, six ? "[" : "", host, six ? "]" : "", port);
        if (r >= 0)
                return 0;
        h->base = NULL;
        return -ENOMEM;
}

static int http_read_pem(const char *path, struct diag *diag, char **ret)
{
        CLEANUP_CLOSE int fd = open(path, O_RDONLY | O_CLOEXEC);
        CLEANUP_FREE char *text = NULL;
        ssize_t n;

        if (fd < 0)
                return diag_set(diag, -errno, "%s: %s", path, strerror(errno));
        text = calloc(1, HTTP_PEM_MAX + 1);
        if (!text)
                return -ENOMEM;
        n = pread_full(fd, text, HTTP_PEM_MAX, 0);
        if (n < 0)
                return diag_set(diag, (int)n, "%s: %s", path, strerror((int)-n));
        *ret = TAKE_PTR(text);
        return 0;
}

static int http_read_pems(struct http *h, const struct http_opts *opts, struct diag *diag)
{
        int r;

        if (!opts->cert_file != !opts->key_file)
                return diag_set(diag, -EINVAL, "http-cert and http-key belong together");
        if (!opts->cert_file)
                return 0;
        if (MHD_is_feature_supported(MHD_FEATURE_TLS) != MHD_YES)
                return diag_set(diag, -EOPNOTSUPP, "http-cert: this libmicrohttpd was built without TLS");
        r = http_read_pem(opts->cert_file, diag, &h->cert);
        return r < 0 ? r : http_read_pem(opts->key_file, diag, &h->key);
}

static enum MHD_Result http_admit(void *ctx, const struct sockaddr *from, socklen_t n)
{
        struct http *h = ctx;

        (void)n;
        return http_clients_admit(h->clients, from) ? MHD_YES : MHD_NO;
}

/* SOCKET_CTX: it was counted. */
static void http_notify(void *ctx, struct MHD_Connection *c, void **socket_ctx, enum MHD_ConnectionNotificationCode what)
{
        const union MHD_ConnectionInfo *from = MHD_get_connection_info(c, MHD_CONNECTION_INFO_CLIENT_ADDRESS);
        struct http *h = ctx;

        if (what == MHD_CONNECTION_NOTIFY_STARTED)
                *socket_ctx = from && http_clients_come(h->clients, from->client_addr) ? h : NULL;
        else if (*socket_ctx && from)
                http_clients_go(h->clients, from->client_addr);
}

/* How many clients there may be: half of the files, since the store needs some too. */
static unsigned http_clients_max(void)
{
        struct rlimit files;

        if (getrlimit(RLIMIT_NOFILE, &files) < 0)
                return HTTP_THREADS;
        if (files.rlim_cur / 2 >= HTTP_CLIENTS_MAX)
                return HTTP_CLIENTS_MAX;
        log_warning("http: %u downloads at once at most, and others wait: half of the open files that this daemon is "
                    "allowed (ulimit -n %u)", (unsigned)(files.rlim_cur / 2), (unsigned)files.rlim_cur);
        return (unsigned)(files.rlim_cur / 2);
}

/* Takes FD over on success. */
static int http_run(struct http *h, int fd, struct diag *diag)
{
        struct MHD_OptionItem tls[] = {
                { MHD_OPTION_HTTPS_MEM_CERT, 0, h->cert },
                { MHD_OPTION_HTTPS_MEM_KEY, 0, h->key },
                { MHD_OPTION_HTTPS_PRIORITIES, 0, (void *)"NORMAL:-VERS-TLS1.0:-VERS-TLS1.1" },
                { MHD_OPTION_END, 0, NULL },
        };
        /*
         * The end is told by an eventfd. Without one it is told by the socket that clients come to, which a thread that has
         * all clients it may have does not look at: it would end when the next of them says something, or is idle for too long.
         */
        const unsigned flags = MHD_USE_EPOLL_INTERNAL_THREAD | MHD_USE_ITC | MHD_ALLOW_SUSPEND_RESUME |
                               (h->cert ? MHD_USE_TLS : 0);
        const unsigned all = http_clients_max();

        h->clients = http_clients_make(all < HTTP_CLIENTS_PART ? 1 : all / HTTP_CLIENTS_PART);
        if (!h->clients)
                return -ENOMEM;
        h->daemon = MHD_start_daemon(flags, 0, http_admit, h, http_answer, h, MHD_OPTION_LISTEN_SOCKET, fd,
                                     MHD_OPTION_THREAD_POOL_SIZE, (unsigned)HTTP_THREADS,
                                     MHD_OPTION_CONNECTION_LIMIT, all, MHD_OPTION_NOTIFY_CONNECTION, http_notify, h,
                                     MHD_OPTION_NOTIFY_COMPLETED, http_end, h,
                                     MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)HTTP_CLIENT_BYTES,
                                     MHD_OPTION_CONNECTION_TIMEOUT, (unsigned)HTTP_IDLE_SECONDS,
                                     MHD_OPTION_ARRAY, h->cert ? tls : tls + 3, MHD_OPTION_END);
        if (h->daemon)
                return 0;
        return diag_set(diag, -EINVAL, h->cert ? "http: the server did not start: are certificate and key good?" :
                                                 "http: the server did not start");
}

int http_start(struct model *m, const struct http_opts *opts, struct diag *diag, struct http **ret)
{
        CLEANUP_CLOSE int fd = -1;
        struct http *h = calloc(1, sizeof(*h));
        int r = h ? 0 : -ENOMEM;

        if (r == 0) {
                h->model = m;
                h->metrics = opts->metrics;
                h->metrics_add = opts->metrics_add;
                h->metrics_ctx = opts->metrics_ctx;
                r = transfers_new(m, opts->changes, &h->transfers);
        }
        if (r == 0)
                r = http_read_pems(h, opts, diag);
        if (r == 0)
                r = fd = http_listen(opts->listen, diag);
        if (r >= 0)
                r = http_make_base(h, fd, opts);
        if (r == 0)
                r = http_run(h, fd, diag);
        if (r < 0) {
                http_stop(h);
                return r;
        }
        (void)TAKE_FD(fd);
        *ret = h;
        return 0;
}

void http_stop(struct http *h)
{
        if (!h)
                return;
        if (h->daemon) {
                transfers_stop(h->transfers);
                MHD_stop_daemon(h->daemon);
        }
        transfers_free(h->transfers);
        http_clients_free(h->clients);
        if (h->key)
                explicit_bzero(h->key, strlen(h->key));
        free(h->key);
        free(h->cert);
        free(h->base);
        free(h);
}

void http_look(struct http *h)
{
        if (h)
                transfers_look(h->transfers);
}

void http_add_url(const struct http *h, const struct download *d, struct strbuf *out)
{
        char name[DOWNLOAD_NAME_SIZE];

        download_name(d, name);
        strbuf_addf(out, "%s/%s/%s", h->base, d->token, name);
}

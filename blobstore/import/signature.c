/* SPDX-License-Identifier: MIT */

/*
 * The keyring, the text and the signature are files without a name, which the child opens by their descriptors; what it
 * finds comes back through two pipes: its status, a line for each thing that it found, and the text that was signed, which
 * of a clear-signed one is not all that there is. What the child says is bounded in size and time.
 *
 * gpgv ends with 0 where every signature is good, also by a key that has expired or was revoked: that the status says. A
 * text with more than one signed part is refused, since of those after the first nothing is said; and a signature by a
 * digest for which other texts can be found is refused, which gpgv takes.
 */

#include "blobstore/import/signature.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "blobstore/base/child.h"
#include "blobstore/base/io.h"
#include "blobstore/base/log.h"
#include "blobstore/base/nameless.h"
#include "blobstore/base/parse.h"

#define CHILD_MEMORY_BYTES (UINT64_C(256) << 20)
#define CHILD_CPU_SECONDS  10
#define WAIT_MS            30000
#define STATUS_BYTES_MAX   (64 << 10)

static const char *const programs[] = {
        "/usr/bin/gpgv",
        "/usr/local/bin/gpgv",
        "/run/current-system/sw/bin/gpgv",
};

#define CLEAR_SIGNED "-----BEGIN PGP SIGNED MESSAGE-----"

bool signature_is_clear(const struct strbuf *text)
{
        const char *at = strstr(strbuf_text(text), CLEAR_SIGNED);

        return at && (at == text->text || at[-1] == '\n');
}

static const char *find_program(void)
{
        for (size_t i = 0; i < sizeof(programs) / sizeof(programs[0]); i++)
                if (access(programs[i], X_OK) == 0)
                        return programs[i];
        return NULL;
}

/* ---- the child ---- */

/* The numbers of what the child finds open. */
enum { CHILD_KEYRING = 3, CHILD_STATUS, CHILD_SIGNED, CHILD_TEXT, CHILD_SIGNATURE };

struct gpgv {
        struct child *child;
        int keyring_fd, text_fd, signature_fd;
        int status_fd, signed_fd; /* our ends */
};

static void gpgv_done(struct gpgv *g)
{
        child_kill_and_wait(g->child);
        cleanup_close(&g->keyring_fd);
        cleanup_close(&g->text_fd);
        cleanup_close(&g->signature_fd);
        cleanup_close(&g->status_fd);
        cleanup_close(&g->signed_fd);
}

static int make_file(int dir_fd, const void *bytes, size_t n, int *ret)
{
        *ret = nameless_open(dir_fd);
        return *ret < 0 ? *ret : pwrite_full(*ret, bytes, n, 0);
}

static int make_files(struct gpgv *g, const struct signature *s, int dir_fd)
{
        int r = make_file(dir_fd, s->keyring, s->keyring_bytes, &g->keyring_fd);

        if (r == 0)
                r = make_file(dir_fd, strbuf_text(s->text), s->text->len, &g->text_fd);
        if (r == 0 && s->detached)
                r = make_file(dir_fd, strbuf_text(s->detached), s->detached->len, &g->signature_fd);
        return r;
}

static int start(struct gpgv *g, const char *program, bool detached, struct strbuf *reason)
{
        CLEANUP_CLOSE int status_end = -1;
        CLEANUP_CLOSE int signed_end = -1;
        const char *argv[] = {
                program, "--quiet", "--status-fd", "4", "--homedir", "/nonexistent", "--enable-special-filenames",
                "--output", "-&5", "--keyring", "/proc/self/fd/3",
                detached ? "/proc/self/fd/7" : "/proc/self/fd/6", detached ? "/proc/self/fd/6" : NULL, NULL,
        };
        struct child_opts opts = {
                .argv = argv,
                .n_fds = detached ? 5 : 4,
                .memory_bytes = CHILD_MEMORY_BYTES,
                .cpu_seconds = CHILD_CPU_SECONDS,
        };
        int ends[2];

        if (pipe2(ends, O_CLOEXEC) < 0)
                return -errno;
        g->status_fd = ends[0];
        status_end = ends[1];
        if (pipe2(ends, O_CLOEXEC) < 0)
                return -errno;
        g->signed_fd = ends[0];
        signed_end = ends[1];

        opts.fds[CHILD_KEYRING - 3] = (struct child_fd){ .fd = g->keyring_fd, .reopen = true };
        opts.fds[CHILD_STATUS - 3] = (struct child_fd){ .fd = status_end };
        opts.fds[CHILD_SIGNED - 3] = (struct child_fd){ .fd = signed_end };
        opts.fds[CHILD_TEXT - 3] = (struct child_fd){ .fd = g->text_fd, .reopen = true };
        if (detached)
                opts.fds[CHILD_SIGNATURE - 3] = (struct child_fd){ .fd = g->signature_fd, .reopen = true };
        return child_start(&opts, &g->child, reason);
}

static int64_t now_ms(void)
{
        struct timespec now;

        (void)clock_gettime(CLOCK_MONOTONIC, &now); /* cannot fail */
        return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* Takes what is there. 1: there may be more; 0: that was all. */
static int take(int fd, size_t max, struct strbuf *out)
{
        char buf[4096];
        ssize_t n = read(fd, buf, sizeof(buf));

        if (n < 0)
                return errno == EINTR ? 1 : -errno;
        if (out->len + (size_t)n > max)
                return -EFBIG;
        strbuf_add_bytes(out, buf, (size_t)n);
        return n > 0;
}

/* Both at once: the child waits where one of them is full. */
static int take_all(struct gpgv *g, size_t text_max, struct strbuf *status, struct strbuf *text)
{
        struct pollfd ready[] = {
                { .fd = g->status_fd, .events = POLLIN },
                { .fd = g->signed_fd, .events = POLLIN },
        };
        const int64_t until = now_ms() + WAIT_MS;
        int r = 0;

        while (r == 0 && (ready[0].fd >= 0 || ready[1].fd >= 0)) {
                const int64_t left = until - now_ms();
                int n = left > 0 ? poll(ready, 2, (int)left) : 0;

                if (n < 0 && errno != EINTR)
                        return -errno;
                if (n == 0)
                        return -ETIMEDOUT;
                for (size_t i = 0; n > 0 && i < 2 && r == 0; i++) {
                        if (ready[i].fd < 0 || ready[i].revents == 0)
                                continue;
                        r = i == 0 ? take(g->status_fd, STATUS_BYTES_MAX, status) : take(g->signed_fd, text_max, text);
                        if (r == 0)
                                ready[i].fd = -1;
                        else if (r > 0)
                                r = 0;
                }
        }
        if (r == 0)
                r = strbuf_error(status);
        return r < 0 ? r : strbuf_error(text);
}

/* ---- what it says ---- */

struct finding {
        unsigned signatures, good, texts;
        bool bad;
        bool unknown, weak;
        int64_t made_s; /* of the newest signature */
};

/* The words of VALIDSIG, and OpenPGP's numbers of digests that are none any more: MD5, SHA-1, RIPEMD-160. */
enum { VALID_SECONDS = 2, VALID_DIGEST = 7, VALID_WORDS };
#define WEAK_DIGESTS (1u << 1 | 1u << 2 | 1u << 3)

static void take_valid(struct finding *f, char *words)
{
        const char *word[VALID_WORDS] = { NULL };
        uint64_t made_s, digest;

        for (size_t i = 0; i < VALID_WORDS && words; i++)
                word[i] = strsep(&words, " ");
        if (!word[VALID_DIGEST] || parse_u64(word[VALID_SECONDS], &made_s) < 0 || parse_u64(word[VALID_DIGEST], &digest) < 0 ||
            digest > 31) {
                f->bad = true; /* a time that is not written so is none that could be compared */
                return;
        }
        f->weak |= (WEAK_DIGESTS & 1u << digest) != 0;
        if ((int64_t)made_s > f->made_s)
                f->made_s = (int64_t)made_s;
}

static void take_status(struct finding *f, char *line)
{
        /* whatever says that a signature is not what it should be, or its key */
        static const char *const bads[] = { "BADSIG", "ERRSIG", "EXPSIG", "EXPKEYSIG", "REVKEYSIG", "NODATA", "UNEXPECTED",
                                            "BADARMOR", "FAILURE", "ERROR" };
        const char *word;

        if (strncmp(line, "[GNUPG:] ", 9) != 0)
                return;
        line += 9;
        word = strsep(&line, " ");
        f->signatures += strcmp(word, "NEWSIG") == 0;
        f->good += strcmp(word, "GOODSIG") == 0;
        f->texts += strcmp(word, "PLAINTEXT") == 0;
        f->unknown |= strcmp(word, "NO_PUBKEY") == 0;
        for (size_t i = 0; i < sizeof(bads) / sizeof(bads[0]); i++)
                f->bad |= strcmp(word, bads[i]) == 0;
        if (strcmp(word, "VALIDSIG") == 0 && line)
                take_valid(f, line);
}

static int judge(const struct finding *f, int exit_status, bool detached, struct strbuf *reason)
{
        const bool whole = f->texts == (detached ? 0 : 1);

        if (WIFEXITED(exit_status) && WEXITSTATUS(exit_status) == 0 && !f->bad && !f->unknown && !f->weak && f->good > 0 &&
            f->good == f->signatures && whole)
                return 0;
        if (f->unknown)
                strbuf_add(reason, "it is signed by a key that is not in keyring");
        else if (f->weak)
                strbuf_add(reason, "it is signed by way of a digest that proves nothing any more, such as SHA-1");
        else if (!whole)
                strbuf_add(reason, "it is not one signed text");
        else
                strbuf_add(reason, "its signature is not good: it was changed, or its key has expired or was revoked");
        return -EKEYREJECTED;
}

int signature_check(const struct signature *s, int dir_fd, struct strbuf *ret, int64_t *ret_made_s, struct strbuf *reason)
{
        CLEANUP(gpgv_done) struct gpgv g = { .keyring_fd = -1, .text_fd = -1, .signature_fd = -1, .status_fd = -1,
                                             .signed_fd = -1 };
        CLEANUP_STRBUF struct strbuf status = { 0 }, text = { 0 };
        const char *program = find_program();
        struct finding found = { 0 };
        int exit_status = 0;
        char *lines, *line;
        int r;

        if (!program) {
                strbuf_add(reason, "signatures are checked by gpgv, which is not installed: have it installed (package gpgv)");
                return -EOPNOTSUPP;
        }
        r = make_files(&g, s, dir_fd);
        if (r == 0)
                r = start(&g, program, s->detached != NULL, reason);
        if (r == 0)
                r = take_all(&g, s->text->len, &status, &text);
        if (r == 0)
                r = child_wait(g.child, WAIT_MS, &exit_status);
        if (g.child)
                log_debug("gpgv: %s", child_output(g.child));
        if (r == -EFBIG || r == -ETIMEDOUT) {
                strbuf_add(reason, "its signature takes too long to check");
                return -EKEYREJECTED;
        }
        if (r < 0)
                return r;

        lines = status.text;
        while (lines && (line = strsep(&lines, "\n")))
                take_status(&found, line);
        r = judge(&found, exit_status, s->detached != NULL, reason);
        if (r < 0)
                return r;
        if (s->detached)
                strbuf_add_bytes(&text, strbuf_text(s->text), s->text->len);
        r = strbuf_error(&text);
        if (r < 0)
                return r;
        strbuf_done(ret);
        *ret = text;
        text = (struct strbuf){ 0 };
        *ret_made_s = found.made_s;
        return 0;
}

/* SPDX-License-Identifier: MIT */

/*
 * A child (judge/, confined as qemu is) reads headers and tables, and says what they say. Whatever it says is taken as
 * said by the file: numbers are bounded, texts in length and characters, and so is the time that it may take.
 */

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "blobstore/base/block.h"
#include "blobstore/base/child.h"
#include "blobstore/base/cleanup.h"
#include "blobstore/base/log.h"
#include "blobstore/base/parse.h"
#include "blobstore/import/format_priv.h"

#define PROGRAM            "imagefs-judge"
#define SENTENCE_MAX       300
#define CHILD_MEMORY_BYTES (UINT64_C(256) << 20)

/* Tables are read from the disk; of a header a minute's worth would be much. */
#define HEADER_SECONDS     60
#define TABLES_SECONDS     600

#define BLOCK_BYTES_MIN    512
#define BLOCK_BYTES_MAX    (UINT64_C(1) << 30)

static int64_t now_ms(void)
{
        struct timespec ts;

        (void)clock_gettime(CLOCK_MONOTONIC, &ts);
        return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

/* ---- the answer ---- */

static int gave_up(const struct format *f, struct strbuf *reason)
{
        strbuf_addf(reason, "reading the tables of this %s file took too long and was given up", f->title);
        return -ETIMEDOUT;
}

/* All of N bytes. */
static int read_full(int fd, void *buf, size_t n, int64_t deadline, const struct format *f, struct strbuf *reason)
{
        struct pollfd ready = { .fd = fd, .events = POLLIN };
        uint8_t *at = buf;

        while (n > 0) {
                int64_t left = deadline - now_ms();
                ssize_t got;
                int r;

                if (left <= 0)
                        return gave_up(f, reason);
                r = poll(&ready, 1, (int)left);
                if (r < 0 && errno != EINTR)
                        return -errno;
                if (r <= 0)
                        continue;
                got = read(fd, at, n);
                if (got < 0 && errno != EINTR)
                        return -errno;
                if (got == 0) /* it died: out of memory or time, or of what it read */
                        return format_refuse(reason, "this %s file takes more memory or time to look at than it may: "
                                             "convert it with qemu-img convert -O qcow2", f->title);
                if (got > 0) {
                        at += got;
                        n -= (size_t)got;
                }
        }
        return 0;
}

static int take_sentence(int fd, const struct judge_answer *a, int64_t deadline, const struct format *f,
                         struct strbuf *reason)
{
        char sentence[SENTENCE_MAX + 1];
        int r;

        if (a->error < -4095 || a->error > 0 || a->sentence_bytes == 0 || a->sentence_bytes > SENTENCE_MAX)
                return format_refuse(reason, "this %s file could not be looked at", f->title);
        r = read_full(fd, sentence, a->sentence_bytes, deadline, f, reason);
        if (r < 0)
                return r;
        if (!text_is_clean(sentence, a->sentence_bytes))
                return format_refuse(reason, "this %s file could not be looked at", f->title);
        sentence[a->sentence_bytes] = '\0';
        strbuf_add(reason, sentence);
        return a->error;
}

static int take_answer(int fd, const struct format *f, int64_t deadline, struct judgement *ret, struct strbuf *reason)
{
        CLEANUP_FREE uint8_t *map = NULL;
        struct judge_answer a;
        int r;

        r = read_full(fd, &a, sizeof(a), deadline, f, reason);
        if (r < 0)
                return r;
        ret->judged = a.judged;
        if (a.error != 0)
                return take_sentence(fd, &a, deadline, f, reason);
        if (a.judged.size_bytes > BLOB_SIZE_MAX)
                return format_refuse_size(reason);
        if (a.map_bytes > 0) {
                if (a.block_bytes < BLOCK_BYTES_MIN || a.block_bytes > BLOCK_BYTES_MAX ||
                    a.map_bytes != JUDGE_MAP_BYTES(a.judged.size_bytes, a.block_bytes))
                        return format_refuse(reason, "this %s file could not be looked at", f->title);
                map = malloc(a.map_bytes);
                if (!map)
                        return -ENOMEM;
                r = read_full(fd, map, a.map_bytes, deadline, f, reason);
                if (r < 0)
                        return r;
        }
        ret->data_bytes = a.data_bytes;
        ret->block_bytes = a.block_bytes;
        ret->map = TAKE_PTR(map);
        return 0;
}

/* ---- starting ---- */

/* What is written to while it comes in, is for the child to read only. */
static int open_again(int fd)
{
        char path[64];
        int again;

        (void)snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
        again = open(path, O_RDONLY | O_CLOEXEC);
        return again < 0 ? -errno : again;
}

static int start(int fd, int output_fd, const struct format *f, bool tables, struct child **ret, struct strbuf *reason)
{
        CLEANUP_STRBUF struct strbuf program = { 0 };
        const char *argv[] = { NULL, f->name, tables ? "tables" : "header", NULL };
        struct child_opts opts = {
                .argv = argv,
                .fds = { { .fd = fd }, { .fd = output_fd } },
                .n_fds = 2,
                .memory_bytes = CHILD_MEMORY_BYTES,
                .cpu_seconds = tables ? TABLES_SECONDS : HEADER_SECONDS,
        };

        if (child_find_program(PROGRAM, &program) < 0) {
                strbuf_addf(reason, "reading %s files takes " PROGRAM ", which is a part of imagefs and is not "
                            "installed here", f->title);
                return -EOPNOTSUPP;
        }
        argv[0] = strbuf_text(&program);
        return child_start(&opts, ret, reason);
}

int judge_file(int fd, const struct format *f, bool tables, int limit_ms, struct judgement *ret, struct strbuf *reason)
{
        const int longest_ms = (tables ? TABLES_SECONDS : HEADER_SECONDS) * 1000;
        const int64_t deadline = now_ms() + (limit_ms ? limit_ms : longest_ms);
        CLEANUP_CLOSE int answer_fd = -1;
        CLEANUP_CLOSE int output_fd = -1;
        CLEANUP_CLOSE int input_fd = -1;
        struct child *child = NULL;
        int ends[2];
        int r;

        *ret = (struct judgement){ 0 };
        input_fd = open_again(fd);
        if (input_fd < 0) {
                strbuf_add(reason, "the file could not be read");
                return input_fd;
        }
        if (pipe2(ends, O_CLOEXEC) < 0)
                return -errno;
        answer_fd = ends[0];
        output_fd = ends[1];
        r = start(input_fd, output_fd, f, tables, &child, reason);
        cleanup_close(&output_fd);
        output_fd = -1;
        if (r == 0)
                r = take_answer(answer_fd, f, deadline, ret, reason);
        if (r < 0 && child)
                log_debug(PROGRAM ": %s", child_output(child));
        child_kill_and_wait(child);
        return r;
}

void judgement_done(struct judgement *j)
{
        free(j->map);
        j->map = NULL;
}

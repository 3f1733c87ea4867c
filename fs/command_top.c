/* SPDX-License-Identifier: MIT */
/*
 * imagefs top MOUNTPOINT: what a mounted library does, again each second. On a terminal a page that is written over; else a
 * line each time. All of it is in files of the mount; counters are the administrator's to read, and others are shown the
 * tasks that are theirs.
 */

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/signalfd.h>
#include <sys/timerfd.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#include "blobstore/base/cleanup.h"
#include "fs/bar.h"
#include "fs/commands.h"
#include "fs/flags.h"
#include "fs/mounted.h"

#define BAR_WIDTH 24

/* What the counters said at one moment. */
struct sample {
        bool known; /* may who asks read them? */
        double at_s;
        uint64_t requests, read_bytes, written_bytes, hits, misses;
};

struct top {
        int fd;
        bool page; /* on a terminal */
        unsigned rows; /* of the terminal, for tasks */
        struct sample before, now;
        uint64_t running, queued;
        struct strbuf tasks; /* a line for each that fits */
        unsigned lines;
};

/* ---- counters ---- */

static double top_clock_s(void)
{
        struct timespec t;

        (void)clock_gettime(CLOCK_MONOTONIC, &t); /* cannot fail with this */
        return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* The sum over all labels of a metric. */
static uint64_t top_sum(const char *text, const char *name)
{
        const size_t n = strlen(name);
        uint64_t sum = 0;

        for (const char *at = text; (at = strstr(at, name)); at += n) {
                if ((at != text && at[-1] != '\n') || (at[n] != ' ' && at[n] != '{'))
                        continue;
                at += n + strcspn(at + n, " \n");
                sum += strtoull(at, NULL, 10); /* of the daemon's own making */
                at -= n;
        }
        return sum;
}

static void top_take_counters(struct top *t)
{
        CLEANUP_STRBUF struct strbuf text = { 0 };
        const bool known = mounted_read(t->fd, "info/metrics", &text) == 0 && text.len > 0;

        t->before = t->now;
        t->now = (struct sample){ .known = known, .at_s = top_clock_s() };
        if (!known)
                return;
        t->now.requests = top_sum(text.text, "imagefs_requests_total");
        t->now.read_bytes = top_sum(text.text, "imagefs_read_bytes_total");
        t->now.written_bytes = top_sum(text.text, "imagefs_written_bytes_total");
        t->now.hits = top_sum(text.text, "imagefs_cache_hits_total");
        t->now.misses = top_sum(text.text, "imagefs_cache_misses_total");
}

/* Each second, since the last time; 0 at the first. */
static uint64_t top_rate(const struct top *t, uint64_t before, uint64_t now)
{
        const double seconds = t->now.at_s - t->before.at_s;

        return t->before.known && seconds > 0 && now >= before ? (uint64_t)((double)(now - before) / seconds + 0.5) : 0;
}

static void top_add_rates(const struct top *t, struct strbuf *out)
{
        const struct sample *a = &t->before, *b = &t->now;
        const uint64_t hits = b->hits - a->hits, all = hits + b->misses - a->misses;

        if (!b->known) {
                strbuf_add(out, "counters are the administrator's to read");
                return;
        }
        strbuf_addf(out, "%" PRIu64 " requests/s, reads ", top_rate(t, a->requests, b->requests));
        bar_add_size(out, top_rate(t, a->read_bytes, b->read_bytes));
        strbuf_add(out, "/s, writes ");
        bar_add_size(out, top_rate(t, a->written_bytes, b->written_bytes));
        strbuf_add(out, "/s, cache hits ");
        if (a->known && all > 0)
                strbuf_addf(out, "%" PRIu64 " %%", hits * 100 / all);
        else
                strbuf_add(out, "-");
}

/* ---- tasks ---- */

static int top_add_task(void *ctx, const struct mounted_task *task)
{
        struct top *t = ctx;
        const bool runs = strcmp(task->status, "running") == 0;

        t->running += runs;
        t->queued += !runs;
        if (!t->page || t->lines >= t->rows)
                return 0;
        t->lines++;
        if (runs)
                bar_add(&t->tasks, task->percent, 100, BAR_WIDTH);
        else
                strbuf_addf(&t->tasks, "%-*s", BAR_WIDTH, "queued");
        strbuf_addf(&t->tasks, " %3" PRIu64 " %% ", task->percent);
        bar_add_size(&t->tasks, task->done_bytes);
        strbuf_add(&t->tasks, " of ");
        bar_add_size(&t->tasks, task->total_bytes);
        strbuf_addf(&t->tasks, "  %s of %s, %s\033[K\n", task->kind, task->image, task->owner);
        return 0;
}

static int top_show(struct top *t)
{
        CLEANUP_STRBUF struct strbuf out = { 0 };
        const time_t now = time(NULL);
        struct winsize size;
        int r;

        top_take_counters(t);
        t->running = t->queued = t->lines = 0;
        t->rows = t->page && ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_row > 4 ? size.ws_row - 4 : 20;
        strbuf_reset(&t->tasks);
        r = mounted_each_task(t->fd, top_add_task, t);
        if (r < 0)
                return r;
        if (t->page)
                strbuf_add(&out, "\033[H");
        strbuf_add_time(&out, (long long)now * 1000000);
        strbuf_add(&out, " ");
        top_add_rates(t, &out);
        strbuf_addf(&out, ", %" PRIu64 " running, %" PRIu64 " queued", t->running, t->queued);
        if (t->page)
                strbuf_addf(&out, "\033[K\n\033[K\n%s\033[J", strbuf_text(&t->tasks));
        else
                strbuf_add(&out, "\n");
        if (strbuf_error(&out) < 0)
                return strbuf_error(&out);
        (void)fputs(strbuf_text(&out), stdout);
        return fflush(stdout) == 0 ? 0 : -errno;
}

/* ---- waiting ---- */

enum { WAIT_SECOND, WAIT_SIGNAL, WAIT_KEY, WAIT_COUNT };

/* Until the next second: 1; 0: to end. */
static int top_wait(struct pollfd w[WAIT_COUNT])
{
        uint64_t seconds;
        char key;

        for (;;) {
                if (poll(w, WAIT_COUNT, -1) < 0)
                        return errno == EINTR ? 1 : -errno;
                if (w[WAIT_SIGNAL].revents)
                        return 0;
                if (w[WAIT_KEY].revents) {
                        ssize_t n = read(w[WAIT_KEY].fd, &key, 1);

                        if (n == 1 && (key == 'q' || key == 'Q'))
                                return 0;
                        if (n <= 0) /* nobody is going to press one */
                                w[WAIT_KEY].fd = -1;
                }
                if (w[WAIT_SECOND].revents && read(w[WAIT_SECOND].fd, &seconds, sizeof(seconds)) > 0)
                        return 1;
        }
}

static int top_run(struct top *t, uint64_t count, bool keys)
{
        const struct itimerspec each = { .it_interval.tv_sec = 1, .it_value.tv_sec = 1 };
        CLEANUP_CLOSE int timer = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC);
        CLEANUP_CLOSE int signals = -1;
        sigset_t set;
        int r;

        (void)sigemptyset(&set);
        (void)sigaddset(&set, SIGINT);
        (void)sigaddset(&set, SIGTERM);
        (void)sigprocmask(SIG_BLOCK, &set, NULL); /* cannot fail with these */
        signals = signalfd(-1, &set, SFD_CLOEXEC);
        if (timer < 0 || signals < 0 || timerfd_settime(timer, 0, &each, NULL) < 0)
                return -errno;

        struct pollfd w[WAIT_COUNT] = {
                [WAIT_SECOND] = { .fd = timer, .events = POLLIN },
                [WAIT_SIGNAL] = { .fd = signals, .events = POLLIN },
                [WAIT_KEY] = { .fd = keys ? STDIN_FILENO : -1, .events = POLLIN },
        };
        if (!t->page) /* a line is about the second that has passed */
                top_take_counters(t);
        for (uint64_t n = 0; count == 0 || n < count; n++) {
                if (!t->page || n > 0) {
                        r = top_wait(w);
                        if (r <= 0)
                                return r;
                }
                r = top_show(t);
                if (r < 0)
                        return r == -EPIPE ? 0 : r;
        }
        return 0;
}

int command_top(int argc, char **argv)
{
        struct termios before, keys;
        struct top t = { .page = isatty(STDOUT_FILENO) };
        uint64_t count = 0;
        const char *path;
        bool has_keys;
        int r;

        const struct flag table[] = {
                { "--count", "end after so many times: --count N", .number = &count },
        };
        const struct flags line = {
                .usage = "imagefs top MOUNTPOINT [--count N]",
                .about = "Shows what a mounted library does, again each second. q ends.",
                .word = "MOUNTPOINT",
                .table = table,
                .n = sizeof(table) / sizeof(table[0]),
        };
        enum flags_result parsed = flags_parse(&line, argc, argv, &path);

        if (parsed != FLAGS_OK)
                return parsed == FLAGS_HELP ? EXIT_SUCCESS : EXIT_FAILURE;
        t.fd = mounted_open(path);
        if (t.fd < 0) {
                (void)fprintf(stderr, "imagefs: %s: %s\n", path,
                              t.fd == -ENOTDIR ? "no library is mounted there" : strerror(-t.fd));
                return EXIT_FAILURE;
        }
        has_keys = t.page && isatty(STDIN_FILENO) && tcgetattr(STDIN_FILENO, &before) == 0;
        if (has_keys) {
                keys = before;
                keys.c_lflag &= ~(tcflag_t)(ICANON | ECHO);
                (void)tcsetattr(STDIN_FILENO, TCSANOW, &keys); /* else q wants a newline after it */
        }
        if (t.page)
                (void)fputs("\033[H\033[J", stdout);
        r = top_run(&t, count, has_keys);
        if (has_keys)
                (void)tcsetattr(STDIN_FILENO, TCSANOW, &before);
        strbuf_done(&t.tasks);
        (void)close(t.fd);
        if (r < 0)
                (void)fprintf(stderr, "imagefs: %s: %s\n", path, strerror(-r));
        return r < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}

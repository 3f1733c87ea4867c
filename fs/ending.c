/* SPDX-License-Identifier: MIT */
/*
 * The end begins with a signal, or when the kernel has let go of the file system: threads that answer requests may be stuck
 * by then, so that libfuse's loop does not end, and this must hear of it by itself. It notes where the stores lie, since the
 * model that knows goes while it is watched, and looks several times within the time that a disk has which threads wait
 * for one of them, and nothing else. What waits for the library's own disk, for a lock or a processor, is merely slow.
 *
 * To leave is what SIGKILL would do: nothing that was answered is lost. The kernel keeps the locks of the library and its
 * stores until the last thread is gone, which may be when the disk answers; so nobody has them before that.
 *
 * Where there is a next process, nothing is waited for that takes long, whatever it waits for: nobody else is answered
 * meanwhile, and the next one is asked once more.
 */

#include "fs/ending.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <time.h>
#include <unistd.h>

#include "blobstore/base/blocked.h"
#include "blobstore/base/cleanup.h"
#include "blobstore/base/lock.h"
#include "blobstore/base/log.h"
#include "blobstore/base/parse.h"
#include "blobstore/base/thread.h"
#include "blobstore/base/waits.h"
#include "fs/lasting.h"
#include "fs/ops/abort.h"
#include "fs/options.h"
#include "fs/tree/watch.h"
#include "fs/unmount.h"

#define SECOND_US INT64_C(1000000)
/* So many looks within the time. */
#define LOOKS 4
/* What is at work gets to end before the next process is asked for it. */
#define FOLLOWED_US SECOND_US
/* What the thread gets to have its question answered by the mount, which everybody else's requests are, too. */
#define ASK_SECONDS 2

struct store {
        char *path, *sentence;
        bool told;
};

struct ending {
        struct fs *fs;
        struct ending_opts opts;
        pthread_t thread;
        int begin_fd, gone_fd; /* an eventfd; an inotify of the mount, which tells when the file system is gone */
        atomic_bool detached;

        pthread_mutex_t mutex; /* of the rest, but STORES, which stay as they are once they are noted */
        pthread_cond_t more; /* by the clock that only goes forwards */
        bool watching, given_up, noted, stopped;
        struct store *stores;
        size_t n;
};

/* ---- signals ---- */

static const int signals[] = { SIGHUP, SIGINT, SIGTERM };
#define SIGNALS (sizeof(signals) / sizeof(signals[0]))

/* For the handler, to which nothing can be given. */
static struct {
        struct sigaction fuse[SIGNALS];
        int begin_fd;
        volatile sig_atomic_t last;
} caught;

static void begin(int fd)
{
        (void)!write(fd, &(uint64_t){ 1 }, sizeof(uint64_t));
}

static void on_signal(int number)
{
        const int error = errno;

        caught.last = number;
        begin(caught.begin_fd);
        for (size_t i = 0; i < SIGNALS; i++)
                if (signals[i] == number)
                        caught.fuse[i].sa_handler(number);
        errno = error;
}

static void signals_catch(int begin_fd)
{
        caught.begin_fd = begin_fd;
        for (size_t i = 0; i < SIGNALS; i++) {
                struct sigaction ours = { .sa_handler = on_signal };

                (void)sigaction(signals[i], NULL, &caught.fuse[i]); /* none of these can fail */
                if (caught.fuse[i].sa_handler != SIG_DFL && caught.fuse[i].sa_handler != SIG_IGN)
                        (void)sigaction(signals[i], &ours, NULL);
        }
}

static void signals_give_back(void)
{
        for (size_t i = 0; i < SIGNALS; i++)
                (void)sigaction(signals[i], &caught.fuse[i], NULL);
}

/* Was it asked for by who starts the next process? */
static bool is_followed(const struct ending *e)
{
        return e->opts.lasting && caught.last == SIGHUP;
}

/* ---- which stores there are ---- */

/* A model_elsewhere_fn. */
static int note_store(void *ctx, const char *path, const char *sentence)
{
        struct ending *e = ctx;
        struct store s = { .path = strdup(path), .sentence = strdup(sentence) };
        struct store *more = reallocarray(e->stores, e->n + 1, sizeof(*more));

        if (more)
                e->stores = more;
        if (!more || !s.path || !s.sentence) {
                free(s.path);
                free(s.sentence);
                return -ENOMEM;
        }
        e->stores[e->n++] = s;
        return 0;
}

/*
 * With the mutex held. One that is not known is waited for. A bucket is not, unless there is a next process, which is asked once more
 * what this one was asked for.
 */
static void note_stores(struct ending *e)
{
        if (e->noted)
                return;
        (void)model_each_elsewhere(e->fs->model, note_store, e);
        if (!is_followed(e))
                model_stop_waiting(e->fs->model);
        e->noted = true;
}

/* A waits_fn. */
static uint64_t number_of_store(void *ctx, const char *path)
{
        const struct ending *e = ctx;

        for (size_t i = 0; i < e->n; i++) {
                const size_t len = strlen(e->stores[i].path);

                if (strncmp(path, e->stores[i].path, len) == 0 && (path[len] == '/' || path[len] == '\0'))
                        return i + 1;
        }
        return 0;
}

/* ---- leaving ---- */

/* By the request that it is at, or by its name: that of a task, or of what else it is for. */
static void add_work(struct ending *e, pid_t thread, struct strbuf *out)
{
        CLEANUP_CLOSE int fd = -1;
        struct watched what;
        char path[64], name[32];
        ssize_t n;

        if (watch_find(e->fs->watch, thread, &what)) {
                strbuf_addf(out, "%s by user %u", count_request_name(what.request), (unsigned)what.uid);
                return;
        }
        (void)snprintf(path, sizeof(path), "/proc/self/task/%d/comm", (int)thread);
        fd = open(path, O_RDONLY | O_CLOEXEC);
        n = fd < 0 ? 0 : read(fd, name, sizeof(name) - 1);
        name[n > 0 ? n : 0] = '\0';
        name[strcspn(name, "\n")] = '\0';
        strbuf_addf(out, "thread %s", name);
}

static void tell(struct ending *e, const struct wait *w)
{
        CLEANUP_STRBUF struct strbuf work = { 0 };
        struct store *s = &e->stores[w->of - 1];
        struct blocked b;

        if (!s->told)
                log_error("%s: what waits for it is left, after %u s; what was answered is safe", s->sentence,
                          e->opts.seconds);
        s->told = true;
        add_work(e, w->thread, &work);
        if (blocked_look(w->thread, &b) == 0 && b.call && b.path[0])
                log_error("left: %s, which waits in %s of %s", strbuf_text(&work), b.call, b.path);
        else
                log_error("left: %s", strbuf_text(&work));
}

static void close_dir(DIR **dir)
{
        if (*dir)
                (void)closedir(*dir);
}

/* A thread that cannot even be killed keeps all descriptors open: the kernel is told that nobody answers any more. */
static void close_session(void)
{
        __attribute__((cleanup(close_dir))) DIR *fds = opendir("/proc/self/fd");
        struct dirent *e;
        char target[32];
        uint64_t fd;
        ssize_t n;

        while (fds && (e = readdir(fds))) {
                n = readlinkat(dirfd(fds), e->d_name, target, sizeof(target) - 1);
                target[n > 0 ? n : 0] = '\0';
                if (strcmp(target, "/dev/fuse") == 0 && parse_u64(e->d_name, &fd) == 0)
                        (void)close((int)fd);
        }
}

static _Noreturn void leave(struct ending *e)
{
        if (is_followed(e))
                _exit(EXIT_SERVE_AGAIN);
        if (!atomic_exchange(&e->detached, true))
                (void)unmount_detach(e->fs->mountpoint);
        close_session();
        if (e->opts.lasting)
                (void)kill(getppid(), SIGTERM); /* the supervisor, to whom this is the word that it need not wait */
        _exit(EXIT_MOUNT_FAILED);
}

/* ---- the thread ---- */

static void look(struct ending *e, struct waits *waits)
{
        const int64_t before_us = waits_now_us() - (int64_t)e->opts.seconds * SECOND_US;
        bool overdue = false;

        if (waits_look(waits, number_of_store, e) < 0)
                return; /* without memory, or /proc: the next time */
        for (size_t i = 0; i < waits->n; i++) {
                if (waits->all[i].since_us < before_us)
                        tell(e, &waits->all[i]);
                overdue |= waits->all[i].since_us < before_us;
        }
        if (overdue)
                leave(e);
}

static struct timespec from_now(int64_t us)
{
        struct timespec t;

        (void)clock_gettime(CLOCK_MONOTONIC, &t); /* cannot fail with it */
        us += t.tv_nsec / 1000;
        t.tv_sec += us / SECOND_US;
        t.tv_nsec = us % SECOND_US * 1000;
        return t;
}

static void watch_end_of_mount(struct ending *e)
{
        struct pollfd fds[] = { { .fd = e->begin_fd, .events = POLLIN }, { .fd = e->gone_fd, .events = POLLIN } };

        /* the file system's being gone is told of with any mask; it asks the mount, which is why it is done here */
        if (e->gone_fd >= 0)
                (void)inotify_add_watch(e->gone_fd, e->fs->mountpoint, IN_DELETE_SELF);
        {
                LOCK_SCOPE(&e->mutex);
                if (!e->given_up)
                        e->opts.served(e->opts.ctx);
                e->watching = true;
                (void)pthread_cond_broadcast(&e->more);
        }
        while (poll(fds, 2, -1) < 0)
                ; /* EINTR; with no memory at once again */
}

/* Gives the mutex back meanwhile. */
static void let_end(struct ending *e)
{
        const struct timespec due = from_now(FOLLOWED_US);

        while (pthread_cond_timedwait(&e->more, &e->mutex, &due) != ETIMEDOUT)
                ;
        log_info("%s: what is still at work is the next process's", e->fs->mountpoint);
        leave(e);
}

static void *attend(void *arg)
{
        struct ending *e = arg;
        struct waits waits = { 0 };
        struct timespec due;

        thread_set_name("ending");
        watch_end_of_mount(e);

        LOCK_SCOPE(&e->mutex);
        if (is_followed(e))
                let_end(e);
        note_stores(e);
        while (!e->stopped) {
                due = from_now(e->opts.seconds * SECOND_US / LOOKS);
                if (pthread_cond_timedwait(&e->more, &e->mutex, &due) != ETIMEDOUT)
                        continue;
                unlock(&e->mutex);
                look(e, &waits);
                lock(&e->mutex);
        }
        waits_done(&waits);
        return NULL;
}

/* ---- from the main thread ---- */

static void ending_free(struct ending *e)
{
        for (size_t i = 0; i < e->n; i++) {
                free(e->stores[i].path);
                free(e->stores[i].sentence);
        }
        free(e->stores);
        cleanup_close(&e->begin_fd);
        cleanup_close(&e->gone_fd);
        (void)pthread_cond_destroy(&e->more);
        (void)pthread_mutex_destroy(&e->mutex);
        free(e);
}

int ending_start(struct fs *fs, const struct ending_opts *opts, struct ending **ret)
{
        struct ending *e = calloc(1, sizeof(*e));
        int r;

        if (!e)
                return -ENOMEM;
        e->fs = fs;
        e->opts = *opts;
        (void)pthread_mutex_init(&e->mutex, NULL); /* cannot fail so */
        cond_init(&e->more);
        e->begin_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
        e->gone_fd = inotify_init1(IN_CLOEXEC); /* without it the loop's end tells */
        r = e->begin_fd < 0 ? -errno : thread_start(&e->thread, attend, e);
        if (r < 0) {
                ending_free(e);
                return r;
        }
        signals_catch(e->begin_fd);
        *ret = e;
        return 0;
}

void ending_begin(struct ending *e)
{
        const struct timespec due = from_now(ASK_SECONDS * SECOND_US);

        if (!e)
                return;
        signals_give_back();
        LOCK_SCOPE(&e->mutex);
        note_stores(e);
        begin(e->begin_fd);
        while (!e->watching)
                if (pthread_cond_timedwait(&e->more, &e->mutex, &due) == ETIMEDOUT) {
                        e->given_up = true;
                        abort_requests(e->fs->mountpoint);
                        break;
                }
}

void ending_note_detached(struct ending *e)
{
        if (e)
                atomic_store(&e->detached, true);
}

void ending_stop(struct ending *e)
{
        if (!e)
                return;
        {
                LOCK_SCOPE(&e->mutex);
                e->stopped = true;
                (void)pthread_cond_broadcast(&e->more);
        }
        (void)pthread_join(e->thread, NULL);
        ending_free(e);
}

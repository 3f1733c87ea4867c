/* SPDX-License-Identifier: MIT */
/*
 *      start ──► serving ──dies──► start              as often in a minute as restarts= says
 *                   │    ──dies once more──► left down: unmounted, with the reason in the log
 *                   │    ──wants to be followed──► start, which finds the program that is there by then
 *                   └────ends──► end, with its status
 *
 * Signals that end the mount, or put a new program under it, are the serving process's to follow: they are passed on. It
 * has a process group of its own, so that those of a terminal come to the supervisor alone; and it dies with the
 * supervisor, so that who kills that has no mount that goes on by itself.
 */

#include "fs/supervise.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "blobstore/base/cleanup.h"
#include "blobstore/base/log.h"
#include "fs/tree/req.h"
#include "fs/unmount.h"
#include "model/core/left_down.h"

#define MINUTE_US INT64_C(60000000)

/* What a process that ends with something left gets to be gone. */
#define LEFT_MS 1000

/* Before the next try of one that died before it served: what it needs may come to be there. */
#define TRY_AGAIN_MS 1000

struct supervisor {
        const struct options *opts;
        char **argv;
        char program[PATH_MAX]; /* as it was called: another version may lie there by the time of the next start */
        struct lasting *l;
        int signal_fd;
        pid_t pid; /* of the process that serves */
        bool ending; /* it was told to end */
        bool left; /* it has ended, but for what cannot be killed, and is not to be waited for */
        int64_t *deaths_us; /* the last ones, in a ring of restarts + 1 */
        uint64_t deaths;
};

static int64_t now_us(void)
{
        struct timespec ts;

        (void)clock_gettime(CLOCK_BOOTTIME, &ts); /* cannot fail */
        return (int64_t)ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}

/* SIGCHLD is the supervisor's alone; the others wait until the process is ready for them. */
static void keep_signals(int how, bool of_children)
{
        sigset_t set;

        (void)sigemptyset(&set);
        if (of_children) {
                (void)sigaddset(&set, SIGCHLD);
        } else {
                (void)sigaddset(&set, SIGTERM);
                (void)sigaddset(&set, SIGINT);
                (void)sigaddset(&set, SIGHUP);
        }
        (void)sigprocmask(how, &set, NULL); /* cannot fail with these */
}

static int make_signal_fd(void)
{
        sigset_t set;
        int fd;

        (void)sigemptyset(&set);
        (void)sigaddset(&set, SIGCHLD);
        (void)sigaddset(&set, SIGTERM);
        (void)sigaddset(&set, SIGINT);
        (void)sigaddset(&set, SIGHUP);
        fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
        return fd < 0 ? -errno : fd;
}

/* In the child. */
static void be_child(pid_t supervisor)
{
        (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (getppid() != supervisor) /* it was too late for that */
                _exit(EXIT_MOUNT_FAILED);
        (void)setpgid(0, 0);
        (void)signal(SIGHUP, SIG_DFL); /* where nohup started us it is ignored, and libfuse would leave it so */
        keep_signals(SIG_UNBLOCK, true);
}

static pid_t start_next(struct supervisor *s)
{
        const pid_t supervisor = getpid();
        pid_t pid;

        atomic_store(&s->l->memory->serving, 0);
        pid = fork();
        if (pid != 0)
                return pid;
        be_child(supervisor);
        if (lasting_pass_on(s->l) == 0) {
                (void)execv(s->program, s->argv);
                (void)execv("/proc/self/exe", s->argv); /* it was removed */
        }
        _exit(EXIT_MOUNT_FAILED);
}

/* Nobody reads any more what it says, nor waits for it to end. */
static void detach(const struct supervisor *s)
{
        CLEANUP_CLOSE int null = open("/dev/null", O_RDWR | O_CLOEXEC);

        if (s->opts->foreground || s->opts->debug || null < 0) {
                log_setup("imagefs", LOG_INFO, LOG_TO_FILE);
                return;
        }
        (void)dup2(null, STDIN_FILENO);
        (void)dup2(null, STDOUT_FILENO);
        (void)dup2(null, STDERR_FILENO);
        (void)!chdir("/"); /* keeps no other mount busy */
        log_setup("imagefs", LOG_INFO, LOG_TO_SYSLOG);
}

static void receive_fuse(struct supervisor *s)
{
        if (s->l->fuse_fd >= 0 || lasting_receive_fuse(s->l) < 0)
                return;
        cleanup_close(&s->l->sockets[0]);
        s->l->sockets[0] = -1;
        detach(s);
}

static void follow_signals(struct supervisor *s)
{
        struct signalfd_siginfo info;

        while (read(s->signal_fd, &info, sizeof(info)) == sizeof(info)) {
                if (info.ssi_signo == SIGCHLD)
                        continue;
                s->ending |= info.ssi_signo != SIGHUP;
                s->left |= s->pid > 0 && info.ssi_pid == (uint32_t)s->pid;
                if (s->pid > 0)
                        (void)kill(s->pid, (int)info.ssi_signo);
        }
}

/*
 * What the process waits for has a thread that the kernel does not kill before the disk answers. It has unmounted, and said
 * so in the log.
 */
static _Noreturn void leave(struct supervisor *s)
{
        cleanup_close(&s->l->fuse_fd);
        exit(EXIT_MOUNT_FAILED);
}

/* Until the process has ended, whose status it gives. */
static int attend(struct supervisor *s)
{
        int status;

        while (waitpid(s->pid, &status, WNOHANG) != s->pid) {
                struct pollfd fds[] = { { .fd = s->signal_fd, .events = POLLIN },
                                        { .fd = s->l->sockets[0], .events = POLLIN } };

                if (poll(fds, 2, s->left ? LEFT_MS : -1) == 0)
                        leave(s);
                follow_signals(s);
                receive_fuse(s);
        }
        receive_fuse(s); /* it may have been mounted, and died at once */
        s->pid = 0;
        return status;
}

/* Have there been too many of them? */
static bool note_death(struct supervisor *s)
{
        const uint64_t ring = s->opts->restarts + 1;
        int64_t before_us;

        s->deaths_us[s->deaths++ % ring] = now_us();
        if (s->deaths < ring)
                return false;
        before_us = s->deaths_us[s->deaths % ring];
        return s->deaths_us[(s->deaths - 1) % ring] - before_us < MINUTE_US;
}

static void describe(int status, char *buf, size_t size)
{
        if (WIFSIGNALED(status))
                (void)snprintf(buf, size, "signal %d, %s", WTERMSIG(status), strsignal(WTERMSIG(status)));
        else
                (void)snprintf(buf, size, "exit status %d", WEXITSTATUS(status));
}

/* Whoever waits for an answer is told that there will be none, and the mount point is as it was before. */
static _Noreturn void leave_down(struct supervisor *s, const char *how)
{
        const time_t now = time(NULL);
        struct tm utc;
        char sentence[512], when[32] = "";

        if (gmtime_r(&now, &utc))
                (void)strftime(when, sizeof(when), "%Y-%m-%dT%H:%M:%SZ", &utc);
        (void)snprintf(sentence, sizeof(sentence),
                       "at %s the mount was left down, since the process that serves it died %llu times in a minute, the last "
                       "time of %s: the log has what was done before",
                       when, (unsigned long long)(s->opts->restarts + 1), how);
        log_error("%s is left down: %s", s->l->memory->mountpoint, sentence);
        (void)left_down_note(s->l->memory->store, sentence); /* it is in the log, too */
        cleanup_close(&s->l->fuse_fd);
        (void)unmount_detach(s->l->memory->mountpoint);
        exit(EXIT_MOUNT_FAILED);
}

/* The process has died; comes back if there is to be another. */
static void mourn(struct supervisor *s, int status)
{
        const bool served = atomic_load(&s->l->memory->serving);
        char how[128];

        describe(status, how, sizeof(how));
        if (s->ending) {
                cleanup_close(&s->l->fuse_fd);
                (void)unmount_detach(s->l->memory->mountpoint);
                exit(EXIT_SUCCESS);
        }
        if (!atomic_load(&s->l->memory->resends)) {
                log_error("%s: the process that serves it died of %s; before Linux 6.9 none can go on in its place", s->l->memory->mountpoint,
                          how);
                exit(EXIT_MOUNT_FAILED);
        }
        if (note_death(s))
                leave_down(s, how);
        log_error("%s: the process that serves it died of %s; the next one goes on", s->l->memory->mountpoint, how);
        if (!served)
                (void)poll(&(struct pollfd){ .fd = s->signal_fd, .events = POLLIN }, 1, TRY_AGAIN_MS);
}

/* An end that it came to by itself, having cleaned up. */
static bool is_end(const struct supervisor *s, int status)
{
        if (s->l->fuse_fd < 0)
                return true;
        if (!WIFEXITED(status))
                return false;
        return WEXITSTATUS(status) == EXIT_SUCCESS ||
               (WEXITSTATUS(status) == EXIT_MOUNT_FAILED && atomic_load(&s->l->memory->serving));
}

static _Noreturn void run(struct supervisor *s)
{
        for (;;) {
                const pid_t pid = s->pid;
                const int status = attend(s);

                if (is_end(s, status))
                        exit(WIFEXITED(status) ? WEXITSTATUS(status) : EXIT_MOUNT_FAILED);
                if (WIFEXITED(status) && WEXITSTATUS(status) == EXIT_SERVE_AGAIN)
                        log_info("%s: the next process goes on", s->l->memory->mountpoint);
                else
                        mourn(s, status);
                lasting_died(s->l, pid);
                follow_signals(s);
                s->pid = start_next(s);
                if (s->pid < 0) {
                        log_errno(-errno, "starting the next process");
                        exit(EXIT_MOUNT_FAILED);
                }
        }
}

bool supervise_helps(void)
{
        unsigned major = 0, minor = 0;
        struct utsname u;

        if (uname(&u) < 0 || sscanf(u.release, "%u.%u", &major, &minor) != 2)
                return false;
        return (major > 6 || (major == 6 && minor >= 9)) && fuse_version() >= 314;
}

int supervise(const struct options *opts, char **argv, struct lasting *ret)
{
        struct supervisor s = { .opts = opts, .argv = argv, .l = ret, .signal_fd = -1 };
        const pid_t supervisor = getpid();
        ssize_t n;
        int r;

        n = readlink("/proc/self/exe", s.program, sizeof(s.program) - 1);
        if (n < 0)
                return -errno;
        r = lasting_make(ret);
        if (r < 0)
                return r;
        if (!getcwd(ret->memory->directory, sizeof(ret->memory->directory)))
                ret->memory->directory[0] = '\0'; /* names that are relative to it will not be found */
        s.deaths_us = calloc(opts->restarts + 1, sizeof(*s.deaths_us));
        keep_signals(SIG_BLOCK, false);
        keep_signals(SIG_BLOCK, true);
        s.signal_fd = make_signal_fd();
        s.pid = s.deaths_us && s.signal_fd >= 0 ? fork() : -1;
        if (s.pid > 0) {
                atomic_store(&ret->more->known_to, s.pid); /* it has what we have */
                cleanup_close(&ret->sockets[1]);
                ret->sockets[1] = -1;
                run(&s);
        }
        cleanup_close(&s.signal_fd);
        free(s.deaths_us);
        if (s.pid < 0) {
                lasting_done(ret);
                return -ENOMEM;
        }
        be_child(supervisor);
        cleanup_close(&ret->sockets[0]);
        ret->sockets[0] = -1;
        return 0;
}

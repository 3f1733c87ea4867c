/* SPDX-License-Identifier: MIT */

/*
 * Until its exec the child has the memory of this process, as vfork(2) leaves it,
 * and the thread that starts it stands still. A fork copied what the memory of the
 * daemon is mapped by, with all threads waiting that touched a new page meanwhile,
 * and each page that they wrote to after it once more.
 *
 * Any lock of the C library may be held by another thread, and what is written is
 * written here. So everything that allocates (the ruleset, the filter, copies of
 * descriptors, the environment) is made before, and the child walks a fixed list of
 * system calls. It reports the step that failed, and its errno, through a pipe that
 * a successful exec closes.
 *
 * It becomes nobody with that memory, which nobody else's processes must get at by
 * tracing it. The kernel sees to that: with the change of user the memory can be
 * traced by root alone, and it stays so. That goes for the daemon, too.
 *
 * Processes are not counted by RLIMIT_NPROC, which counts all of the user's: the
 * filter lets the child make threads only, and their stacks fall under the memory
 * limit.
 */

#include "blobstore/base/child.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/capability.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "blobstore/base/child_leash.h"
#include "blobstore/base/child_lend.h"
#include "blobstore/base/cleanup.h"
#include "blobstore/base/confine.h"
#include "blobstore/base/thread.h"

#define NOBODY      CHILD_LEND_UID
#define OPEN_FILES  256
#define FIRST_FD    3 /* where the caller's descriptors begin, as systemd's socket activation wants it */
#define HIGH_FD     (FIRST_FD + CHILD_FDS_MAX) /* above every number that the child's descriptors get */
#define PID_TEXT    24

struct child {
        pid_t pid; /* 0: already collected */
        int pid_fd;
        struct child_on_leash on_leash;
        int output_fd;
        struct child_loan loans[CHILD_FDS_MAX];
        size_t n_loans;
        size_t output_len;
        char output[CHILD_OUTPUT_MAX + 1];
};

/* The order in which the child goes through them. */
enum step {
        STEP_FDS,
        STEP_PRIVILEGES,
        STEP_CONFINE,
        STEP_LIMITS,
        STEP_EXEC,
};

static const char *const step_names[] = {
        [STEP_FDS] = "pass it its files",
        [STEP_PRIVILEGES] = "drop its privileges",
        [STEP_CONFINE] = "confine it",
        [STEP_LIMITS] = "limit its resources",
        [STEP_EXEC] = "run it",
};

struct failure {
        int step;
        int error;
};

/* All that the child needs, made before it is there. Descriptors are copies at HIGH_FD or above. */
struct plan {
        const struct child_opts *opts;
        struct child *child;
        struct confine confine;
        int fds[FIRST_FD + CHILD_FDS_MAX];
        size_t n_fds;
        int status_fd;
        int program_fd;
        pid_t parent;
        char listen_pid[sizeof("LISTEN_PID=") + PID_TEXT];
        const char *env[8];
};

static void plan_done(struct plan *p)
{
        for (size_t i = 0; i < p->n_fds; i++)
                cleanup_close(&p->fds[i]);
        cleanup_close(&p->status_fd);
        cleanup_close(&p->program_fd);
        confine_done(&p->confine);
}

static int plan_add_fd(struct plan *p, int fd)
{
        int copy = fcntl(fd, F_DUPFD_CLOEXEC, HIGH_FD);

        if (copy < 0)
                return -errno;
        p->fds[p->n_fds++] = copy;
        return 0;
}

/* The Landlock rule is about the file, by whichever mount it is reached. */
static int plan_lend_fd(struct plan *p, int fd)
{
        struct child *c = p->child;
        int r;

        r = child_lend(fd, &c->loans[c->n_loans]);
        return r < 0 ? r : plan_add_fd(p, c->loans[c->n_loans++].fd);
}

static int plan_add_program(struct plan *p)
{
        CLEANUP_CLOSE int fd = open(p->opts->argv[0], O_PATH | O_CLOEXEC);

        if (fd < 0)
                return -errno;
        p->program_fd = fcntl(fd, F_DUPFD_CLOEXEC, HIGH_FD);
        return p->program_fd < 0 ? -errno : 0;
}

/* It got the lowest number that was free just then, which may be one of those that the child's descriptors get. */
static int plan_move_ruleset(struct plan *p)
{
        int copy = fcntl(p->confine.ruleset_fd, F_DUPFD_CLOEXEC, HIGH_FD);

        if (copy < 0)
                return -errno;
        cleanup_close(&p->confine.ruleset_fd);
        p->confine.ruleset_fd = copy;
        return 0;
}

static void plan_environment(struct plan *p)
{
        size_t n = 0;

        p->env[n++] = "PATH=/usr/bin:/bin";
        p->env[n++] = "LC_ALL=C";
        p->env[n++] = "MALLOC_ARENA_MAX=2"; /* an arena per thread would use up the address space unused */
        /* Buffers of a megabyte are used again. Without this a third of what qemu-nbd did was getting cleared pages. */
        p->env[n++] = "MALLOC_MMAP_THRESHOLD_=33554432";
        p->env[n++] = "MALLOC_TRIM_THRESHOLD_=134217728";
        if (p->opts->socket_activation) {
                p->env[n++] = "LISTEN_FDS=1";
                p->env[n++] = p->listen_pid; /* known when it is there only */
        }
        p->env[n] = NULL;
}

static int plan_make(struct plan *p, int input_fd, int output_fd, int status_fd)
{
        int reopen[CHILD_FDS_MAX];
        size_t n_reopen = 0;
        int r;

        r = plan_add_fd(p, input_fd);
        if (r == 0)
                r = plan_add_fd(p, output_fd);
        if (r == 0)
                r = plan_add_fd(p, output_fd);
        for (size_t i = 0; r == 0 && i < p->opts->n_fds; i++) {
                int fd = p->opts->fds[i].fd;

                r = p->opts->fds[i].reopen ? plan_lend_fd(p, fd) : plan_add_fd(p, fd);
                if (p->opts->fds[i].reopen)
                        reopen[n_reopen++] = fd;
        }
        if (r < 0)
                return r;

        p->status_fd = fcntl(status_fd, F_DUPFD_CLOEXEC, HIGH_FD);
        if (p->status_fd < 0)
                return -errno;
        r = plan_add_program(p);
        if (r < 0)
                return r;
        plan_environment(p);
        r = confine_prepare(p->opts->argv[0], reopen, n_reopen, &p->confine);
        return r < 0 ? r : plan_move_ruleset(p);
}

/* ---- in the child: async-signal-safe calls only ---- */

static void write_listen_pid(char *text, pid_t pid)
{
        char digits[PID_TEXT];
        size_t n = 0;

        for (unsigned v = (unsigned)pid; v || n == 0; v /= 10)
                digits[n++] = (char)('0' + v % 10);
        memcpy(text, "LISTEN_PID=", sizeof("LISTEN_PID=") - 1);
        text += sizeof("LISTEN_PID=") - 1;
        while (n > 0)
                *text++ = digits[--n];
        *text = '\0';
}

static int pass_fds(const struct plan *p)
{
        for (size_t i = 0; i < p->n_fds; i++) {
                if (dup2(p->fds[i], (int)i) < 0)
                        return -errno;
        }
        /* Everything else goes at the exec, the status pipe among it. */
        if (syscall(SYS_close_range, (unsigned)p->n_fds, ~0U, 4 /* CLOSE_RANGE_CLOEXEC */) < 0)
                return -errno;
        return 0;
}

/* System calls and not the C library's functions, which first tell all threads: here there is but one. */
static int drop_privileges(void)
{
        struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
        struct __user_cap_data_struct none[_LINUX_CAPABILITY_U32S_3] = { 0 };

        /* Namespaces of its own take CAP_SYS_ADMIN; without them the filter and the ruleset hold alone. */
        (void)syscall(SYS_unshare, CLONE_NEWNET | CLONE_NEWIPC);

        if (geteuid() == 0) {
                if (syscall(SYS_setgroups, 0, NULL) < 0)
                        return -errno;
                if (syscall(SYS_setresgid, NOBODY, NOBODY, NOBODY) < 0)
                        return -errno;
                if (syscall(SYS_setresuid, NOBODY, NOBODY, NOBODY) < 0)
                        return -errno;
        }
        if (syscall(SYS_capset, &header, none) < 0)
                return -errno;
        if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
                return -errno;
        return 0;
}

static int set_limit(int what, uint64_t value)
{
        struct rlimit limit = { .rlim_cur = value, .rlim_max = value };

        return setrlimit(what, &limit) < 0 ? -errno : 0;
}

static int set_limits(const struct child_opts *opts)
{
        int r;

        r = set_limit(RLIMIT_CORE, 0);
        if (r == 0)
                r = set_limit(RLIMIT_FSIZE, 0);
        if (r == 0)
                r = set_limit(RLIMIT_NOFILE, OPEN_FILES);
        if (r == 0 && opts->cpu_seconds)
                r = set_limit(RLIMIT_CPU, opts->cpu_seconds);
        if (r == 0 && opts->memory_bytes)
                r = set_limit(RLIMIT_AS, opts->memory_bytes);
        return r;
}

/* Handlers go at the exec, but what is ignored stays ignored, and what is blocked blocked. */
static void reset_signals(void)
{
        struct sigaction action = { .sa_handler = SIG_DFL };
        sigset_t none;

        for (int i = 1; i < NSIG; i++)
                (void)sigaction(i, &action, NULL); /* fails for those that cannot be caught */
        sigemptyset(&none);
        (void)sigprocmask(SIG_SETMASK, &none, NULL);
}

static int child_steps(struct plan *p, enum step *step)
{
        int r;

        *step = STEP_FDS;
        r = pass_fds(p);
        if (r < 0)
                return r;

        *step = STEP_PRIVILEGES;
        (void)setsid(); /* a terminal's signals are not for it */
        r = drop_privileges();
        if (r < 0)
                return r;
        /* After the change of user, which forgets it. The parent may have died before. */
        if (prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) < 0)
                return -errno;
        if (getppid() != p->parent)
                return -ESRCH;

        reset_signals(); /* before the filter, so that a pending signal acts as it would anywhere */
        write_listen_pid(p->listen_pid, getpid());

        *step = STEP_CONFINE;
        r = confine_enter(&p->confine);
        if (r < 0)
                return r;

        *step = STEP_LIMITS;
        r = set_limits(p->opts);
        if (r < 0)
                return r;

        *step = STEP_EXEC;
        execve(p->opts->argv[0], (char *const *)p->opts->argv, (char *const *)p->env);
        /* It may lie where nobody may not go, as a program does that was built in root's home. */
        if (errno == EACCES)
                (void)syscall(SYS_execveat, p->program_fd, "", p->opts->argv, p->env, AT_EMPTY_PATH);
        return -errno;
}

static _Noreturn void child_main(struct plan *p)
{
        struct failure f = { 0 };
        enum step step;

        thread_set_nice(THREAD_NICE_LONG); /* also where a request had it started */
        f.error = child_steps(p, &step);
        f.step = (int)step;
        (void)!write(p->status_fd, &f, sizeof(f)); /* nobody left to tell */
        _exit(127);
}

/* ---- in the parent ---- */

/* No handler of this program may run in the child, so none may be due while that is made. */
static pid_t start_without_signals(struct plan *p)
{
        sigset_t all, old;
        pid_t pid;
        int e;

        p->parent = getpid();
        sigfillset(&all);
        (void)pthread_sigmask(SIG_SETMASK, &all, &old);
        pid = vfork();
        if (pid == 0)
                child_main(p);
        e = errno;
        (void)pthread_sigmask(SIG_SETMASK, &old, NULL);
        errno = e;
        return pid;
}

/* Waits for the exec. 0: it is running. */
static int read_failure(int status_fd, struct failure *ret)
{
        ssize_t n;

        do
                n = read(status_fd, ret, sizeof(*ret));
        while (n < 0 && errno == EINTR);
        if (n < 0)
                return -errno;
        if (n == 0)
                return 0;
        return n == sizeof(*ret) && ret->step >= 0 && ret->step <= STEP_EXEC ? ret->error : -EIO;
}

static int explain(struct strbuf *reason, const char *program, int error, const char *what)
{
        const char *slash = strrchr(program, '/');
        const char *name = slash ? slash + 1 : program; /* where it lies is no matter of a user */

        if (error == -EOPNOTSUPP)
                strbuf_addf(reason, "%s is not run where the kernel cannot confine it: that takes Linux 5.13 or newer, "
                            "with Landlock enabled", name);
        else
                strbuf_addf(reason, "cannot start %s: to %s failed: %s", name, what, strerror(-error));
        return error;
}

int child_find_program(const char *name, struct strbuf *ret)
{
        /* From where the running program lies: as it is built, and as it is installed, below whatever prefix. */
        static const char *const places[] = { "", "/../libexec/imagefs" };
        char self[PATH_MAX];
        ssize_t n;
        char *slash;

        n = readlink("/proc/self/exe", self, sizeof(self) - 1);
        if (n <= 0)
                return n < 0 ? -errno : -ENOENT;
        self[n] = '\0';
        slash = strrchr(self, '/');
        if (!slash)
                return -ENOENT;
        *slash = '\0';
        for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
                strbuf_reset(ret);
                strbuf_addf(ret, "%s%s/%s", self, places[i], name);
                if (access(strbuf_text(ret), X_OK) == 0)
                        return strbuf_error(ret);
        }
        return -ENOENT;
}

int child_start(const struct child_opts *opts, struct child **ret, struct strbuf *reason)
{
        CLEANUP(plan_done) struct plan plan = {
                .opts = opts,
                .status_fd = -1,
                .program_fd = -1,
                .confine = { .ruleset_fd = -1 },
        };
        CLEANUP_CLOSE int output_end = -1;
        CLEANUP_CLOSE int status_end = -1;
        CLEANUP_CLOSE int status_fd = -1;
        CLEANUP_CLOSE int input_fd = -1;
        struct failure failure = { 0 };
        struct child *c;
        int ends[2];
        int r;

        if (!opts->argv[0] || opts->argv[0][0] != '/' || opts->n_fds > CHILD_FDS_MAX ||
            (opts->socket_activation && opts->n_fds == 0))
                return -EINVAL;
        c = calloc(1, sizeof(*c));
        if (!c)
                return -ENOMEM;
        c->pid_fd = -1;
        c->output_fd = -1;
        plan.child = c;

        /* Output is not blocking for the child either: what does not fit is lost, and it never waits for a reader. */
        r = pipe2(ends, O_CLOEXEC | O_NONBLOCK) < 0 ? -errno : 0;
        if (r < 0)
                goto fail;
        c->output_fd = ends[0];
        output_end = ends[1];
        r = pipe2(ends, O_CLOEXEC) < 0 ? -errno : 0;
        if (r < 0)
                goto fail;
        status_fd = ends[0];
        status_end = ends[1];
        input_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
        r = input_fd < 0 ? -errno : plan_make(&plan, input_fd, output_end, status_end);
        if (r < 0)
                goto fail;

        c->pid = start_without_signals(&plan);
        if (c->pid < 0) {
                r = -errno;
                c->pid = 0;
                goto fail;
        }
        cleanup_close(&status_end);
        status_end = -1;
        cleanup_close(&plan.status_fd);
        plan.status_fd = -1;

        r = read_failure(status_fd, &failure);
        if (r < 0) {
                child_kill_and_wait(c);
                return explain(reason, opts->argv[0], r, step_names[failure.step]);
        }
        c->pid_fd = (int)syscall(SYS_pidfd_open, c->pid, 0);
        if (c->pid_fd < 0) {
                r = -errno;
                goto fail;
        }
        child_leash_add(&c->on_leash, c->pid_fd);
        *ret = c;
        return 0;

fail:
        child_kill_and_wait(c);
        return explain(reason, opts->argv[0], r, "prepare it");
}

static int collect(struct child *c, int *ret_status)
{
        pid_t got;

        do
                got = waitpid(c->pid, ret_status, 0);
        while (got < 0 && errno == EINTR);
        c->pid = 0;
        return got < 0 ? -errno : 0;
}

int child_wait(struct child *c, int timeout_ms, int *ret_status)
{
        struct pollfd ended = { .fd = c->pid_fd, .events = POLLIN };
        int r;

        if (!c->pid)
                return -ECHILD;
        do
                r = poll(&ended, 1, timeout_ms);
        while (r < 0 && errno == EINTR);
        if (r < 0)
                return -errno;
        if (r == 0)
                return -ETIMEDOUT;
        return collect(c, ret_status);
}

const char *child_output(struct child *c)
{
        ssize_t n;

        for (;;) {
                n = read(c->output_fd, c->output + c->output_len, CHILD_OUTPUT_MAX - c->output_len);
                if (n <= 0)
                        break; /* nothing more for now, or no room */
                for (ssize_t i = 0; i < n; i++, c->output_len++) {
                        char *ch = &c->output[c->output_len];

                        if (*ch < ' ' || *ch > '~')
                                *ch = ' ';
                }
        }
        c->output[c->output_len] = '\0';
        return c->output;
}

void child_has_opened(struct child *c)
{
        while (c->n_loans > 0)
                child_lend_end(&c->loans[--c->n_loans]);
}

void child_kill_and_wait(struct child *c)
{
        int saved_errno = errno;
        int status;

        if (!c)
                return;
        if (c->pid) {
                (void)kill(c->pid, SIGKILL); /* not collected, so the number is still its own */
                (void)collect(c, &status);
        }
        child_has_opened(c);
        child_leash_remove(&c->on_leash);
        cleanup_close(&c->pid_fd);
        cleanup_close(&c->output_fd);
        free(c);
        errno = saved_errno;
}

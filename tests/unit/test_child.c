/* SPDX-License-Identifier: MIT */

/*
 * What a confined child can and cannot do. The shell's builtins try what a script can;
 * for the rest this program runs itself, which sanitizers do not survive (they read /proc/self/maps), so those
 * cases are left out under them.
 */

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "blobstore/base/child.h"
#include "blobstore/base/child_leash.h"
#include "blobstore/base/child_lend.h"

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED 1
#else
#define SANITIZED 0
#endif

#define WAIT_MS 60000

static char dir[] = "/tmp/test_child-XXXXXX";
static char secret_path[64], program_path[64];

/* ---- a call that not all systems have ---- */

/* As where the file system cannot be mounted with other owners. */
static long (*real_syscall)(long, ...);
static bool no_such_mounts;

/* Before anything calls it, and not in a child, where nothing may be looked up. */
static void __attribute__((constructor)) find_syscall(void)
{
        real_syscall = (long (*)(long, ...))dlsym(RTLD_NEXT, "syscall");
}

/* Takes more than it may have been given, as a system call does. */
__attribute__((no_sanitize("address", "undefined", "thread"))) long syscall(long number, ...)
{
        long arg[6];
        va_list ap;

        va_start(ap, number);
        for (int i = 0; i < 6; i++)
                arg[i] = va_arg(ap, long);
        va_end(ap);
        if (no_such_mounts && number == SYS_mount_setattr) {
                errno = EINVAL;
                return -1;
        }
        return real_syscall(number, arg[0], arg[1], arg[2], arg[3], arg[4], arg[5]);
}

/* ---- what the program tries when it is the child ---- */

static void *return_argument(void *arg)
{
        return arg;
}

/* Gives the exit status: 0 where all is as it should be, else the number of the first thing that is not. */
static int try_everything(const char *secret)
{
        uint8_t uring[256] = { 0 };
        pthread_t thread;
        sigset_t blocked;
        void *p;

#define REFUSED(n, call, error)                              \
        do {                                                 \
                errno = 0;                                   \
                if ((long)(call) != -1 || errno != (error))  \
                        return n;                            \
        } while (0)

        REFUSED(1, open("/etc/passwd", O_RDONLY), EACCES);
        REFUSED(2, open(secret, O_RDONLY), EACCES);
        REFUSED(3, open("/tmp", O_RDONLY | O_DIRECTORY), EACCES);
        REFUSED(4, open("/tmp/written-by-a-confined-child", O_WRONLY | O_CREAT, 0600), EACCES);
        REFUSED(5, mkdir("/tmp/made-by-a-confined-child", 0700), EACCES);
        REFUSED(6, chmod(secret, 0777), EPERM);
        REFUSED(7, socket(AF_INET, SOCK_STREAM, 0), EPERM);
        REFUSED(8, socket(AF_UNIX, SOCK_STREAM, 0), EPERM);
        REFUSED(9, fork(), EPERM);
        REFUSED(10, ptrace(PTRACE_ATTACH, getppid(), NULL, NULL), EPERM);
        REFUSED(11, kill(getppid(), 0), EPERM);
        REFUSED(12, syscall(SYS_unshare, 0x10000000 /* CLONE_NEWUSER */), EPERM);
        REFUSED(13, syscall(SYS_io_uring_setup, 4, uring), EPERM);
        REFUSED(14, syscall(SYS_prlimit64, getppid(), RLIMIT_NOFILE, NULL, NULL), EPERM);
        REFUSED(15, syscall(SYS_clone3, NULL, 0), ENOSYS);
        REFUSED(16, syscall(SYS_keyctl, 0, 0), EPERM);
        REFUSED(24, open("/bin/cat", O_RDONLY), EACCES); /* what anybody may read, and the program does not take */
        REFUSED(25, open("/usr/lib/os-release", O_RDONLY), EACCES);

        p = mmap(NULL, UINT64_C(4) << 30, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        if (p != MAP_FAILED)
                return 17;
        if (prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) != 1)
                return 18;
        if (geteuid() == 0 || getegid() == 0)
                return 19;
        if (getsid(0) != getpid())
                return 20;

        /* Threads are what a program may still make. */
        if (pthread_create(&thread, NULL, return_argument, NULL) != 0 || pthread_join(thread, NULL) != 0)
                return 21;

        /* The parent ignored one signal and blocked another. */
        if (signal(SIGPIPE, SIG_DFL) != SIG_DFL)
                return 22;
        if (sigprocmask(SIG_BLOCK, NULL, &blocked) != 0 || sigismember(&blocked, SIGUSR1))
                return 23;
        return 0;
}

/* ---- running one ---- */

static int run(const struct child_opts *opts, char *output, size_t output_size)
{
        CLEANUP_STRBUF struct strbuf reason = { 0 };
        struct child *c = NULL;
        int status = -1;
        int r;

        r = child_start(opts, &c, &reason);
        if (r < 0)
                fail_msg("child_start: %d, %s", r, strbuf_text(&reason));
        r = child_wait(c, WAIT_MS, &status);
        if (output)
                (void)snprintf(output, output_size, "%s", child_output(c));
        child_kill_and_wait(c);
        assert_int_equal(r, 0);
        return status;
}

static int run_script(const char *script)
{
        const char *argv[] = { "/bin/sh", "-c", script, NULL };
        struct child_opts opts = { .argv = argv };
        int status;

        status = run(&opts, NULL, 0);
        assert_true(WIFEXITED(status));
        return WEXITSTATUS(status);
}

static int open_secret(void)
{
        int fd = open(secret_path, O_RDONLY | O_CLOEXEC);

        assert_true(fd >= 0);
        return fd;
}

static void assert_no_zombie(void)
{
        assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
        assert_int_equal(errno, ECHILD);
}

static int setup(void **state)
{
        CLEANUP_CLOSE int in = -1;
        CLEANUP_CLOSE int out = -1;
        int fd;

        (void)state;
        if (!mkdtemp(dir) || chmod(dir, 0755) < 0)
                return -1;
        (void)snprintf(secret_path, sizeof(secret_path), "%s/secret", dir);
        (void)snprintf(program_path, sizeof(program_path), "%s/program", dir);
        fd = open(secret_path, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
        if (fd < 0 || fchmod(fd, 0644) < 0 || write(fd, "secret\n", 7) != 7)
                return -1;
        (void)close(fd);

        /* Where nobody can reach it: the build directory may lie in somebody's home. */
        in = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
        out = open(program_path, O_WRONLY | O_CREAT | O_CLOEXEC, 0755);
        while (sendfile(out, in, NULL, 1 << 20) > 0)
                ;
        return fchmod(out, 0755);
}

static int teardown(void **state)
{
        (void)state;
        (void)unlink(secret_path);
        (void)unlink(program_path);
        return rmdir(dir);
}

/* ---- cases ---- */

static void test_exit_status_is_given(void **state)
{
        (void)state;
        assert_int_equal(run_script("exit 7"), 7);
        assert_no_zombie();
}

static void test_everything_not_given_is_refused(void **state)
{
        const char *argv[] = { program_path, "--try", secret_path, NULL };
        struct child_opts opts = { .argv = argv, .memory_bytes = UINT64_C(1) << 30 };
        sigset_t usr1;
        int status;

        (void)state;
        if (SANITIZED)
                skip();
        (void)signal(SIGPIPE, SIG_IGN);
        sigemptyset(&usr1);
        sigaddset(&usr1, SIGUSR1);
        (void)sigprocmask(SIG_BLOCK, &usr1, NULL);
        status = run(&opts, NULL, 0);
        (void)sigprocmask(SIG_UNBLOCK, &usr1, NULL);
        (void)signal(SIGPIPE, SIG_DFL);
        assert_int_equal(status, 0);
}

static void test_other_files_cannot_be_read(void **state)
{
        (void)state;
        assert_int_equal(run_script("if read x </etc/passwd; then exit 1; fi; exit 0"), 0);
}

static void test_files_cannot_be_written(void **state)
{
        (void)state;
        assert_int_equal(run_script("if echo x >/tmp/written-by-a-confined-child; then exit 1; fi; exit 0"), 0);
        assert_int_equal(access("/tmp/written-by-a-confined-child", F_OK), -1);
}

static void test_processes_cannot_be_made(void **state)
{
        (void)state;
        assert_int_not_equal(run_script("(exit 0)"), 0);
        assert_int_not_equal(run_script("b() { b | b & }; b"), 0);
        assert_no_zombie();
}

static void test_parent_cannot_be_signalled(void **state)
{
        (void)state;
        assert_int_not_equal(run_script("kill -0 $PPID"), 0);
}

static void test_given_file_can_be_read_from_its_descriptor(void **state)
{
        CLEANUP_CLOSE int fd = open_secret();
        const char *argv[] = { "/bin/sh", "-c", "read x <&3 && [ \"$x\" = secret ]", NULL };
        struct child_opts opts = { .argv = argv, .fds = { { .fd = fd } }, .n_fds = 1 };

        (void)state;
        assert_int_equal(run(&opts, NULL, 0), 0);
}

static void test_given_file_can_be_opened_again_only_where_allowed(void **state)
{
        CLEANUP_CLOSE int fd = open_secret();
        const char *argv[] = { "/bin/sh", "-c", "if read x </proc/self/fd/3; then exit 0; fi; exit 1", NULL };
        struct child_opts opts = { .argv = argv, .fds = { { .fd = fd, .reopen = true } }, .n_fds = 1 };

        (void)state;
        assert_int_equal(run(&opts, NULL, 0), 0);
        opts.fds[0].reopen = false;
        assert_int_equal(WEXITSTATUS(run(&opts, NULL, 0)), 1);
}

static void assert_owned_by(int fd, uid_t owner)
{
        struct stat st;

        assert_int_equal(fstat(fd, &st), 0);
        assert_int_equal(st.st_uid, owner);
        assert_int_equal(st.st_mode & 07777, 0600);
}

/* Root's child is nobody. Without such mounts the file is his for as long as he needs to open it. */
static void read_private_file(uid_t owner_meanwhile)
{
        const char *argv[] = { "/bin/sh", "-c", "read x </proc/self/fd/3 && [ \"$x\" = secret ]", NULL };
        CLEANUP_CLOSE int fd = open_secret();
        struct child_opts opts = { .argv = argv, .fds = { { .fd = fd, .reopen = true } }, .n_fds = 1 };
        CLEANUP_STRBUF struct strbuf reason = { 0 };
        struct child *c;
        int status;

        assert_int_equal(fchmod(fd, 0600), 0);
        assert_int_equal(child_start(&opts, &c, &reason), 0);
        assert_owned_by(fd, owner_meanwhile);
        assert_int_equal(child_wait(c, WAIT_MS, &status), 0);
        assert_int_equal(status, 0);
        child_has_opened(c);
        assert_owned_by(fd, geteuid());
        child_kill_and_wait(c);
        assert_owned_by(fd, geteuid());
        assert_int_equal(fchmod(fd, 0644), 0);
        assert_no_zombie();
}

static void test_private_file_can_be_opened_again_and_stays_private(void **state)
{
        (void)state;
        read_private_file(geteuid());
}

static void test_private_file_can_be_opened_again_on_any_file_system(void **state)
{
        (void)state;
        no_such_mounts = true;
        read_private_file(geteuid() == 0 ? CHILD_LEND_UID : geteuid());
        no_such_mounts = false;
}

static void test_other_descriptors_are_closed(void **state)
{
        int fd = open_secret();

        (void)state;
        assert_int_equal(dup2(fd, 77), 77); /* not close-on-exec */
        (void)close(fd);
        assert_int_equal(run_script("[ ! -e /proc/self/fd/77 ] && [ ! -e /proc/self/fd/3 ]"), 0);
        (void)close(77);
}

static void test_environment_is_clean(void **state)
{
        (void)state;
        assert_int_equal(setenv("IMAGEFS_TEST_SECRET", "x", 1), 0);
        assert_int_equal(run_script("[ -z \"$IMAGEFS_TEST_SECRET\" ] && [ -z \"$LISTEN_PID\" ]"), 0);
}

static void test_socket_activation_names_the_child(void **state)
{
        CLEANUP_CLOSE int fd = open_secret();
        const char *argv[] = { "/bin/sh", "-c", "[ \"$LISTEN_PID\" = $$ ] && [ \"$LISTEN_FDS\" = 1 ]", NULL };
        struct child_opts opts = { .argv = argv, .fds = { { .fd = fd } }, .n_fds = 1, .socket_activation = true };

        (void)state;
        assert_int_equal(run(&opts, NULL, 0), 0);
}

static void test_processor_time_is_limited(void **state)
{
        const char *argv[] = { "/bin/sh", "-c", "while :; do :; done", NULL };
        struct child_opts opts = { .argv = argv, .cpu_seconds = 1 };

        (void)state;
        assert_true(WIFSIGNALED(run(&opts, NULL, 0)));
}

static void test_output_is_cut_and_does_not_block(void **state)
{
        const char *script = "i=0; while [ $i -lt 9000 ]; do echo 0123456789; i=$((i+1)); done; exit 0";
        const char *argv[] = { "/bin/sh", "-c", script, NULL };
        struct child_opts opts = { .argv = argv };
        char output[2 * CHILD_OUTPUT_MAX];

        (void)state;
        (void)run(&opts, output, sizeof(output)); /* its status is the shell's view of a failed echo */
        assert_int_equal(strlen(output), CHILD_OUTPUT_MAX);
        assert_null(strpbrk(output, "\n\r\x1b"));
}

static void test_wait_times_out_and_kill_ends_it(void **state)
{
        const char *argv[] = { "/bin/sh", "-c", "trap '' TERM INT HUP; while :; do :; done", NULL };
        struct child_opts opts = { .argv = argv };
        CLEANUP_STRBUF struct strbuf reason = { 0 };
        struct child *c;
        int status;

        (void)state;
        assert_int_equal(child_start(&opts, &c, &reason), 0);
        assert_int_equal(child_wait(c, 50, &status), -ETIMEDOUT);
        child_kill_and_wait(c);
        assert_no_zombie();
}

/* So that nobody waits for the answer of one whose work was cancelled: neither of one that runs, nor of a later one. */
static void test_a_leash_ends_what_is_on_it(void **state)
{
        const char *argv[] = { "/bin/sh", "-c", "while :; do :; done", NULL };
        struct child_opts opts = { .argv = argv };
        struct child_leash leash = CHILD_LEASH_INIT;
        CLEANUP_STRBUF struct strbuf reason = { 0 };
        struct child *before, *first, *second;
        int status;

        (void)state;
        assert_int_equal(child_start(&opts, &before, &reason), 0);
        child_leash_take(&leash);
        assert_int_equal(child_start(&opts, &first, &reason), 0);
        child_leash_pull(&leash);
        assert_int_equal(child_wait(first, 10000, &status), 0);
        assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
        assert_int_equal(child_start(&opts, &second, &reason), 0);
        assert_int_equal(child_wait(second, 10000, &status), 0);
        child_leash_take(NULL);
        child_kill_and_wait(first);
        child_kill_and_wait(second);
        assert_null(leash.first);
        assert_int_equal(child_wait(before, 50, &status), -ETIMEDOUT);
        child_kill_and_wait(before);
        assert_no_zombie();
}

static void test_missing_program_is_refused(void **state)
{
        const char *argv[] = { "/usr/bin/no-such-program", NULL };
        struct child_opts opts = { .argv = argv };
        CLEANUP_STRBUF struct strbuf reason = { 0 };
        struct child *c;

        (void)state;
        assert_int_equal(child_start(&opts, &c, &reason), -ENOENT);
        assert_non_null(strstr(strbuf_text(&reason), "no-such-program"));
        assert_null(strstr(strbuf_text(&reason), "/usr/bin"));
        assert_no_zombie();
}

static void test_file_that_cannot_be_run_is_refused(void **state)
{
        const char *argv[] = { secret_path, NULL };
        struct child_opts opts = { .argv = argv };
        CLEANUP_STRBUF struct strbuf reason = { 0 };
        struct child *c;

        (void)state;
        assert_int_equal(child_start(&opts, &c, &reason), -EACCES);
        assert_non_null(strstr(strbuf_text(&reason), "run it"));
        assert_no_zombie();
}

static void test_relative_program_is_refused(void **state)
{
        const char *argv[] = { "sh", NULL };
        struct child_opts opts = { .argv = argv };
        CLEANUP_STRBUF struct strbuf reason = { 0 };
        struct child *c;

        (void)state;
        assert_int_equal(child_start(&opts, &c, &reason), -EINVAL);
}

static void *start_some(void *arg)
{
        const char *argv[] = { "/bin/sh", "-c", "exit 0", NULL };
        struct child_opts opts = { .argv = argv };
        CLEANUP_STRBUF struct strbuf reason = { 0 };
        struct child *c;
        int status;

        (void)arg;
        for (int i = 0; i < 20; i++) {
                if (child_start(&opts, &c, &reason) < 0)
                        return (void *)"not started";
                if (child_wait(c, WAIT_MS, &status) < 0 || status != 0)
                        return (void *)"not ended well";
                child_kill_and_wait(c);
        }
        return NULL;
}

static void test_threads_start_children_at_once(void **state)
{
        pthread_t threads[4];
        void *failed;

        (void)state;
        for (int i = 0; i < 4; i++)
                assert_int_equal(pthread_create(&threads[i], NULL, start_some, NULL), 0);
        for (int i = 0; i < 4; i++) {
                assert_int_equal(pthread_join(threads[i], &failed), 0);
                assert_null(failed);
        }
        assert_no_zombie();
}

/* Makes low numbers free, and takes them, all the time. */
static void *open_and_close(void *arg)
{
        atomic_bool *end = arg;

        while (!atomic_load(end)) {
                int fds[10];

                for (int i = 0; i < 10; i++)
                        fds[i] = open("/dev/null", O_RDONLY | O_CLOEXEC);
                for (int i = 0; i < 10; i++)
                        (void)close(fds[i]);
        }
        return NULL;
}

/* The ruleset had the number of one of the child's descriptors then, and was lost. */
static void test_child_starts_while_other_threads_close_files(void **state)
{
        const char *argv[] = { "/bin/sh", "-c", "exit 0", NULL };
        struct child_opts opts = { .argv = argv, .n_fds = CHILD_FDS_MAX };
        int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
        atomic_bool end = false;
        pthread_t thread;
        int failed = 0;

        (void)state;
        assert_true(fd >= 0);
        for (size_t i = 0; i < CHILD_FDS_MAX; i++)
                opts.fds[i].fd = fd;
        assert_int_equal(pthread_create(&thread, NULL, open_and_close, &end), 0);
        for (int i = 0; i < 100; i++) {
                CLEANUP_STRBUF struct strbuf reason = { 0 };
                struct child *c = NULL;

                failed += child_start(&opts, &c, &reason) < 0;
                child_kill_and_wait(c);
        }
        atomic_store(&end, true);
        assert_int_equal(pthread_join(thread, NULL), 0);
        (void)close(fd);
        assert_int_equal(failed, 0);
}

int main(int argc, char **argv)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_exit_status_is_given),
                cmocka_unit_test(test_everything_not_given_is_refused),
                cmocka_unit_test(test_other_files_cannot_be_read),
                cmocka_unit_test(test_files_cannot_be_written),
                cmocka_unit_test(test_processes_cannot_be_made),
                cmocka_unit_test(test_parent_cannot_be_signalled),
                cmocka_unit_test(test_given_file_can_be_read_from_its_descriptor),
                cmocka_unit_test(test_given_file_can_be_opened_again_only_where_allowed),
                cmocka_unit_test(test_private_file_can_be_opened_again_and_stays_private),
                cmocka_unit_test(test_private_file_can_be_opened_again_on_any_file_system),
                cmocka_unit_test(test_other_descriptors_are_closed),
                cmocka_unit_test(test_environment_is_clean),
                cmocka_unit_test(test_socket_activation_names_the_child),
                cmocka_unit_test(test_processor_time_is_limited),
                cmocka_unit_test(test_output_is_cut_and_does_not_block),
                cmocka_unit_test(test_wait_times_out_and_kill_ends_it),
                cmocka_unit_test(test_a_leash_ends_what_is_on_it),
                cmocka_unit_test(test_missing_program_is_refused),
                cmocka_unit_test(test_file_that_cannot_be_run_is_refused),
                cmocka_unit_test(test_relative_program_is_refused),
                cmocka_unit_test(test_threads_start_children_at_once),
                cmocka_unit_test(test_child_starts_while_other_threads_close_files),
        };
        const char *no_op[] = { "/bin/sh", "-c", "exit 0", NULL };
        struct child_opts opts = { .argv = no_op };
        CLEANUP_STRBUF struct strbuf reason = { 0 };
        struct child *c = NULL;

        if (argc == 3 && strcmp(argv[1], "--try") == 0)
                return try_everything(argv[2]);
        if (child_start(&opts, &c, &reason) == -EOPNOTSUPP)
                return 77; /* this kernel confines nothing */
        child_kill_and_wait(c);
        return cmocka_run_group_tests(tests, setup, teardown);
}

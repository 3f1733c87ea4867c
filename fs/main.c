/* SPDX-License-Identifier: MIT */
/*
 * imagefs STORE MOUNTPOINT serves a library; imagefs check STORE looks at one that nobody serves, and repairs it.
 *
 * In the background by default: the parent waits for the word that the mount can be used, and ends with the child's
 * exit status when it does not come, so that a failure is seen by whoever started it.
 */

#include <errno.h>
#include <fcntl.h>
#ifdef __GLIBC__
#include <malloc.h>
#endif
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "blobstore/base/cleanup.h"
#include "blobstore/base/log.h"
#include "fs/mount.h"
#include "fs/options.h"
#include "fs/tree/tree.h"
#include "model/check.h"
#include "model/found.h"
#include "model/restore.h"

/* As fsck has them. */
#define EXIT_CHECK_REPAIRED 1
#define EXIT_CHECK_LEFT     4
#define EXIT_CHECK_ERROR    8

/* Above all that is allocated all the time; below a list of many images. */
#define LARGE_BYTES (4 << 20)

/*
 * Large pieces go back to the system when they are freed. Left to itself, glibc takes the first of them for a habit,
 * and keeps the room of those that follow: after lists of 100 000 images were read, 225 MB instead of 65.
 */
static void main_set_memory(void)
{
#ifdef __GLIBC__
        (void)mallopt(M_MMAP_THRESHOLD, LARGE_BYTES);
        (void)mallopt(M_TRIM_THRESHOLD, 2 * LARGE_BYTES);
#endif
}

/* The mount can be used: the parent may go, and the terminal is let go of. */
static void main_detach(void *ctx)
{
        int *ready = ctx;
        int null;

        if (*ready < 0)
                return;
        null = open("/dev/null", O_RDWR);
        if (null >= 0) {
                (void)dup2(null, STDIN_FILENO);
                (void)dup2(null, STDOUT_FILENO);
                (void)dup2(null, STDERR_FILENO);
                if (null > STDERR_FILENO)
                        (void)close(null);
        }
        (void)!chdir("/"); /* keeps no other mount busy; relative paths were resolved before */
        log_setup("imagefs", LOG_NOTICE, true);
        (void)!write(*ready, "", 1); /* a parent that has gone does not want to know */
        (void)close(*ready);
        *ready = -1;
}

static int main_wait_for_child(pid_t pid, int ready)
{
        char byte;
        int status;
        ssize_t n;

        do
                n = read(ready, &byte, 1);
        while (n < 0 && errno == EINTR);
        if (n == 1)
                return EXIT_SUCCESS;
        while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
                ;
        return WIFEXITED(status) && WEXITSTATUS(status) ? WEXITSTATUS(status) : EXIT_FAILURE;
}

static int main_serve(struct options *opts)
{
        int ready[2] = { -1, -1 };
        pid_t pid;
        int r;

        if (!opts->foreground && !opts->debug) {
                if (pipe2(ready, O_CLOEXEC) < 0 || (pid = fork()) < 0) {
                        log_errno(-errno, "going into the background");
                        return EXIT_FAILURE;
                }
                if (pid > 0) {
                        (void)close(ready[1]);
                        return main_wait_for_child(pid, ready[0]);
                }
                (void)close(ready[0]);
                (void)setsid();
        }
        r = mount_serve(opts, main_detach, &ready[1]);
        if (ready[1] >= 0)
                (void)close(ready[1]);
        return r;
}

static void main_report(void *ctx, const char *text)
{
        (void)ctx;
        (void)printf("%s\n", text);
}

struct main_check {
        const char *store;
        bool read_data, repair, restore;
};

static bool main_check_parse(int argc, char **argv, struct main_check *ret)
{
        const struct {
                const char *name;
                bool *flag;
        } flags[] = {
                { "--read-data", &ret->read_data },
                { "--repair", &ret->repair },
                { "--restore-catalogue", &ret->restore },
        };

        for (int i = 2; i < argc; i++) {
                bool known = false;

                for (size_t f = 0; f < sizeof(flags) / sizeof(flags[0]); f++) {
                        if (strcmp(argv[i], flags[f].name) == 0)
                                *flags[f].flag = known = true;
                }
                if (!known && (ret->store || argv[i][0] == '-'))
                        return false;
                if (!known)
                        ret->store = argv[i];
        }
        return ret->store;
}

static int main_check_fail(const struct diag *diag, int error)
{
        (void)fprintf(stderr, "imagefs: %s\n", diag->error ? diag->text : strerror(-error));
        return EXIT_CHECK_ERROR;
}

/* What no image names is told, or made images, and is no problem: a crash may leave it, and it goes by itself. */
static int main_check_all(const struct main_check *c, bool repaired)
{
        struct diag diag = { 0 };
        int problems, found;

        problems = model_check(c->store, c->read_data, main_report, NULL, &diag);
        if (problems < 0)
                return main_check_fail(&diag, problems);
        /* What is wrong with an index, or with what a segment says of itself, is put right by making it again. */
        found = c->repair ? model_found_name(c->store, problems > 0, main_report, NULL, &diag) :
                            model_found_list(c->store, main_report, NULL, &diag);
        if (found < 0)
                return main_check_fail(&diag, found);
        if (c->repair && problems > 0) {
                (void)printf("the indices of the blob stores were made again; what is left:\n");
                problems = model_check(c->store, c->read_data, main_report, NULL, &diag);
                if (problems < 0)
                        return main_check_fail(&diag, problems);
                repaired |= problems == 0;
        }
        repaired |= c->repair && found > 0;
        if (problems > 0)
                (void)printf("%d problems\n", problems);
        else
                (void)printf("%s\n", repaired ? "repaired" : "clean");
        return problems > 0 ? EXIT_CHECK_LEFT : repaired ? EXIT_CHECK_REPAIRED : EXIT_SUCCESS;
}

static int main_check(int argc, char **argv)
{
        struct diag diag = { 0 };
        struct main_check c = { 0 };
        int r;

        if (!main_check_parse(argc, argv, &c)) {
                (void)fprintf(stderr, "imagefs: usage: imagefs check STORE [--read-data] [--repair] "
                                      "[--restore-catalogue]\n");
                return EXIT_CHECK_ERROR;
        }
        if (c.restore) {
                r = model_restore(c.store, main_report, NULL, &diag);
                if (r < 0)
                        return main_check_fail(&diag, r);
                if (r > 0) /* of an earlier version: nothing can be said of it before it was mounted */
                        return EXIT_CHECK_REPAIRED;
        }
        return main_check_all(&c, c.restore);
}

/* All of it, or of the directories of that NAME. */
static int main_print_tree(const char *name)
{
        if (!name) {
                tree_print(stdout);
                return EXIT_SUCCESS;
        }
        if (tree_print_part(stdout, name))
                return EXIT_SUCCESS;
        (void)fprintf(stderr, "imagefs: no directory of the tree is called %s; there are: ", name);
        tree_print_names(stderr);
        return EXIT_FAILURE;
}

int main(int argc, char **argv)
{
        struct options opts;
        int r = EXIT_SUCCESS;

        log_setup("imagefs", LOG_WARNING, false);
        (void)signal(SIGPIPE, SIG_IGN);
        (void)umask(077); /* nothing of a library is for others; modes in the mount are the kernel's and the model's */
        main_set_memory();
        if (argc > 1 && strcmp(argv[1], "check") == 0)
                return main_check(argc, argv);

        if (options_parse(argc, argv, &opts) < 0) {
                options_done(&opts);
                return EXIT_FAILURE;
        }
        if (opts.debug)
                log_setup("imagefs", LOG_DEBUG, false);
        if (opts.help)
                options_help(stdout);
        else if (opts.version)
                (void)printf("imagefs %s\n", IMAGEFS_VERSION);
        else if (opts.print_tree)
                r = main_print_tree(opts.store);
        else
                r = main_serve(&opts);
        options_done(&opts);
        return r;
}

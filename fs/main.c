/* SPDX-License-Identifier: MIT */
/*
 * imagefs STORE MOUNTPOINT serves a library; a first word that is a command does something else (commands.h).
 *
 * Served in the background by default: the parent waits for the word that the mount can be used, and ends with the child's
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
#include "fs/commands.h"
#include "fs/mount.h"
#include "fs/options.h"
#include "fs/place.h"
#include "fs/reexec.h"
#include "fs/supervise.h"
#include "fs/tree/tree_print.h"
#include "fs/tree/tree_man.h"
#include "model/model.h"

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

struct serving {
        const struct options *opts;
        bool background;
        int ready; /* where the parent waits for a byte; -1: there is none */
};

/* The mount can be used: the parent may go, and the terminal is let go of. From here on what is done is logged. */
static void main_detach(void *ctx)
{
        struct serving *s = ctx;
        int null;

        if (!s->background) {
                log_setup("imagefs", s->opts->debug ? LOG_DEBUG : LOG_INFO, LOG_TO_FILE);
                return;
        }
        null = open("/dev/null", O_RDWR);
        if (null >= 0) {
                (void)dup2(null, STDIN_FILENO);
                (void)dup2(null, STDOUT_FILENO);
                (void)dup2(null, STDERR_FILENO);
                if (null > STDERR_FILENO)
                        (void)close(null);
        }
        (void)!chdir("/"); /* keeps no other mount busy; relative paths were resolved before */
        log_setup("imagefs", LOG_INFO, LOG_TO_SYSLOG);
        if (s->ready < 0)
                return; /* there was a process before this one, which said so */
        (void)!write(s->ready, "", 1); /* a parent that has gone does not want to know */
        (void)close(s->ready);
        s->ready = -1;
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
        return WIFEXITED(status) && WEXITSTATUS(status) ? WEXITSTATUS(status) : EXIT_MOUNT_FAILED;
}

/* Goes on with what an earlier process served. */
static int main_go_on(struct options *opts, struct lasting *lasting)
{
        struct serving s = { .opts = opts, .background = !opts->foreground && !opts->debug, .ready = -1 };

        (void)!chdir(lasting->memory->directory); /* as it was when the options were given */
        if (s.background)
                log_setup("imagefs", LOG_INFO, LOG_TO_SYSLOG);
        return mount_serve(opts, lasting, main_detach, &s);
}

/* In the foreground somebody watches it, or looks into it: there the first death is to be the last, unless they say so. */
static void main_set_restarts(struct options *opts, bool background)
{
        if (opts->restarts == RESTARTS_AS_CAN_BE)
                opts->restarts = background && supervise_helps() ? RESTARTS_DEFAULT : 0;
}

static int main_serve(struct options *opts, char **argv)
{
        struct serving s = { .opts = opts, .background = !opts->foreground && !opts->debug };
        struct lasting lasting;
        int ready[2] = { -1, -1 };
        pid_t pid;
        int r;

        r = lasting_inherit(&lasting);
        if (r < 0) {
                log_error("what the process before this one left is another version's: unmount, and mount anew");
                return EXIT_MOUNT_FAILED;
        }
        if (r > 0)
                return main_go_on(opts, &lasting);
        main_set_restarts(opts, s.background);
        if (s.background) {
                if (pipe2(ready, O_CLOEXEC) < 0 || (pid = fork()) < 0) {
                        log_errno(-errno, "going into the background");
                        return EXIT_MOUNT_FAILED;
                }
                if (pid > 0) {
                        (void)close(ready[1]);
                        return main_wait_for_child(pid, ready[0]);
                }
                (void)close(ready[0]);
                (void)setsid();
        }
        s.ready = ready[1];
        if (opts->restarts > 0 && supervise(opts, argv, &lasting) < 0) {
                log_error("no supervisor can be had: mount with -o restarts=0");
                return EXIT_MOUNT_FAILED;
        }
        r = mount_serve(opts, opts->restarts > 0 ? &lasting : NULL, main_detach, &s);
        if (s.ready >= 0)
                (void)close(s.ready);
        return r;
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

/*
 * `mount -o remount,ro` comes here with all that stands in /proc/mounts. Only whether the mount can be written to changes;
 * mount(8) itself knows how. By mount(2): with the calls that newer ones prefer it gives FUSE all other options, too, and
 * Linux refuses any.
 */
static int main_remount(const struct options *opts)
{
        const char *const argv[] = { "mount", "-i", "-o", opts->read_only ? "remount,ro" : "remount,rw", "--",
                                     opts->mountpoint, NULL };

        (void)setenv("LIBMOUNT_FORCE_MOUNT2", "always", true); /* without it as without memory: as mount(8) likes */
        (void)execvp(argv[0], (char *const *)argv);
        log_errno(-errno, "mount");
        return EXIT_MOUNT_FAILED;
}

/*
 * The library can be named by the address of its catalogue. From here on it is this host's directory of it, for the process that comes
 * after this one, too; and ps shows no password of it.
 */
static int main_find_store(struct options *opts, int argc, char **argv, char **ret_word)
{
        CLEANUP_FREE char *address = NULL;
        struct diag diag = { 0 };
        int r;

        if (!model_is_address(opts->store))
                return 0;
        address = TAKE_PTR(opts->store);
        r = place_of(address, &diag, &opts->store);
        if (r == 0 && !(*ret_word = strdup(opts->store)))
                r = -ENOMEM;
        for (int i = 1; i < argc; i++) {
                if (strcmp(argv[i], address) != 0)
                        continue;
                explicit_bzero(argv[i], strlen(argv[i]));
                argv[i] = *ret_word ?: argv[i];
        }
        if (r == 0)
                r = model_meet(opts->store, address, &diag);
        if (r < 0)
                log_error("%s", diag.error ? diag.text : strerror(-r));
        if (r == 1)
                log_warning("what this host has of the library is in %s, which was made: copy the file secret of the first host's directory "
                            "there, if there is one", opts->store);
        return r < 0 ? r : 0;
}

static int main_mount(int argc, char **argv)
{
        CLEANUP_FREE char *word = NULL; /* in ARGV */
        struct options opts;
        int r = EXIT_SUCCESS;

        if (options_parse(argc, argv, &opts) < 0) {
                options_done(&opts);
                return EXIT_MOUNT_USAGE;
        }
        if (opts.debug)
                log_setup("imagefs", LOG_DEBUG, LOG_TO_USER);
        if (opts.help)
                options_help(stdout);
        else if (opts.version)
                (void)printf("imagefs %s\n", IMAGEFS_VERSION);
        else if (opts.print_tree_mdoc)
                tree_man_print(stdout);
        else if (opts.print_tree)
                r = main_print_tree(opts.store);
        else if (opts.reexec)
                r = reexec(opts.store);
        else if (opts.fake)
                r = EXIT_SUCCESS;
        else if (opts.remount)
                r = main_remount(&opts);
        else if (main_find_store(&opts, argc, argv, &word) < 0)
                r = EXIT_MOUNT_FAILED;
        else
                r = main_serve(&opts, argv);
        options_done(&opts);
        return r;
}

/* By the name that it is called by, or by the first word after that. Everything else mounts. */
static const struct {
        const char *name;
        int (*run)(int argc, char **argv);
} commands[] = {
        { "init", command_init },
        { "check", command_check },
        { "migrate", command_migrate },
        { "scrub", command_scrub },
        { "stat", command_stat },
        { "top", command_top },
        { "fsck.imagefs", command_fsck },
};

int main(int argc, char **argv)
{
        const char *slash = strrchr(argv[0], '/'), *name = slash ? slash + 1 : argv[0];

        log_setup("imagefs", LOG_WARNING, LOG_TO_USER);
        (void)signal(SIGPIPE, SIG_IGN);
        (void)umask(077); /* nothing of a library is for others; modes in the mount are the kernel's and the model's */
        main_set_memory();
        for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
                if (strcmp(commands[i].name, name) == 0)
                        return commands[i].run(argc, argv);
                if (argc > 1 && strcmp(commands[i].name, argv[1]) == 0)
                        return commands[i].run(argc - 1, argv + 1);
        }
        return main_mount(argc, argv);
}

/* SPDX-License-Identifier: MIT */

/*
 * Where libraries lie is for the loader to say, which has paths inside of files, a cache, and directories by kind of
 * processor to go by. It is asked as ldd asks it: by its own name, so that the program itself is not run.
 *
 *     libz.so.1 => /lib/x86_64-linux-gnu/libz.so.1 (0x00007f01a2b3c000)
 *     /lib64/ld-linux-x86-64.so.2 (0x00007f01a2d4e000)
 */

#include "blobstore/base/confine_libraries.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <link.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "blobstore/base/cleanup.h"
#include "blobstore/base/io.h"

#define LIST_MAX   (64 << 10)
#define ANSWER_MS  10000

/* ---- the loader ---- */

/* LOADER is left empty where there is none. */
static int find_loader(const char *program, char loader[PATH_MAX])
{
        CLEANUP_CLOSE int fd = open(program, O_RDONLY | O_CLOEXEC);
        ElfW(Ehdr) header;
        ElfW(Phdr) part;

        loader[0] = '\0';
        if (fd < 0)
                return -errno;
        if (pread_full(fd, &header, sizeof(header), 0) != sizeof(header) ||
            memcmp(header.e_ident, ELFMAG, SELFMAG) != 0 || header.e_phentsize != sizeof(part))
                return 0;
        for (unsigned i = 0; i < header.e_phnum; i++) {
                if (pread_full(fd, &part, sizeof(part), header.e_phoff + i * sizeof(part)) != sizeof(part))
                        return 0;
                if (part.p_type != PT_INTERP || part.p_filesz >= PATH_MAX)
                        continue;
                if (pread_full(fd, loader, part.p_filesz, part.p_offset) != (ssize_t)part.p_filesz)
                        return -EIO;
                loader[part.p_filesz] = '\0';
                break;
        }
        return 0;
}

/* With no more of this process than the descriptor that it is to write to. */
static int start_loader(const char *loader, const char *program, int output_fd, pid_t *ret)
{
        const char *const argv[] = { loader, "--list", program, NULL };
        const char *const env[] = { "PATH=/usr/bin:/bin", "LC_ALL=C", NULL };
        posix_spawn_file_actions_t files;
        posix_spawnattr_t attr;
        sigset_t none, all;
        int r;

        if (posix_spawn_file_actions_init(&files) != 0)
                return -ENOMEM;
        if (posix_spawnattr_init(&attr) != 0) {
                (void)posix_spawn_file_actions_destroy(&files);
                return -ENOMEM;
        }
        sigemptyset(&none);
        sigfillset(&all);
        r = posix_spawn_file_actions_addopen(&files, 0, "/dev/null", O_RDONLY, 0);
        if (r == 0)
                r = posix_spawn_file_actions_adddup2(&files, output_fd, 1);
        if (r == 0)
                r = posix_spawn_file_actions_addopen(&files, 2, "/dev/null", O_WRONLY, 0);
        if (r == 0)
                r = posix_spawnattr_setsigmask(&attr, &none);
        if (r == 0)
                r = posix_spawnattr_setsigdefault(&attr, &all);
        if (r == 0)
                r = posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
        if (r == 0)
                r = posix_spawn(ret, loader, &files, &attr, (char *const *)argv, (char *const *)env);
        (void)posix_spawnattr_destroy(&attr);
        (void)posix_spawn_file_actions_destroy(&files);
        return -r;
}

static int read_list(int fd, char *list)
{
        struct pollfd ready = { .fd = fd, .events = POLLIN };
        size_t len = 0;
        ssize_t n;
        int r;

        for (;;) {
                r = poll(&ready, 1, ANSWER_MS);
                if (r < 0 && errno == EINTR)
                        continue;
                if (r <= 0)
                        return r < 0 ? -errno : -ETIMEDOUT;
                n = read(fd, list + len, LIST_MAX - 1 - len);
                if (n < 0)
                        return -errno;
                if (n == 0)
                        break;
                len += (size_t)n;
        }
        list[len] = '\0';
        return len < LIST_MAX - 1 ? 0 : -E2BIG;
}

static int ask_loader(const char *loader, const char *program, char *list)
{
        CLEANUP_CLOSE int fd = -1;
        CLEANUP_CLOSE int end = -1;
        int status = 0;
        int ends[2];
        pid_t pid;
        int r;

        if (pipe2(ends, O_CLOEXEC) < 0)
                return -errno;
        fd = ends[0];
        end = ends[1];
        r = start_loader(loader, program, end, &pid);
        cleanup_close(&end);
        end = -1;
        if (r < 0)
                return r;
        r = read_list(fd, list);
        if (r < 0)
                (void)kill(pid, SIGKILL);
        while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
                ;
        return r < 0 ? r : status == 0 ? 0 : -ENOEXEC;
}

int confine_libraries_each(const char *program, confine_library_fn *fn, void *ctx)
{
        CLEANUP_FREE char *list = NULL;
        char loader[PATH_MAX];
        char *rest = NULL;
        int r;

        r = find_loader(program, loader);
        if (r < 0 || !loader[0])
                return r;
        list = malloc(LIST_MAX);
        if (!list)
                return -ENOMEM;
        r = ask_loader(loader, program, list);
        if (r == 0)
                r = fn(ctx, loader);
        for (char *word = strtok_r(list, " \t\n", &rest); r == 0 && word; word = strtok_r(NULL, " \t\n", &rest)) {
                if (word[0] == '/')
                        r = fn(ctx, word);
        }
        return r;
}

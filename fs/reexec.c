/* SPDX-License-Identifier: MIT */
/*
 * What `kill -HUP` of the supervisor does, for who knows the mount and not the process. Which process serves it stands in
 * the lock file of its library, and the supervisor is that one's parent, known by the memory that it keeps for the next.
 */

#include "fs/reexec.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "blobstore/base/cleanup.h"
#include "blobstore/base/parse.h"
#include "fs/lasting.h"
#include "fs/mounted.h"
#include "model/model.h"

/* What it was at when it was asked may take as long. */
#define PATIENCE_MS 120000

#define VERSION_SIZE 64

struct mount {
        int fd; /* of its top */
        char *store;
        pid_t serving, supervisor;
        char version[VERSION_SIZE];
};

static void cleanup_file(FILE **f)
{
        if (*f)
                (void)fclose(*f);
}

static void cleanup_dir(DIR **d)
{
        if (*d)
                (void)closedir(*d);
}

/* As /proc writes what would end a field: \040 is a space. */
static void unescape(char *text)
{
        char *to = text;

        for (const char *from = text; *from; from++) {
                if (from[0] == '\\' && from[1] && from[2] && from[3]) {
                        *to++ = (char)((from[1] - '0') << 6 | (from[2] - '0') << 3 | (from[3] - '0'));
                        from += 3;
                } else {
                        *to++ = *from;
                }
        }
        *to = '\0';
}

/* proc_pid_mountinfo(5): the device is the third field; after " - " follow the type and the source. */
static char *source_of(char *line, dev_t dev)
{
        char device[32], *place = line, *source;
        size_t n;

        (void)snprintf(device, sizeof(device), " %u:%u ", major(dev), minor(dev));
        for (int i = 0; i < 2 && place; i++)
                place = strchr(place + i, ' ');
        n = strlen(device);
        if (!place || strncmp(place, device, n) != 0)
                return NULL;
        source = strstr(place, " - ");
        source = source ? strchr(source + 3, ' ') : NULL;
        if (!source)
                return NULL;
        source++;
        source[strcspn(source, " \n")] = '\0';
        unescape(source);
        return strdup(source);
}

/* Where the library lies that is mounted as DEV. */
static char *find_store(dev_t dev)
{
        __attribute__((cleanup(cleanup_file))) FILE *f = fopen("/proc/self/mountinfo", "re");
        CLEANUP_FREE char *line = NULL;
        char *store = NULL;
        size_t size = 0;

        while (f && !store && getline(&line, &size, f) > 0)
                store = source_of(line, dev);
        return store;
}

static pid_t parent_of(pid_t pid)
{
        CLEANUP_CLOSE int fd = -1;
        char path[64], text[512], *field;
        uint64_t parent;
        ssize_t n;

        (void)snprintf(path, sizeof(path), "/proc/%ld/stat", (long)pid);
        fd = open(path, O_RDONLY | O_CLOEXEC);
        n = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);
        if (n <= 0)
                return 0;
        text[n] = '\0';
        field = strrchr(text, ')'); /* the end of its name, which may hold anything; then its state */
        if (!field || strlen(field) < 4)
                return 0;
        field += 4;
        field[strcspn(field, " ")] = '\0';
        return parse_u64(field, &parent) == 0 ? (pid_t)parent : 0;
}

/* 1, 0; -EACCES: it is another user's. */
static int is_supervisor(pid_t pid)
{
        __attribute__((cleanup(cleanup_dir))) DIR *fds = NULL;
        char path[64], target[64];
        const struct dirent *e;
        ssize_t n;

        (void)snprintf(path, sizeof(path), "/proc/%ld/fd", (long)pid);
        fds = opendir(path);
        if (!fds)
                return errno == EACCES ? -EACCES : 0;
        while ((e = readdir(fds))) {
                n = readlinkat(dirfd(fds), e->d_name, target, sizeof(target) - 1);
                target[n > 0 ? n : 0] = '\0';
                if (strncmp(target, "/memfd:" LASTING_NAME, strlen("/memfd:" LASTING_NAME)) == 0)
                        return 1;
        }
        return 0;
}

static int refuse(const char *mountpoint, const char *sentence)
{
        (void)fprintf(stderr, "imagefs: %s: %s\n", mountpoint, sentence);
        return EXIT_FAILURE;
}

/* NULL: found; else why not. */
static const char *find(const char *mountpoint, struct mount *m)
{
        struct stat st;
        int r;

        m->fd = mounted_open(mountpoint);
        if (m->fd < 0)
                return m->fd == -ENOTDIR ? "no library is mounted there" : strerror(-m->fd);
        mounted_read_line(m->fd, "info/version", m->version, sizeof(m->version));
        if (fstat(m->fd, &st) < 0)
                return strerror(errno);
        m->store = find_store(st.st_dev);
        if (!m->store)
                return "no library is mounted there";
        r = model_holder(m->store);
        if (r == -EACCES)
                return "only root, and who mounted it, can do that";
        m->serving = r;
        if (r <= 0)
                return "which process serves it cannot be seen from here: send SIGHUP to its supervisor";
        m->supervisor = parent_of(m->serving);
        r = is_supervisor(m->supervisor);
        if (r == -EACCES)
                return "only root, and who mounted it, can do that";
        return r > 0 ? NULL : "nothing supervises it, so that no other program can go on with it: unmount it, and mount it "
                              "anew, with -o restarts=N";
}

/* NULL: another process serves it. */
static const char *ask(struct mount *m)
{
        CLEANUP_CLOSE int old = pidfd_open(m->serving, 0);
        struct statvfs ignored;

        if (old < 0)
                return "it is being taken over by the next process already";
        if (kill(m->supervisor, SIGHUP) < 0)
                return errno == EPERM ? "only root, and who mounted it, can do that" : strerror(errno);
        if (poll(&(struct pollfd){ .fd = old, .events = POLLIN }, 1, PATIENCE_MS) <= 0)
                return "its process was asked, and is still at what it was at: it is followed when that is done";
        if (fstatvfs(m->fd, &ignored) < 0) /* the answer is the next one's */
                return "no process went on with it, and it was left down: see the log";
        return NULL;
}

int reexec(const char *mountpoint)
{
        struct mount m = { .fd = -1 };
        char version[VERSION_SIZE];
        const char *wrong;

        wrong = find(mountpoint, &m);
        if (!wrong)
                wrong = ask(&m);
        if (!wrong) {
                mounted_read_line(m.fd, "info/version", version, sizeof(version));
                (void)printf("%s: served by process %ld, %s (before: %ld, %s)\n", mountpoint, (long)model_holder(m.store),
                             version, (long)m.serving, m.version);
        }
        free(m.store);
        cleanup_close(&m.fd);
        return wrong ? refuse(mountpoint, wrong) : EXIT_SUCCESS;
}

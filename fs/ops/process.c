/* SPDX-License-Identifier: MIT */

#include "fs/ops/process.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "blobstore/base/cleanup.h"
#include "blobstore/base/parse.h"

/* PF_EXITING and PF_SIGNALED of the kernel's include/linux/sched.h, as the flags in /proc/PID/stat have them (proc(5)). */
#define ENDING UINT64_C(0x4)
#define KILLED UINT64_C(0x400)

/* Of a file in /proc, as much as TEXT takes, as a string. */
static bool read_proc(pid_t thread, const char *name, char *text, size_t size)
{
        CLEANUP_CLOSE int fd = -1;
        char path[64];
        ssize_t n;

        (void)snprintf(path, sizeof(path), "/proc/%ld/%s", (long)thread, name);
        fd = open(path, O_RDONLY | O_CLOEXEC);
        n = fd < 0 ? -1 : read(fd, text, size - 1);
        if (n < 0)
                return false; /* errno says why */
        text[n] = '\0';
        return true;
}

/* Nearly always the number of the thread is that of its process too, which a signal that is none tells at once. */
pid_t process_of(pid_t thread)
{
        static const char key[] = "\nTgid:\t";
        char status[512];
        uint64_t tgid;
        char *value;

        if (thread <= 0 || tgkill(thread, thread, 0) == 0 || errno != ESRCH)
                return thread;
        value = read_proc(thread, "status", status, sizeof(status)) ? strstr(status, key) : NULL;
        if (!value)
                return thread;
        value += strlen(key);
        value[strcspn(value, "\n")] = '\0';
        return parse_u64(value, &tgid) == 0 ? (pid_t)tgid : thread;
}

bool process_is_killed(pid_t thread)
{
        char stat[512];
        uint64_t flags;
        char *field;

        if (thread <= 0 || !read_proc(thread, "stat", stat, sizeof(stat)))
                return false;
        field = strrchr(stat, ')'); /* the end of its name, which may hold anything */
        for (int i = 0; field && i < 7; i++) {
                field = strchr(field, ' ');
                field = field ? field + 1 : NULL;
        }
        if (!field)
                return false;
        field[strcspn(field, " ")] = '\0';
        return parse_u64(field, &flags) == 0 && (flags & ENDING) && (flags & KILLED);
}

bool process_is_program(pid_t thread)
{
        char path[64], program[2];

        (void)snprintf(path, sizeof(path), "/proc/%ld/exe", (long)thread);
        return thread > 0 && readlink(path, program, sizeof(program)) > 0;
}

int process_call(pid_t thread, char *buf, size_t size)
{
        if (!read_proc(thread, "syscall", buf, size))
                return errno == ENOENT || errno == ESRCH ? -ESRCH : -EAGAIN;
        return strncmp(buf, "running", strlen("running")) == 0 ? -EAGAIN : 0;
}

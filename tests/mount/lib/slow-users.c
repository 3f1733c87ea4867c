/* SPDX-License-Identifier: MIT */

/*
 * Put before a program's libraries: users that a slow machine is to be asked for. Names that begin with "slow-", and numbers from
 * 800000 on, are looked up when somebody writes to the FIFO at SLOW_USERS; at once where that is not there.
 */

#include <dlfcn.h>
#include <fcntl.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void ask(void)
{
        const char *fifo = getenv("SLOW_USERS");
        int fd = fifo ? open(fifo, O_RDONLY | O_CLOEXEC) : -1;

        if (fd >= 0)
                (void)close(fd);
}

int getpwnam_r(const char *name, struct passwd *entry, char *buf, size_t size, struct passwd **ret)
{
        int (*real)(const char *, struct passwd *, char *, size_t, struct passwd **);

        if (strncmp(name, "slow-", 5) == 0)
                ask();
        *(void **)&real = dlsym(RTLD_NEXT, "getpwnam_r");
        return real(name, entry, buf, size, ret);
}

int getpwuid_r(uid_t uid, struct passwd *entry, char *buf, size_t size, struct passwd **ret)
{
        int (*real)(uid_t, struct passwd *, char *, size_t, struct passwd **);

        if (uid >= 800000)
                ask();
        *(void **)&real = dlsym(RTLD_NEXT, "getpwuid_r");
        return real(uid, entry, buf, size, ret);
}

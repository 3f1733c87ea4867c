/* SPDX-License-Identifier: MIT */

/* Not O_TMPFILE, which network file systems lack. */

#include "blobstore/base/nameless.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/random.h>
#include <unistd.h>

int nameless_open(int dir_fd)
{
        uint64_t random[2];
        char name[2 * sizeof(random) + 1];
        int fd;

        if (getrandom(random, sizeof(random), 0) != sizeof(random))
                return -EIO;
        (void)snprintf(name, sizeof(name), "%016llx%016llx", (unsigned long long)random[0],
                       (unsigned long long)random[1]);
        fd = openat(dir_fd, name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
        if (fd < 0)
                return -errno;
        (void)unlinkat(dir_fd, name, 0); /* then whoever empties the directory removes it */
        return fd;
}

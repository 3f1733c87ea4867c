/* SPDX-License-Identifier: MIT */

#include "tests/lib/tempdir.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void tempdir_make(char path[TEMPDIR_MAX])
{
        const char *base = getenv("TMPDIR");

        (void)snprintf(path, TEMPDIR_MAX, "%s/imagefs-test-XXXXXX", base && base[0] ? base : "/tmp");
        if (!mkdtemp(path)) {
                (void)fprintf(stderr, "%s: %s\n", path, strerror(errno));
                abort();
        }
}

int tempdir_open(char path[TEMPDIR_MAX])
{
        int fd;

        tempdir_make(path);
        fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (fd < 0) {
                (void)fprintf(stderr, "%s: %s\n", path, strerror(errno));
                abort();
        }
        return fd;
}

static int remove_entry(const char *path, const struct stat *st, int kind, struct FTW *where)
{
        (void)st;
        (void)kind;
        (void)where;
        return remove(path);
}

void tempdir_remove(const char *path)
{
        if (nftw(path, remove_entry, 16, FTW_DEPTH | FTW_PHYS) < 0)
                (void)fprintf(stderr, "%s: not removed: %s\n", path, strerror(errno));
}

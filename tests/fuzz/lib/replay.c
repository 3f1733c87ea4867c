/* SPDX-License-Identifier: MIT */

/* Gives a harness each file of the directories that are named: in place of libFuzzer, whose arguments these are. */

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "blobstore/base/cleanup.h"
#include "blobstore/base/io.h"
#include "tests/fuzz/lib/fuzz.h"

static void replay(int dir_fd, const char *name)
{
        CLEANUP_CLOSE int fd = openat(dir_fd, name, O_RDONLY | O_CLOEXEC);
        CLEANUP_FREE uint8_t *bytes = NULL;
        struct stat st;

        MUST(fd >= 0 && fstat(fd, &st) == 0);
        bytes = malloc((size_t)st.st_size); /* no longer: what reads behind it is seen */
        MUST(bytes || st.st_size == 0);
        MUST(pread_full(fd, bytes, (size_t)st.st_size, 0) == st.st_size);
        (void)LLVMFuzzerTestOneInput(bytes, (size_t)st.st_size);
}

static unsigned replay_all(const char *path)
{
        const struct dirent *e;
        unsigned n = 0;
        DIR *dir = opendir(path);

        if (!dir)
                return 0;
        while ((e = readdir(dir)) != NULL) {
                if (e->d_name[0] == '.')
                        continue;
                (void)fprintf(stderr, "%s/%s\n", path, e->d_name); /* the last is the one that failed */
                replay(dirfd(dir), e->d_name);
                n++;
        }
        (void)closedir(dir);
        return n;
}

int main(int argc, char **argv)
{
        unsigned n = 0;

        for (int i = 1; i < argc; i++)
                n += replay_all(argv[i]);
        if (n == 0) {
                (void)fprintf(stderr, "there is nothing to replay\n");
                return 1;
        }
        return 0;
}

/* SPDX-License-Identifier: MIT */

/*
 * What imagefs makes it makes for itself alone, but its first versions left that to the umask, and nobody looks at the
 * modes in a library that works. So they are set right whenever one is opened.
 */

#include "model/core/private.h"

#include <dirent.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define OTHERS (S_IRWXG | S_IRWXO)

static void private_entry(int dir_fd, const char *name)
{
        struct stat st;

        if (fstatat(dir_fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0 || !(st.st_mode & OTHERS))
                return;
        if (S_ISREG(st.st_mode) || S_ISDIR(st.st_mode))
                (void)!fchmodat(dir_fd, name, st.st_mode & S_IRWXU, AT_SYMLINK_NOFOLLOW); /* not ours: see the header */
}

void private_entries(int dir_fd)
{
        const struct dirent *e;
        DIR *d;
        int fd;

        fd = openat(dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (fd < 0)
                return;
        d = fdopendir(fd);
        if (!d) {
                (void)close(fd);
                return;
        }
        while ((e = readdir(d))) {
                if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0)
                        private_entry(dir_fd, e->d_name);
        }
        (void)closedir(d);
}

/* SPDX-License-Identifier: MIT */

#include "fs/unmount.h"

#include <errno.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <unistd.h>

int unmount_detach(const char *path)
{
        const char *const argv[] = { "fusermount3", "-u", "-z", path, NULL };
        int status;
        pid_t pid;

        if (umount2(path, MNT_DETACH) == 0)
                return 0;
        if (errno != EPERM)
                return -ENOTCONN;
        pid = fork();
        if (pid == 0) {
                (void)execvp(argv[0], (char *const *)argv);
                _exit(127);
        }
        if (pid > 0 && waitpid(pid, &status, 0) == pid && WIFEXITED(status) && WEXITSTATUS(status) == 0)
                return 0;
        return -ENOTCONN;
}

/* SPDX-License-Identifier: MIT */

#include "fs/obstacle.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "blobstore/base/cleanup.h"

#define DEVICE    "/dev/fuse"
#define FUSE_CONF "/etc/fuse.conf"
#define HELPER    "fusermount3"

static const char *obstacle_device(void)
{
        CLEANUP_CLOSE int fd = open(DEVICE, O_RDWR | O_CLOEXEC);

        if (fd >= 0)
                return NULL;
        switch (errno) {
        case ENOENT:
                return "there is no " DEVICE " here: load the module (modprobe fuse), or give the device to this container "
                       "(--device " DEVICE ")";
        case ENODEV:
        case ENXIO:
                return "the kernel has no FUSE: load its module (modprobe fuse)";
        case EACCES:
        case EPERM:
                return geteuid() == 0 ? DEVICE " may not be opened: give it to this container (--device " DEVICE ")" :
                                        DEVICE " is not for you to open: have the administrator open it to users "
                                               "(chmod 666 " DEVICE "), or mount as root";
        }
        return NULL;
}

static bool has_sys_admin(void)
{
        struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
        struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3] = { 0 };

        return syscall(SYS_capget, &header, data) < 0 || (data[0].effective & (1U << CAP_SYS_ADMIN));
}

static bool is_in_path(const char *name)
{
        const char *path = getenv("PATH");
        CLEANUP_FREE char *copy = strdup(path ? path : "/usr/bin:/bin");
        char *rest = copy, *dir;

        while (copy && (dir = strsep(&rest, ":"))) {
                CLEANUP_FREE char *file = NULL;

                if (asprintf(&file, "%s/%s", dir, name) >= 0 && access(file, X_OK) == 0)
                        return true;
        }
        return false;
}

static bool users_may_allow_other(void)
{
        CLEANUP_FREE char *line = NULL;
        FILE *f = fopen(FUSE_CONF, "re");
        size_t size = 0;
        bool found = false;

        while (f && !found && getline(&line, &size, f) >= 0) {
                line[strcspn(line, " \t\r\n#")] = '\0';
                found = strcmp(line, "user_allow_other") == 0;
        }
        if (f)
                (void)fclose(f);
        return found;
}

static const char *obstacle_user(const struct options *opts, const char *mountpoint)
{
        if (!is_in_path(HELPER))
                return "an ordinary user mounts by " HELPER ", which is not there: install the package fuse3";
        if (access(mountpoint, W_OK) < 0)
                return "an ordinary user mounts only on a directory that is its own to write to: choose another one, or "
                       "mount it as root";
        if (opts->allow_other && !users_may_allow_other())
                return "an ordinary user may say allow_other only where " FUSE_CONF " has a line user_allow_other: mount "
                       "it as root, or leave that out";
        return NULL;
}

const char *obstacle_find(const struct options *opts, const char *mountpoint)
{
        const char *found = obstacle_device();

        if (found)
                return found;
        if (geteuid() != 0)
                return obstacle_user(opts, mountpoint);
        if (!has_sys_admin())
                return "root may not mount here: give this container the capability CAP_SYS_ADMIN (--cap-add SYS_ADMIN)";
        return NULL;
}

/* SPDX-License-Identifier: MIT */

/*
 * A library that is named by the address of its catalogue. What a host has of it besides, its caches, machines' disks and what is on
 * its way, lies in a directory, whose name is made of the address: the same one is found each time. Another way to write the
 * same address is another directory, and another host for the others.
 */

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "blobstore/base/cleanup.h"
#include "blobstore/base/strbuf.h"
#include "model/address.h"
#include "model/home.h"
#include "model/model.h"

bool model_is_address(const char *name)
{
        return strstr(name, "://") != NULL;
}

int model_make_above(const char *dir, struct diag *diag)
{
        CLEANUP_FREE char *path = strdup(dir);

        if (!path)
                return -ENOMEM;
        for (char *end = path; (end = strchr(end + 1, '/')); *end = '/') {
                *end = '\0';
                if (mkdir(path, 0755) < 0 && errno != EEXIST)
                        return diag_set(diag, -errno, "%s: cannot be made: %s", path, strerror(errno));
        }
        return 0;
}

int model_directory_of(const char *base, const char *address, struct diag *diag, char **ret)
{
        CLEANUP_STRBUF struct strbuf name = { 0 };
        char *dir;
        int r;

        r = address_check(address, diag);
        if (r < 0)
                return r;
        address_add_place(&name, address);
        if (strbuf_error(&name) < 0)
                return -ENOMEM;
        if (!name.len || name.text[0] == '.')
                return diag_set(diag, -EINVAL, "the address of the catalogue names no database");
        if (name.len > NAME_MAX)
                return diag_set(diag, -ENAMETOOLONG,
                                "the address of the catalogue is too long to be a directory's name: make one, \"imagefs init DIRECTORY "
                                "--join ADDRESS\", and mount that");
        if (asprintf(&dir, "%s/%s", base, strbuf_text(&name)) < 0)
                return -ENOMEM;
        *ret = dir;
        return 0;
}

/* 1: it uses that address; 0: another way to the same place; -ENOENT: it is none of this kind, or not there yet. */
static int look(const char *dir, const char *address, struct diag *diag)
{
        CLEANUP_STRBUF struct strbuf place = { 0 }, wanted = { 0 };
        struct model m;
        int r = -ENOENT;

        m = (struct model){ .dir = strdup(dir) };
        home_init(&m);
        m.dir_fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (!m.dir)
                r = -ENOMEM;
        else if (m.dir_fd >= 0 && address_is_there(m.dir_fd))
                r = address_read(&m, diag);
        if (r == 0) {
                address_add_place(&place, m.catalogue);
                address_add_place(&wanted, address);
                if (strcmp(m.catalogue, address) == 0)
                        r = 1;
                else if (strcmp(strbuf_text(&place), strbuf_text(&wanted)) != 0)
                        r = diag_set(diag, -EEXIST, "%s: it is of the library with another catalogue: mount that directory by its name",
                                     dir);
        }
        home_close(&m);
        return r;
}

int model_meet(const char *dir, const char *address, struct diag *diag)
{
        struct model m = { 0 };
        int r;

        r = look(dir, address, diag);
        if (r == -ENOENT) {
                r = model_join(dir, address, diag);
                return r < 0 ? r : 1;
        }
        if (r != 0)
                return r < 0 ? r : 0;
        home_init(&m);
        r = home_open(&m, dir, HOME_USE, diag);
        if (r == 0)
                r = (m.catalogue = strdup(address)) ? address_keep(&m) : -ENOMEM;
        home_close(&m);
        return r;
}

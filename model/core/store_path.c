/* SPDX-License-Identifier: MIT */

/*
 * Where blob stores lie: as the database has it, where the library's own is '', so that the library can be moved, and
 * as a path. One in a bucket is its place there, and what is not there is in a directory of the library's.
 */

#include "model/core/store_path.h"

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "blobstore/base/cleanup.h"
#include "blobstore/base/strbuf.h"
#include "blobstore/blobstore.h"
#include "blobstore/hash/hash.h"

int store_path_complete(struct model *m, const char *path, char *buf, size_t size)
{
        int n;

        if (path[0])
                n = snprintf(buf, size, "%s", path);
        else
                n = snprintf(buf, size, "%s/" STORES_OWN_DIR, m->dir);
        return n < 0 || (size_t)n >= size ? -ENAMETOOLONG : 0;
}

bool store_path_is_far(const char *path)
{
        return strncmp(path, "s3://", 5) == 0;
}

/* By what the place is called: nothing of that could be a name. */
int store_path_dir(struct model *m, const char *path, char *buf, size_t size)
{
        int n;

        if (!store_path_is_far(path))
                return store_path_complete(m, path, buf, size);
        n = snprintf(buf, size, "%s/" STORES_FAR_DIR "%016" PRIx64, m->dir, hash64(path, strlen(path), 0));
        return n < 0 || (size_t)n >= size ? -ENAMETOOLONG : 0;
}

static int check_bucket(const char *text, char *buf, struct diag *diag)
{
        CLEANUP_STRBUF struct strbuf why = { 0 };
        int r;

        r = blobstore_check_bucket(text, buf, PATH_MAX, &why);
        return r < 0 ? diag_set(diag, r, "store: %s", strbuf_text(&why)) : 0;
}

/* Is PATH the directory DIR or below it? Both absolute and without links. */
static bool is_within(const char *path, const char *dir)
{
        size_t n = strlen(dir);

        while (n > 0 && dir[n - 1] == '/')
                n--;
        return strncmp(path, dir, n) == 0 && (path[n] == '/' || path[n] == '\0');
}

/* The path without links, of a directory that exists or could be made in one that does. */
static int canonical_path(const char *path, char *buf)
{
        CLEANUP_FREE char *parent = NULL;
        const char *slash;
        size_t n;

        if (realpath(path, buf))
                return 0;
        if (errno != ENOENT)
                return -errno;

        slash = strrchr(path, '/');
        if (!slash[1] || strcmp(slash, "/.") == 0 || strcmp(slash, "/..") == 0)
                return -ENOENT;
        parent = strndup(path, slash > path ? (size_t)(slash - path) : 1);
        if (!parent)
                return -ENOMEM;
        if (!realpath(parent, buf))
                return -errno;
        n = strlen(buf);
        if (snprintf(buf + n, PATH_MAX - n, "%s%s", n > 1 ? "/" : "", slash + 1) >= (int)(PATH_MAX - n))
                return -ENAMETOOLONG;
        return 0;
}

int store_path_check(struct model *m, const char *path, char *buf, struct diag *diag)
{
        char own[PATH_MAX];
        int r;

        if (store_path_is_far(path) && strlen(path) < PATH_MAX && text_is_clean(path, strlen(path)))
                return check_bucket(path, buf, diag);
        if (path[0] != '/' || strlen(path) >= PATH_MAX || !text_is_clean(path, strlen(path)))
                return diag_set(diag, -EINVAL, "store: write the absolute path of a directory, or s3://BUCKET/PREFIX "
                                               "endpoint=https://HOST");
        /* Before anything below it is looked up, which would ask this very file system, and wait for itself. */
        if (m->mountpoint && is_within(path, m->mountpoint))
                return diag_set(diag, -EINVAL, "store: %s lies in the mounted library itself", path);
        r = canonical_path(path, buf);
        if (r < 0)
                return diag_set(diag, r, "%s: %s: make the directory first", path, strerror(-r));
        if (m->mountpoint && is_within(buf, m->mountpoint))
                return diag_set(diag, -EINVAL, "store: %s lies in the mounted library itself", path);

        r = store_path_complete(m, "", own, sizeof(own));
        if (r < 0)
                return r;
        if (strcmp(buf, own) == 0)
                buf[0] = '\0';
        else if (is_within(buf, m->dir) || is_within(m->dir, buf))
                return diag_set(diag, -EINVAL, "store: %s holds the library or lies in it: choose another directory",
                                buf);
        return 0;
}

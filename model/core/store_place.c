/* SPDX-License-Identifier: MIT */

/*
 * Opening a blob store, and having it say whose it is. One that the library knows is never made anew: where it is not,
 * its disk is not mounted, and an empty store in its place would hide that.
 */

#include "model/core/store_place.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "blobstore/base/cleanup.h"
#include "blobstore/base/io.h"
#include "blobstore/base/strbuf.h"
#include "model/core/private.h"
#include "model/core/store_path.h"

/* What is the matter with one that is known, and with a place that somebody chose. */
static const struct words {
        const char *nothing, *no_store;
} words[] = {
        [false] = { "no such directory: make it, or mount what belongs there",
                    "not empty and not a blob store, or damaged: choose an empty directory" },
        [true] = { "there is no blob store: mount what belongs there",
                   "the blob store is damaged: restore it from a copy" },
};

static int say_failure(int r, const char *dir, bool known, const struct strbuf *why, struct diag *diag)
{
        if (why->len > 0)
                return diag_set(diag, r, "%s: %s", dir, strbuf_text(why));
        switch (r) {
        case -EBUSY:
                return diag_set(diag, r, "%s: another program has this blob store open", dir);
        case -EUCLEAN:
                return diag_set(diag, r, "%s: %s", dir, words[known].no_store);
        case -EPROTONOSUPPORT:
                return diag_set(diag, r, "%s: this blob store was made by another version of imagefs: use that one",
                                dir);
        case -ESTALE:
                return diag_set(diag, r,
                                "%s: this blob store was made by an older version of imagefs: mount its library "
                                "once with this one, which brings it up to date",
                                dir);
        case -ENOENT:
                return diag_set(diag, r, "%s: %s", dir, words[known].nothing);
        }
        return diag_set(diag, r, "%s: the blob store cannot be opened: %s", dir, strerror(-r));
}

/* A directory that holds a blob store holds nothing else, whoever made it: it is for nobody else to enter. */
static void close_to_others(const char *dir)
{
        CLEANUP_CLOSE int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

        if (fd < 0)
                return;
        private_entries(fd);
        (void)fchmod(fd, S_IRWXU); /* not ours: as private_entries() */
}

/* So that nothing of another library's store is changed, before that is known for sure. */
static bool is_anothers(const struct store_place *at, const char *dir)
{
        CLEANUP_CLOSE int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        struct store_owner owner;

        return fd >= 0 && blobstore_read_owner(fd, &owner) == 0 && strcmp(owner.library, at->we->library) != 0;
}

static int open_at(struct model *m, const struct store_place *at, const char *dir, struct strbuf *why,
                   struct blobstore **ret, struct store_owner *ret_owner)
{
        const struct blobstore_opts opts = {
                .read_only = m->read_only,
                .existing = at->known,
                .as_it_is = is_anothers(at, dir),
                .remake = m->remake && !is_anothers(at, dir),
                .progress = m->progress,
                .progress_ctx = m->listener_ctx,
                .caches = at->caches,
                .kept = at->kept,
                .bucket = store_path_is_far(at->path) ? at->path : NULL,
                .why = why,
        };
        struct blobstore *bs;
        int ours;

        ours = blobstore_open(dir, &opts, &bs);
        if (ours < 0)
                return ours;
        ours = owner_find(m, at->we, at->id, bs, ret_owner);
        if (ours < 0)
                blobstore_close(bs);
        else
                *ret = bs;
        return ours;
}

int store_place_open(struct model *m, const struct store_place *at, struct diag *diag, struct blobstore **ret,
                     struct store_owner *ret_owner)
{
        CLEANUP_STRBUF struct strbuf why = { 0 };
        char dir[PATH_MAX];
        int r;

        r = store_path_dir(m, at->path, dir, sizeof(dir));
        if (r == 0)
                r = open_at(m, at, dir, &why, ret, ret_owner);
        return r < 0 ? say_failure(r, why.len > 0 ? at->path : dir, at->known, &why, diag) : r;
}

int store_place_link(struct model *m, struct blobstore *bs, const char *from, const char *to, struct diag *diag)
{
        CLEANUP_STRBUF struct strbuf why = { 0 };
        char dir[PATH_MAX], link[PATH_MAX], real[PATH_MAX], there[PATH_MAX];
        int r;

        r = store_path_dir(m, from, dir, sizeof(dir));
        if (r == 0)
                r = store_path_dir(m, to, link, sizeof(link));
        if (r == 0)
                r = blobstore_compare_far(bs, dir, to, &why);
        if (r < 0)
                return say_failure(r, to, true, &why, diag);
        if (!realpath(dir, real))
                return -errno;
        if (symlinkat(strrchr(real, '/') + 1, m->dir_fd, strrchr(link, '/') + 1) < 0 && errno != EEXIST)
                return -errno;
        if (!realpath(link, there) || strcmp(there, real) != 0)
                return diag_set(diag, -EEXIST, "%s: %s is there already, for another blob store: remove it", to, link);
        return fsync_dir(m->dir_fd);
}

int store_place_make_ours(struct model *m, const struct store_place *at, struct blobstore *bs,
                          const struct store_owner *owner, struct diag *diag)
{
        const struct strbuf why = { 0 };
        char dir[PATH_MAX];
        int r;

        if (m->read_only)
                return 0;
        r = store_path_dir(m, at->path, dir, sizeof(dir));
        if (r == 0)
                r = owner_take_over(at->we, bs, owner);
        if (r < 0)
                return say_failure(r, dir, at->known, &why, diag);
        close_to_others(dir);
        return 0;
}

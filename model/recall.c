/* SPDX-License-Identifier: MIT */

/*
 * The library gets an own store, which is empty, with the copy among its catalogues: as one that has lost its database, which is
 * then restored from it. Its stores in buckets make their directories again when they are opened (blobstore.h).
 */

#include "model/recall.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "blobstore/base/cleanup.h"
#include "blobstore/base/dir.h"
#include "blobstore/base/io.h"
#include "blobstore/base/strbuf.h"
#include "blobstore/blobstore.h"
#include "model/core/catalogue.h"
#include "model/core/place.h"
#include "model/core/store_path.h"
#include "model/home.h"

/* In the directory of the own store. */
static int fetch(int store_fd, const char *place, struct strbuf *why)
{
        char name[NAME_MAX + 1] = "";
        CLEANUP_CLOSE int fd = -1;
        int r;

        r = mkdir_durable(store_fd, CATALOGUE_DIR, 0700);
        if (r < 0)
                return r;
        fd = openat(store_fd, CATALOGUE_DIR, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
        if (fd < 0)
                return -errno;
        r = blobstore_fetch_far(place, CATALOGUE_DIR, fd, name, sizeof(name), why);
        if (r == 0)
                return 0;
        if (name[0])
                (void)unlinkat(fd, name, 0);
        (void)unlinkat(store_fd, CATALOGUE_DIR, AT_REMOVEDIR); /* nothing says that there was a library */
        return r;
}

static int make(struct model *m, const char *place, struct strbuf *why)
{
        const bool is_new = faccessat(m->dir_fd, STORES_OWN_DIR, F_OK, AT_SYMLINK_NOFOLLOW) < 0 && errno == ENOENT;
        const struct blobstore_opts opts = { .threads = 1 };
        struct blobstore *bs;
        char own[PATH_MAX];
        int r;

        r = store_path_complete(m, "", own, sizeof(own));
        if (r == 0)
                r = blobstore_open(own, &opts, &bs);
        if (r == 0) {
                r = fetch(blobstore_dir(bs), place, why);
                blobstore_close(bs);
        }
        if (r < 0 && is_new)
                (void)dir_remove(m->dir_fd, STORES_OWN_DIR); /* the library is locked: nobody else has put anything there */
        return r;
}

int model_recall(const char *dir, const char *place, restore_fn *fn, void *ctx, struct diag *diag)
{
        CLEANUP_STRBUF struct strbuf why = { 0 };
        char checked[PATH_MAX];
        struct model m;
        int r;

        r = blobstore_check_bucket(place, checked, sizeof(checked), &why);
        if (r < 0)
                return diag_set(diag, r, "%s", strbuf_text(&why));
        home_init(&m);
        r = home_open(&m, dir, HOME_MAKE, diag);
        if (r == 0)
                r = make(&m, checked, &why);
        if (r == 0)
                r = place_make(&m); /* what the catalogue says to lie with it does not lie here */
        home_close(&m);
        if (r < 0)
                return diag_set(diag, r, "%s: %s", checked, why.len ? strbuf_text(&why) : strerror(-r));
        return model_restore(dir, fn, ctx, diag);
}

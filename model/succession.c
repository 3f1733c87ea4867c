/* SPDX-License-Identifier: MIT */

#include "model/succession.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "blobstore/base/cleanup.h"
#include "blobstore/base/dir.h"
#include "blobstore/base/io.h"
#include "blobstore/base/parse.h"
#include "blobstore/blobstore.h"
#include "model/core/store_path.h"

#define EPOCH_FILE "epoch"
#define EPOCH_MAX  24 /* of its text */

/* 0: it never was served from here. */
static int read_epoch(const struct model *m, uint64_t *ret)
{
        CLEANUP_CLOSE int fd = openat(m->dir_fd, EPOCH_FILE, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
        char text[EPOCH_MAX] = "";
        ssize_t n;

        *ret = 0;
        if (fd < 0)
                return errno == ENOENT ? 0 : -errno;
        n = pread_full(fd, text, sizeof(text) - 1, 0);
        text[strcspn(text, "\n")] = '\0';
        if (n >= 0 && parse_u64(text, ret) < 0)
                *ret = 0; /* as if others had come in between: that is right in any case */
        return n < 0 ? (int)n : 0;
}

static int write_epoch(const struct model *m, uint64_t epoch)
{
        char text[EPOCH_MAX];
        int n = snprintf(text, sizeof(text), "%" PRIu64 "\n", epoch);

        return write_file_durable(m->dir_fd, EPOCH_FILE, text, (size_t)n, 0600);
}

struct forgetting {
        const struct model *m;
        const struct blobstore_caches *caches;
};

/* A dir_each_fn. */
static int forget(void *ctx, const char *name)
{
        const struct forgetting *w = ctx;
        char path[PATH_MAX];

        if (strncmp(name, STORES_FAR_DIR, strlen(STORES_FAR_DIR)) != 0)
                return 0;
        if (snprintf(path, sizeof(path), "%s/%s", w->m->dir, name) >= (int)sizeof(path))
                return -ENAMETOOLONG;
        return blobstore_forget_far(path, w->caches);
}

int succession_begin(struct model *m, const struct blobstore_caches *caches)
{
        struct forgetting w = { m, caches };
        uint64_t before, now, ours;
        int r;

        db_epochs(m->db, &before, &now);
        if (now == 0)
                return 0;
        r = read_epoch(m, &ours);
        if (r == 0 && ours != before)
                r = dir_each(m->dir_fd, ".", forget, &w);
        return r < 0 ? r : write_epoch(m, now);
}

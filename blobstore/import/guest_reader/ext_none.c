/* SPDX-License-Identifier: MIT */

/* In place of ext.c, in a build without libext2fs. */

#include "blobstore/import/guest_reader/reader.h"

struct ext *ext_open(const struct area *a)
{
        (void)a;
        return NULL;
}

void ext_close(struct ext *e)
{
        (void)e;
}

char *ext_read_file(struct ext *e, const char *path, size_t max, size_t *ret_len)
{
        (void)e;
        (void)path;
        (void)max;
        (void)ret_len;
        return NULL;
}

bool ext_read_start(struct ext *e, const char *path, void *buf, size_t n)
{
        (void)e;
        (void)path;
        (void)buf;
        (void)n;
        return false;
}

bool ext_is_built(void)
{
        return false;
}

/* SPDX-License-Identifier: MIT */

/*
 * Whose store it is: the file "owner" has a line with the name that the library was given when it was made, a space,
 * and the directory in which it lay when the line was written, for people. Stores that were made before there were
 * owners have none.
 */

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "blobstore/base/cleanup.h"
#include "blobstore/base/io.h"
#include "blobstore/blobs/store.h"
#include "blobstore/blobstore.h"

#define OWNER_FILE "owner"

int blobstore_read_owner(int dir_fd, struct store_owner *ret)
{
        char line[sizeof(*ret) + 2] = { 0 };
        CLEANUP_CLOSE int fd = -1;
        char *space, *end;
        ssize_t n;

        fd = openat(dir_fd, OWNER_FILE, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
        if (fd < 0)
                return -errno;
        n = pread_full(fd, line, sizeof(line) - 1, 0);
        if (n < 0)
                return (int)n;
        space = strchr(line, ' ');
        end = strchr(line, '\n');
        if (!space || !end || space > end || (size_t)(space - line) >= sizeof(ret->library) ||
            (size_t)(end - space) > sizeof(ret->place))
                return -EUCLEAN;
        *space = *end = '\0';
        memcpy(ret->library, line, (size_t)(space - line) + 1);
        memcpy(ret->place, space + 1, (size_t)(end - space));
        return 0;
}

int blobstore_get_owner(struct blobstore *bs, struct store_owner *ret)
{
        return blobstore_read_owner(bs->dir_fd, ret);
}

int blobstore_set_owner(struct blobstore *bs, const struct store_owner *owner)
{
        char line[sizeof(*owner) + 2];
        int n = snprintf(line, sizeof(line), "%s %s\n", owner->library, owner->place);

        return write_file_durable(bs->dir_fd, OWNER_FILE, line, (size_t)n, 0600);
}

/* SPDX-License-Identifier: MIT */

#include "model/core/room.h"

#include <errno.h>

#include "blobstore/blobstore.h"

int room_check(struct blobstore *bs, uint64_t n, uint64_t left)
{
        uint64_t free_bytes;
        int r;

        r = blobstore_free_bytes(bs, &free_bytes);
        if (r < 0)
                return r;

        return free_bytes < left || free_bytes - left < n ? -ENOSPC : 0;
}

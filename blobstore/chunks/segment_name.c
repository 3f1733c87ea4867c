/* SPDX-License-Identifier: MIT */

#include "blobstore/chunks/segment_priv.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "blobstore/base/parse.h"

void segment_name(uint32_t id, char name[SEGMENT_NAME_SIZE])
{
        (void)snprintf(name, SEGMENT_NAME_SIZE, "%08x.seg", id);
}

int segment_name_parse(const char *name, uint32_t *ret)
{
        uint8_t bytes[4];

        if (strlen(name) != SEGMENT_NAME_SIZE - 1 || strcmp(name + 8, ".seg") != 0 || parse_hex(name, 8, bytes) < 0)
                return -EINVAL;
        *ret = (uint32_t)bytes[0] << 24 | (uint32_t)bytes[1] << 16 | (uint32_t)bytes[2] << 8 | bytes[3];
        return 0;
}

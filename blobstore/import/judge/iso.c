/* SPDX-License-Identifier: MIT */

/*
 * ISO 9660: the file's bytes are kept as they are. Its first descriptor, in sector
 * 16 of 2048 bytes, says how many blocks there are (80) of which size (128), so that
 * a truncated file can be told; each number is there in both byte orders. A file
 * may be longer: partition tables for other firmware are appended. One with UDF
 * alone has no such descriptor.
 */

#include "blobstore/base/bytes.h"
#include "blobstore/import/judge/judge.h"

#define DESCRIPTOR_OFFSET 0x8000
#define DESCRIPTOR_BYTES  2048
#define TYPE_PRIMARY      1

int iso_check(struct walk *w, struct judged *ret, struct strbuf *reason)
{
        uint8_t d[DESCRIPTOR_BYTES];
        uint64_t blocks, block_bytes;
        int r;

        r = walk_read(w, d, sizeof(d), DESCRIPTOR_OFFSET, reason);
        if (r < 0)
                return r;
        if (memcmp(d + 1, "CD001", 5) == 0 && d[0] == TYPE_PRIMARY) {
                blocks = get_le32(d + 80);
                block_bytes = d[128] | (unsigned)d[129] << 8;
                if (blocks == 0 || block_bytes == 0 || get_be32(d + 84) != blocks)
                        return walk_damaged(w, reason, "its first descriptor makes no sense");
                if (!walk_has(w, 0, blocks * block_bytes))
                        return walk_truncated(w, reason);
        }
        ret->size_bytes = w->file_bytes;
        return 0;
}

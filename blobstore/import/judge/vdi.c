/* SPDX-License-Identifier: MIT */

/*
 * What is checked of a VDI file before qemu sees it. Numbers are little endian.
 *
 *    0x44 version 1.1     0x4c type          0x154 table      0x158 data     0x168 sector size
 *    0x170 size           0x178 block size   0x180 blocks
 *    0x1a8 identifier of what it is linked to                 0x1b8 of its parent
 *
 * An entry of the table is the number of a block of data, or one of two words for
 * holes. qemu knows blocks of 1 MiB only, which is what everyone writes.
 */

#include "blobstore/base/block.h"
#include "blobstore/base/bytes.h"
#include "blobstore/import/judge/judge.h"

#define SECTOR          512
#define HEADER_BYTES    512
#define ID_BYTES        16
#define VERSION         0x00010001
#define TYPE_DYNAMIC    1
#define TYPE_STATIC     2
#define BLOCK_BYTES     (UINT64_C(1) << 20)
#define HOLE_MIN        UINT32_C(0xfffffffe)
#define TABLE_BYTES_MAX (UINT64_C(256) << 20)

struct vdi {
        uint64_t size_bytes;
        uint32_t table, data; /* offsets */
        uint32_t blocks;
};

static int read_header(struct walk *w, struct vdi *ret, struct strbuf *reason)
{
        struct vdi v = { 0 };
        uint8_t h[HEADER_BYTES];
        uint64_t size;
        uint32_t type;
        int r;

        r = walk_read(w, h, sizeof(h), 0, reason);
        if (r < 0)
                return r;
        if (get_le32(h + 0x44) != VERSION)
                return format_refuse(reason, "this VDI is of a version that is not accepted: convert it with "
                                     "qemu-img convert -O qcow2");
        type = get_le32(h + 0x4c);
        if (!block_is_zero(h + 0x1a8, ID_BYTES) || !block_is_zero(h + 0x1b8, ID_BYTES) ||
            (type != TYPE_DYNAMIC && type != TYPE_STATIC))
                return format_refuse(reason, "this VDI is the difference to another file, its parent: merge them with "
                                     "VBoxManage clonemedium");

        size = get_le64(h + 0x170);
        if (size > BLOB_SIZE_MAX)
                return format_refuse_size(reason);
        v.size_bytes = (size + SECTOR - 1) / SECTOR * SECTOR; /* as qemu does it */
        v.table = get_le32(h + 0x154);
        v.data = get_le32(h + 0x158);
        v.blocks = get_le32(h + 0x180);
        if (get_le32(h + 0x168) != SECTOR || get_le32(h + 0x178) != BLOCK_BYTES)
                return format_refuse(reason, "this VDI has blocks of an unusual size: convert it with VBoxManage "
                                     "clonemedium");
        if (v.table % SECTOR != 0 || v.table == 0 || v.data % SECTOR != 0)
                return walk_damaged(w, reason, "its table is out of place");
        if (v.blocks * BLOCK_BYTES < v.size_bytes || v.blocks * UINT64_C(4) > TABLE_BYTES_MAX)
                return walk_damaged(w, reason, "its table does not fit its size");
        if (!walk_has(w, v.table, v.blocks * UINT64_C(4)))
                return walk_truncated(w, reason);
        *ret = v;
        return 0;
}

int vdi_check(struct walk *w, struct judged *ret, struct strbuf *reason)
{
        struct vdi v;
        int r;

        r = read_header(w, &v, reason);
        if (r < 0)
                return r;
        ret->size_bytes = v.size_bytes;
        return 0;
}

int vdi_walk(struct walk *w, struct strbuf *reason)
{
        const uint8_t *entry;
        uint64_t used;
        struct vdi v;
        int r;

        r = read_header(w, &v, reason);
        if (r < 0)
                return r;
        w->block_bytes = BLOCK_BYTES;

        for (uint64_t i = 0; (used = walk_inside(v.size_bytes, BLOCK_BYTES, i)) > 0; i++) {
                uint32_t block;

                r = walk_entry(w, v.table, i, 4, &entry, reason);
                if (r < 0)
                        return r;
                block = get_le32(entry);
                if (block >= HOLE_MIN)
                        continue;
                r = walk_block(w, v.data + block * BLOCK_BYTES, used, used, reason);
                if (r < 0)
                        return r;
        }
        return 0;
}

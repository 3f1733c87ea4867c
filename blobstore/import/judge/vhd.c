/* SPDX-License-Identifier: MIT */

/*
 * What is checked of a VHD file before anything reads it. Numbers are big endian.
 * The footer is the file's last sector; a dynamic one has a copy at the start, which
 * is what qemu and we go by.
 *
 *     0 "conectix"    16 place of the second header   28 who wrote it
 *    48 size          60 type                         64 checksum
 *
 * Fixed: the disk's bytes come first in the file, so they are read without qemu.
 * Dynamic: the second header says where the table is.
 *
 *     0 "cxsparse"    16 place of the table   28 its entries   32 bytes of a block   36 checksum
 *
 * An entry is the sector of a block, all ones for a hole; a block is a bitmap of its
 * sectors, padded to whole ones, and the data.
 */

#include "blobstore/import/judge/judge.h"

#define SECTOR           UINT64_C(512)
#define FOOTER_BYTES     512
#define DYNAMIC_BYTES    1024
#define TYPE_FIXED       2
#define TYPE_DYNAMIC     3
#define TYPE_DIFFERENCE  4
#define NO_BLOCK         UINT32_MAX

#define VERSION          0x00010000
#define SIZE_MAX_BYTES   (UINT64_C(2040) << 30)
#define BLOCK_BYTES_MAX  (UINT32_C(256) << 20)
#define TABLE_BYTES_MAX  (UINT64_C(32) << 20)

struct vhd {
        uint64_t size_bytes;
        uint64_t table; /* offset */
        uint64_t block_bytes, bitmap_bytes;
        uint32_t entries;
        bool fixed;
};

/* Of all bytes but the checksum's own. */
static bool checksum_is_good(const uint8_t *p, size_t n, size_t at)
{
        uint32_t sum = 0;

        for (size_t i = 0; i < n; i++) {
                if (i < at || i >= at + 4)
                        sum += p[i];
        }
        return get_be32(p + at) == ~sum;
}

static int read_dynamic(struct walk *w, uint64_t offset, struct vhd *v, struct strbuf *reason)
{
        uint8_t h[DYNAMIC_BYTES];
        uint64_t table_bytes;
        uint32_t block;
        int r;

        r = walk_read(w, h, sizeof(h), offset, reason);
        if (r < 0)
                return r;
        if (memcmp(h, "cxsparse", 8) != 0 || get_be32(h + 24) != VERSION || !checksum_is_good(h, sizeof(h), 36))
                return walk_damaged(w, reason, "its second header makes no sense");
        v->table = get_be64(h + 16);
        v->entries = get_be32(h + 28);
        block = get_be32(h + 32);
        if (block < SECTOR || block > BLOCK_BYTES_MAX || (block & (block - 1)) != 0)
                return walk_damaged(w, reason, "its block size is impossible");
        v->block_bytes = block;
        v->bitmap_bytes = (block / SECTOR / 8 + SECTOR - 1) / SECTOR * SECTOR;
        table_bytes = (uint64_t)v->entries * 4;
        if (v->entries * v->block_bytes < v->size_bytes || table_bytes > TABLE_BYTES_MAX)
                return walk_damaged(w, reason, "its table does not fit its size");
        return walk_has(w, v->table, table_bytes) ? 0 : walk_truncated(w, reason);
}

static int read_header(struct walk *w, struct vhd *ret, struct strbuf *reason)
{
        struct vhd v = { 0 };
        uint8_t f[FOOTER_BYTES];
        uint32_t type;
        int r;

        r = walk_read(w, f, sizeof(f), 0, reason);
        if (r == 0 && memcmp(f, "conectix", 8) != 0) {
                r = walk_read(w, f, sizeof(f), w->file_bytes - sizeof(f), reason);
                v.fixed = true;
        }
        if (r < 0)
                return r;
        if (memcmp(f, "conectix", 8) != 0 || get_be32(f + 12) != VERSION || !checksum_is_good(f, sizeof(f), 64))
                return walk_damaged(w, reason, "its footer makes no sense");

        type = get_be32(f + 60);
        if (type == TYPE_DIFFERENCE)
                return format_refuse(reason, "this VHD is the difference to another file, its parent: merge them with "
                                     "qemu-img convert -O qcow2");
        if (type != (v.fixed ? TYPE_FIXED : TYPE_DYNAMIC))
                return walk_damaged(w, reason, v.fixed ? "its start is missing" : "its type is not known");
        v.size_bytes = get_be64(f + 48);
        if (v.size_bytes > SIZE_MAX_BYTES)
                return format_refuse(reason, "the disk in this file is larger than 2040 GiB, which no VHD can be");
        if (v.size_bytes % SECTOR != 0)
                return walk_damaged(w, reason, "its disk does not end with a sector");
        if (v.fixed)
                r = walk_has(w, v.size_bytes, FOOTER_BYTES) ? 0 : walk_truncated(w, reason);
        else
                r = read_dynamic(w, get_be64(f + 16), &v, reason);
        if (r < 0)
                return r;
        *ret = v;
        return 0;
}

int vhd_check(struct walk *w, struct judged *ret, struct strbuf *reason)
{
        struct vhd v;
        int r;

        r = read_header(w, &v, reason);
        if (r < 0)
                return r;
        ret->size_bytes = v.size_bytes;
        ret->flat = v.fixed;
        return 0;
}

int vhd_walk(struct walk *w, struct strbuf *reason)
{
        const uint8_t *entry;
        uint64_t used;
        struct vhd v;
        int r;

        r = read_header(w, &v, reason);
        if (r < 0)
                return r;
        w->block_bytes = v.bitmap_bytes + v.block_bytes;

        for (uint64_t i = 0; (used = walk_inside(v.size_bytes, v.block_bytes, i)) > 0; i++) {
                uint32_t sector;

                r = walk_entry(w, v.table, i, 4, &entry, reason);
                if (r < 0)
                        return r;
                sector = get_be32(entry);
                if (sector == NO_BLOCK)
                        continue;
                r = walk_block(w, sector * SECTOR, v.bitmap_bytes + used, v.block_bytes, reason);
                if (r < 0)
                        return r;
        }
        return 0;
}

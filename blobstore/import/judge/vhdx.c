/* SPDX-License-Identifier: MIT */

/*
 * What is checked of a VHDX file before qemu sees it. Numbers are little endian.
 *
 *     64 KiB, 128 KiB   two headers, of which the newer valid one counts:
 *                       0 "head"   4 checksum   8 sequence   48 log's identifier   66 version   68 log's bytes
 *    192 KiB            table of regions: 0 "regi"   4 checksum   8 entries, at 16 of 32 bytes each:
 *                       0 identifier   16 offset   24 length   28 required
 *    in a region        the items: 0 "metadata"   10 entries, at 32 of 32 bytes each:
 *                       0 identifier   16 offset in the region   20 length   24 flags
 *    in a region        the table of blocks: bits 0 to 2 the state, bits 20 to 63 the offset; after as
 *                       many blocks as cover 2^23 sectors an entry that matters to differences only
 *
 * A log that was not emptied holds changes that are not in their places yet; they
 * are not applied here, so such a file is refused. qemu does not tell where the holes
 * of a VHDX are; the walk notes it.
 */

#include <errno.h>
#include <stdlib.h>

#include "blobstore/base/block.h"
#include "blobstore/base/bytes.h"
#include "blobstore/base/cleanup.h"
#include "blobstore/import/judge/judge.h"

#define KIB                 UINT64_C(1024)
#define MIB                 UINT64_C(1048576)
#define SECTOR              512
#define HEADER_BYTES        4096
#define TABLE_BYTES         65536
#define REGIONS_OFFSET      (192 * KIB)
#define ENTRY_BYTES         32
#define ENTRIES_MAX         2047
#define METADATA_ENTRIES_AT 32
#define REGION_ENTRIES_AT   16

#define HAS_PARENT          UINT32_C(2) /* flag of the item "file parameters" */
#define BLOCK_BYTES_MIN     MIB
#define BLOCK_BYTES_MAX     (256 * MIB)
#define CHUNK_SECTORS       (UINT64_C(1) << 23)
#define OFFSET_MASK         (~(MIB - 1))

enum state {
        STATE_INVALID = 4,
        STATE_PRESENT = 6,
        STATE_PARTIAL = 7,
};

struct vhdx {
        struct walk *walk; /* borrowed */
        uint64_t size_bytes, block_bytes;
        uint64_t table, table_bytes;
        uint64_t metadata, metadata_bytes;
};

/* Identifiers as they are stored. */
static const uint8_t region_table[16] = { 0x66, 0x77, 0xc2, 0x2d, 0x23, 0xf6, 0x00, 0x42,
                                          0x9d, 0x64, 0x11, 0x5e, 0x9b, 0xfd, 0x4a, 0x08 };
static const uint8_t region_metadata[16] = { 0x06, 0xa2, 0x7c, 0x8b, 0x90, 0x47, 0x9a, 0x4b,
                                             0xb8, 0xfe, 0x57, 0x5f, 0x05, 0x0f, 0x88, 0x6e };
static const uint8_t item_parameters[16] = { 0x37, 0x67, 0xa1, 0xca, 0x36, 0xfa, 0x43, 0x4d,
                                             0xb3, 0xb6, 0x33, 0xf0, 0xaa, 0x44, 0xe7, 0x6b };
static const uint8_t item_size[16] = { 0x24, 0x42, 0xa5, 0x2f, 0x1b, 0xcd, 0x76, 0x48,
                                       0xb2, 0x11, 0x5d, 0xbe, 0xd8, 0x3b, 0xf4, 0xb8 };
static const uint8_t item_sector[16] = { 0x1d, 0xbf, 0x41, 0x81, 0x6f, 0xa9, 0x09, 0x47,
                                         0xba, 0x47, 0xf2, 0x33, 0xa8, 0xfa, 0xab, 0x5f };
static const uint8_t item_parent[16] = { 0x2d, 0x5f, 0xd3, 0xa8, 0x0b, 0xb3, 0x4d, 0x45,
                                         0xab, 0xf7, 0xd3, 0xd8, 0x48, 0x34, 0xab, 0x0c };

#define REFUSE_PARENT(reason)                                                                                     \
        format_refuse(reason, "this VHDX is the difference to another file, its parent: merge them with "       \
                      "qemu-img convert -O qcow2")

/* CRC-32C of P with its own four bytes, at 4, as zeros. */
static bool checksum_is_good(const uint8_t *p, size_t n)
{
        uint32_t crc = ~UINT32_C(0);

        for (size_t i = 0; i < n; i++) {
                crc ^= i >= 4 && i < 8 ? 0 : p[i];
                for (int bit = 0; bit < 8; bit++)
                        crc = crc >> 1 ^ (crc & 1 ? UINT32_C(0x82f63b78) : 0);
        }
        return get_le32(p + 4) == ~crc;
}

static bool header_is_good(const uint8_t *h)
{
        return memcmp(h, "head", 4) == 0 && (h[66] | h[67] << 8) == 1 && checksum_is_good(h, HEADER_BYTES);
}

static int check_headers(const struct walk *w, struct strbuf *reason)
{
        uint8_t h[2][HEADER_BYTES];
        const uint8_t *current;
        bool good[2];
        int r = 0;

        for (int i = 0; r == 0 && i < 2; i++) {
                r = walk_read(w, h[i], HEADER_BYTES, (uint64_t)(i + 1) * 64 * KIB, reason);
                good[i] = r == 0 && header_is_good(h[i]);
        }
        if (r < 0)
                return r;
        if (!good[0] && !good[1])
                return walk_damaged(w, reason, "it has no valid header");
        current = good[1] && (!good[0] || get_le64(h[1] + 8) > get_le64(h[0] + 8)) ? h[1] : h[0];
        if (!block_is_zero(current + 48, 16) && get_le32(current + 68) != 0)
                return format_refuse(reason, "this VHDX was not closed, and has changes in its log: start and stop its "
                                     "machine, or run qemu-img check -r all on it");
        return 0;
}

static int find_regions(struct vhdx *v, struct strbuf *reason)
{
        CLEANUP_FREE uint8_t *t = NULL;
        uint32_t n;
        int r;

        t = malloc(TABLE_BYTES);
        if (!t)
                return -ENOMEM;
        r = walk_read(v->walk, t, TABLE_BYTES, REGIONS_OFFSET, reason);
        if (r < 0)
                return r;
        n = get_le32(t + 8);
        if (memcmp(t, "regi", 4) != 0 || n > ENTRIES_MAX || !checksum_is_good(t, TABLE_BYTES))
                return walk_damaged(v->walk, reason, "its table of regions makes no sense");

        for (uint32_t i = 0; i < n; i++) {
                const uint8_t *e = t + REGION_ENTRIES_AT + i * ENTRY_BYTES;
                uint64_t offset = get_le64(e + 16);
                uint64_t bytes = get_le32(e + 24);

                if (!walk_has(v->walk, offset, bytes))
                        return walk_truncated(v->walk, reason);
                if (memcmp(e, region_table, 16) == 0 && !v->table) {
                        v->table = offset;
                        v->table_bytes = bytes;
                } else if (memcmp(e, region_metadata, 16) == 0 && !v->metadata) {
                        v->metadata = offset;
                        v->metadata_bytes = bytes;
                } else {
                        return walk_damaged(v->walk, reason, "it has a region that is not known here, or one twice");
                }
        }
        if (!v->table || !v->metadata || v->metadata_bytes < TABLE_BYTES)
                return walk_damaged(v->walk, reason, "a region is missing");
        return 0;
}

/* The item ID of the table T, LEN bytes into RET. */
static int read_item(const struct vhdx *v, const uint8_t *t, uint32_t n, const uint8_t *id, uint8_t *ret, uint32_t len,
                     struct strbuf *reason)
{
        for (uint32_t i = 0; i < n; i++) {
                const uint8_t *e = t + METADATA_ENTRIES_AT + i * ENTRY_BYTES;
                uint32_t offset = get_le32(e + 16);

                if (memcmp(e, id, 16) != 0)
                        continue;
                if (get_le32(e + 20) < len || offset < TABLE_BYTES || offset > v->metadata_bytes - len)
                        break;
                return walk_read(v->walk, ret, len, v->metadata + offset, reason);
        }
        return walk_damaged(v->walk, reason, "its description of the disk makes no sense");
}

static int read_metadata(struct vhdx *v, struct strbuf *reason)
{
        CLEANUP_FREE uint8_t *t = NULL;
        uint8_t parameters[8], size[8], sector[4];
        uint32_t n;
        int r;

        t = malloc(TABLE_BYTES);
        if (!t)
                return -ENOMEM;
        r = walk_read(v->walk, t, TABLE_BYTES, v->metadata, reason);
        if (r < 0)
                return r;
        n = t[10] | (uint32_t)t[11] << 8;
        if (memcmp(t, "metadata", 8) != 0 || n > ENTRIES_MAX)
                return walk_damaged(v->walk, reason, "its description of the disk makes no sense");
        for (uint32_t i = 0; i < n; i++) {
                if (memcmp(t + METADATA_ENTRIES_AT + i * ENTRY_BYTES, item_parent, 16) == 0)
                        return REFUSE_PARENT(reason);
        }
        r = read_item(v, t, n, item_parameters, parameters, sizeof(parameters), reason);
        if (r == 0)
                r = read_item(v, t, n, item_size, size, sizeof(size), reason);
        if (r == 0)
                r = read_item(v, t, n, item_sector, sector, sizeof(sector), reason);
        if (r < 0)
                return r;
        if (get_le32(parameters + 4) & HAS_PARENT)
                return REFUSE_PARENT(reason);
        if (get_le32(sector) != SECTOR)
                return format_refuse(reason, "this VHDX has sectors of %u bytes, and is accepted with 512 only",
                                     get_le32(sector));
        v->block_bytes = get_le32(parameters);
        v->size_bytes = get_le64(size);
        return 0;
}

/* A table has an entry per block, and one more after each chunk but the last. */
static uint64_t entry_of(const struct vhdx *v, uint64_t block)
{
        return block + block / (CHUNK_SECTORS * SECTOR / v->block_bytes);
}

static int read_header(struct walk *w, struct vhdx *ret, struct strbuf *reason)
{
        struct vhdx v = { .walk = w };
        uint64_t blocks;
        int r;

        r = check_headers(w, reason);
        if (r == 0)
                r = find_regions(&v, reason);
        if (r == 0)
                r = read_metadata(&v, reason);
        if (r < 0)
                return r;

        if (v.block_bytes < BLOCK_BYTES_MIN || v.block_bytes > BLOCK_BYTES_MAX ||
            (v.block_bytes & (v.block_bytes - 1)) != 0)
                return walk_damaged(w, reason, "its block size is impossible");
        if (v.size_bytes > BLOB_SIZE_MAX)
                return format_refuse_size(reason);
        if (v.size_bytes % SECTOR != 0)
                return walk_damaged(w, reason, "its disk does not end with a sector");
        blocks = (v.size_bytes + v.block_bytes - 1) / v.block_bytes;
        if (blocks > 0 && (entry_of(&v, blocks - 1) + 1) * 8 > v.table_bytes)
                return walk_damaged(w, reason, "its table does not fit its size");
        *ret = v;
        return 0;
}

int vhdx_check(struct walk *w, struct judged *ret, struct strbuf *reason)
{
        struct vhdx v;
        int r;

        r = read_header(w, &v, reason);
        if (r < 0)
                return r;
        ret->size_bytes = v.size_bytes;
        return 0;
}

int vhdx_walk(struct walk *w, struct strbuf *reason)
{
        const uint8_t *at;
        uint64_t used;
        struct vhdx v;
        int r;

        r = read_header(w, &v, reason);
        if (r < 0)
                return r;
        w->block_bytes = v.block_bytes;
        w->map = calloc(1, v.size_bytes / v.block_bytes / 8 + 1);
        if (!w->map)
                return -ENOMEM;

        for (uint64_t i = 0; (used = walk_inside(v.size_bytes, v.block_bytes, i)) > 0; i++) {
                uint64_t entry;

                r = walk_entry(w, v.table, entry_of(&v, i), 8, &at, reason);
                if (r < 0)
                        return r;
                entry = get_le64(at);
                if ((entry & 7) == STATE_PARTIAL)
                        return REFUSE_PARENT(reason);
                if ((entry & 7) == STATE_INVALID)
                        return walk_damaged(w, reason, "its table makes no sense");
                if ((entry & 7) != STATE_PRESENT)
                        continue;
                w->map[i / 8] |= (uint8_t)(1u << i % 8);
                r = walk_block(w, entry & OFFSET_MASK, used, used, reason);
                if (r < 0)
                        return r;
        }
        return 0;
}

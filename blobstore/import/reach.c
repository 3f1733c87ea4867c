/* SPDX-License-Identifier: MIT */

/*
 * How far a raw disk goes by what lies at its start: its partitions (MBR, GPT), or a file system without any (ext2, ext3,
 * ext4, XFS). A file that ends before is the first part of a disk. All of it is fixed fields of the first 64 KiB, which
 * is what there is of a file that is stored while it comes; what is not plainly such a table says nothing:
 *
 *    MBR    four entries that are off or active, of which those in use begin behind it and do not lie in each other. The
 *           boot sectors of file systems end in the same way, with text in that place. An extended partition ends where
 *           its own entry says.
 *    GPT    where an entry of the MBR is its guard, whose length is often wrong. Header and entries with their sums; 512 or
 *           4096 bytes are a sector. The copy at the disk's end is no one's data: a disk that was made smaller has none.
 *    ext    with no partitions beside, since it may be what was there before them
 *    XFS    likewise
 */

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

#include "blobstore/base/bytes.h"
#include "blobstore/base/cleanup.h"
#include "blobstore/base/io.h"
#include "blobstore/import/format_priv.h"

#define SECTOR      512
#define SECTOR_LONG 4096

struct head {
        uint8_t at[IMAGE_HEAD_BYTES]; /* zeros behind the file's end */
};

__attribute__((format(printf, 3, 4))) static void note(struct image_reach *reach, uint64_t end, const char *what, ...)
{
        va_list ap;

        if (end <= reach->end)
                return;
        reach->end = end;
        va_start(ap, what);
        (void)vsnprintf(reach->what, sizeof(reach->what), what, ap);
        va_end(ap);
}

/* ---- GPT ---- */

#define GPT_HEADER_MIN 92
#define GPT_ENTRY_MIN  128

static uint32_t crc32_step(uint32_t crc, const uint8_t *p, size_t n)
{
        for (size_t i = 0; i < n; i++) {
                crc ^= p[i];
                for (int bit = 0; bit < 8; bit++)
                        crc = crc >> 1 ^ (crc & 1 ? 0xedb88320 : 0);
        }
        return crc;
}

/* Of the header the field of the sum itself counts as zeros. */
static bool gpt_header_is_sound(const uint8_t *header)
{
        static const uint8_t zeros[4];
        const uint32_t n = get_le32(header + 12);
        uint32_t crc = UINT32_MAX;

        if (memcmp(header, "EFI PART", 8) != 0 || n < GPT_HEADER_MIN || n > SECTOR)
                return false;
        crc = crc32_step(crc, header, 16);
        crc = crc32_step(crc, zeros, sizeof(zeros));
        crc = crc32_step(crc, header + 20, n - 20);
        return ~crc == get_le32(header + 16);
}

static uint64_t sectors_end(uint64_t last, uint64_t sector)
{
        return last < UINT64_MAX / sector ? (last + 1) * sector : UINT64_MAX;
}

/* False: there is no such table in sectors of this size. */
static bool reach_gpt(const struct head *head, uint32_t sector, struct image_reach *reach)
{
        static const uint8_t unused[16];
        const uint8_t *header = head->at + sector, *entries;
        uint64_t at;
        uint32_t n, size;

        if (!gpt_header_is_sound(header))
                return false;
        at = get_le64(header + 72);
        n = get_le32(header + 80);
        size = get_le32(header + 84);
        if (at < 2 || at > sizeof(head->at) / sector || size < GPT_ENTRY_MIN || size > sizeof(head->at) ||
            n > (sizeof(head->at) - at * sector) / size)
                return false;
        entries = head->at + at * sector;
        if (~crc32_step(UINT32_MAX, entries, (size_t)n * size) != get_le32(header + 88))
                return false;
        for (uint32_t i = 0; i < n; i++) {
                const uint8_t *e = entries + (size_t)i * size;
                const uint64_t first = get_le64(e + 32), last = get_le64(e + 40);

                if (memcmp(e, unused, sizeof(unused)) != 0 && first <= last)
                        note(reach, sectors_end(last, sector), "partition %u", i + 1);
        }
        reach->copy_end = sectors_end(get_le64(header + 32), sector);
        return true;
}

/* ---- MBR ---- */

struct mbr_entry {
        uint8_t type;
        uint64_t first, n; /* sectors */
};

#define MBR_GUARD 0xee

static bool lie_in_each_other(const struct mbr_entry *a, const struct mbr_entry *b)
{
        return a->first < b->first + b->n && b->first < a->first + a->n;
}

/* False: this is no table. */
static bool read_mbr(const struct head *head, struct mbr_entry ret[4])
{
        if (head->at[510] != 0x55 || head->at[511] != 0xaa)
                return false;
        for (size_t i = 0; i < 4; i++) {
                const uint8_t *p = head->at + 446 + 16 * i;

                if (p[0] & 0x7f)
                        return false;
                ret[i] = (struct mbr_entry){ .type = p[4], .first = get_le32(p + 8), .n = get_le32(p + 12) };
                if (ret[i].type == 0)
                        ret[i].n = 0;
                if (ret[i].type != 0 && (ret[i].first == 0 || ret[i].n == 0))
                        return false;
                for (size_t j = 0; j < i; j++)
                        if (ret[i].n && ret[j].n && lie_in_each_other(&ret[i], &ret[j]))
                                return false;
        }
        return true;
}

/* False: there are no partitions. */
static bool reach_partitions(const struct head *head, struct image_reach *reach)
{
        struct mbr_entry entry[4];
        bool any = false;

        if (!read_mbr(head, entry))
                return false;
        for (size_t i = 0; i < 4; i++) {
                if (entry[i].type == MBR_GUARD) {
                        (void)(reach_gpt(head, SECTOR, reach) || reach_gpt(head, SECTOR_LONG, reach));
                        return true;
                }
                any |= entry[i].n != 0;
        }
        for (size_t i = 0; i < 4; i++)
                if (entry[i].n)
                        note(reach, (entry[i].first + entry[i].n) * SECTOR, "partition %zu", i + 1);
        return any;
}

/* ---- file systems ---- */

static void reach_ext(const struct head *head, struct image_reach *reach)
{
        const uint8_t *super = head->at + 1024;
        const uint32_t block_log = get_le32(super + 24);
        const uint64_t block = UINT64_C(1024) << (block_log & 7);
        const bool is_64bit = get_le32(super + 96) & 0x80;
        const uint64_t blocks = get_le32(super + 4) | (is_64bit ? (uint64_t)get_le32(super + 0x150) << 32 : 0);
        const uint32_t per_group = get_le32(super + 32);

        if (super[56] != 0x53 || super[57] != 0xef || block_log > 6 || get_le32(super + 76) > 1 ||
            get_le32(super + 20) != (block_log == 0) || get_le32(super) == 0 || per_group == 0 || per_group > 8 * block)
                return;
        note(reach, blocks <= UINT64_MAX / block ? blocks * block : UINT64_MAX, "file system (ext2, ext3 or ext4)");
}

static void reach_xfs(const struct head *head, struct image_reach *reach)
{
        const uint8_t *super = head->at;
        const uint32_t block = get_be32(super + 4);
        const uint64_t blocks = get_be64(super + 8);
        const uint64_t group = get_be32(super + 84), groups = get_be32(super + 88);

        if (memcmp(super, "XFSB", 4) != 0 || block < 512 || block > 65536 || super[120] > 16 || block != 1U << super[120] ||
            groups == 0 || blocks > group * groups || blocks <= group * (groups - 1))
                return;
        note(reach, blocks <= UINT64_MAX / block ? blocks * block : UINT64_MAX, "file system (XFS)");
}

/* ---- ---- */

int reach_find(int fd, struct image_reach *ret)
{
        CLEANUP_FREE struct head *head = calloc(1, sizeof(*head));
        struct image_reach reach = { 0 };
        ssize_t n;

        if (!head)
                return -ENOMEM;
        n = pread_full(fd, head->at, sizeof(head->at), 0);
        if (n < 0)
                return (int)n;
        if (!reach_partitions(head, &reach)) {
                reach_ext(head, &reach);
                reach_xfs(head, &reach);
        }
        *ret = reach;
        return 0;
}

int image_check_end(const struct image_probe *probe, uint64_t size_bytes, struct strbuf *reason)
{
        const struct image_reach *reach = &probe->reach;

        if (reach->end <= size_bytes)
                return 0;
        return format_refuse(reason, "the file ends at byte %" PRIu64 ", and the disk's %s at byte %" PRIu64 ": the rest is "
                             "missing. Upload it whole; where there never was more, make it as long first: truncate -s "
                             "%" PRIu64, size_bytes, reach->what, reach->end, reach->end);
}

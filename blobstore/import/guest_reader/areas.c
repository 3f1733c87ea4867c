/* SPDX-License-Identifier: MIT */

/*
 * Where the file systems of a disk are, and what they are called. A disk has GPT where its MBR says so (a
 * partition of type 0xee), as for the kernel; what a partitioning program left behind elsewhere does not count. GPT's
 * checksums and its copy at the disk's end are not looked at: the worst that can come of it is a warning too many.
 * File systems are told by their magic numbers; of their contents nothing is read here.
 */

#include <stdio.h>
#include <string.h>

#include "blobstore/base/bytes.h"
#include "blobstore/import/guest_reader/reader.h"

#define SECTOR 512

bool area_read(const struct area *a, void *buf, size_t n, uint64_t off)
{
        return off <= a->len && n <= a->len - off && disk_read(a->disk, buf, n, a->off + off);
}

/* ---- what they are called ---- */

static void name_by_uuid(const uint8_t *p, char *ret)
{
        (void)snprintf(ret, VALUE_MAX, "%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x", p[0],
                       p[1], p[2], p[3], p[4], p[5], p[6], p[7], p[8], p[9], p[10], p[11], p[12], p[13], p[14], p[15]);
}

/* A GUID's first three numbers are little-endian. */
static void name_by_guid(const uint8_t *p, char *ret)
{
        const uint8_t uuid[16] = { p[3], p[2], p[1], p[0], p[5],  p[4],  p[7],  p[6],
                                   p[8], p[9], p[10], p[11], p[12], p[13], p[14], p[15] };

        name_by_uuid(uuid, ret);
}

/* UTF-16LE, up to its NUL; what takes two units has no place in a name that somebody is to type. */
static void name_by_utf16(const uint8_t *p, size_t units, char *ret)
{
        size_t n = 0;

        for (size_t i = 0; i < units && n + 4 < VALUE_MAX; i++) {
                unsigned c = p[2 * i] | (unsigned)p[2 * i + 1] << 8;

                if (c == 0)
                        break;
                if (c >= 0xd800 && c < 0xe000)
                        c = '?';
                if (c >= 0x800)
                        ret[n++] = (char)(0xe0 | c >> 12);
                if (c >= 0x800)
                        ret[n++] = (char)(0x80 | (c >> 6 & 0x3f));
                else if (c >= 0x80)
                        ret[n++] = (char)(0xc0 | c >> 6);
                ret[n++] = (char)(c >= 0x80 ? 0x80 | (c & 0x3f) : c);
        }
        ret[n] = '\0';
}

enum uuid_form {
        UUID_NONE,
        UUID_BYTES, /* 16 of them */
        UUID_FAT, /* a serial number of 32 bits */
        UUID_NTFS, /* and of 64 */
        UUID_TEXT, /* as it is shown, 36 characters */
};

/* What is no file system, but may be in its place, too; names are blkid's. */
static const struct {
        const char *fs;
        const char *magic;
        size_t magic_len;
        uint32_t magic_off;
        enum uuid_form uuid;
        uint32_t uuid_off, label_off;
        size_t label_len; /* 0: it has none */
} file_systems[] = {
        { "ext4", "\x53\xef", 2, 0x438, UUID_BYTES, 0x468, 0x478, 16 }, /* or ext2, or ext3 */
        { "xfs", "XFSB", 4, 0, UUID_BYTES, 32, 108, 12 },
        { "swap", "SWAPSPACE2", 10, 4086, UUID_BYTES, 1036, 1052, 16 },
        { "btrfs", "_BHRfS_M", 8, 0x10040, UUID_BYTES, 0x10020, 0x1012b, 256 },
        { "vfat", "FAT32   ", 8, 82, UUID_FAT, 67, 71, 11 },
        { "vfat", "FAT1", 4, 54, UUID_FAT, 39, 43, 11 },
        { "ntfs", "NTFS    ", 8, 3, UUID_NTFS, 72, 0, 0 },
        { "exfat", "EXFAT   ", 8, 3, UUID_FAT, 100, 0, 0 },
        { "crypto_LUKS", "LUKS\xba\xbe", 6, 0, UUID_TEXT, 168, 0, 0 },
        { "LVM2_member", "LVM2 001", 8, 0x218, UUID_NONE, 0, 0, 0 },
        { "f2fs", "\x10\x20\xf5\xf2", 4, 1024, UUID_BYTES, 1132, 0, 0 },
        { "iso9660", "CD001", 5, 0x8001, UUID_NONE, 0, 0x8028, 32 },
        { "squashfs", "hsqs", 4, 0, UUID_NONE, 0, 0, 0 },
        { "erofs", "\xe2\xe1\xf5\xe0", 4, 1024, UUID_BYTES, 1072, 1088, 16 },
};

/* By the features that only later ones have, as the kernel tells them apart. */
static const char *ext_name(const struct area *a)
{
        uint8_t features[12]; /* compatible, incompatible, compatible to read */

        if (!area_read(a, features, sizeof(features), 0x45c))
                return "ext2";
        if ((get_le32(features + 4) & ~0x16u) || (get_le32(features + 8) & ~0x7u))
                return "ext4";
        return get_le32(features) & 0x4 ? "ext3" : "ext2";
}

static bool name_uuid(struct area *a, enum uuid_form form, uint32_t off)
{
        char *ret = a->name[TAG_UUID];
        uint8_t p[40] = { 0 };

        if (form == UUID_NONE)
                return true;
        if (!area_read(a, p, form == UUID_FAT ? 4 : form == UUID_NTFS ? 8 : form == UUID_TEXT ? 36 : 16, off))
                return false;
        if (form == UUID_BYTES)
                name_by_uuid(p, ret);
        else if (form == UUID_FAT)
                (void)snprintf(ret, VALUE_MAX, "%02X%02X-%02X%02X", p[3], p[2], p[1], p[0]);
        else if (form == UUID_NTFS)
                (void)snprintf(ret, VALUE_MAX, "%016llX", (unsigned long long)get_le64(p));
        else
                memcpy(ret, p, 37);
        return true;
}

/* Labels of fixed length are filled up with spaces; FAT says so where it has none. */
static void name_label(struct area *a, const char *label)
{
        size_t n = strlen(label);

        while (n > 0 && label[n - 1] == ' ')
                n--;
        if (n == 7 && memcmp(label, "NO NAME", n) == 0)
                n = 0;
        memcpy(a->name[TAG_LABEL], label, n);
        a->name[TAG_LABEL][n] = '\0';
}

static void name_file_system(struct area *a)
{
        for (size_t i = 0; i < sizeof(file_systems) / sizeof(file_systems[0]); i++) {
                char magic[16], label[VALUE_MAX] = "";

                if (!area_read(a, magic, file_systems[i].magic_len, file_systems[i].magic_off) ||
                    memcmp(magic, file_systems[i].magic, file_systems[i].magic_len) != 0)
                        continue;
                if (!area_read(a, label, file_systems[i].label_len, file_systems[i].label_off) ||
                    !name_uuid(a, file_systems[i].uuid, file_systems[i].uuid_off))
                        return;
                a->ext = i == 0;
                a->fs = a->ext ? ext_name(a) : file_systems[i].fs;
                name_label(a, label);
                return;
        }
}

/* ---- partitions ---- */

/* One that begins inside the disk; what lies past its end does not exist. NULL: it does not, or there is no room. */
static struct area *add_area(struct guest_disk *d, uint64_t off, uint64_t len)
{
        struct area *a = &d->area[d->n_areas];

        if (d->n_areas == AREAS_MAX || off >= d->size_bytes || len == 0)
                return NULL;
        *a = (struct area){ .disk = d, .off = off, .len = len < d->size_bytes - off ? len : d->size_bytes - off };
        d->n_areas++;
        return a;
}

/* False: there is no table in sectors of this size. */
static bool list_gpt(struct guest_disk *d, uint32_t sector)
{
        uint8_t header[92], entry[128];
        uint64_t table;
        uint32_t n, size;

        if (!disk_read(d, header, sizeof(header), sector) || memcmp(header, "EFI PART", 8) != 0)
                return false;
        table = get_le64(header + 72);
        n = get_le32(header + 80);
        size = get_le32(header + 84);
        if (table > d->size_bytes / sector || size < sizeof(entry) || size > 4096)
                return true;
        for (uint32_t i = 0; i < n && i < AREAS_MAX - 1; i++) {
                static const uint8_t unused[16];
                char type[VALUE_MAX] = "";
                uint64_t first, last;
                struct area *a;

                if (!disk_read(d, entry, sizeof(entry), table * sector + (uint64_t)i * size))
                        return true;
                first = get_le64(entry + 32);
                last = get_le64(entry + 40);
                if (memcmp(entry, unused, sizeof(unused)) == 0 || last < first || first > d->size_bytes / sector ||
                    last > UINT64_MAX / sector - 1)
                        continue;
                a = add_area(d, first * sector, (last - first + 1) * sector);
                if (!a)
                        continue;
                a->number = i + 1;
                name_by_guid(entry, type);
                memcpy(a->type, type, sizeof(a->type) - 1);
                name_by_guid(entry + 16, a->name[TAG_PARTUUID]);
                name_by_utf16(entry + 56, 36, a->name[TAG_PARTLABEL]);
        }
        return true;
}

struct mbr_entry {
        uint8_t status, type;
        uint64_t off, len; /* bytes */
};

/* False: this is no table. */
static bool read_mbr(struct guest_disk *d, uint64_t off, uint32_t *ret_signature, struct mbr_entry ret[4])
{
        uint8_t sector[SECTOR];

        if (!disk_read(d, sector, sizeof(sector), off) || sector[510] != 0x55 || sector[511] != 0xaa)
                return false;
        *ret_signature = get_le32(sector + 440);
        for (size_t i = 0; i < 4; i++) {
                const uint8_t *p = sector + 446 + 16 * i;

                ret[i] = (struct mbr_entry){
                        .status = p[0],
                        .type = p[4],
                        .off = (uint64_t)get_le32(p + 8) * SECTOR,
                        .len = (uint64_t)get_le32(p + 12) * SECTOR,
                };
                if (ret[i].status & 0x7f) /* the boot sector of a file system, which ends in the same way */
                        return false;
        }
        return true;
}

static void add_mbr_area(struct guest_disk *d, uint32_t signature, unsigned number, uint8_t type, uint64_t off,
                         uint64_t len)
{
        struct area *a = add_area(d, off, len);

        if (!a)
                return;
        a->number = number;
        (void)snprintf(a->type, sizeof(a->type), "0x%02x", type);
        (void)snprintf(a->name[TAG_PARTUUID], VALUE_MAX, "%08x-%02x", signature, number);
}

static bool is_extended(const struct mbr_entry *e)
{
        return e->type == 0x05 || e->type == 0x0f || e->type == 0x85;
}

/* A chain of tables, each with one partition and the place of the next, counted from the first. */
static void list_logical(struct guest_disk *d, uint32_t signature, uint64_t start)
{
        uint64_t off = start;

        for (unsigned number = 5; number < AREAS_MAX; number++) { /* as many, even if the chain goes in a circle */
                struct mbr_entry entry[4];
                uint32_t unused;
                size_t i;

                if (!read_mbr(d, off, &unused, entry))
                        return;
                if (entry[0].type != 0 && !is_extended(&entry[0]))
                        add_mbr_area(d, signature, number, entry[0].type, off + entry[0].off, entry[0].len);
                for (i = 0; i < 4 && !is_extended(&entry[i]); i++)
                        ;
                if (i == 4)
                        return;
                off = start + entry[i].off;
        }
}

static bool has_boot_code(struct guest_disk *d)
{
        uint8_t code[440];

        if (!disk_read(d, code, sizeof(code), 0))
                return false;
        for (size_t i = 0; i < sizeof(code); i++) {
                if (code[i] != 0)
                        return true;
        }
        return false;
}

static void list_partitions(struct guest_disk *d)
{
        struct mbr_entry entry[4];
        uint32_t signature;

        if (!read_mbr(d, 0, &signature, entry))
                return;
        for (size_t i = 0; i < 4; i++) {
                if (entry[i].type == 0xee) {
                        (void)(list_gpt(d, SECTOR) || list_gpt(d, 4096));
                        return;
                }
        }
        d->boot_code = has_boot_code(d);
        for (unsigned i = 0; i < 4; i++) {
                if (is_extended(&entry[i]))
                        list_logical(d, signature, entry[i].off);
                else if (entry[i].type != 0)
                        add_mbr_area(d, signature, i + 1, entry[i].type, entry[i].off, entry[i].len);
        }
}

void disk_list_areas(struct guest_disk *d)
{
        if (d->listed)
                return;
        d->listed = true;
        (void)add_area(d, 0, d->size_bytes);
        list_partitions(d);
        for (size_t i = 0; i < d->n_areas; i++)
                name_file_system(&d->area[i]);
}

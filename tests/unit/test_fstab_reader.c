/* SPDX-License-Identifier: MIT */

/*
 * Partition tables and lines of /etc/fstab, as imagefs-fstab reads them: those of every kind, and those that were made
 * to lead it in circles or past the ends of things.
 */

#include <stdlib.h>

#include "blobstore/base/bytes.h"
#include "blobstore/import/fstab_reader/reader.h"
#include "tests/lib/expect.h"

#define DISK_BYTES  (2 << 20)
#define READS_MAX   5000 /* that any disk is worth */

static uint8_t bytes[DISK_BYTES];
static unsigned reads;
static struct guest_disk disk;

/* In place of disk.c. */
bool disk_read(struct guest_disk *d, void *buf, size_t n, uint64_t off)
{
        assert_in_range(++reads, 1, READS_MAX);
        if (off > d->size_bytes || n > d->size_bytes - off)
                return false;
        memcpy(buf, bytes + off, n);
        return true;
}

static void clear(void)
{
        memset(bytes, 0, sizeof(bytes));
}

static void list(uint64_t size)
{
        memset(&disk, 0, sizeof(disk));
        disk.size_bytes = size;
        reads = 0;
        disk_list_areas(&disk);
        for (size_t i = 0; i < disk.n_areas; i++) {
                const struct area *a = &disk.area[i];

                assert_true(a->off < size && a->len > 0 && a->len <= size - a->off);
        }
}

static const struct area *area_at(uint64_t off, uint64_t len)
{
        for (size_t i = 0; i < disk.n_areas; i++) {
                if (disk.area[i].off == off && disk.area[i].len == len)
                        return &disk.area[i];
        }
        fail_msg("no area at %llu", (unsigned long long)off);
        return NULL;
}

/* ---- making tables ---- */

static void put_mbr(uint64_t sector, unsigned i, uint8_t type, uint32_t first, uint32_t n)
{
        uint8_t *p = bytes + sector * 512;

        p[510] = 0x55;
        p[511] = 0xaa;
        p[446 + 16 * i + 4] = type;
        put_le32(p + 446 + 16 * i + 8, first);
        put_le32(p + 446 + 16 * i + 12, n);
}

static void put_gpt(uint32_t sector, uint64_t table, uint32_t n, uint32_t size)
{
        uint8_t *p = bytes + sector;

        put_mbr(0, 0, 0xee, 1, UINT32_MAX);
        memcpy(p, "EFI PART", 8);
        put_le64(p + 72, table);
        put_le32(p + 80, n);
        put_le32(p + 84, size);
}

static void put_gpt_entry(uint64_t at, uint64_t first, uint64_t last, const char *name)
{
        uint8_t *p = bytes + at;

        for (unsigned i = 0; i < 32; i++)
                p[i] = (uint8_t)(i + 1);
        put_le64(p + 32, first);
        put_le64(p + 40, last);
        for (size_t i = 0; name[i] && i < 36; i++)
                p[56 + 2 * i] = (uint8_t)name[i];
}

static void put_ext(uint64_t at, const char *label)
{
        memcpy(bytes + at + 0x438, "\x53\xef", 2);
        for (unsigned i = 0; i < 16; i++)
                bytes[at + 0x468 + i] = (uint8_t)(0xa0 + i);
        memcpy(bytes + at + 0x478, label, strlen(label));
}

/* ---- disks ---- */

static void test_a_disk_without_a_table_is_one_area(void **state)
{
        (void)state;
        clear();
        put_ext(0, "exactly sixteen.and more");
        list(DISK_BYTES);
        assert_int_equal(disk.n_areas, 1);
        assert_true(disk.area[0].ext);
        assert_string_equal(disk.area[0].name[TAG_LABEL], "exactly sixteen.");
        assert_string_equal(disk.area[0].name[TAG_UUID], "a0a1a2a3-a4a5-a6a7-a8a9-aaabacadaeaf");
        assert_string_equal(disk.area[0].name[TAG_PARTUUID], "");
        disk_list_areas(&disk);
        assert_int_equal(disk.n_areas, 1);
        for (uint64_t size = 0; size < 3000; size += 7)
                list(size);
}

static void test_gpt_names_its_partitions(void **state)
{
        (void)state;
        clear();
        put_gpt(512, 2, 128, 128);
        put_gpt_entry(1024, 40, 79, "boot");
        put_gpt_entry(1024 + 128 * 127, 80, 99, "a name of thirty-six characters and more");
        put_ext(80 * 512, "system");
        list(DISK_BYTES);
        assert_int_equal(disk.n_areas, 3);
        assert_string_equal(area_at(40 * 512, 40 * 512)->name[TAG_PARTLABEL], "boot");
        assert_string_equal(area_at(40 * 512, 40 * 512)->name[TAG_PARTUUID], "14131211-1615-1817-191a-1b1c1d1e1f20");
        assert_false(area_at(40 * 512, 40 * 512)->ext);
        assert_true(area_at(80 * 512, 20 * 512)->ext);
        assert_string_equal(area_at(80 * 512, 20 * 512)->name[TAG_PARTLABEL], "a name of thirty-six characters and ");

        /* What is left of one where the MBR does not speak of it. */
        bytes[446 + 4] = 0;
        list(DISK_BYTES);
        assert_int_equal(disk.n_areas, 1);
}

static void test_gpt_in_sectors_of_4096(void **state)
{
        (void)state;
        clear();
        put_gpt(4096, 2, 4, 128);
        put_gpt_entry(2 * 4096, 10, 19, "data");
        list(DISK_BYTES);
        assert_int_equal(disk.n_areas, 2);
        assert_string_equal(area_at(40960, 40960)->name[TAG_PARTLABEL], "data");
}

static void test_a_partition_name_in_other_scripts(void **state)
{
        static const uint8_t name[] = { 'a', 0, 0xe9, 0, 0x2d, 0x4e, 0x3d, 0xd8, 0x00, 0xde };

        (void)state;
        clear();
        put_gpt(512, 2, 1, 128);
        put_gpt_entry(1024, 40, 79, "");
        memcpy(bytes + 1024 + 56, name, sizeof(name));
        list(DISK_BYTES);
        assert_string_equal(disk.area[1].name[TAG_PARTLABEL], "a\xc3\xa9\xe4\xb8\xad??");
        memset(bytes + 1024 + 56, 0x4e, 72); /* no end, and the longest there is */
        list(DISK_BYTES);
        assert_int_equal(strlen(disk.area[1].name[TAG_PARTLABEL]), 3 * 36);
}

static void test_gpt_that_leads_out_of_the_disk(void **state)
{
        static const struct {
                uint64_t table;
                uint32_t n, size;
        } tables[] = {
                { UINT64_MAX, 4, 128 }, { UINT64_MAX / 512, 4, 128 }, { DISK_BYTES / 512, 4, 128 }, { 2, UINT32_MAX, 4096 },
                { 2, UINT32_MAX, 128 }, { 2, 4, 0 }, { 2, 4, 64 }, { 2, 4, UINT32_MAX }, { 0, 128, 128 }, { 1, 128, 128 },
        };
        static const struct {
                uint64_t first, last;
        } entries[] = {
                { 0, UINT64_MAX }, { UINT64_MAX, UINT64_MAX }, { UINT64_MAX / 512, UINT64_MAX / 512 }, { 50, 49 },
                { 50, UINT64_MAX / 512 - 1 }, { DISK_BYTES / 512, DISK_BYTES / 512 },
        };

        (void)state;
        for (size_t i = 0; i < sizeof(tables) / sizeof(tables[0]); i++) {
                clear();
                memset(bytes + 1024, 0x11, 100000);
                put_gpt(512, tables[i].table, tables[i].n, tables[i].size);
                list(DISK_BYTES);
        }
        for (size_t i = 0; i < sizeof(entries) / sizeof(entries[0]); i++) {
                clear();
                put_gpt(512, 2, 1, 128);
                put_gpt_entry(1024, entries[i].first, entries[i].last, "x");
                list(DISK_BYTES);
                list(40 * 512);
        }
        clear();
        put_gpt(512, 2, UINT32_MAX, 128);
        for (unsigned i = 0; i < 1000; i++)
                put_gpt_entry(1024 + 128 * i, 500 + i, 500 + i, "x");
        list(DISK_BYTES);
        assert_int_equal(disk.n_areas, AREAS_MAX);
}

static void test_mbr_and_logical_partitions(void **state)
{
        (void)state;
        clear();
        put_le32(bytes + 440, 0x1234abcd);
        put_mbr(0, 0, 0x83, 8, 8);
        put_mbr(0, 2, 0x0f, 100, 1000);
        put_mbr(0, 3, 0x82, 2000, 10);
        put_mbr(100, 0, 0x83, 2, 30);
        put_mbr(100, 1, 0x05, 200, 50);
        put_mbr(300, 0, 0x83, 5, 40);
        put_ext(305 * 512, "deep");
        list(DISK_BYTES);
        assert_int_equal(disk.n_areas, 5);
        assert_string_equal(area_at(8 * 512, 8 * 512)->name[TAG_PARTUUID], "1234abcd-01");
        assert_string_equal(area_at(2000 * 512, 10 * 512)->name[TAG_PARTUUID], "1234abcd-04");
        assert_string_equal(area_at(102 * 512, 30 * 512)->name[TAG_PARTUUID], "1234abcd-05");
        assert_string_equal(area_at(305 * 512, 40 * 512)->name[TAG_PARTUUID], "1234abcd-06");
        assert_string_equal(area_at(305 * 512, 40 * 512)->name[TAG_LABEL], "deep");
}

static void test_a_chain_of_tables_in_a_circle_ends(void **state)
{
        (void)state;
        clear();
        put_mbr(0, 0, 0x05, 100, 1000);
        put_mbr(100, 0, 0x83, 1, 1);
        put_mbr(100, 1, 0x05, 0, 1000); /* itself */
        list(DISK_BYTES);
        assert_in_range(disk.n_areas, 2, AREAS_MAX);
        put_mbr(100, 1, 0x05, 50, 1000);
        put_mbr(150, 0, 0x83, 1, 1);
        put_mbr(150, 1, 0x05, 0, 1000); /* the one before */
        list(DISK_BYTES);
        put_mbr(0, 0, 0x05, 0, 1000); /* the first sector of all */
        put_mbr(0, 1, 0x05, 0, 1000);
        put_mbr(0, 2, 0x05, UINT32_MAX, UINT32_MAX);
        list(DISK_BYTES);
        for (unsigned i = 0; i < 4; i++)
                put_mbr(0, i, 0x05, 0, UINT32_MAX);
        list(DISK_BYTES);
}

/* It ends as a table does, and begins with a jump. */
static void test_a_boot_sector_of_a_file_system_is_no_table(void **state)
{
        (void)state;
        clear();
        memset(bytes + 3, 0x6e, 507);
        put_mbr(0, 0, 0x83, 8, 8);
        list(DISK_BYTES);
        assert_int_equal(disk.n_areas, 1);
}

/* Those that the makers of file systems are not asked for, as blkid shows them. */
static void test_file_systems_are_told_by_their_magic_numbers(void **state)
{
        static const struct {
                const char *fs, *magic;
                uint32_t magic_off, uuid_off;
                const char *uuid_bytes, *uuid;
                uint32_t label_off;
                const char *label_bytes, *label;
        } rows[] = {
                { "vfat", "FAT32   ", 82, 67, "\x78\x56\x34\x12", "1234-5678", 71, "ESP DISK   ", "ESP DISK" },
                { "vfat", "FAT16   ", 54, 39, "\xab\xcd\xef\x01", "01EF-CDAB", 43, "NO NAME    ", "" },
                { "vfat", "FAT12   ", 54, 39, "\x01\x01\x01\x01", "0101-0101", 43, "A          ", "A" },
                { "ntfs", "NTFS    ", 3, 72, "\x08\x07\x06\x05\x04\x03\x02\x01", "0102030405060708", 0, "", "" },
                { "exfat", "EXFAT   ", 3, 100, "\x78\x56\x34\x12", "1234-5678", 0, "", "" },
                { "crypto_LUKS", "LUKS\xba\xbe", 0, 168, "0a1b2c3d-0000-4000-8000-0123456789ab",
                  "0a1b2c3d-0000-4000-8000-0123456789ab", 0, "", "" },
                { "LVM2_member", "LVM2 001", 0x218, 0, "", "", 0, "", "" },
                { "iso9660", "CD001", 0x8001, 0, "", "", 0x8028, "DEBIAN 12                       ", "DEBIAN 12" },
                { "squashfs", "hsqs", 0, 0, "", "", 0, "", "" },
        };

        (void)state;
        for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
                clear();
                memcpy(bytes + rows[i].magic_off, rows[i].magic, strlen(rows[i].magic));
                memcpy(bytes + rows[i].uuid_off, rows[i].uuid_bytes, strlen(rows[i].uuid_bytes));
                memcpy(bytes + rows[i].label_off, rows[i].label_bytes, strlen(rows[i].label_bytes));
                list(DISK_BYTES);
                assert_non_null(disk.area[0].fs);
                assert_string_equal(disk.area[0].fs, rows[i].fs);
                assert_string_equal(disk.area[0].name[TAG_UUID], rows[i].uuid);
                assert_string_equal(disk.area[0].name[TAG_LABEL], rows[i].label);
                assert_false(disk.area[0].ext);
        }
}

static void test_any_bytes_are_listed(void **state)
{
        uint32_t random = 1;

        (void)state;
        for (unsigned round = 0; round < 300; round++) {
                clear();
                for (size_t i = 0; i < 20000; i++) {
                        random = random * 1664525 + 1013904223;
                        bytes[i] = (uint8_t)(random >> 24);
                }
                for (unsigned i = 0; i < 4; i++)
                        bytes[446 + 16 * i] = 0;
                if (round % 3 == 0)
                        put_gpt(512, 2, (uint32_t)round * 10, 128);
                put_mbr(0, round % 4, (uint8_t)(round % 2 ? 0x05 : 0x83), random >> 20, random >> 10);
                list(round % 5 ? DISK_BYTES : random >> 12);
        }
}

/* ---- lines ---- */

static char wants[2000];

static void note_want(void *ctx, const struct want *w)
{
        static const char *const tags[] = { "device", "uuid", "label", "partuuid", "partlabel" };
        size_t n = strlen(wants);

        (void)ctx;
        assert_true(w->tag < TAG_COUNT);
        (void)snprintf(wants + n, sizeof(wants) - n, "%s %s %s%s\n", tags[w->tag], w->value, w->target, w->swap ? " swap" : "");
}

/* From memory of that size and no more. */
static const char *wants_of(const char *text, size_t len)
{
        char *copy = malloc(len);

        assert_non_null(copy);
        memcpy(copy, text, len);
        wants[0] = '\0';
        fstab_each_want(copy, len, note_want, NULL);
        free(copy);
        return wants;
}

#define assert_wants(text, expected) assert_string_equal(wants_of(text, sizeof(text) - 1), expected)

static void test_what_a_line_is_named_by(void **state)
{
        (void)state;
        assert_wants("/dev/vdb1 /data ext4 defaults 0 2\n", "device vdb1 /data\n");
        assert_wants("/dev/vdb /data ext4", "device vdb /data\n");
        assert_wants(" \t/dev/vdb12\t/a\\040b\text4\t\n", "device vdb12 /a b\n");
        assert_wants("UUID=x /d ext4 rw\nLABEL=\"a b\" /e ext4 rw\n", "uuid x /d\n");
        assert_wants("LABEL=\"a\\040b\" /e ext4 rw\n", "label a b /e\n");
        assert_wants("PARTUUID=x /d ext4 rw\nPARTLABEL=y /e xfs rw\n", "partuuid x /d\npartlabel y /e\n");
        assert_wants("/dev/disk/by-uuid/x /d ext4 rw\n/dev/disk/by-label/y /e ext4 rw\n", "uuid x /d\nlabel y /e\n");
        assert_wants("/dev/disk/by-partuuid/x /d ext4 rw\n/dev/disk/by-partlabel/y /e ext4 rw\n", "partuuid x /d\npartlabel y /e\n");
        assert_wants("/dev/vdb2 none swap sw\n", "device vdb2 none swap\n");
}

static void test_lines_that_are_no_concern(void **state)
{
        (void)state;
        assert_wants("", "");
        assert_wants("\n\n# /dev/vdb /d ext4 rw\n  #\n", "");
        assert_wants("/dev/vdb /d ext4 nofail\n/dev/vdb /d ext4 rw,noauto\n/dev/vdb /d ext4 _netdev,rw\n", "");
        assert_wants("/dev/vdb /d ext4 rw,x-systemd.automount,x-systemd.idle-timeout=60\n", "");
        assert_wants("/dev/vdb /d ext4 nofailing\n", "device vdb /d\n");
        assert_wants("/dev/vdb\n/dev/vdb none\n/dev/vdb none ext4 rw\n/dev/vdb d ext4 rw\n", "");
        assert_wants("/dev/vd /d ext4 rw\n/dev/vdB /d ext4 rw\n/dev/vdbx /d ext4 rw\n/dev/sda1 /d ext4 rw\n", "");
        assert_wants("/dev/mapper/vdb /d ext4 rw\n/dev/disk/by-path/vdb /d ext4 rw\nvdb /d ext4 rw\n", "");
        assert_wants("UUID= /d ext4 rw\nUUID=\"\" /d ext4 rw\nLABEL= /d ext4 rw\nID=x /d ext4 rw\n", "");
        assert_wants("host:/dev/vdb /d nfs rw\ntmpfs /tmp tmpfs rw\n/vdb /d none bind\n", "");
}

static void test_any_text_is_read(void **state)
{
        static char text[10000];
        uint32_t random = 7;

        (void)state;
        memset(text, 'x', sizeof(text));
        memcpy(text, "UUID=", 5);
        assert_string_equal(wants_of(text, sizeof(text)), "");
        memcpy(text + 9000, "\n/dev/vdb /d ext4 rw\n", 21);
        assert_string_equal(wants_of(text, sizeof(text)), "device vdb /d\n");
        memcpy(text + 300, " /d ext4 rw\n", 12); /* a name that is longer than any */
        assert_string_equal(wants_of(text, sizeof(text)), "device vdb /d\n");
        for (unsigned round = 0; round < 200; round++) {
                static const char alphabet[] = "/dev/vdb UUID=\\040\n\t\"# ,\0\xff";

                for (size_t i = 0; i < sizeof(text); i++) {
                        random = random * 1664525 + 1013904223;
                        text[i] = alphabet[(random >> 16) % (sizeof(alphabet) - 1)];
                }
                (void)wants_of(text, sizeof(text));
        }
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_a_disk_without_a_table_is_one_area),
                cmocka_unit_test(test_gpt_names_its_partitions),
                cmocka_unit_test(test_gpt_in_sectors_of_4096),
                cmocka_unit_test(test_a_partition_name_in_other_scripts),
                cmocka_unit_test(test_gpt_that_leads_out_of_the_disk),
                cmocka_unit_test(test_mbr_and_logical_partitions),
                cmocka_unit_test(test_a_chain_of_tables_in_a_circle_ends),
                cmocka_unit_test(test_a_boot_sector_of_a_file_system_is_no_table),
                cmocka_unit_test(test_file_systems_are_told_by_their_magic_numbers),
                cmocka_unit_test(test_any_bytes_are_listed),
                cmocka_unit_test(test_what_a_line_is_named_by),
                cmocka_unit_test(test_lines_that_are_no_concern),
                cmocka_unit_test(test_any_text_is_read),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}

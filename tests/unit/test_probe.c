/* SPDX-License-Identifier: MIT */

#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include "blobstore/base/cleanup.h"
#include "blobstore/base/io.h"
#include "blobstore/blobstore.h"
#include "blobstore/import/source.h"
#include "tests/lib/foreign.h"

#define CLUSTER 65536

/* ---- files ---- */

static int make_file(uint64_t size)
{
        int fd = memfd_create("probe", MFD_CLOEXEC);

        assert_true(fd >= 0);
        assert_int_equal(ftruncate(fd, (off_t)size), 0);
        return fd;
}

static void put(int fd, uint64_t off, const void *bytes, size_t n)
{
        assert_int_equal(pwrite_full(fd, bytes, n, off), 0);
}

static void put32(int fd, uint64_t off, uint32_t v)
{
        v = htobe32(v);
        put(fd, off, &v, sizeof(v));
}

static void put64(int fd, uint64_t off, uint64_t v)
{
        v = htobe64(v);
        put(fd, off, &v, sizeof(v));
}

/* A version 3 file of 1 MiB without data: header, table of reference counts, a block of them, L1 table. */
static int make_qcow2(void)
{
        int fd = make_file(4 * CLUSTER);

        put(fd, 0, "QFI\xfb", 4);
        put32(fd, 4, 3);
        put32(fd, 20, 16);
        put64(fd, 24, 1 << 20);
        put32(fd, 36, 1);
        put64(fd, 40, 3 * CLUSTER);
        put64(fd, 48, CLUSTER);
        put32(fd, 56, 1);
        put32(fd, 96, 4);
        put32(fd, 100, 104);
        return fd;
}

static int probe(int fd, enum image_format wanted, struct image_probe *ret, const char *expected)
{
        CLEANUP_STRBUF struct strbuf reason = { 0 };
        int r;

        r = image_probe(fd, wanted, ret, &reason);
        if (r == -EOPNOTSUPP && !foreign_can_confine())
                skip();
        if (r < 0 && !strstr(strbuf_text(&reason), expected))
                fail_msg("\"%s\" does not say \"%s\"", strbuf_text(&reason), expected);
        if (r == 0)
                assert_string_equal(strbuf_text(&reason), "");
        return r;
}

static void assert_refused(int fd, const char *expected)
{
        struct image_probe p;

        assert_int_equal(probe(fd, IMAGE_FORMAT_AUTO, &p, expected), -EINVAL);
        (void)close(fd);
}

static void assert_format(int fd, enum image_format wanted, enum image_format format, uint64_t size)
{
        struct image_probe p = { 0 };

        assert_int_equal(probe(fd, wanted, &p, ""), 0);
        assert_int_equal(p.format, format);
        assert_int_equal(p.size_bytes, size);
        assert_false(p.encrypted);
        (void)close(fd);
}

/* ---- names ---- */

static void test_names_are_parsed_back(void **state)
{
        enum image_format f;

        (void)state;
        for (int i = IMAGE_FORMAT_AUTO; i <= IMAGE_FORMAT_OVA; i++) {
                assert_int_equal(image_format_parse(image_format_name((enum image_format)i), &f), 0);
                assert_int_equal(f, i);
        }
        assert_int_equal(image_format_parse("qed", &f), -EINVAL);
        assert_int_equal(image_format_parse("", &f), -EINVAL);
        assert_int_equal(image_format_parse("RAW", &f), -EINVAL);
}

/* ---- raw ---- */

static void test_zeros_are_raw(void **state)
{
        (void)state;
        assert_format(make_file(1 << 20), IMAGE_FORMAT_AUTO, IMAGE_FORMAT_RAW, 1 << 20);
}

static void test_raw_may_have_any_size(void **state)
{
        (void)state;
        assert_format(make_file(1), IMAGE_FORMAT_AUTO, IMAGE_FORMAT_RAW, 1);
        assert_format(make_file(12345), IMAGE_FORMAT_AUTO, IMAGE_FORMAT_RAW, 12345);
}

static void test_partition_table_and_file_system_are_raw(void **state)
{
        int fd = make_file(1 << 20);

        (void)state;
        put(fd, 510, "\x55\xaa", 2);
        put(fd, 512, "EFI PART", 8);
        put(fd, 1080, "\x53\xef", 2);
        assert_format(fd, IMAGE_FORMAT_AUTO, IMAGE_FORMAT_RAW, 1 << 20);
}

static void test_empty_file_is_refused(void **state)
{
        struct image_probe p;
        int fd = make_file(0);

        (void)state;
        assert_int_equal(probe(fd, IMAGE_FORMAT_RAW, &p, "empty"), -EINVAL);
        assert_refused(fd, "empty");
}

static void test_web_page_is_refused(void **state)
{
        static const char *const pages[] = { "<!DOCTYPE html>", "\r\n <HTML>", "<?xml version='1.0'?>" };
        int fd;

        (void)state;
        for (size_t i = 0; i < sizeof(pages) / sizeof(pages[0]); i++) {
                fd = make_file(1000);
                put(fd, 0, pages[i], strlen(pages[i]));
                assert_refused(fd, "web page");
        }
        fd = make_file(2000); /* blanks to the end of what is looked at */
        for (int i = 0; i < 2000; i++)
                put(fd, (uint64_t)i, " ", 1);
        assert_format(fd, IMAGE_FORMAT_AUTO, IMAGE_FORMAT_RAW, 2000);

        fd = make_file(1024); /* what a guest may well have at the start of a disk */
        put(fd, 0, "<html>", 6);
        assert_format(fd, IMAGE_FORMAT_AUTO, IMAGE_FORMAT_RAW, 1024);
}

/* ---- where a raw disk ends ---- */

#define KiB UINT64_C(1024)

static void put_le(int fd, uint64_t off, uint64_t v, size_t n)
{
        v = htole64(v);
        put(fd, off, &v, n);
}

static uint32_t crc32_of(int fd, uint64_t off, size_t n)
{
        uint8_t buf[16 * 1024];
        uint32_t crc = UINT32_MAX;

        assert_int_equal(pread_full(fd, buf, n, off), n);
        for (size_t i = 0; i < n * 8; i++) {
                const uint32_t bit = (crc ^ buf[i / 8] >> i % 8) & 1;

                crc = crc >> 1 ^ (bit ? 0xedb88320 : 0);
        }
        return ~crc;
}

static void put_mbr(int fd, size_t i, uint8_t status, uint8_t type, uint32_t first, uint32_t n)
{
        const uint64_t at = 446 + 16 * i;

        put(fd, at, &status, 1);
        put(fd, at + 4, &type, 1);
        put_le(fd, at + 8, first, 4);
        put_le(fd, at + 12, n, 4);
        put(fd, 510, "\x55\xaa", 2);
}

/* One partition, to 1 MiB; the copy of it all to the end of 2 MiB. */
static void seal_gpt(int fd, uint32_t sector)
{
        put_le(fd, sector + 88, crc32_of(fd, 2 * sector, 128 * 128), 4);
        put_le(fd, sector + 16, 0, 4);
        put_le(fd, sector + 16, crc32_of(fd, sector, 92), 4);
}

static int make_gpt(uint32_t sector)
{
        int fd = make_file(2048 * KiB);

        put_mbr(fd, 0, 0, 0xee, 1, UINT32_MAX); /* as long as it goes, as some have it */
        put(fd, sector, "EFI PART", 8);
        put_le(fd, sector + 8, 0x10000, 4);
        put_le(fd, sector + 12, 92, 4);
        put_le(fd, sector + 24, 1, 8);
        put_le(fd, sector + 32, 2048 * KiB / sector - 1, 8);
        put_le(fd, sector + 72, 2, 8);
        put_le(fd, sector + 80, 128, 4);
        put_le(fd, sector + 84, 128, 4);
        put(fd, 2 * sector + 128, "type", 4);
        put_le(fd, 2 * sector + 128 + 32, 64 * KiB / sector, 8);
        put_le(fd, 2 * sector + 128 + 40, 1024 * KiB / sector - 1, 8);
        seal_gpt(fd, sector);
        return fd;
}

static int make_ext(void)
{
        int fd = make_file(1024 * KiB);

        put_le(fd, 1024, 128, 4); /* inodes */
        put_le(fd, 1024 + 4, 256, 4); /* blocks */
        put_le(fd, 1024 + 24, 2, 4); /* of 4 KiB */
        put_le(fd, 1024 + 32, 32768, 4); /* in a group */
        put(fd, 1024 + 56, "\x53\xef", 2);
        put_le(fd, 1024 + 76, 1, 4);
        return fd;
}

static int make_xfs(void)
{
        int fd = make_file(1024 * KiB);

        put(fd, 0, "XFSB", 4);
        put32(fd, 4, 4096);
        put64(fd, 8, 256);
        put32(fd, 84, 64); /* blocks in a group */
        put32(fd, 88, 4); /* groups */
        put(fd, 120, "\x0c", 1);
        return fd;
}

/* As what does it go how far, and the copy of its table? */
static void assert_reach(int fd, uint64_t end, const char *what, uint64_t copy_end)
{
        struct image_probe p = { 0 };

        assert_int_equal(probe(fd, IMAGE_FORMAT_AUTO, &p, ""), 0);
        assert_int_equal(p.reach.end, end);
        assert_string_equal(p.reach.what, what);
        assert_int_equal(p.reach.copy_end, copy_end);
        close(fd);
}

static void test_raw_disk_says_where_it_ends(void **state)
{
        int fd;

        (void)state;
        assert_reach(make_file(1024 * KiB), 0, "", 0);
        assert_reach(make_gpt(512), 1024 * KiB, "partition 2", 2048 * KiB);
        assert_reach(make_gpt(4096), 1024 * KiB, "partition 2", 2048 * KiB);
        assert_reach(make_ext(), 1024 * KiB, "file system (ext2, ext3 or ext4)", 0);
        assert_reach(make_xfs(), 1024 * KiB, "file system (XFS)", 0);

        fd = make_file(1024 * KiB);
        put_mbr(fd, 0, 0x80, 0x83, 8, 8);
        put_mbr(fd, 3, 0, 0x05, UINT32_MAX, UINT32_MAX);
        assert_reach(fd, 512 * 2 * (uint64_t)UINT32_MAX, "partition 4", 0);

        /* what was there before the partitions does not count */
        fd = make_ext();
        put_mbr(fd, 0, 0, 0x83, 8, 8);
        assert_reach(fd, 8192, "partition 1", 0);
}

/* Each is a table or a file system but for one field. */
static void test_what_is_no_table_says_nothing(void **state)
{
        static const struct {
                int (*make)(void);
                uint64_t off, v;
                size_t n;
        } tries[] = {
                { make_ext, 1024, 0, 4 },
                { make_ext, 1024 + 20, 1, 4 },
                { make_ext, 1024 + 24, 7, 4 },
                { make_ext, 1024 + 24, 0xff000002, 4 },
                { make_ext, 1024 + 32, 0, 4 },
                { make_ext, 1024 + 32, 32769, 4 },
                { make_ext, 1024 + 56, 0, 2 },
                { make_ext, 1024 + 76, 2, 4 },
                { make_xfs, 0, 0, 1 },
                { make_xfs, 4, 0, 4 },
                { make_xfs, 4, 0x00200000, 4 },
                { make_xfs, 8, 0xff, 1 },
                { make_xfs, 88, 0, 4 },
                { make_xfs, 91, 3, 1 },
                { make_xfs, 91, 5, 1 },
                { make_xfs, 120, 40, 1 },
        };
        int fd;

        (void)state;
        for (size_t i = 0; i < sizeof(tries) / sizeof(tries[0]); i++) {
                fd = tries[i].make();
                put_le(fd, tries[i].off, tries[i].v, tries[i].n);
                assert_reach(fd, 0, "", 0);
        }
        for (size_t i = 0; i < 5; i++) {
                fd = make_file(1024 * KiB);
                put_mbr(fd, 0, 0, 0x83, 8, 80000);
                put_mbr(fd, 1, i == 0 ? 'A' : 0, 0x83, i == 1 ? 0 : 80008, i == 2 ? 0 : 8);
                if (i == 3)
                        put_mbr(fd, 1, 0, 0x83, 80007, 8);
                if (i == 4)
                        put(fd, 510, "\0", 1);
                assert_reach(fd, 0, "", 0);
        }
}

static void test_gpt_must_have_its_sums(void **state)
{
        static const struct {
                uint64_t off, v;
                size_t n;
        } tries[] = {
                { 512, 0, 1 },
                { 512 + 12, 91, 4 },
                { 512 + 12, 513, 4 },
                { 512 + 72, 1, 8 },
                { 512 + 72, UINT64_MAX, 8 },
                { 512 + 72, 128, 8 },
                { 512 + 80, 505, 4 },
                { 512 + 80, UINT32_MAX, 4 },
                { 512 + 84, 127, 4 },
                { 512 + 84, UINT32_MAX, 4 },
        };
        int fd;

        (void)state;
        for (size_t i = 0; i < sizeof(tries) / sizeof(tries[0]); i++) {
                fd = make_gpt(512);
                put_le(fd, tries[i].off, tries[i].v, tries[i].n);
                put_le(fd, 512 + 16, 0, 4);
                put_le(fd, 512 + 16, crc32_of(fd, 512, 92), 4);
                assert_reach(fd, 0, "", 0);
        }
        fd = make_gpt(512);
        put_le(fd, 512 + 32, 0, 8);
        assert_reach(fd, 0, "", 0);
        fd = make_gpt(512);
        put_le(fd, 1024 + 128 + 40, 0, 8);
        assert_reach(fd, 0, "", 0);
        fd = make_gpt(512);
        put_le(fd, 1024 + 128 + 40, UINT64_MAX, 8);
        put_le(fd, 512 + 32, UINT64_MAX / 512, 8);
        seal_gpt(fd, 512);
        assert_reach(fd, UINT64_MAX, "partition 2", UINT64_MAX);
}

static void test_missing_end_is_refused(void **state)
{
        CLEANUP_STRBUF struct strbuf reason = { 0 };
        struct image_probe p = { .reach = { .end = 8192, .what = "partition 1", .copy_end = 16384 } };

        (void)state;
        assert_int_equal(image_check_end(&p, 8192, &reason), 0);
        assert_string_equal(strbuf_text(&reason), "");
        assert_int_equal(image_check_end(&p, 8191, &reason), -EINVAL);
        assert_non_null(strstr(strbuf_text(&reason), "ends at byte 8191, and the disk's partition 1 at byte 8192"));
}

static void test_raw_agrees_with_what_is_no_other_format(void **state)
{
        struct image_probe p = { 0 };
        int fd = make_qcow2();

        (void)state;
        assert_int_equal(probe(fd, IMAGE_FORMAT_RAW, &p,
                               "the format is set to raw, but this is a file of format qcow2: set format to auto or "
                               "qcow2"),
                         -EINVAL);
        put(fd, 0x8001, "CD001", 5); /* two at once: neither */
        assert_format(fd, IMAGE_FORMAT_RAW, IMAGE_FORMAT_RAW, 4 * CLUSTER);

        fd = make_file(65536);
        put(fd, 0x8001, "CD001", 5); /* as it is on a stick */
        assert_format(fd, IMAGE_FORMAT_RAW, IMAGE_FORMAT_RAW, 65536);
        fd = make_file(65536);
        put(fd, 65536 - 512, "conectix", 8); /* a guest's, of no VHD that this file would be */
        assert_format(fd, IMAGE_FORMAT_RAW, IMAGE_FORMAT_RAW, 65536);
}

static void test_luks_is_raw_and_encrypted(void **state)
{
        struct image_probe p = { 0 };
        int fd = make_file(4096);

        (void)state;
        put(fd, 0, "LUKS\xba\xbe\0\x02", 8);
        assert_int_equal(probe(fd, IMAGE_FORMAT_AUTO, &p, ""), 0);
        assert_int_equal(p.format, IMAGE_FORMAT_RAW);
        assert_true(p.encrypted);
        assert_int_equal(probe(fd, IMAGE_FORMAT_RAW, &p, ""), 0);
        assert_true(p.encrypted);
        (void)close(fd);
}

static void test_too_large_is_refused(void **state)
{
        int fd = memfd_create("probe", MFD_CLOEXEC);

        (void)state;
        if (ftruncate(fd, (off_t)(BLOB_SIZE_MAX + 512)) < 0) {
                (void)close(fd);
                skip(); /* the file system's limit is lower */
        }
        assert_refused(fd, "larger than 64 TiB");
}

/* ---- other formats ---- */

static void test_known_formats_that_are_not_read_are_refused(void **state)
{
        static const struct {
                uint64_t offset;
                const char *magic;
                size_t len;
                const char *title;
        } known[] = {
                { 0, "COWD", 4, "VMDK" },
                { 0, "# Disk DescriptorFile\nversion=1\n", 32, "VMDK" },
                { 65536 - 511, "conectix", 8, "VHD" },
                { 0, "QED", 4, "QED" },
                { 0, "WithoutFreeSpace", 16, "Parallels" },
                { 0, "WithouFreSpacExt", 16, "Parallels" },
                { 0, "VMA", 4, "VMA" },
                { 257, "ustar", 5, "no OVA" },
                { 0, "BZh91AY&SY", 10, "bzip2" },
                { 0, "PK\x03\x04", 4, "zip" },
        };
        struct image_probe p;
        int fd;

        (void)state;
        for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
                fd = make_file(65536);
                put(fd, known[i].offset, known[i].magic, known[i].len);
                assert_int_equal(probe(fd, IMAGE_FORMAT_QCOW2, &p, known[i].title), -EINVAL);
                if (known[i].offset <= 257)
                        assert_int_equal(probe(fd, IMAGE_FORMAT_RAW, &p, "the format is set to raw"), -EINVAL);
                assert_refused(fd, known[i].title);
        }
}

static void test_two_formats_at_once_are_refused(void **state)
{
        struct image_probe p;
        int fd = make_qcow2();

        (void)state;
        put(fd, 0x8001, "CD001", 5);
        assert_int_equal(probe(fd, IMAGE_FORMAT_QCOW2, &p, "qcow2 and like ISO 9660"), -EINVAL);
        assert_refused(fd, "qcow2 and like ISO 9660");
}

/* Also the footer of a file of 511 bytes. */
static void put_footer(int fd, uint64_t at, uint64_t disk_bytes)
{
        put(fd, at, "conectix", 8);
        put64(fd, at + 48, disk_bytes);
}

/* What a guest wrote to the end of its disk is at the end of a file of that disk. It was taken for the file's own. */
static void test_footer_of_another_disk_is_no_second_format(void **state)
{
        const uint64_t end = 4 * CLUSTER;

        (void)state;
        for (uint64_t footer = 511; footer <= 512; footer++) {
                int fd = make_qcow2();

                put_footer(fd, end - footer, 3 << 20);
                assert_format(fd, IMAGE_FORMAT_AUTO, IMAGE_FORMAT_QCOW2, 1 << 20);

                fd = make_qcow2();
                put_footer(fd, end - footer, end - footer);
                assert_refused(fd, "qcow2 and like VHD");

                fd = make_file(65536); /* a VHD says so at its start */
                put(fd, 0, "conectix", 8);
                put(fd, 0x8001, "CD001", 5);
                put_footer(fd, 65536 - footer, 3 << 20);
                assert_refused(fd, "VHD and like ISO 9660");
        }
}

static void test_packed_files_are_told(void **state)
{
        static const struct {
                const char *magic;
                size_t len;
                enum image_packing packing;
        } known[] = {
                { "\x1f\x8b\x08", 3, IMAGE_PACKING_GZIP },
                { "\xfd" "7zXZ", 6, IMAGE_PACKING_XZ },
                { "\x28\xb5\x2f\xfd", 4, IMAGE_PACKING_ZSTD },
        };
        struct image_probe p;
        int fd;

        (void)state;
        for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
                fd = make_file(65536);
                put(fd, 0, known[i].magic, known[i].len);
                assert_int_equal(probe(fd, IMAGE_FORMAT_AUTO, &p, ""), 0);
                assert_int_equal(p.packing, known[i].packing);
                assert_int_equal(probe(fd, IMAGE_FORMAT_QCOW2, &p, ""), 0);
                assert_int_equal(p.packing, known[i].packing);
                assert_int_equal(p.format, IMAGE_FORMAT_QCOW2);
                assert_int_equal(probe(fd, IMAGE_FORMAT_RAW, &p, "set format to auto"), -EINVAL);
                assert_int_equal(probe(fd, IMAGE_FORMAT_VMDK, &p, "set to vmdk"), -EINVAL);
                (void)close(fd);
        }

        fd = make_file(65536);
        put(fd, 0, "machine.ovf", 11);
        put(fd, 257, "ustar", 5);
        assert_int_equal(probe(fd, IMAGE_FORMAT_AUTO, &p, ""), 0);
        assert_int_equal(p.packing, IMAGE_PACKING_OVA);
        assert_int_equal(p.format, IMAGE_FORMAT_OVA);
        assert_int_equal(probe(fd, IMAGE_FORMAT_VMDK, &p, "set to vmdk"), -EINVAL);
        (void)close(fd);
}

static void test_magic_alone_is_no_image(void **state)
{
        static const struct {
                uint64_t offset;
                const char *magic;
                size_t len;
                const char *sentence;
        } known[] = {
                { 0, "KDMV", 4, "VMDK" },
                { 0, "conectix", 8, "VHD file is damaged" },
                { 65536 - 512, "conectix", 8, "VHD file is damaged" },
                { 0, "vhdxfile", 8, "VHDX file is truncated" },
                { 0x40, "\x7f\x10\xda\xbe", 4, "VDI" },
                { 0x8000, "\1CD001", 6, "ISO 9660 file is damaged" },
        };

        (void)state;
        for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
                int fd = make_file(65536);

                put(fd, known[i].offset, known[i].magic, known[i].len);
                assert_refused(fd, known[i].sentence);
        }
}

static void test_vhd_with_both_footers_is_one_format(void **state)
{
        int fd = make_file(65536);

        (void)state;
        put(fd, 0, "conectix", 8);
        put(fd, 65536 - 512, "conectix", 8);
        assert_refused(fd, "this VHD file");
}

static void test_wanted_format_must_be_found(void **state)
{
        struct image_probe p;
        int fd = make_file(65536);

        (void)state;
        assert_int_equal(probe(fd, IMAGE_FORMAT_QCOW2, &p, "set to qcow2"), -EINVAL);
        (void)close(fd);
        assert_format(make_qcow2(), IMAGE_FORMAT_QCOW2, IMAGE_FORMAT_QCOW2, 1 << 20);
}

/* ---- qcow2 headers ---- */

static void test_plain_qcow2_is_accepted(void **state)
{
        int fd = make_qcow2();

        (void)state;
        put32(fd, 4, 2); /* version 2: what follows byte 72 are extensions */
        put64(fd, 72, 0);
        assert_format(fd, IMAGE_FORMAT_AUTO, IMAGE_FORMAT_QCOW2, 1 << 20);
        assert_format(make_qcow2(), IMAGE_FORMAT_AUTO, IMAGE_FORMAT_QCOW2, 1 << 20);
}

struct change {
        unsigned offset;
        unsigned bits; /* of the field */
        uint64_t value;
        const char *expected; /* of the sentence; NULL: accepted */
};

static void try_changes(const struct change *changes, size_t n)
{
        for (size_t i = 0; i < n; i++) {
                const struct change *c = &changes[i];
                int fd = make_qcow2();

                if (c->bits == 64)
                        put64(fd, c->offset, c->value);
                else
                        put32(fd, c->offset, (uint32_t)c->value);
                if (c->expected)
                        assert_refused(fd, c->expected);
                else
                        assert_format(fd, IMAGE_FORMAT_AUTO, IMAGE_FORMAT_QCOW2, 1 << 20);
        }
}

static void test_header_fields_are_judged(void **state)
{
        static const struct change changes[] = {
                { 4, 32, 1, "version 1" },
                { 4, 32, 4, "version 4" },
                { 8, 64, 200, "backing file" },
                { 20, 32, 8, "cluster size" },
                { 20, 32, 22, "cluster size" },
                { 20, 32, UINT32_MAX, "cluster size" },
                { 24, 64, 0, "no bytes" },
                { 24, 64, 1000, "sector" },
                { 24, 64, BLOB_SIZE_MAX + 512, "larger than 64 TiB" },
                { 24, 64, UINT64_C(1) << 63, "larger than 64 TiB" },
                { 24, 64, UINT64_MAX, "larger than 64 TiB" },
                { 24, 64, UINT64_C(1) << 40, "first table" }, /* more than one entry covers */
                { 32, 32, 1, "encrypted" },
                { 32, 32, 2, "encrypted" },
                { 36, 32, 0, "first table" },
                { 36, 32, UINT32_MAX, "first table" },
                { 36, 32, 4194304, "truncated" }, /* 32 MiB, as much as may be, but the file is shorter */
                { 36, 32, 4194305, "first table" },
                { 40, 64, 0, "first table" },
                { 40, 64, 3 * CLUSTER + 8, "first table" },
                { 40, 64, 4 * CLUSTER, "truncated" },
                { 40, 64, UINT64_MAX & ~(uint64_t)(CLUSTER - 1), "truncated" },
                { 48, 64, 0, "reference counts" },
                { 48, 64, 512, "reference counts" },
                { 48, 64, 4 * CLUSTER, "truncated" },
                { 56, 32, 0, "reference counts" },
                { 56, 32, 4, "truncated" },
                { 56, 32, UINT32_MAX, "reference counts" },
                { 96, 32, 7, "header" },
                { 100, 32, 96, "header" },
                { 100, 32, 108, "header" },
                { 100, 32, CLUSTER + 8, "header" },
                { 100, 32, UINT32_MAX, "header" },
                { 60, 32, 3, NULL }, /* internal snapshots */
        };

        (void)state;
        try_changes(changes, sizeof(changes) / sizeof(changes[0]));
}

static void test_features_are_judged(void **state)
{
        static const struct change changes[] = {
                { 72, 64, 0x01, NULL }, /* dirty */
                { 72, 64, 0x02, "corrupt" },
                { 72, 64, 0x04, "names another file" },
                { 72, 64, 0x08, "compressed" }, /* without a type */
                { 72, 64, 0x10, NULL }, /* extended L2 entries */
                { 72, 64, 0x20, "not known" },
                { 72, 64, UINT64_C(1) << 63, "not known" },
                { 80, 64, UINT64_MAX, NULL }, /* compatible */
                { 88, 64, UINT64_MAX, NULL }, /* autoclear */
        };

        (void)state;
        try_changes(changes, sizeof(changes) / sizeof(changes[0]));
}

static void test_compression_types_are_judged(void **state)
{
        static const struct {
                uint8_t type;
                uint64_t features;
                bool accepted;
        } cases[] = { { 0, 0, true }, { 1, 8, true }, { 1, 0, false }, { 0, 8, false }, { 2, 8, false } };

        (void)state;
        for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
                int fd = make_qcow2();

                put32(fd, 100, 112);
                put64(fd, 72, cases[i].features);
                put(fd, 104, &cases[i].type, 1);
                if (cases[i].accepted)
                        assert_format(fd, IMAGE_FORMAT_AUTO, IMAGE_FORMAT_QCOW2, 1 << 20);
                else
                        assert_refused(fd, "compressed");
        }
}

static void test_extensions_are_judged(void **state)
{
        static const struct {
                uint32_t type, len;
                const char *expected;
        } cases[] = {
                { 0x44415441, 8, "names another file" },
                { 0x0537be77, 16, "encrypted" },
                { 0xe2792aca, 5, NULL }, /* the backing file's format, without a backing file */
                { 0x12345678, 5, NULL }, /* not known, and followed by one that is */
                { 0x12345678, UINT32_MAX, "extension" },
                { 0x12345678, CLUSTER - 111, "extension" },
                { 0x12345678, CLUSTER - 112, NULL }, /* up to the cluster's last byte */
        };
        int fd;

        (void)state;
        for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
                fd = make_qcow2();
                put32(fd, 104, cases[i].type);
                put32(fd, 108, cases[i].len);
                if (cases[i].expected)
                        assert_refused(fd, cases[i].expected);
                else
                        assert_format(fd, IMAGE_FORMAT_AUTO, IMAGE_FORMAT_QCOW2, 1 << 20);
        }

        fd = make_qcow2();
        put32(fd, 104, 0x12345678);
        put32(fd, 108, 5);
        put32(fd, 120, 0x44415441);
        assert_refused(fd, "names another file");
}

static void test_header_cut_anywhere_is_refused(void **state)
{
        (void)state;
        for (int n = 4; n < 3 * CLUSTER + 8; n += n < 120 ? 1 : 4099) {
                int fd = make_qcow2();

                assert_int_equal(ftruncate(fd, n), 0);
                assert_refused(fd, "");
        }
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_names_are_parsed_back),
                cmocka_unit_test(test_zeros_are_raw),
                cmocka_unit_test(test_raw_may_have_any_size),
                cmocka_unit_test(test_partition_table_and_file_system_are_raw),
                cmocka_unit_test(test_raw_disk_says_where_it_ends),
                cmocka_unit_test(test_what_is_no_table_says_nothing),
                cmocka_unit_test(test_gpt_must_have_its_sums),
                cmocka_unit_test(test_missing_end_is_refused),
                cmocka_unit_test(test_empty_file_is_refused),
                cmocka_unit_test(test_web_page_is_refused),
                cmocka_unit_test(test_raw_agrees_with_what_is_no_other_format),
                cmocka_unit_test(test_luks_is_raw_and_encrypted),
                cmocka_unit_test(test_too_large_is_refused),
                cmocka_unit_test(test_known_formats_that_are_not_read_are_refused),
                cmocka_unit_test(test_two_formats_at_once_are_refused),
                cmocka_unit_test(test_footer_of_another_disk_is_no_second_format),
                cmocka_unit_test(test_packed_files_are_told),
                cmocka_unit_test(test_magic_alone_is_no_image),
                cmocka_unit_test(test_vhd_with_both_footers_is_one_format),
                cmocka_unit_test(test_wanted_format_must_be_found),
                cmocka_unit_test(test_plain_qcow2_is_accepted),
                cmocka_unit_test(test_header_fields_are_judged),
                cmocka_unit_test(test_features_are_judged),
                cmocka_unit_test(test_compression_types_are_judged),
                cmocka_unit_test(test_extensions_are_judged),
                cmocka_unit_test(test_header_cut_anywhere_is_refused),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}

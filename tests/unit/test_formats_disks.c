/* SPDX-License-Identifier: MIT */

/*
 * VMDK, VHD, VHDX and VDI as qemu-img makes them come out as the disk that went in; what names another file, lies
 * outside of its file, or was cut short is refused.
 */

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "blobstore/base/bytes.h"
#include "blobstore/base/cleanup.h"
#include "blobstore/base/io.h"
#include "tests/lib/foreign.h"

#define MIB (UINT64_C(1) << 20)

static const struct kind {
        enum image_format format;
        const char *options; /* of qemu-img convert */
        bool keeps_holes;
} kinds[] = {
        { IMAGE_FORMAT_VMDK, "-O vmdk", true },
        { IMAGE_FORMAT_VMDK, "-O vmdk -o zeroed_grain=on", true },
        { IMAGE_FORMAT_VMDK, "-O vmdk -o compat6=on,adapter_type=lsilogic", true },
        { IMAGE_FORMAT_VMDK, "-O vmdk -S 0", false },
        { IMAGE_FORMAT_VMDK, "-O vmdk -o subformat=streamOptimized", true },
        { IMAGE_FORMAT_VHD, "-O vpc -o force_size=on", true },
        { IMAGE_FORMAT_VHD, "-O vpc -o force_size=on -S 0", false },
        { IMAGE_FORMAT_VHD, "-O vpc -o subformat=fixed,force_size=on", true },
        { IMAGE_FORMAT_VHDX, "-O vhdx", false },
        { IMAGE_FORMAT_VHDX, "-O vhdx -o block_size=1M", true },
        { IMAGE_FORMAT_VHDX, "-O vhdx -o block_size=256M,log_size=2M", false },
        { IMAGE_FORMAT_VHDX, "-O vhdx -o subformat=fixed", false },
        { IMAGE_FORMAT_VDI, "-O vdi", true },
        { IMAGE_FORMAT_VDI, "-O vdi -o static=on", false },
};

#define N_KINDS (sizeof(kinds) / sizeof(kinds[0]))

static void make(const struct kind *k, const char *from, const char *to)
{
        shell("rm -f %s && qemu-img convert -f raw %s %s %s", to, k->options, from, to);
}

static void make_small(void)
{
        shell("rm -f small && truncate -s 4M small && head -c 300000 /dev/urandom | "
              "dd of=small bs=64k seek=16 conv=notrunc status=none");
}

static void put(const char *name, uint64_t off, const void *bytes, size_t n)
{
        CLEANUP_CLOSE int fd = open_at(name, O_WRONLY);

        assert_int_equal(pwrite_full(fd, bytes, n, off), 0);
}

static void put32(const char *name, uint64_t off, uint32_t v)
{
        uint8_t b[4];

        put_le32(b, v);
        put(name, off, b, sizeof(b));
}

static void put64(const char *name, uint64_t off, uint64_t v)
{
        uint8_t b[8];

        put_le64(b, v);
        put(name, off, b, sizeof(b));
}

static uint64_t read64(const char *name, uint64_t off)
{
        CLEANUP_CLOSE int fd = open_at(name, O_RDONLY);
        uint8_t b[8];

        assert_int_equal(pread_full(fd, b, sizeof(b), off), sizeof(b));
        return get_le64(b);
}

/* ---- what is good ---- */

static void test_every_kind_comes_out_equal(void **state)
{
        (void)state;
        for (size_t i = 0; i < N_KINDS; i++) {
                CLEANUP_CLOSE int expected_fd = open_at("disk", O_RDONLY);
                CLEANUP_CLOSE int fd = -1;
                struct outcome o;

                make(&kinds[i], "disk", "image");
                fd = open_at("image", O_RDONLY);
                o = read_image(fd, kinds[i].format, expected_fd);
                if (o.r < 0 || !o.equal)
                        fail_msg("%s: %d, %s, %llu bytes", kinds[i].options, o.r, o.reason,
                                 (unsigned long long)o.size_bytes);
                if (kinds[i].keeps_holes && o.data_bytes > 20 * MIB)
                        fail_msg("%s: holes are lost: %llu", kinds[i].options, (unsigned long long)o.data_bytes);
                o = read_image(fd, IMAGE_FORMAT_AUTO, expected_fd);
                assert_int_equal(o.r, 0);
                assert_int_equal(read_image(fd, IMAGE_FORMAT_QCOW2, -1).r, -EINVAL);
        }
}

static void test_odd_sizes_come_out_equal(void **state)
{
        static const char *const sizes[] = { "512", "65024", "66048", "1049088", "2097664" };

        (void)state;
        for (size_t s = 0; s < sizeof(sizes) / sizeof(sizes[0]); s++) {
                shell("head -c %s /dev/urandom >odd", sizes[s]);
                for (size_t i = 0; i < N_KINDS; i++) {
                        struct outcome o;

                        make(&kinds[i], "odd", "image");
                        o = read_name("image", "odd");
                        if (o.r < 0 || !o.equal)
                                fail_msg("%s, %s: %d, %s, %llu bytes", sizes[s], kinds[i].options, o.r, o.reason,
                                         (unsigned long long)o.size_bytes);
                }
        }
}

static void test_empty_disks_are_one_hole(void **state)
{
        static const char *const commands[] = { "-f vmdk", "-f vmdk -o subformat=streamOptimized",
                                                "-f vpc -o force_size=on", "-f vhdx", "-f vdi" };

        (void)state;
        for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
                struct outcome o;

                shell("rm -f image && qemu-img create -q %s image 1T", commands[i]);
                o = read_name("image", NULL);
                if (o.r < 0)
                        fail_msg("%s: %s", commands[i], o.reason);
                assert_int_equal(o.size_bytes, UINT64_C(1) << 40);
                assert_int_equal(o.data_bytes, 0);
        }
}

/* Its own writer rounds up to what a geometry of cylinders can say. */
static void test_vhd_of_rounded_size_keeps_all_bytes(void **state)
{
        struct outcome o;

        (void)state;
        shell("qemu-img convert -f raw -O vpc disk image && qemu-img convert -f vpc -O raw image expected");
        o = read_name("image", "expected");
        assert_int_equal(o.r, 0);
        assert_true(o.equal);
        assert_true(o.size_bytes > 24 * MIB);
}

static void test_vhdx_that_qemu_wrote_to_is_read(void **state)
{
        (void)state;
        shell("rm -f image && qemu-img convert -f raw -O vhdx disk image && "
              "qemu-io -f vhdx -c 'write -q -P 7 1M 1M' -c 'write -q -P 8 20M 64k' image >/dev/null && "
              "qemu-img convert -f vhdx -O raw image expected");
        assert_reads_as("image", "expected");
}

/* A stream that ends with its directory, as VMware's exports do. */
static void make_with_directory_at_the_end(void)
{
        uint8_t header[512], sector[512] = { 0 };
        CLEANUP_CLOSE int fd = -1;
        uint64_t end;

        make(&kinds[4], "disk", "image");
        shell("truncate -s %%512 image");
        fd = open_at("image", O_RDWR);
        end = file_size(fd);
        assert_int_equal(pread_full(fd, header, sizeof(header), 0), sizeof(header));
        put_le32(sector + 12, 3);
        put("image", end, sector, sizeof(sector));
        put("image", end + 512, header, sizeof(header));
        put_le32(sector + 12, 0);
        put("image", end + 1024, sector, sizeof(sector));
        put64("image", 56, UINT64_MAX);
}

static void test_vmdk_with_its_directory_at_the_end_is_read(void **state)
{
        (void)state;
        make_with_directory_at_the_end();
        assert_reads_as("image", "disk");

        shell("truncate -s -512 image");
        assert_refused_with("image", "truncated");
}

/* ---- other files ---- */

static void test_files_in_parts_are_refused(void **state)
{
        (void)state;
        shell("rm -f image* && qemu-img convert -f raw -O vmdk -o subformat=monolithicFlat disk image.vmdk");
        assert_refused_with("image.vmdk", "only describes other files");
        shell("truncate -s 64k image.vmdk"); /* padded with zeros */
        assert_refused_with("image.vmdk", "only describes other files");
        shell("rm -f image* && qemu-img convert -f raw -O vmdk -o subformat=twoGbMaxExtentSparse disk image.vmdk");
        assert_refused_with("image.vmdk", "only describes other files");
        assert_refused_with("image-s001.vmdk", "VMDK");
        shell("rm -f image*");
}

static void test_differences_are_refused(void **state)
{
        (void)state;
        shell("rm -f base.vmdk image && qemu-img convert -f raw -O vmdk disk base.vmdk && "
              "qemu-img create -q -f vmdk -b base.vmdk -F vmdk image");
        assert_refused_with("image", "its parent");

        make(&kinds[5], "disk", "image");
        put("image", 60, "\0\0\0\4", 4);
        /* The checksum of the footer is the complement of the sum: type 3 became 4. */
        {
                CLEANUP_CLOSE int fd = open_at("image", O_RDWR);
                uint8_t b[4];

                assert_int_equal(pread_full(fd, b, 4, 64), 4);
                b[3]--;
                put("image", 64, b, 4);
        }
        assert_refused_with("image", "its parent");

        make(&kinds[12], "disk", "image");
        put("image", 0x1b8, "0123456789abcdef", 16);
        assert_refused_with("image", "its parent");
        make(&kinds[12], "disk", "image");
        put32("image", 0x4c, 4);
        assert_refused_with("image", "its parent");

        make(&kinds[8], "disk", "image");
        {
                uint64_t metadata = read64("image", 192 * 1024 + 16 + 32 + 16);

                put32("image", metadata + 65536 + 4, 2); /* the first item is the file parameters */
        }
        assert_refused_with("image", "its parent");
}

static void test_vmdk_descriptions_are_judged(void **state)
{
        static const struct {
                const char *from, *to, *sentence;
        } cases[] = {
                { "SPARSE \"", "FLAT   \"", "names other files" },
                { "monolithicSparse", "twoGbMaxExtentSp", "names other files" },
                { "parentCID=ffffffff", "parentCID=12345678", "its parent" },
                { "# Extent description", "RW 8 FLAT \"/etc/passwd\"", "names other files" },
                { "# The Disk Data Base", "parentFileNameHint=\"disk\"", "its parent" },
        };

        (void)state;
        for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
                char text[1024 + 1] = { 0 };
                CLEANUP_CLOSE int fd = -1;
                char *at;

                make(&kinds[0], "disk", "image");
                fd = open_at("image", O_RDWR);
                assert_int_equal(pread_full(fd, text, 1024, 512), 1024);
                at = strstr(text, cases[i].from);
                assert_non_null(at);
                put("image", 512 + (uint64_t)(at - text), cases[i].to, strlen(cases[i].to));
                assert_refused_with("image", cases[i].sentence);
        }
        make(&kinds[0], "disk", "image");
        put64("image", 12, 0); /* no sectors: qemu would read the description instead */
        assert_refused_with("image", "names other files");
        make(&kinds[0], "disk", "image");
        put64("image", 28, 0);
        assert_refused_with("image", "one part of several");
        make(&kinds[0], "disk", "image");
        put64("image", 28, 3);
        assert_refused_with("image", "out of place");
}

/* qemu goes by the first header where it has no sectors, and by the last in all else. */
static void test_vmdk_whose_headers_differ_is_refused(void **state)
{
        static const struct {
                unsigned offset;
                uint64_t value;
                const char *sentence;
        } cases[] = {
                { 4, 3 | UINT64_C(0x30000) << 32, "do not agree" }, /* version and flags */
                { 12, 0, "names other files" }, /* sectors */
                { 12, 8, "do not agree" },
                { 20, 64, "do not agree" }, /* of a grain */
                { 28, 21, "do not agree" }, /* the description */
                { 36, 1, "do not agree" },
                { 44, 256, "do not agree" }, /* of a table */
                { 77, 0, "do not agree" }, /* compression */
        };

        (void)state;
        for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
                make_with_directory_at_the_end();
                put64("image", cases[i].offset, cases[i].value);
                put64("image", 56, UINT64_MAX);
                assert_refused_with("image", cases[i].sentence);
        }
}

/* Of two sectors, as the header says then, and no byte of zero in them. */
static void fill_description(void)
{
        shell("head -c 1536 image | tail -c 1024 | tr '\\0' '\\n' | "
              "dd of=image bs=512 seek=1 conv=notrunc status=none");
        put64("image", 36, 2);
}

/* qemu reads 20 sectors of it up to a byte of zero, and finds a parent anywhere in there. */
static void test_vmdk_descriptions_are_judged_to_their_end(void **state)
{
        static const char *const hints[] = { "\nparentFileNameHint=\"disk\"\n", "\nx parentFileNameHint=\"disk\"\n" };

        (void)state;
        for (size_t i = 0; i < sizeof(hints) / sizeof(hints[0]); i++) {
                make(&kinds[0], "disk", "image");
                put("image", 512 + 19 * 512, hints[i], strlen(hints[i])); /* behind zeros */
                assert_refused_with("image", "its parent");

                make(&kinds[0], "disk", "image");
                fill_description();
                put("image", 3 * 512, hints[i], strlen(hints[i])); /* behind what the header says is all */
                assert_refused_with("image", "its parent");
        }
        make(&kinds[0], "disk", "image");
        fill_description();
        assert_reads_as("image", "disk");
}

static void test_vhdx_with_a_log_is_refused(void **state)
{
        uint8_t header[4096];
        CLEANUP_CLOSE int fd = -1;
        uint32_t crc = ~UINT32_C(0);

        (void)state;
        make(&kinds[8], "disk", "image");
        fd = open_at("image", O_RDWR);
        assert_int_equal(pread_full(fd, header, sizeof(header), 64 * 1024), sizeof(header));
        put_le64(header + 8, UINT64_MAX);
        memset(header + 48, 7, 16);
        put_le32(header + 4, 0);
        for (size_t i = 0; i < 8 * sizeof(header); i++)
                crc = crc >> 1 ^ ((crc ^ header[i / 8] >> i % 8) & 1 ? UINT32_C(0x82f63b78) : 0);
        put_le32(header + 4, ~crc);
        put("image", 64 * 1024, header, sizeof(header));
        assert_refused_with("image", "was not closed");
}

/* ---- headers ---- */

struct change {
        size_t kind;
        unsigned offset;
        unsigned bits; /* little endian */
        uint64_t value;
        const char *sentence;
};

static void test_headers_are_judged(void **state)
{
        static const struct change changes[] = {
                { 0, 4, 32, 4, "version 4" },
                { 0, 12, 64, UINT64_C(1) << 50, "larger than 64 TiB" },
                { 0, 12, 64, UINT64_MAX, "larger than 64 TiB" },
                { 0, 12, 64, UINT64_C(1) << 36, "truncated" },
                { 0, 20, 64, 0, "grain size" },
                { 0, 20, 64, 100, "grain size" },
                { 0, 20, 64, UINT64_C(1) << 40, "grain size" },
                { 0, 44, 32, 0, "tables" },
                { 0, 44, 32, 1 << 20, "tables" },
                { 0, 56, 64, 0, "directory" },
                { 0, 56, 64, UINT64_MAX, "truncated" },
                { 0, 56, 64, UINT64_MAX - 1, "directory" },
                { 0, 56, 64, UINT64_C(1) << 40, "truncated" },
                { 0, 8, 32, 0x10001, "compressed" },
                { 0, 36, 64, 1 << 20, "description" },
                { 5, 64, 32, 0, "footer" },
                { 5, 512 + 36, 32, 0, "second header" },
                { 5, 16, 64, 0, "footer" },
                { 8, 64 * 1024 + 66, 32, 7, NULL }, /* the other header counts */
                { 8, 192 * 1024 + 8, 32, 5000, "regions" },
                { 12, 0x44, 32, 2, "version" },
                { 12, 0x154, 32, 100, "out of place" },
                { 12, 0x158, 32, 100, "out of place" },
                { 12, 0x168, 32, 4096, "unusual" },
                { 12, 0x170, 64, UINT64_MAX, "larger than 64 TiB" },
                { 12, 0x170, 64, UINT64_C(1) << 40, "does not fit" },
                { 12, 0x170, 64, 0, "no bytes" },
                { 12, 0x178, 32, 512, "unusual" },
                { 12, 0x180, 32, UINT32_MAX, "does not fit" },
                { 12, 0x180, 32, 1 << 25, "truncated" },
        };

        (void)state;
        for (size_t i = 0; i < sizeof(changes) / sizeof(changes[0]); i++) {
                const struct change *c = &changes[i];

                make(&kinds[c->kind], "disk", "image");
                if (c->bits == 64)
                        put64("image", c->offset, c->value);
                else
                        put32("image", c->offset, (uint32_t)c->value);
                if (c->sentence)
                        assert_refused_with("image", c->sentence);
                else
                        assert_reads_as("image", "disk");
        }
}

/* ---- tables ---- */

static void test_blocks_that_share_a_place_are_refused(void **state)
{
        uint32_t table;

        (void)state;
        shell("rm -f image && qemu-img create -q -f vdi image 1G && qemu-io -f vdi -c 'write -q 0 64k' image "
              ">/dev/null");
        table = (uint32_t)read64("image", 0x154);
        for (unsigned i = 0; i < 1024; i++)
                put32("image", table + 4 * i, 0);
        assert_refused_with("image", "same place");

        shell("rm -f image && qemu-img create -q -f vpc -o force_size=on image 1G && "
              "qemu-io -f vpc -c 'write -q 0 64k' image >/dev/null");
        for (unsigned i = 0; i < 512; i++)
                put("image", 1536 + 4 * i, "\0\0\0\7", 4);
        assert_refused_with("image", "same place");
}

static void test_blocks_outside_the_file_are_refused(void **state)
{
        (void)state;
        make(&kinds[12], "disk", "image");
        put32("image", (uint32_t)read64("image", 0x154) + 4, 0xfffffffd);
        assert_refused_with("image", "truncated");
        make(&kinds[5], "disk", "image");
        put("image", 1536 + 4, "\xff\xff\xff\xfe", 4);
        assert_refused_with("image", "truncated");
        make(&kinds[8], "disk", "image");
        put64("image", read64("image", 192 * 1024 + 16 + 16), (UINT64_C(1) << 60) | 6);
        assert_refused_with("image", "truncated");
        make(&kinds[0], "disk", "image");
        put32("image", (uint32_t)read64("image", 56) * 512, 0xfffffff0);
        assert_refused_with("image", "truncated");
}

/* A sector of compressed data for each two mebibytes of the disk. */
static void test_vmdk_that_holds_too_much_is_refused(void **state)
{
        uint8_t marker[512] = { 0 };
        uint64_t end;

        (void)state;
        shell("rm -f image && qemu-img create -q -f vmdk -o subformat=streamOptimized image 1G");
        {
                CLEANUP_CLOSE int fd = open_at("image", O_RDONLY);

                end = (file_size(fd) + 511) / 512;
        }
        put64("image", 20, 4096);
        put64("image", 56, end); /* a directory of one, its table of 512, and the grains */
        put32("image", end * 512, (uint32_t)end + 1);
        put_le32(marker + 8, 1);
        for (uint32_t i = 0; i < 512; i++) {
                put32("image", (end + 1) * 512 + 4 * i, (uint32_t)end + 5 + i);
                put_le64(marker, i * UINT64_C(4096));
                put("image", (end + 5 + i) * 512, marker, sizeof(marker));
        }
        assert_refused_with("image", "far more than a disk");
}

/* ---- damage ---- */

/* What was cut off was padding, or the file is refused. */
static void test_truncated_files_never_come_out_different(void **state)
{
        (void)state;
        make_small();
        for (size_t k = 0; k < N_KINDS; k++) {
                CLEANUP_CLOSE int expected_fd = open_at("small", O_RDONLY);
                uint64_t full;
                int refused = 0;

                make(&kinds[k], "small", "whole");
                {
                        CLEANUP_CLOSE int whole_fd = open_at("whole", O_RDONLY);

                        full = file_size(whole_fd);
                }
                for (uint64_t i = 0; i < 12; i++) {
                        uint64_t cut = i < 8 ? full * i / 8 + 5 : full - (UINT64_C(1) << 4 * (i - 8));
                        CLEANUP_CLOSE int fd = -1;
                        struct outcome o;

                        shell("head -c %llu whole >image", (unsigned long long)cut);
                        fd = open_at("image", O_RDONLY);
                        o = read_image(fd, kinds[k].format, expected_fd);
                        if (o.r != -EINVAL && !(o.r == 0 && o.equal))
                                fail_msg("%s cut to %llu of %llu: %d, %s", kinds[k].options, (unsigned long long)cut,
                                         (unsigned long long)full, o.r, o.reason);
                        refused += o.r == -EINVAL;
                }
                if (kinds[k].keeps_holes) /* else the end is padding */
                        assert_true(refused >= 7);
        }
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_every_kind_comes_out_equal),
                cmocka_unit_test(test_odd_sizes_come_out_equal),
                cmocka_unit_test(test_empty_disks_are_one_hole),
                cmocka_unit_test(test_vhd_of_rounded_size_keeps_all_bytes),
                cmocka_unit_test(test_vhdx_that_qemu_wrote_to_is_read),
                cmocka_unit_test(test_vmdk_with_its_directory_at_the_end_is_read),
                cmocka_unit_test(test_files_in_parts_are_refused),
                cmocka_unit_test(test_differences_are_refused),
                cmocka_unit_test(test_vmdk_descriptions_are_judged),
                cmocka_unit_test(test_vmdk_whose_headers_differ_is_refused),
                cmocka_unit_test(test_vmdk_descriptions_are_judged_to_their_end),
                cmocka_unit_test(test_vhdx_with_a_log_is_refused),
                cmocka_unit_test(test_headers_are_judged),
                cmocka_unit_test(test_blocks_that_share_a_place_are_refused),
                cmocka_unit_test(test_blocks_outside_the_file_are_refused),
                cmocka_unit_test(test_vmdk_that_holds_too_much_is_refused),
                cmocka_unit_test(test_truncated_files_never_come_out_different),
        };

        if (!foreign_can_run())
                return 77;
        return cmocka_run_group_tests(tests, foreign_setup, foreign_teardown);
}

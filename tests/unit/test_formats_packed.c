/* SPDX-License-Identifier: MIT */

/*
 * Compressed disks and OVA archives come out as what went in; those that are damaged, grow too far, or were made to
 * lead elsewhere are refused with a reason.
 */

/* A call is replaced under both of its names, which that macro would make one. */
#undef _FILE_OFFSET_BITS

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cmocka.h>

#include "blobstore/base/cleanup.h"
#include "blobstore/base/io.h"
#include "tests/lib/foreign.h"

#define MIB (UINT64_C(1) << 20)

/* The file system is one that knows no files without a name, as those of networks are. */
static bool names_only;

int openat(int dir_fd, const char *path, int flags, ...)
{
        mode_t mode = 0;
        va_list ap;

        if (names_only && (flags & O_TMPFILE) == O_TMPFILE) {
                errno = EOPNOTSUPP;
                return -1;
        }
        va_start(ap, flags);
        if (flags & (O_CREAT | O_TMPFILE))
                mode = va_arg(ap, mode_t);
        va_end(ap);
        return (int)syscall(SYS_openat, dir_fd, path, flags, mode);
}

int openat64(int dir_fd, const char *path, int flags, ...) __attribute__((alias("openat")));

static int unpack(const char *name, struct image_pack *ret, struct strbuf *reason)
{
        CLEANUP_CLOSE int dir_fd = open_at(".", O_RDONLY | O_DIRECTORY);
        CLEANUP_CLOSE int fd = open_at(name, O_RDONLY);
        struct image_probe p;
        int r;

        r = image_probe(fd, IMAGE_FORMAT_AUTO, &p, reason);
        if (r < 0)
                return r;
        assert_int_not_equal(p.packing, IMAGE_PACKING_NONE);
        return image_unpack(fd, &p, dir_fd, NULL, NULL, ret, reason);
}

static void assert_same_file(int fd, const char *name)
{
        CLEANUP_CLOSE int expected_fd = open_at(name, O_RDONLY);
        uint64_t size = file_size(expected_fd);
        static uint8_t a[1 << 16], b[1 << 16];

        assert_int_equal(file_size(fd), size);
        for (uint64_t at = 0; at < size; at += sizeof(a)) {
                ssize_t n = pread_full(expected_fd, a, sizeof(a), at);

                assert_int_equal(pread_full(fd, b, sizeof(b), at), n);
                assert_memory_equal(a, b, (size_t)n);
        }
}

static void assert_unpacks_to(const char *name, const char *expected)
{
        CLEANUP_STRBUF struct strbuf reason = { 0 };
        struct image_pack pack;
        int r = unpack(name, &pack, &reason);

        if (r < 0)
                fail_msg("%s: %d, %s", name, r, strbuf_text(&reason));
        assert_int_equal(pack.n_disks, 1);
        assert_same_file(pack.disk_fd[0], expected);
        image_pack_done(&pack);
}

/* Nothing is left in the directory. */
static void assert_unpack_refused(const char *name, const char *sentence)
{
        CLEANUP_STRBUF struct strbuf reason = { 0 };
        struct image_pack pack;

        shell("rm -f before && names=$(ls -A) && echo \"$names\" >before");
        assert_int_equal(unpack(name, &pack, &reason), -EINVAL);
        if (!strstr(strbuf_text(&reason), sentence))
                fail_msg("%s: \"%s\" does not say \"%s\"", name, strbuf_text(&reason), sentence);
        shell("ls -A | grep -vx before | cmp - before && rm before");
}

/* ---- digests ---- */

/* ---- compressed ---- */

static const char *const compressors[] = {
        "gzip -1", "xz -0", "xz -0 --check=crc32", "zstd -q --no-check", "zstd -q --long=24",
};

#define N_COMPRESSORS (sizeof(compressors) / sizeof(compressors[0]))

static void test_compressed_disks_come_out(void **state)
{
        (void)state;
        shell("qemu-img convert -f raw -O qcow2 disk image");
        for (size_t i = 0; i < N_COMPRESSORS; i++) {
                shell("%s -c <disk >packed", compressors[i]);
                assert_unpacks_to("packed", "disk");
        }
        shell("%s -c <image >packed", compressors[0]); /* what is inside makes no difference to the others either */
        assert_unpacks_to("packed", "image");
        shell("head -c 12345 /dev/urandom >odd && gzip -c odd >packed");
        assert_unpacks_to("packed", "odd");
}

static void test_compressed_in_parts_comes_out_whole(void **state)
{
        (void)state;
        shell("head -c 5000000 disk | gzip -c >packed && tail -c +5000001 disk | gzip -c >>packed");
        assert_unpacks_to("packed", "disk");
        shell("head -c 5000000 disk | xz -0c >packed && tail -c +5000001 disk | xz -0c >>packed");
        assert_unpacks_to("packed", "disk");
        shell("head -c 5000000 disk | zstd -qc >packed && tail -c +5000001 disk | zstd -qc >>packed");
        assert_unpacks_to("packed", "disk");
}

static void test_disks_come_out_on_a_network_file_system(void **state)
{
        (void)state;
        shell("gzip -c disk >packed && rm -f before && names=$(ls -A) && echo \"$names\" >before");
        names_only = true;
        assert_unpacks_to("packed", "disk");
        names_only = false;
        shell("ls -A | grep -vx before | cmp - before && rm before");
}

static void test_holes_stay_holes(void **state)
{
        CLEANUP_STRBUF struct strbuf reason = { 0 };
        struct image_pack pack;
        struct stat st;

        (void)state;
        shell("gzip -c disk >packed");
        assert_int_equal(unpack("packed", &pack, &reason), 0);
        assert_int_equal(fstat(pack.disk_fd[0], &st), 0);
        assert_true((uint64_t)st.st_blocks * 512 < 12 * MIB);
        image_pack_done(&pack);
}

static void test_truncated_compression_is_refused(void **state)
{
        static const char *const sure[] = { "gzip -1", "xz -0", "zstd -q --check" };

        (void)state;
        for (size_t i = 0; i < sizeof(sure) / sizeof(sure[0]); i++) {
                shell("%s -c <disk >whole", sure[i]);
                shell("head -c -1 whole >packed");
                assert_unpack_refused("packed", "truncated");
                shell("head -c -20 whole >packed");
                assert_unpack_refused("packed", "truncated");
                shell("head -c 100000 whole >packed");
                assert_unpack_refused("packed", "truncated");
                shell("head -c 12 whole >packed");
                assert_unpack_refused("packed", "");
        }
}

/* Data that decodes is not enough: what libarchive does not check of gzip is checked. */
static void test_flipped_bit_is_noticed(void **state)
{
        static const char *const sure[] = { "gzip -1", "xz -0", "zstd -q --check" };

        (void)state;
        for (size_t i = 0; i < sizeof(sure) / sizeof(sure[0]); i++) {
                CLEANUP_CLOSE int fd = -1;
                uint8_t byte;

                shell("%s -c <disk >packed", sure[i]);
                fd = open_at("packed", O_RDWR);
                assert_int_equal(pread_full(fd, &byte, 1, 1000000), 1);
                byte ^= 1;
                assert_int_equal(pwrite_full(fd, &byte, 1, 1000000), 0);
                assert_unpack_refused("packed", "damaged");
        }
}

static void test_bombs_are_refused(void **state)
{
        (void)state;
        shell("truncate -s 3G zeros && zstd -q -c zeros >packed && rm zeros");
        assert_unpack_refused("packed", "far more than a disk");
        shell("tr '\\0' x </dev/zero | head -c 200000000 | zstd -q -c >packed");
        assert_unpack_refused("packed", "far more than a disk");
}

/* ---- machines ---- */

#define ENVELOPE                                                                                           \
        "<?xml version=\"1.0\"?>\n<!-- made by hand -->\n"                                                 \
        "<Envelope xmlns:ovf=\"http://schemas.dmtf.org/ovf/envelope/1\">\n<References>\n"                  \
        "<File ovf:id=\"f1\" ovf:href=\"a.vmdk\"/><File ovf:href='b.vmdk' ovf:id='f2' />\n</References>\n" \
        "<DiskSection><Info>Disks</Info><Disk ovf:diskId=\"d2\" ovf:fileRef=\"f2\" ovf:capacity=\"9\"/>\n" \
        "<Disk ovf:diskId=\"d1\" ovf:fileRef=\"f1\"/><Disk ovf:diskId=\"d3\"/></DiskSection>\n"            \
        "<VirtualSystem ovf:id=\"vm\"><Name>Shop &amp; store</Name>\n"                                     \
        "<OperatingSystemSection ovf:id=\"96\"><Description>Debian GNU/Linux 12 (64-bit)</Description>"    \
        "</OperatingSystemSection></VirtualSystem></Envelope>\n"

static void write_text(const char *name, const char *text)
{
        CLEANUP_CLOSE int fd = open_at(name, O_WRONLY | O_CREAT | O_TRUNC);

        assert_int_equal(pwrite_full(fd, text, strlen(text), 0), 0);
}

/* The parts of a machine of two disks; `pack` puts them together. */
static void make_parts(void)
{
        write_text("m.ovf", ENVELOPE);
        shell("rm -f a.vmdk b.vmdk && qemu-img convert -f raw -O vmdk -o subformat=streamOptimized disk a.vmdk && "
              "qemu-img create -q -f vmdk b.vmdk 3M");
}

static void pack(const char *members)
{
        shell("rm -f m.ova && tar --format=ustar -cf m.ova %s", members);
}

static void test_machine_comes_out(void **state)
{
        CLEANUP_STRBUF struct strbuf reason = { 0 };
        struct image_pack p;

        (void)state;
        make_parts();
        shell("for n in 1 256 384 512; do for f in m.ovf a.vmdk b.vmdk; do "
              "echo \"SHA$n($f)= $(sha${n}sum <$f | cut -d ' ' -f 1)\"; done; done >m.mf");
        pack("m.ovf m.mf a.vmdk b.vmdk");
        if (unpack("m.ova", &p, &reason) < 0)
                fail_msg("%s", strbuf_text(&reason));
        assert_int_equal(p.n_disks, 2);
        assert_same_file(p.disk_fd[0], "b.vmdk"); /* as the description has them */
        assert_same_file(p.disk_fd[1], "a.vmdk");
        assert_string_equal(p.os, "linux");
        assert_string_equal(p.platform, "Debian GNU/Linux 12 (64-bit)");
        assert_string_equal(p.description, "Shop & store");
        image_pack_done(&p);

        pack("m.ovf b.vmdk a.vmdk m.mf");
        assert_int_equal(unpack("m.ova", &p, &reason), 0);
        image_pack_done(&p);
}

static void test_hostile_members_are_refused(void **state)
{
        (void)state;
        make_parts();
        pack("--hard-dereference m.ovf a.vmdk b.vmdk a.vmdk");
        assert_unpack_refused("m.ova", "same name");
        pack("m.ovf a.vmdk");
        assert_unpack_refused("m.ova", "b.vmdk is missing");
        pack("--transform='s,^a.vmdk,../a.vmdk,' -P m.ovf a.vmdk b.vmdk");
        assert_unpack_refused("m.ova", "leads elsewhere");
        pack("--transform='s,^a.vmdk,/tmp/a.vmdk,' -P m.ovf a.vmdk b.vmdk");
        assert_unpack_refused("m.ova", "leads elsewhere");
        pack("--transform='s,^a.vmdk,./a.vmdk,' m.ovf a.vmdk b.vmdk");
        assert_unpack_refused("m.ova", "leads elsewhere");
        shell("mv a.vmdk c && ln -s /etc/passwd a.vmdk");
        pack("m.ovf a.vmdk b.vmdk");
        assert_unpack_refused("m.ova", "link");
        shell("rm a.vmdk && ln b.vmdk a.vmdk");
        pack("m.ovf b.vmdk a.vmdk");
        assert_unpack_refused("m.ova", "link");
        shell("rm a.vmdk && mkfifo a.vmdk");
        pack("m.ovf b.vmdk a.vmdk");
        assert_unpack_refused("m.ova", "link");
        shell("rm a.vmdk && mv c a.vmdk");
        shell("cp m.ovf n.OVF");
        pack("m.ovf a.vmdk n.OVF b.vmdk");
        assert_unpack_refused("m.ova", "two descriptions");
        pack("a.vmdk m.ovf b.vmdk");
        assert_unpack_refused("m.ova", "no OVA");
        pack("m.ovf a.vmdk b.vmdk && head -c 200000 m.ova >cut && mv cut m.ova");
        assert_unpack_refused("m.ova", "truncated");
}

static void test_wrong_manifest_is_refused(void **state)
{
        static const char *const kinds[] = { "1", "256", "384", "512" };

        (void)state;
        make_parts();
        for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
                const char *k = kinds[i];

                shell("echo \"SHA%s(a.vmdk)= $(sha%ssum <b.vmdk | cut -d ' ' -f 1)\" >m.mf", k, k);
                pack("m.ovf m.mf a.vmdk b.vmdk");
                assert_unpack_refused("m.ova", "not what its manifest says");
                pack("m.ovf a.vmdk b.vmdk m.mf");
                assert_unpack_refused("m.ova", "not what its manifest says");
        }
        shell("echo \"SHA1(c.vmdk)= $(sha1sum <b.vmdk | cut -d ' ' -f 1)\" >m.mf");
        pack("m.ovf m.mf a.vmdk b.vmdk");
        assert_unpack_refused("m.ova", "not there");
        shell("echo 'SHA1(a.vmdk)= 12' >m.mf");
        pack("m.ovf m.mf a.vmdk b.vmdk");
        assert_unpack_refused("m.ova", "makes no sense");
        shell("echo 'SHA999(a.vmdk)= 12' >m.mf");
        pack("m.ovf m.mf a.vmdk b.vmdk");
        assert_unpack_refused("m.ova", "cannot be checked here");
}

static void test_hostile_descriptions_are_refused(void **state)
{
        static const struct {
                const char *text, *sentence;
        } cases[] = {
                { "<!DOCTYPE x [<!ENTITY e SYSTEM \"file:///etc/passwd\">]><E/>", "document type" },
                { "<E><File id='f1' href='&e;'/></E>", "undefined entity" },
                { "<E><File id='f1' href='a.vmdk'/><Disk fileRef='&#65;'/></E>", "does not list" },
                { "<E><File id='f1' href='a.vmdk' compression='gzip'/></E>", "compressed" },
                { "<E><File id='f1' href='a.vmdk' chunkSize='100'/></E>", "divided" },
                { "<E><File id='f1' href='a.vmdk'/><Disk fileRef='f2'/></E>", "does not list" },
                { "<E><File id='f1' href='a.vmdk'/><Disk fileRef='f1'/><Disk fileRef='f1'/></E>", "same file" },
                { "<E><File id='f1' href='a.vmdk'/><Disk fileRef='f1' parentRef='d'/></E>", "parent" },
                { "<E><File id='f1' href='a.vmdk'/></E>", "no disk" },
                { "<E><VirtualSystemCollection>", "several machines" },
                { "<E><File id='f1", "damaged" },
                { "<E><File id=f1/>", "damaged" },
                { "<E><!-- ", "damaged" },
                { "", "damaged" },
                { "<", "damaged" },
                { "<E><File id='f' href='a'/><Disk fileRef='f'/><VirtualSystem/><VirtualSystem/></E>", "several" },
        };

        (void)state;
        make_parts();
        for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
                write_text("m.ovf", cases[i].text);
                pack("m.ovf a.vmdk b.vmdk");
                assert_unpack_refused("m.ova", cases[i].sentence);
        }
        shell("{ printf '<E><File id=\"'; head -c 5000 /dev/zero | tr '\\0' x; printf '\" href=\"a\"/>'; } >m.ovf");
        pack("m.ovf a.vmdk b.vmdk");
        assert_unpack_refused("m.ova", "too long");
        shell("head -c 2000000 /dev/zero | tr '\\0' x >m.ovf");
        pack("m.ovf a.vmdk b.vmdk");
        assert_unpack_refused("m.ova", "too long");
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_compressed_disks_come_out),
                cmocka_unit_test(test_compressed_in_parts_comes_out_whole),
                cmocka_unit_test(test_disks_come_out_on_a_network_file_system),
                cmocka_unit_test(test_holes_stay_holes),
                cmocka_unit_test(test_truncated_compression_is_refused),
                cmocka_unit_test(test_flipped_bit_is_noticed),
                cmocka_unit_test(test_bombs_are_refused),
                cmocka_unit_test(test_machine_comes_out),
                cmocka_unit_test(test_hostile_members_are_refused),
                cmocka_unit_test(test_wrong_manifest_is_refused),
                cmocka_unit_test(test_hostile_descriptions_are_refused),
        };

        if (!foreign_can_run() || !foreign_can_unpack())
                return 77;
        return cmocka_run_group_tests(tests, foreign_setup, foreign_teardown);
}

/* SPDX-License-Identifier: MIT */

/*
 * Images made by qemu-img come out as qemu-img itself would convert them; damaged ones are refused, and never come
 * out as something else.
 */

#include <dirent.h>
#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "blobstore/base/cleanup.h"
#include "blobstore/base/io.h"
#include "blobstore/import/format_priv.h"
#include "tests/lib/foreign.h"

#define MIB (UINT64_C(1) << 20)

/* ---- raw ---- */

static void test_raw_comes_out_with_its_holes(void **state)
{
        struct outcome o = read_name("disk", "disk");

        (void)state;
        assert_int_equal(o.r, 0);
        assert_true(o.equal);
        assert_true(o.data_bytes < 12 * MIB);
}

static void test_raw_of_any_size_comes_out(void **state)
{
        static const int sizes[] = { 1, 511, 4097, 1048577 };

        (void)state;
        for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
                shell("head -c %d /dev/urandom >odd", sizes[i]);
                assert_reads_as("odd", "odd");
        }
        shell("truncate -s 1000001 odd-hole");
        assert_reads_as("odd-hole", "odd-hole");
        assert_int_equal(read_name("odd-hole", NULL).data_bytes, 0);
}

static void test_raw_that_shrinks_is_refused(void **state)
{
        struct image_probe p = { .format = IMAGE_FORMAT_RAW, .size_bytes = 32 * MIB };
        CLEANUP_CLOSE int fd = open_at("disk", O_RDONLY);
        CLEANUP_STRBUF struct strbuf reason = { 0 };
        struct outcome o = { .equal = true };
        struct image_source *s;

        (void)state;
        assert_int_equal(image_source_open(fd, &p, &s, &reason), 0);
        assert_int_equal(read_source(s, -1, &o, &reason), -EINVAL);
        image_source_close(s);
        assert_non_null(strstr(strbuf_text(&reason), "shorter"));
}

/* ---- qcow2 ---- */

static const char *const variants[] = {
        "",
        "-o compat=0.10",
        "-o lazy_refcounts=on",
        "-o refcount_bits=1",
        "-o refcount_bits=64",
        "-o cluster_size=512",
        "-o cluster_size=4k",
        "-o cluster_size=2M",
        "-o extended_l2=on,cluster_size=16k",
        "-o extended_l2=on,cluster_size=128k",
        "-o extended_l2=on,cluster_size=2M",
        "-o preallocation=metadata",
        "-o preallocation=falloc",
        "-o preallocation=full",
        "-S 0",
        "-c",
        "-c -o compat=0.10",
        "-c -o cluster_size=512",
        "-c -o cluster_size=2M",
        "-c -o compression_type=zstd",
        "-c -o compression_type=zstd,cluster_size=4k",
        "-c -o compression_type=zstd,cluster_size=2M",
        "-c -o extended_l2=on,compression_type=zstd",
};

static void test_every_kind_of_qcow2_comes_out_equal(void **state)
{
        (void)state;
        for (size_t i = 0; i < sizeof(variants) / sizeof(variants[0]); i++) {
                struct outcome o;

                shell("qemu-img convert -f raw -O qcow2 %s disk image", variants[i]);
                o = read_name("image", "disk");
                if (o.r < 0 || !o.equal)
                        fail_msg("%s: %d, %s", variants[i], o.r, o.reason);
                /* Some preallocated space has blocks on the host's disk; the rest must be seen as holes. */
                if (!strstr(variants[i], "-S 0") && !strstr(variants[i], "full") && !strstr(variants[i], "falloc") &&
                    o.data_bytes > 14 * MIB)
                        fail_msg("%s: holes are lost", variants[i]);
        }
}

static void test_odd_sizes_come_out_equal(void **state)
{
        static const char *const sizes[] = { "512", "65024", "65536", "66048", "1049088", "24117760" };

        (void)state;
        for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
                shell("head -c %s /dev/urandom >odd && qemu-img convert -f raw -O qcow2 odd image && "
                      "qemu-img convert -f raw -O qcow2 -c odd packed", sizes[i]);
                assert_reads_as("image", "odd");
                assert_reads_as("packed", "odd");
        }
}

static void test_empty_disk_is_one_hole(void **state)
{
        struct outcome o;

        (void)state;
        shell("qemu-img create -q -f qcow2 image 20T");
        o = read_name("image", NULL);
        assert_int_equal(o.r, 0);
        assert_int_equal(o.size_bytes, UINT64_C(20) << 40);
        assert_int_equal(o.data_bytes, 0);
}

static void test_snapshots_are_left_behind(void **state)
{
        (void)state;
        shell("qemu-img convert -f raw -O qcow2 disk image && qemu-img snapshot -c before image && "
              "qemu-io -f qcow2 -c 'write -q -P 7 1M 1M' -c 'write -q -z 5M 1M' -c 'discard -q 8M 1M' image "
              ">/dev/null && "
              "qemu-img convert -f qcow2 -O raw image expected");
        assert_reads_as("image", "expected");
}

static void test_dirty_image_is_read(void **state)
{
        CLEANUP_CLOSE int fd = -1;
        uint64_t dirty = htobe64(1);

        (void)state;
        shell("qemu-img convert -f raw -O qcow2 -o lazy_refcounts=on disk image");
        fd = open_at("image", O_WRONLY);
        assert_int_equal(pwrite_full(fd, &dirty, sizeof(dirty), 72), 0);
        assert_reads_as("image", "disk");
}

static void assert_private(int fd)
{
        struct stat st;

        assert_int_equal(fstat(fd, &st), 0);
        assert_int_equal(st.st_mode & 07777, 0600);
        assert_int_equal(st.st_uid, geteuid());
}

/* And is nobody else's to read while it is. */
static void test_file_of_a_private_mode_is_read(void **state)
{
        CLEANUP_STRBUF struct strbuf reason = { 0 };
        struct image_source *s;
        CLEANUP_CLOSE int fd = -1;
        struct image_probe p;
        const void *buf;
        uint64_t n;

        (void)state;
        shell("qemu-img convert -f raw -O qcow2 disk image && chmod 0600 image");
        assert_reads_as("image", "disk");

        fd = open_at("image", O_RDONLY);
        assert_int_equal(image_probe(fd, IMAGE_FORMAT_AUTO, &p, &reason), 0);
        assert_int_equal(image_source_open(fd, &p, &s, &reason), 0);
        assert_int_equal(image_source_next(s, &buf, &n, &reason), 1);
        assert_private(fd);
        image_source_close(s);
        assert_private(fd);
}

static void test_many_small_runs_come_out_equal(void **state)
{
        CLEANUP_CLOSE int fd = open_at("stripes", O_WRONLY | O_CREAT);

        (void)state;
        for (uint64_t i = 0; i < 4096; i++)
                assert_int_equal(pwrite_full(fd, &i, sizeof(i), 1 + i * 3 * 4096), 0);
        shell("qemu-img convert -f raw -O qcow2 -S 4k -o cluster_size=4k stripes image");
        shell("qemu-img convert -f qcow2 -O raw image expected");
        assert_reads_as("image", "expected");
}

static void test_another_file_is_never_read(void **state)
{
        (void)state;
        shell("qemu-img create -q -f qcow2 -b disk -F raw image");
        assert_refused_with("image", "names another file");
        shell("qemu-img create -q -f qcow2 -o data_file=data,data_file_raw=on image 1M");
        assert_refused_with("image", "names another file");
}

static void test_encrypted_qcow2_is_refused(void **state)
{
        (void)state;
        shell("qemu-img create -q --object secret,id=s,data=x -f qcow2 "
              "-o encrypt.format=aes,encrypt.key-secret=s image 1M");
        assert_refused_with("image", "encrypted");
}

static void test_size_beyond_any_limit_is_refused(void **state)
{
        CLEANUP_CLOSE int fd = -1;
        uint64_t size = htobe64(UINT64_C(1) << 62);

        (void)state;
        shell("qemu-img create -q -f qcow2 image 1M");
        fd = open_at("image", O_WRONLY);
        assert_int_equal(pwrite_full(fd, &size, sizeof(size), 24), 0);
        assert_refused_with("image", "larger than");
}

/* ---- damage ---- */

/* What used to be read as zeros by qemu itself. */
static void test_truncated_qcow2_never_comes_out_different(void **state)
{
        static const char *const kinds[] = { "", "-c", "-c -o compression_type=zstd", "-o cluster_size=4k",
                                             "-o extended_l2=on,cluster_size=128k" };

        (void)state;
        for (size_t k = 0; k < sizeof(kinds) / sizeof(kinds[0]); k++) {
                CLEANUP_CLOSE int expected_fd = open_at("disk", O_RDONLY);
                uint64_t full, cuts[16];
                int refused = 0;

                shell("qemu-img convert -f raw -O qcow2 %s disk whole", kinds[k]);
                {
                        CLEANUP_CLOSE int whole_fd = open_at("whole", O_RDONLY);

                        full = file_size(whole_fd);
                }
                for (uint64_t i = 0; i < 10; i++)
                        cuts[i] = full * i / 10 + 5;
                cuts[10] = full - 1;
                cuts[11] = full - 100;
                cuts[12] = full - 512;
                cuts[13] = full - 4096;
                cuts[14] = full - 65536;
                cuts[15] = full - 1000000;
                for (size_t i = 0; i < 16; i++) {
                        CLEANUP_CLOSE int fd = -1;
                        struct outcome o;

                        shell("head -c %llu whole >image", (unsigned long long)cuts[i]);
                        fd = open_at("image", O_RDONLY);
                        o = read_image(fd, IMAGE_FORMAT_QCOW2, expected_fd);
                        if (o.r != -EINVAL && !(o.r == 0 && o.equal))
                                fail_msg("%s cut to %llu of %llu: %d, %s", kinds[k], (unsigned long long)cuts[i],
                                         (unsigned long long)full, o.r, o.reason);
                        refused += o.r == -EINVAL;
                }
                /* What is cut from the very end may be padding, or tables that reading does not need. */
                assert_true(refused >= 11);
        }
}

static uint64_t first_l2_table(int fd)
{
        uint64_t l1, l2;

        assert_int_equal(pread_full(fd, &l1, sizeof(l1), 40), sizeof(l1));
        assert_int_equal(pread_full(fd, &l2, sizeof(l2), be64toh(l1)), sizeof(l2));
        return be64toh(l2) & UINT64_C(0x00fffffffffffe00);
}

static void put_l2_entry(int fd, unsigned i, uint64_t entry)
{
        entry = htobe64(entry);
        assert_int_equal(pwrite_full(fd, &entry, sizeof(entry), first_l2_table(fd) + 8 * i), 0);
}

static void test_data_outside_the_file_is_refused(void **state)
{
        CLEANUP_CLOSE int fd = -1;

        (void)state;
        shell("qemu-img convert -f raw -O qcow2 disk image");
        fd = open_at("image", O_RDWR);
        put_l2_entry(fd, 3, (UINT64_C(1) << 63) | (UINT64_C(1) << 40));
        assert_refused_with("image", "truncated");
        put_l2_entry(fd, 3, (UINT64_C(1) << 63) | 0x10200);
        assert_refused_with("image", "out of place");
        put_l2_entry(fd, 3, (UINT64_C(1) << 62) | (UINT64_C(1) << 53));
        assert_refused_with("image", "truncated");
}

/* A small file that names one place again and again would grow without end. */
static void test_clusters_that_share_a_place_are_refused(void **state)
{
        CLEANUP_CLOSE int fd = -1;

        (void)state;
        shell("qemu-img create -q -f qcow2 image 64M && qemu-io -f qcow2 -c 'write -q 0 64k' image >/dev/null");
        fd = open_at("image", O_RDWR);
        for (unsigned i = 1; i < 1024; i++)
                put_l2_entry(fd, i, (UINT64_C(1) << 63) | 0x50000);
        assert_refused_with("image", "same place");
}

/* From eight mebibytes half a tebibyte, which any of its clusters may well be. */
static void test_qcow2_that_claims_too_much_is_refused(void **state)
{
        CLEANUP_CLOSE int fd = -1;
        uint64_t l1, l2, at;
        uint8_t *table;

        (void)state;
        shell("rm -f image && qemu-img create -q -f qcow2 -o cluster_size=2M,compression_type=zstd image 512G && "
              "qemu-io -f qcow2 -c 'write -q -c -P 5 0 2M' image >/dev/null");
        fd = open_at("image", O_RDWR);
        assert_int_equal(pread_full(fd, &l1, sizeof(l1), 40), sizeof(l1));
        assert_int_equal(pread_full(fd, &l2, sizeof(l2), be64toh(l1)), sizeof(l2));
        at = be64toh(l2) & UINT64_C(0x00fffffffffffe00);
        table = malloc(2 * MIB);
        assert_int_equal(pread_full(fd, table, 2 * MIB, at), 2 * MIB);
        for (size_t i = 8; i < 2 * MIB; i += 8)
                memcpy(table + i, table, 8);
        assert_int_equal(pwrite_full(fd, table, 2 * MIB, at), 0);
        free(table);
        assert_int_equal(ftruncate(fd, (off_t)(file_size(fd) + 511) / 512 * 512), 0);
        assert_refused_with("image", "far more than a disk");
}

static void test_qcow2_that_grows_too_far_is_refused(void **state)
{
        (void)state;
        shell("tr '\\0' x </dev/zero | head -c 200000000 >long && truncate -s %%512 long && "
              "qemu-img convert -f raw -O qcow2 -c -o compression_type=zstd long image && rm long");
        assert_refused_with("image", "far more than a disk");
}

static void test_compressed_garbage_is_refused(void **state)
{
        CLEANUP_CLOSE int fd = -1;
        uint8_t garbage[4096];

        (void)state;
        memset(garbage, 0xff, sizeof(garbage));
        shell("qemu-img convert -f raw -O qcow2 -c disk image");
        fd = open_at("image", O_RDWR);
        for (uint64_t off = 5 * 65536; off + sizeof(garbage) <= file_size(fd); off += sizeof(garbage))
                assert_int_equal(pwrite_full(fd, garbage, sizeof(garbage), off), 0);
        assert_refused_with("image", "damaged");
}

static void write_snapshot_field(unsigned offset, const char *bytes, size_t n)
{
        CLEANUP_CLOSE int fd = -1;
        uint8_t h[8];

        shell("qemu-img convert -f raw -O qcow2 disk image && qemu-img snapshot -c one image && "
              "qemu-img snapshot -c two image && truncate -s +64k image");
        fd = open_at("image", O_RDWR);
        assert_int_equal(pread_full(fd, h, sizeof(h), 64), sizeof(h));
        assert_int_equal(pwrite_full(fd, bytes, n, offset < 72 ? offset : get_be64(h) + offset - 72), 0);
}

/* Of a number of snapshots that was garbage, qemu read each from the zeros behind the list, for many seconds. */
static void test_snapshots_that_are_none_are_refused(void **state)
{
        (void)state;
        write_snapshot_field(60, "\0\0\3\xe8", 4);
        assert_refused_with("image", "list of snapshots");
        write_snapshot_field(64, "\0\0\0\0\xff\0\0\0", 8);
        assert_refused_with("image", "truncated");
        write_snapshot_field(72, "\0\0\0\0\0\1\2\3", 8); /* the first table of the first */
        assert_refused_with("image", "list of snapshots");
        write_snapshot_field(72 + 8, "\x7f\0\0\0", 4); /* how long it is */
        assert_refused_with("image", "truncated");
        write_snapshot_field(72 + 36, "\x7f\0\0\0", 4); /* where the second is */
        assert_refused_with("image", "truncated");
}

/* The header says it, so that the answer comes at once. */
static void test_too_many_snapshots_are_refused(void **state)
{
        CLEANUP_STRBUF struct strbuf reason = { 0 };
        CLEANUP_CLOSE int fd = -1;
        struct image_probe p;

        (void)state;
        write_snapshot_field(60, "\0\0\xff\xff", 4);
        fd = open_at("image", O_RDONLY);
        assert_int_equal(image_probe(fd, IMAGE_FORMAT_AUTO, &p, &reason), -EINVAL);
        assert_non_null(strstr(strbuf_text(&reason), "qemu-img snapshot -d"));
}

static void test_too_many_bitmaps_are_refused(void **state)
{
        static const uint8_t many[4] = { 0, 0, 0xff, 0xff };
        CLEANUP_CLOSE int fd = -1;
        uint8_t header[512];
        size_t at;

        (void)state;
        shell("qemu-img convert -f raw -O qcow2 disk image && qemu-img bitmap --add image b");
        assert_reads_as("image", "disk");
        fd = open_at("image", O_RDWR);
        assert_int_equal(pread_full(fd, header, sizeof(header), 0), sizeof(header));
        for (at = get_be32(header + 100); get_be32(header + at) != 0x23852875; at += 8 + get_be32(header + at + 4))
                assert_true(at < sizeof(header) - 16);
        assert_int_equal(pwrite_full(fd, many, sizeof(many), at + 8), 0);
        assert_refused_with("image", "qemu-img bitmap --remove");
}

/* What a running qemu leaves behind, and what cannot be told from a file that lost its last bytes. */
static void test_compressed_data_without_its_last_sector_is_refused(void **state)
{
        (void)state;
        shell("qemu-img create -q -f qcow2 image 1M && qemu-io -f qcow2 -c 'write -q -c -P 5 0 64k' image >/dev/null");
        assert_refused_with("image", "rewrite it with qemu-img convert");
        shell("qemu-img convert -f qcow2 -O qcow2 -c image packed && qemu-img convert -f qcow2 -O raw image expected");
        assert_reads_as("packed", "expected");
}

/* ---- the child ---- */

/* The only child that there is. */
static pid_t find_child(void)
{
        DIR *proc = opendir("/proc");
        struct dirent *e;
        pid_t found = 0;

        assert_non_null(proc);
        while ((e = readdir(proc))) {
                char path[300], line[256] = "";
                CLEANUP_CLOSE int fd = -1;
                const char *end;
                int parent;

                (void)snprintf(path, sizeof(path), "/proc/%s/stat", e->d_name);
                fd = open(path, O_RDONLY | O_CLOEXEC);
                if (fd < 0 || read(fd, line, sizeof(line) - 1) <= 0)
                        continue;
                end = strrchr(line, ')');
                if (end && sscanf(end + 2, "%*c %d", &parent) == 1 && parent == getpid())
                        found = atoi(e->d_name);
        }
        (void)closedir(proc);
        assert_true(found > 0);
        return found;
}

static struct image_source *open_with_timeout(int fd, uint64_t size, int timeout_ms, struct strbuf *reason)
{
        struct qemu_opts opts = { .driver = "qcow2", .title = "qcow2", .size_bytes = size, .data_bytes = size,
                                  .timeout_ms = timeout_ms };
        struct image_source *s;

        assert_int_equal(qemu_open(fd, &opts, &s, reason), 0);
        return s;
}

static void test_child_that_stops_answering_is_given_up(void **state)
{
        CLEANUP_STRBUF struct strbuf reason = { 0 };
        struct image_source *s;
        CLEANUP_CLOSE int fd = -1;
        const void *buf;
        uint64_t n;

        (void)state;
        shell("qemu-img convert -f raw -O qcow2 disk image");
        fd = open_at("image", O_RDONLY);
        s = open_with_timeout(fd, 24 * MIB, 300, &reason);
        assert_int_equal(kill(find_child(), SIGSTOP), 0);
        assert_int_equal(image_source_next(s, &buf, &n, &reason), -ETIMEDOUT);
        assert_non_null(strstr(strbuf_text(&reason), "too long"));
        assert_int_equal(image_source_next(s, &buf, &n, &reason), -ETIMEDOUT); /* for good */
        image_source_close(s);
        assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
}

static void test_child_that_dies_is_an_error(void **state)
{
        CLEANUP_STRBUF struct strbuf reason = { 0 };
        struct outcome o = { .equal = true };
        struct image_source *s;
        CLEANUP_CLOSE int fd = -1;

        (void)state;
        shell("qemu-img convert -f raw -O qcow2 disk image");
        fd = open_at("image", O_RDONLY);
        s = open_with_timeout(fd, 24 * MIB, 0, &reason);
        assert_int_equal(kill(find_child(), SIGKILL), 0);
        assert_int_equal(read_source(s, -1, &o, &reason), -EINVAL);
        image_source_close(s);
        assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
}

static void test_source_closed_in_the_middle_leaves_no_child(void **state)
{
        CLEANUP_STRBUF struct strbuf reason = { 0 };
        struct image_source *s;
        CLEANUP_CLOSE int fd = -1;
        const void *buf;
        uint64_t n;

        (void)state;
        shell("qemu-img convert -f raw -O qcow2 disk image");
        fd = open_at("image", O_RDONLY);
        s = open_with_timeout(fd, 24 * MIB, 0, &reason);
        assert_int_equal(image_source_next(s, &buf, &n, &reason), 1);
        image_source_close(s);
        assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
        assert_int_equal(errno, ECHILD);
}

static void test_other_size_than_promised_is_refused(void **state)
{
        struct qemu_opts opts = { .driver = "qcow2", .title = "qcow2", .size_bytes = 23 * MIB };
        CLEANUP_STRBUF struct strbuf reason = { 0 };
        struct image_source *s;
        CLEANUP_CLOSE int fd = -1;

        (void)state;
        shell("qemu-img convert -f raw -O qcow2 disk image");
        fd = open_at("image", O_RDONLY);
        assert_int_equal(qemu_open(fd, &opts, &s, &reason), -EINVAL);
        assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
}

/* Were the header's check to miss one, the child still could not open it. */
static void test_child_cannot_open_a_backing_file(void **state)
{
        struct qemu_opts opts = { .driver = "qcow2", .title = "qcow2", .size_bytes = 24 * MIB };
        CLEANUP_STRBUF struct strbuf reason = { 0 };
        struct image_source *s;
        CLEANUP_CLOSE int fd = -1;

        (void)state;
        shell("chmod 0755 . && chmod 0644 disk && qemu-img create -q -f qcow2 -b %s/disk -F raw image", foreign_dir);
        fd = open_at("image", O_RDONLY);
        assert_int_equal(qemu_open(fd, &opts, &s, &reason), -EINVAL);
        assert_null(strstr(strbuf_text(&reason), foreign_dir));
}

/* Nor what lies in the system for anybody to read, and is no library of its own. */
static void test_child_cannot_open_a_file_of_the_system(void **state)
{
        static const char host_file[] = "/usr/share/common-licenses/GPL-3";
        struct qemu_opts opts = { .driver = "vmdk", .title = "VMDK", .size_bytes = 64 * 512 };
        CLEANUP_STRBUF struct strbuf reason = { 0 };
        struct image_source *s;
        CLEANUP_CLOSE int fd = -1;

        (void)state;
        if (access(host_file, R_OK) < 0)
                skip();
        shell("printf '# Disk DescriptorFile\\nversion=1\\nCID=1\\nparentCID=ffffffff\\n"
              "createType=\"monolithicFlat\"\\nRW 64 FLAT \"%s\" 0\\n' >image", host_file);
        fd = open_at("image", O_RDONLY);
        assert_int_equal(qemu_open(fd, &opts, &s, &reason), -EINVAL);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_raw_comes_out_with_its_holes),
                cmocka_unit_test(test_raw_of_any_size_comes_out),
                cmocka_unit_test(test_raw_that_shrinks_is_refused),
                cmocka_unit_test(test_every_kind_of_qcow2_comes_out_equal),
                cmocka_unit_test(test_odd_sizes_come_out_equal),
                cmocka_unit_test(test_empty_disk_is_one_hole),
                cmocka_unit_test(test_snapshots_are_left_behind),
                cmocka_unit_test(test_dirty_image_is_read),
                cmocka_unit_test(test_file_of_a_private_mode_is_read),
                cmocka_unit_test(test_many_small_runs_come_out_equal),
                cmocka_unit_test(test_another_file_is_never_read),
                cmocka_unit_test(test_encrypted_qcow2_is_refused),
                cmocka_unit_test(test_size_beyond_any_limit_is_refused),
                cmocka_unit_test(test_truncated_qcow2_never_comes_out_different),
                cmocka_unit_test(test_data_outside_the_file_is_refused),
                cmocka_unit_test(test_clusters_that_share_a_place_are_refused),
                cmocka_unit_test(test_qcow2_that_claims_too_much_is_refused),
                cmocka_unit_test(test_qcow2_that_grows_too_far_is_refused),
                cmocka_unit_test(test_compressed_garbage_is_refused),
                cmocka_unit_test(test_snapshots_that_are_none_are_refused),
                cmocka_unit_test(test_too_many_snapshots_are_refused),
                cmocka_unit_test(test_too_many_bitmaps_are_refused),
                cmocka_unit_test(test_compressed_data_without_its_last_sector_is_refused),
                cmocka_unit_test(test_child_that_stops_answering_is_given_up),
                cmocka_unit_test(test_child_that_dies_is_an_error),
                cmocka_unit_test(test_source_closed_in_the_middle_leaves_no_child),
                cmocka_unit_test(test_other_size_than_promised_is_refused),
                cmocka_unit_test(test_child_cannot_open_a_backing_file),
                cmocka_unit_test(test_child_cannot_open_a_file_of_the_system),
        };

        if (!foreign_can_run())
                return 77;
        return cmocka_run_group_tests(tests, foreign_setup, foreign_teardown);
}

/* SPDX-License-Identifier: MIT */

/*
 * All that qemu-img can write comes out as the disk that went in: each format's options with each other. What it cannot
 * write, or not in this version, is passed over; how many it must be at least is part of the table. The formats in several
 * files, which are refused, are in test_formats_disks.c, what is packed in test_formats_packed.c.
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "tests/lib/foreign.h"

#define AXES_MAX    4
#define CHOICES_MAX 16

/* What a VHD can say of a disk in cylinders, so that none is rounded up; and no multiple of a cluster. */
#define DISK_BYTES "1079296"

static const struct matrix {
        const char *format;
        unsigned at_least; /* of the combinations are written by qemu 7.2 */
        const char *axes[AXES_MAX][CHOICES_MAX]; /* of options of qemu-img convert, one of each; to the first NULL */
} matrices[] = {
        { "qcow2", 89, {
                { "-o compat=0.10", "-o compat=1.1" },
                { "-o cluster_size=512", "-o cluster_size=1k", "-o cluster_size=2k", "-o cluster_size=4k",
                  "-o cluster_size=8k", "-o cluster_size=16k", "-o cluster_size=32k", "-o cluster_size=64k",
                  "-o cluster_size=128k", "-o cluster_size=256k", "-o cluster_size=512k", "-o cluster_size=1M",
                  "-o cluster_size=2M" },
                { "", "-o extended_l2=on" },
                { "", "-c", "-c -o compression_type=zstd" },
        } },
        { "qcow2", 56, {
                { "", "-o lazy_refcounts=on" },
                { "-o refcount_bits=1", "-o refcount_bits=2", "-o refcount_bits=4", "-o refcount_bits=8",
                  "-o refcount_bits=16", "-o refcount_bits=32", "-o refcount_bits=64" },
                { "", "-o preallocation=metadata", "-o preallocation=falloc", "-o preallocation=full" },
        } },
        { "vmdk", 48, {
                { "-o subformat=monolithicSparse", "-o subformat=streamOptimized" },
                { "-o adapter_type=ide", "-o adapter_type=lsilogic", "-o adapter_type=buslogic",
                  "-o adapter_type=legacyESX" },
                { "", "-o compat6=on", "-o hwversion=13" },
                { "", "-o zeroed_grain=on" },
        } },
        { "vpc", 12, {
                { "-o subformat=dynamic", "-o subformat=fixed" },
                { "", "-o force_size=on" },
                { "", "-o preallocation=falloc", "-o preallocation=full" },
        } },
        { "vhdx", 36, {
                { "-o subformat=dynamic", "-o subformat=fixed" },
                { "-o block_size=1M", "-o block_size=2M", "-o block_size=4M", "-o block_size=8M", "-o block_size=16M",
                  "-o block_size=32M", "-o block_size=64M", "-o block_size=128M", "-o block_size=256M" },
                { "-o log_size=1M", "-o log_size=8M" },
        } },
        { "vdi", 6, {
                { "", "-o static=on" },
                { "", "-o preallocation=falloc", "-o preallocation=full" },
        } },
};

#define N_MATRICES (sizeof(matrices) / sizeof(matrices[0]))

/* Reads combination I; false where there are no so many, *n counts what could be written. */
static bool try_combination(const struct matrix *m, size_t i, unsigned *n)
{
        char options[256] = "", command[512];
        size_t used = 0;
        struct outcome o;

        for (size_t a = 0; a < AXES_MAX && m->axes[a][0]; a++) {
                size_t choices = 0;

                while (m->axes[a][choices])
                        choices++;
                used += (size_t)snprintf(options + used, sizeof(options) - used, "%s ", m->axes[a][i % choices]);
                i /= choices;
        }
        if (i > 0)
                return false;
        (void)snprintf(command, sizeof(command), "cd %s && rm -f image && qemu-img convert -q -f raw -O %s %s small image "
                       "2>/dev/null", foreign_dir, m->format, options);
        if (system(command) != 0)
                return true;
        o = read_name("image", "small");
        if (o.r < 0 || !o.equal)
                fail_msg("%s %s: %d, %s, %llu bytes", m->format, options, o.r, o.reason, (unsigned long long)o.size_bytes);
        ++*n;
        return true;
}

static void test_every_combination_comes_out_equal(void **state)
{
        (void)state;
        shell("dd if=disk of=small bs=512 skip=2040 count=$((" DISK_BYTES " / 512)) conv=sparse status=none && "
              "truncate -s " DISK_BYTES " small");
        for (size_t i = 0; i < N_MATRICES; i++) {
                unsigned n = 0;

                for (size_t k = 0; try_combination(&matrices[i], k, &n);)
                        k++;
                print_message("%s: %u\n", matrices[i].format, n);
                assert_true(n >= matrices[i].at_least);
        }
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_every_combination_comes_out_equal),
        };

        if (!foreign_can_run())
                return 77;
        return cmocka_run_group_tests(tests, foreign_setup, foreign_teardown);
}

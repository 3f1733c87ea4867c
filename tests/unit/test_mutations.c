/* SPDX-License-Identifier: MIT */

/*
 * Good files of every format with bytes changed, read as an import reads them, by a thread for each processor: what
 * comes is a disk or a refusal with a sentence, within seconds. IMAGEFS_TEST_COUNT says how many are changed,
 * IMAGEFS_TEST_SEED, which is printed, how: it is the number of the first change, and one that failed is made again by its
 * number with a count of 1.
 * scripts/hostile does it for thousands, and watches what the children open.
 */

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "blobstore/base/bytes.h"
#include "blobstore/base/cleanup.h"
#include "blobstore/base/io.h"
#include "blobstore/base/lock.h"
#include "tests/lib/foreign.h"
#include "tests/lib/random.h"

#define COUNT       500
#define HANG_MS     10000
#define THREADS_MAX 16

/* Most of a change goes where the headers and tables are. */
#define HEADER_BYTES 512
#define TABLE_BYTES  8192

static const struct kind {
        const char *name;
        const char *command; /* makes the file `good` of `small` */
} kinds[] = {
        { "qcow2", "qemu-img convert -O qcow2 small good" },
        { "qcow2, version 2", "qemu-img convert -O qcow2 -o compat=0.10,cluster_size=4k small good" },
        { "qcow2, compressed", "qemu-img convert -O qcow2 -c small good" },
        { "qcow2, zstd", "qemu-img convert -O qcow2 -c -o compression_type=zstd small good" },
        { "qcow2, subclusters", "qemu-img convert -O qcow2 -o extended_l2=on,cluster_size=16k small good" },
        { "vmdk", "qemu-img convert -O vmdk small good" },
        { "vmdk, stream", "qemu-img convert -O vmdk -o subformat=streamOptimized small good" },
        { "vhd", "qemu-img convert -O vpc small good" },
        { "vhd, fixed", "qemu-img convert -O vpc -o subformat=fixed,force_size=on small good" },
        { "vhdx", "qemu-img convert -O vhdx -o block_size=1M small good" },
        { "vdi", "qemu-img convert -O vdi small good" },
        { "iso", "cp small good && printf '\\1CD001\\1' | dd of=good bs=1 seek=32768 conv=notrunc status=none && "
                 "printf '\\040\\0\\0\\0\\0\\0\\0\\040' | dd of=good bs=1 seek=32848 conv=notrunc status=none && "
                 "printf '\\0\\010\\010\\0' | dd of=good bs=1 seek=32896 conv=notrunc status=none" },
        { "gzip", "gzip -c small >good" },
        { "xz", "qemu-img convert -O qcow2 small inner && xz -0c inner >good" },
        { "zstd", "zstd -qc small >good" },
        { "ova", "qemu-img convert -O vmdk -o subformat=streamOptimized small d.vmdk && "
                 "printf '<E><File id=\"f\" href=\"d.vmdk\"/><Disk fileRef=\"f\"/></E>' >m.ovf && "
                 "echo \"SHA256(d.vmdk)= $(sha256sum <d.vmdk | cut -c -64)\" >m.mf && "
                 "tar --format=ustar -cf good m.ovf m.mf d.vmdk" },
};

#define N_KINDS (sizeof(kinds) / sizeof(kinds[0]))

struct run {
        uint64_t end; /* of the numbers of changes */
        int dir_fd;
        uint8_t *good[N_KINDS];
        size_t good_bytes[N_KINDS];
        atomic_uint_fast64_t next, n_read, slowest_ms;
        pthread_mutex_t mutex;
        unsigned n_failed; /* under the mutex, as is what they say */
};

static uint64_t now_ms(void)
{
        struct timespec t;

        (void)clock_gettime(CLOCK_MONOTONIC, &t);
        return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

/* ---- changing ---- */

/* A number that a size, an offset or a count would not be. */
static uint64_t odd_number(uint64_t *state)
{
        static const uint64_t numbers[] = { 0, 1, INT32_MAX, UINT32_MAX, INT64_MAX, UINT64_MAX, UINT64_C(1) << 40 };

        return numbers[random_next(state) % (sizeof(numbers) / sizeof(numbers[0]))] + random_next(state) % 2;
}

static void change(uint8_t *bytes, size_t n, uint64_t *state)
{
        const size_t places[] = { HEADER_BYTES, TABLE_BYTES, n };
        size_t span = places[random_next(state) % 3];
        uint8_t number[8];
        size_t at, len;

        if (span > n)
                span = n;
        at = random_next(state) % span;
        len = n - at < sizeof(number) ? n - at : sizeof(number);
        switch (random_next(state) % 5) {
        case 0:
                bytes[at] ^= (uint8_t)(1 << random_next(state) % 8);
                break;
        case 1: /* in either byte order, where a field may be */
                put_le64(number, odd_number(state));
                memcpy(bytes + at, number, len);
                break;
        case 2:
                put_le64(number, htobe64(odd_number(state) << 32));
                memcpy(bytes + at, number, len);
                break;
        case 3: /* a table's entry at another place */
                memmove(bytes + at, bytes + random_next(state) % (n - len + 1), len);
                break;
        default:
                bytes[at] = (uint8_t)random_next(state);
                break;
        }
}

/* A file without a name, with change I. */
static int make_mutant(struct run *run, uint64_t i)
{
        const size_t kind = i % N_KINDS;
        uint64_t state = i * UINT64_C(0x9e3779b97f4a7c15) | 1;
        size_t n = run->good_bytes[kind];
        CLEANUP_FREE uint8_t *bytes = malloc(n);
        CLEANUP_CLOSE int fd = openat(run->dir_fd, ".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
        int r;

        if (!bytes || fd < 0)
                return bytes ? -errno : -ENOMEM;
        memcpy(bytes, run->good[kind], n);
        for (uint64_t left = 1 + random_next(&state) % 6; left > 0; left--)
                change(bytes, n, &state);
        if (random_next(&state) % 16 == 0)
                n = random_next(&state) % n;
        r = pwrite_full(fd, bytes, n, 0);
        return r < 0 ? r : TAKE_FD(fd);
}

/* ---- reading ---- */

static int read_disk(int fd, const struct image_probe *probe, struct strbuf *reason)
{
        struct image_source *s = NULL;
        const void *buf;
        uint64_t n;
        int r;

        r = image_source_open(fd, probe, &s, reason);
        if (r < 0)
                return r;
        do
                r = image_source_next(s, &buf, &n, reason);
        while (r == 1);
        image_source_close(s);
        return r;
}

/* As import_run() does it, without a library around it. */
static int read_mutant(struct run *run, int fd, struct strbuf *reason)
{
        CLEANUP(image_pack_done) struct image_pack pack = { 0 };
        struct image_probe probe, inner;
        int r;

        r = image_probe(fd, IMAGE_FORMAT_AUTO, &probe, reason);
        if (r < 0)
                return r;
        if (!probe.packing)
                return read_disk(fd, &probe, reason);
        r = image_unpack(fd, &probe, run->dir_fd, NULL, NULL, &pack, reason);
        for (size_t i = 0; r == 0 && i < pack.n_disks; i++) {
                r = image_probe(pack.disk_fd[i], IMAGE_FORMAT_AUTO, &inner, reason);
                if (r == 0 && !inner.packing)
                        r = read_disk(pack.disk_fd[i], &inner, reason);
        }
        return r;
}

static void note_failure(struct run *run, uint64_t i, int r, const char *text)
{
        LOCK_SCOPE(&run->mutex);

        run->n_failed++;
        print_error("change %llu, of a file of format %s: %d, %s\n", (unsigned long long)i, kinds[i % N_KINDS].name, r,
                    text);
}

static void try_mutant(struct run *run, uint64_t i)
{
        CLEANUP_STRBUF struct strbuf reason = { 0 };
        CLEANUP_CLOSE int fd = make_mutant(run, i);
        const uint64_t began = now_ms();
        uint64_t took, slowest;
        const char *text;
        int r;

        if (fd < 0) {
                note_failure(run, i, fd, "cannot be made");
                return;
        }
        r = read_mutant(run, fd, &reason);
        took = now_ms() - began;
        text = strbuf_text(&reason);
        if (r != 0 && r != -EINVAL)
                note_failure(run, i, r, text);
        else if (r != 0 && (!strchr(text, ' ') || strstr(text, foreign_dir) || strstr(text, "/proc")))
                note_failure(run, i, r, "refused without a good reason");
        else if (took > HANG_MS)
                note_failure(run, i, r, "took too long");
        if (r == 0)
                atomic_fetch_add(&run->n_read, 1);
        slowest = atomic_load(&run->slowest_ms);
        while (took > slowest && !atomic_compare_exchange_weak(&run->slowest_ms, &slowest, took))
                ;
}

static void *run_thread(void *arg)
{
        struct run *run = arg;
        uint64_t i;

        while ((i = atomic_fetch_add(&run->next, 1)) < run->end)
                try_mutant(run, i);
        return NULL;
}

static void make_small(void)
{
        CLEANUP_CLOSE int fd = open_at("small", O_WRONLY | O_CREAT | O_TRUNC);
        uint64_t noise[12500], state = 1;

        for (size_t i = 0; i < sizeof(noise) / sizeof(noise[0]); i++)
                noise[i] = random_next(&state);
        assert_int_equal(pwrite_full(fd, noise, sizeof(noise), 40960), 0);
        shell("seq 9000 | dd of=small bs=4k seek=99 conv=notrunc status=none && truncate -s 1M small");
}

static void load_goods(struct run *run)
{
        make_small();
        for (size_t k = 0; k < N_KINDS; k++) {
                CLEANUP_CLOSE int fd = -1;

                shell("rm -f good d.vmdk inner && %s", kinds[k].command);
                fd = open_at("good", O_RDONLY);
                run->good_bytes[k] = file_size(fd);
                run->good[k] = malloc(run->good_bytes[k]);
                assert_non_null(run->good[k]);
                assert_int_equal(pread_full(fd, run->good[k], run->good_bytes[k], 0), run->good_bytes[k]);
        }
}

static void test_changed_files_are_read_or_refused(void **state)
{
        const uint64_t first = environment_number("IMAGEFS_TEST_SEED", (uint64_t)time(NULL));
        const uint64_t count = environment_number("IMAGEFS_TEST_COUNT", COUNT);
        struct run run = {
                .next = first,
                .end = first + count,
                .dir_fd = open_at(".", O_RDONLY | O_DIRECTORY),
                .mutex = PTHREAD_MUTEX_INITIALIZER,
        };
        long processors = sysconf(_SC_NPROCESSORS_ONLN);
        pthread_t thread[THREADS_MAX];
        size_t n = processors < 1 ? 1 : processors > THREADS_MAX ? THREADS_MAX : (size_t)processors;

        (void)state;
        print_message("IMAGEFS_TEST_SEED=%llu\n", (unsigned long long)first);
        load_goods(&run);
        for (size_t i = 0; i < n; i++)
                assert_int_equal(pthread_create(&thread[i], NULL, run_thread, &run), 0);
        for (size_t i = 0; i < n; i++)
                assert_int_equal(pthread_join(thread[i], NULL), 0);
        print_message("%llu changed, %llu of them read to the end; the slowest took %llu ms\n",
                      (unsigned long long)count, (unsigned long long)run.n_read,
                      (unsigned long long)run.slowest_ms);

        for (size_t k = 0; k < N_KINDS; k++)
                free(run.good[k]);
        (void)close(run.dir_fd);
        assert_int_equal(run.n_failed, 0);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_changed_files_are_read_or_refused),
        };

        if (!foreign_can_run() || !foreign_can_unpack())
                return 77;
        return cmocka_run_group_tests(tests, foreign_setup, foreign_teardown);
}

/* SPDX-License-Identifier: MIT */

/* Writable disks: what they read and write, grow and forget, and what becomes of them when files are damaged. */

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "blobstore/base/cleanup.h"
#include "blobstore/base/kept.h"
#include "blobstore/blobstore.h"
#include "blobstore/disks/disk.h"
#include "blobstore/disks/disks.h"

#define BLOCK 4096
#define MIB   (UINT64_C(1) << 20)
#define GIB   (UINT64_C(1) << 30)
#define TIB   (UINT64_C(1) << 40)

struct fixture {
        char dir[64];
        struct blobstore *store;
};

static struct blobstore *open_store(const struct fixture *f)
{
        const struct blobstore_opts opts = { .threads = 2 };
        struct blobstore *bs;

        assert_int_equal(blobstore_open(f->dir, &opts, &bs), 0);
        return bs;
}

static void reopen(struct fixture *f)
{
        blobstore_close(f->store);
        f->store = open_store(f);
}

static int setup(void **state)
{
        struct fixture *f = calloc(1, sizeof(*f));

        assert_non_null(f);
        (void)snprintf(f->dir, sizeof(f->dir), "/tmp/test_disk-XXXXXX");
        assert_non_null(mkdtemp(f->dir));
        f->store = open_store(f);
        *state = f;
        return 0;
}

static int teardown(void **state)
{
        struct fixture *f = *state;
        char command[128];

        blobstore_close(f->store);
        (void)snprintf(command, sizeof(command), "rm -rf %s", f->dir);
        assert_int_equal(system(command), 0);
        free(f);
        return 0;
}

static void fill(uint8_t *buf, size_t n, unsigned seed)
{
        for (size_t i = 0; i < n; i++)
                buf[i] = (uint8_t)(1 + (i * 7 + i / 251 + seed * 31) % 255);
}

/* A blob: the given bytes, then a hole of the same length, and so on. */
static struct blob_id make_blob(struct blobstore *bs, const uint8_t *bytes, size_t n, unsigned times)
{
        struct blob_writer *w;
        struct blob_id id;
        struct blob *b;

        assert_int_equal(blob_writer_new(bs, &w), 0);
        for (unsigned i = 0; i < times; i++) {
                assert_int_equal(blob_writer_append(w, bytes, n), 0);
                assert_int_equal(blob_writer_hole(w, n), 0);
        }
        assert_int_equal(blob_writer_commit(w, &b), 0);
        id = *blob_get_id(b);
        blob_close(b);
        blob_writer_free(w);
        return id;
}

static struct disk *make_disk(struct blobstore *bs, const struct blob_id *base, uint64_t size)
{
        struct disk_id id;
        struct disk *d;

        assert_int_equal(disk_create(bs, base, size, &id), 0);
        assert_int_equal(disk_open(bs, &id, &d), 0);
        return d;
}

static void write_at(struct disk *d, const void *buf, size_t n, uint64_t off)
{
        assert_int_equal(disk_pwrite(d, buf, n, off), n);
}

static void assert_reads(struct disk *d, const void *expected, size_t n, uint64_t off)
{
        CLEANUP_FREE uint8_t *got = malloc(n);

        assert_int_equal(disk_pread(d, got, n, off), n);
        assert_memory_equal(got, expected, n);
}

static void assert_zeros(struct disk *d, size_t n, uint64_t off)
{
        CLEANUP_FREE uint8_t *zeros = calloc(1, n);

        assert_reads(d, zeros, n, off);
}

static void assert_seek(struct disk *d, uint64_t off, int whence, uint64_t expected)
{
        uint64_t found;

        assert_int_equal(disk_seek(d, off, whence, &found), 0);
        assert_int_equal(found, expected);
}

/* ---- reading and writing ---- */

static void test_new_disk_reads_as_zeros(void **state)
{
        struct fixture *f = *state;
        struct disk *d = make_disk(f->store, NULL, 10 * MIB + 100);
        uint64_t found;

        assert_int_equal(disk_get_size(d), 10 * MIB + 100);
        assert_int_equal(disk_get_data_bytes(d), 0);
        assert_zeros(d, MIB, 5 * MIB + 17);
        assert_int_equal(disk_seek(d, 0, SEEK_DATA, &found), -ENXIO);
        assert_seek(d, 7, SEEK_HOLE, 7);
        disk_close(d);
}

static void test_disk_reads_as_its_base(void **state)
{
        struct fixture *f = *state;
        uint8_t bytes[3 * BLOCK + 5];
        struct blob_id base;
        struct disk *d;

        fill(bytes, sizeof(bytes), 1);
        base = make_blob(f->store, bytes, sizeof(bytes), 1);
        d = make_disk(f->store, &base, MIB);
        assert_reads(d, bytes, sizeof(bytes), 0);
        assert_reads(d, bytes + 4000, 5000, 4000);
        assert_zeros(d, MIB - sizeof(bytes), sizeof(bytes));
        disk_close(d);
}

static void test_writes_are_read_back_and_leave_the_rest(void **state)
{
        static const struct {
                uint64_t off;
                size_t n;
        } writes[] = {
                { 0, BLOCK },
                { 100, 1 },
                { 4095, 2 },
                { 3 * BLOCK, 2 * BLOCK },
                { 5 * BLOCK - 10, 20 },
                { 17 * BLOCK + 3, 9000 },
                { 8 * BLOCK, 5000 },
                { 62 * BLOCK, 1 },
                { 62 * BLOCK + 1, 4095 },
                { 64 * BLOCK - 1, 1 },
        };
        struct fixture *f = *state;
        uint8_t model[64 * BLOCK] = { 0 }, bytes[16 * BLOCK], data[20000];
        struct blob_id base;
        struct disk *d;

        fill(bytes, sizeof(bytes), 2);
        base = make_blob(f->store, bytes, sizeof(bytes), 1);
        memcpy(model, bytes, sizeof(bytes));
        d = make_disk(f->store, &base, sizeof(model));
        for (size_t i = 0; i < sizeof(writes) / sizeof(writes[0]); i++) {
                fill(data, writes[i].n, 100 + (unsigned)i);
                write_at(d, data, writes[i].n, writes[i].off);
                memcpy(model + writes[i].off, data, writes[i].n);
                assert_reads(d, model, sizeof(model), 0);
        }
        disk_close(d);
}

static void test_end_of_disk(void **state)
{
        struct fixture *f = *state;
        struct disk *d = make_disk(f->store, NULL, 2 * BLOCK + 100);
        uint8_t bytes[BLOCK], got[BLOCK];
        uint64_t found;

        fill(bytes, sizeof(bytes), 3);
        assert_int_equal(disk_pwrite(d, bytes, sizeof(bytes), 2 * BLOCK + 50), 50);
        assert_int_equal(disk_pread(d, got, sizeof(got), 2 * BLOCK), 100);
        assert_memory_equal(got + 50, bytes, 50);
        assert_int_equal(disk_pwrite(d, bytes, 1, 2 * BLOCK + 100), -ENOSPC);
        assert_int_equal(disk_pwrite(d, bytes, 0, 2 * BLOCK + 100), 0);
        assert_int_equal(disk_pread(d, got, 1, 2 * BLOCK + 100), 0);
        assert_int_equal(disk_seek(d, 2 * BLOCK + 100, SEEK_DATA, &found), -ENXIO);
        assert_int_equal(disk_seek(d, 2 * BLOCK + 100, SEEK_HOLE, &found), -ENXIO);
        assert_int_equal(disk_seek(d, 0, SEEK_SET, &found), -EINVAL);
        assert_seek(d, 0, SEEK_DATA, 2 * BLOCK);
        assert_seek(d, 2 * BLOCK, SEEK_HOLE, 2 * BLOCK + 100);
        disk_close(d);
}

static void test_last_block_is_whole_after_growing(void **state)
{
        struct fixture *f = *state;
        uint8_t bytes[BLOCK + 100];
        struct blob_id base;
        struct disk *d;

        fill(bytes, sizeof(bytes), 4);
        base = make_blob(f->store, bytes, sizeof(bytes), 1);
        d = make_disk(f->store, &base, 2 * sizeof(bytes));
        write_at(d, bytes, 10, 2 * sizeof(bytes) - 10);
        assert_int_equal(disk_resize(d, MIB), 0);
        assert_reads(d, bytes, sizeof(bytes), 0);
        assert_reads(d, bytes, 10, 2 * sizeof(bytes) - 10);
        assert_zeros(d, MIB - 2 * sizeof(bytes), 2 * sizeof(bytes));
        disk_close(d);
}

/* ---- holes ---- */

static void test_seek_walks_base_and_changes(void **state)
{
        struct fixture *f = *state;
        uint8_t bytes[4 * BLOCK];
        struct blob_id base;
        struct disk *d;
        uint64_t found;

        fill(bytes, sizeof(bytes), 5);
        base = make_blob(f->store, bytes, sizeof(bytes), 2); /* data in 0-3 and 8-11 */
        d = make_disk(f->store, &base, MIB);
        write_at(d, bytes, 1, 5 * BLOCK + 9);
        write_at(d, bytes, BLOCK, 12 * BLOCK);
        assert_int_equal(disk_discard(d, BLOCK, 2 * BLOCK), 0);

        assert_seek(d, 0, SEEK_HOLE, BLOCK);
        assert_seek(d, BLOCK, SEEK_DATA, 3 * BLOCK);
        assert_seek(d, 3 * BLOCK + 1, SEEK_DATA, 3 * BLOCK + 1);
        assert_seek(d, 3 * BLOCK, SEEK_HOLE, 4 * BLOCK);
        assert_seek(d, 4 * BLOCK, SEEK_DATA, 5 * BLOCK);
        assert_seek(d, 5 * BLOCK, SEEK_HOLE, 6 * BLOCK);
        assert_seek(d, 6 * BLOCK, SEEK_DATA, 8 * BLOCK);
        assert_seek(d, 8 * BLOCK, SEEK_HOLE, 13 * BLOCK);
        assert_int_equal(disk_seek(d, 13 * BLOCK, SEEK_DATA, &found), -ENXIO);
        assert_seek(d, 13 * BLOCK, SEEK_HOLE, 13 * BLOCK);
        disk_close(d);
}

static atomic_bool punches_fail;

int fallocate(int fd, int mode, off_t off, off_t n)
{
        if (mode & FALLOC_FL_PUNCH_HOLE && atomic_load(&punches_fail)) {
                errno = EIO;
                return -1;
        }
        return (int)syscall(SYS_fallocate, fd, mode, off, n);
}

static void test_discard_gives_space_back_and_reads_as_zeros(void **state)
{
        struct fixture *f = *state;
        CLEANUP_FREE uint8_t *bytes = malloc(MIB);
        struct disk *d = make_disk(f->store, NULL, 4 * MIB);

        fill(bytes, MIB, 6);
        write_at(d, bytes, MIB, MIB);
        assert_int_equal(disk_sync(d), 0);
        assert_in_range(disk_get_data_bytes(d), MIB, MIB + 64 * 1024);
        atomic_store(&punches_fail, true);
        assert_int_equal(disk_discard(d, MIB, MIB), -EIO);
        atomic_store(&punches_fail, false);
        assert_reads(d, bytes, MIB, MIB);
        assert_int_equal(disk_discard(d, MIB + 10, MIB - 20), 0);
        assert_reads(d, bytes, 10, MIB);
        assert_reads(d, bytes + MIB - 10, 10, 2 * MIB - 10);
        assert_zeros(d, MIB - 20, MIB + 10);
        assert_int_equal(disk_sync(d), 0);
        assert_in_range(disk_get_data_bytes(d), 2 * BLOCK, 128 * 1024);
        disk_close(d);
}

static void test_discard_hides_the_base_for_good(void **state)
{
        static const struct {
                uint64_t off, n;
        } discards[] = {
                { 0, 1 },          { 10, 5000 },           { 4 * BLOCK - 3, 6 },
                { 3 * BLOCK, 0 },  { 6 * BLOCK, 3 * BLOCK }, { 15 * BLOCK, UINT64_MAX },
        };
        struct fixture *f = *state;
        uint8_t bytes[16 * BLOCK], model[40 * BLOCK] = { 0 };
        const uint64_t size = 2 * sizeof(bytes);
        struct blob_id base;
        struct disk_id id;
        struct disk *d;

        fill(bytes, sizeof(bytes), 7);
        base = make_blob(f->store, bytes, sizeof(bytes), 1);
        memcpy(model, bytes, sizeof(bytes));
        d = make_disk(f->store, &base, size);
        for (size_t i = 0; i < sizeof(discards) / sizeof(discards[0]); i++) {
                uint64_t left = size - discards[i].off;

                assert_int_equal(disk_discard(d, discards[i].off, discards[i].n), 0);
                memset(model + discards[i].off, 0, discards[i].n < left ? discards[i].n : left);
                assert_reads(d, model, size, 0);
        }
        assert_int_equal(disk_discard(d, size, 1), 0);
        assert_int_equal(disk_resize(d, sizeof(model)), 0);

        id = *disk_get_id(d);
        disk_close(d);
        reopen(f);
        assert_int_equal(disk_open(f->store, &id, &d), 0);
        assert_reads(d, model, sizeof(model), 0);
        disk_close(d);
}

/* A trim of what was never written must not cost memory or space in proportion to it. */
static void test_discarding_a_hole_sets_no_bits(void **state)
{
        struct fixture *f = *state;
        struct disk *d = make_disk(f->store, NULL, 8 * TIB);
        char command[128];

        assert_int_equal(disk_discard(d, 0, 8 * TIB), 0);
        assert_int_equal(disk_sync(d), 0);
        disk_close(d);
        (void)snprintf(command, sizeof(command), "test $(du -sk %s/disks | cut -f 1) -lt 200", f->dir);
        assert_int_equal(system(command), 0);
}

/* ---- life ---- */

static void test_disk_survives_reopening(void **state)
{
        struct fixture *f = *state;
        uint8_t bytes[300 * 1024];
        struct disk_id id;
        struct disk *d = make_disk(f->store, NULL, 2 * TIB);

        fill(bytes, sizeof(bytes), 8);
        id = *disk_get_id(d);
        write_at(d, bytes, sizeof(bytes), 0);
        write_at(d, bytes, sizeof(bytes), TIB - 1000); /* over the edge of a page of the bitmap, at least */
        write_at(d, bytes, 1, 2 * TIB - 1);
        disk_close(d); /* without a sync */
        reopen(f);
        assert_int_equal(disk_open(f->store, &id, &d), 0);
        assert_int_equal(disk_get_size(d), 2 * TIB);
        assert_reads(d, bytes, sizeof(bytes), 0);
        assert_reads(d, bytes, sizeof(bytes), TIB - 1000);
        assert_zeros(d, 1000, TIB - 2000);
        assert_reads(d, bytes, 1, 2 * TIB - 1);
        disk_close(d);
}

static void test_opened_twice_it_is_one_disk(void **state)
{
        struct fixture *f = *state;
        struct disk *a = make_disk(f->store, NULL, MIB), *b;

        assert_int_equal(disk_open(f->store, disk_get_id(a), &b), 0);
        assert_ptr_equal(a, b);
        disk_close(a);
        write_at(b, "x", 1, 0);
        assert_reads(b, "x", 1, 0);
        disk_close(b);
}

static void test_refusals_of_making_and_growing(void **state)
{
        static const struct blob_id nobody = { { 1 } };
        static const struct disk_id none = { { 1 } };
        struct fixture *f = *state;
        uint8_t bytes[2 * BLOCK];
        struct blob_id base;
        struct disk_id id;
        struct disk *d;

        fill(bytes, sizeof(bytes), 9);
        base = make_blob(f->store, bytes, sizeof(bytes), 1);
        assert_int_equal(disk_create(f->store, &nobody, MIB, &id), -ENOENT);
        assert_int_equal(disk_create(f->store, &base, BLOCK, &id), -EINVAL);
        assert_int_equal(disk_create(f->store, NULL, BLOB_SIZE_MAX + 1, &id), -EFBIG);
        assert_int_equal(disk_open(f->store, &none, &d), -ENOENT);
        assert_int_equal(disk_remove(f->store, &none), -ENOENT);

        d = make_disk(f->store, &base, MIB);
        assert_int_equal(disk_resize(d, MIB - 1), -EINVAL);
        assert_int_equal(disk_resize(d, BLOB_SIZE_MAX + 1), -EFBIG);
        assert_int_equal(disk_resize(d, MIB), 0);
        assert_int_equal(disk_get_size(d), MIB);
        disk_close(d);
}

static void test_growth_is_durable(void **state)
{
        struct fixture *f = *state;
        struct disk *d = make_disk(f->store, NULL, 0);
        struct disk_id id = *disk_get_id(d);

        assert_int_equal(disk_pwrite(d, "x", 1, 0), -ENOSPC);
        assert_int_equal(disk_resize(d, GIB + 1), 0);
        write_at(d, "x", 1, GIB);
        disk_close(d);
        reopen(f);
        assert_int_equal(disk_open(f->store, &id, &d), 0);
        assert_int_equal(disk_get_size(d), GIB + 1);
        assert_reads(d, "x", 1, GIB);
        disk_close(d);
}

static _Thread_local unsigned n_syncs; /* of this thread */

int fsync(int fd)
{
        n_syncs++;
        return (int)syscall(SYS_fsync, fd);
}

static void assert_size_of(struct fixture *f, const struct disk_id *id, uint64_t size)
{
        struct disk *d;

        assert_int_equal(disk_open(f->store, id, &d), 0);
        assert_int_equal(disk_get_size(d), size);
        disk_close(d);
}

static void test_growth_in_two_steps(void **state)
{
        struct fixture *f = *state;
        struct disk *d = make_disk(f->store, NULL, MIB);
        struct disk_id id = *disk_get_id(d);
        unsigned before;

        write_at(d, "x", 1, 5);
        assert_int_equal(disk_resize_begin(d, MIB - 1), -EINVAL);
        assert_int_equal(disk_resize_begin(d, BLOB_SIZE_MAX + 1), -EFBIG);
        assert_int_equal(disk_resize_begin(d, 2 * MIB), 0);
        assert_size_of(f, &id, MIB);
        assert_int_equal(disk_pwrite(d, "x", 1, MIB), -ENOSPC);
        disk_resize_abort(d);
        disk_close(d);
        reopen(f);
        assert_size_of(f, &id, MIB);

        assert_int_equal(disk_open(f->store, &id, &d), 0);
        assert_int_equal(disk_resize_begin(d, 3 * MIB), 0);
        before = n_syncs;
        assert_int_equal(disk_resize(d, 3 * MIB), 0);
        assert_int_equal(n_syncs, before);
        write_at(d, "y", 1, 3 * MIB - 1);
        assert_int_equal(disk_resize_begin(d, 4 * MIB), 0);
        disk_close(d);
        reopen(f); /* as after a crash */
        assert_size_of(f, &id, 4 * MIB);
        assert_int_equal(disk_open(f->store, &id, &d), 0);
        assert_reads(d, "x", 1, 5);
        assert_reads(d, "y", 1, 3 * MIB - 1);
        assert_int_equal(disk_resize_begin(d, 5 * MIB), 0);
        assert_int_equal(disk_remove(f->store, &id), 0);
        disk_resize_abort(d);
        assert_int_equal(disk_resize_begin(d, 5 * MIB), -ESTALE);
        disk_close(d);
        assert_int_equal(disk_open(f->store, &id, &d), -ENOENT);
}

static void test_what_has_lost_a_file_does_not_grow(void **state)
{
        struct fixture *f = *state;
        struct disk *d = make_disk(f->store, NULL, MIB);
        char command[128];

        write_at(d, "x", 1, 5);
        (void)snprintf(command, sizeof(command), "cd %s/disks && mv *.data kept", f->dir);
        assert_int_equal(system(command), 0);
        assert_int_equal(disk_resize(d, 2 * MIB), -EBADMSG);
        (void)snprintf(command, sizeof(command), "cd %s/disks && rm kept *.meta", f->dir);
        assert_int_equal(system(command), 0);
        assert_int_equal(disk_resize(d, 2 * MIB), -EBADMSG);
        assert_int_equal(disk_get_size(d), MIB);
        assert_reads(d, "x", 1, 5);
        disk_close(d);
}

static void test_removed_disk_stays_until_it_is_closed(void **state)
{
        struct fixture *f = *state;
        struct disk *d = make_disk(f->store, NULL, MIB), *other;
        struct disk_id id = *disk_get_id(d);
        char command[128];

        write_at(d, "x", 1, 5);
        assert_int_equal(disk_remove(f->store, &id), 0);
        assert_int_equal(disk_remove(f->store, &id), -ENOENT);
        assert_int_equal(disk_open(f->store, &id, &other), -ENOENT);
        assert_reads(d, "x", 1, 5);
        write_at(d, "y", 1, 6);
        assert_int_equal(disk_sync(d), 0);
        assert_int_equal(disk_resize(d, 2 * MIB), -ESTALE);
        disk_close(d);
        (void)snprintf(command, sizeof(command), "test -z \"$(ls %s/disks)\"", f->dir);
        assert_int_equal(system(command), 0);
}

static int count_disk(void *ctx, const struct disk_id *id)
{
        (void)id;
        ++*(unsigned *)ctx;
        return 0;
}

static int remove_disk(void *ctx, const struct disk_id *id)
{
        return disk_remove(ctx, id);
}

static void test_each_finds_what_a_crash_left(void **state)
{
        struct fixture *f = *state;
        struct disk *d = make_disk(f->store, NULL, MIB);
        unsigned count = 0;
        char command[256];

        disk_close(d);
        (void)snprintf(command, sizeof(command), "cd %s/disks && touch %032d.data %032d.meta.tmp", f->dir, 1, 1);
        assert_int_equal(system(command), 0);
        assert_int_equal(disk_each(f->store, count_disk, &count), 0);
        assert_int_equal(count, 2);
        assert_int_equal(disk_each(f->store, remove_disk, f->store), 0);
        (void)snprintf(command, sizeof(command), "test -z \"$(ls %s/disks)\"", f->dir);
        assert_int_equal(system(command), 0);
}

/* What earlier versions wrote is read, and they read what this one writes: its length is a part of the format. */
static void test_a_disks_head_has_the_length_that_it_always_had(void **state)
{
        struct fixture *f = *state;
        struct disk *d = make_disk(f->store, NULL, MIB);
        char command[256];

        disk_close(d);
        (void)snprintf(command, sizeof(command), "test \"$(cat %s/disks/*.meta | wc -c)\" -eq 64", f->dir);
        assert_int_equal(system(command), 0);
}

static void test_read_only_store_lets_disks_be_read(void **state)
{
        struct fixture *f = *state;
        const struct blobstore_opts opts = { .read_only = true };
        struct disk *d = make_disk(f->store, NULL, MIB);
        struct disk_id id = *disk_get_id(d);
        struct blob *b;
        struct disk_snapshot_stats stats;

        write_at(d, "x", 1, 0);
        disk_close(d);
        blobstore_close(f->store);
        assert_int_equal(blobstore_open(f->dir, &opts, &f->store), 0);
        assert_int_equal(disk_open(f->store, &id, &d), 0);
        assert_reads(d, "x", 1, 0);
        assert_int_equal(disk_pwrite(d, "y", 1, 0), -EROFS);
        assert_int_equal(disk_discard(d, 0, 1), -EROFS);
        assert_int_equal(disk_sync(d), -EROFS);
        assert_int_equal(disk_resize(d, 2 * MIB), -EROFS);
        assert_int_equal(disk_snapshot(d, NULL, NULL, &b, &stats), -EROFS);
        assert_int_equal(disk_remove(f->store, &id), -EROFS);
        assert_int_equal(disk_create(f->store, NULL, MIB, &id), -EROFS);
        disk_close(d);
}

/* ---- damage ---- */

static void damage(const struct fixture *f, const char *suffix, off_t off)
{
        char command[192];

        (void)snprintf(command, sizeof(command),
                       "cd %s/disks && printf '\\377\\001\\377' | dd of=$(ls | grep '%s$') bs=1 seek=%ld conv=notrunc "
                       "status=none",
                       f->dir, suffix, (long)off);
        assert_int_equal(system(command), 0);
}

static void test_damaged_bitmap_is_told_and_kept_apart(void **state)
{
        struct fixture *f = *state;
        struct disk *d = make_disk(f->store, NULL, GIB);
        struct disk_id id = *disk_get_id(d);
        uint64_t found;
        uint8_t byte;

        write_at(d, "x", 1, 0);
        write_at(d, "x", 1, 512 * MIB);
        disk_close(d);
        damage(f, "bitmap", 100);
        reopen(f);
        assert_int_equal(disk_open(f->store, &id, &d), 0);
        assert_int_equal(disk_pread(d, &byte, 1, 0), -EBADMSG);
        assert_int_equal(disk_pwrite(d, "y", 1, 0), -EBADMSG);
        assert_int_equal(disk_seek(d, 0, SEEK_DATA, &found), -EBADMSG);
        assert_reads(d, "x", 1, 512 * MIB);
        disk_close(d);
}

static void test_damaged_or_short_files_are_not_opened(void **state)
{
        struct fixture *f = *state;
        struct disk *d = make_disk(f->store, NULL, GIB);
        struct disk_id id = *disk_get_id(d);
        char command[128];

        disk_close(d);
        (void)snprintf(command, sizeof(command), "cd %s/disks && truncate -s -4096 *.data", f->dir);
        assert_int_equal(system(command), 0);
        assert_int_equal(disk_open(f->store, &id, &d), -EBADMSG);
        (void)snprintf(command, sizeof(command), "cd %s/disks && truncate -s +4096 *.data && truncate -s -1 *.bitmap",
                       f->dir);
        assert_int_equal(system(command), 0);
        assert_int_equal(disk_open(f->store, &id, &d), -EBADMSG);
        (void)snprintf(command, sizeof(command), "cd %s/disks && truncate -s +1 *.bitmap", f->dir);
        assert_int_equal(system(command), 0);
        assert_int_equal(disk_open(f->store, &id, &d), 0);
        disk_close(d);
        damage(f, "meta", 50);
        assert_int_equal(disk_open(f->store, &id, &d), -EBADMSG);
}

static void test_disk_without_its_base_is_not_opened(void **state)
{
        struct fixture *f = *state;
        uint8_t bytes[BLOCK];
        struct blob_id base;
        struct disk_id id;
        struct disk *d;

        fill(bytes, sizeof(bytes), 10);
        base = make_blob(f->store, bytes, sizeof(bytes), 1);
        assert_int_equal(disk_create(f->store, &base, MIB, &id), 0);
        assert_int_equal(blob_remove(f->store, &base), 0);
        assert_int_equal(disk_open(f->store, &id, &d), -EBADMSG);
}

/* Flips a byte of a chunk that is stored as it is, and begins with these bytes. */
static void damage_chunk(const struct fixture *f, const uint8_t *bytes)
{
        CLEANUP_FREE uint8_t *segment = malloc(MIB);
        char path[128];
        uint8_t *found;
        ssize_t n;
        int fd;

        assert_non_null(segment);
        for (unsigned id = 1;; id++) {
                (void)snprintf(path, sizeof(path), "%s/segments/%08x.seg", f->dir, id);
                fd = open(path, O_RDWR | O_CLOEXEC);
                assert_true(fd >= 0);
                n = pread(fd, segment, MIB, 0);
                assert_true(n > 0);
                found = memmem(segment, (size_t)n, bytes, 64);
                if (found)
                        *found ^= 1;
                assert_true(!found || pwrite(fd, found, 1, found - segment) == 1);
                (void)close(fd);
                if (found)
                        return;
        }
}

/* What nobody needs of the base any more must not keep what lies around it from being read. */
static void test_damage_below_what_was_written_is_not_met(void **state)
{
        static uint8_t bytes[5 * 4 * BLOCK]; /* noise, hole, noise, hole, noise */
        struct fixture *f = *state;
        struct blob_id base;
        struct disk *d;
        uint8_t got[sizeof(bytes)];

        for (unsigned i = 0; i < 5; i += 2)
                assert_int_equal(getrandom(bytes + i * 4 * BLOCK, 4 * BLOCK, 0), 4 * BLOCK);
        base = make_blob(f->store, bytes, sizeof(bytes), 1);
        damage_chunk(f, bytes + 8 * BLOCK);
        d = make_disk(f->store, &base, MIB);
        assert_int_equal(disk_pread(d, got, sizeof(got), 0), -EBADMSG);
        assert_reads(d, bytes, 8 * BLOCK, 0);
        fill(bytes + 8 * BLOCK, 4 * BLOCK, 3);
        write_at(d, bytes + 8 * BLOCK, 4 * BLOCK, 8 * BLOCK);
        assert_reads(d, bytes, sizeof(bytes), 0);
        disk_close(d);
}

static void note_problem(void *ctx, enum blobstore_problem kind, const struct blob_id *id, const char *text)
{
        assert_int_equal(kind, BLOBSTORE_PROBLEM_DISK);
        assert_null(id);
        assert_non_null(strstr(text, "disks/"));
        ++*(unsigned *)ctx;
}

static void test_check_of_good_disks_finds_nothing(void **state)
{
        struct fixture *f = *state;
        struct disk *d = make_disk(f->store, NULL, GIB);
        unsigned problems = 0;

        write_at(d, "x", 1, 900 * MIB);
        disk_close(d);
        disk_close(make_disk(f->store, NULL, MIB));
        assert_int_equal(blobstore_check(f->store, false, note_problem, &problems), 0);
        assert_int_equal(problems, 0);
}

static void test_check_tells_of_a_damaged_bitmap_and_a_missing_base(void **state)
{
        struct fixture *f = *state;
        struct disk *d = make_disk(f->store, NULL, GIB);
        uint8_t bytes[BLOCK];
        struct blob_id base;
        struct disk_id id;
        unsigned problems = 0;

        write_at(d, "x", 1, 0); /* what is damaged is not in the first run */
        write_at(d, "x", 1, 900 * MIB);
        disk_close(d);
        damage(f, "bitmap", 7 * BLOCK + 20);
        assert_int_equal(blobstore_check(f->store, false, note_problem, &problems), 1);

        fill(bytes, sizeof(bytes), 11);
        base = make_blob(f->store, bytes, sizeof(bytes), 1);
        assert_int_equal(disk_create(f->store, &base, MIB, &id), 0);
        assert_int_equal(blobstore_check(f->store, false, note_problem, &problems), 1);
        assert_int_equal(blob_remove(f->store, &base), 0);
        assert_int_equal(blobstore_check(f->store, false, note_problem, &problems), 2);
        assert_int_equal(problems, 4);
}

/* ---- what the last close makes durable ---- */

static atomic_uint syncs; /* of files that are disks' data */

int fdatasync(int fd)
{
        char link[64], path[512];
        ssize_t n;

        (void)snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
        n = readlink(link, path, sizeof(path));
        if (n > 5 && memmem(path, (size_t)n, "/disks/", 7) && memcmp(path + n - 5, ".data", 5) == 0)
                atomic_fetch_add(&syncs, 1);
        return (int)syscall(SYS_fdatasync, fd);
}

static unsigned syncs_of_close(struct fixture *f, const struct disk_id *id, void (*act)(struct disk *d))
{
        struct disk *d;

        assert_int_equal(disk_open(f->store, id, &d), 0);
        if (act)
                act(d);
        atomic_store(&syncs, 0);
        disk_close(d);
        return atomic_load(&syncs);
}

static void overwrite(struct disk *d)
{
        write_at(d, "again", 5, 100);
}

static void overwrite_and_sync(struct disk *d)
{
        overwrite(d);
        assert_int_equal(disk_sync(d), 0);
}

static void punch(struct disk *d)
{
        assert_int_equal(disk_discard(d, 0, BLOCK), 0);
}

/* Blocks that were its own before set no bit: nothing was synced then. */
static void test_last_close_syncs_what_was_changed(void **state)
{
        struct fixture *f = *state;
        struct disk *d = make_disk(f->store, NULL, MIB);
        struct disk_id id = *disk_get_id(d);

        write_at(d, "first", 5, 100);
        disk_close(d);
        assert_int_equal(syncs_of_close(f, &id, overwrite), 1);
        assert_int_equal(syncs_of_close(f, &id, punch), 1);
        assert_int_equal(syncs_of_close(f, &id, overwrite_and_sync), 0);
        assert_int_equal(syncs_of_close(f, &id, NULL), 0);
}

/* Each close(2) of a descriptor asks for one: a loop of them kept the store's disk busy. */
static void test_a_sync_asks_nothing_of_the_disk_where_nothing_was_changed(void **state)
{
        struct fixture *f = *state;
        struct disk *d = make_disk(f->store, NULL, MIB);

        atomic_store(&syncs, 0);
        assert_int_equal(disk_sync(d), 0);
        assert_int_equal(atomic_load(&syncs), 0);
        overwrite(d);
        for (int i = 0; i < 10; i++)
                assert_int_equal(disk_sync(d), 0);
        assert_int_equal(atomic_load(&syncs), 1);
        overwrite(d);
        assert_int_equal(disk_sync(d), 0);
        assert_int_equal(atomic_load(&syncs), 2);
        disk_close(d);
}

/* ---- a full disk ---- */

/* A limit on the size of files stands in for it: it stops writes behind that size, and no syncs. */
static void test_sync_without_room_loses_nothing(void **state)
{
        struct fixture *f = *state;
        struct disk *d = make_disk(f->store, NULL, GIB);
        struct disk_id id = *disk_get_id(d);
        struct rlimit old, limit;

        assert_true(signal(SIGXFSZ, SIG_IGN) != SIG_ERR);
        write_at(d, "x", 1, 0);
        write_at(d, "y", 1, 900 * MIB);
        assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
        limit = old;
        limit.rlim_cur = BLOCK; /* the first page of the bitmap */
        assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
        assert_int_equal(disk_pwrite(d, "z", 1, 5 * MIB), -EFBIG);
        assert_int_equal(disk_sync(d), -EFBIG);
        assert_false(blobstore_is_degraded(f->store));
        assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);

        assert_reads(d, "x", 1, 0);
        assert_zeros(d, BLOCK, 5 * MIB);
        assert_int_equal(disk_sync(d), 0);
        disk_close(d);
        reopen(f);
        assert_int_equal(disk_open(f->store, &id, &d), 0);
        assert_reads(d, "x", 1, 0);
        assert_reads(d, "y", 1, 900 * MIB);
        disk_close(d);
}

/* The last close cannot sync: what was written used to be lost for who opened it next. */
static void test_close_without_room_loses_nothing(void **state)
{
        struct fixture *f = *state;
        struct disk *d = make_disk(f->store, NULL, GIB);
        struct disk_id id = *disk_get_id(d);
        struct rlimit old, limit;

        assert_true(signal(SIGXFSZ, SIG_IGN) != SIG_ERR);
        write_at(d, "y", 1, 900 * MIB);
        assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
        limit = old;
        limit.rlim_cur = BLOCK; /* the first page of the bitmap */
        assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
        disk_close(d);
        assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);

        assert_int_equal(disk_open(f->store, &id, &d), 0);
        assert_reads(d, "y", 1, 900 * MIB);
        disk_close(d);
        reopen(f);
        assert_int_equal(disk_open(f->store, &id, &d), 0);
        assert_reads(d, "y", 1, 900 * MIB);
        disk_close(d);
}

/* ---- from one process to the next ---- */

static void reopen_with(struct fixture *f, struct kept *kept)
{
        const struct blobstore_opts opts = { .threads = 2, .kept = kept };

        blobstore_close(f->store);
        f->store = NULL;
        assert_int_equal(blobstore_open(f->dir, &opts, &f->store), 0);
}

/* Writes far apart, so that its bits are in several slots, and dies. */
static void write_and_die(struct fixture *f, const struct disk_id *id, int fd)
{
        struct kept *kept;
        struct disk *d;

        if (kept_open(fd, DISKS_KEPT_BYTES, &kept) < 0)
                _exit(1);
        reopen_with(f, kept);
        if (disk_open(f->store, id, &d) < 0 || disk_pwrite(d, "a", 1, 0) != 1 || disk_pwrite(d, "b", 1, GIB / 2) != 1)
                _exit(1);
        _exit(0);
}

/* *RET: what it left. */
static struct disk_id of_earlier_process(struct fixture *f, struct kept **ret, int *ret_fd)
{
        struct disk *d = make_disk(f->store, NULL, GIB);
        const struct disk_id id = *disk_get_id(d);
        int status;
        pid_t pid;

        disk_close(d);
        blobstore_close(f->store);
        f->store = NULL;
        *ret_fd = kept_file("test");
        pid = fork();
        assert_true(pid >= 0);
        if (pid == 0)
                write_and_die(f, &id, *ret_fd);
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_int_equal(status, 0);
        assert_int_equal(kept_open(*ret_fd, DISKS_KEPT_BYTES, ret), 0);
        return id;
}

static void test_a_disk_of_an_earlier_process_is_one_disk(void **state)
{
        struct fixture *f = *state;
        CLEANUP_CLOSE int fd = -1;
        struct disk_id id;
        struct kept *kept;
        struct disk *d;

        id = of_earlier_process(f, &kept, &fd);
        reopen_with(f, kept);
        assert_int_equal(disk_open(f->store, &id, &d), 0);
        write_at(d, "c", 1, BLOCK);
        write_at(d, "d", 1, GIB / 2 + BLOCK);
        atomic_store(&syncs, 0);
        disk_close(d);
        assert_int_not_equal(atomic_load(&syncs), 0);
        reopen(f);
        kept_close(kept);
        assert_int_equal(disk_open(f->store, &id, &d), 0);
        assert_reads(d, "a", 1, 0);
        assert_reads(d, "c", 1, BLOCK);
        assert_reads(d, "b", 1, GIB / 2);
        assert_reads(d, "d", 1, GIB / 2 + BLOCK);
        disk_close(d);
}

static void test_what_could_not_be_opened_then_is_later(void **state)
{
        struct fixture *f = *state;
        CLEANUP_CLOSE int fd = -1;
        char command[128];
        struct disk_id id;
        struct kept *kept;
        struct disk *d;

        id = of_earlier_process(f, &kept, &fd);
        (void)snprintf(command, sizeof(command), "cd %s/disks && for i in *.meta; do mv $i $i.away; done", f->dir);
        assert_int_equal(system(command), 0);
        reopen_with(f, kept);
        assert_int_equal(disk_open(f->store, &id, &d), -ENOENT);
        (void)snprintf(command, sizeof(command), "cd %s/disks && for i in *.meta.away; do mv $i ${i%%.away}; done", f->dir);
        assert_int_equal(system(command), 0);
        assert_int_equal(disk_open(f->store, &id, &d), 0);
        assert_reads(d, "a", 1, 0);
        assert_reads(d, "b", 1, GIB / 2);
        disk_close(d);
        reopen(f);
        kept_close(kept);
}

static void test_what_nobody_opened_since_can_be_removed(void **state)
{
        struct fixture *f = *state;
        CLEANUP_CLOSE int fd = -1;
        char command[128];
        struct disk_id id;
        struct kept *kept;
        struct disk *d;

        id = of_earlier_process(f, &kept, &fd);
        reopen_with(f, kept);
        assert_int_equal(disk_remove(f->store, &id), 0);
        assert_int_equal(disk_open(f->store, &id, &d), -ENOENT);
        (void)snprintf(command, sizeof(command), "test -z \"$(ls %s/disks)\"", f->dir);
        assert_int_equal(system(command), 0);
        reopen(f);
        kept_close(kept);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
                T(test_new_disk_reads_as_zeros),
                T(test_disk_reads_as_its_base),
                T(test_writes_are_read_back_and_leave_the_rest),
                T(test_end_of_disk),
                T(test_last_block_is_whole_after_growing),
                T(test_seek_walks_base_and_changes),
                T(test_discard_gives_space_back_and_reads_as_zeros),
                T(test_discard_hides_the_base_for_good),
                T(test_discarding_a_hole_sets_no_bits),
                T(test_disk_survives_reopening),
                T(test_opened_twice_it_is_one_disk),
                T(test_refusals_of_making_and_growing),
                T(test_growth_is_durable),
                T(test_growth_in_two_steps),
                T(test_what_has_lost_a_file_does_not_grow),
                T(test_removed_disk_stays_until_it_is_closed),
                T(test_each_finds_what_a_crash_left),
                T(test_a_disks_head_has_the_length_that_it_always_had),
                T(test_read_only_store_lets_disks_be_read),
                T(test_damaged_bitmap_is_told_and_kept_apart),
                T(test_damaged_or_short_files_are_not_opened),
                T(test_disk_without_its_base_is_not_opened),
                T(test_damage_below_what_was_written_is_not_met),
                T(test_check_of_good_disks_finds_nothing),
                T(test_check_tells_of_a_damaged_bitmap_and_a_missing_base),
                T(test_last_close_syncs_what_was_changed),
                T(test_a_sync_asks_nothing_of_the_disk_where_nothing_was_changed),
                T(test_sync_without_room_loses_nothing),
                T(test_close_without_room_loses_nothing),
                T(test_a_disk_of_an_earlier_process_is_one_disk),
                T(test_what_could_not_be_opened_then_is_later),
                T(test_what_nobody_opened_since_can_be_removed),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: MIT */

/* The cache on disk: what it answers, what it does not believe, and that it keeps within its bounds. */

#include "blobstore/chunks/block_cache.h"

#include <dirent.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "blobstore/base/bytes.h"
#include "blobstore/chunks/stretches.h"
#include "tests/lib/expect.h"
#include "tests/lib/store.h"

#define BLOCK ((size_t)BLOB_BLOCK_SIZE)
#define MIB   ((size_t)1 << 20)
#define SIZE  (8 * MIB + 1000) /* of the blob: its last block is not whole */
#define NAME  "imagefs-test"

struct fixture {
        char dir[TEMPDIR_MAX];
        struct block_cache *cache;
        struct blob_id id;
        struct block_file *file;
        uint8_t *bytes; /* of the blob, SIZE */
};

static void open_cache(struct fixture *x, uint64_t most)
{
        assert_ok(block_cache_new(x->dir, NAME, most, &x->cache));
        assert_ok(block_file_open(x->cache, &x->id, SIZE, &x->file));
}

static void close_cache(struct fixture *x)
{
        block_file_close(x->file);
        block_cache_free(x->cache);
        x->file = NULL;
        x->cache = NULL;
}

static int setup(void **state)
{
        struct fixture *x = calloc(1, sizeof(*x));
        uint64_t seed = 7;

        assert_non_null(x);
        tempdir_make(x->dir);
        x->bytes = malloc(SIZE);
        assert_non_null(x->bytes);
        random_fill(&seed, x->bytes, SIZE);
        random_fill(&seed, x->id.bytes, sizeof(x->id.bytes));
        open_cache(x, 64 * MIB);
        *state = x;
        return 0;
}

static int teardown(void **state)
{
        struct fixture *x = *state;

        if (x->cache)
                close_cache(x);
        tempdir_remove(x->dir);
        free(x->bytes);
        free(x);
        return 0;
}

static void fill(struct fixture *x, uint64_t off, size_t n)
{
        block_file_fill(x->file, x->bytes + off, n, off);
}

/* What is read is right, or not there. */
static bool has(struct fixture *x, uint64_t off, size_t n)
{
        uint8_t buf[BLOCK_READ_MAX];

        memset(buf, 0xa5, n);
        if (!block_file_read(x->file, buf, n, off))
                return false;
        assert_memory_equal(buf, x->bytes + off, n);
        return true;
}

static struct block_cache_stats stats(struct fixture *x)
{
        struct block_cache_stats s;

        block_cache_get_stats(x->cache, &s);
        return s;
}

static void file_path(const struct fixture *x, char ret[3 * TEMPDIR_MAX])
{
        char digits[2 * BLOB_ID_SIZE + 1];

        put_hex(digits, x->id.bytes, BLOB_ID_SIZE);
        (void)snprintf(ret, 3 * TEMPDIR_MAX, "%s/" NAME "/%s", x->dir, digits);
}

static uint64_t file_bytes(const struct fixture *x)
{
        char path[3 * TEMPDIR_MAX];
        struct stat st;

        file_path(x, path);
        return stat(path, &st) < 0 ? 0 : (uint64_t)st.st_blocks * 512;
}

/* Overwrites a byte of the file, at OFF. */
static void flip(const struct fixture *x, uint64_t off)
{
        char path[3 * TEMPDIR_MAX], byte;
        int fd;

        file_path(x, path);
        fd = open(path, O_RDWR);
        assert_true(fd >= 0);
        assert_int_equal(pread(fd, &byte, 1, (off_t)off), 1);
        byte ^= 1;
        assert_int_equal(pwrite(fd, &byte, 1, (off_t)off), 1);
        (void)close(fd);
}

static void test_what_was_filled_is_there_in_any_piece(void **state)
{
        struct fixture *x = *state;

        assert_false(has(x, 0, BLOCK));
        fill(x, 2 * MIB - 64 * 1024, 128 * 1024); /* across two stretches */
        assert_true(has(x, 2 * MIB - 64 * 1024, BLOCK));
        assert_true(has(x, 2 * MIB - BLOCK, 2 * BLOCK));
        assert_true(has(x, 2 * MIB - 5, 10));
        assert_true(has(x, 2 * MIB + 100, 50));
        assert_true(has(x, 2 * MIB - 700, BLOCK_READ_MAX));
        assert_true(has(x, 2 * MIB + 64 * 1024 - BLOCK, BLOCK));
        assert_int_equal(stats(x).hits, 6);
        assert_false(has(x, 2 * MIB - 64 * 1024 - 1, 2));
        assert_false(has(x, 2 * MIB + 64 * 1024 - BLOCK, 2 * BLOCK));
        assert_int_equal(stats(x).hits, 6);
        assert_int_equal(stats(x).damaged, 0);
}

static void test_last_block_is_kept_though_not_whole(void **state)
{
        struct fixture *x = *state;
        uint64_t last = SIZE / BLOCK * BLOCK;

        fill(x, last - BLOCK, SIZE - last + BLOCK);
        assert_true(has(x, last, SIZE - last));
        assert_true(has(x, last - 10, SIZE - last + 10));
        fill(x, 0, BLOCK + 100); /* of another block a part is not kept */
        assert_true(has(x, 0, BLOCK));
        assert_false(has(x, BLOCK, 100));
}

static void test_it_is_there_after_a_restart(void **state)
{
        struct fixture *x = *state;
        uint64_t bytes;

        fill(x, 4 * MIB, 256 * 1024);
        bytes = stats(x).bytes;
        close_cache(x);
        open_cache(x, 64 * MIB);
        assert_int_equal(stats(x).bytes, file_bytes(x));
        assert_true(has(x, 4 * MIB + 128 * 1024, BLOCK));
        assert_true(has(x, 4 * MIB, BLOCK));
        assert_int_equal(stats(x).bytes, bytes); /* counted by what lies there */
        assert_false(has(x, 4 * MIB + 256 * 1024, BLOCK));
        assert_int_equal(stats(x).damaged, 0);
}

static void test_flipped_byte_is_noticed_and_mended_by_the_next_fill(void **state)
{
        struct fixture *x = *state;

        fill(x, 0, 16 * BLOCK);
        flip(x, 3 * BLOCK_SLOT_SIZE + 17);              /* of a block */
        flip(x, 5 * BLOCK_SLOT_SIZE + BLOB_BLOCK_SIZE); /* of a checksum */
        assert_true(has(x, 2 * BLOCK, BLOCK));
        assert_false(has(x, 3 * BLOCK, BLOCK));
        assert_false(has(x, 3 * BLOCK, BLOCK)); /* told once */
        assert_false(has(x, 4 * BLOCK, 2 * BLOCK));
        assert_int_equal(stats(x).damaged, 2);
        fill(x, 0, 16 * BLOCK);
        assert_true(has(x, 2 * BLOCK, 4 * BLOCK));
        assert_int_equal(stats(x).damaged, 2);

        /* It alone is not read any more, wherever in its stretch it lies. */
        fill(x, 0, 256 * BLOCK);
        flip(x, 255 * BLOCK_SLOT_SIZE);
        assert_false(has(x, 255 * BLOCK, BLOCK));
        assert_false(has(x, 255 * BLOCK, BLOCK));
        assert_int_equal(stats(x).damaged, 3);
        for (uint64_t block = 0; block < 256; block++)
                assert_true(has(x, block * BLOCK, BLOCK) == (block != 255));
}

static void test_cut_file_is_noticed(void **state)
{
        char path[3 * TEMPDIR_MAX];
        struct fixture *x = *state;

        fill(x, 0, 16 * BLOCK);
        file_path(x, path);
        assert_ok(truncate(path, 4 * BLOCK_SLOT_SIZE - 1));
        assert_true(has(x, 2 * BLOCK, BLOCK));
        assert_false(has(x, 3 * BLOCK, BLOCK));
        assert_false(has(x, 8 * BLOCK, BLOCK));
        fill(x, 0, 16 * BLOCK);
        assert_true(has(x, 8 * BLOCK, BLOCK));
}

static void test_another_blobs_file_under_this_name_is_not_believed(void **state)
{
        char path[3 * TEMPDIR_MAX], mine[3 * TEMPDIR_MAX];
        struct fixture *x = *state;

        fill(x, 0, 16 * BLOCK);
        file_path(x, path);
        close_cache(x);
        x->id.bytes[3] ^= 1;
        memset(x->bytes, 'x', SIZE);
        file_path(x, mine);
        assert_ok(rename(path, mine));
        open_cache(x, 64 * MIB);
        for (uint64_t i = 0; i < 16; i++)
                assert_false(has(x, i * BLOCK, BLOCK));
        assert_true(stats(x).damaged >= 14); /* those at the file's ends may be passed over */
        fill(x, 0, 16 * BLOCK);
        assert_true(has(x, 7 * BLOCK, BLOCK));
}

/* A block that lies in another's place has a good checksum, but not that place's. */
static void test_block_in_anothers_place_is_not_believed(void **state)
{
        char path[3 * TEMPDIR_MAX], slot[BLOCK_SLOT_SIZE];
        struct fixture *x = *state;
        int fd;

        fill(x, 0, 16 * BLOCK);
        file_path(x, path);
        fd = open(path, O_RDWR);
        assert_true(fd >= 0);
        assert_int_equal(pread(fd, slot, sizeof(slot), BLOCK_SLOT_SIZE), sizeof(slot));
        assert_int_equal(pwrite(fd, slot, sizeof(slot), (off_t)2 * BLOCK_SLOT_SIZE), sizeof(slot));
        (void)close(fd);
        assert_true(has(x, BLOCK, BLOCK));
        assert_false(has(x, 2 * BLOCK, BLOCK));
}

static void test_what_is_no_file_of_a_blob_is_left_alone(void **state)
{
        char path[3 * TEMPDIR_MAX], stray[4 * TEMPDIR_MAX];
        struct fixture *x = *state;

        close_cache(x);
        (void)snprintf(stray, sizeof(stray), "%s/" NAME "/notes", x->dir);
        assert_ok(mkdir(stray, 0700));
        file_path(x, path);
        assert_ok(symlink("/etc/passwd", path));
        open_cache(x, 64 * MIB);
        assert_false(has(x, 0, BLOCK));
        fill(x, 0, BLOCK);
        assert_false(has(x, 0, BLOCK)); /* nothing is written through a link */
        assert_ok(unlink(path));
        assert_ok(mkfifo(path, 0600));
        fill(x, 0, BLOCK);
        assert_false(has(x, 0, BLOCK));
        assert_ok(access(stray, F_OK));
}

static int try_to_remove_all(struct fixture *x)
{
        char command[2 * TEMPDIR_MAX];

        (void)snprintf(command, sizeof(command), "rm -rf '%s'", x->dir);
        return system(command);
}

static void remove_all(struct fixture *x)
{
        assert_ok(try_to_remove_all(x));
}

static void test_removed_while_it_is_open_it_is_made_again(void **state)
{
        char tag[2 * TEMPDIR_MAX];
        struct fixture *x = *state;

        fill(x, 0, 16 * BLOCK);
        remove_all(x);
        assert_true(has(x, 0, BLOCK)); /* what is open can be read */
        fill(x, 32 * BLOCK, BLOCK);
        assert_true(has(x, 32 * BLOCK, BLOCK));
        assert_false(has(x, 0, BLOCK));
        assert_true(file_bytes(x) > 0);
        (void)snprintf(tag, sizeof(tag), "%s/" NAME "/CACHEDIR.TAG", x->dir);
        assert_ok(access(tag, F_OK));
        assert_int_equal(stats(x).bytes, STRETCH_PAGES_MIN * BLOCK);
}

/* Nobody fills it any more: its space comes back all the same. */
static void test_removed_file_is_let_go_by_those_who_read_it(void **state)
{
        struct fixture *x = *state;
        unsigned reads = 0;

        fill(x, 0, 16 * BLOCK);
        remove_all(x);
        while (has(x, 0, BLOCK))
                assert_true(++reads < 5000);
        assert_int_equal(stats(x).bytes, 0);
        assert_int_equal(file_bytes(x), 0);
        fill(x, 0, 16 * BLOCK);
        assert_true(has(x, 0, BLOCK));
}

static void test_file_system_without_holes_is_refused(void **state)
{
        struct fixture *x = *state;
        struct block_cache *c;

        close_cache(x);
        if (mount("ramfs", x->dir, "ramfs", 0, NULL) < 0)
                skip();
        assert_err(block_cache_new(x->dir, NAME, MIB, &c), -EOPNOTSUPP);
        assert_ok(umount(x->dir));
}

static void test_directory_of_others_is_refused(void **state)
{
        char path[2 * TEMPDIR_MAX];
        struct fixture *x = *state;
        struct block_cache *c;

        close_cache(x);
        (void)snprintf(path, sizeof(path), "%s/" NAME, x->dir);
        assert_ok(chmod(path, 0755));
        assert_err(block_cache_new(x->dir, NAME, MIB, &c), -EPERM);
        assert_ok(chmod(path, 0700));
        assert_ok(block_cache_new(x->dir, NAME, MIB, &c));
        block_cache_free(c);
        if (geteuid() == 0) {
                assert_ok(chown(path, 1, 1));
                assert_err(block_cache_new(x->dir, NAME, MIB, &c), -EPERM);
        }
        assert_err(block_cache_new("/proc/none", NAME, MIB, &c), -ENOENT);
        (void)snprintf(path, sizeof(path), "%s/a/b", x->dir);
        assert_err(block_cache_new(path, NAME, MIB, &c), -ENOENT);
        assert_ok(symlink("/tmp", strcat(strcpy(path, x->dir), "/link")));
        assert_err(block_cache_new(x->dir, "link", MIB, &c), -ENOTDIR);
}

static void test_it_keeps_within_its_bytes_and_what_is_used_stays(void **state)
{
        struct fixture *x = *state;
        uint64_t most = 5 * MIB; /* two whole stretches, and a little */

        close_cache(x);
        remove_all(x);
        open_cache(x, most);
        for (uint64_t i = 0; i < 3; i++) {
                fill(x, 0, 16 * BLOCK);
                for (uint64_t off = 2 * MIB; off + 16 * BLOCK <= SIZE; off += 16 * BLOCK) {
                        assert_true(has(x, 0, BLOCK));
                        fill(x, off, 16 * BLOCK);
                        assert_true(stats(x).bytes <= most);
                        assert_true(file_bytes(x) <= stats(x).bytes);
                }
        }
        assert_true(has(x, 0, BLOCK));
}

/* Of so many chunks; each for itself. */
static unsigned admitted(struct fixture *x, unsigned chunks)
{
        unsigned n = 0;

        for (unsigned i = 0; i < chunks; i++)
                n += block_file_admits(x->file, i * 16 * BLOCK);
        return n;
}

/* By a full one, one in eight of it. */
static void test_what_is_missed_again_is_admitted(void **state)
{
        struct fixture *x = *state;

        close_cache(x);
        remove_all(x);
        open_cache(x, 5 * MIB);
        assert_int_equal(admitted(x, 64), 0);
        assert_int_equal(admitted(x, 64), 64);
        assert_int_equal(admitted(x, 64), 64); /* those that could not be written just then */
        for (uint64_t off = 0; off < 8 * MIB; off += 16 * BLOCK)
                fill(x, off, 16 * BLOCK);
        assert_int_equal(admitted(x, 64), 8);
        assert_true(block_cache_give_way(x->cache, 5 * MIB) > 0);
        assert_int_equal(admitted(x, 64), 64);
}

/* Who reads from all over more than it holds writes next to nothing, however often: 16 times here. */
static void test_what_does_not_come_again_soon_is_not_admitted(void **state)
{
        struct fixture *x = *state;
        unsigned n = 0;

        close_cache(x);
        open_cache(x, 2 * MIB);
        for (unsigned i = 0; i < 4; i++)
                n += admitted(x, 16 * 1024);
        assert_true(n < 4 * 16 * 1024 / 100);
}

/* Many blobs, each with a little: the files go, too. */
static void test_files_without_blocks_go(void **state)
{
        char path[2 * TEMPDIR_MAX];
        struct fixture *x = *state;
        struct block_file *f;
        struct blob_id id = { 0 };
        unsigned files = 0;
        struct dirent *de;
        DIR *dir;

        close_cache(x);
        open_cache(x, MIB);
        for (unsigned i = 1; i <= 100; i++) {
                put_le32(id.bytes, i);
                assert_ok(block_file_open(x->cache, &id, SIZE, &f));
                block_file_fill(f, x->bytes, 8 * BLOCK, 0);
                block_file_close(f);
                assert_true(stats(x).bytes <= MIB);
        }
        (void)snprintf(path, sizeof(path), "%s/" NAME, x->dir);
        dir = opendir(path);
        assert_non_null(dir);
        while ((de = readdir(dir)))
                files += strlen(de->d_name) == (size_t)2 * BLOB_ID_SIZE;
        (void)closedir(dir);
        assert_int_equal(files, MIB / (STRETCH_PAGES_MIN * BLOCK));

        /* What an earlier run left counts, and goes first. */
        close_cache(x);
        open_cache(x, MIB / 2);
        assert_true(stats(x).bytes <= MIB / 2);
        fill(x, 0, 64 * BLOCK);
        fill(x, 64 * BLOCK, 64 * BLOCK);
        assert_true(stats(x).bytes <= STRETCH_BYTES);
        assert_true(has(x, 100 * BLOCK, BLOCK));
}

static void test_removed_blob_leaves_nothing(void **state)
{
        struct fixture *x = *state;

        fill(x, 0, 16 * BLOCK);
        assert_true(file_bytes(x) > 0);
        block_cache_remove(x->cache, &x->id);
        assert_true(has(x, 0, BLOCK)); /* who has it open reads on */
        fill(x, 32 * BLOCK, BLOCK);
        block_file_close(x->file);
        x->file = NULL;
        assert_int_equal(file_bytes(x), 0);
        assert_int_equal(stats(x).bytes, 0);
        block_cache_remove(x->cache, &x->id); /* one that nobody has open, or knows */
}

static void test_on_a_full_disk_it_gives_way(void **state)
{
        struct fixture *x = *state;
        char ballast[2 * TEMPDIR_MAX], block[4096] = "b";
        int fd;

        close_cache(x);
        if (mount("tmpfs", x->dir, "tmpfs", 0, "size=8m,mode=700") < 0)
                skip();
        open_cache(x, 64 * MIB);
        for (uint64_t off = 0; off + 16 * BLOCK <= SIZE; off += 16 * BLOCK)
                fill(x, off, 16 * BLOCK);
        assert_true(stats(x).bytes <= 8 * MIB * 15 / 16); /* it leaves some for others */
        assert_true(stats(x).bytes >= 4 * MIB);

        /* Others take all there is, again and again: each time it makes some room, until nothing is left of it. */
        (void)snprintf(ballast, sizeof(ballast), "%s/ballast", x->dir);
        fd = open(ballast, O_WRONLY | O_CREAT, 0600);
        assert_true(fd >= 0);
        for (int i = 0; i < 20; i++) {
                while (write(fd, block, sizeof(block)) > 0)
                        ;
                for (uint64_t off = 0; off + 16 * BLOCK <= SIZE; off += 16 * BLOCK)
                        fill(x, off, 16 * BLOCK);
                if (i == 0)
                        assert_true(write(fd, block, sizeof(block)) > 0);
        }
        assert_true(stats(x).bytes <= MIB);
        (void)admitted(x, 64);
        assert_int_equal(admitted(x, 64), 8); /* as by a full one */
        (void)close(fd);
        close_cache(x);
        assert_ok(umount(x->dir));
}

/* ---- many at once ---- */

struct crowd {
        struct fixture *x;
        atomic_uint seeds;
};

static void *crowd_read(void *arg)
{
        struct crowd *c = arg;
        uint64_t state = atomic_fetch_add(&c->seeds, 1) + 1;

        for (unsigned i = 0; i < 3000; i++) {
                uint64_t off = random_next(&state) % (SIZE / BLOCK) * BLOCK;

                if (!has(c->x, off, BLOCK))
                        fill(c->x, off, 4 * BLOCK < SIZE - off ? 4 * BLOCK : SIZE - off);
        }
        return NULL;
}

static void test_many_read_fill_and_evict_at_once(void **state)
{
        struct fixture *x = *state;
        struct crowd crowd = { .x = x };
        pthread_t threads[6];

        close_cache(x);
        open_cache(x, 3 * MIB);
        for (size_t i = 0; i < 6; i++)
                assert_ok(pthread_create(&threads[i], NULL, crowd_read, &crowd));
        for (int i = 0; i < 20; i++)
                (void)block_cache_give_way(x->cache, MIB);
        (void)try_to_remove_all(x); /* files may come while it goes on */
        for (size_t i = 0; i < 6; i++)
                assert_ok(pthread_join(threads[i], NULL));
        assert_true(stats(x).bytes <= 3 * MIB + 4 * STRETCH_BYTES);
        assert_true(stats(x).hits > 0);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(test_what_was_filled_is_there_in_any_piece, setup, teardown),
                cmocka_unit_test_setup_teardown(test_last_block_is_kept_though_not_whole, setup, teardown),
                cmocka_unit_test_setup_teardown(test_it_is_there_after_a_restart, setup, teardown),
                cmocka_unit_test_setup_teardown(test_flipped_byte_is_noticed_and_mended_by_the_next_fill, setup, teardown),
                cmocka_unit_test_setup_teardown(test_cut_file_is_noticed, setup, teardown),
                cmocka_unit_test_setup_teardown(test_another_blobs_file_under_this_name_is_not_believed, setup, teardown),
                cmocka_unit_test_setup_teardown(test_block_in_anothers_place_is_not_believed, setup, teardown),
                cmocka_unit_test_setup_teardown(test_what_is_no_file_of_a_blob_is_left_alone, setup, teardown),
                cmocka_unit_test_setup_teardown(test_removed_while_it_is_open_it_is_made_again, setup, teardown),
                cmocka_unit_test_setup_teardown(test_removed_file_is_let_go_by_those_who_read_it, setup, teardown),
                cmocka_unit_test_setup_teardown(test_file_system_without_holes_is_refused, setup, teardown),
                cmocka_unit_test_setup_teardown(test_directory_of_others_is_refused, setup, teardown),
                cmocka_unit_test_setup_teardown(test_it_keeps_within_its_bytes_and_what_is_used_stays, setup, teardown),
                cmocka_unit_test_setup_teardown(test_what_is_missed_again_is_admitted, setup, teardown),
                cmocka_unit_test_setup_teardown(test_what_does_not_come_again_soon_is_not_admitted, setup, teardown),
                cmocka_unit_test_setup_teardown(test_files_without_blocks_go, setup, teardown),
                cmocka_unit_test_setup_teardown(test_removed_blob_leaves_nothing, setup, teardown),
                cmocka_unit_test_setup_teardown(test_on_a_full_disk_it_gives_way, setup, teardown),
                cmocka_unit_test_setup_teardown(test_many_read_fill_and_evict_at_once, setup, teardown),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}

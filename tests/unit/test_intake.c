/* SPDX-License-Identifier: MIT */
/* Files on their way in: what is stored while it comes, what goes by way of the file, and that no byte differs. */

#include "blobstore/blobs/intake.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "blobstore/base/io.h"
#include "blobstore/base/strbuf.h"
#include "blobstore/import/source.h"
#include "tests/lib/expect.h"
#include "tests/lib/foreign.h"
#include "tests/lib/store.h"

#define KIB   ((size_t)1024)
#define MIB   (1024 * KIB)
#define PIECE (128 * KIB)
#define SIZE  (4 * MIB + 12345)

static int make_file(struct store *s)
{
        int fd = openat(blobstore_incoming_dir(s->bs), ".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);

        assert_true(fd >= 0);
        return fd;
}

static bool is_plain_as_wanted(void *ctx, const uint8_t *start)
{
        return image_begins_plain(start, (enum image_format)(uintptr_t)ctx);
}

static struct intake *make(struct store *s, enum image_format wanted, int *ret_fd)
{
        static const struct intake_ops ops = { .begins_plain = is_plain_as_wanted, .room = store_any_room };
        struct intake *in;

        *ret_fd = make_file(s);
        assert_ok(intake_new(s->bs, *ret_fd, &ops, (void *)(uintptr_t)wanted, &in));
        return in;
}

static void done(struct intake *in, int fd)
{
        intake_free(in);
        assert_ok(close(fd));
}

static void write_in_order(struct intake *in, const uint8_t *bytes, size_t from, size_t to)
{
        for (size_t off = from, n; off < to; off += n) {
                n = to - off < PIECE ? to - off : PIECE;
                assert_ok(intake_write(in, bytes + off, n, off, NULL, NULL));
        }
}

static struct image_probe probe(struct intake *in, int fd)
{
        struct strbuf reason CLEANUP_STRBUF = { 0 };
        struct image_probe p;
        int r;

        assert_ok(intake_show(in));
        r = image_probe(fd, IMAGE_FORMAT_AUTO, &p, &reason);
        if (r == -EOPNOTSUPP && !foreign_can_confine())
                skip();
        assert_ok(r);
        return p;
}

static void assert_commits(struct intake *in, const uint8_t *bytes, size_t n)
{
        struct blob_checksum sum;
        struct blob *b;

        assert_ok(intake_commit(in, &b));
        image_assert_same(b, bytes, n);
        image_checksum(bytes, n, &sum);
        assert_memory_equal(&blob_get_info(b)->checksum, &sum, sizeof(sum));
        blob_close(b);
}

static void assert_file_has(int fd, const uint8_t *bytes, size_t n)
{
        uint8_t *got = malloc(n + 1);

        assert_non_null(got);
        assert_int_equal(pread_full(fd, got, n + 1, 0), n);
        assert_memory_equal(got, bytes, n);
        free(got);
}

static uint64_t file_bytes(int fd)
{
        struct stat st;

        assert_ok(fstat(fd, &st));
        return (uint64_t)st.st_blocks * 512;
}

static int stop_at_once(void *ctx)
{
        (void)ctx;
        return -ECANCELED;
}

static void assert_settles(struct intake *in, int fd, const uint8_t *bytes, size_t n)
{
        assert_ok(intake_settle(in, NULL, NULL));
        assert_true(intake_is_whole(in));
        assert_file_has(fd, bytes, n);
}

/* ---- streams ---- */

static void test_a_disk_in_order_is_stored_while_it_comes(void **state)
{
        struct store *s = *state;
        uint8_t *bytes = image_make(1, SIZE);
        struct intake *in;
        struct stat st;
        int fd;

        in = make(s, IMAGE_FORMAT_AUTO, &fd);
        assert_ok(intake_write(in, bytes, 1000, 0, NULL, NULL));
        assert_false(intake_is_streaming(in));
        write_in_order(in, bytes, 1000, SIZE);
        assert_true(intake_is_streaming(in));
        assert_true(probe(in, fd).format == IMAGE_FORMAT_RAW);
        assert_int_equal(probe(in, fd).size_bytes, SIZE);
        assert_ok(intake_sync(in));
        assert_true(store_segment_bytes(s) > MIB);
        assert_ok(fstat(fd, &st));
        assert_true((uint64_t)st.st_blocks * 512 < MIB); /* its start, and its end */
        assert_commits(in, bytes, SIZE);
        done(in, fd);
        free(bytes);
}

static void test_gaps_and_a_longer_end_are_holes(void **state)
{
        struct store *s = *state;
        uint8_t *bytes = calloc(1, SIZE + 3 * MIB);
        uint64_t seed = 5;
        struct intake *in;
        int fd;

        assert_non_null(bytes);
        random_fill(&seed, bytes, PIECE);
        random_fill(&seed, bytes + MIB + 777, PIECE);
        in = make(s, IMAGE_FORMAT_AUTO, &fd);
        assert_ok(intake_truncate(in, SIZE)); /* as tools do that know how much comes */
        assert_ok(intake_write(in, bytes, PIECE, 0, NULL, NULL));
        assert_ok(intake_write(in, bytes + MIB + 777, PIECE, MIB + 777, NULL, NULL));
        assert_ok(intake_truncate(in, SIZE + 3 * MIB));
        assert_true(intake_is_streaming(in));
        assert_int_equal(probe(in, fd).size_bytes, SIZE + 3 * MIB);
        assert_commits(in, bytes, SIZE + 3 * MIB);
        done(in, fd);
        free(bytes);
}

static void test_what_is_written_to_again_goes_into_the_file(void **state)
{
        struct store *s = *state;
        uint8_t *bytes = image_make(3, SIZE);
        uint64_t before = store_stats(s).blobs;
        struct intake *in;
        struct blob *b;
        int fd;

        in = make(s, IMAGE_FORMAT_AUTO, &fd);
        write_in_order(in, bytes, 0, 2 * MIB);
        assert_ok(intake_truncate(in, SIZE + MIB));
        assert_ok(intake_show(in)); /* what this leaves in the file does not stay */
        assert_ok(intake_truncate(in, 2 * MIB));
        memset(bytes + 2 * MIB, 0, PIECE);
        write_in_order(in, bytes, 2 * MIB + PIECE, 3 * MIB);
        assert_true(intake_is_streaming(in));
        memset(bytes + MIB, 0x5a, 3000);
        assert_ok(intake_write(in, bytes + MIB, 3000, MIB, NULL, NULL));
        assert_false(intake_is_streaming(in));
        assert_false(intake_is_whole(in));
        assert_true(file_bytes(fd) < 4 * KIB + 3000); /* nothing is read back while somebody waits */
        write_in_order(in, bytes, 3 * MIB, SIZE);
        assert_err(intake_settle(in, stop_at_once, NULL), -ECANCELED);
        assert_ok(intake_truncate(in, 0));
        write_in_order(in, bytes, 0, 3 * MIB);
        memset(bytes + MIB - 7, 0x77, 3000);
        assert_ok(intake_write(in, bytes + MIB - 7, 1000, MIB - 7, NULL, NULL));
        assert_ok(intake_write(in, bytes + MIB + 1993, 1000, MIB + 1993, NULL, NULL));
        assert_ok(intake_write(in, bytes + MIB + 900, 1200, MIB + 900, NULL, NULL));
        write_in_order(in, bytes, 3 * MIB, SIZE);
        assert_settles(in, fd, bytes, SIZE);
        assert_ok(intake_commit(in, &b));
        assert_null(b);
        done(in, fd);
        (void)store_gc(s);
        assert_int_equal(store_stats(s).blobs, before);
        assert_int_equal(store_stats(s).stored_bytes, 0);
        free(bytes);
}

/* What touches is one piece, however many writes it came in: else there would soon be too many to be remembered. */
static void test_what_is_written_to_again_byte_by_byte_is_read_back_by_nobody(void **state)
{
        struct store *s = *state;
        uint8_t *bytes = image_make(3, SIZE);
        struct intake *in;
        struct blob *b;
        int fd;

        in = make(s, IMAGE_FORMAT_AUTO, &fd);
        write_in_order(in, bytes, 0, 2 * MIB);
        for (size_t i = 4 * KIB; i < 4 * KIB + 70000; i++) {
                bytes[i] ^= 0x11;
                assert_ok(intake_write(in, bytes + i, 1, i, NULL, NULL));
        }
        assert_true(file_bytes(fd) < 70000 + 12 * KIB);
        write_in_order(in, bytes, 2 * MIB, SIZE);
        assert_settles(in, fd, bytes, SIZE);
        assert_ok(intake_commit(in, &b));
        assert_null(b);
        done(in, fd);
        (void)store_gc(s);
        free(bytes);
}

/* It costs nothing but its checksum, which would keep whoever writes waiting: that is left to be worked out. */
static void test_a_huge_hole_costs_nothing(void **state)
{
        const uint64_t far = UINT64_C(60) << 40;
        struct store *s = *state;
        uint8_t *bytes = image_make(12, MIB), *got = malloc(MIB);
        struct intake *in;
        struct blob *b;
        uint64_t data;
        int fd;

        in = make(s, IMAGE_FORMAT_AUTO, &fd);
        write_in_order(in, bytes, 0, MIB);
        assert_ok(intake_write(in, bytes, MIB, far, NULL, NULL));
        assert_ok(intake_truncate(in, far + (UINT64_C(2) << 40)));
        assert_true(intake_is_streaming(in));
        assert_ok(intake_commit(in, &b));
        assert_int_equal(blob_get_info(b)->size_bytes, far + (UINT64_C(2) << 40));
        assert_false(blob_has_checksum(blob_get_info(b)));
        assert_ok(blob_seek(b, MIB, SEEK_DATA, &data));
        assert_true(data >= far && data < far + MIB);
        assert_int_equal(blob_pread(b, got, MIB, far), MIB);
        assert_memory_equal(got, bytes, MIB);
        blob_close(b);
        done(in, fd);
        (void)store_gc(s);
        free(bytes);
        free(got);
}

static void test_cut_off_it_goes_into_the_file_and_at_nothing_it_begins_anew(void **state)
{
        struct store *s = *state;
        uint8_t *bytes = image_make(4, SIZE);
        struct intake *in;
        int fd;

        in = make(s, IMAGE_FORMAT_AUTO, &fd);
        write_in_order(in, bytes, 0, SIZE);
        assert_ok(intake_truncate(in, MIB + 1));
        assert_false(intake_is_streaming(in));
        assert_settles(in, fd, bytes, MIB + 1);
        assert_ok(intake_truncate(in, 0));
        write_in_order(in, bytes, 0, SIZE);
        assert_true(intake_is_streaming(in));
        assert_ok(intake_truncate(in, 0));
        assert_file_has(fd, bytes, 0);
        write_in_order(in, bytes, 0, SIZE);
        assert_commits(in, bytes, SIZE);
        done(in, fd);
        free(bytes);
}

struct room {
        uint64_t left;
};

static int room_of(void *ctx, uint64_t n)
{
        struct room *room = ctx;

        if (n > room->left)
                return -ENOSPC;
        room->left -= n;
        return 0;
}

static bool is_plain(void *ctx, const uint8_t *start)
{
        (void)ctx;
        return image_begins_plain(start, IMAGE_FORMAT_AUTO);
}

/* Its bytes take much more room as a file than they did, so that it is asked for again. */
static void test_it_goes_into_the_file_only_where_there_is_room(void **state)
{
        struct store *s = *state;
        uint8_t *bytes = image_make(13, SIZE);
        static const struct intake_ops ops = { .begins_plain = is_plain, .room = room_of };
        struct room room = { .left = MIB };
        int fd = make_file(s);
        struct intake *in;
        struct stat st;

        memset(bytes + 64 * KIB, 'x', SIZE - 64 * KIB);
        assert_ok(intake_new(s->bs, fd, &ops, &room, &in));
        write_in_order(in, bytes, 0, SIZE);
        assert_true(intake_is_streaming(in));
        assert_ok(intake_write(in, bytes, 1, 0, NULL, NULL));
        assert_err(intake_settle(in, NULL, NULL), -ENOSPC);
        assert_ok(fstat(fd, &st));
        assert_true((uint64_t)st.st_blocks * 512 < 2 * MIB);
        assert_err(intake_write(in, bytes, 1, SIZE, NULL, NULL), -ENOSPC);

        room.left = 2 * SIZE;
        assert_ok(intake_truncate(in, 0));
        write_in_order(in, bytes, 0, SIZE);
        assert_ok(intake_write(in, bytes, 1, 0, NULL, NULL));
        assert_settles(in, fd, bytes, SIZE);
        assert_int_equal(store_stats(s).blobs, 0);
        done(in, fd);
        (void)store_gc(s);
        free(bytes);
}

/* ---- what is none ---- */

static void assert_streams(struct store *s, const uint8_t *bytes, enum image_format wanted, bool streams)
{
        struct intake *in;
        int fd;

        in = make(s, wanted, &fd);
        write_in_order(in, bytes, 0, MIB);
        assert_int_equal(intake_is_streaming(in), streams);
        if (!streams)
                assert_file_has(fd, bytes, MIB);
        done(in, fd);
}

static void test_only_what_begins_like_a_plain_disk_streams(void **state)
{
        struct store *s = *state;
        uint8_t *bytes = image_make(5, MIB);

        assert_streams(s, bytes, IMAGE_FORMAT_AUTO, true);
        assert_streams(s, bytes, IMAGE_FORMAT_QCOW2, false); /* refused at its end, with a reason */
        memcpy(bytes + 0x8001, "CD001", 5);
        assert_streams(s, bytes, IMAGE_FORMAT_AUTO, true);
        assert_streams(s, bytes, IMAGE_FORMAT_ISO, true);
        memcpy(bytes, "QFI\xfb", 4);
        assert_streams(s, bytes, IMAGE_FORMAT_AUTO, false); /* two formats at once: refused as well */
        memset(bytes + 0x8001, 0, 5);
        assert_streams(s, bytes, IMAGE_FORMAT_AUTO, false);
        assert_streams(s, bytes, IMAGE_FORMAT_RAW, false); /* refused, too */
        memcpy(bytes, "\x1f\x8b\x08", 4);
        assert_streams(s, bytes, IMAGE_FORMAT_AUTO, false);
        (void)store_gc(s);
        free(bytes);
}

static void test_out_of_order_from_the_start_it_is_a_file(void **state)
{
        struct store *s = *state;
        uint8_t *bytes = image_make(6, MIB);
        struct intake *in;
        int fd;

        in = make(s, IMAGE_FORMAT_AUTO, &fd);
        assert_ok(intake_write(in, bytes + MIB - 10, 10, MIB - 10, NULL, NULL));
        write_in_order(in, bytes, 0, MIB - 10);
        assert_false(intake_is_streaming(in));
        assert_file_has(fd, bytes, MIB);
        done(in, fd);
        free(bytes);
}

/* Its footer alone tells a VHD without tables. */
static void test_the_end_of_a_stream_can_be_looked_at(void **state)
{
        struct store *s = *state;
        uint8_t *bytes = image_make(7, 2 * MIB + 512), *footer = bytes + 2 * MIB;
        struct intake *in;
        uint32_t sum = 0;
        int fd;

        memset(footer, 0, 512);
        memcpy(footer, "conectix", 8);
        footer[11] = 2; /* features */
        footer[13] = 1; /* version */
        memset(footer + 16, 0xff, 8); /* no tables */
        footer[48 + 5] = footer[40 + 5] = 2 * MIB >> 16;
        footer[63] = 2; /* fixed */
        for (size_t i = 0; i < 512; i++)
                sum += footer[i];
        for (unsigned i = 0; i < 4; i++)
                footer[64 + i] = (uint8_t)(~sum >> (24 - 8 * i));

        in = make(s, IMAGE_FORMAT_AUTO, &fd);
        write_in_order(in, bytes, 0, 2 * MIB + 512);
        assert_true(intake_is_streaming(in));
        assert_int_equal(probe(in, fd).format, IMAGE_FORMAT_VHD);
        assert_int_equal(probe(in, fd).size_bytes, 2 * MIB);
        assert_settles(in, fd, bytes, 2 * MIB + 512);
        done(in, fd);
        free(bytes);
}

static void test_more_than_some_at_once_go_by_way_of_files(void **state)
{
        enum { MANY = 12 };
        struct store *s = *state;
        uint8_t *bytes = image_make(8, MIB);
        struct intake *in[MANY];
        int fd[MANY], streams = 0;

        for (int i = 0; i < MANY; i++) {
                in[i] = make(s, IMAGE_FORMAT_AUTO, &fd[i]);
                write_in_order(in[i], bytes, 0, PIECE);
        }
        for (int i = 0; i < MANY; i++)
                streams += intake_is_streaming(in[i]);
        assert_true(streams >= 2 && streams < MANY);
        for (int i = 0; i < MANY; i++)
                done(in[i], fd[i]);
        assert_streams(s, bytes, IMAGE_FORMAT_AUTO, true); /* each gives its place back */
        (void)store_gc(s);
        free(bytes);
}

/* ---- collections ---- */

static void test_a_renewed_stream_keeps_nothing_else(void **state)
{
        struct store *s = *state;
        uint8_t *bytes = image_make(9, SIZE), *other = malloc(MIB);
        uint64_t seed = 10;
        struct intake *in;
        struct blob_id id;
        struct blob *b;
        int fd;

        assert_non_null(other);
        random_fill(&seed, other, MIB);
        (void)store_gc(s); /* before the first, everything is kept for interrupted work */
        b = image_store(s, other, MIB);
        id = *blob_get_id(b);
        blob_close(b);

        in = make(s, IMAGE_FORMAT_AUTO, &fd);
        write_in_order(in, bytes, 0, 2 * MIB + 3 * BLOB_BLOCK_SIZE + 1); /* a part of a block, too */
        assert_ok(blob_remove(s->bs, &id));
        assert_int_equal(store_gc(s).chunks_removed, 0);
        assert_ok(intake_renew(in, 3600)); /* it is not old enough */
        assert_int_equal(store_gc(s).chunks_removed, 0);
        assert_ok(intake_renew(in, 0));
        assert_true(store_gc(s).chunks_removed > 0);
        assert_true(store_gc(s).bytes_freed == 0);

        write_in_order(in, bytes, 2 * MIB + 3 * BLOB_BLOCK_SIZE + 1, 3 * MIB);
        assert_ok(intake_renew(in, 0));
        (void)store_gc(s);
        write_in_order(in, bytes, 3 * MIB, SIZE);
        assert_commits(in, bytes, SIZE);
        done(in, fd);

        (void)store_gc(s);
        assert_int_equal(store_stats(s).blobs, 1);
        free(bytes);
        free(other);
}

/* ---- errors ---- */

static void test_an_error_stays_until_it_begins_anew(void **state)
{
        struct store *s = *state;
        uint8_t *bytes = image_make(11, MIB);
        struct intake *in;
        struct blob *b;
        int fd, file;

        in = make(s, IMAGE_FORMAT_QCOW2, &file);
        fd = open("/dev/full", O_RDWR | O_CLOEXEC);
        assert_true(fd >= 0 && dup2(fd, file) == file);
        assert_err(intake_write(in, bytes, MIB, 0, NULL, NULL), -ENOSPC);
        assert_ok(close(fd));
        fd = make_file(s);
        assert_true(dup2(fd, file) == file);
        assert_err(intake_write(in, bytes, MIB, 0, NULL, NULL), -ENOSPC);
        assert_err(intake_sync(in), -ENOSPC);
        assert_err(intake_show(in), -ENOSPC);
        assert_err(intake_truncate(in, MIB), -ENOSPC);
        assert_err(intake_commit(in, &b), -ENOSPC);
        assert_err(intake_settle(in, NULL, NULL), -ENOSPC);
        assert_ok(intake_truncate(in, 0));
        assert_ok(intake_write(in, bytes, MIB, 0, NULL, NULL));
        assert_file_has(fd, bytes, MIB);
        assert_ok(close(fd));
        done(in, file);
        free(bytes);
}

/* The descriptor by which the segment that grows is written. */
static int find_segment(void)
{
        char path[64], name[512];

        for (int fd = 3; fd < 256; fd++) {
                ssize_t n;

                (void)snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
                n = readlink(path, name, sizeof(name) - 1);
                name[n < 0 ? 0 : n] = '\0';
                if (strstr(name, ".seg") && (fcntl(fd, F_GETFL) & O_ACCMODE) != O_RDONLY)
                        return fd;
        }
        fail_msg("no segment is open");
        return -1;
}

static void count_taken(void *ctx)
{
        ++*(int *)ctx;
}

/* Writers are let go before their bytes are stored. What then fails ends the next write, and the close in any case. */
static void test_writers_are_let_go_once_and_told_later(void **state)
{
        struct store *s = *state;
        uint8_t *bytes = malloc(MIB);
        int taken = 0, calls = 0, fd, segment, disk, full, r;
        uint64_t seed = 17, off = 0;
        struct intake *in;
        struct blob *b;

        assert_non_null(bytes);
        random_fill(&seed, bytes, MIB);
        in = make(s, IMAGE_FORMAT_RAW, &fd);
        for (r = 0; off < 4 * MIB && r == 0; off += MIB, calls++)
                r = intake_write(in, bytes, MIB, off, count_taken, &taken);
        assert_ok(r);
        assert_int_equal(taken, calls);
        assert_true(intake_is_streaming(in));
        assert_ok(intake_sync(in));

        full = open("/dev/full", O_RDWR | O_CLOEXEC);
        segment = find_segment();
        disk = dup(segment);
        assert_true(full >= 0 && disk >= 0 && dup2(full, segment) == segment);
        for (; off < 256 * MIB && r == 0; off += MIB) {
                random_fill(&seed, bytes, MIB);
                r = intake_write(in, bytes, MIB, off, count_taken, &taken);
                calls += r == 0;
        }
        assert_err(r, -ENOSPC);
        assert_int_equal(taken, calls);
        assert_err(intake_sync(in), -ENOSPC);
        assert_err(intake_commit(in, &b), -ENOSPC);
        assert_true(dup2(disk, segment) == segment);
        assert_ok(close(disk));
        assert_ok(close(full));
        done(in, fd);
        (void)store_gc(s);
        free(bytes);
}

/* ---- anything ---- */

static void random_life(struct store *s, uint64_t seed)
{
        const size_t most = MIB + random_next(&seed) % MIB;
        uint8_t *bytes = calloc(1, most), *piece = malloc(PIECE);
        size_t size = 0, next = 0;
        struct intake *in;
        int fd;

        assert_true(bytes && piece);
        in = make(s, IMAGE_FORMAT_RAW, &fd);
        for (int i = 0; i < 60; i++) {
                size_t n = 1 + random_next(&seed) % PIECE, off = next, dice = random_next(&seed) % 100;

                if (dice < 4)
                        off = random_next(&seed) % most;
                else if (dice < 12)
                        off += random_next(&seed) % PIECE;
                if (dice >= 98) {
                        size_t to = dice == 98 ? 0 : random_next(&seed) % most;

                        assert_ok(intake_truncate(in, to));
                        memset(bytes + to, 0, most - to);
                        size = to;
                        next = next < to ? next : to;
                        continue;
                }
                if (dice >= 94) {
                        assert_ok(intake_renew(in, 0));
                        assert_ok(intake_show(in));
                }
                if (off >= most)
                        continue;
                n = n < most - off ? n : most - off;
                random_fill(&seed, piece, n);
                assert_ok(intake_write(in, piece, n, off, NULL, NULL));
                memcpy(bytes + off, piece, n);
                size = size > off + n ? size : off + n;
                next = off + n;
        }
        assert_ok(intake_show(in));
        if (intake_is_streaming(in))
                assert_commits(in, bytes, size);
        else
                assert_settles(in, fd, bytes, size);
        done(in, fd);
        free(bytes);
        free(piece);
}

static void test_whatever_is_done_to_it_the_bytes_are_right(void **state)
{
        const char *count = getenv("IMAGEFS_INTAKES");

        for (uint64_t seed = 1; seed <= (count ? strtoull(count, NULL, 10) : 60); seed++)
                random_life(*state, seed);
}

/* ---- over the end of a process ---- */

static struct intake *make_lasting(struct store *s, int *ret_fd)
{
        struct intake *in = make(s, IMAGE_FORMAT_AUTO, ret_fd);

        intake_last(in);
        return in;
}

/* What another process has of it. -ESTALE: nothing. */
static int resume(struct store *s, int fd, struct intake **ret)
{
        static const struct intake_ops ops = { .begins_plain = is_plain, .room = store_any_room };

        assert_ok(intake_new(s->bs, fd, &ops, NULL, ret));
        return intake_resume(*ret);
}

static void assert_gone(struct store *s, int fd)
{
        struct intake *in;

        assert_err(resume(s, fd, &in), -ESTALE);
        intake_free(in);
}

static void assert_in_file(struct intake *in, int fd, const uint8_t *bytes, size_t n)
{
        struct blob *b;

        assert_true(intake_is_whole(in));
        assert_ok(intake_commit(in, &b));
        assert_null(b);
        assert_file_has(fd, bytes, n);
}

static void test_another_process_goes_on_with_what_was_taken(void **state)
{
        struct store *s = *state;
        uint8_t *bytes = image_make(21, SIZE);
        struct intake *in, *next;
        int fd;

        in = make_lasting(s, &fd);
        write_in_order(in, bytes, 0, 2 * MIB);
        assert_true(intake_is_streaming(in));
        assert_ok(resume(s, fd, &next));
        intake_free(in); /* what it had in memory */

        write_in_order(next, bytes, 2 * MIB, SIZE);
        assert_false(intake_is_streaming(next));
        assert_in_file(next, fd, bytes, SIZE);
        done(next, fd);
        (void)store_gc(s);
        free(bytes);
}

static void test_a_stream_that_another_process_could_have_ends_as_any(void **state)
{
        struct store *s = *state;
        uint8_t *bytes = image_make(22, SIZE);
        struct intake *in;
        int fd;

        in = make_lasting(s, &fd);
        write_in_order(in, bytes, 0, SIZE);
        assert_file_has(fd, bytes, SIZE);
        assert_true(probe(in, fd).format == IMAGE_FORMAT_RAW);
        assert_commits(in, bytes, SIZE);
        done(in, fd);
        free(bytes);
}

/* Nothing is read back: the file has it. */
static void test_one_that_is_written_over_or_cut_is_in_its_file_at_once(void **state)
{
        struct store *s = *state;
        uint8_t *bytes = image_make(23, SIZE);
        struct intake *in;
        int fd;

        in = make_lasting(s, &fd);
        write_in_order(in, bytes, 0, SIZE);
        bytes[5] ^= 1;
        assert_ok(intake_write(in, bytes, 10, 0, NULL, NULL));
        assert_false(intake_is_streaming(in));
        assert_in_file(in, fd, bytes, SIZE);
        done(in, fd);

        in = make_lasting(s, &fd);
        write_in_order(in, bytes, 0, SIZE);
        assert_ok(intake_truncate(in, SIZE + MIB));
        assert_true(intake_is_streaming(in));
        assert_ok(intake_truncate(in, MIB));
        assert_in_file(in, fd, bytes, MIB);
        done(in, fd);

        in = make_lasting(s, &fd);
        write_in_order(in, bytes, 0, SIZE);
        assert_true(intake_keep_in_file(in));
        assert_in_file(in, fd, bytes, SIZE);
        done(in, fd);
        (void)store_gc(s);
        free(bytes);
}

static void test_nobody_goes_on_with_what_is_not_all_there(void **state)
{
        struct store *s = *state;
        uint8_t *bytes = image_make(24, SIZE);
        struct intake *in, *next;
        int fd;

        in = make(s, IMAGE_FORMAT_AUTO, &fd); /* of a process that nobody follows */
        write_in_order(in, bytes, 0, MIB);
        assert_gone(s, fd);
        done(in, fd);

        in = make_lasting(s, &fd);
        write_in_order(in, bytes, 0, MIB);
        intake_spoil(in);
        assert_gone(s, fd);
        assert_ok(intake_truncate(in, 0));
        assert_ok(resume(s, fd, &next));
        intake_free(next);
        done(in, fd);
        (void)store_gc(s);
        free(bytes);
}

/* Without room for the file, too, a stream is what it is without another process. */
static void test_a_stream_goes_on_where_its_file_cannot(void **state)
{
        struct store *s = *state;
        static const struct intake_ops ops = { .begins_plain = is_plain, .room = store_any_room };
        uint8_t *bytes = image_make(25, SIZE);
        int fd = memfd_create("test", MFD_CLOEXEC | MFD_ALLOW_SEALING);
        struct intake *in;
        struct blob *b;

        assert_true(fd >= 0);
        assert_ok(intake_new(s->bs, fd, &ops, NULL, &in));
        intake_last(in);
        assert_false(intake_give_way(in)); /* no stream */
        write_in_order(in, bytes, 0, MIB);
        assert_int_equal(fcntl(fd, F_ADD_SEALS, F_SEAL_GROW), 0); /* as a full disk */
        write_in_order(in, bytes, MIB, SIZE);
        assert_true(intake_is_streaming(in));
        assert_true(file_bytes(fd) <= INTAKE_HEAD_BYTES);
        assert_gone(s, fd);
        assert_ok(intake_commit(in, &b));
        image_assert_same(b, bytes, SIZE);
        blob_close(b);
        done(in, fd);

        in = make_lasting(s, &fd);
        write_in_order(in, bytes, 0, MIB);
        assert_true(intake_give_way(in));
        assert_false(intake_give_way(in));
        write_in_order(in, bytes, MIB, SIZE);
        assert_true(file_bytes(fd) <= INTAKE_HEAD_BYTES);
        assert_gone(s, fd);
        assert_commits(in, bytes, SIZE);
        done(in, fd);
        free(bytes);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, store_setup, store_teardown)
                TEST(test_a_disk_in_order_is_stored_while_it_comes),
                TEST(test_gaps_and_a_longer_end_are_holes),
                TEST(test_what_is_written_to_again_goes_into_the_file),
                TEST(test_what_is_written_to_again_byte_by_byte_is_read_back_by_nobody),
                TEST(test_a_huge_hole_costs_nothing),
                TEST(test_it_goes_into_the_file_only_where_there_is_room),
                TEST(test_cut_off_it_goes_into_the_file_and_at_nothing_it_begins_anew),
                TEST(test_only_what_begins_like_a_plain_disk_streams),
                TEST(test_out_of_order_from_the_start_it_is_a_file),
                TEST(test_the_end_of_a_stream_can_be_looked_at),
                TEST(test_more_than_some_at_once_go_by_way_of_files),
                TEST(test_a_renewed_stream_keeps_nothing_else),
                TEST(test_an_error_stays_until_it_begins_anew),
                TEST(test_writers_are_let_go_once_and_told_later),
                TEST(test_whatever_is_done_to_it_the_bytes_are_right),
                TEST(test_another_process_goes_on_with_what_was_taken),
                TEST(test_a_stream_that_another_process_could_have_ends_as_any),
                TEST(test_one_that_is_written_over_or_cut_is_in_its_file_at_once),
                TEST(test_nobody_goes_on_with_what_is_not_all_there),
                TEST(test_a_stream_goes_on_where_its_file_cannot),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}

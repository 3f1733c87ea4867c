/* SPDX-License-Identifier: MIT */

#include "tests/lib/store.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xxhash.h>

#include "tests/lib/expect.h"

void store_path(const struct store *s, const char *name, char ret[2 * TEMPDIR_MAX])
{
        (void)snprintf(ret, 2 * TEMPDIR_MAX, "%s/store/%s", s->dir, name);
}

int store_open(struct store *s)
{
        struct blobstore_opts opts = { .threads = 3, .caches = { .memory_bytes = 4 << 20 } };
        char path[2 * TEMPDIR_MAX];

        store_path(s, "", path);
        return blobstore_open(path, &opts, &s->bs);
}

void store_close(struct store *s)
{
        blobstore_close(s->bs);
        s->bs = NULL;
}

void store_reopen(struct store *s)
{
        store_close(s);
        assert_ok(store_open(s));
}

int store_setup(void **state)
{
        struct store *s = calloc(1, sizeof(*s));

        assert_non_null(s);
        tempdir_make(s->dir);
        assert_ok(store_open(s));
        *state = s;
        return 0;
}

int store_teardown(void **state)
{
        struct store *s = *state;
        int problems = s->bs ? store_check(s) : 0;

        store_close(s);
        tempdir_remove(s->dir);
        free(s);
        return problems;
}

static void print_problem(void *ctx, enum blobstore_problem kind, const struct blob_id *id, const char *text)
{
        (void)ctx;
        (void)id;
        print_message("problem %d: %s\n", (int)kind, text);
}

int store_check(struct store *s)
{
        return blobstore_check(s->bs, true, print_problem, NULL);
}

void store_assert_clean(struct store *s)
{
        assert_int_equal(store_check(s), 0);
}

struct blobstore_gc_stats store_gc(struct store *s)
{
        struct blobstore_gc_stats stats;

        assert_ok(blobstore_gc(s->bs, NULL, NULL, NULL, 0, &stats));
        return stats;
}

struct blobstore_stats store_stats(struct store *s)
{
        struct blobstore_stats stats;

        assert_ok(blobstore_get_stats(s->bs, &stats));
        return stats;
}

int store_any_room(void *ctx, uint64_t n)
{
        (void)ctx;
        (void)n;
        return 0;
}

uint64_t store_segment_bytes(struct store *s)
{
        char path[2 * TEMPDIR_MAX];
        uint64_t bytes = 0;
        struct dirent *de;
        struct stat st;
        DIR *dir;

        store_path(s, "segments", path);
        dir = opendir(path);
        assert_non_null(dir);
        while ((de = readdir(dir))) {
                if (de->d_name[0] == '.')
                        continue;
                assert_ok(fstatat(dirfd(dir), de->d_name, &st, 0));
                bytes += (uint64_t)st.st_blocks * 512;
        }
        (void)closedir(dir);
        return bytes;
}

uint8_t *image_make(uint64_t seed, size_t n)
{
        uint8_t *bytes = calloc(1, n ? n : 1);
        uint64_t state = seed;
        size_t pos = 0;

        assert_non_null(bytes);
        while (pos < n) {
                size_t run = (random_next(&state) % 40 + 1) * BLOB_BLOCK_SIZE;

                if (random_next(&state) % 8 == 0)
                        run += random_next(&state) % BLOB_BLOCK_SIZE;
                if (run > n - pos)
                        run = n - pos;
                switch (random_next(&state) % 4) {
                case 0:
                        break; /* zeros */
                case 1:
                        for (size_t i = 0; i < run; i++)
                                bytes[pos + i] = (uint8_t)("disk"[i % 4] + (i % 512 == 0 ? random_next(&state) : 0));
                        break;
                case 2:
                        random_fill(&state, bytes + pos, run);
                        break;
                case 3:
                        if (run <= pos) {
                                size_t block = random_next(&state) % (pos - run + 1) / BLOB_BLOCK_SIZE;

                                memcpy(bytes + pos, bytes + block * BLOB_BLOCK_SIZE, run);
                        }
                        break;
                }
                pos += run;
        }
        return bytes;
}

int image_write(struct blobstore *bs, const uint8_t *bytes, size_t n, struct blob **ret)
{
        struct blob_writer *w;
        uint64_t state = n;
        size_t part;
        int r;

        r = blob_writer_new(bs, &w);
        if (r < 0)
                return r;
        for (size_t pos = 0; r == 0 && pos < n; pos += part) {
                part = random_next(&state) % 3 ? random_next(&state) % 600000 : random_next(&state) % 9000;
                if (part > n - pos)
                        part = n - pos;
                r = blob_writer_append(w, bytes + pos, part);
        }
        if (r == 0)
                r = blob_writer_commit(w, ret);
        blob_writer_free(w);
        return r;
}

struct blob *image_store(struct store *s, const uint8_t *bytes, size_t n)
{
        struct blob *b = NULL;

        assert_ok(image_write(s->bs, bytes, n, &b));
        return b;
}

void image_checksum(const uint8_t *bytes, size_t n, struct blob_checksum *ret)
{
        XXH128_canonical_t c;

        XXH128_canonicalFromHash(&c, XXH3_128bits(bytes, n));
        memcpy(ret->bytes, c.digest, sizeof(ret->bytes));
}

static bool is_zero(const uint8_t *bytes, size_t n)
{
        for (size_t i = 0; i < n; i++)
                if (bytes[i])
                        return false;
        return true;
}

/* What lseek(2) would give, block by block. */
static int seek_plain(const uint8_t *bytes, size_t n, uint64_t off, int whence, uint64_t *ret)
{
        for (uint64_t pos = off; pos < n; pos = (pos / BLOB_BLOCK_SIZE + 1) * BLOB_BLOCK_SIZE) {
                uint64_t start = pos / BLOB_BLOCK_SIZE * BLOB_BLOCK_SIZE;
                size_t len = n - start < BLOB_BLOCK_SIZE ? n - start : BLOB_BLOCK_SIZE;

                if (is_zero(bytes + start, len) == (whence == SEEK_HOLE)) {
                        *ret = pos;
                        return 0;
                }
        }
        *ret = n;
        return off >= n || whence == SEEK_DATA ? -ENXIO : 0;
}

static void assert_same_seek(struct blob *b, const uint8_t *bytes, size_t n, uint64_t off, int whence)
{
        uint64_t wanted, got;
        int r = seek_plain(bytes, n, off, whence, &wanted);

        assert_err(blob_seek(b, off, whence, &got), r);
        if (r == 0)
                assert_int_equal(got, wanted);
}

void image_assert_same(struct blob *b, const uint8_t *bytes, size_t n)
{
        uint8_t *buf = malloc(n + 100);
        struct blob_checksum checksum, found;
        uint64_t state = n + 1;

        assert_non_null(buf);
        assert_int_equal(blob_get_info(b)->size_bytes, n);
        image_checksum(bytes, n, &checksum);
        found = blob_get_info(b)->checksum;
        if (!blob_has_checksum(blob_get_info(b)))
                assert_ok(blob_work_out_checksum(b, NULL, NULL, &found));
        assert_memory_equal(found.bytes, checksum.bytes, sizeof(checksum.bytes));

        memset(buf, 0xa5, n + 100);
        assert_int_equal(blob_pread(b, buf, n + 100, 0), n);
        assert_memory_equal(buf, bytes, n);
        assert_int_equal(blob_pread(b, buf, 10, n), 0);
        for (int i = 0; i < 60 && n; i++) {
                uint64_t off = random_next(&state) % n;
                size_t len = random_next(&state) % (i % 2 ? 5000 : 700000), want = len < n - off ? len : n - off;

                memset(buf, 0x5a, want);
                assert_int_equal(blob_pread(b, buf, want, off), want);
                assert_memory_equal(buf, bytes + off, want);
                assert_same_seek(b, bytes, n, off, i % 3 ? SEEK_DATA : SEEK_HOLE);
        }
        for (uint64_t pos = 0, data, hole; blob_seek(b, pos, SEEK_DATA, &data) == 0; pos = hole) {
                assert_same_seek(b, bytes, n, pos, SEEK_DATA);
                assert_ok(blob_seek(b, data, SEEK_HOLE, &hole));
                assert_same_seek(b, bytes, n, data, SEEK_HOLE);
                if (hole >= n)
                        break;
        }
        free(buf);
}

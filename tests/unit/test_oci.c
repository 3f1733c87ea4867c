/* SPDX-License-Identifier: MIT */

/* Disks as OCI images: digests are those of the bytes, the pieces put together are the disk, and what is alike is shared. */

#include "tests/lib/expect.h"

#include "blobstore/base/cleanup.h"
#include "blobstore/base/strbuf.h"
#include "blobstore/export/oci.h"
#include "blobstore/hash/sha256.h"
#include "fs/tree/ocis.h"
#include "tests/lib/store.h"

#define KIB UINT64_C(1024)
#define MIB (1024 * KIB)
#define BLOCK 4096
#define TAR_BLOCK 512

static const struct oci_platform linux_pc = { .architecture = "amd64", .os = "linux" };

static int go_on(void *ctx, uint64_t done_bytes, uint64_t total_bytes)
{
        (void)done_bytes;
        (void)total_bytes;
        return ctx ? *(const int *)ctx : 0;
}

static struct blob *store_bytes(struct store *s, const uint8_t *bytes, uint64_t size)
{
        struct blob_writer *w;
        struct blob *b;

        assert_ok(blob_writer_new(s->bs, &w));
        assert_ok(blob_writer_append(w, bytes, size));
        assert_ok(blob_writer_commit(w, &b));
        blob_writer_free(w);
        return b;
}

/* Data with runs of zeros of many lengths in it, and some of it twice. */
static uint8_t *make_bytes(uint64_t size, uint64_t seed)
{
        uint8_t *bytes = calloc(1, size);

        assert_non_null(bytes);
        for (uint64_t at = 0; at < size;) {
                uint64_t data = (random_next(&seed) % 100 + 1) * BLOCK, gap = random_next(&seed) % 12 * BLOCK;

                data = data < size - at ? data : size - at;
                random_fill(&seed, bytes + at, data);
                at += data;
                at += gap < size - at ? gap : size - at;
        }
        if (size > 4 * MIB)
                memcpy(bytes + size / 2, bytes, 2 * MIB);
        return bytes;
}

static struct oci *make_of(struct blob **blobs, size_t n)
{
        static const char *const devices[] = { "vda", "vdb" };
        struct oci_disk disks[2];
        struct oci *o;

        for (size_t i = 0; i < n; i++)
                disks[i] = (struct oci_disk){ .device = devices[i], .blob = blobs[i] };
        assert_ok(oci_make(disks, n, &linux_pc, go_on, NULL, &o));
        return o;
}

/* A blob's bytes, read in pieces of odd sizes; to be freed. */
static char *read_blob(struct store *s, struct oci *o, struct blob **blobs, unsigned number)
{
        const uint64_t size = oci_size(o, number);
        char *bytes = calloc(1, size + 1);
        struct export *e;
        struct blob *own;
        uint64_t seed = number + 1;

        assert_non_null(bytes);
        assert_ok(blob_open(s->bs, blob_get_id(blobs[oci_disk_of(o, number)]), &own));
        assert_ok(oci_open(o, number, own, &e));
        assert_int_equal(export_get_size(e), size);
        assert_null(export_get_blob(e));
        for (uint64_t at = 0; at < size;) {
                const size_t n = random_next(&seed) % 3 ? random_next(&seed) % 700 + 1 : random_next(&seed) % (128 * KIB) + 1;
                const ssize_t got = export_pread(e, bytes + at, n, at);

                assert_int_equal(got, n < size - at ? n : size - at);
                at += (uint64_t)got;
        }
        assert_int_equal(export_pread(e, bytes, 10, size), 0);
        export_close(e);
        return bytes;
}

static void hex_of(const char *bytes, size_t n, char ret[OCI_DIGEST_SIZE])
{
        uint8_t digest[SHA256_SIZE];

        assert_ok(sha256(bytes, n, digest));
        for (size_t i = 0; i < sizeof(digest); i++)
                (void)snprintf(ret + 2 * i, 3, "%02x", digest[i]);
}

static void test_digests_are_those_of_the_bytes(void **state)
{
        const uint64_t size = 12 * MIB + 777;
        CLEANUP_FREE uint8_t *bytes = make_bytes(size, 1);
        CLEANUP_STRBUF struct strbuf index = { 0 };
        struct store *s = *state;
        struct blob *b = store_bytes(s, bytes, size);
        struct oci *o = make_of(&b, 1);
        char said[OCI_DIGEST_SIZE], found[OCI_DIGEST_SIZE];
        unsigned number;

        assert_true(oci_blobs(o) > 20);
        for (unsigned i = 0; i < oci_blobs(o); i++) {
                CLEANUP_FREE char *blob = read_blob(s, o, &b, i);

                oci_digest(o, i, said);
                hex_of(blob, oci_size(o, i), found);
                assert_string_equal(said, found);
                assert_ok(oci_find(o, said, &number));
                assert_int_equal(number, i);
        }
        assert_int_equal(oci_find(o, "", &number), -ENOENT);
        assert_int_equal(oci_find(o, "index.json", &number), -ENOENT);
        said[63] = said[63] == '0' ? '1' : '0';
        assert_int_equal(oci_find(o, said, &number), -ENOENT);
        oci_digest(o, 0, said);
        oci_add_index(o, &index);
        assert_non_null(strstr(strbuf_text(&index), said));
        assert_true(oci_bytes(o) > oci_blobs(o) * 72);
        oci_unref(o);
        blob_close(b);
}

/* The file of a tar archive that has one from AT on: where its bytes are, and how many. */
static const char *file_at(const char *tar, uint64_t at, const char **ret_path, uint64_t *ret_len)
{
        assert_memory_equal(tar + at + 257, "ustar", 6);
        *ret_path = tar + at;
        *ret_len = strtoull(tar + at + 124, NULL, 8);
        return tar + at + TAR_BLOCK;
}

/* Puts disk NUMBER together from what its map says. */
static uint8_t *put_together(struct store *s, struct oci *o, struct blob **blobs, const char *device, uint64_t *ret_size)
{
        CLEANUP_FREE char *maps = read_blob(s, o, blobs, 2);
        char path[80], wanted[64];
        const char *map, *name, *line;
        uint64_t at = 0, len, piece_len, block;
        uint8_t *disk;
        int n;

        (void)snprintf(path, sizeof(path), "disks/%s.map", device);
        for (;; at += TAR_BLOCK + (len + TAR_BLOCK - 1) / TAR_BLOCK * TAR_BLOCK) {
                map = file_at(maps, at, &name, &len);
                if (strcmp(name, path) == 0)
                        break;
        }
        assert_int_equal(sscanf(map, "size %lu\n%n", ret_size, &n), 1);
        disk = calloc(1, *ret_size + 1);
        assert_non_null(disk);
        for (line = map + n; line < map + len; line = strchr(line, '\n') + 1) {
                bool found = false;

                assert_int_equal(sscanf(line, "%lu %63s\n", &block, wanted), 2);
                (void)snprintf(path, sizeof(path), "pieces/%s", wanted);
                for (unsigned i = 3; !found && i < oci_blobs(o); i++) {
                        CLEANUP_FREE char *layer = read_blob(s, o, blobs, i);
                        const char *piece = file_at(layer, 0, &name, &piece_len);

                        found = strcmp(name, path) == 0;
                        if (found)
                                memcpy(disk + block * BLOCK, piece, piece_len);
                }
                assert_true(found);
        }
        return disk;
}

static void test_pieces_put_together_are_the_disks(void **state)
{
        const uint64_t sizes[] = { 5 * MIB + 100, 3 * MIB };
        static const char *const devices[] = { "vda", "vdb" };
        struct store *s = *state;
        uint8_t *bytes[2];
        struct blob *b[2];
        struct oci *o;

        for (unsigned i = 0; i < 2; i++) {
                bytes[i] = make_bytes(sizes[i], i + 10);
                b[i] = store_bytes(s, bytes[i], sizes[i]);
        }
        o = make_of(b, 2);
        for (unsigned i = 0; i < 2; i++) {
                uint64_t size;
                CLEANUP_FREE uint8_t *disk = put_together(s, o, b, devices[i], &size);

                assert_int_equal(size, sizes[i]);
                assert_memory_equal(disk, bytes[i], size);
        }
        oci_unref(o);
        for (unsigned i = 0; i < 2; i++) {
                free(bytes[i]);
                blob_close(b[i]);
        }
}

static uint64_t bytes_not_in(struct oci *o, struct oci *other)
{
        char digest[OCI_DIGEST_SIZE];
        uint64_t sum = 0;
        unsigned number;

        for (unsigned i = 3; i < oci_blobs(o); i++) {
                oci_digest(o, i, digest);
                if (oci_find(other, digest, &number) < 0)
                        sum += oci_size(o, i);
        }
        return sum;
}

/* Also what moves by whole blocks, and what was stored otherwise: a snapshot's map has chunks of other lengths. */
static void test_what_is_alike_is_shared(void **state)
{
        const uint64_t size = 16 * MIB;
        CLEANUP_FREE uint8_t *bytes = make_bytes(size, 3);
        CLEANUP_FREE uint8_t *changed = malloc(size + 8 * BLOCK);
        struct store *s = *state;
        struct blob *b[4];
        struct oci *o[4];
        char digests[2][OCI_DIGEST_SIZE];
        struct blob_writer *w;
        struct blob_share_stats stats;

        b[0] = store_bytes(s, bytes, size);
        memcpy(changed, bytes, size);
        memset(changed + 6 * MIB, 0x5a, BLOCK);
        b[1] = store_bytes(s, changed, size);
        memset(changed, 0x77, 8 * BLOCK);
        memcpy(changed + 8 * BLOCK, bytes, size);
        b[2] = store_bytes(s, changed, size + 8 * BLOCK);
        assert_ok(blob_writer_new(s->bs, &w));
        assert_ok(blob_writer_share(w, b[1], 0, 6 * MIB - 8 * BLOCK, &stats));
        assert_ok(blob_writer_append(w, bytes + 6 * MIB - 8 * BLOCK, 100 * BLOCK));
        assert_ok(blob_writer_share(w, b[1], 6 * MIB + 92 * BLOCK, size - 6 * MIB - 92 * BLOCK, &stats));
        assert_ok(blob_writer_commit(w, &b[3]));
        blob_writer_free(w);
        for (unsigned i = 0; i < 4; i++)
                o[i] = make_of(&b[i], 1);

        assert_true(bytes_not_in(o[1], o[0]) > 0);
        assert_true(bytes_not_in(o[1], o[0]) < 3 * 256 * KIB);
        assert_true(bytes_not_in(o[2], o[0]) < 3 * 256 * KIB);
        for (unsigned i = 0; i < 2; i++)
                oci_digest(o[3 * i], 0, digests[i]);
        assert_string_equal(digests[0], digests[1]);
        for (unsigned i = 0; i < 4; i++) {
                oci_unref(o[i]);
                blob_close(b[i]);
        }
}

/* The same files in another order, as a system made anew has them: nothing is new but where they lie. */
static void test_files_are_shared_wherever_they_lie(void **state)
{
        const uint64_t size = 8 * MIB;
        CLEANUP_FREE uint8_t *there = calloc(1, size), *back = calloc(1, size);
        uint64_t seed = 11, at = 0;
        struct blob *b[2];
        struct oci *o[2];

        assert_non_null(there);
        assert_non_null(back);
        while (at < size) {
                uint64_t bytes = (random_next(&seed) % 40 + 4) * BLOCK;

                if (size - at < bytes + 4 * BLOCK)
                        bytes = size - at;
                random_fill(&seed, there + at, bytes - 200); /* and zeros up to the end of the block */
                at += bytes;
                memcpy(back + size - at, there + at - bytes, bytes);
        }
        b[0] = store_bytes(*state, there, size);
        b[1] = store_bytes(*state, back, size);
        for (int i = 0; i < 2; i++)
                o[i] = make_of(&b[i], 1);
        assert_true(bytes_not_in(o[1], o[0]) < size / 32); /* where a large file was cut inside */
        for (int i = 0; i < 2; i++) {
                oci_unref(o[i]);
                blob_close(b[i]);
        }
}

static void test_an_empty_disk_has_its_map_alone(void **state)
{
        struct store *s = *state;
        struct blob_writer *w;
        struct blob *b;
        struct oci *o;
        uint64_t size;

        assert_ok(blob_writer_new(s->bs, &w));
        assert_ok(blob_writer_hole(w, 64 * MIB));
        assert_ok(blob_writer_commit(w, &b));
        blob_writer_free(w);
        o = make_of(&b, 1);
        assert_int_equal(oci_blobs(o), 3);
        free(put_together(s, o, &b, "vda", &size));
        assert_int_equal(size, 64 * MIB);
        oci_unref(o);
        blob_close(b);
}

/* N blocks, with holes of GAP blocks after them. */
static struct blob *store_scattered(struct store *s, uint64_t n, uint64_t gap)
{
        struct blob_writer *w;
        uint8_t block[BLOCK];
        uint64_t seed = 5;
        struct blob *b;

        assert_ok(blob_writer_new(s->bs, &w));
        assert_ok(blob_writer_hole(w, UINT64_C(200) << 30)); /* it has no checksum then, which takes time */
        for (uint64_t i = 0; i < n; i++) {
                random_fill(&seed, block, sizeof(block));
                assert_ok(blob_writer_append(w, block, sizeof(block)));
                assert_ok(blob_writer_hole(w, gap * BLOCK));
        }
        assert_ok(blob_writer_commit(w, &b));
        blob_writer_free(w);
        return b;
}

#define PIECES_MAX 8000

/* As many as there are at most, and one more: then what lies close is gathered. */
static void test_many_pieces_become_larger(void **state)
{
        struct store *s = *state;
        struct blob *most = store_scattered(s, PIECES_MAX, 5), *more = store_scattered(s, PIECES_MAX + 1, 5);
        struct oci *o;

        o = make_of(&most, 1);
        assert_int_equal(oci_blobs(o), 3 + PIECES_MAX);
        oci_unref(o);
        o = make_of(&more, 1);
        assert_in_range(oci_blobs(o), 4, PIECES_MAX / 2);
        oci_unref(o);
        blob_close(most);
        blob_close(more);
}

/* Holes that end a piece at each level. */
static void test_too_many_pieces_are_refused(void **state)
{
        struct store *s = *state;
        struct oci_disk disk = { .device = "vda", .blob = store_scattered(s, PIECES_MAX + 1, 2080) };
        struct oci *o = NULL;

        assert_int_equal(oci_make(&disk, 1, &linux_pc, go_on, NULL, &o), -E2BIG);
        assert_null(o);
        blob_close(disk.blob);
}

static void test_it_stops_when_told(void **state)
{
        CLEANUP_FREE uint8_t *bytes = make_bytes(4 * MIB, 9);
        struct oci_disk disk = { .device = "vda" };
        struct store *s = *state;
        int stop = -EINTR;
        struct oci *o = NULL;

        disk.blob = store_bytes(s, bytes, 4 * MIB);
        assert_int_equal(oci_make(&disk, 1, &linux_pc, go_on, &stop, &o), -EINTR);
        assert_null(o);
        blob_close(disk.blob);
}

/* ---- those that are kept ---- */

static bool is_kept(struct ocis *all, uint64_t key)
{
        struct oci *o = ocis_get(all, key);

        oci_unref(o);
        return o;
}

/* Of one user those that she used last, whatever others have. */
static void test_a_user_has_so_many_kept(void **state)
{
        CLEANUP_FREE uint8_t *bytes = make_bytes(64 * KIB, 2);
        struct blob *b = store_bytes(*state, bytes, 64 * KIB);
        struct oci *o = make_of(&b, 1), *found;
        struct ocis *all;

        assert_ok(ocis_new(&all));
        ocis_put(all, 7, 100, o);
        for (uint64_t key = 1; key <= 4; key++)
                ocis_put(all, 8, key, o);
        assert_true(is_kept(all, 1)); /* and used now */
        ocis_put(all, 8, 5, o);
        assert_true(is_kept(all, 1));
        assert_false(is_kept(all, 2));
        for (uint64_t key = 3; key <= 5; key++)
                assert_true(is_kept(all, key));
        assert_true(is_kept(all, 100));
        ocis_put(all, 9, 100, o); /* it is there */
        found = ocis_get(all, 100);
        assert_ptr_equal(found, o);
        ocis_free(all);
        assert_true(oci_blobs(found) > 3); /* who has it keeps it */
        oci_unref(found);
        oci_unref(o);
        blob_close(b);
}

/* Of all users together as many as there is memory for. */
static void test_all_have_so_much_kept(void **state)
{
        struct store *s = *state;
        struct blob *b = store_scattered(s, PIECES_MAX, 5);
        struct oci *o = make_of(&b, 1);
        const uint64_t room = (64 << 20) / oci_bytes(o);
        struct ocis *all;

        assert_in_range(room, 10, 1000);
        assert_ok(ocis_new(&all));
        for (uint64_t i = 0; i <= room; i++)
                ocis_put(all, (uid_t)i, i, o);
        assert_false(is_kept(all, 0));
        for (uint64_t i = 1; i <= room; i++)
                assert_true(is_kept(all, i));
        ocis_free(all);
        oci_unref(o);
        blob_close(b);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(test_digests_are_those_of_the_bytes, store_setup, store_teardown),
                cmocka_unit_test_setup_teardown(test_pieces_put_together_are_the_disks, store_setup, store_teardown),
                cmocka_unit_test_setup_teardown(test_what_is_alike_is_shared, store_setup, store_teardown),
                cmocka_unit_test_setup_teardown(test_files_are_shared_wherever_they_lie, store_setup, store_teardown),
                cmocka_unit_test_setup_teardown(test_an_empty_disk_has_its_map_alone, store_setup, store_teardown),
                cmocka_unit_test_setup_teardown(test_many_pieces_become_larger, store_setup, store_teardown),
                cmocka_unit_test_setup_teardown(test_too_many_pieces_are_refused, store_setup, store_teardown),
                cmocka_unit_test_setup_teardown(test_it_stops_when_told, store_setup, store_teardown),
                cmocka_unit_test_setup_teardown(test_a_user_has_so_many_kept, store_setup, store_teardown),
                cmocka_unit_test_setup_teardown(test_all_have_so_much_kept, store_setup, store_teardown),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: MIT */

/* Maps that share pages: what a snapshot costs, which of them outlives which, and what is lost with a lender. */

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "blobstore/base/cleanup.h"
#include "blobstore/blobs/blob_priv.h"
#include "blobstore/blobs/lend_priv.h"
#include "blobstore/blobs/map_file_priv.h"
#include "tests/lib/expect.h"
#include "tests/lib/store.h"

#define BLOCK 4096
#define PIECE ((size_t)16 << 20) /* of noise: more than a page of a map */
#define MIB   ((size_t)1 << 20)

static void map_path(const struct store *s, const struct blob_id *id, bool dead, char ret[2 * TEMPDIR_MAX])
{
        char name[MAP_NAME_SIZE], path[MAP_NAME_SIZE + 32];

        map_name(id, name);
        (void)snprintf(path, sizeof(path), "maps/%.2s/%s%s", name, name, dead ? ".dead" : "");
        store_path(s, path, ret);
}

static uint64_t map_bytes(const struct store *s, const struct blob_id *id)
{
        char path[2 * TEMPDIR_MAX];
        struct stat st;

        map_path(s, id, false, path);
        assert_ok(stat(path, &st));
        return (uint64_t)st.st_size;
}

static int count_loan(void *ctx, const struct index_loan *loan)
{
        uint64_t *n = ctx;

        (void)loan;
        ++*n;
        return 0;
}

static uint64_t loans(const struct blob *b)
{
        uint64_t n = 0;

        assert_ok(lend_each(b->map, count_loan, &n));
        return n;
}

/* What B has, but for a change of LEN bytes at each of N places. */
static struct blob *derive(struct store *s, struct blob *b, const uint64_t *places, size_t n, const uint8_t *change,
                           size_t len)
{
        struct blob_share_stats stats;
        struct blob_writer *w;
        struct blob *new;
        uint64_t pos = 0;

        assert_ok(blob_writer_new(s->bs, &w));
        for (size_t i = 0; i < n; i++) {
                assert_ok(blob_writer_share(w, b, pos, places[i] - pos, &stats));
                assert_ok(blob_writer_append(w, change, len));
                pos = places[i] + len;
        }
        assert_ok(blob_writer_share(w, b, pos, b->info.size_bytes - pos, &stats));
        assert_ok(blob_writer_commit(w, &new));
        blob_writer_free(w);
        return new;
}

/* TIMES the same noise, one behind the other; the blob that it comes from is gone again. */
static struct blob *make_dense(struct store *s, unsigned times)
{
        CLEANUP_FREE uint8_t *bytes = malloc(PIECE);
        struct blob_share_stats stats;
        struct blob_writer *w;
        struct blob *piece, *b;
        uint64_t seed = 4;

        random_fill(&seed, bytes, PIECE);
        piece = image_store(s, bytes, PIECE);
        assert_ok(blob_writer_new(s->bs, &w));
        for (unsigned i = 0; i < times; i++)
                assert_ok(blob_writer_share(w, piece, 0, PIECE, &stats));
        assert_ok(blob_writer_commit(w, &b));
        blob_writer_free(w);
        blob_close(piece);
        return b;
}

/* A snapshot of a large dense disk used to write all of its map again, and to count each of its entries. */
static void test_what_a_copy_with_a_change_costs_follows_the_change(void **state)
{
        enum { TIMES = 1024 }; /* 16 GiB */
        static const uint64_t places[] = { 3 * PIECE + 5 * MIB, 700 * PIECE + 3 * MIB };
        struct store *s = *state;
        struct blob *base = make_dense(s, TIMES), *copy, *again;
        CLEANUP_FREE uint8_t *change = calloc(1, BLOCK);
        uint8_t block[BLOCK];

        change[7] = 1;
        copy = derive(s, base, places, 2, change, BLOCK);
        assert_true(map_rows(base->map) > 1000);
        assert_true(map_bytes(s, &base->id) > map_rows(base->map) * MAP_PAGE_SIZE);
        assert_true(map_bytes(s, &copy->id) < map_rows(base->map) * 48 + 12 * MAP_PAGE_SIZE);
        assert_true(map_own_entries(copy->map) < 8 * MAP_PAGE_ENTRIES);
        assert_in_range(loans(copy), 3, 3 + map_rows(base->map) / INDEX_LOAN_PAGES + 2);
        assert_int_equal(blob_get_info(copy)->data_bytes, blob_get_info(base)->data_bytes);
        assert_int_equal(blob_get_info(copy)->data_clusters, blob_get_info(base)->data_clusters);
        assert_int_equal(blob_get_info(copy)->data_spans, blob_get_info(base)->data_spans);
        assert_int_equal(blob_pread(copy, block, BLOCK, places[1]), BLOCK);
        assert_memory_equal(block, change, BLOCK);

        /* What the copy borrows, its copies borrow of the same lender, and what is its own of it. */
        again = derive(s, copy, NULL, 0, NULL, 0);
        assert_int_equal(map_rows(again->map), map_rows(copy->map));
        assert_true(map_own_entries(again->map) < 4 * 16);
        assert_int_equal(blob_pread(again, block, BLOCK, places[1]), BLOCK);
        assert_memory_equal(block, change, BLOCK);
        blob_close(again);
        blob_close(copy);
        blob_close(base);
        store_assert_clean(s);
}

/* ---- who outlives whom ---- */

enum { BASE, CHILD, GRANDCHILD, FAMILY };

#define SIZE (3 * PIECE)
#define CHANGE MIB

struct family {
        uint8_t *bytes[FAMILY];
        struct blob_id ids[FAMILY];
        bool there[FAMILY];
};

static void family_make(struct store *s, struct family *f)
{
        static const uint64_t child[] = { 5 * MIB }, grandchild[] = { 40 * MIB };
        struct blob *b[FAMILY];
        uint64_t seed = 9;

        for (int i = 0; i < FAMILY; i++)
                f->bytes[i] = malloc(SIZE);
        random_fill(&seed, f->bytes[BASE], SIZE);
        memcpy(f->bytes[CHILD], f->bytes[BASE], SIZE);
        random_fill(&seed, f->bytes[CHILD] + child[0], CHANGE);
        memcpy(f->bytes[GRANDCHILD], f->bytes[CHILD], SIZE);
        random_fill(&seed, f->bytes[GRANDCHILD] + grandchild[0], CHANGE);
        b[BASE] = image_store(s, f->bytes[BASE], SIZE);
        b[CHILD] = derive(s, b[BASE], child, 1, f->bytes[CHILD] + child[0], CHANGE);
        b[GRANDCHILD] = derive(s, b[CHILD], grandchild, 1, f->bytes[GRANDCHILD] + grandchild[0],
                               CHANGE);
        assert_true(loans(b[CHILD]) > 0 && loans(b[GRANDCHILD]) > loans(b[CHILD]) - 1);
        for (int i = 0; i < FAMILY; i++) {
                f->ids[i] = *blob_get_id(b[i]);
                f->there[i] = true;
                blob_close(b[i]);
        }
}

static void family_free(struct family *f)
{
        for (int i = 0; i < FAMILY; i++)
                free(f->bytes[i]);
}

static void family_assert_same(struct store *s, const struct family *f)
{
        struct blob *b;

        for (int i = 0; i < FAMILY; i++) {
                if (!f->there[i])
                        continue;
                assert_ok(blob_open(s->bs, &f->ids[i], &b));
                image_assert_same(b, f->bytes[i], SIZE);
                blob_close(b);
        }
        store_assert_clean(s);
}

static void remake_index(struct store *s)
{
        char path[2 * TEMPDIR_MAX];

        store_close(s);
        store_path(s, "index.db", path);
        assert_ok(unlink(path));
        assert_ok(store_open(s));
}

static void test_families_may_go_in_every_order(void **state)
{
        static const int orders[][FAMILY] = {
                { BASE, CHILD, GRANDCHILD }, { BASE, GRANDCHILD, CHILD }, { CHILD, BASE, GRANDCHILD },
                { CHILD, GRANDCHILD, BASE }, { GRANDCHILD, BASE, CHILD }, { GRANDCHILD, CHILD, BASE },
        };
        struct store *s = *state;
        struct blobstore_stats left;
        struct family f;
        char path[2 * TEMPDIR_MAX];

        for (size_t o = 0; o < 2 * sizeof(orders) / sizeof(orders[0]); o++) {
                family_make(s, &f);
                for (int i = 0; i < FAMILY; i++) {
                        int goes = orders[o / 2][i];

                        assert_ok(blob_remove(s->bs, &f.ids[goes]));
                        f.there[goes] = false;
                        if (o % 2) /* what the maps say is enough to know it all again */
                                remake_index(s);
                        (void)store_gc(s);
                        family_assert_same(s, &f);
                }
                left = store_stats(s);
                assert_int_equal(left.chunks, 0);
                assert_int_equal(left.blobs, 0);
                for (int i = 0; i < FAMILY; i++) {
                        map_path(s, &f.ids[i], true, path);
                        assert_int_equal(access(path, F_OK), -1);
                }
                family_free(&f);
        }
}

/* What only the base had goes with it; what is lent stays. */
static void test_a_dead_lender_keeps_what_is_lent_and_nothing_else(void **state)
{
        struct store *s = *state;
        uint64_t before;
        struct family f;

        family_make(s, &f);
        before = store_stats(s).chunks;
        assert_ok(blob_remove(s->bs, &f.ids[BASE]));
        f.there[BASE] = false;
        (void)store_gc(s);
        assert_true(store_stats(s).chunks < before && store_stats(s).chunks + 16 > before);
        store_reopen(s);
        family_assert_same(s, &f);
        family_free(&f);
}

static void test_one_that_is_open_may_go_before_those_that_borrow_of_it(void **state)
{
        struct store *s = *state;
        struct blob *base;
        struct family f;

        family_make(s, &f);
        assert_ok(blob_open(s->bs, &f.ids[BASE], &base));
        assert_ok(blob_remove(s->bs, &f.ids[BASE]));
        assert_ok(blob_remove(s->bs, &f.ids[CHILD]));
        assert_ok(blob_remove(s->bs, &f.ids[GRANDCHILD]));
        (void)store_gc(s);
        image_assert_same(base, f.bytes[BASE], SIZE);
        blob_close(base);
        (void)store_gc(s);
        assert_int_equal(store_stats(s).chunks, 0);
        family_free(&f);
}

/* ---- a lender that is lost ---- */

static void test_what_a_lost_lender_lent_cannot_be_read_and_is_not_given_back(void **state)
{
        struct store *s = *state;
        char dead[2 * TEMPDIR_MAX], away[2 * TEMPDIR_MAX];
        struct blobstore_gc_stats stats;
        struct blob *b;
        struct family f;
        uint8_t block[BLOCK];

        family_make(s, &f);
        assert_ok(blob_remove(s->bs, &f.ids[BASE]));
        f.there[BASE] = false;
        (void)store_gc(s);
        map_path(s, &f.ids[BASE], true, dead);
        store_path(s, "away", away);
        store_close(s);
        assert_ok(rename(dead, away));
        assert_ok(store_open(s));
        assert_true(store_check(s) > 0);

        /* Also where the index is made again without it. */
        for (int i = 0; i < 2; i++) {
                assert_ok(blob_open(s->bs, &f.ids[CHILD], &b));
                assert_int_equal(blob_pread(b, block, BLOCK, SIZE - BLOCK), -EBADMSG);
                blob_close(b);
                stats = store_gc(s);
                assert_int_equal(stats.bytes_freed, 0);
                assert_int_equal(stats.withheld, i > 0);
                remake_index(s);
        }
        store_close(s);
        assert_ok(rename(away, dead));
        assert_ok(store_open(s));
        family_assert_same(s, &f);
        family_free(&f);
}

/* ---- tables that cannot be ---- */

static void test_a_map_does_not_borrow_from_itself_nor_pages_that_are_not_there(void **state)
{
        struct store *s = *state;
        struct blob_id id = { "ABCDEFGHIJKLMNO" };
        struct blob_info info = { .size_bytes = 100 * MIB };
        struct blob *base = make_dense(s, 3);
        struct map_cursor cursor;
        struct map_writer *w;
        struct map_page page;
        struct map *m;
        int fd;

        assert_ok(map_row_describe(base->map, 1, &page));
        for (int i = 0; i < 2; i++) {
                fd = open("/tmp", O_RDWR | O_TMPFILE | O_CLOEXEC, 0600);
                assert_ok(map_writer_new(dup(fd), &id, &w));
                if (i == 0)
                        page.lender = id;
                else
                        page.page = 1 << 30;
                assert_ok(map_writer_borrow(w, &page));
                assert_ok(map_writer_finish(w, &info));
                map_writer_free(w);
                if (i == 0) {
                        assert_err(map_open(fd, &id, &m), -EBADMSG);
                        page.lender = base->id;
                        continue;
                }
                assert_ok(map_open(fd, &id, &m));
                assert_err(map_seek(m, 0, &cursor), -EBADMSG); /* nobody to ask for it */
                map_set_lenders(m, NULL, NULL);
                assert_err(map_seek(m, 0, &cursor), -EBADMSG);
                map_close(m);
        }
        blob_close(base);
        assert_false(blobstore_is_degraded(s->bs));
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(test_what_a_copy_with_a_change_costs_follows_the_change, store_setup,
                                                store_teardown),
                cmocka_unit_test_setup_teardown(test_families_may_go_in_every_order, store_setup, store_teardown),
                cmocka_unit_test_setup_teardown(test_a_dead_lender_keeps_what_is_lent_and_nothing_else, store_setup,
                                                store_teardown),
                cmocka_unit_test_setup_teardown(test_one_that_is_open_may_go_before_those_that_borrow_of_it, store_setup,
                                                store_teardown),
                cmocka_unit_test_setup_teardown(test_what_a_lost_lender_lent_cannot_be_read_and_is_not_given_back,
                                                store_setup, store_teardown),
                cmocka_unit_test_setup_teardown(
                        test_a_map_does_not_borrow_from_itself_nor_pages_that_are_not_there, store_setup, store_teardown),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: MIT */

/* Reading a whole store: each chunk once, whatever is damaged is found, and those whose it is are named. */

#include "blobstore/blobs/scrub.h"

#include <errno.h>
#include <fcntl.h>
#include <sqlite3.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <string.h>
#include <unistd.h>

#include "blobstore/blobs/map.h"
#include "blobstore/chunks/segment.h"
#include "tests/lib/expect.h"
#include "tests/lib/store.h"

#define IMAGE_BYTES ((size_t)1 << 20)
#define BLOCK       4096

/* What a pass tells. */
struct pass {
        struct blobstore *other; /* where whole chunks may be; NULL: nowhere */
        uint64_t healed, healed_maps, healed_tables;
        struct blob *same; /* of the same content as all that is asked about; NULL: there is none */
        struct scrub_position pos;
        uint64_t bytes;       /* read */
        unsigned stop_after;  /* so many calls of pace; 0: never */
        unsigned paces;       /* calls of that */
        unsigned remove_at;   /* at that one … */
        struct store *store;
        struct blob_id removed; /* … this blob of the store goes */
        unsigned reached;     /* positions that it was told */
        struct blob_id named[16];
        enum blobstore_problem kinds[16];
        char text[16][128];
        size_t n, of_blobs;
};

static int pace(void *ctx, uint64_t n)
{
        struct pass *p = ctx;

        p->bytes += n;
        if (++p->paces == p->remove_at)
                assert_ok(blob_remove(p->store->bs, &p->removed));
        return p->stop_after && --p->stop_after == 0 ? -ECANCELED : 0;
}

static int reached(void *ctx, const struct scrub_position *pos)
{
        struct pass *p = ctx;

        p->pos = *pos;
        p->reached++;
        return 0;
}

static void problem(void *ctx, enum blobstore_problem kind, const struct blob_id *id, const char *text)
{
        struct pass *p = ctx;

        print_message("%s\n", text);
        if (p->n == 16)
                return;
        p->kinds[p->n] = kind;
        p->named[p->n] = id ? *id : (struct blob_id){ 0 };
        (void)snprintf(p->text[p->n++], sizeof(p->text[0]), "%s", text);
        p->of_blobs += id != NULL;
}

static int find(void *ctx, const struct chunk_name *name, void *buf, size_t n)
{
        const struct pass *p = ctx;

        return blob_find_chunk(p->other, name, buf, n);
}

static void healed(void *ctx, enum scrub_healed what, uint64_t n)
{
        struct pass *p = ctx;

        *(what == SCRUB_HEALED_MAPS ? &p->healed_maps : what == SCRUB_HEALED_TABLES ? &p->healed_tables : &p->healed) += n;
}

static int find_same(void *ctx, const struct blob_id *blob, uint64_t off, unsigned nth, void *buf, size_t n)
{
        const struct pass *p = ctx;

        (void)blob;
        return nth > 0 || !p->same ? -ENOENT : blob_pread(p->same, buf, n, off) == (ssize_t)n;
}

static int scrub(struct store *s, struct pass *p)
{
        const struct scrub_ops ops = {
                .pace = pace,
                .reached = reached,
                .problem = problem,
                .find = p->other ? find : NULL,
                .find_same = find_same,
                .healed = healed,
                .ctx = p,
        };
        const struct scrub_position from = p->pos;

        return blob_scrub(s->bs, &from, &ops);
}

static bool names(const struct pass *p, const struct blob_id *id)
{
        for (size_t i = 0; i < p->n; i++)
                if (memcmp(&p->named[i], id, sizeof(*id)) == 0)
                        return true;
        return false;
}

static struct blob_id add(struct store *s, uint64_t seed)
{
        uint8_t *bytes = image_make(seed, IMAGE_BYTES);
        struct blob *b = image_store(s, bytes, IMAGE_BYTES);
        struct blob_id id = *blob_get_id(b);

        blob_close(b);
        free(bytes);
        return id;
}

/* All of a blob but for the block at OFF, which is other: most pages of its map are the other's. */
static struct blob_id add_like(struct store *s, const struct blob_id *like, uint64_t off)
{
        struct blob_share_stats stats;
        struct blob_writer *w;
        uint8_t block[BLOCK];
        uint64_t seed = off, size;
        struct blob *from, *b;
        struct blob_id id;

        assert_ok(blob_open(s->bs, like, &from));
        size = blob_get_info(from)->size_bytes;
        assert_ok(blob_writer_new(s->bs, &w));
        assert_ok(blob_writer_share(w, from, 0, off, &stats));
        random_fill(&seed, block, sizeof(block));
        assert_ok(blob_writer_append(w, block, sizeof(block)));
        assert_ok(blob_writer_share(w, from, off + BLOCK, size - off - BLOCK, &stats));
        assert_ok(blob_writer_commit(w, &b));
        blob_writer_free(w);
        id = *blob_get_id(b);
        blob_close(b);
        blob_close(from);
        return id;
}

static void map_path(const struct blob_id *id, const char *suffix, char ret[64])
{
        int n = snprintf(ret, 64, "maps/%02x/", id->bytes[0]);

        for (size_t i = 0; i < BLOB_ID_SIZE; i++)
                n += snprintf(ret + n, 64 - (size_t)n, "%02x", id->bytes[i]);
        (void)snprintf(ret + n, 64 - (size_t)n, "%s", suffix);
}

static void flip(const struct store *s, const char *name, off_t at)
{
        char path[2 * TEMPDIR_MAX];
        uint8_t byte;
        int fd;

        store_path(s, name, path);
        fd = open(path, O_RDWR | O_CLOEXEC);
        assert_true(fd >= 0);
        if (at < 0)
                at += lseek(fd, 0, SEEK_END);
        assert_int_equal(pread(fd, &byte, 1, at), 1);
        byte ^= 0x10;
        assert_int_equal(pwrite(fd, &byte, 1, at), 1);
        (void)close(fd);
}

static int read_all(struct store *s, const struct blob_id *id)
{
        uint8_t *buf = malloc(IMAGE_BYTES);
        struct blob *b;
        ssize_t n;
        int r;

        r = blob_open(s->bs, id, &b);
        if (r == 0) {
                n = blob_pread(b, buf, IMAGE_BYTES, 0);
                r = n < 0 ? (int)n : 0;
                blob_close(b);
        }
        free(buf);
        return r;
}

static void test_each_stored_chunk_is_read_once_whoever_shares_it(void **state)
{
        struct store *s = *state;
        const struct blob_id one = add(s, 1);
        struct pass p = { 0 };

        for (unsigned i = 0; i < 5; i++)
                (void)add(s, 1);
        (void)add_like(s, &one, 8 * BLOCK);
        assert_ok(scrub(s, &p));
        assert_int_equal(p.n, 0);
        assert_int_equal(p.pos.stage, SCRUB_DONE);
        assert_true(p.bytes >= store_stats(s).stored_bytes);
        assert_true(p.bytes < 2 * store_stats(s).stored_bytes);
}

static void test_a_damaged_chunk_is_found_and_all_who_have_it_are_named(void **state)
{
        struct store *s = *state;
        const struct blob_id one = add(s, 1), same = add(s, 1);
        struct blob_id other;
        struct pass p = { 0 };

        store_reopen(s);
        other = add(s, 2);
        store_close(s);
        flip(s, "segments/00000001.seg", 20000);
        assert_ok(store_open(s));
        assert_ok(scrub(s, &p));
        assert_int_equal(p.n, 2);
        assert_true(names(&p, &one) && names(&p, &same));
        assert_int_equal(p.kinds[0], BLOBSTORE_PROBLEM_CHUNK);
        assert_contains(p.text[0], "1 chunks are missing or damaged, the first one at byte ");
        assert_err(read_all(s, &one), -EBADMSG);
        assert_ok(read_all(s, &other));

        /* And once more: the index has no name for it any more. */
        p = (struct pass){ 0 };
        assert_ok(scrub(s, &p));
        assert_int_equal(p.n, 2);
        store_close(s);
        flip(s, "segments/00000001.seg", 20000);
        assert_ok(store_open(s));
        p = (struct pass){ 0 };
        assert_ok(scrub(s, &p));
        assert_int_equal(p.n, 0);
}

/* One of a single chunk. */
static struct blob_id add_block(struct store *s, uint64_t seed)
{
        uint8_t bytes[BLOCK];
        struct blob_id id;
        struct blob *b;

        random_fill(&seed, bytes, sizeof(bytes));
        b = image_store(s, bytes, sizeof(bytes));
        id = *blob_get_id(b);
        blob_close(b);
        return id;
}

/* What nobody can name any more, since a pass found it before, is known at once; what comes before it, with its segment's end. */
static void test_damaged_chunks_are_told_in_whatever_order_they_are_found(void **state)
{
        struct store *s = *state;
        const struct blob_id one = add_block(s, 1), two = add_block(s, 2);
        struct pass p = { 0 };

        flip(s, "segments/00000001.seg", BLOCK + 2000);
        assert_ok(scrub(s, &p));
        assert_int_equal(p.n, 1);
        assert_true(names(&p, &two));
        flip(s, "segments/00000001.seg", 2000);
        p = (struct pass){ 0 };
        assert_ok(scrub(s, &p));
        assert_int_equal(p.n, 2);
        assert_true(names(&p, &one) && names(&p, &two));
        store_close(s);
}

static int compare_ids(const void *a, const void *b)
{
        return memcmp(a, b, sizeof(struct blob_id));
}

/* While maps are read for themselves, and while it is found out whose the damage is; one that is open, and one that is not. */
static void test_a_blob_that_is_removed_meanwhile_keeps_no_other_from_being_read(void **state)
{
        enum { BLOBS = 6 };
        struct store *s = *state;
        struct blob_id ids[BLOBS];
        struct pass p = { 0 };
        struct blob *open;
        unsigned before;
        char name[64];

        for (int i = 0; i < BLOBS; i++)
                ids[i] = add_block(s, (uint64_t)i);
        qsort(ids, BLOBS, sizeof(ids[0]), compare_ids);
        assert_ok(scrub(s, &p));
        assert_int_equal(p.n, 0);
        before = p.paces - BLOBS; /* the first map */
        map_path(&ids[BLOBS - 1], "", name);
        flip(s, name, MAP_PAGE_SIZE + 100);
        for (unsigned i = 0; i < 4; i++) {
                assert_ok(blob_open(s->bs, &ids[1 + i], &open));
                if (i % 2 == 0)
                        blob_close(open);
                p = (struct pass){ .remove_at = i < 2 ? before + 1 : before + BLOBS - i + 1, .store = s, .removed = ids[1 + i] };
                assert_ok(scrub(s, &p));
                assert_int_equal(p.n, 1);
                assert_true(names(&p, &ids[BLOBS - 1]));
                assert_int_equal(p.paces, before + BLOBS - i - (i < 2) + BLOBS - i - 1); /* each of the others, twice */
                if (i % 2 == 1)
                        blob_close(open);
                (void)store_gc(s);
        }
        store_close(s);
}

/* Puts a map of so many pages in the place of a blob's, which is not open. */
static void enlarge_map(const struct store *s, const struct blob_id *id, uint64_t pages)
{
        struct blob_info info = { .size_bytes = pages * MAP_PAGE_ENTRIES * 2 * BLOCK };
        char name[64], path[2 * TEMPDIR_MAX];
        struct map_writer *w;
        int fd;

        map_path(id, "", name);
        store_path(s, name, path);
        fd = open(path, O_RDWR | O_TRUNC | O_CLOEXEC);
        assert_true(fd >= 0);
        assert_ok(map_writer_new(fd, id, &w));
        for (uint64_t i = 0; i < pages * MAP_PAGE_ENTRIES; i++) {
                struct map_entry e = { .offset = i * 2 * BLOCK, .len = BLOCK, .raw_len = BLOCK, .stored_len = 1,
                                       .place = place_make(1, 16) };

                assert_ok(map_writer_add(w, &e));
        }
        assert_ok(map_writer_finish(w, &info));
        map_writer_free(w);
}

/* Somebody is asked whether to go on, and told of what was read, within a large map, too. */
static void test_a_large_map_is_read_in_pieces(void **state)
{
        static const uint64_t pages = 300;
        struct store *s = *state;
        const struct blob_id id = add_block(s, 1);
        struct pass small = { 0 }, large = { 0 }, damaged = { 0 };
        char name[64];

        assert_ok(scrub(s, &small));
        enlarge_map(s, &id, pages);
        assert_ok(scrub(s, &large));
        assert_int_equal(large.n, 0);
        assert_int_equal(large.bytes, small.bytes + (pages - 1) * MAP_PAGE_SIZE);
        assert_int_equal(large.paces, small.paces + 2);
        map_path(&id, "", name);
        flip(s, name, (off_t)pages * MAP_PAGE_SIZE + 100);
        assert_ok(scrub(s, &damaged));
        assert_int_equal(damaged.n, 1);
        assert_int_equal(damaged.bytes, large.bytes + pages * MAP_PAGE_SIZE); /* whose it is was asked for, too */
        assert_int_equal(damaged.paces, large.paces + 3);
        store_close(s);
}

static void test_a_missing_segment_and_a_missing_map_are_found(void **state)
{
        struct store *s = *state;
        const struct blob_id one = add(s, 1), two = add(s, 2);
        char name[64], path[2 * TEMPDIR_MAX];
        struct pass p = { 0 };

        store_close(s);
        map_path(&two, "", name);
        store_path(s, name, path);
        assert_ok(unlink(path));
        store_path(s, "segments/00000001.seg", path);
        assert_ok(unlink(path));
        assert_ok(store_open(s));
        assert_ok(scrub(s, &p));
        assert_true(names(&p, &one) && names(&p, &two));
        store_close(s);
}

static void test_damage_of_a_map_is_found_and_who_borrows_of_it_is_named(void **state)
{
        struct store *s = *state;
        const struct blob_id one = add(s, 1), other = add(s, 2), like = add_like(s, &one, IMAGE_BYTES / 2);
        char name[64];
        struct pass p = { 0 };

        store_close(s);
        map_path(&one, "", name);
        flip(s, name, 4096 + 100); /* its first page of entries */
        assert_ok(store_open(s));
        assert_ok(scrub(s, &p));
        assert_true(names(&p, &one));
        if (read_all(s, &like) < 0)
                assert_true(names(&p, &like));
        assert_false(names(&p, &other));
        assert_int_equal(p.kinds[0], BLOBSTORE_PROBLEM_MAP);
        store_close(s);
        flip(s, name, 4096 + 100);
        flip(s, name, 20); /* its header */
        assert_ok(store_open(s));
        p = (struct pass){ 0 };
        assert_ok(scrub(s, &p));
        assert_true(names(&p, &one));
        assert_false(names(&p, &other));
        store_close(s);
}

/* The lender is removed, and its file is there for who borrows of it alone. */
static void test_a_missing_map_of_a_removed_lender_is_found(void **state)
{
        struct store *s = *state;
        const struct blob_id other = add(s, 2);
        uint8_t *bytes = calloc(1, IMAGE_BYTES);
        char name[64], path[3 * TEMPDIR_MAX];
        struct pass p = { 0 };
        struct blob_id one, like;
        uint64_t seed = 1;
        struct blob *b;

        assert_non_null(bytes);
        for (size_t at = 0; at < IMAGE_BYTES; at += 2 * (size_t)BLOCK) /* each a chunk: more than a page of them is lent */
                random_fill(&seed, bytes + at, BLOCK);
        b = image_store(s, bytes, IMAGE_BYTES);
        free(bytes);
        one = *blob_get_id(b);
        blob_close(b);
        like = add_like(s, &one, IMAGE_BYTES - 16 * BLOCK);
        assert_ok(blob_remove(s->bs, &one));
        (void)store_gc(s);
        assert_ok(scrub(s, &p));
        assert_int_equal(p.n, 0);
        store_close(s);
        map_path(&one, ".dead", name);
        store_path(s, name, path);
        assert_ok(unlink(path));
        assert_ok(store_open(s));
        assert_true(read_all(s, &like) < 0);
        p = (struct pass){ 0 };
        assert_ok(scrub(s, &p));
        assert_true(names(&p, &like));
        assert_false(names(&p, &other));
        store_close(s);
}

static void test_what_a_segment_says_of_itself_is_looked_at(void **state)
{
        struct store *s = *state;
        struct pass p = { 0 };

        (void)add(s, 1);
        store_close(s);
        flip(s, "segments/00000001.seg", -80);
        assert_ok(store_open(s));
        assert_ok(scrub(s, &p));
        assert_int_equal(p.n, 1);
        assert_int_equal(p.kinds[0], BLOBSTORE_PROBLEM_INDEX);
        assert_contains(p.text[0], "segment 00000001 does not say what is in it");
        store_close(s);
}

/* Between the two steps of giving a segment back a crash may come, or a pass; a row whose file is gone stands for both. */
static void test_a_segment_that_is_being_given_back_is_no_damage(void **state)
{
        struct store *s = *state;
        char path[2 * TEMPDIR_MAX];
        struct pass p = { 0 };
        sqlite3 *db;

        (void)add(s, 1);
        store_close(s);
        store_path(s, "index.db", path);
        assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
        assert_int_equal(sqlite3_exec(db, "INSERT INTO segment (id, end, sealed, live, gaps) VALUES (9, 5000, 1, 0, 1)",
                                      NULL, NULL, NULL),
                         SQLITE_OK);
        assert_int_equal(sqlite3_close(db), SQLITE_OK);
        assert_ok(store_open(s));
        assert_ok(scrub(s, &p));
        assert_int_equal(p.n, 0);
        (void)store_gc(s);
        assert_ok(scrub(s, &p));
        assert_int_equal(p.n, 0);
        store_assert_clean(s);
        store_close(s);
}

static bool never(void *ctx)
{
        (void)ctx;
        return false;
}

static void test_what_was_moved_is_read_where_it_lies_and_tables_of_moves_are_looked_at(void **state)
{
        struct store *s = *state;
        const struct blob_id one = add(s, 1), two = add(s, 2);
        struct blobstore_tidy_stats moved = { 0 };
        struct pass p = { 0 };

        store_reopen(s);
        assert_int_equal(blobstore_tidy(s->bs, never, NULL, &moved), 1);
        (void)store_gc(s);
        assert_ok(scrub(s, &p));
        assert_int_equal(p.n, 0);
        assert_true(p.bytes >= store_stats(s).stored_bytes);

        flip(s, "moved/00000001", 40);
        assert_ok(scrub(s, &p));
        p = (struct pass){ 0 };
        assert_ok(scrub(s, &p));
        assert_int_equal(p.n, 1);
        assert_contains(p.text[0], "moved/00000001 is damaged");
        flip(s, "moved/00000001", 40);

        store_close(s);
        flip(s, "segments/00000002.seg", 20000);
        assert_ok(store_open(s));
        p = (struct pass){ 0 };
        assert_ok(scrub(s, &p));
        assert_int_equal(p.n, 1);
        assert_true(names(&p, &one) != names(&p, &two));
        store_close(s);
}

/* Stopped after every so many chunks, it goes on from where it said it was, and comes to its end. */
static void test_a_pass_that_is_stopped_goes_on_where_it_was(void **state)
{
        struct store *s = *state;
        struct blob_id last = { 0 };
        struct pass p = { 0 };
        unsigned rounds = 0;
        uint64_t all;

        for (uint64_t i = 0; i < 6; i++) {
                last = add(s, i);
                store_reopen(s); /* a segment each */
        }
        assert_ok(scrub(s, &p));
        all = p.bytes;
        store_close(s);
        flip(s, "segments/00000006.seg", 20000);
        assert_ok(store_open(s));
        p = (struct pass){ 0 };
        do {
                p.stop_after = 3; /* of each segment there are two, and the third is the next one's, or whose it is */
                p.n = 0;
                rounds++;
                assert_in_range(rounds, 1, 100);
        } while (scrub(s, &p) == -ECANCELED && p.pos.segment < 5);
        assert_int_equal(p.n, 0);
        assert_in_range(rounds, 2, 50);
        assert_true(p.bytes <= 2 * all); /* of what was cut off, not from the beginning each time */

        /* What is damaged and not told yet is before the position. */
        p.stop_after = 3;
        assert_err(scrub(s, &p), -ECANCELED);
        assert_int_equal(p.pos.stage, SCRUB_SEGMENTS);
        assert_int_equal(p.pos.segment, 5);
        p.stop_after = 0;
        assert_ok(scrub(s, &p));
        assert_true(names(&p, &last));
        assert_int_equal(p.pos.stage, SCRUB_DONE);
        p.n = 0;
        assert_ok(scrub(s, &p)); /* at the end there is nothing to do */
        assert_int_equal(p.n, 0);
        store_close(s);
}

/* ---- healing ---- */

static void write_all(struct blobstore *bs, const uint8_t *bytes, struct blob_id *ret)
{
        struct blob *b;

        assert_ok(image_write(bs, bytes, IMAGE_BYTES, &b));
        *ret = *blob_get_id(b);
        blob_close(b);
}

/* Two images, of which the second is like the first here and there, so that it is encoded with its chunks. */
static void make_two(uint8_t *ret[2])
{
        ret[0] = image_make(1, IMAGE_BYTES);
        ret[1] = image_make(2, IMAGE_BYTES);
        for (size_t at = 0; at < IMAGE_BYTES; at += 16384)
                memcpy(ret[1] + at, ret[0] + at, at % 65536 ? 16384 : 8192);
}

static void rot(const struct store *s, const char *name)
{
        char path[2 * TEMPDIR_MAX];
        uint64_t size, allocated = 0;
        int fd;

        store_path(s, name, path);
        fd = open(path, O_RDONLY | O_CLOEXEC);
        assert_true(fd >= 0);
        size = (uint64_t)lseek(fd, 0, SEEK_END);
        (void)close(fd);
        for (uint64_t at = 1000; at + 20000 < size; at += 7000, allocated++)
                flip(s, name, (off_t)at);
        assert_true(allocated > 10);
}

static void assert_reads(struct store *s, const struct blob_id *id, const uint8_t *bytes)
{
        struct blob *b;

        assert_ok(blob_open(s->bs, id, &b));
        image_assert_same(b, bytes, IMAGE_BYTES);
        blob_close(b);
}

static void test_what_another_store_has_whole_is_healed(void **state)
{
        struct store *s = *state;
        struct pass p = { 0 };
        struct blob_id ids[2], there;
        struct blobstore *other;
        char path[2 * TEMPDIR_MAX];
        uint8_t *bytes[2];

        make_two(bytes);
        store_path(s, "../other", path);
        assert_ok(blobstore_open(path, &(struct blobstore_opts){ 0 }, &other));
        for (int i = 0; i < 2; i++) {
                write_all(s->bs, bytes[i], &ids[i]);
                write_all(other, bytes[i], &there);
        }
        store_close(s);
        rot(s, "segments/00000001.seg");
        assert_ok(store_open(s));
        assert_err(read_all(s, &ids[1]), -EBADMSG); /* and from here on the index has no names for some */
        p.other = other;
        assert_ok(scrub(s, &p));
        assert_int_equal(p.of_blobs, 0);
        assert_true(p.healed > 10);
        for (int i = 0; i < 2; i++)
                assert_reads(s, &ids[i], bytes[i]);
        (void)store_gc(s);
        store_reopen(s);
        for (int i = 0; i < 2; i++)
                assert_reads(s, &ids[i], bytes[i]);
        p = (struct pass){ .other = other };
        assert_ok(scrub(s, &p));
        assert_int_equal(p.of_blobs + p.healed, 0);
        for (int i = 0; i < 2; i++)
                free(bytes[i]);
        blobstore_close(other);
}

/* The index has forgotten what it is called, and its segment, which holds nothing else, says it. */
static void test_a_chunk_that_is_alone_in_its_segment_is_healed(void **state)
{
        struct store *s = *state;
        const struct blob_id id = add_block(s, 1);
        char path[2 * TEMPDIR_MAX];
        struct store other = { 0 };
        struct pass p = { 0 };

        store_path(s, "../other", path);
        assert_ok(blobstore_open(path, &(struct blobstore_opts){ 0 }, &other.bs));
        (void)add_block(&other, 1);
        store_reopen(s); /* which seals it */
        flip(s, "segments/00000001.seg", 2000);
        assert_ok(scrub(s, &p));
        assert_true(names(&p, &id));
        p = (struct pass){ .other = other.bs };
        assert_ok(scrub(s, &p));
        assert_int_equal(p.n, 0);
        assert_int_equal(p.healed, 1);
        blobstore_close(other.bs);
}

static void test_what_is_imported_anew_heals_what_it_was_before(void **state)
{
        struct store *s = *state;
        const struct blob_id one = add(s, 1);
        struct pass p = { 0 };

        store_close(s);
        flip(s, "segments/00000001.seg", 20000);
        assert_ok(store_open(s));
        p.other = s->bs;
        assert_ok(scrub(s, &p));
        assert_true(names(&p, &one));
        assert_int_equal(p.healed, 0);
        (void)add(s, 1);
        p = (struct pass){ .other = s->bs };
        assert_ok(scrub(s, &p));
        assert_int_equal(p.of_blobs, 0);
        assert_int_equal(p.healed, 1);
        assert_ok(read_all(s, &one));
}

/* No other copy is needed of what was read lately. */
static void test_what_is_still_decoded_in_memory_is_healed(void **state)
{
        struct store *s = *state;
        const struct blob_id one = add(s, 1);
        struct pass p = { .other = s->bs };
        char some[1024]; /* for whole chunks nothing is kept */
        struct blob *b;

        assert_ok(blob_open(s->bs, &one, &b));
        for (uint64_t off = 0; off < (256 << 10); off += sizeof(some))
                assert_int_equal(blob_pread(b, some, sizeof(some), off), sizeof(some));
        blob_close(b);
        flip(s, "segments/00000001.seg", 20000);
        assert_ok(scrub(s, &p));
        assert_int_equal(p.of_blobs, 0);
        assert_int_equal(p.healed, 1);
        store_reopen(s);
        assert_ok(read_all(s, &one));
}

/* What a blob was made of is asked for all that is missing of it, one thing after the other, and none is believed. */
struct made_of {
        const uint8_t *bytes;
        unsigned asked;
};

static int find_none(void *ctx, const struct chunk_name *name, void *buf, size_t n)
{
        (void)ctx;
        (void)name;
        (void)buf;
        (void)n;
        return 0;
}

static int find_in(void *ctx, const struct blob_id *blob, uint64_t off, unsigned nth, void *buf, size_t n)
{
        struct made_of *m = ctx;

        (void)blob;
        m->asked++;
        if (nth == 0)
                return 0; /* it cannot be read */
        if (nth > 2)
                return -ENOENT;
        memcpy(buf, m->bytes + off, n);
        if (nth == 1)
                ((uint8_t *)buf)[n / 2] ^= 1; /* it was written to since */
        return 1;
}

static int pace_none(void *ctx, uint64_t n)
{
        (void)ctx;
        (void)n;
        return 0;
}

static int reached_none(void *ctx, const struct scrub_position *pos)
{
        (void)ctx;
        (void)pos;
        return 0;
}

static void healed_all(void *ctx, enum scrub_healed what, uint64_t chunks)
{
        const struct made_of *m = ctx;

        assert_int_equal(what, SCRUB_HEALED_CHUNKS);
        assert_int_equal(chunks * 3, m->asked);
}

static void problem_none(void *ctx, enum blobstore_problem kind, const struct blob_id *id, const char *text)
{
        (void)ctx;
        (void)kind;
        fail_msg("%s%s", id ? "" : "of the store: ", text);
}

static void test_what_a_blob_was_made_of_heals_it(void **state)
{
        struct store *s = *state;
        struct blob_id ids[2];
        uint8_t *bytes[2];
        struct made_of m = { 0 };
        const struct scrub_ops ops = { .pace = pace_none, .reached = reached_none, .problem = problem_none,
                                       .find = find_none, .find_in = find_in, .healed = healed_all, .ctx = &m };

        make_two(bytes);
        write_all(s->bs, bytes[0], &ids[0]);
        m.bytes = bytes[0];
        store_close(s);
        rot(s, "segments/00000001.seg");
        assert_ok(store_open(s));
        assert_ok(blob_scrub(s->bs, &(struct scrub_position){ 0 }, &ops));
        assert_true(m.asked > 3);
        assert_reads(s, &ids[0], bytes[0]);
        store_reopen(s);
        assert_reads(s, &ids[0], bytes[0]);
        for (int i = 0; i < 2; i++)
                free(bytes[i]);
}

/* Somebody else's bytes are not taken, whoever gives them. */
static int find_wrong(void *ctx, const struct chunk_name *name, void *buf, size_t n)
{
        (void)ctx, (void)name;
        memset(buf, 7, n);
        return 1;
}

static void test_bytes_of_another_name_heal_nothing(void **state)
{
        struct store *s = *state;
        const struct blob_id one = add(s, 1);
        struct pass p = { 0 };
        const struct scrub_ops ops = {
                .pace = pace,
                .reached = reached,
                .problem = problem,
                .find = find_wrong,
                .healed = healed,
                .ctx = &p,
        };

        store_close(s);
        flip(s, "segments/00000001.seg", 20000);
        assert_ok(store_open(s));
        assert_ok(blob_scrub(s->bs, &(struct scrub_position){ 0 }, &ops));
        assert_int_equal(p.healed, 0);
        assert_true(names(&p, &one));
        assert_err(read_all(s, &one), -EBADMSG);
        store_close(s);
}

/* As where what is healed can be written nowhere, too: the disk is full. */
static int find_fails(void *ctx, const struct chunk_name *name, void *buf, size_t n)
{
        (void)ctx, (void)name, (void)buf, (void)n;
        return -EIO;
}

static void test_what_cannot_be_healed_is_named_all_the_same(void **state)
{
        struct store *s = *state;
        const struct blob_id one = add(s, 1);
        struct pass p = { 0 };
        const struct scrub_ops ops = {
                .pace = pace,
                .reached = reached,
                .problem = problem,
                .find = find_fails,
                .healed = healed,
                .ctx = &p,
        };

        store_close(s);
        flip(s, "segments/00000001.seg", 20000);
        assert_ok(store_open(s));
        assert_ok(blob_scrub(s->bs, &(struct scrub_position){ 0 }, &ops));
        assert_int_equal(p.healed, 0);
        assert_true(names(&p, &one));
        store_close(s);
}

/* ---- maps ---- */

struct kept_file {
        uint8_t bytes[16 * 4096];
        ssize_t n;
};

static void keep_file(const struct store *s, const char *name, struct kept_file *ret)
{
        char path[2 * TEMPDIR_MAX];
        int fd;

        store_path(s, name, path);
        fd = open(path, O_RDONLY | O_CLOEXEC);
        assert_true(fd >= 0);
        ret->n = read(fd, ret->bytes, sizeof(ret->bytes));
        assert_in_range(ret->n, 4096, sizeof(ret->bytes) - 1);
        (void)close(fd);
}

static void lose(const struct store *s, const char *name, off_t at, size_t n)
{
        char path[2 * TEMPDIR_MAX];
        uint8_t *zeros = calloc(1, n);
        int fd;

        assert_non_null(zeros);
        store_path(s, name, path);
        fd = open(path, O_RDWR | O_CLOEXEC);
        assert_true(fd >= 0);
        if (at < 0)
                at += lseek(fd, 0, SEEK_END);
        assert_int_equal(pwrite(fd, zeros, n, at), n);
        free(zeros);
        (void)close(fd);
}

static void assert_same_file(const struct store *s, const char *name, const struct kept_file *as)
{
        struct kept_file now;

        keep_file(s, name, &now);
        assert_int_equal(now.n, as->n);
        assert_memory_equal(now.bytes, as->bytes, (size_t)as->n);
}

/* PAGES: so many are healed, and MAP is as it was. Else nothing is, and ID is named. */
static void assert_pass_heals(struct store *s, struct blob *same, uint64_t pages, const struct blob_id *id, const char *map,
                              const struct kept_file *as)
{
        struct pass p = { .other = s->bs, .same = same };

        assert_ok(scrub(s, &p));
        assert_int_equal(p.healed_maps, pages);
        assert_int_equal(p.healed, 0);
        assert_int_equal(p.of_blobs == 0, pages > 0);
        if (pages)
                assert_same_file(s, map, as);
        else
                assert_true(names(&p, id));
        assert_int_equal(read_all(s, id) == 0, pages > 0);
}

/* A page names places of this store: those are found by what the chunks are called, wherever their bytes come from. */
static void test_a_page_of_a_map_is_made_again_from_the_same_content(void **state)
{
        struct store *s = *state;
        uint8_t *bytes[2];
        char name[64], path[2 * TEMPDIR_MAX];
        struct blobstore *elsewhere;
        struct blob *same, *wrong;
        struct kept_file map;
        struct blob_id id;

        make_two(bytes);
        store_path(s, "../elsewhere", path);
        assert_ok(blobstore_open(path, &(struct blobstore_opts){ 0 }, &elsewhere));
        assert_ok(image_write(elsewhere, bytes[1], IMAGE_BYTES, &same));
        assert_ok(image_write(elsewhere, bytes[0], IMAGE_BYTES, &wrong));
        write_all(s->bs, bytes[1], &id);
        map_path(&id, "", name);
        keep_file(s, name, &map);
        store_reopen(s); /* nothing is kept in memory */

        flip(s, name, 4096 + 100);
        assert_pass_heals(s, NULL, 0, &id, name, &map);
        assert_pass_heals(s, wrong, 0, &id, name, &map);
        assert_pass_heals(s, same, 1, &id, name, &map);
        store_reopen(s);
        lose(s, name, 4096, 4096);
        assert_pass_heals(s, same, 1, &id, name, &map);
        store_reopen(s);
        assert_reads(s, &id, bytes[1]);

        blob_close(wrong);
        blob_close(same);
        blobstore_close(elsewhere);
        for (int i = 0; i < 2; i++)
                free(bytes[i]);
}

/* How long chunks were before, only the page has; but each reached to where the next one is known to have lain. */
static void test_a_page_of_what_was_tidied_since_is_made_again(void **state)
{
        struct store *s = *state;
        struct blobstore_tidy_stats moved = { 0 };
        const struct blob_id id = add(s, 1);
        uint8_t *bytes = image_make(1, IMAGE_BYTES);
        struct blobstore *elsewhere;
        char name[64], path[2 * TEMPDIR_MAX];
        struct kept_file map;
        struct blob *same;

        store_path(s, "../elsewhere", path);
        assert_ok(blobstore_open(path, &(struct blobstore_opts){ 0 }, &elsewhere));
        assert_ok(image_write(elsewhere, bytes, IMAGE_BYTES, &same));
        store_reopen(s);
        assert_int_equal(blobstore_tidy(s->bs, never, NULL, &moved), 1);
        (void)store_gc(s);
        map_path(&id, "", name);
        keep_file(s, name, &map);
        lose(s, name, 4096 + 16 + 2 * 48, 48); /* the third of its chunks */
        assert_pass_heals(s, same, 1, &id, name, &map);
        store_reopen(s);
        lose(s, name, 4096, 4096);
        assert_pass_heals(s, same, 1, &id, name, &map);
        store_reopen(s);
        store_assert_clean(s);

        blob_close(same);
        blobstore_close(elsewhere);
        free(bytes);
        store_close(s);
}

/* What is lost is found, nothing that only it names is given back, no byte that is read is wrong, and a backup mends it. */
static void assert_named_and_kept(struct store *s, struct blob *same, const struct blob_id *id, const uint8_t *bytes,
                                  const char *map, const struct kept_file *as)
{
        const struct blobstore_stats before = store_stats(s);
        char path[2 * TEMPDIR_MAX];
        int fd;

        assert_pass_heals(s, same, 0, id, map, as);
        assert_true(store_check(s) > 0);
        (void)store_gc(s);
        store_reopen(s);
        (void)store_gc(s);
        assert_int_equal(store_stats(s).stored_bytes, before.stored_bytes);
        assert_err(read_all(s, id), -EBADMSG);

        store_path(s, map, path);
        fd = open(path, O_WRONLY | O_CLOEXEC);
        assert_true(fd >= 0);
        assert_int_equal(pwrite(fd, as->bytes, (size_t)as->n, 0), as->n);
        (void)close(fd);
        store_reopen(s);
        store_assert_clean(s);
        assert_reads(s, id, bytes);
}

/* Where chunks lie that were moved follows from segments and index; what a map said of them before does not, nor does its header. */
static void test_what_is_lost_whole_after_tidying_is_made_again_or_named(void **state)
{
        struct store *s = *state;
        struct blobstore_tidy_stats moved = { 0 };
        const struct blob_id id = add(s, 1);
        uint8_t *bytes = image_make(1, IMAGE_BYTES);
        const char *const table = "moved/00000001";
        char name[64], path[2 * TEMPDIR_MAX];
        struct blobstore *elsewhere;
        struct kept_file map;
        struct blob *same;
        struct pass p;

        store_path(s, "../elsewhere", path);
        assert_ok(blobstore_open(path, &(struct blobstore_opts){ 0 }, &elsewhere));
        assert_ok(image_write(elsewhere, bytes, IMAGE_BYTES, &same));
        store_reopen(s);
        assert_int_equal(blobstore_tidy(s->bs, never, NULL, &moved), 1);
        (void)store_gc(s);
        map_path(&id, "", name);
        keep_file(s, name, &map);

        for (int i = 0; i < 4; i++) { /* header and rows are lost, or the file; told, or healed */
                store_close(s);
                store_path(s, table, path);
                if (i < 2)
                        lose(s, table, 0, 4096);
                else
                        assert_int_equal(unlink(path) == 0, i == 2); /* it is gone already */
                assert_ok(store_open(s));
                assert_reads(s, &id, bytes);
                p = (struct pass){ .other = i % 2 ? s->bs : NULL };
                assert_ok(scrub(s, &p));
                assert_int_equal(p.healed, 0);
                assert_int_equal(p.healed_tables, i % 2);
                assert_int_equal(p.n, !(i % 2));
                if (p.n > 0) {
                        assert_int_equal(p.kinds[0], BLOBSTORE_PROBLEM_INDEX);
                        assert_contains(p.text[0], i == 0 ? "moved/00000001 is damaged" : "moved/00000001 is missing");
                }
                assert_reads(s, &id, bytes);
        }
        store_assert_clean(s);
        store_reopen(s);
        store_assert_clean(s);
        store_path(s, table, path);
        store_close(s);
        assert_int_equal(unlink(path), 0);
        assert_ok(store_open(s));
        assert_int_equal(store_check(s), 1); /* the table alone, which is made again with the index */
        store_close(s);
        store_path(s, "index.db", path);
        assert_int_equal(unlink(path), 0);
        assert_ok(store_open(s));
        store_assert_clean(s);

        lose(s, name, 0, 2 * 4096); /* header and page */
        store_reopen(s);
        assert_named_and_kept(s, same, &id, bytes, name, &map);
        lose(s, name, 4096, 4096); /* the page alone */
        store_reopen(s);
        assert_pass_heals(s, same, 1, &id, name, &map);
        lose(s, name, 0, (size_t)map.n); /* all of it */
        store_reopen(s);
        assert_named_and_kept(s, same, &id, bytes, name, &map);

        blob_close(same);
        blobstore_close(elsewhere);
        free(bytes);
}

/* How many blocks are read; each as it should be. */
static size_t readable(struct store *s, const struct blob_id *id, const uint8_t *bytes)
{
        uint8_t block[BLOCK];
        struct blob *b;
        size_t n = 0;

        assert_ok(blob_open(s->bs, id, &b));
        for (size_t off = 0; off < IMAGE_BYTES; off += BLOCK) {
                ssize_t got = blob_pread(b, block, BLOCK, off);

                if (got < 0) {
                        assert_int_equal(got, -EBADMSG);
                        continue;
                }
                assert_int_equal(got, BLOCK);
                assert_memory_equal(block, bytes + off, BLOCK);
                n++;
        }
        blob_close(b);
        return n;
}

/* The segment stays for a chunk that cannot be moved: where others lay, there are holes, which used to be taken for them. */
static void test_what_was_moved_is_read_without_its_table_where_it_left_a_hole(void **state)
{
        struct store *s = *state;
        struct blobstore_tidy_stats moved = { 0 };
        const struct blob_id id = add(s, 1);
        uint8_t *bytes = image_make(1, IMAGE_BYTES);
        char path[2 * TEMPDIR_MAX];
        struct stat st;
        size_t n;

        store_close(s);
        flip(s, "segments/00000001.seg", 20000);
        assert_ok(store_open(s));
        assert_int_equal(blobstore_tidy(s->bs, never, NULL, &moved), 1);
        (void)store_gc(s);
        store_reopen(s);
        (void)store_gc(s);
        n = readable(s, &id, bytes);
        assert_in_range(n, 1, IMAGE_BYTES / BLOCK - 1);
        store_close(s);
        store_path(s, "segments/00000001.seg", path);
        assert_int_equal(stat(path, &st), 0);
        lose(s, "segments/00000001.seg", 4096, (size_t)st.st_size - 4096); /* as what is punched reads */
        store_path(s, "moved/00000001", path);
        assert_int_equal(unlink(path), 0);
        assert_ok(store_open(s));
        assert_int_equal(readable(s, &id, bytes), n);
        free(bytes);
        store_close(s);
}

static void test_a_page_that_somebody_read_lately_is_put_back(void **state)
{
        struct store *s = *state;
        const struct blob_id id = add(s, 1);
        char name[64], some[1024];
        struct kept_file map;
        struct blob *b;

        map_path(&id, "", name);
        keep_file(s, name, &map);
        assert_ok(blob_open(s->bs, &id, &b));
        assert_int_equal(blob_pread(b, some, sizeof(some), 0), sizeof(some));
        lose(s, name, 4096, 4096);
        assert_pass_heals(s, NULL, 1, &id, name, &map);
        blob_close(b);
}

/* Wherever it is stopped, the page is as it was, and the next pass comes to it again. */
static void test_a_pass_that_is_stopped_while_it_heals_a_page_heals_it_later(void **state)
{
        struct store *s = *state;
        const struct blob_id id = add(s, 1);
        struct kept_file map;
        unsigned stopped = 0;
        struct blob *same;
        char name[64];
        int r;

        (void)add(s, 1);
        store_reopen(s);
        map_path(&id, "", name);
        keep_file(s, name, &map);
        lose(s, name, 4096, 4096);
        for (unsigned after = 1;; after += 1 + after / 4) { /* each adds to what a pass goes through before it may come there */
                struct pass p = { .other = s->bs, .stop_after = after };
                struct blob_id twin = add(s, 1);

                assert_ok(blob_open(s->bs, &twin, &same));
                p.same = same;
                r = scrub(s, &p);
                blob_close(same);
                if (r == 0 || p.healed_maps > 0) /* or it was stopped after that */
                        break;
                assert_int_equal(r, -ECANCELED);
                assert_in_range(++stopped, 1, 100);
        }
        assert_true(stopped > 0); /* how often is a matter of the order of ids */
        assert_same_file(s, name, &map);
        assert_ok(read_all(s, &id));
}

/* Each block of data a chunk: two pages. And one that is like it but for a block near the end: it borrows the first page. */
static void make_lender(struct store *s, struct blob_id *ret_lender, struct blob_id *ret_like)
{
        uint8_t *bytes = calloc(1, IMAGE_BYTES);
        uint64_t seed = 1;
        struct blob *b;

        assert_non_null(bytes);
        for (size_t at = 0; at < IMAGE_BYTES; at += 2 * (size_t)BLOCK)
                random_fill(&seed, bytes + at, BLOCK);
        b = image_store(s, bytes, IMAGE_BYTES);
        *ret_lender = *blob_get_id(b);
        blob_close(b);
        *ret_like = add_like(s, ret_lender, IMAGE_BYTES - 16 * BLOCK);
        free(bytes);
}

/* It lies in another's file, which only lends it, and is healed there; who has it open reads it from then on. */
static void test_a_page_that_is_borrowed_is_healed_where_it_lies(void **state)
{
        struct store *s = *state;
        uint8_t *read = malloc(IMAGE_BYTES);
        char name[64], path[2 * TEMPDIR_MAX];
        struct blobstore *elsewhere;
        struct blob_id lender, like;
        struct blob *same, *b;
        struct kept_file map;

        make_lender(s, &lender, &like);
        store_path(s, "../elsewhere", path);
        assert_ok(blobstore_open(path, &(struct blobstore_opts){ 0 }, &elsewhere));
        assert_ok(blob_open(s->bs, &like, &b));
        assert_int_equal(blob_pread(b, read, IMAGE_BYTES, 0), IMAGE_BYTES);
        blob_close(b);
        assert_ok(image_write(elsewhere, read, IMAGE_BYTES, &same));
        assert_ok(blob_remove(s->bs, &lender));
        (void)store_gc(s);
        store_reopen(s);

        map_path(&lender, ".dead", name);
        keep_file(s, name, &map);
        lose(s, name, 4096, 4096);
        assert_ok(blob_open(s->bs, &like, &b));
        assert_err(blob_pread(b, read, BLOCK, 0), -EBADMSG);
        assert_pass_heals(s, NULL, 0, &like, name, &map);
        assert_pass_heals(s, same, 1, &like, name, &map);
        assert_int_equal(blob_pread(b, read, IMAGE_BYTES, 0), IMAGE_BYTES);
        blob_close(b);

        blob_close(same);
        blobstore_close(elsewhere);
        free(read);
}

/* The header, the rows, and what a borrower wants to know: each follows from the rest. */
static void test_what_lies_around_the_pages_of_a_map_follows_from_them(void **state)
{
        struct store *s = *state;
        struct blob_id ids[2];
        struct kept_file map;
        char name[64];

        make_lender(s, &ids[0], &ids[1]);
        store_reopen(s);
        for (int i = 0; i < 2; i++) {
                map_path(&ids[i], "", name);
                keep_file(s, name, &map);
                flip(s, name, 20);
                assert_pass_heals(s, NULL, 1, &ids[i], name, &map);
                lose(s, name, 0, 4096);
                assert_pass_heals(s, NULL, 1, &ids[i], name, &map);
                flip(s, name, -1); /* of the last extent */
                assert_pass_heals(s, NULL, 1, &ids[i], name, &map);
                lose(s, name, -80, 80); /* both, and what is before them */
                assert_pass_heals(s, NULL, 1, &ids[i], name, &map);
                flip(s, name, 4096 + 100);
                flip(s, name, 20); /* a page, too */
                store_reopen(s); /* which nobody has in memory */
                assert_pass_heals(s, NULL, 0, &ids[i], name, &map);
                flip(s, name, 4096 + 100);
                flip(s, name, -40); /* both sides of what would prove it */
                assert_pass_heals(s, NULL, 0, &ids[i], name, &map);
                flip(s, name, -40);
                assert_pass_heals(s, NULL, 1, &ids[i], name, &map);
        }
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(test_each_stored_chunk_is_read_once_whoever_shares_it, store_setup,
                                                store_teardown),
                cmocka_unit_test_setup_teardown(test_a_damaged_chunk_is_found_and_all_who_have_it_are_named, store_setup,
                                                store_teardown),
                cmocka_unit_test_setup_teardown(test_damaged_chunks_are_told_in_whatever_order_they_are_found, store_setup,
                                                store_teardown),
                cmocka_unit_test_setup_teardown(test_a_blob_that_is_removed_meanwhile_keeps_no_other_from_being_read,
                                                store_setup, store_teardown),
                cmocka_unit_test_setup_teardown(test_a_large_map_is_read_in_pieces, store_setup, store_teardown),
                cmocka_unit_test_setup_teardown(test_a_missing_segment_and_a_missing_map_are_found, store_setup,
                                                store_teardown),
                cmocka_unit_test_setup_teardown(test_damage_of_a_map_is_found_and_who_borrows_of_it_is_named, store_setup,
                                                store_teardown),
                cmocka_unit_test_setup_teardown(test_a_missing_map_of_a_removed_lender_is_found, store_setup,
                                                store_teardown),
                cmocka_unit_test_setup_teardown(test_a_segment_that_is_being_given_back_is_no_damage, store_setup,
                                                store_teardown),
                cmocka_unit_test_setup_teardown(test_what_a_segment_says_of_itself_is_looked_at, store_setup,
                                                store_teardown),
                cmocka_unit_test_setup_teardown(
                        test_what_was_moved_is_read_where_it_lies_and_tables_of_moves_are_looked_at, store_setup,
                        store_teardown),
                cmocka_unit_test_setup_teardown(test_a_pass_that_is_stopped_goes_on_where_it_was, store_setup,
                                                store_teardown),
                cmocka_unit_test_setup_teardown(test_what_another_store_has_whole_is_healed, store_setup, store_teardown),
                cmocka_unit_test_setup_teardown(test_a_chunk_that_is_alone_in_its_segment_is_healed, store_setup,
                                                store_teardown),
                cmocka_unit_test_setup_teardown(test_what_is_imported_anew_heals_what_it_was_before, store_setup,
                                                store_teardown),
                cmocka_unit_test_setup_teardown(test_what_is_still_decoded_in_memory_is_healed, store_setup,
                                                store_teardown),
                cmocka_unit_test_setup_teardown(test_what_a_blob_was_made_of_heals_it, store_setup,
                                                store_teardown),
                cmocka_unit_test_setup_teardown(test_bytes_of_another_name_heal_nothing, store_setup, store_teardown),
                cmocka_unit_test_setup_teardown(test_what_cannot_be_healed_is_named_all_the_same, store_setup,
                                                store_teardown),
                cmocka_unit_test_setup_teardown(test_a_page_of_a_map_is_made_again_from_the_same_content, store_setup,
                                                store_teardown),
                cmocka_unit_test_setup_teardown(test_what_was_moved_is_read_without_its_table_where_it_left_a_hole,
                                                store_setup, store_teardown),
                cmocka_unit_test_setup_teardown(test_what_is_lost_whole_after_tidying_is_made_again_or_named, store_setup,
                                                store_teardown),
                cmocka_unit_test_setup_teardown(test_a_page_of_what_was_tidied_since_is_made_again, store_setup, store_teardown),
                cmocka_unit_test_setup_teardown(test_a_pass_that_is_stopped_while_it_heals_a_page_heals_it_later, store_setup,
                                                store_teardown),
                cmocka_unit_test_setup_teardown(test_a_page_that_somebody_read_lately_is_put_back, store_setup,
                                                store_teardown),
                cmocka_unit_test_setup_teardown(test_a_page_that_is_borrowed_is_healed_where_it_lies, store_setup,
                                                store_teardown),
                cmocka_unit_test_setup_teardown(test_what_lies_around_the_pages_of_a_map_follows_from_them, store_setup,
                                                store_teardown),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: MIT */

/*
 * A store damaged at a place chosen at random: scrub finds what cannot be read. And it is used: what is not concerned reads
 * right, what is gives an error and never other bytes, and what was collected meanwhile had nobody who needed it: with the
 * damaged file mended, everything is there again. IMAGEFS_TEST_COUNT damages (scripts/hostile and scripts/endure make
 * thousands), IMAGEFS_TEST_SEED to repeat one.
 */

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "blobstore/blobs/blob_write_priv.h"
#include "blobstore/blobs/scrub.h"
#include "tests/lib/expect.h"
#include "tests/lib/store.h"

#define BLOBS 9
#define BLOB_BYTES ((size_t)320 * 1024)
#define BLOCK 4096
#define PIECE_BYTES ((size_t)32 * BLOCK) /* each other block a chunk, between holes */
#define LENT_BYTES (32 * PIECE_BYTES)    /* and that so many times: some pages of a map */
#define DAY_US (UINT64_C(86400) * 1000000)

/*
 * The first is removed while the store is damaged, and with it one that lends to another. What one of the others
 * borrows of was removed before.
 */
enum { VICTIM = 0, LENDER = 5, BORROWER, HEIR, DEAD_LENDER };

static bool is_to_stay(int i)
{
        return i != VICTIM && i != LENDER && i != DEAD_LENDER;
}

struct world {
        struct store s;
        uint8_t *bytes[BLOBS], *gone; /* of one that was collected between the copies */
        size_t size[BLOBS];
        struct blob_id ids[BLOBS];
};

/* In the test's directory, with $f for the file. */
static void shell(const struct world *w, const char *text, const char *name)
{
        char command[8 * TEMPDIR_MAX];

        (void)snprintf(command, sizeof(command), "cd '%s' && f='%s' && %s", w->s.dir, name, text);
        assert_int_equal(system(command), 0);
}

static void add_blob(struct world *w, int i, const uint8_t *like)
{
        uint64_t seed = 100 + (uint64_t)i;
        struct blob *b;

        w->bytes[i] = image_make(seed, BLOB_BYTES);
        if (like) /* so that some chunks are shared, and some are the bases of others */
                for (size_t at = 0; at < BLOB_BYTES; at += 16384)
                        memcpy(w->bytes[i] + at, like + at, at % 65536 ? 16384 : 8192);
        b = image_store(&w->s, w->bytes[i], BLOB_BYTES);
        w->ids[i] = *blob_get_id(b);
        w->size[i] = BLOB_BYTES;
        blob_close(b);
}

/* One whose map has pages that others borrow. */
static void add_lender(struct world *w, int i)
{
        uint64_t seed = 100 + (uint64_t)i;
        struct blob_share_stats stats;
        struct blob_writer *writer;
        struct blob *piece, *b;

        w->size[i] = LENT_BYTES;
        w->bytes[i] = calloc(1, LENT_BYTES);
        assert_non_null(w->bytes[i]);
        for (size_t at = 0; at < PIECE_BYTES; at += 2 * (size_t)BLOCK)
                random_fill(&seed, w->bytes[i] + at, BLOCK);
        piece = image_store(&w->s, w->bytes[i], PIECE_BYTES);
        assert_ok(blob_writer_new(w->s.bs, &writer));
        for (size_t at = 0; at < LENT_BYTES; at += PIECE_BYTES) {
                memmove(w->bytes[i] + at, w->bytes[i], PIECE_BYTES);
                assert_ok(blob_writer_copy(writer, piece, 0, PIECE_BYTES, &stats));
        }
        assert_ok(blob_writer_commit(writer, &b));
        blob_writer_free(writer);
        w->ids[i] = *blob_get_id(b);
        assert_ok(blob_remove(w->s.bs, blob_get_id(piece)));
        blob_close(piece);
        blob_close(b);
}

/* The same but for a block. */
static void add_borrower(struct world *w, int i, int lender)
{
        const size_t at = LENT_BYTES / 2;
        struct blob_share_stats stats;
        struct blob_writer *writer;
        uint64_t loans, seed = 200 + (uint64_t)i;
        struct blob *from, *b;

        w->size[i] = LENT_BYTES;
        w->bytes[i] = malloc(LENT_BYTES);
        assert_non_null(w->bytes[i]);
        memcpy(w->bytes[i], w->bytes[lender], LENT_BYTES);
        random_fill(&seed, w->bytes[i] + at, BLOCK);
        assert_ok(blob_open(w->s.bs, &w->ids[lender], &from));
        assert_ok(blob_writer_new(w->s.bs, &writer));
        assert_ok(blob_writer_share(writer, from, 0, at, &stats));
        assert_ok(blob_writer_append(writer, w->bytes[i] + at, BLOCK));
        assert_ok(blob_writer_share(writer, from, at + BLOCK, LENT_BYTES - at - BLOCK, &stats));
        assert_ok(blob_writer_commit(writer, &b));
        blob_writer_free(writer);
        w->ids[i] = *blob_get_id(b);
        loans = map_entries(b->map) - map_own_entries(b->map);
        assert_true(loans > 2 * (uint64_t)MAP_PAGE_ENTRIES);
        blob_close(from);
        blob_close(b);
}

static bool never(void *ctx)
{
        (void)ctx;
        return false;
}

/* Two generations; "older" is the first one, "whole" both. */
static int setup(void **state)
{
        struct world *w = calloc(1, sizeof(*w));
        struct blobstore_tidy_stats moved = { 0 };
        struct blob_id gone;

        assert_non_null(w);
        tempdir_make(w->s.dir);
        assert_ok(store_open(&w->s));
        add_blob(w, 0, NULL);
        add_blob(w, 1, w->bytes[0]);
        add_blob(w, 2, NULL);
        gone = w->ids[2];
        w->gone = w->bytes[2];
        add_lender(w, LENDER);
        add_lender(w, DEAD_LENDER);
        add_borrower(w, HEIR, DEAD_LENDER);
        store_close(&w->s);
        shell(w, "cp -a store older", "");
        assert_ok(store_open(&w->s));
        assert_ok(blob_remove(w->s.bs, &gone));
        assert_ok(blob_remove(w->s.bs, &w->ids[DEAD_LENDER]));
        (void)store_gc(&w->s);
        add_blob(w, 2, w->bytes[1]);
        add_blob(w, 3, w->bytes[0]);
        store_reopen(&w->s);
        assert_int_equal(blobstore_tidy(w->s.bs, never, NULL, &moved), 1);
        (void)store_gc(&w->s);
        add_blob(w, 4, NULL);
        add_borrower(w, BORROWER, LENDER);
        store_close(&w->s);
        shell(w, "mv store whole", "");
        *state = w;
        return 0;
}

static int teardown(void **state)
{
        struct world *w = *state;

        for (int i = 0; i < BLOBS; i++)
                free(w->bytes[i]);
        free(w->gone);
        tempdir_remove(w->s.dir);
        free(w);
        return 0;
}

/* ---- choosing and damaging a file ---- */

struct files {
        char names[64][96];
        size_t n;
};

static void list_files(const struct world *w, struct files *ret)
{
        char command[2 * TEMPDIR_MAX];
        FILE *p;

        (void)snprintf(command, sizeof(command),
                       "cd '%s/whole' && find . -type f -size +0 ! -name reserve ! -name lock | sort", w->s.dir);
        p = popen(command, "r");
        assert_non_null(p);
        for (ret->n = 0; ret->n < 64 && fscanf(p, "./%95s\n", ret->names[ret->n]) == 1; ret->n++)
                ;
        (void)pclose(p);
        assert_in_range(ret->n, 9, 63);
}

static const char *damage(const struct world *w, const char *name, uint64_t *seed)
{
        char path[3 * TEMPDIR_MAX], older[3 * TEMPDIR_MAX];
        struct stat st;
        uint8_t byte;
        off_t at;
        int fd;

        store_path(&w->s, name, path);
        assert_ok(stat(path, &st));
        at = (off_t)(random_next(seed) % (uint64_t)st.st_size);
        switch (random_next(seed) % 8) {
        case 0:
                assert_ok(unlink(path));
                return "removed";
        case 1:
                assert_ok(truncate(path, at));
                return "cut";
        case 2:
        case 3:
                (void)snprintf(older, sizeof(older), "%s/older/%s", w->s.dir, name);
                if (access(older, F_OK) == 0) {
                        shell(w, "cp -a \"older/$f\" \"store/$f\"", name);
                        return "older";
                }
                break;
        }
        fd = open(path, O_RDWR | O_CLOEXEC);
        assert_true(fd >= 0);
        for (uint64_t n = random_next(seed) % 3; n < 3; n++, at = (off_t)(random_next(seed) % (uint64_t)st.st_size)) {
                assert_int_equal(pread(fd, &byte, 1, at), 1);
                byte ^= (uint8_t)(1 << random_next(seed) % 8);
                assert_int_equal(pwrite(fd, &byte, 1, at), 1);
        }
        (void)close(fd);
        return "flipped";
}

/* ---- what must hold ---- */

/* Never other bytes. True: it is whole. */
static bool reads_right(struct world *w, int i, uint8_t *buf)
{
        struct blob *b;
        ssize_t n;

        if (blob_open(w->s.bs, &w->ids[i], &b) < 0)
                return false;
        n = blob_pread(b, buf, w->size[i], 0);
        blob_close(b);
        if (n < 0)
                return false;
        assert_int_equal(n, w->size[i]);
        assert_memory_equal(buf, w->bytes[i], w->size[i]);
        return true;
}

static bool is_map_of(const struct world *w, const char *name, int i)
{
        char hex[2 * BLOB_ID_SIZE + 1];

        for (size_t k = 0; k < BLOB_ID_SIZE; k++)
                (void)snprintf(hex + 2 * k, 3, "%02x", w->ids[i].bytes[k]);
        return strstr(name, hex) != NULL;
}

/* Is the file one that blob I needs? A segment may be anybody's; tables of moves are only a shorter way. */
static bool concerns(const struct world *w, const char *name, int i)
{
        return strncmp(name, "segments/", 9) == 0 || is_map_of(w, name, i) ||
               (i == BORROWER && is_map_of(w, name, LENDER)) || (i == HEIR && is_map_of(w, name, DEAD_LENDER));
}

static bool is_named(void *ctx, const struct blob_id *id)
{
        const struct world *w = ctx;

        for (int i = 0; i < BLOBS; i++)
                if (is_to_stay(i) && memcmp(&w->ids[i], id, sizeof(*id)) == 0)
                        return true;
        return false;
}

static bool stays(void *ctx, const struct blob_id *id)
{
        const struct world *w = ctx;

        return memcmp(&w->ids[VICTIM], id, sizeof(*id)) != 0 &&
               memcmp(&w->ids[LENDER], id, sizeof(*id)) != 0; /* unnamed-days */
}

static void collect(struct world *w)
{
        struct blobstore_tidy_stats moved = { 0 };
        struct blobstore_gc_stats stats;

        (void)blobstore_tidy(w->s.bs, never, NULL, &moved);
        for (int i = 0; i < 2; i++)
                (void)blobstore_gc(w->s.bs, is_named, stays, w, DAY_US, &stats);
}

/*
 * What comes in anew: something of its own, what is just going, and what only an index that is older than the store
 * still knows, behind holes, so that it is cut as it was.
 */
#define NEW_BYTES (3 * BLOB_BYTES + 2 * 65536)

static uint8_t *make_new(const struct world *w, uint64_t seed)
{
        uint8_t *new = calloc(1, NEW_BYTES), *own = image_make(seed, BLOB_BYTES);

        assert_non_null(new);
        memcpy(new, own, BLOB_BYTES);
        memcpy(new + BLOB_BYTES + 65536, w->bytes[VICTIM], BLOB_BYTES);
        memcpy(new + 2 * BLOB_BYTES + 2 * 65536, w->gone, BLOB_BYTES);
        free(own);
        return new;
}

/* Work on the damaged store: what can be read is right, and what is new is kept. */
static void use(struct world *w, const char *name, bool again, uint64_t seed, uint8_t *buf)
{
        uint8_t *new = make_new(w, seed);
        struct blob *b;
        ssize_t n;

        for (int i = 0; i < BLOBS; i++)
                if ((is_to_stay(i) || (!again && i != DEAD_LENDER)) && !reads_right(w, i, buf) && !concerns(w, name, i))
                        fail_msg("blob %d cannot be read, and has nothing to do with %s", i, name);
        (void)blob_remove(w->s.bs, &w->ids[VICTIM]);
        (void)blob_remove(w->s.bs, &w->ids[LENDER]);
        if (image_write(w->s.bs, new, NEW_BYTES, &b) == 0) {
                collect(w);
                n = blob_pread(b, buf, NEW_BYTES, 0);
                if (n == (ssize_t)NEW_BYTES)
                        assert_memory_equal(buf, new, NEW_BYTES);
                else if (strncmp(name, "segments/", 9) != 0) /* else it may have met a damaged chunk */
                        fail_msg("a new blob gives %zd, and nothing is wrong with the segments", n);
                blob_close(b);
        }
        collect(w);
        free(new);
}

/* ---- what scrub says of it ---- */

struct told {
        const struct world *w;
        bool of[BLOBS];
};

static int goes_on(void *ctx, uint64_t n)
{
        (void)ctx;
        (void)n;
        return 0;
}

static int reached(void *ctx, const struct scrub_position *pos)
{
        (void)ctx;
        (void)pos;
        return 0;
}

static void told_of(void *ctx, enum blobstore_problem kind, const struct blob_id *id, const char *text)
{
        struct told *told = ctx;

        (void)kind;
        (void)text;
        for (int i = 0; id && i < BLOBS; i++)
                told->of[i] |= memcmp(&told->w->ids[i], id, sizeof(*id)) == 0;
}

/* Each blob that cannot be read is told of, by its name; an index that is damaged ends the pass. Gives how many. */
static unsigned scrub_finds(struct world *w, const char *name, uint8_t *buf)
{
        struct told told = { .w = w };
        const struct scrub_ops ops = { .pace = goes_on, .reached = reached, .problem = told_of, .ctx = &told };
        unsigned found = 0;
        int r;

        if (store_open(&w->s) < 0)
                return 0;
        r = blob_scrub(w->s.bs, &(struct scrub_position){ 0 }, &ops);
        if (r < 0)
                assert_true(strncmp(name, "index.db", 8) == 0);
        for (int i = 0; r == 0 && i < BLOBS; i++) {
                if (i == DEAD_LENDER || reads_right(w, i, buf))
                        continue;
                if (!told.of[i])
                        fail_msg("blob %d cannot be read, and scrub does not say so", i);
                found++;
        }
        store_close(&w->s);
        return found;
}

static void test_damage_anywhere_costs_what_it_concerns_and_nothing_else(void **state)
{
        uint64_t count = environment_number("IMAGEFS_TEST_COUNT", 70),
                 first = environment_number("IMAGEFS_TEST_SEED", 1);
        uint8_t *buf = malloc(LENT_BYTES); /* the longest */
        struct world *w = *state;
        unsigned opened = 0, found = 0;
        struct files files;

        list_files(w, &files);
        for (uint64_t i = 0; i < count; i++) {
                uint64_t seed = (first + i) * 7919;
                const char *name = files.names[random_next(&seed) % files.n], *how;

                shell(w, "rm -rf store && cp -a whole store", "");
                how = damage(w, name, &seed);
                print_message("seed %llu: %s %s\n", (unsigned long long)(first + i), how, name);
                shell(w, "rm -rf damaged && cp -a store damaged", "");
                found += scrub_finds(w, name, buf);
                shell(w, "rm -rf store && mv damaged store", "");
                for (int k = 0; k < 2; k++) /* the second time with what the first one made of it */
                        if (store_open(&w->s) == 0) {
                                opened++;
                                use(w, name, k > 0, seed + (uint64_t)k, buf);
                                store_close(&w->s);
                        }

                /* Mended; and the index is made again, so that nothing hides behind it. */
                shell(w, "cp -a \"whole/$f\" \"store/$f\"", name);
                shell(w, "rm -f store/index.db*", "");
                assert_ok(store_open(&w->s));
                for (int k = 0; k < BLOBS; k++)
                        if (is_to_stay(k) && !reads_right(w, k, buf))
                                fail_msg("blob %d is lost", k);
                store_close(&w->s);
        }
        assert_true(count < 10 || found > 0);
        assert_true(opened >= count); /* most damage keeps no store closed */
        free(buf);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(test_damage_anywhere_costs_what_it_concerns_and_nothing_else, setup,
                                                teardown),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: MIT */

/*
 * The files of guests: what the program that reads them says is believed only where it makes sense, whatever of it is cut off
 * or changed; and file systems that were made to do harm bring an error or an answer, and an end. IMAGEFS_GUEST_DAMAGES says
 * how many of these are tried, IMAGEFS_GUEST_SEED with which ones it begins.
 */

#include <fcntl.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "blobstore/base/cleanup.h"
#include "blobstore/base/io.h"
#include "blobstore/import/guest_files_priv.h"
#include "tests/lib/expect.h"
#include "tests/lib/random.h"
#include "tests/lib/tempdir.h"

#define DISK_BYTES (2 << 20)

static char dir[TEMPDIR_MAX];
static uint8_t whole[DISK_BYTES], bytes[DISK_BYTES];
static unsigned reads;
static int read_error;

static int read_bytes(void *ctx, void *buf, size_t n, uint64_t off)
{
        (void)ctx;
        assert_true(off <= DISK_BYTES && n <= DISK_BYTES - off);
        memcpy(buf, bytes + off, n);
        reads++;
        return read_error;
}

static const struct inside_disk disk = { DISK_BYTES, read_bytes, NULL };
static struct inside_part part = { .len = DISK_BYTES, .fs = "ext4" };

/* ---- a program that cannot be trusted ---- */

static struct guest_answer told;

/* What that packet, as an answer to Q, comes to. */
static int say(const struct guest_question *q, const void *packet, size_t size)
{
        int ends[2], r;

        assert_ok(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends));
        assert_int_equal(send(ends[1], packet, size, 0), (ssize_t)size);
        assert_ok(shutdown(ends[1], SHUT_WR));
        r = guest_files_answer(ends[0], &disk, &part, 50, q, &told);
        (void)close(ends[0]);
        (void)close(ends[1]);
        return r;
}

static int answer(enum guest_ask ask, const void *content, size_t n)
{
        static struct guest_answer a;

        a = (struct guest_answer){ .kind = INSIDE_ANSWER, .len = (uint32_t)n };
        memcpy(a.bytes, content, n);
        return say(&(struct guest_question){ .ask = ask, .pos = 100 }, &a, GUEST_ANSWER_SIZE(n));
}

static const struct guest_attr good = { .node = 5, .mode = S_IFREG | 0644, .nlink = 1, .size = 3, .mtime_ns = 999999999 };

#define ATTR(...) answer(GUEST_STAT, &(struct guest_attr){ __VA_ARGS__ }, sizeof(struct guest_attr))
#define OF_FILE(...) ATTR(.node = 5, .mode = S_IFREG | 0644, __VA_ARGS__)

static void test_attributes_must_make_sense(void **state)
{
        (void)state;
        assert_ok(answer(GUEST_STAT, &good, sizeof(good)));
        assert_ok(OF_FILE(.size = INT64_MAX));
        assert_err(OF_FILE(.size = UINT64_MAX), -EPROTO);
        assert_err(OF_FILE(.blocks = UINT64_MAX), -EPROTO);
        assert_err(OF_FILE(.ctime_ns = 1000000000), -EPROTO);
        assert_err(ATTR(.node = 0, .mode = S_IFREG | 0644), -EPROTO);
        assert_err(ATTR(.node = 5, .mode = 0), -EPROTO);
        assert_err(ATTR(.node = 5, .mode = 0170644), -EPROTO);
        assert_err(ATTR(.node = 5, .mode = 0x10000 | S_IFREG), -EPROTO);
        assert_err(answer(GUEST_ROOT, &good, sizeof(good)), -EPROTO); /* which is a directory */
}

static int map(uint32_t n, struct guest_extent first, struct guest_extent second, uint64_t end)
{
        struct guest_map m = { .end = end, .n = n, .extent = { first, second } };

        return answer(GUEST_MAP, &m, sizeof(m));
}

#define EXTENT(...) (struct guest_extent){ __VA_ARGS__ }

static void test_bytes_are_in_the_partition_and_in_order(void **state)
{
        struct guest_map m = { .end = UINT64_MAX, .inline_len = GUEST_INLINE_MAX };

        (void)state;
        assert_ok(map(0, EXTENT(0), EXTENT(0), 101));
        assert_ok(map(2, EXTENT(0, 10, DISK_BYTES - 10), EXTENT(10, 5, 0), UINT64_MAX));
        assert_err(map(0, EXTENT(0), EXTENT(0), 100), -EPROTO); /* it would be asked again and again */
        assert_err(map(2, EXTENT(0, 10, 0), EXTENT(9, 5, 0), UINT64_MAX), -EPROTO);
        assert_err(map(1, EXTENT(0, 0, 0), EXTENT(0), UINT64_MAX), -EPROTO);
        assert_err(map(1, EXTENT(0, 11, DISK_BYTES - 10), EXTENT(0), UINT64_MAX), -EPROTO);
        assert_err(map(1, EXTENT(0, 1, UINT64_MAX), EXTENT(0), UINT64_MAX), -EPROTO);
        assert_err(map(1, EXTENT(INT64_MAX, 2, 0), EXTENT(0), UINT64_MAX), -EPROTO);
        assert_err(map(1, EXTENT(100, 10, 0), EXTENT(0), 105), -EPROTO);
        assert_err(map(GUEST_EXTENTS_MAX + 1, EXTENT(0), EXTENT(0), UINT64_MAX), -EPROTO);
        assert_ok(answer(GUEST_MAP, &m, sizeof(m)));
        m.inline_len++;
        assert_err(answer(GUEST_MAP, &m, sizeof(m)), -EPROTO);
        m.inline_len = m.n = 1;
        assert_err(answer(GUEST_MAP, &m, sizeof(m)), -EPROTO);
}

/* One entry after the other; gives how long they are together. */
static size_t put_entry(uint8_t *buf, size_t at, const char *name, uint64_t next, struct guest_attr attr, bool has_attr)
{
        const struct guest_listed l = { .attr = attr, .next = next, .name_len = (uint32_t)strlen(name),
                                        .has_attr = has_attr };

        memcpy(buf + at, &l, sizeof(l));
        memcpy(buf + at + sizeof(l), name, l.name_len);
        return at + sizeof(l) + l.name_len;
}

static int list(const char *name, uint64_t next, struct guest_attr attr, bool has_attr)
{
        static uint8_t buf[1024];

        return answer(GUEST_LIST, buf, put_entry(buf, 0, name, next, attr, has_attr));
}

static void test_names_are_names_and_places_go_on(void **state)
{
        static char longest[GUEST_NAME_MAX + 2];

        (void)state;
        memset(longest, 'x', GUEST_NAME_MAX + 1);
        assert_err(list(longest, 101, good, true), -EPROTO);
        longest[GUEST_NAME_MAX] = '\0';
        assert_ok(list(longest, 101, good, true));
        assert_ok(list("\n\xff", 101, (struct guest_attr){ .node = 1, .mode = S_IFDIR }, false));
        assert_err(list("a", 100, good, true), -EPROTO);
        assert_err(list("a", UINT64_MAX, good, true), -EPROTO);
        assert_err(list("", 101, good, true), -EPROTO);
        assert_err(list(".", 101, good, true), -EPROTO);
        assert_err(list("..", 101, good, true), -EPROTO);
        assert_err(list("a/b", 101, good, true), -EPROTO);
        assert_err(list("a", 101, (struct guest_attr){ .mode = S_IFREG }, true), -EPROTO);
        assert_err(list("a", 101, (struct guest_attr){ 0 }, false), -EPROTO);
        assert_err(list("a", 101, (struct guest_attr){ .node = 1, .mode = S_IFREG | 0644 }, false), -EPROTO);
}

static int count_entry(void *ctx, const struct guest_entry *e)
{
        assert_true(e->name[0]);
        ++*(unsigned *)ctx;
        return 0;
}

static void test_what_is_cut_off_is_no_answer(void **state)
{
        static uint8_t buf[1024];
        static struct guest_answer a;
        const struct guest_question q = { .ask = GUEST_LIST };
        unsigned n = 0;
        size_t size = 0, one;

        (void)state;
        one = size = put_entry(buf, size, "first", 1, good, true);
        size = put_entry(buf, size, "second", 2, good, true);
        a = (struct guest_answer){ .kind = INSIDE_ANSWER, .len = (uint32_t)size };
        memcpy(a.bytes, buf, size);
        assert_ok(say(&q, &a, GUEST_ANSWER_SIZE(size)));
        assert_ok(guest_files_each(&told, 0, count_entry, &n));
        assert_int_equal(n, 2);
        for (size_t cut = 1; cut < GUEST_ANSWER_SIZE(size); cut++)
                assert_err(say(&q, &a, cut), -EPROTO);
        for (size_t cut = 1; cut < size; cut++) {
                a.len = (uint32_t)cut;
                assert_int_equal(say(&q, &a, GUEST_ANSWER_SIZE(cut)), cut == one ? 0 : -EPROTO);
        }
        a.len = UINT32_MAX;
        assert_err(say(&q, &a, GUEST_ANSWER_SIZE(size)), -EPROTO);
        for (size_t cut = 0; cut < sizeof(good); cut++)
                assert_err(answer(GUEST_STAT, &good, cut), -EPROTO);
        for (size_t cut = 0; cut < sizeof(struct guest_map); cut += 13)
                assert_err(answer(GUEST_MAP, bytes, cut), -EPROTO);
}

static void test_links_and_errors_and_reads_must_make_sense(void **state)
{
        static struct guest_answer a;
        const struct guest_question q = { .ask = GUEST_LINK };

        (void)state;
        assert_ok(answer(GUEST_LINK, "/etc", 4));
        assert_err(answer(GUEST_LINK, "", 0), -EPROTO);
        assert_err(answer(GUEST_LINK, "a\0b", 3), -EPROTO);
        assert_err(answer(GUEST_LINK, whole, GUEST_LINK_MAX + 1), -EPROTO);

        a = (struct guest_answer){ .kind = INSIDE_ANSWER, .error = EUCLEAN };
        assert_ok(say(&q, &a, GUEST_ANSWER_SIZE(0)));
        a.error = EACCES;
        assert_err(say(&q, &a, GUEST_ANSWER_SIZE(0)), -EPROTO);
        a.error = UINT64_MAX;
        assert_err(say(&q, &a, GUEST_ANSWER_SIZE(0)), -EPROTO);
        a = (struct guest_answer){ .kind = INSIDE_ANSWER, .error = EUCLEAN, .len = 1 };
        assert_err(say(&q, &a, GUEST_ANSWER_SIZE(1)), -EPROTO);
        a = (struct guest_answer){ .kind = INSIDE_END };
        assert_err(say(&q, &a, GUEST_ANSWER_SIZE(0)), -EPROTO);

        /* Reads: one that is answered, and then nothing more is said. */
        reads = 0;
        a = (struct guest_answer){ .kind = INSIDE_READ, .len = 16, .error = DISK_BYTES - 16 };
        assert_err(say(&q, &a, GUEST_ANSWER_SIZE(0)), -EPROTO);
        assert_int_equal(reads, 1);
        a.error++;
        assert_err(say(&q, &a, GUEST_ANSWER_SIZE(0)), -EPROTO);
        a = (struct guest_answer){ .kind = INSIDE_READ, .len = INSIDE_READ_MAX + 1 };
        assert_err(say(&q, &a, GUEST_ANSWER_SIZE(0)), -EPROTO);
        assert_int_equal(reads, 1);
}

/* ---- file systems ---- */

__attribute__((format(printf, 1, 2))) static int shell(const char *fmt, ...)
{
        char command[4096];
        va_list ap;
        int n;

        n = snprintf(command, sizeof(command), "cd %s && ", dir);
        va_start(ap, fmt);
        (void)vsnprintf(command + n, sizeof(command) - (size_t)n, fmt, ap);
        va_end(ap);
        return system(command);
}

static void take_disk(const char *name)
{
        CLEANUP_CLOSE int fd = -1;
        char path[2 * TEMPDIR_MAX];

        (void)snprintf(path, sizeof(path), "%s/%s", dir, name);
        fd = open(path, O_RDONLY | O_CLOEXEC);
        assert_true(fd >= 0);
        assert_int_equal(pread_full(fd, whole, sizeof(whole), 0), sizeof(whole));
        memcpy(bytes, whole, sizeof(bytes));
        (void)snprintf(part.fs, sizeof(part.fs), "%s", strcmp(name, "fat") == 0 ? "vfat" : "ext4");
}

/* A walk over all there is, as far as it makes sense: how much was found, and how often the program was too much for itself. */
struct tour {
        struct guest_files *files;
        unsigned found, deaths, left;
        uint64_t seed;
};

static void begin(struct tour *t)
{
        if (t->files && !guest_files_died(t->files))
                return;
        t->deaths += t->files != NULL;
        guest_files_close(t->files);
        assert_ok(guest_files_open(&disk, &part, &t->files));
}

static bool is_good(const struct tour *t, int r)
{
        if (r < 0 && r != -EUCLEAN && r != -EOPNOTSUPP && r != -EINVAL && r != -ENOENT && r != -ENOTDIR)
                fail_msg("seed %llu: %d (%s)", (unsigned long long)t->seed, r, expect_name(r));
        return r >= 0;
}

static void visit_file(struct tour *t, const struct guest_attr *a)
{
        char target[GUEST_LINK_MAX + 1];
        struct guest_map m;

        begin(t);
        if (S_ISLNK(a->mode))
                (void)is_good(t, guest_files_link(t->files, &disk, a->node, target));
        for (uint64_t off = 0; S_ISREG(a->mode) && off < a->size && t->left > 0; off = m.end, t->left--) {
                begin(t);
                if (!is_good(t, guest_files_map(t->files, &disk, a->node, off, &m)))
                        return;
        }
}

struct batch {
        unsigned n;
        uint64_t next;
        char name[16][GUEST_NAME_MAX + 1];
};

static int take_entry(void *ctx, const struct guest_entry *e)
{
        struct batch *b = ctx;

        memcpy(b->name[b->n++], e->name, sizeof(b->name[0]));
        b->next = e->next;
        return b->n == 16;
}

static void visit(struct tour *t, uint32_t node, unsigned depth)
{
        uint64_t pos = 0;

        while (t->left > 0) {
                struct batch *b = calloc(1, sizeof(*b));

                assert_non_null(b);
                begin(t);
                (void)is_good(t, guest_files_list(t->files, &disk, node, pos, 16, t->seed % 2, take_entry, b));
                pos = b->next;
                for (unsigned i = 0; i < b->n && t->left > 0; i++) {
                        struct guest_attr a;

                        t->left--;
                        begin(t);
                        if (!is_good(t, guest_files_find(t->files, &disk, node, b->name[i], &a)))
                                continue;
                        t->found++;
                        if (S_ISDIR(a.mode) && depth < 12)
                                visit(t, a.node, depth + 1);
                        else
                                visit_file(t, &a);
                }
                if (b->n == 0) {
                        free(b);
                        return;
                }
                free(b);
        }
}

static struct tour look_round(uint64_t seed)
{
        struct tour t = { .left = 600, .seed = seed };
        struct guest_attr root;

        begin(&t);
        if (is_good(&t, guest_files_root(t.files, &disk, &root)))
                visit(&t, root.node, 0);
        guest_files_close(t.files);
        return t;
}

static const char *const disks[] = { "ext4", "ext2", "fat" };

static bool has_disk(const char *name)
{
        char path[2 * TEMPDIR_MAX];

        (void)snprintf(path, sizeof(path), "%s/%s", dir, name);
        return access(path, R_OK) == 0;
}

static void test_what_is_there_is_found(void **state)
{
        (void)state;
        for (size_t i = 0; i < sizeof(disks) / sizeof(disks[0]); i++) {
                if (!has_disk(disks[i]))
                        continue;
                take_disk(disks[i]);
                assert_true(look_round(0).found >= 68);
        }
}

/* The directory "many": of its names, how many are found in which order, and what else comes of it. */
struct names {
        unsigned n;
        bool attr;
        uint64_t next;
        char name[64][GUEST_NAME_MAX + 1];
};

static int take_name(void *ctx, const struct guest_entry *e)
{
        struct names *all = ctx;

        assert_true(all->n < 64);
        assert_int_equal(e->has_attr, all->attr && S_ISREG(e->attr.mode));
        memcpy(all->name[all->n++], e->name, sizeof(all->name[0]));
        all->next = e->next;
        return 0;
}

static struct names *list_many(struct guest_files *f, bool attr, uint32_t *ret_node)
{
        struct names *all = calloc(1, sizeof(*all));
        struct guest_attr a;
        unsigned n;

        assert_non_null(all);
        all->attr = attr;
        assert_ok(guest_files_root(f, &disk, &a));
        assert_ok(guest_files_find(f, &disk, a.node, "many", &a));
        *ret_node = a.node;
        do {
                n = all->n;
                assert_ok(guest_files_list(f, &disk, a.node, all->next, 64, attr, take_name, all));
        } while (all->n > n);
        return all;
}

static void test_names_are_found_in_any_order(void **state)
{
        (void)state;
        for (size_t i = 0; i < sizeof(disks) / sizeof(disks[0]); i++) {
                struct guest_files *f;
                struct guest_attr a;
                struct names *all;
                uint32_t node;

                if (!has_disk(disks[i]))
                        continue;
                take_disk(disks[i]);
                assert_ok(guest_files_open(&disk, &part, &f));
                all = list_many(f, i % 2, &node);
                assert_int_equal(all->n, 60);
                for (unsigned k = 0; k < 3 * all->n; k++) {
                        const unsigned at = k < all->n ? k : k < 2 * all->n ? 2 * all->n - 1 - k : k * 37 % all->n;

                        assert_ok(guest_files_find(f, &disk, node, all->name[at], &a));
                        assert_int_equal(a.size, strlen(strrchr(all->name[at], ' ')));
                        if (k % 10 == 0)
                                assert_err(guest_files_find(f, &disk, node, "a file with number 61", &a), -ENOENT);
                }
                free(all);
                guest_files_close(f);
        }
}

/* In a directory with an index only those blocks are read that a name may be in. */
static void test_a_name_is_found_by_the_index(void **state)
{
        unsigned found = 0, broken = 0;
        struct guest_files *f;
        struct guest_attr a;
        struct names *all;
        uint8_t *entry;
        uint32_t node;

        (void)state;
        take_disk("ext4");
        assert_ok(guest_files_open(&disk, &part, &f));
        all = list_many(f, true, &node);
        guest_files_close(f);

        entry = memmem(bytes, sizeof(bytes), all->name[0], strlen(all->name[0]));
        assert_non_null(entry);
        bytes[(((size_t)(entry - bytes)) & ~(size_t)1023) + 4] = 1; /* how long the block's first entry is */
        assert_ok(guest_files_open(&disk, &part, &f));
        for (unsigned i = 0; i < all->n; i++) {
                const int r = guest_files_find(f, &disk, node, all->name[i], &a);

                found += r == 0;
                broken += r == -EUCLEAN;
        }
        assert_int_equal(found + broken, all->n);
        assert_true(found >= 20 && broken > 0);
        guest_files_close(f);

        /* Of an index that is not one all blocks are read. */
        take_disk("ext4");
        assert_non_null(entry = memmem(bytes, sizeof(bytes), "\0\0\0\0\1\10\0\0", 8));
        assert_int_equal((entry - bytes) % 1024, 24);
        entry[5] = 7;
        assert_ok(guest_files_open(&disk, &part, &f));
        for (unsigned i = 0; i < all->n; i++)
                assert_ok(guest_files_find(f, &disk, node, all->name[i], &a));
        guest_files_close(f);
        free(all);
}

static void test_a_disk_that_cannot_be_read_ends_it(void **state)
{
        struct guest_files *f;
        struct guest_attr a;

        (void)state;
        take_disk("ext4");
        assert_ok(guest_files_open(&disk, &part, &f));
        read_error = -EBADMSG;
        assert_err(guest_files_root(f, &disk, &a), -EBADMSG);
        read_error = 0;
        assert_true(guest_files_died(f));
        assert_err(guest_files_root(f, &disk, &a), -EUCLEAN);
        guest_files_close(f);
}

/* Bytes of what is not zero are changed, most of them where the file system keeps its own. */
static void damage(uint64_t seed)
{
        uint64_t rng = seed;

        memcpy(bytes, whole, sizeof(bytes));
        for (unsigned k = 0; k < 12;) {
                const size_t range = random_next(&rng) % 4 ? 160 << 10 : sizeof(bytes);
                const size_t at = random_next(&rng) % range;

                if (bytes[at] == 0 || (at >= 1080 && at < 1082)) /* the magic number stays */
                        continue;
                bytes[at] = (uint8_t)random_next(&rng);
                k++;
        }
}

static void test_damaged_file_systems_do_no_harm(void **state)
{
        const uint64_t seed = environment_number("IMAGEFS_GUEST_SEED", 1);
        const uint64_t n = environment_number("IMAGEFS_GUEST_DAMAGES", 45);
        uint64_t found = 0, deaths = 0;

        (void)state;
        for (uint64_t i = seed; i < seed + n; i++) {
                const char *name = disks[i % 3];
                struct tour t;

                if (!has_disk(name))
                        continue;
                take_disk(name);
                damage(i);
                t = look_round(i);
                found += t.found;
                deaths += t.deaths;
                if (strcmp(name, "fat") == 0 && t.deaths) /* what is read by this program's own code */
                        fail_msg("seed %llu: the program ended", (unsigned long long)i);
        }
        print_message("seeds %llu to %llu: %llu files found, the program ended %llu times\n", (unsigned long long)seed,
                      (unsigned long long)(seed + n - 1), (unsigned long long)found, (unsigned long long)deaths);
}

/* ---- */

static bool can_run(void)
{
        struct guest_files *f;
        struct guest_attr a;
        int r;

        if (shell("mkdir -p root/d/e/f root/many && for i in $(seq 60); do echo $i >\"root/many/a file with number $i\"; done && "
                  "head -c 200000 /dev/urandom >root/d/data && ln -s ../many root/d/link && "
                  "ln -s $(printf 'x%%.0s' $(seq 200)) root/d/e/long && echo a >root/d/e/f/a && "
                  "truncate -s 2M ext4 ext2 && mke2fs -q -F -t ext4 -b 1024 -N 128 -O ^metadata_csum,^has_journal -d root ext4 && "
                  "{ e2fsck -fyD ext4 >/dev/null 2>&1 || [ $? = 1 ]; } && "
                  "mke2fs -q -F -t ext2 -b 1024 -N 128 -d root ext2 2>/dev/null && rm root/d/link root/d/e/long") != 0)
                return false;
        (void)shell("command -v mkfs.vfat mcopy >/dev/null && truncate -s 2M fat.new && mkfs.vfat -s 1 fat.new >/dev/null && "
                    "MTOOLS_SKIP_CHECK=1 mcopy -i fat.new -s root/d root/many :: && "
                    "for i in 1 2; do MTOOLS_SKIP_CHECK=1 mcopy -i fat.new root/d/e/f/a ::a$i; done && mv fat.new fat");
        take_disk("ext4");
        r = guest_files_open(&disk, &part, &f);
        if (r < 0)
                return false; /* not built; without Landlock */
        r = guest_files_root(f, &disk, &a);
        guest_files_close(f);
        return r != -ENOPKG;
}

int main(void)
{
        const struct CMUnitTest distrust[] = {
                cmocka_unit_test(test_attributes_must_make_sense),
                cmocka_unit_test(test_bytes_are_in_the_partition_and_in_order),
                cmocka_unit_test(test_names_are_names_and_places_go_on),
                cmocka_unit_test(test_what_is_cut_off_is_no_answer),
                cmocka_unit_test(test_links_and_errors_and_reads_must_make_sense),
        };
        const struct CMUnitTest file_systems[] = {
                cmocka_unit_test(test_what_is_there_is_found),
                cmocka_unit_test(test_names_are_found_in_any_order),
                cmocka_unit_test(test_a_name_is_found_by_the_index),
                cmocka_unit_test(test_a_disk_that_cannot_be_read_ends_it),
                cmocka_unit_test(test_damaged_file_systems_do_no_harm),
        };
        int r;

        memset(whole, 'x', sizeof(whole));
        r = cmocka_run_group_tests(distrust, NULL, NULL);
        tempdir_make(dir);
        if (can_run()) {
                r |= cmocka_run_group_tests(file_systems, NULL, NULL);
        } else if (r == 0) {
                puts("SKIP: file systems are not read here: no libext2fs, mke2fs or Landlock");
                r = 77;
        }
        tempdir_remove(dir);
        return r;
}

/* SPDX-License-Identifier: MIT */

/*
 * What is inside of disks: those that were made to do harm bring an error or an answer, and no harm; and a reader that
 * says nonsense is not believed. IMAGEFS_INSIDE_DAMAGES says how many damaged disks are tried, IMAGEFS_INSIDE_SEED with
 * which ones it begins.
 */

#include <fcntl.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "blobstore/base/cleanup.h"
#include "blobstore/base/io.h"
#include "blobstore/import/inside_reader/protocol.h"
#include "tests/lib/expect.h"
#include "tests/lib/random.h"
#include "tests/lib/tempdir.h"

static char dir[TEMPDIR_MAX];

__attribute__((format(printf, 1, 2))) static void shell(const char *fmt, ...)
{
        char command[2048];
        va_list ap;
        int n;

        n = snprintf(command, sizeof(command), "cd %s && ", dir);
        va_start(ap, fmt);
        (void)vsnprintf(command + n, sizeof(command) - (size_t)n, fmt, ap);
        va_end(ap);
        if (system(command) != 0)
                fail_msg("%s", command);
}

/* ---- disks in memory ---- */

#define DISK_BYTES (2 << 20)

static uint8_t whole[DISK_BYTES], bytes[DISK_BYTES];
static int read_error;

static int read_bytes(void *ctx, void *buf, size_t n, uint64_t off)
{
        (void)ctx;
        assert_true(off <= DISK_BYTES && n <= DISK_BYTES - off);
        memcpy(buf, bytes + off, n);
        return read_error;
}

static const struct inside_disk disk = { DISK_BYTES, read_bytes, NULL };

static void take_disk(const char *name)
{
        CLEANUP_CLOSE int fd = -1;
        char path[2 * TEMPDIR_MAX];

        (void)snprintf(path, sizeof(path), "%s/%s", dir, name);
        fd = open(path, O_RDONLY | O_CLOEXEC);
        assert_true(fd >= 0);
        assert_int_equal(pread_full(fd, whole, sizeof(whole), 0), sizeof(whole));
        memcpy(bytes, whole, sizeof(bytes));
}

/* A system with packages of dpkg, and one of rpm. */
static void make_disks(void)
{
        shell("mkdir -p root/etc root/bin root/var/lib/dpkg && cp /bin/true root/bin/sh && "
              "printf 'ID=debian\\nVERSION_ID=12\\n' >root/etc/os-release && "
              "for i in $(seq 200); do printf 'Package: p%%s\\nStatus: install ok installed\\nVersion: %%s\\nArchitecture: all\\n\\n' $i $i; done "
              ">root/var/lib/dpkg/status && truncate -s 2M dpkg && "
              "mke2fs -q -F -t ext4 -b 1024 -N 128 -O ^metadata_csum,^has_journal -d root dpkg");
        shell("rm -r root/var && mkdir -p root/var/lib/rpm && "
              "for i in $(seq 50); do echo \"INSERT INTO Packages (blob) VALUES (x'"
              "0000000200000008000003e80000000600000000000000010000"
              "03e900000006000000040000000161626300312e3200');\"; done | "
              "(echo 'CREATE TABLE Packages (hnum INTEGER PRIMARY KEY, blob BLOB NOT NULL);'; cat) | "
              "sqlite3 root/var/lib/rpm/rpmdb.sqlite && truncate -s 2M rpm && "
              "mke2fs -q -F -t ext4 -b 1024 -N 128 -O ^metadata_csum,^has_journal -d root rpm");
}

static size_t lines_of(const struct strbuf *s)
{
        size_t n = 0;

        for (size_t i = 0; i < s->len; i++)
                n += s->text[i] == '\n';
        return n;
}

static void test_what_is_there_is_found(void **state)
{
        CLEANUP_STRBUF struct strbuf packages = { 0 };
        struct inside_system system;
        struct inside_parts parts;

        (void)state;
        take_disk("dpkg");
        assert_ok(inside_list_packages(&disk, &packages));
        assert_int_equal(lines_of(&packages), 200);
        assert_ok(inside_find_system(&disk, 0, &system));
        assert_string_equal(system.platform, "Debian");
        assert_string_equal(system.platform_version, "12");
        assert_ok(inside_find_partitions(&disk, &parts));
        assert_int_equal(parts.n, 1);
        assert_string_equal(parts.part[0].fs, "ext4");

        take_disk("rpm");
        strbuf_reset(&packages);
        assert_ok(inside_list_packages(&disk, &packages));
        assert_int_equal(lines_of(&packages), 50);
        assert_memory_equal(packages.text, "abc 1.2- (none)\n", 16);
}

static void test_a_disk_that_cannot_be_read_ends_it(void **state)
{
        CLEANUP_STRBUF struct strbuf packages = { 0 };

        (void)state;
        take_disk("dpkg");
        read_error = -EBADMSG;
        assert_err(inside_list_packages(&disk, &packages), -EBADMSG);
        read_error = 0;
}

/* Bytes of what is not zero are changed: superblock, descriptors, inodes, directories, extents, files. */
static void damage(uint64_t seed)
{
        uint64_t rng = seed;

        memcpy(bytes, whole, sizeof(bytes));
        for (unsigned k = 0; k < 12;) {
                size_t at = random_next(&rng) % sizeof(bytes);

                if (bytes[at] == 0 || (at >= 1080 && at < 1082)) /* the magic number stays */
                        continue;
                bytes[at] = (uint8_t)random_next(&rng);
                k++;
        }
}

static void must_be(uint64_t seed, int r)
{
        if (r != 0 && r != -ENODATA && r != -ENOMEDIUM && r != -EUCLEAN)
                fail_msg("seed %llu: %d (%s)", (unsigned long long)seed, r, expect_name(r));
}

static void test_damaged_disks_do_no_harm(void **state)
{
        const uint64_t seed = environment_number("IMAGEFS_INSIDE_SEED", 1);
        const uint64_t n = environment_number("IMAGEFS_INSIDE_DAMAGES", 60);
        static const char *const disks[] = { "dpkg", "rpm" };
        uint64_t found = 0;

        (void)state;
        for (uint64_t i = seed; i < seed + n; i++) {
                CLEANUP_STRBUF struct strbuf packages = { 0 };
                struct inside_system system;
                struct inside_parts parts;
                int r;

                take_disk(disks[i % 2]);
                damage(i);
                r = inside_list_packages(&disk, &packages);
                must_be(i, r);
                found += r == 0;
                if (i % 4 < 2)
                        must_be(i, inside_find_system(&disk, 0, &system));
                else
                        must_be(i, inside_find_partitions(&disk, &parts));
        }
        print_message("seeds %llu to %llu: packages found in %llu of %llu\n", (unsigned long long)seed,
                      (unsigned long long)(seed + n - 1), (unsigned long long)found, (unsigned long long)n);
}

/* ---- a reader that cannot be trusted ---- */

static struct inside_parts told_parts;
static struct inside_answer told;

/* What N packets of SIZES bytes come to; it has nothing more to say then. */
static int answer_to(const struct inside_packet *packets, const size_t *sizes, size_t n)
{
        int ends[2], r;

        memset(bytes, 0, sizeof(bytes));
        told_parts.n = 0;
        strbuf_done(&told.lines);
        told = (struct inside_answer){ .parts = &told_parts };
        assert_ok(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends));
        for (size_t i = 0; i < n; i++)
                assert_int_equal(send(ends[1], &packets[i], sizes[i], 0), (ssize_t)sizes[i]);
        assert_ok(shutdown(ends[1], SHUT_WR));
        r = inside_answer(ends[0], &disk, 50, &told);
        (void)close(ends[0]);
        (void)close(ends[1]);
        return r;
}

/* That, and that it was all. */
static int say(const struct inside_packet *p, size_t size)
{
        static struct inside_packet packets[2];
        const size_t sizes[] = { size, INSIDE_PACKET_SIZE(0) };

        packets[0] = *p;
        packets[1] = (struct inside_packet){ .kind = INSIDE_END };
        return answer_to(packets, sizes, 2);
}

#define READ(...) say(&(struct inside_packet){ .kind = INSIDE_READ, __VA_ARGS__ }, INSIDE_PACKET_SIZE(0))

static void test_reads_must_make_sense(void **state)
{
        (void)state;
        assert_ok(READ(.len = 1, .off = DISK_BYTES - 1));
        assert_ok(READ(.len = INSIDE_READ_MAX));
        assert_err(READ(.len = 0), -EPROTO);
        assert_err(READ(.len = INSIDE_READ_MAX + 1), -EPROTO);
        assert_err(READ(.len = UINT32_MAX), -EPROTO);
        assert_err(READ(.len = 2, .off = DISK_BYTES - 1), -EPROTO);
        assert_err(READ(.len = 1, .off = DISK_BYTES), -EPROTO);
        assert_err(READ(.len = 2, .off = UINT64_MAX), -EPROTO);
}

#define PART(...)                                                                                       \
        say(&(struct inside_packet){ .kind = INSIDE_PART, .part = { __VA_ARGS__ } },                    \
            INSIDE_PACKET_SIZE(sizeof(struct inside_part)))

static void test_partitions_must_be_in_the_disk(void **state)
{
        (void)state;
        assert_ok(PART(.number = 255, .len = DISK_BYTES, .type = "0x83", .fs = "ext4", .label = "any \xff\n"));
        assert_int_equal(told_parts.n, 1);
        assert_err(PART(.number = 256, .len = 1), -EPROTO);
        assert_err(PART(.number = 1, .len = 0), -EPROTO);
        assert_err(PART(.number = 1, .len = DISK_BYTES + 1), -EPROTO);
        assert_err(PART(.number = 1, .off = DISK_BYTES, .len = 1), -EPROTO);
        assert_err(PART(.number = 1, .off = UINT64_MAX, .len = 2), -EPROTO);
        assert_err(PART(.number = 1, .len = 1, .fs = "a b"), -EPROTO);
        assert_err(PART(.number = 1, .len = 1, .type = "\033[2J"), -EPROTO);
        assert_err(PART(.number = 1, .len = 1, .uuid = "x\n"), -EPROTO);
}

static void test_no_number_comes_twice(void **state)
{
        static struct inside_packet packets[3];
        const size_t size = INSIDE_PACKET_SIZE(sizeof(struct inside_part));
        const size_t sizes[] = { size, size, INSIDE_PACKET_SIZE(0) };

        (void)state;
        packets[0] = packets[1] = (struct inside_packet){ .kind = INSIDE_PART, .part = { .number = 7, .len = 1 } };
        packets[2] = (struct inside_packet){ .kind = INSIDE_END };
        assert_err(answer_to(packets, sizes, 3), -EPROTO);
        packets[1].part.number = 8;
        assert_ok(answer_to(packets, sizes, 3));
}

#define SYSTEM(...)                                                                                     \
        say(&(struct inside_packet){ .kind = INSIDE_FOUND, .system = { __VA_ARGS__ } },                 \
            INSIDE_PACKET_SIZE(sizeof(struct inside_system)))

static void test_systems_are_of_known_words_and_clean_text(void **state)
{
        struct inside_packet p = { .kind = INSIDE_FOUND };

        (void)state;
        assert_ok(SYSTEM(.os = "linux", .platform = "D\xc3\xa9" "b ian", .architecture = "aarch64", .boot_mode = "uefi"));
        assert_string_equal(told.system.architecture, "aarch64");
        assert_ok(SYSTEM(.os = ""));
        assert_err(SYSTEM(.os = "beos"), -EPROTO);
        assert_err(SYSTEM(.architecture = "vax"), -EPROTO);
        assert_err(SYSTEM(.boot_mode = "tape"), -EPROTO);
        assert_err(SYSTEM(.platform = "\xff"), -EPROTO);
        assert_err(SYSTEM(.platform_version = "1\n2"), -EPROTO);
        memset(p.system.platform, 'x', sizeof(p.system.platform)); /* no end */
        assert_err(say(&p, INSIDE_PACKET_SIZE(sizeof(p.system))), -EPROTO);
}

static void test_lines_are_printable_and_have_an_end(void **state)
{
        static struct inside_packet p = { .kind = INSIDE_LINES, .len = 4, .lines = "a b\n" };

        (void)state;
        assert_ok(say(&p, INSIDE_PACKET_SIZE(4)));
        assert_string_equal(told.lines.text, "a b\n");
        assert_err(say(&p, INSIDE_PACKET_SIZE(3)), -EPROTO);
        assert_err(say(&p, INSIDE_PACKET_SIZE(5)), -EPROTO);
        p.len = UINT32_MAX;
        assert_err(say(&p, INSIDE_PACKET_SIZE(4)), -EPROTO);
        p.len = 4;
        p.lines[0] = '\033';
        assert_err(say(&p, INSIDE_PACKET_SIZE(4)), -EPROTO);
        p.lines[0] = '\0';
        assert_err(say(&p, INSIDE_PACKET_SIZE(4)), -EPROTO);
}

/* Who dies without a word has not said that there is nothing. */
static void test_the_end_must_be_said(void **state)
{
        static struct inside_packet p;
        const size_t size = INSIDE_PACKET_SIZE(0);

        (void)state;
        assert_err(answer_to(NULL, NULL, 0), -EPROTO);
        p = (struct inside_packet){ .kind = INSIDE_END, .len = ENODATA };
        assert_ok(answer_to(&p, &size, 1));
        assert_int_equal(told.end, -ENODATA);
        p.len = EIO;
        assert_err(answer_to(&p, &size, 1), -EPROTO);
        p = (struct inside_packet){ .kind = 77 };
        assert_err(answer_to(&p, &size, 1), -EPROTO);
        p = (struct inside_packet){ .kind = INSIDE_END };
        assert_err(answer_to(&p, &(size_t){ 3 }, 1), -EPROTO);
}

/* ---- */

static bool can_run(void)
{
        CLEANUP_STRBUF struct strbuf packages = { 0 };
        int r;

        if (system("command -v mke2fs sqlite3 >/dev/null") != 0)
                return false;
        make_disks();
        take_disk("dpkg");
        r = inside_list_packages(&disk, &packages);
        return r != -ENOENT && r != -ENOPKG && r != -EOPNOTSUPP; /* not built; without libext2fs; without Landlock */
}

int main(void)
{
        const struct CMUnitTest distrust[] = {
                cmocka_unit_test(test_reads_must_make_sense),
                cmocka_unit_test(test_partitions_must_be_in_the_disk),
                cmocka_unit_test(test_no_number_comes_twice),
                cmocka_unit_test(test_systems_are_of_known_words_and_clean_text),
                cmocka_unit_test(test_lines_are_printable_and_have_an_end),
                cmocka_unit_test(test_the_end_must_be_said),
        };
        const struct CMUnitTest disks[] = {
                cmocka_unit_test(test_what_is_there_is_found),
                cmocka_unit_test(test_a_disk_that_cannot_be_read_ends_it),
                cmocka_unit_test(test_damaged_disks_do_no_harm),
        };
        int r;

        r = cmocka_run_group_tests(distrust, NULL, NULL);
        tempdir_make(dir);
        if (can_run()) {
                r |= cmocka_run_group_tests(disks, NULL, NULL);
        } else if (r == 0) {
                puts("SKIP: disks are not read here: no libext2fs, mke2fs, sqlite3 or Landlock");
                r = 77;
        }
        tempdir_remove(dir);
        strbuf_done(&told.lines);
        return r;
}

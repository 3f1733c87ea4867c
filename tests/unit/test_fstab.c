/* SPDX-License-Identifier: MIT */

/*
 * What /etc/fstab asks for is found on disks as they come from mke2fs; file systems that were made to do harm bring no
 * finding and no harm; and a reader that asks for nonsense is not answered. IMAGEFS_FSTAB_DAMAGES says how many damaged
 * file systems are tried, IMAGEFS_FSTAB_SEED with which ones it begins.
 */

#include <fcntl.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "blobstore/base/cleanup.h"
#include "blobstore/base/io.h"
#include "blobstore/import/fstab_reader/protocol.h"
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

/* For mke2fs: e2fsprogs 1.47.1 has another option for it, and not the old one. */
#define REVISION_0 "$(mke2fs -n -q -F -r 0 disk >/dev/null 2>&1 && echo -r 0 || echo -E revision=0)"

/* ---- disks in files ---- */

struct disks {
        size_t n;
        struct fstab_disk disk[3];
        int fd[3];
        uint64_t bytes_read;
        int error; /* of the next read */
};

static int read_file(void *ctx, size_t disk, void *buf, size_t n, uint64_t off)
{
        struct disks *ds = ctx;

        if (ds->error)
                return ds->error;
        ds->bytes_read += n;
        return pread_full(ds->fd[disk], buf, n, off) == (ssize_t)n ? 0 : -EIO;
}

static void add_disk(struct disks *ds, const char *name, bool stays)
{
        struct fstab_disk *d = &ds->disk[ds->n];
        char path[2 * TEMPDIR_MAX];
        struct stat st;

        (void)snprintf(path, sizeof(path), "%s/%s", dir, name);
        ds->fd[ds->n] = open(path, O_RDONLY | O_CLOEXEC);
        assert_true(ds->fd[ds->n] >= 0);
        assert_ok(fstat(ds->fd[ds->n], &st));
        *d = (struct fstab_disk){ .stays = stays, .size_bytes = (uint64_t)st.st_size };
        (void)snprintf(d->device, sizeof(d->device), "vd%c", (char)('a' + ds->n));
        ds->n++;
}

static void disks_done(struct disks *ds)
{
        for (size_t i = 0; i < ds->n; i++)
                (void)close(ds->fd[i]);
}

/* With SYSTEM as the first disk, and nothing else that stays; gives the number of findings, or an error. */
static int check(const char *system_disk, uint64_t *ret_bytes, struct fstab_findings *ret)
{
        CLEANUP(disks_done) struct disks ds = { 0 };
        struct fstab_findings found = { 0 };
        int r;

        add_disk(&ds, system_disk, true);
        r = fstab_check(ds.disk, ds.n, read_file, &ds, &found);
        if (ret_bytes)
                *ret_bytes = ds.bytes_read;
        if (ret)
                *ret = found;
        return r < 0 ? r : (int)found.n;
}

/* root/ becomes the file system NAME. */
static void make(const char *name, const char *size, const char *options)
{
        shell("truncate -s 0 %s && truncate -s %s %s && mke2fs -q -F -d root %s %s", name, size, name, options, name);
}

static void begin(const char *fstab)
{
        shell("rm -rf root && mkdir -p root/etc && printf '%s' >root/etc/fstab", fstab);
}

#define MOUNTS_VDB "/dev/vdb /data ext4 defaults 0 2\\n"

static void test_it_is_found_in_every_ext(void **state)
{
        static const char *const kinds[] = {
                "-t ext2", "-t ext3", "-t ext4", "-t ext4 -b 1024", "-t ext4 -O inline_data", "-t ext4 -O bigalloc",
                "-t ext4 -O ^extent,^64bit,meta_bg,^resize_inode", "-t ext4 -O ^metadata_csum,^64bit -I 128", REVISION_0 " -I 128",
        };
        struct fstab_findings found;

        (void)state;
        begin(MOUNTS_VDB);
        for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
                make("disk", "8M", kinds[i]);
                if (check("disk", NULL, &found) != 1)
                        fail_msg("not found with %s", kinds[i]);
                assert_string_equal(found.finding[0].device, "vdb");
                assert_string_equal(found.finding[0].source, "/dev/vdb");
                assert_string_equal(found.finding[0].target, "/data");
                assert_int_equal(found.finding[0].swap, 0);
        }
}

static void test_little_is_read_of_a_large_disk(void **state)
{
        uint64_t bytes;

        (void)state;
        begin(MOUNTS_VDB);
        make("disk", "200G", "-t ext4");
        assert_int_equal(check("disk", &bytes, NULL), 1);
        assert_in_range(bytes, 1, 512 << 10);
        shell("rm disk");
}

static void test_disks_are_not_read_without_need(void **state)
{
        CLEANUP(disks_done) struct disks ds = { 0 };
        struct fstab_findings found;
        uint64_t alone;

        (void)state;
        begin("LABEL=system / ext4 defaults\\n/dev/vdb /data ext4 defaults\\n");
        make("disk", "8M", "-t ext4 -L system");
        assert_int_equal(check("disk", &alone, NULL), 1);
        add_disk(&ds, "disk", true);
        add_disk(&ds, "disk", false);
        add_disk(&ds, "disk", true);
        assert_ok(fstab_check(ds.disk, ds.n, read_file, &ds, &found));
        assert_int_equal(found.n, 1);
        assert_int_equal(ds.bytes_read, alone);
}

static void test_a_link_is_followed_within_the_file_system(void **state)
{
        (void)state;
        begin(MOUNTS_VDB);
        shell("cd root && mkdir -p lib/conf && mv etc/fstab lib/conf/real && ln -s /lib/conf/real lib/table &&"
              " ln -s ../../../../lib/table etc/fstab");
        make("disk", "8M", "-t ext4");
        assert_int_equal(check("disk", NULL, NULL), 1);

        shell("cd root/etc && ln -sf fstab fstab");
        make("disk", "8M", "-t ext4");
        assert_int_equal(check("disk", NULL, NULL), 0);

        shell("cd root/etc && rm fstab && ln -s /lib/l60 fstab && for i in $(seq 60); do ln -s l$((i - 1)) ../lib/l$i; done &&"
              " ln -s conf/real ../lib/l0");
        make("disk", "8M", "-t ext4");
        assert_int_equal(check("disk", NULL, NULL), 0);

        shell("printf '/dev/vdb /outside ext4 defaults\\n' >outside && ln -sf %s/outside root/etc/fstab", dir);
        make("disk", "8M", "-t ext4");
        assert_int_equal(check("disk", NULL, NULL), 0);
}

static void test_what_is_no_file_of_sensible_size_is_not_read(void **state)
{
        (void)state;
        begin("");
        make("disk", "8M", "-t ext4");
        assert_int_equal(check("disk", NULL, NULL), 0);
        shell("rm root/etc/fstab && mkdir root/etc/fstab");
        make("disk", "8M", "-t ext4");
        assert_int_equal(check("disk", NULL, NULL), 0);
        shell("rmdir root/etc/fstab && mkfifo root/etc/fstab");
        make("disk", "8M", "-t ext4");
        assert_int_equal(check("disk", NULL, NULL), 0);

        begin("");
        shell("seq 1000 | sed 's,.*,/dev/vdb& /data& ext4 defaults 0 0,' >root/etc/fstab");
        make("disk", "8M", "-t ext4");
        assert_int_equal(check("disk", NULL, NULL), FSTAB_FINDINGS_MAX);
        shell("seq 10000 | sed 's,.*,/dev/vdb& /data& ext4 defaults 0 0,' >root/etc/fstab");
        make("disk", "8M", "-t ext4");
        assert_int_equal(check("disk", NULL, NULL), 0);
        shell("rm root/etc/fstab && truncate -s 1T root/etc/fstab");
        make("disk", "8M", "-t ext4");
        assert_int_equal(check("disk", NULL, NULL), 0);
        /* No newline, no NUL, no end. */
        begin("");
        shell("head -c 65536 /dev/zero | tr '\\0' x >root/etc/fstab");
        make("disk", "8M", "-t ext4");
        assert_int_equal(check("disk", NULL, NULL), 0);
}

static void test_a_tree_of_extents_in_a_circle_ends(void **state)
{
        (void)state;
        begin(MOUNTS_VDB);
        make("disk", "8M", "-t ext4 -b 4096 -O ^metadata_csum,^64bit");
        assert_int_equal(check("disk", NULL, NULL), 1);
        /* The inode's tree leads to block 1999, whose entry leads to itself, at a depth that never ends. */
        shell("for w in '0 0x0001f30a' '1 0x00050004' '2 0' '3 0' '4 1999' '5 0'; do set -- $w;"
              " debugfs -w -R \"sif /etc/fstab block[$1] $2\" disk 2>&1 | grep -v ^debugfs; done;"
              " printf '\\012\\363\\001\\000\\124\\001\\005\\000\\000\\000\\000\\000\\000\\000\\000\\000\\317\\007\\000\\000'"
              " | dd of=disk bs=4096 seek=1999 conv=notrunc status=none");
        assert_true(check("disk", NULL, NULL) <= 0);
        /* As deep as it says, each level a circle. */
        shell("debugfs -w -R 'sif /etc/fstab block[1] 0xffff0004' disk 2>/dev/null;"
              " printf '\\377\\377' | dd of=disk bs=1 seek=$((1999 * 4096 + 6)) conv=notrunc status=none");
        assert_true(check("disk", NULL, NULL) <= 0);
}

/* From what it is on, the disk is cut off; and the same with a file system that says it is far larger. */
static void test_a_truncated_disk_gives_nothing(void **state)
{
        (void)state;
        begin(MOUNTS_VDB);
        make("disk", "8M", "-t ext4");
        for (uint64_t size = 0; size < 64 << 10; size += 4000) {
                shell("head -c %llu disk >cut", (unsigned long long)size);
                assert_true(check("cut", NULL, NULL) <= 0);
        }
        /* 2^32 blocks in groups of 8: descriptors beyond all memory. */
        make("disk", "8M", "-t ext4 -O ^metadata_csum,^64bit,^flex_bg,^resize_inode");
        shell("printf '\\377\\377\\377\\377' | dd of=disk bs=1 seek=1028 conv=notrunc status=none");
        shell("printf '\\010\\000\\000\\000' | dd of=disk bs=1 seek=1056 conv=notrunc status=none");
        assert_true(check("disk", NULL, NULL) <= 0);
}

/* Bytes of what is not zero are changed: superblock, descriptors, inodes, directories, extents. */
static void test_damaged_file_systems_do_no_harm(void **state)
{
        uint64_t seed = environment_number("IMAGEFS_FSTAB_SEED", 1);
        uint64_t n = environment_number("IMAGEFS_FSTAB_DAMAGES", 40);
        static uint8_t whole[1 << 20], bytes[1 << 20];
        uint64_t found = 0;

        (void)state;
        begin(MOUNTS_VDB);
        shell("for i in $(seq 100); do echo $i >root/etc/file$i; done");
        make("disk", "1M", "-t ext4 -b 1024 -N 256 -O ^metadata_csum,^has_journal");
        {
                CLEANUP(disks_done) struct disks ds = { 0 };

                add_disk(&ds, "disk", true);
                assert_ok(read_file(&ds, 0, whole, sizeof(whole), 0));
        }
        for (uint64_t i = seed; i < seed + n; i++) {
                CLEANUP_CLOSE int fd = -1;
                char path[2 * TEMPDIR_MAX];
                uint64_t rng = i;
                int r;

                memcpy(bytes, whole, sizeof(bytes));
                for (unsigned k = 0; k < 20;) {
                        size_t at = random_next(&rng) % sizeof(bytes);

                        if (bytes[at] == 0 || (at >= 1080 && at < 1082)) /* the magic number stays */
                                continue;
                        bytes[at] = (uint8_t)random_next(&rng);
                        k++;
                }
                (void)snprintf(path, sizeof(path), "%s/damaged", dir);
                fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
                assert_ok(pwrite_full(fd, bytes, sizeof(bytes), 0));
                r = check("damaged", NULL, NULL);
                if (r != 0 && r != 1 && r != -EIO && r != -EPROTO && r != -ETIMEDOUT)
                        fail_msg("seed %llu: %d (%s)", (unsigned long long)i, r, expect_name(r));
                found += r == 1;
        }
        print_message("seeds %llu to %llu: found in %llu of %llu\n", (unsigned long long)seed,
                      (unsigned long long)(seed + n - 1), (unsigned long long)found, (unsigned long long)n);
}

static void test_a_disk_that_cannot_be_read_ends_it(void **state)
{
        CLEANUP(disks_done) struct disks ds = { .error = -EBADMSG };
        struct fstab_findings found;

        (void)state;
        begin(MOUNTS_VDB);
        make("disk", "8M", "-t ext4");
        add_disk(&ds, "disk", true);
        assert_err(fstab_check(ds.disk, ds.n, read_file, &ds, &found), -EBADMSG);
}

/* ---- a reader that cannot be trusted ---- */

struct peer {
        int ours, theirs;
        struct fstab_disk disk[2];
        struct fstab_findings found;
        uint64_t reads;
};

static int peer_read(void *ctx, size_t disk, void *buf, size_t n, uint64_t off)
{
        struct peer *p = ctx;

        assert_true(disk < 2 && off <= p->disk[disk].size_bytes && n <= p->disk[disk].size_bytes - off);
        memset(buf, 'x', n);
        p->reads++;
        return 0;
}

static void peer_make(struct peer *p)
{
        int ends[2];

        *p = (struct peer){ .disk = { { "vda", true, 1 << 20 }, { "vdb", false, 1 << 20 } } };
        assert_ok(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends));
        p->ours = ends[0];
        p->theirs = ends[1];
}

static void peer_done(struct peer *p)
{
        cleanup_close(&p->ours);
        cleanup_close(&p->theirs);
}

static void say(struct peer *p, const void *bytes, size_t n)
{
        assert_int_equal(send(p->theirs, bytes, n, 0), (ssize_t)n);
}

/* After what was said the peer has nothing more to say. */
static int answer(struct peer *p)
{
        assert_ok(shutdown(p->theirs, SHUT_WR));
        return fstab_answer(p->ours, p->disk, 2, peer_read, p, 50, &p->found);
}

static int answer_to(const struct fstab_request *q)
{
        CLEANUP(peer_done) struct peer p;

        peer_make(&p);
        say(&p, q, sizeof(*q));
        return answer(&p);
}

static void test_requests_must_make_sense(void **state)
{
        (void)state;
#define ASK(...) answer_to(&(struct fstab_request){ __VA_ARGS__ })
        assert_ok(ASK(.kind = FSTAB_READ, .disk = 1, .off = (1 << 20) - 1, .len = 1));
        assert_ok(ASK(.kind = FSTAB_READ, .len = FSTAB_READ_MAX));
        assert_err(ASK(.kind = FSTAB_READ, .disk = 1, .off = 1 << 20, .len = 1), -EPROTO);
        assert_err(ASK(.kind = FSTAB_READ, .disk = 1, .off = (1 << 20) - 1, .len = 2), -EPROTO);
        assert_err(ASK(.kind = FSTAB_READ, .disk = 1, .off = UINT64_MAX, .len = 2), -EPROTO);
        assert_err(ASK(.kind = FSTAB_READ, .disk = 2, .len = 1), -EPROTO);
        assert_err(ASK(.kind = FSTAB_READ, .disk = UINT32_MAX, .len = 1), -EPROTO);
        assert_err(ASK(.kind = FSTAB_READ, .len = 0), -EPROTO);
        assert_err(ASK(.kind = FSTAB_READ, .len = FSTAB_READ_MAX + 1), -EPROTO);
        assert_err(ASK(.kind = FSTAB_READ, .len = UINT32_MAX), -EPROTO);
        assert_err(ASK(.kind = 0), -EPROTO);
        assert_err(ASK(.kind = UINT32_MAX), -EPROTO);
        assert_ok(ASK(.kind = FSTAB_FOUND, .found.device = "vdz"));
        assert_err(ASK(.kind = FSTAB_FOUND), -EPROTO);
        assert_err(ASK(.kind = FSTAB_FOUND, .found.device = "vda"), -EPROTO);
        assert_err(ASK(.kind = FSTAB_FOUND, .found.device = "vdbb"), -EPROTO);
        assert_err(ASK(.kind = FSTAB_FOUND, .found.device = "\033[2J"), -EPROTO);
}

static void test_packets_of_another_size_are_refused(void **state)
{
        static const uint8_t bytes[sizeof(struct fstab_request) + 1] = { FSTAB_READ };
        static const size_t sizes[] = { 1, sizeof(struct fstab_request) - 1, sizeof(struct fstab_request) + 1 };

        (void)state;
        for (size_t i = 0; i < 3; i++) {
                CLEANUP(peer_done) struct peer p;

                peer_make(&p);
                say(&p, bytes, sizes[i]);
                assert_err(answer(&p), -EPROTO);
        }
}

static void test_texts_are_cut_and_cleaned(void **state)
{
        struct fstab_request q = { .kind = FSTAB_FOUND, .found = { .device = "vdb", .swap = 0xffff } };
        CLEANUP(peer_done) struct peer p;

        (void)state;
        memset(q.found.source, 'x', sizeof(q.found.source)); /* no end */
        memcpy(q.found.target, "a\033\n\x80\xff\x7f~ b", 10);
        peer_make(&p);
        for (unsigned i = 0; i < FSTAB_FINDINGS_MAX + 3; i++)
                say(&p, &q, sizeof(q));
        assert_ok(answer(&p));
        assert_int_equal(p.found.n, FSTAB_FINDINGS_MAX);
        assert_int_equal(strlen(p.found.finding[0].source), FSTAB_TEXT_MAX - 1);
        assert_string_equal(p.found.finding[3].target, "a?????~ b");
        assert_int_equal(p.found.finding[0].swap, 1);
}

/* One that asks on without taking its answers is not waited for, and one that asks without end is not served. */
static void test_asking_has_an_end(void **state)
{
        struct fstab_request q = { .kind = FSTAB_READ, .len = FSTAB_READ_MAX };
        CLEANUP(peer_done) struct peer greedy, endless;
        pid_t child;

        (void)state;
        peer_make(&greedy);
        for (unsigned i = 0; i < 20; i++)
                say(&greedy, &q, sizeof(q));
        assert_err(answer(&greedy), -EAGAIN);
        assert_in_range(greedy.reads, 1, 19);

        peer_make(&endless);
        q = (struct fstab_request){ .kind = FSTAB_FOUND, .found.device = "vdb" };
        child = fork();
        assert_true(child >= 0);
        if (child == 0) {
                (void)close(endless.ours);
                while (send(endless.theirs, &q, sizeof(q), MSG_NOSIGNAL) > 0)
                        ;
                _exit(0);
        }
        assert_err(fstab_answer(endless.ours, endless.disk, 2, peer_read, &endless, 5000, &endless.found), -EPROTO);
        (void)close(endless.ours);
        endless.ours = -1;
        assert_int_equal(waitpid(child, NULL, 0), child);
}

static void test_silence_has_an_end(void **state)
{
        CLEANUP(peer_done) struct peer p;

        (void)state;
        peer_make(&p);
        assert_err(fstab_answer(p.ours, p.disk, 2, peer_read, &p, 50, &p.found), -ETIMEDOUT);
        assert_err(fstab_answer(p.ours, p.disk, 2, peer_read, &p, 0, &p.found), -ETIMEDOUT);
}

/* ---- */

static bool can_run(void)
{
        struct disks ds = { 0 };
        struct fstab_findings found;
        int r;

        if (system("command -v mke2fs debugfs >/dev/null") != 0)
                return false;
        begin("");
        make("disk", "1M", "");
        add_disk(&ds, "disk", true);
        r = fstab_check(ds.disk, ds.n, read_file, &ds, &found);
        disks_done(&ds);
        return r != -ENOENT && r != -EOPNOTSUPP; /* without libext2fs; without Landlock */
}

int main(void)
{
        const struct CMUnitTest distrust[] = {
                cmocka_unit_test(test_requests_must_make_sense),
                cmocka_unit_test(test_packets_of_another_size_are_refused),
                cmocka_unit_test(test_texts_are_cut_and_cleaned),
                cmocka_unit_test(test_asking_has_an_end),
                cmocka_unit_test(test_silence_has_an_end),
        };
        const struct CMUnitTest disks[] = {
                cmocka_unit_test(test_it_is_found_in_every_ext),
                cmocka_unit_test(test_little_is_read_of_a_large_disk),
                cmocka_unit_test(test_disks_are_not_read_without_need),
                cmocka_unit_test(test_a_link_is_followed_within_the_file_system),
                cmocka_unit_test(test_what_is_no_file_of_sensible_size_is_not_read),
                cmocka_unit_test(test_a_tree_of_extents_in_a_circle_ends),
                cmocka_unit_test(test_a_truncated_disk_gives_nothing),
                cmocka_unit_test(test_damaged_file_systems_do_no_harm),
                cmocka_unit_test(test_a_disk_that_cannot_be_read_ends_it),
        };
        int r;

        r = cmocka_run_group_tests(distrust, NULL, NULL);
        tempdir_make(dir);
        if (can_run()) {
                r |= cmocka_run_group_tests(disks, NULL, NULL);
        } else if (r == 0) {
                puts("SKIP: disks are not read here: no libext2fs, mke2fs or Landlock");
                r = 77;
        }
        tempdir_remove(dir);
        return r;
}

/* SPDX-License-Identifier: MIT */
/* The tables of the tree: consistent, complete, and inode numbers that tell every node apart. */

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include <cmocka.h>

#include "fs/tree/tree.h"
#include "fs/tree/tree_print.h"

/*
 * What inode numbers are made of. They are promised to be stable, so no number in these two tables ever changes: a new
 * kind, or a new file of a kind, takes one that was never there and gets a row of its own here. The row of one that
 * goes stays, with KIND_NONE or NULL, so that its number is not given again.
 */
static const struct {
        unsigned number;
        enum node_kind kind;
} kinds[] = {
        { 0, KIND_ROOT }, { 1, KIND_INFO }, { 2, KIND_REGIONS }, { 3, KIND_TASKS }, { 4, KIND_TASK },
        { 5, KIND_REGION }, { 6, KIND_IMAGES }, { 7, KIND_IMAGE }, { 8, KIND_IMAGE_DISKS },
        { 9, KIND_IMAGE_SNAPSHOTS }, { 10, KIND_NONE }, { 11, KIND_COPIES }, { 12, KIND_COPY },
        { 13, KIND_SNAPSHOTS }, { 14, KIND_SNAPSHOT }, { 15, KIND_NONE }, { 16, KIND_NONE },
        { 17, KIND_SNAPSHOT_CHANGED }, { 18, KIND_SNAPSHOT_VOLUMES }, { 19, KIND_SNAPSHOT_VOLUME },
        { 20, KIND_VOLUMES }, { 21, KIND_VOLUME }, { 22, KIND_VOLUME_SNAPSHOTS }, { 23, KIND_VOLUME_SNAPSHOT },
        { 24, KIND_IMAGE_INSTANCES }, { 25, KIND_IMAGE_INSTANCE }, { 26, KIND_INSTANCES }, { 27, KIND_INSTANCE },
        { 28, KIND_INSTANCE_DISKS }, { 29, KIND_INSTANCE_IMAGES }, { 30, KIND_INSTANCE_IMAGE },
        { 31, KIND_NONE }, { 32, KIND_DOWNLOADS }, { 33, KIND_DOWNLOAD }, { 34, KIND_SHARES },
        { 35, KIND_SHARE }, { 36, KIND_SHARED }, { 37, KIND_SHARED_IMAGE }, { 38, KIND_SHARED_DISKS },
        { 39, KIND_SHARED_INSTANCES }, { 40, KIND_SHARED_CLOSED }, { 41, KIND_SHARED_INSTANCE }, { 42, KIND_SHARED_PARTING },
        { 43, KIND_COPY_TARGETS }, { 44, KIND_IMAGE_DISK }, { 45, KIND_BURIED }, { 46, KIND_SCRATCH },
        { 47, KIND_FAMILIES }, { 48, KIND_FAMILY },
        { 49, KIND_EVENTS_AFTER }, { 50, KIND_FOLLOWS }, { 51, KIND_FOLLOW }, { 52, KIND_FOLLOW_IMAGES },
        { 53, KIND_IMAGE_PARTITIONS }, { 54, KIND_SHARED_PARTITIONS }, { 55, KIND_SNAPSHOT_PARTITIONS },
        { 56, KIND_OCI }, { 57, KIND_OCI_BLOBS }, { 58, KIND_OCI_SHA256 },
        { 59, KIND_IMAGE_GUEST }, { 60, KIND_SHARED_GUEST }, { 61, KIND_SNAPSHOT_GUEST },
};

static const struct {
        unsigned kind, number;
        const char *name;
} files[] = {
        { KIND_ROOT, 1, "README" }, { KIND_ROOT, 2, "info" }, { KIND_ROOT, 3, "regions" }, { KIND_ROOT, 4, "tasks" },
        { KIND_ROOT, 5, "images.csv" }, { KIND_ROOT, 6, "images.json" }, { KIND_ROOT, 7, "images.xlsx" },
        { KIND_INFO, 1, "version" }, { KIND_INFO, 2, "limits" }, { KIND_INFO, 3, "store" },
        { KIND_INFO, 4, "errors" },
        { KIND_INFO, 5, "health" }, { KIND_INFO, 6, "metrics" }, { KIND_INFO, 7, "store-history.csv" },
        { KIND_INFO, 8, "store-history.svg" }, { KIND_INFO, 9, "events" }, { KIND_INFO, 10, "events-after" }, { KIND_INFO, 11, "hosts" },
        { KIND_TASK, 1, "kind" }, { KIND_TASK, 2, "status" }, { KIND_TASK, 3, "progress" }, { KIND_TASK, 4, "image" },
        { KIND_TASK, 5, "region" }, { KIND_TASK, 6, "owner" }, { KIND_TASK, 7, "created" },
        { KIND_TASK, 8, "started" }, { KIND_TASK, 9, "finished" }, { KIND_TASK, 10, "error" },
        { KIND_REGION, 1, "public" }, { KIND_REGION, 2, "marketplace" }, { KIND_REGION, 3, "private" },
        { KIND_REGION, 4, "shared" }, { KIND_REGION, 5, "iso" }, { KIND_REGION, 6, "recycle" },
        { KIND_REGION, 7, "snapshots" }, { KIND_REGION, 8, "disks" }, { KIND_REGION, 9, "instances" },
        { KIND_REGION, 10, "quota" }, { KIND_REGION, 11, "images.csv" }, { KIND_REGION, 12, "images.json" },
        { KIND_REGION, 13, "images.xlsx" }, { KIND_REGION, 14, "batch" }, { KIND_REGION, 15, "store" },
        { KIND_REGION, 16, "quota-by-user" }, { KIND_REGION, 17, "copy-targets" },
        { KIND_REGION, 18, "families" }, { KIND_REGION, 19, "follows" },
        { KIND_IMAGE, 1, "id" }, { KIND_IMAGE, 2, "name" }, { KIND_IMAGE, 3, "description" },
        { KIND_IMAGE, 4, "status" }, { KIND_IMAGE, 5, "progress" }, { KIND_IMAGE, 6, "error" },
        { KIND_IMAGE, 7, "type" }, { KIND_IMAGE, 8, "source" }, { KIND_IMAGE, 9, "owner" },
        { KIND_IMAGE, 10, "created" }, { KIND_IMAGE, 11, "updated" }, { KIND_IMAGE, 12, "size" },
        { KIND_IMAGE, 13, "format" }, { KIND_IMAGE, 14, "os" }, { KIND_IMAGE, 15, "platform" },
        { KIND_IMAGE, 16, "platform-version" }, { KIND_IMAGE, 17, "architecture" }, { KIND_IMAGE, 18, "boot-mode" },
        { KIND_IMAGE, 19, "features" }, { KIND_IMAGE, 20, "labels" }, { KIND_IMAGE, 21, "project-group" },
        { KIND_IMAGE, 22, "encrypted" }, { KIND_IMAGE, 23, "provider" }, { KIND_IMAGE, 24, "checksum" },
        { KIND_IMAGE, 25, "device-mapping" }, { KIND_IMAGE, 26, "metadata.json" }, { KIND_IMAGE, 27, "wait" },
        { KIND_IMAGE, 28, "last-error" }, { KIND_IMAGE, 29, "disks" }, { KIND_IMAGE, 30, "snapshots" },
        { KIND_IMAGE, 31, "used-by" }, { KIND_IMAGE, 32, "upload" }, { KIND_IMAGE, 33, "import-url" },
        { KIND_IMAGE, 34, "convert" }, { KIND_IMAGE, 35, "instances" }, { KIND_IMAGE, 36, "copies" },
        { KIND_IMAGE, 37, "copy-targets" }, { KIND_IMAGE, 38, "shares" }, { KIND_IMAGE, 39, "download" }, { KIND_IMAGE, 40, "warnings" },
        { KIND_IMAGE, 41, "last-verified" }, { KIND_IMAGE, 42, "family" }, { KIND_IMAGE, 43, "protected" },
        { KIND_IMAGE, 44, "lifecycle" }, { KIND_IMAGE, 45, "packages" }, { KIND_IMAGE, 46, "partitions" },
        { KIND_IMAGE, 50, "oci" }, { KIND_IMAGE, 51, "guest" },
        { KIND_IMAGE, 60, "deleted" }, { KIND_IMAGE, 61, "destroyed-on" },
        { KIND_IMAGE_DISK, 1, "upload" },
        { KIND_COPY, 1, "status" }, { KIND_COPY, 2, "progress" }, { KIND_COPY, 3, "error" }, { KIND_COPY, 4, "task" },
        { KIND_SNAPSHOT, 1, "id" }, { KIND_SNAPSHOT, 2, "name" }, { KIND_SNAPSHOT, 3, "description" },
        { KIND_SNAPSHOT, 4, "size" }, { KIND_SNAPSHOT, 5, "status" }, { KIND_SNAPSHOT, 6, "created" },
        { KIND_SNAPSHOT, 7, "owner" }, { KIND_SNAPSHOT, 8, "source" }, { KIND_SNAPSHOT, 9, "data.raw" },
        { KIND_SNAPSHOT, 10, "data.qcow2" }, { KIND_SNAPSHOT, 11, "images" }, { KIND_SNAPSHOT, 12, "disks" },
        { KIND_SNAPSHOT, 13, "used-by" }, { KIND_SNAPSHOT, 14, "checksum" }, { KIND_SNAPSHOT, 15, "last-error" },
        { KIND_SNAPSHOT, 16, "changed" }, { KIND_SNAPSHOT, 17, "last-verified" },
        { KIND_SNAPSHOT, 18, "packages" }, { KIND_SNAPSHOT, 19, "partitions" }, { KIND_SNAPSHOT, 20, "guest" },
        { KIND_VOLUME, 1, "data.raw" }, { KIND_VOLUME, 2, "id" }, { KIND_VOLUME, 3, "name" },
        { KIND_VOLUME, 4, "size" }, { KIND_VOLUME, 5, "status" }, { KIND_VOLUME, 6, "instance" },
        { KIND_VOLUME, 7, "created" }, { KIND_VOLUME, 8, "owner" }, { KIND_VOLUME, 9, "source" },
        { KIND_VOLUME, 10, "snapshots" }, { KIND_VOLUME, 11, "last-error" },
        { KIND_INSTANCE, 1, "id" }, { KIND_INSTANCE, 2, "name" }, { KIND_INSTANCE, 3, "description" },
        { KIND_INSTANCE, 4, "status" }, { KIND_INSTANCE, 5, "power" }, { KIND_INSTANCE, 6, "type" },
        { KIND_INSTANCE, 7, "image" }, { KIND_INSTANCE, 8, "owner" }, { KIND_INSTANCE, 9, "created" },
        { KIND_INSTANCE, 10, "device-mapping" }, { KIND_INSTANCE, 11, "disks" }, { KIND_INSTANCE, 12, "attach" },
        { KIND_INSTANCE, 13, "detach" }, { KIND_INSTANCE, 14, "image-disks" }, { KIND_INSTANCE, 15, "images" },
        { KIND_INSTANCE, 16, "used-by" }, { KIND_INSTANCE, 17, "password" }, { KIND_INSTANCE, 18, "ssh-keys" },
        { KIND_INSTANCE, 19, "hostname" }, { KIND_INSTANCE, 20, "seed.iso" }, { KIND_INSTANCE, 21, "last-error" },
        { KIND_INSTANCE, 22, "wait" }, { KIND_INSTANCE, 23, "warnings" },
        { KIND_INSTANCE, 24, "os" }, { KIND_INSTANCE, 25, "architecture" }, { KIND_INSTANCE, 26, "boot-mode" },
        { KIND_INSTANCE, 27, "cdrom" }, { KIND_INSTANCE, 28, "user-data" }, { KIND_INSTANCE, 29, "network-config" },
        { KIND_INSTANCE, 30, "host" },
        { KIND_FOLLOW, 1, "url" }, { KIND_FOLLOW, 2, "every" }, { KIND_FOLLOW, 3, "keep" }, { KIND_FOLLOW, 4, "family" },
        { KIND_FOLLOW, 5, "sums" }, { KIND_FOLLOW, 6, "keyring" }, { KIND_FOLLOW, 7, "status" }, { KIND_FOLLOW, 8, "owner" },
        { KIND_FOLLOW, 9, "last-run" }, { KIND_FOLLOW, 10, "next-run" }, { KIND_FOLLOW, 11, "last-error" },
        { KIND_FOLLOW, 12, "images" }, { KIND_FOLLOW, 13, "run" }, { KIND_FOLLOW, 14, "wait" },
        { KIND_DOWNLOAD, 1, "url" }, { KIND_DOWNLOAD, 2, "expires" },
        { KIND_SHARE, 1, "user" }, { KIND_SHARE, 2, "created" },
        { KIND_SHARED_IMAGE, 1, "id" }, { KIND_SHARED_IMAGE, 2, "name" }, { KIND_SHARED_IMAGE, 3, "description" },
        { KIND_SHARED_IMAGE, 4, "status" }, { KIND_SHARED_IMAGE, 5, "progress" }, { KIND_SHARED_IMAGE, 6, "error" },
        { KIND_SHARED_IMAGE, 7, "type" }, { KIND_SHARED_IMAGE, 8, "source" }, { KIND_SHARED_IMAGE, 9, "owner" },
        { KIND_SHARED_IMAGE, 10, "created" }, { KIND_SHARED_IMAGE, 11, "updated" }, { KIND_SHARED_IMAGE, 12, "size" },
        { KIND_SHARED_IMAGE, 13, "format" }, { KIND_SHARED_IMAGE, 14, "os" }, { KIND_SHARED_IMAGE, 15, "platform" },
        { KIND_SHARED_IMAGE, 16, "platform-version" }, { KIND_SHARED_IMAGE, 17, "architecture" },
        { KIND_SHARED_IMAGE, 18, "boot-mode" }, { KIND_SHARED_IMAGE, 19, "features" },
        { KIND_SHARED_IMAGE, 20, "labels" }, { KIND_SHARED_IMAGE, 21, "project-group" },
        { KIND_SHARED_IMAGE, 22, "encrypted" }, { KIND_SHARED_IMAGE, 23, "provider" },
        { KIND_SHARED_IMAGE, 24, "checksum" }, { KIND_SHARED_IMAGE, 25, "device-mapping" },
        { KIND_SHARED_IMAGE, 26, "metadata.json" }, { KIND_SHARED_IMAGE, 27, "wait" },
        { KIND_SHARED_IMAGE, 28, "last-error" }, { KIND_SHARED_IMAGE, 29, "disks" },
        { KIND_SHARED_IMAGE, 30, "instances" }, { KIND_SHARED_IMAGE, 31, "convert" },
        { KIND_SHARED_IMAGE, 32, "copies" }, { KIND_SHARED_IMAGE, 33, "shares" },
        { KIND_SHARED_IMAGE, 40, "warnings" }, { KIND_SHARED_IMAGE, 41, "last-verified" },
        { KIND_SHARED_IMAGE, 42, "family" }, { KIND_SHARED_IMAGE, 43, "protected" }, { KIND_SHARED_IMAGE, 44, "lifecycle" },
        { KIND_SHARED_IMAGE, 45, "packages" }, { KIND_SHARED_IMAGE, 46, "partitions" },
        { KIND_IMAGE_PARTITIONS, 1, "table" }, { KIND_SHARED_PARTITIONS, 1, "table" },
        { KIND_SNAPSHOT_PARTITIONS, 1, "table" },
        { KIND_SHARED_IMAGE, 50, "oci" }, { KIND_SHARED_IMAGE, 51, "guest" },
        { KIND_OCI, 1, "index.json" }, { KIND_OCI, 2, "oci-layout" }, { KIND_OCI, 3, "blobs" },
        { KIND_OCI_BLOBS, 1, "sha256" },
};

#define N_KINDS (sizeof(kinds) / sizeof(kinds[0]))
#define N_FILES (sizeof(files) / sizeof(files[0]))

static void test_kinds_keep_their_numbers(void **state)
{
        (void)state;
        assert_int_equal(N_KINDS, KIND_COUNT);
        for (size_t i = 0; i < N_KINDS; i++) {
                assert_int_equal(kinds[i].number, i);
                if (kinds[i].kind == KIND_NONE)
                        assert_null(tree_kind((enum node_kind)i));
                else
                        assert_int_equal(kinds[i].kind, i);
        }
}

/* Here numbers were once the places of rows: one that was put in the middle moved the numbers of all after it. */
static void test_files_keep_their_numbers(void **state)
{
        (void)state;
        for (size_t i = 0; i < N_FILES; i++) {
                const struct entry *e = tree_entry((struct node){ files[i].kind, files[i].number, 1, 0 });

                if (files[i].name && !e)
                        fail_msg("%s of kind %u has lost its number %u", files[i].name, files[i].kind,
                                 files[i].number);
                if (files[i].name && strcmp(e->name, files[i].name) != 0)
                        fail_msg("number %u of kind %u is %s and no longer %s", files[i].number, files[i].kind, e->name,
                                 files[i].name);
                if (!files[i].name && e)
                        fail_msg("number %u of kind %u was another's once: %s takes a new one", files[i].number,
                                 files[i].kind, e->name);
        }
}

static bool is_known(unsigned kind, const struct entry *e)
{
        for (size_t i = 0; i < N_FILES; i++)
                if (files[i].kind == kind && files[i].number == e->number)
                        return true;
        return false;
}

/* The rows of a kind's table; none of one that went. */
static const struct entry *entries_of(unsigned kind)
{
        static const struct entry none[] = { { 0 } };
        const struct dir_kind *k = tree_kind((enum node_kind)kind);

        return k && k->entries ? k->entries : none;
}

static void test_every_file_has_a_number_that_is_kept(void **state)
{
        (void)state;
        for (unsigned k = 0; k < KIND_COUNT; k++)
                for (const struct entry *e = entries_of(k); e->name; e++)
                        if (!is_known(k, e))
                                fail_msg("%s of kind %u is new: add it to the table above", e->name, k);
}

static void test_inode_numbers_are_made_as_ever(void **state)
{
        (void)state;
        assert_true(node_ino((struct node){ KIND_IMAGE, 0, 5, 0 }) == 0x1c00000000000005);
        assert_true(node_ino((struct node){ KIND_IMAGE, 2, 5, 0 }) == 0x1c02000000000005);
        assert_true(node_ino((struct node){ KIND_IMAGE_DISKS, ROW_CHILD, 5, 0 }) == 0x23ff000000000005);
}

/* Does the check of a table with these two files abort, as it does at start? */
static bool is_refused(unsigned first, unsigned second)
{
        const struct entry entries[] = {
                { .number = first, .name = "first", .help = "help" },
                { .number = second, .name = "second", .help = "help" },
                { 0 },
        };
        const struct dir_kind kind = {
                .name = "test",
                .entries = entries,
                .child = KIND_NONE,
                .object = tree_kind(KIND_ROOT)->object,
        };
        int status;
        pid_t pid = fork();

        assert_true(pid >= 0);
        if (pid == 0) {
                (void)setrlimit(RLIMIT_CORE, &(struct rlimit){ 0 });
                (void)close(STDERR_FILENO);
                kind_check(&kind);
                _exit(0);
        }
        assert_int_equal(waitpid(pid, &status, 0), pid);
        return WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT;
}

static void test_numbers_that_cannot_be_are_refused(void **state)
{
        (void)state;
        assert_false(is_refused(1, 2));
        assert_false(is_refused(2, 1)); /* in any order */
        assert_false(is_refused(7, ENTRY_NUMBER_MAX));
        assert_true(is_refused(1, 1));
        assert_true(is_refused(0, 1));
        assert_true(is_refused(1, ENTRY_NUMBER_MAX + 1));
        assert_true(is_refused(1, ROW_CHILD));
}

static void test_tables_are_consistent(void **state)
{
        (void)state;
        tree_check(); /* aborts when they are not */
}

static void test_root_has_the_number_that_the_protocol_wants(void **state)
{
        struct node n = node_of(FUSE_ROOT_ID);

        (void)state;
        assert_int_equal(n.kind, KIND_ROOT);
        assert_int_equal(n.row, 0);
        assert_int_equal(node_ino(n), FUSE_ROOT_ID);
}

static void test_numbers_and_nodes_are_the_same_thing(void **state)
{
        static const uint64_t oids[] = { 1, 2, 4711, (UINT64_C(1) << OID_BITS) - 1 };
        static const unsigned rows[] = { 0, 1, 7, ROW_CHILD };

        (void)state;
        for (unsigned k = 0; k < KIND_COUNT; k++)
                for (size_t r = 0; r < sizeof(rows) / sizeof(rows[0]); r++)
                        for (size_t o = 0; o < sizeof(oids) / sizeof(oids[0]); o++) {
                                struct node n = { .kind = (enum node_kind)k, .row = rows[r], .oid = oids[o] };
                                struct node back = node_of(node_ino(n));

                                assert_int_equal(back.kind, n.kind);
                                assert_int_equal(back.row, n.row);
                                assert_int_equal(back.oid, n.oid);
                        }
}

/* What is removed and comes back was the same directory for the kernel, which took it for dead. */
static void test_directories_at_other_places_have_other_numbers(void **state)
{
        struct node n = { .kind = KIND_IMAGE, .oid = 5 };
        const uint64_t first = node_ino(n);

        (void)state;
        for (n.place = 1; n.place < 3 * PLACES; n.place++) {
                const struct node back = node_of(node_ino(n)), file = { KIND_IMAGE, 7, 5, n.place };
                const struct node before = { KIND_IMAGE, 0, 5, n.place - 1 };

                assert_true(node_ino(n) != first);
                assert_true(node_ino(n) != node_ino(before) || node_generation(n) != node_generation(before));
                assert_int_equal(node_number(n), first);
                assert_int_equal(back.kind, n.kind);
                assert_int_equal(back.row, 0);
                assert_int_equal(back.oid, n.oid);
                assert_int_equal(back.place, (n.place - 1) % PLACES + 1);
                assert_int_equal(node_ino(back), node_ino(n));
                assert_int_equal(node_of(node_ino(file)).row, 7);
                assert_int_equal(node_of(node_ino(file)).place, 0);
        }
        n.place = 1;
        assert_int_equal(node_generation(n), 0);
        n.place += PLACES;
        assert_int_equal(node_generation(n), 1);
}

static void test_numbers_that_are_no_node_have_no_entry(void **state)
{
        (void)state;
        assert_null(tree_entry((struct node){ .kind = KIND_IMAGE, .row = 0, .oid = 1 }));
        assert_null(tree_entry((struct node){ .kind = KIND_IMAGE, .row = 500, .oid = 1 }));
        assert_null(tree_entry((struct node){ .kind = KIND_IMAGE, .row = ROW_CHILD, .oid = 1 }));
        assert_null(tree_entry(node_of(UINT64_MAX)));
        assert_null(tree_kind(node_of(UINT64_MAX).kind));
        assert_string_equal(tree_entry((struct node){ .kind = KIND_IMAGE, .row = 1, .oid = 1 })->name, "id");
}

static void test_printed_tree_shows_every_entry_with_its_help(void **state)
{
        CLEANUP_FREE char *text = NULL;
        size_t size;
        FILE *f = open_memstream(&text, &size);

        (void)state;
        assert_non_null(f);
        tree_print(f);
        assert_int_equal(fclose(f), 0);
        for (unsigned k = 0; k < KIND_COUNT; k++)
                for (const struct entry *e = entries_of(k); e->name; e++) {
                        assert_non_null(strstr(text, e->name));
                        assert_non_null(strstr(text, e->help));
                }
}

static char *printed_part(const char *name, bool wanted)
{
        char *text = NULL;
        size_t size;
        FILE *f = open_memstream(&text, &size);

        assert_non_null(f);
        assert_int_equal(tree_print_part(f, name), wanted);
        assert_int_equal(fclose(f), 0);
        return text;
}

static void test_a_part_of_the_tree_is_printed_by_its_name(void **state)
{
        static const char *const none[] = { "", "/", "nothing", "mage", "priv", "name" };
        static const char *const one[] = { "<instance>/disks", "instance/disks", "instances/<instance>/disks/",
                                           "regions/<region>/instances/<instance>/disks" };
        char *text;

        (void)state;
        text = printed_part("quota", false); /* a file */
        free(text);
        for (size_t i = 0; i < sizeof(one) / sizeof(one[0]); i++) {
                text = printed_part(one[i], true);
                assert_non_null(strstr(text, "regions/<region>/instances/<instance>/disks/\n"));
                free(text);
        }
        text = printed_part("instances", true);
        assert_non_null(strstr(text, "regions/<region>/private/<image>/instances/\n"));
        assert_non_null(strstr(text, "\nregions/<region>/instances/\n  <instance>/\n"));
        assert_null(strstr(text, "quota"));
        free(text);
        for (size_t i = 0; i < sizeof(none) / sizeof(none[0]); i++) {
                text = printed_part(none[i], false);
                assert_string_equal(text, "");
                free(text);
        }
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_kinds_keep_their_numbers),
                cmocka_unit_test(test_files_keep_their_numbers),
                cmocka_unit_test(test_every_file_has_a_number_that_is_kept),
                cmocka_unit_test(test_inode_numbers_are_made_as_ever),
                cmocka_unit_test(test_numbers_that_cannot_be_are_refused),
                cmocka_unit_test(test_tables_are_consistent),
                cmocka_unit_test(test_root_has_the_number_that_the_protocol_wants),
                cmocka_unit_test(test_numbers_and_nodes_are_the_same_thing),
                cmocka_unit_test(test_directories_at_other_places_have_other_numbers),
                cmocka_unit_test(test_numbers_that_are_no_node_have_no_entry),
                cmocka_unit_test(test_printed_tree_shows_every_entry_with_its_help),
                cmocka_unit_test(test_a_part_of_the_tree_is_printed_by_its_name),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: MIT */
/* Imports: of what formats, into what, and how they fail. Needs qemu-img for some. */

#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "blobstore/base/io.h"
#include "model/core/limits.h"
#include "tests/lib/foreign.h"
#include "tests/lib/work.h"

#define SIZE (8u << 20)

/* Runs a shell command in the test's directory. */
static void sh(struct library *l, const char *command)
{
        char line[4 * TEMPDIR_MAX];

        (void)snprintf(line, sizeof(line), "cd %s && { %s; }", l->dir, command);
        if (system(line) != 0)
                fail_msg("%s", line);
}

static void upload_file(struct library *l, uint64_t image, const char *name)
{
        char path[2 * TEMPDIR_MAX];
        uint8_t *bytes;
        struct stat st;
        int fd;

        (void)snprintf(path, sizeof(path), "%s/%s", l->dir, name);
        fd = open(path, O_RDONLY | O_CLOEXEC);
        assert_true(fd >= 0 && fstat(fd, &st) == 0);
        bytes = malloc((size_t)st.st_size);
        assert_non_null(bytes);
        assert_int_equal(pread_full(fd, bytes, (size_t)st.st_size, 0), st.st_size);
        (void)close(fd);
        work_upload(l, image, bytes, (size_t)st.st_size);
        free(bytes);
}

static void write_raw(struct library *l, const char *name, size_t size, uint32_t seed)
{
        uint8_t *bytes = work_bytes(size, seed);
        char path[2 * TEMPDIR_MAX];
        int fd;

        (void)snprintf(path, sizeof(path), "%s/%s", l->dir, name);
        fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
        assert_true(fd >= 0);
        assert_ok(pwrite_full(fd, bytes, size, 0));
        (void)close(fd);
        free(bytes);
}

static void require_qemu(void)
{
        if (!foreign_can_run())
                skip();
}

static void test_a_qcow2_is_read_as_what_its_guest_sees(void **state)
{
        struct library *l = *state;
        uint64_t id;

        require_qemu();
        id = library_image(l, "web");
        write_raw(l, "disk.raw", SIZE, 1);
        sh(l, "qemu-img convert -c -O qcow2 disk.raw disk.qcow2");
        upload_file(l, id, "disk.qcow2");
        work_wait_available(l, id);
        assert_string_equal(work_get(l, id).format, "qcow2");
        assert_int_equal(work_get(l, id).o.size_bytes, SIZE);
        assert_false(work_get(l, id).encrypted);
        work_assert_bytes(l, id, SIZE, 1);
        work_assert_clean(l);
}

static void test_public_images_have_a_snapshot_and_take_no_quota_of_images(void **state)
{
        struct library *l = *state;
        uint64_t id;

        assert_ok(image_create(l->m, &l->admin, l->region, CLASS_PUBLIC, "debian", library_diag(l), &id));
        assert_int_equal(work_get(l, id).type, TYPE_BOTH);
        work_upload(l, id, "a disk", 6);
        work_wait_available(l, id);
        assert_int_equal(work_snapshots(l, l->region), 1);
        assert_int_equal(work_used(l, l->region, &l->admin, LIMIT_PRIVATE_IMAGES), 0);
        work_assert_clean(l);
}

static void test_the_snapshot_has_the_name_and_the_owner_of_the_image(void **state)
{
        struct library *l = *state;
        uint64_t id = library_image(l, "web");
        struct snapshot snapshot;
        struct object o;

        assert_ok(image_set(l->m, &l->alice, id, IMAGE_FIELD_NAME, "My web", library_diag(l)));
        work_upload(l, id, "a disk", 6);
        work_wait_available(l, id);
        assert_ok(snapshot_find(l->m, l->region, "My web", &o));
        assert_ok(snapshot_get(l->m, o.id, &snapshot));
        assert_true(snapshot.available);
        assert_int_equal(snapshot.blob.size_bytes, 6);
        assert_int_equal(o.uid, l->alice.uid);
        assert_contains(snapshot.source, work_get(l, id).ident);
        assert_refused(l, snapshot_remove(l->m, &l->alice, o.id, library_diag(l)), -EBUSY);
}

/* The header is fine; only reading the data shows it. */
static void test_damage_behind_the_header_ends_in_error(void **state)
{
        struct library *l = *state;
        uint64_t id;

        require_qemu();
        id = library_image(l, "web");
        write_raw(l, "disk.raw", SIZE, 1);
        sh(l, "qemu-img convert -c -O qcow2 disk.raw disk.qcow2 && "
              "dd if=/dev/urandom of=disk.qcow2 bs=64k seek=6 count=20 conv=notrunc status=none");
        upload_file(l, id, "disk.qcow2");
        assert_int_equal(library_wait_image(l, id), IMAGE_ERROR);
        assert_string_not_equal(work_get(l, id).error, "");
        assert_int_equal(work_used(l, l->region, &l->alice, LIMIT_SNAPSHOTS), 0);
        work_wait_incoming(l); /* removed once that is recorded */
        work_assert_clean(l);
        assert_ok(image_remove(l->m, &l->alice, id, library_diag(l)));
        assert_ok(image_destroy(l->m, &l->alice, id, library_diag(l)));
        work_assert_clean(l);
}

static void test_images_of_the_same_bytes_share_them(void **state)
{
        struct library *l = *state;
        struct model_stats one, two;

        (void)work_image(l, &l->alice, l->region, "a", NULL, SIZE, 1);
        assert_ok(model_get_stats(l->m, &one));
        (void)work_image(l, &l->alice, l->region, "b", NULL, SIZE, 1);
        assert_ok(model_get_stats(l->m, &two));
        assert_int_equal(two.blobs.blobs, 2);
        assert_int_equal(two.blobs.stored_bytes, one.blobs.stored_bytes);
        assert_int_equal(two.blobs.logical_bytes, 2 * one.blobs.logical_bytes);
}

/* A program on the way from the last byte to the row was killed: the work begins again, and nothing is there twice. */
static void test_an_import_can_be_done_again_from_its_start(void **state)
{
        struct library *l = *state;
        uint64_t id = library_image(l, "web");
        uint8_t *bytes = work_bytes(SIZE, 1);
        struct upload *u;

        assert_ok(upload_open(l->m, &l->alice, id, library_diag(l), &u));
        assert_ok(upload_write(u, bytes, SIZE, 0, NULL, NULL, library_diag(l)));
        upload_close(u);
        library_close(l);
        free(bytes);

        for (int i = 0; i < 3; i++) {
                assert_ok(library_open(l));
                library_close(l);
        }
        assert_ok(library_open(l));
        work_wait_available(l, id);
        work_assert_bytes(l, id, SIZE, 1);
        work_wait_blobs(l, 1);
        work_assert_clean(l);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, library_setup, library_teardown)
                TEST(test_a_qcow2_is_read_as_what_its_guest_sees),
                TEST(test_public_images_have_a_snapshot_and_take_no_quota_of_images),
                TEST(test_the_snapshot_has_the_name_and_the_owner_of_the_image),
                TEST(test_damage_behind_the_header_ends_in_error),
                TEST(test_images_of_the_same_bytes_share_them),
                TEST(test_an_import_can_be_done_again_from_its_start),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}

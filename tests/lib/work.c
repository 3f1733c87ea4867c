/* SPDX-License-Identifier: MIT */

#include "tests/lib/work.h"

#include <dirent.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "blobstore/base/io.h"
#include "blobstore/base/lock.h"
#include "model/check.h"
#include "model/core/quota.h"

uint8_t *work_bytes(size_t size, uint32_t seed)
{
        uint64_t x = seed * UINT64_C(0x9e3779b97f4a7c15) + 1;
        uint8_t *bytes = calloc(1, size ? size : 1);

        assert_non_null(bytes);
        for (size_t i = 0; i < size; i++) {
                if (i % BLOB_BLOCK_SIZE == 0 && (i / BLOB_BLOCK_SIZE + seed) % 4 == 3) {
                        i += BLOB_BLOCK_SIZE - 1;
                        continue;
                }
                x ^= x << 13;
                x ^= x >> 7;
                x ^= x << 17;
                bytes[i] = (uint8_t)x;
        }
        return bytes;
}

static struct upload *upload_of(struct library *l, uint64_t image)
{
        const struct caller *c = work_get(l, image).class == CLASS_PRIVATE ? &l->alice : &l->admin;
        struct upload *u;

        assert_ok(upload_open(l->m, c, image, library_diag(l), &u));
        return u;
}

void work_upload(struct library *l, uint64_t image, const void *bytes, size_t size)
{
        struct upload *u = upload_of(l, image);

        assert_ok(upload_write(u, bytes, size, 0, NULL, NULL, library_diag(l)));
        assert_ok(upload_check(u, library_diag(l)));
        upload_close(u);
}

void work_upload_file(struct library *l, uint64_t image, const void *bytes, size_t size)
{
        struct upload *u = upload_of(l, image);
        size_t half = size / 2;

        assert_ok(upload_write(u, (const uint8_t *)bytes + half, size - half, half, NULL, NULL, library_diag(l)));
        assert_ok(upload_write(u, bytes, half, 0, NULL, NULL, library_diag(l)));
        upload_close(u);
}

void work_wait_available(struct library *l, uint64_t image)
{
        enum image_status status = library_wait_image(l, image);

        if (status != IMAGE_AVAILABLE)
                fail_msg("%s: %s", image_status_name(status), work_get(l, image).error);
}

uint64_t work_image(struct library *l, const struct caller *c, uint64_t region, const char *handle, const char *type,
                    size_t size, uint32_t seed)
{
        uint8_t *bytes = work_bytes(size, seed);
        uint64_t id;

        assert_ok(image_create(l->m, c, region, CLASS_PRIVATE, handle, library_diag(l), &id));
        assert_ok(image_set(l->m, c, id, IMAGE_FIELD_FORMAT, "raw", library_diag(l)));
        if (type)
                assert_ok(image_set(l->m, c, id, IMAGE_FIELD_TYPE, type, library_diag(l)));
        work_upload(l, id, bytes, size);
        free(bytes);
        work_wait_available(l, id);
        return id;
}

uint64_t work_region(struct library *l, const char *handle)
{
        uint64_t id;

        assert_ok(region_create(l->m, &l->admin, handle, library_diag(l), &id));
        return id;
}

uint64_t work_far_region(struct library *l, const char *handle)
{
        char path[2 * TEMPDIR_MAX];
        uint64_t id = work_region(l, handle);

        (void)snprintf(path, sizeof(path), "%s/far-%s", l->dir, handle);
        assert_ok(region_set_store(l->m, &l->admin, id, path, library_diag(l)));
        return id;
}

static int first_disk(void *ctx, const struct image_disk *d)
{
        *(struct image_disk *)ctx = *d;
        return 1;
}

void work_assert_bytes(struct library *l, uint64_t image, size_t size, uint32_t seed)
{
        uint8_t *want = work_bytes(size, seed), *got = malloc(size + 1);
        struct image_disk disk = { 0 };
        struct blob *blob;

        assert_non_null(got);
        assert_true(image_disk_each(l->m, image, first_disk, &disk) >= 0);
        assert_ok(image_disk_open(l->m, disk.id, NULL, &blob));
        assert_int_equal(blob_pread(blob, got, size + 1, 0), size);
        assert_memory_equal(got, want, size);
        blob_close(blob);
        free(got);
        free(want);
}

struct image work_get(struct library *l, uint64_t image)
{
        struct image ret;

        assert_ok(image_get(l->m, image, &ret));
        return ret;
}

uint64_t work_find(struct library *l, uint64_t region, enum image_class class, const char *handle)
{
        struct object o;
        int r;

        r = image_find(l->m, region, class, handle, &o);
        if (r == -ENOENT)
                return 0;
        assert_ok(r);
        return o.id;
}

uint64_t work_used(struct library *l, uint64_t region, const struct caller *c, enum limit q)
{
        struct quota quota;

        assert_ok(quota_get(l->m, region, c->uid, q, &quota));
        return quota.used;
}

static int count(void *ctx, const struct object *o)
{
        (void)o;
        ++*(uint64_t *)ctx;
        return 0;
}

uint64_t work_tasks(struct library *l)
{
        uint64_t n = 0;

        assert_ok(task_each(l->m, count, &n));
        return n;
}

uint64_t work_snapshots(struct library *l, uint64_t region)
{
        uint64_t n = 0;

        assert_ok(snapshot_each(l->m, region, count, &n));
        return n;
}

static unsigned changes_seen(struct library *l)
{
        LOCK_SCOPE(&l->mutex);

        return l->changes;
}

static void wait_for_change(struct library *l, unsigned seen)
{
        LOCK_SCOPE(&l->mutex);

        while (l->changes == seen)
                (void)pthread_cond_wait(&l->changed, &l->mutex);
}

void work_wait(struct library *l, work_cond *cond, uint64_t arg)
{
        for (;;) {
                unsigned seen = changes_seen(l);

                if (cond(l, arg))
                        return;
                wait_for_change(l, seen);
        }
}

static bool task_ended(struct library *l, uint64_t id)
{
        struct task task;
        int r;

        r = task_get(l->m, id, &task);
        return r < 0 || (task.status != TASK_QUEUED && task.status != TASK_RUNNING);
}

struct task work_wait_task(struct library *l, uint64_t id)
{
        struct task task = { .status = TASK_CANCELLED };
        int r;

        work_wait(l, task_ended, id);
        r = task_get(l->m, id, &task);
        if (r != -ENOENT)
                assert_ok(r);
        return task;
}

void work_wait_blobs(struct library *l, uint64_t n)
{
        struct model_stats stats;

        /* Collecting blobs is no event that anybody is told of. */
        for (int i = 0; i < 500; i++) {
                assert_ok(model_get_stats(l->m, &stats));
                if (stats.blobs.blobs == n)
                        return;
                (void)nanosleep(&(struct timespec){ .tv_nsec = 20000000 }, NULL);
        }
        assert_int_equal(stats.blobs.blobs, n);
}

unsigned work_incoming(struct library *l)
{
        char path[2 * TEMPDIR_MAX];
        const struct dirent *e;
        unsigned n = 0;
        DIR *dir;

        (void)snprintf(path, sizeof(path), "%s/lib/blobs/incoming", l->dir);
        dir = opendir(path);
        assert_non_null(dir);
        while ((e = readdir(dir)))
                n += e->d_name[0] != '.';
        (void)closedir(dir);
        return n;
}

static bool none_incoming(struct library *l, uint64_t arg)
{
        (void)arg;
        return work_incoming(l) == 0;
}

void work_wait_incoming(struct library *l)
{
        work_wait(l, none_incoming, 0);
}

static void print_finding(void *ctx, const char *text)
{
        (void)ctx;
        print_error("check: %s\n", text);
}

void work_assert_clean(struct library *l)
{
        char path[2 * TEMPDIR_MAX];

        library_close(l);
        (void)snprintf(path, sizeof(path), "%s/lib", l->dir);
        assert_err(model_check(path, true, NULL, print_finding, NULL, library_diag(l)), 0);
        assert_ok(library_open(l));
}

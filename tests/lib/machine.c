/* SPDX-License-Identifier: MIT */

#include "model/core/stores.h"
#include "model/image/image_disk_row.h"
#include "model/image/snapshot_row.h"
#include "tests/lib/machine.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>


/* Adds a disk to an image that is available, which no import does: only captures make such. */
static void add_data_disk(struct library *l, uint64_t image, const char *device)
{
        uint8_t *bytes = work_bytes(MACHINE_SIZE, (uint32_t)(device[2] - 'a' + 1));
        uint64_t blob = library_blob(l, bytes, MACHINE_SIZE);
        struct snapshot snapshot = { .region = l->region,
                                     .o = { .uid = l->alice.uid, .gid = l->alice.gid, .mode = 0700 } };
        DB_TXN(t);

        (void)snprintf(snapshot.o.handle, sizeof(snapshot.o.handle), "data-%s", device);
        (void)snprintf(snapshot.name, sizeof(snapshot.name), "data-%s", device);
        assert_ok(db_begin(l->m->db, DB_WRITE, &t));
        assert_ok(snapshot_insert(&t, &snapshot));
        assert_ok(snapshot_set_blob(&t, snapshot.o.id, blob));
        assert_ok(image_disk_insert(&t, image, device, false, snapshot.o.id, 0));
        assert_ok(db_commit(&t));
        free(bytes);
}

uint64_t machine_image(struct library *l, const char *handle, const char *type, const char *data_disks)
{
        uint64_t id = work_image(l, &l->alice, l->region, handle, type, MACHINE_SIZE, 1);
        char device[4];

        for (const char *p = data_disks; *p; p += strcspn(p, " "), p += strspn(p, " ")) {
                (void)snprintf(device, sizeof(device), "%.3s", p);
                add_data_disk(l, id, device);
        }
        return id;
}

uint64_t machine_make(struct library *l, uint64_t image, const char *handle)
{
        uint64_t id;

        assert_ok(instance_create_from_image(l->m, &l->alice, image, handle, library_diag(l), &id));
        return id;
}

uint64_t machine_make_empty(struct library *l, const char *handle)
{
        uint64_t id;

        assert_ok(instance_create(l->m, &l->alice, l->region, handle, library_diag(l), &id));
        return id;
}

struct instance machine_get(struct library *l, uint64_t id)
{
        struct instance ret;

        assert_ok(instance_get(l->m, id, &ret));
        return ret;
}

struct search {
        const char *device;
        struct volume *found;
};

static int match(void *ctx, const struct volume *v)
{
        struct search *s = ctx;

        if (strcmp(v->device, s->device) != 0)
                return 0;
        *s->found = *v;
        return 1;
}

static int find_disk(struct library *l, uint64_t id, const char *device, struct volume *ret)
{
        struct search search = { .device = device, .found = ret };

        return instance_volumes(l->m, id, match, &search);
}

struct volume machine_disk(struct library *l, uint64_t id, const char *device)
{
        struct volume v = { .device = "" };

        assert_err(find_disk(l, id, device, &v), 1);
        return v;
}

bool machine_has_disk(struct library *l, uint64_t id, const char *device)
{
        struct volume v;
        int r;

        r = find_disk(l, id, device, &v);
        assert_true(r >= 0);
        return r == 1;
}

int machine_set(struct library *l, uint64_t id, enum instance_field field, const char *value)
{
        return instance_set(l->m, &l->alice, id, field, value, library_diag(l));
}

void machine_write(struct library *l, uint64_t volume, const void *bytes, size_t n, uint64_t off)
{
        struct volume_file *f;

        assert_ok(volume_open(l->m, volume, true, library_diag(l), &f));
        assert_ok(volume_file_make(f));
        assert_int_equal(disk_pwrite(volume_disk(f), bytes, n, off), n);
        volume_close(f);
}

void machine_assert_bytes(struct library *l, uint64_t volume, const void *bytes, size_t n, uint64_t off)
{
        struct volume_file *f;
        uint8_t *got = malloc(n);

        assert_non_null(got);
        assert_ok(volume_open(l->m, volume, false, library_diag(l), &f));
        assert_int_equal(disk_pread(volume_disk(f), got, n, off), n);
        assert_memory_equal(got, bytes, n);
        volume_close(f);
        free(got);
}

static void *close_later(void *file)
{
        (void)nanosleep(&(struct timespec){ .tv_nsec = 50000000 }, NULL);
        volume_close(file);
        return NULL;
}

pthread_t machine_close_later(struct volume_file *f)
{
        pthread_t thread;

        assert_int_equal(pthread_create(&thread, NULL, close_later, f), 0);
        return thread;
}

uint64_t machine_volume(struct library *l, const char *handle, uint64_t size)
{
        uint64_t id;

        assert_ok(volume_create(l->m, &l->alice, l->region, handle, library_diag(l), &id));
        if (size)
                assert_ok(volume_set_size(l->m, &l->alice, id, size, library_diag(l)));
        return id;
}

static bool is_idle(struct library *l, uint64_t id)
{
        return !machine_get(l, id).busy;
}

void machine_wait(struct library *l, uint64_t instance)
{
        work_wait(l, is_idle, instance);
}

static bool volume_is_idle(struct library *l, uint64_t id)
{
        struct volume v;

        assert_ok(volume_get(l->m, id, &v));
        return !v.busy;
}

void machine_wait_volume(struct library *l, uint64_t volume)
{
        work_wait(l, volume_is_idle, volume);
}

static int count(void *ctx, const struct disk_id *id)
{
        (void)id;
        ++*(unsigned *)ctx;
        return 0;
}

void machine_wait_disks(struct library *l, unsigned n)
{
        struct blobstore *bs;
        struct region region;
        unsigned got = 0;

        assert_ok(region_get(l->m, l->region, &region));
        assert_ok(stores_get(l->m, region.store, NULL, &bs));
        /* Removing disks is no event that anybody is told of. */
        for (int i = 0; i < 500; i++) {
                got = 0;
                assert_ok(disk_each(bs, count, &got));
                if (got == n)
                        return;
                (void)nanosleep(&(struct timespec){ .tv_nsec = 20000000 }, NULL);
        }
        assert_int_equal(got, n);
}

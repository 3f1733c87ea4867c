/* SPDX-License-Identifier: MIT */
/* Disks by themselves: made, grown, opened, their snapshots taken, removed. */

#include "blobstore/base/lock.h"
#include "model/core/quota.h"
#include "model/machine/volume_gate_priv.h"
#include "tests/lib/machine.h"
#include "tests/lib/stopwatch.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static struct volume get(struct library *l, uint64_t id)
{
        struct volume v;

        assert_ok(volume_get(l->m, id, &v));
        return v;
}

static uint64_t take(struct library *l, uint64_t id, const char *handle)
{
        uint64_t snapshot;

        assert_ok(volume_snapshot(l->m, &l->alice, id, handle, library_diag(l), &snapshot));
        machine_wait_volume(l, id);
        return snapshot;
}

/* ---- making and growing ---- */

static void test_a_disk_is_made_with_its_size(void **state)
{
        struct library *l = *state;
        uint64_t id = machine_volume(l, "d1", 0);
        struct object o;

        assert_int_equal(get(l, id).size_bytes, 0);
        assert_true(get(l, id).cloud);
        machine_wait_disks(l, 0);
        assert_ok(volume_set_size(l->m, &l->alice, id, 10000, library_diag(l)));
        assert_int_equal(get(l, id).size_bytes, 10000);
        machine_write(l, id, "end", 3, 9997);
        assert_ok(volume_set_size(l->m, &l->alice, id, UINT64_C(20) << 30, library_diag(l)));
        machine_assert_bytes(l, id, "end\0\0", 5, 9997);
        assert_ok(volume_find(l->m, l->region, "d1", &o));
        assert_int_equal(o.id, id);
        work_assert_clean(l);
        assert_int_equal(get(l, id).size_bytes, UINT64_C(20) << 30);
        machine_assert_bytes(l, id, "end\0\0", 5, 9997);
}

static void test_sizes_that_are_refused(void **state)
{
        struct library *l = *state;
        uint64_t id = machine_volume(l, "d1", 8192);

        assert_refused(l, volume_set_size(l->m, &l->alice, id, 0, library_diag(l)), -EINVAL);
        assert_refused(l, volume_set_size(l->m, &l->alice, id, 4096, library_diag(l)), -EINVAL);
        assert_refused(l, volume_set_size(l->m, &l->alice, id, BLOB_SIZE_MAX + 1, library_diag(l)), -EINVAL);
        assert_ok(volume_set_size(l->m, &l->alice, id, 8192, library_diag(l)));
        assert_err(volume_set_size(l->m, &l->alice, 4711, 8192, library_diag(l)), -ENOENT);
        assert_int_equal(get(l, id).size_bytes, 8192);
}

static void test_truncate_gives_a_stopped_instance_s_disk_its_size(void **state)
{
        struct library *l = *state;
        uint64_t id = machine_make(l, machine_image(l, "web", "cloud", "vdb"), "vm1");
        uint64_t vda = machine_disk(l, id, "vda").o.id, vdb = machine_disk(l, id, "vdb").o.id;
        struct volume_file *f, *other;

        /* As truncate(1) does it: the file is open for writing. */
        assert_ok(volume_open(l->m, vdb, true, library_diag(l), &f));
        assert_ok(volume_file_set_size(f, &l->alice, 1 << 20, library_diag(l)));
        assert_ok(volume_open(l->m, vda, true, library_diag(l), &other));
        assert_refused(l, volume_file_set_size(f, &l->alice, 2 << 20, library_diag(l)), -EBUSY);
        volume_close(other);
        assert_refused(l, volume_set_size(l->m, &l->alice, vdb, 2 << 20, library_diag(l)), -EBUSY);
        volume_close(f);
        assert_int_equal(get(l, vdb).size_bytes, 1 << 20);
        assert_ok(volume_set_size(l->m, &l->alice, vdb, 2 << 20, library_diag(l)));
}

static void test_a_disk_without_size_can_be_opened_to_give_it_one(void **state)
{
        struct library *l = *state;
        uint64_t id = machine_volume(l, "d1", 0), vm = machine_make_empty(l, "vm1");
        struct volume_file *f, *reader;

        assert_ok(volume_open(l->m, id, false, library_diag(l), &reader));
        assert_ok(volume_open(l->m, id, true, library_diag(l), &f));
        assert_null(volume_disk(f));
        assert_ok(volume_file_set_size(f, &l->alice, 4096, library_diag(l)));
        assert_int_equal(disk_get_size(volume_disk(f)), 4096);
        assert_ptr_equal(volume_disk(reader), volume_disk(f));
        volume_close(reader);
        volume_close(f);
        assert_ok(machine_set(l, vm, INSTANCE_FIELD_ATTACH, "d1"));
        assert_false(machine_get(l, vm).started);
}

static void test_a_row_that_a_crash_left_too_small_is_mended(void **state)
{
        struct library *l = *state;
        uint64_t id = machine_volume(l, "d1", 8192);

        machine_write(l, id, "x", 1, 0);
        library_close(l);
        library_sql(l, "UPDATE volume SET size = 4096");
        assert_ok(library_open(l));
        assert_int_equal(get(l, id).size_bytes, 4096);
        machine_assert_bytes(l, id, "", 1, 8191);
        assert_int_equal(get(l, id).size_bytes, 8192);
}

/* What others do at each sync of this thread, which must not wait for it. */
struct meanwhile {
        struct library *l;
        int (*act)(struct library *l);
        unsigned done, late;
};

static _Thread_local struct meanwhile *meanwhile;

static void *do_meanwhile(void *arg)
{
        struct meanwhile *w = arg;

        return (void *)(intptr_t)w->act(w->l);
}

static void let_others_go_on(void)
{
        struct meanwhile *w = meanwhile;
        struct timespec end;
        pthread_t other;
        void *r;

        if (!w || w->late)
                return;
        (void)clock_gettime(CLOCK_REALTIME, &end);
        end.tv_sec += 5;
        assert_int_equal(pthread_create(&other, NULL, do_meanwhile, w), 0);
        if (pthread_timedjoin_np(other, &r, &end) == 0) {
                assert_int_equal((intptr_t)r, 0);
                w->done++;
        } else {
                w->late++;
                (void)pthread_detach(other);
        }
}

int fsync(int fd)
{
        let_others_go_on();
        return (int)syscall(SYS_fsync, fd);
}

static int write_something(struct library *l)
{
        static atomic_uint n;
        char handle[16];
        uint64_t id;

        (void)snprintf(handle, sizeof(handle), "other%u", n++);
        return volume_create(l->m, &l->bob, l->region, handle, library_diag(l), &id);
}

static void test_nobody_waits_for_a_disk_to_grow(void **state)
{
        struct library *l = *state;
        uint64_t id = machine_volume(l, "d1", 8192);
        struct meanwhile w = { .l = l, .act = write_something };

        machine_write(l, id, "x", 1, 0);
        meanwhile = &w;
        assert_ok(volume_set_size(l->m, &l->alice, id, 1 << 20, library_diag(l)));
        meanwhile = NULL;
        assert_int_equal(w.late, 0);
        assert_in_range(w.done, 3, 9);
        machine_assert_bytes(l, id, "", 1, (1 << 20) - 1);
}

/* Grows the same disk, as soon as it may, slowly; nobody waits for that either. */
struct second {
        struct meanwhile *w;
        uint64_t id;
        pthread_t thread, gate_keeper;
        bool begun;
};

static struct second *second;

static void *grow_again(void *arg)
{
        struct second *s = arg;
        struct diag diag = { 0 };
        int r;

        meanwhile = s->w;
        r = volume_set_size(s->w->l->m, &s->w->l->alice, s->id, 2 << 20, &diag);
        return (void *)(intptr_t)r;
}

/* So that the second has its time to come in between. */
static void *keep_gate(void *arg)
{
        struct library *l = arg;
        LOCK_SCOPE(&l->m->volumes->gate);

        (void)usleep(400000);
        return NULL;
}

static int write_slowly(struct library *l)
{
        (void)usleep(200000);
        return write_something(l);
}

static int begin_second(struct library *l)
{
        if (!second->begun) {
                assert_int_equal(pthread_create(&second->gate_keeper, NULL, keep_gate, l), 0);
                assert_int_equal(pthread_create(&second->thread, NULL, grow_again, second), 0);
        }
        second->begun = true;
        return 0;
}

static void test_nobody_waits_for_two_who_grow_a_disk(void **state)
{
        struct library *l = *state;
        struct meanwhile first = { .l = l, .act = begin_second }, w = { .l = l, .act = write_slowly };
        struct second s = { .w = &w, .id = machine_volume(l, "d1", 8192) };
        void *r;

        machine_write(l, s.id, "x", 1, 0);
        second = &s;
        meanwhile = &first;
        assert_ok(volume_set_size(l->m, &l->alice, s.id, 1 << 20, library_diag(l)));
        meanwhile = NULL;
        assert_int_equal(pthread_join(s.thread, &r), 0);
        assert_int_equal((intptr_t)r, 0);
        assert_int_equal(pthread_join(s.gate_keeper, NULL), 0);
        assert_int_equal(first.late + w.late, 0);
        assert_int_equal(get(l, s.id).size_bytes, 2 << 20);
        machine_assert_bytes(l, s.id, "", 1, (2 << 20) - 1);
}

static int take_all_room(struct library *l)
{
        struct object o;
        uint64_t id;

        if (volume_find(l->m, l->region, "d2", &o) == 0)
                return 0;
        id = machine_volume(l, "d2", 0);
        return volume_set_size(l->m, &l->alice, id, 2 << 20, library_diag(l));
}

static void test_a_disk_whose_room_was_taken_meanwhile_stays_as_it_is(void **state)
{
        struct library *l = *state;
        uint64_t id = machine_volume(l, "d1", 8192);
        struct meanwhile w = { .l = l, .act = take_all_room };

        machine_write(l, id, "x", 1, 8191);
        assert_ok(quota_set_line(l->m, &l->admin, l->region, "disk-bytes limit=2M", library_diag(l)));
        assert_refused(l, volume_set_size(l->m, &l->alice, id, 3 << 20, library_diag(l)), -EDQUOT);
        assert_ok(quota_set_line(l->m, &l->admin, l->region, "disk-bytes limit=3M", library_diag(l)));
        meanwhile = &w;
        assert_refused(l, volume_set_size(l->m, &l->alice, id, 3 << 20, library_diag(l)), -EDQUOT);
        meanwhile = NULL;
        assert_int_equal(w.late, 0);
        assert_true(w.done > 0);
        work_assert_clean(l);
        machine_assert_bytes(l, id, "x", 1, 8191);
        assert_int_equal(get(l, id).size_bytes, 8192);
}

static int remove_d1(struct library *l)
{
        struct object o;

        return volume_find(l->m, l->region, "d1", &o) == 0 ? volume_remove(l->m, &l->alice, o.id, library_diag(l)) : 0;
}

static void test_a_disk_may_go_while_it_grows(void **state)
{
        struct library *l = *state;
        uint64_t id = machine_volume(l, "d1", 8192);
        struct meanwhile w = { .l = l, .act = remove_d1 };

        machine_write(l, id, "x", 1, 0);
        meanwhile = &w;
        assert_err(volume_set_size(l->m, &l->alice, id, 1 << 20, library_diag(l)), -ENOENT);
        meanwhile = NULL;
        assert_int_equal(w.late, 0);
        machine_wait_disks(l, 0);
}

static void test_names(void **state)
{
        struct library *l = *state;
        uint64_t id = machine_volume(l, "d1", 4096), other;
        struct object o;

        assert_refused(l, volume_create(l->m, &l->bob, l->region, "d1", library_diag(l), &other), -EEXIST);
        assert_refused(l, volume_create(l->m, &l->bob, l->region, "", library_diag(l), &other), -EINVAL);
        assert_ok(volume_set_name(l->m, &l->alice, id, "Data", library_diag(l)));
        assert_string_equal(get(l, id).name, "Data");
        machine_volume(l, "d2", 0);
        assert_refused(l, volume_rename(l->m, &l->alice, id, "d2", library_diag(l)), -EEXIST);
        assert_ok(volume_rename(l->m, &l->alice, id, "d3", library_diag(l)));
        assert_string_equal(get(l, id).name, "d3");
        assert_err(volume_find(l->m, l->region, "d1", &o), -ENOENT);

        other = machine_disk(l, machine_make(l, machine_image(l, "web", "local", ""), "vm1"), "vda").o.id;
        assert_refused(l, volume_rename(l->m, &l->alice, other, "mine", library_diag(l)), -EPERM);
}

static void test_an_open_disk_can_be_removed_by_its_reader_s_side_only(void **state)
{
        struct library *l = *state;
        uint64_t id = machine_volume(l, "d1", 4096);
        struct volume_file *f;
        char c;

        assert_ok(volume_open(l->m, id, true, library_diag(l), &f));
        assert_refused(l, volume_remove(l->m, &l->alice, id, library_diag(l)), -EBUSY);
        assert_refused(l, volume_set_size(l->m, &l->alice, id, 8192, library_diag(l)), -EBUSY);
        volume_close(f);
        assert_ok(volume_open(l->m, id, false, library_diag(l), &f));
        assert_ok(volume_remove(l->m, &l->alice, id, library_diag(l)));
        assert_int_equal(disk_pread(volume_disk(f), &c, 1, 0), 1);
        volume_close(f);
        assert_err(volume_open(l->m, id, false, library_diag(l), &f), -ENOENT);
        assert_err(volume_open(l->m, id, true, library_diag(l), &f), -ENOENT);
        machine_wait_disks(l, 0);
        work_assert_clean(l);
}

/* ---- snapshots ---- */

static int count_snapshot(void *ctx, const struct object *o)
{
        (void)o;
        ++*(unsigned *)ctx;
        return 0;
}

static bool has_checksum(struct library *l, uint64_t id)
{
        struct snapshot s;

        assert_ok(snapshot_get(l->m, id, &s));
        return blob_has_checksum(&s.blob);
}

static void test_a_snapshot_keeps_what_the_disk_held(void **state)
{
        struct library *l = *state;
        uint64_t id = machine_volume(l, "d1", 1 << 20), snapshot, clone;
        struct snapshot s;
        int64_t before_us;
        unsigned n = 0;

        before_us = get(l, id).o.updated_us;
        machine_write(l, id, "before", 6, 5000);
        assert_true(get(l, id).o.updated_us > before_us);
        snapshot = take(l, id, "s1");
        machine_write(l, id, "after!", 6, 5000);
        assert_ok(snapshot_get(l->m, snapshot, &s));
        assert_true(s.available);
        assert_int_equal(s.blob.size_bytes, 1 << 20);
        assert_contains(s.source, get(l, id).ident);
        assert_ok(volume_snapshots(l->m, id, count_snapshot, &n));
        assert_int_equal(n, 1);
        work_wait(l, has_checksum, snapshot);

        assert_ok(volume_create_from_snapshot(l->m, &l->alice, snapshot, "d2", library_diag(l), &clone));
        machine_assert_bytes(l, clone, "before", 6, 5000);
        machine_assert_bytes(l, id, "after!", 6, 5000);
        n = 0;
        assert_ok(volume_each_of_snapshot(l->m, snapshot, count_snapshot, &n));
        assert_int_equal(n, 1);
        assert_int_equal(work_used(l, l->region, &l->alice, LIMIT_SNAPSHOTS), 1);
        assert_ok(volume_remove(l->m, &l->alice, id, library_diag(l)));
        work_assert_clean(l);

        assert_ok(snapshot_remove(l->m, &l->alice, snapshot, library_diag(l)));
        work_assert_clean(l);
        machine_assert_bytes(l, clone, "before", 6, 5000);
}

static void test_snapshots_that_are_refused(void **state)
{
        struct library *l = *state;
        uint64_t id = machine_volume(l, "d1", 4096), unsized = machine_volume(l, "d2", 0), s;
        struct volume_file *f;

        assert_refused(l, volume_snapshot(l->m, &l->alice, unsized, "s", library_diag(l), &s), -EBUSY);
        assert_refused(l, volume_snapshot(l->m, &l->alice, id, "a/b", library_diag(l), &s), -EINVAL);
        assert_err(volume_snapshot(l->m, &l->alice, 4711, "s", library_diag(l), &s), -ENOENT);
        assert_ok(volume_open(l->m, id, true, library_diag(l), &f));
        assert_refused(l, volume_snapshot(l->m, &l->alice, id, "s", library_diag(l), &s), -EBUSY);
        volume_close(f);
        take(l, id, "s");
        assert_refused(l, volume_snapshot(l->m, &l->alice, id, "s", library_diag(l), &s), -EEXIST);
        assert_ok(quota_set_line(l->m, &l->admin, l->region, "snapshots limit=1", library_diag(l)));
        assert_refused(l, volume_snapshot(l->m, &l->alice, id, "t", library_diag(l), &s), -EDQUOT);
        assert_refused(l, volume_create_from_snapshot(l->m, &l->alice, 4711, "x/y", library_diag(l), &s), -EINVAL);
        work_assert_clean(l);
}

/* A worker that does not get to it: every task is another's until the library is opened again. */
static void park(struct library *l)
{
        library_close(l);
        library_sql(l, "UPDATE task SET status = 'queued', finished = NULL WHERE kind = 'disk-snapshot';"
                       "UPDATE snapshot SET status = 'creating', blob = NULL WHERE volume IS NOT NULL");
}

static void test_a_snapshot_goes_on_after_a_restart(void **state)
{
        struct library *l = *state;
        uint64_t id = machine_volume(l, "d1", 1 << 20), snapshot, clone;

        machine_write(l, id, "hello", 5, 0);
        snapshot = take(l, id, "s1");
        park(l);
        assert_ok(library_open(l));
        machine_wait_volume(l, id);
        assert_ok(volume_create_from_snapshot(l->m, &l->alice, snapshot, "d2", library_diag(l), &clone));
        machine_assert_bytes(l, clone, "hello", 5, 0);
        work_assert_clean(l);
}

static void test_a_disk_that_is_being_read_is_not_written_to(void **state)
{
        struct library *l = *state;
        uint64_t id = machine_volume(l, "d1", 1 << 20), vm = machine_make_empty(l, "vm1"), s;
        struct volume_file *f;

        take(l, id, "s1");
        /* As if the work took its time: a task that no worker takes, as it is of a later version. */
        library_sql(l, "UPDATE task SET status = 'running', finished = NULL WHERE kind = 'disk-snapshot'");
        assert_refused(l, volume_open(l->m, id, true, library_diag(l), &f), -EBUSY);
        assert_refused(l, volume_snapshot(l->m, &l->alice, id, "s2", library_diag(l), &s), -EBUSY);
        assert_refused(l, volume_set_size(l->m, &l->alice, id, 2 << 20, library_diag(l)), -EBUSY);
        assert_refused(l, volume_remove(l->m, &l->alice, id, library_diag(l)), -EBUSY);
        assert_refused(l, machine_set(l, vm, INSTANCE_FIELD_ATTACH, "d1"), -EBUSY);
        assert_ok(volume_open(l->m, id, false, library_diag(l), &f));
        volume_close(f);
        library_sql(l, "UPDATE task SET status = 'done', finished = 1 WHERE kind = 'disk-snapshot'");
        assert_ok(volume_remove(l->m, &l->alice, id, library_diag(l)));
}

static void test_a_cancelled_snapshot_was_never_there(void **state)
{
        struct library *l = *state;
        uint64_t id = machine_volume(l, "d1", 1 << 20), snapshot = take(l, id, "s1");
        uint64_t task = (uint64_t)library_sql_int(l, "SELECT id FROM task WHERE kind = 'disk-snapshot'");
        struct snapshot s;

        library_sql(l, "UPDATE task SET status = 'running', finished = NULL WHERE kind = 'disk-snapshot';"
                       "UPDATE snapshot SET status = 'creating', blob = NULL WHERE volume IS NOT NULL");
        assert_refused(l, snapshot_remove(l->m, &l->alice, snapshot, library_diag(l)), -EBUSY);
        assert_ok(task_remove(l->m, &l->alice, task, library_diag(l)));
        assert_err(snapshot_get(l->m, snapshot, &s), -ENOENT);
        assert_int_equal(work_used(l, l->region, &l->alice, LIMIT_SNAPSHOTS), 0);
        assert_false(get(l, id).busy);
        work_wait_blobs(l, 0);
        work_assert_clean(l);
}

static void test_a_damaged_base_ends_the_snapshot_in_error_and_leaves_nothing(void **state)
{
        struct library *l = *state;
        uint64_t id = machine_volume(l, "d1", 1 << 20), snapshot = take(l, id, "s1");
        uint64_t task = (uint64_t)library_sql_int(l, "SELECT id FROM task WHERE kind = 'disk-snapshot'");
        struct snapshot s;

        park(l);
        library_sql(l, "UPDATE volume SET key = randomblob(16), made = 1");
        assert_ok(library_open(l));
        assert_int_equal(work_wait_task(l, task).status, TASK_ERROR);
        assert_err(snapshot_get(l->m, snapshot, &s), -ENOENT);
        assert_int_equal(work_used(l, l->region, &l->alice, LIMIT_SNAPSHOTS), 0);
}

/* ---- at the same time ---- */

struct contest {
        struct library *l;
        uint64_t volume;
        unsigned won;
        int errors;
};

static void *try_to_write(void *arg)
{
        struct contest *c = arg;
        struct diag diag = { 0 };
        struct volume_file *f;

        for (int i = 0; i < 200; i++) {
                int r = volume_open(c->l->m, c->volume, true, &diag, &f);

                if (r == 0) {
                        if (disk_pwrite(volume_disk(f), &i, sizeof(i), 0) != sizeof(i))
                                c->errors++;
                        volume_close(f);
                        c->won++;
                } else if (r != -EBUSY) {
                        c->errors++;
                }
        }
        return NULL;
}

static void *try_to_take(void *arg)
{
        struct contest *c = arg;
        struct diag diag = { 0 };
        char handle[16];
        uint64_t s;

        for (int i = 0; i < 10; i++) {
                int r;

                (void)snprintf(handle, sizeof(handle), "s%d", i);
                r = volume_snapshot(c->l->m, &c->l->alice, c->volume, handle, &diag, &s);
                if (r == 0)
                        c->won++;
                else if (r != -EBUSY)
                        c->errors++;
                machine_wait_volume(c->l, c->volume);
        }
        return NULL;
}

/* close(2) has returned, its release comes later: the two used to be told apart, by -EBUSY. */
static void test_who_has_closed_a_disk_is_not_told_that_it_is_open(void **state)
{
        struct library *l = *state;
        uint64_t id = machine_volume(l, "d1", 1 << 20);
        struct volume_file *f;
        pthread_t thread;

        assert_ok(volume_open(l->m, id, true, library_diag(l), &f));
        assert_refused(l, volume_set_size(l->m, &l->alice, id, 2 << 20, library_diag(l)), -EBUSY);
        assert_ok(volume_flush(f));
        thread = machine_close_later(f);
        assert_ok(volume_set_size(l->m, &l->alice, id, 2 << 20, library_diag(l)));
        assert_int_equal(pthread_join(thread, NULL), 0);
}

#define WAIT_US 200000 /* for a release that a flush has announced */

static void test_a_flush_that_no_close_follows_is_waited_for_once(void **state)
{
        struct library *l = *state;
        uint64_t id = machine_volume(l, "d1", 1 << 20);
        int64_t began_us, fastest_us = STOPWATCH_NEVER;
        struct volume_file *f;

        assert_ok(volume_open(l->m, id, true, library_diag(l), &f));
        assert_ok(volume_flush(f));
        assert_refused(l, volume_remove(l->m, &l->alice, id, library_diag(l)), -EBUSY);
        assert_ok(volume_flush(f));
        assert_ok(volume_flush(f));
        assert_refused(l, volume_remove(l->m, &l->alice, id, library_diag(l)), -EBUSY);
        for (int i = 0; i < 50; i++) {
                began_us = stopwatch_us();
                assert_refused(l, volume_remove(l->m, &l->alice, id, library_diag(l)), -EBUSY);
                stopwatch_keep(began_us, &fastest_us);
        }
        assert_true(fastest_us < WAIT_US);
        volume_close(f);
        assert_ok(volume_remove(l->m, &l->alice, id, library_diag(l)));
}

/* One user's close() held up what anybody did with disks, and every look at an instance. */
static void test_a_flush_is_waited_for_by_who_asks_for_that_disk(void **state)
{
        struct library *l = *state;
        uint64_t id = machine_volume(l, "d1", 1 << 20), other = machine_volume(l, "d2", 1 << 20);
        int64_t began_us, fastest_us = STOPWATCH_NEVER;
        struct volume_file *f;

        assert_ok(volume_open(l->m, id, true, library_diag(l), &f));
        for (int i = 1; i <= 20; i++) {
                assert_ok(volume_flush(f));
                began_us = stopwatch_us();
                assert_ok(volume_set_size(l->m, &l->alice, other, (1 << 20) + (uint64_t)i * 4096, library_diag(l)));
                stopwatch_keep(began_us, &fastest_us);
        }
        assert_true(fastest_us < WAIT_US);
        volume_close(f);
}

static void test_writers_and_snapshots_take_turns(void **state)
{
        struct library *l = *state;
        struct contest c[3];
        pthread_t thread[3];

        for (int i = 0; i < 3; i++)
                c[i] = (struct contest){ .l = l };
        c[0].volume = c[1].volume = c[2].volume = machine_volume(l, "d1", 1 << 20);
        for (int i = 0; i < 3; i++)
                assert_int_equal(pthread_create(&thread[i], NULL, i < 2 ? try_to_write : try_to_take, &c[i]), 0);
        for (int i = 0; i < 3; i++) {
                assert_int_equal(pthread_join(thread[i], NULL), 0);
                assert_int_equal(c[i].errors, 0);
        }
        assert_int_equal(work_used(l, l->region, &l->alice, LIMIT_SNAPSHOTS), c[2].won);
        work_assert_clean(l);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, library_setup, library_teardown)
                TEST(test_a_disk_is_made_with_its_size),
                TEST(test_sizes_that_are_refused),
                TEST(test_truncate_gives_a_stopped_instance_s_disk_its_size),
                TEST(test_a_disk_without_size_can_be_opened_to_give_it_one),
                TEST(test_a_row_that_a_crash_left_too_small_is_mended),
                TEST(test_nobody_waits_for_a_disk_to_grow),
                TEST(test_nobody_waits_for_two_who_grow_a_disk),
                TEST(test_a_disk_whose_room_was_taken_meanwhile_stays_as_it_is),
                TEST(test_a_disk_may_go_while_it_grows),
                TEST(test_names),
                TEST(test_an_open_disk_can_be_removed_by_its_reader_s_side_only),
                TEST(test_a_snapshot_keeps_what_the_disk_held),
                TEST(test_snapshots_that_are_refused),
                TEST(test_a_snapshot_goes_on_after_a_restart),
                TEST(test_a_disk_that_is_being_read_is_not_written_to),
                TEST(test_a_cancelled_snapshot_was_never_there),
                TEST(test_a_damaged_base_ends_the_snapshot_in_error_and_leaves_nothing),
                TEST(test_who_has_closed_a_disk_is_not_told_that_it_is_open),
                TEST(test_a_flush_that_no_close_follows_is_waited_for_once),
                TEST(test_a_flush_is_waited_for_by_who_asks_for_that_disk),
                TEST(test_writers_and_snapshots_take_turns),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: MIT */

/* What is known of where things lie: it goes along with the directory, and what lies elsewhere waits there. */

#include "model/core/place.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "model/core/task_row.h"
#include "tests/lib/machine.h"
#include "tests/lib/work.h"

static void path_of(const struct library *l, char path[TEMPDIR_MAX + 32])
{
        (void)snprintf(path, TEMPDIR_MAX + 32, "%s/lib/" PLACE_FILE, l->dir);
}

/* A row of another host's, which has the disk. */
static void take_away(struct library *l, uint64_t volume)
{
        library_sql(l, "INSERT INTO place (ident, host, directory) VALUES ('p', 'other', '/there')");
        library_sql(l, "UPDATE volume SET place = (SELECT id FROM place WHERE ident = 'p') WHERE id = %lld", (long long)volume);
}

static void test_a_disk_is_where_its_directory_is(void **state)
{
        struct library *l = *state;
        uint64_t disk = machine_volume(l, "d1", 8192);
        char path[TEMPDIR_MAX + 32];
        struct stat st;

        machine_write(l, disk, "here", 4, 0);
        path_of(l, path);
        assert_ok(stat(path, &st));
        assert_int_equal(st.st_mode & 07777, 0600);
        library_close(l);
        library_sql(l, "UPDATE place SET host = 'renamed', directory = '/moved'"); /* it was served there */
        assert_ok(library_open(l));
        machine_assert_bytes(l, disk, "here", 4, 0);
        assert_int_equal(library_sql_int(l, "SELECT count(*) FROM place WHERE directory LIKE '%%/lib'"), 1);

        /* The catalogue lies beside it: without the file it is known what this is. */
        library_close(l);
        assert_ok(unlink(path));
        assert_ok(library_open(l));
        machine_assert_bytes(l, disk, "here", 4, 0);
        assert_ok(stat(path, &st));
        assert_int_equal(library_sql_int(l, "SELECT count(*) FROM place"), 1);
}

static void test_an_older_catalogue_is_of_its_directory(void **state)
{
        struct library *l = *state;
        uint64_t disk = machine_volume(l, "d1", 8192);

        machine_write(l, disk, "here", 4, 0);
        library_close(l);
        library_sql(l, "UPDATE place SET ident = 'of-the-step', host = '', directory = ''");
        assert_ok(library_open(l));
        machine_assert_bytes(l, disk, "here", 4, 0);
        assert_int_equal(library_sql_int(l, "SELECT count(*) FROM place WHERE host <> '' AND ident <> 'of-the-step'"), 1);
}

static void test_a_disk_elsewhere_is_not_opened_and_its_removal_waits(void **state)
{
        struct library *l = *state;
        uint64_t disk = machine_volume(l, "d1", 8192);
        struct volume_file *f;

        machine_write(l, disk, "there", 5, 0);
        take_away(l, disk);
        for (int writes = 0; writes < 2; writes++) {
                assert_refused(l, volume_open(l->m, disk, writes, library_diag(l), &f), -EBUSY);
                assert_string_equal(l->diag.text, "d1 is on the host other, in /there, and can be used while that serves the library");
        }
        assert_ok(volume_remove(l->m, &l->alice, disk, library_diag(l)));
        library_close(l);
        assert_ok(library_open(l)); /* what is upkeep's is done at the start */
        machine_wait_disks(l, 1);
        assert_int_equal(library_sql_int(l, "SELECT count(*) FROM trash"), 1);
}

static void take_line(void *ctx, const char *line)
{
        strbuf_addf(ctx, "%s\n", line);
}

static void test_work_that_waits_for_another_host_is_told_and_holds_nothing_up(void **state)
{
        CLEANUP_STRBUF struct strbuf told = { 0 };
        struct library *l = *state;
        struct task task;

        library_sql(l, "INSERT INTO place (ident, host, directory) VALUES ('p', 'other', '/there')");
        library_sql(l, "INSERT INTO task (ident, kind, status, image_ident, region, region_name, uid, gid, mode, created, place) "
                       "VALUES ('task-x', 'import', 'running', '', %lld, 'r1', 0, 0, 0, 1, (SELECT id FROM place WHERE ident = 'p'))",
                    (long long)l->region);
        library_close(l);
        assert_ok(library_open_idle(l));
        assert_int_equal(task_any_active(l->m, INT64_MAX), 0);
        assert_err(task_claim(l->m, TASK_LANE_WORK, 1, &task), -ENOENT);
        assert_ok(place_health(l->m, take_line, &told));
        assert_string_equal(strbuf_text(&told), "work waits for the host other, where its bytes are, to serve the library again: "
                                                "tasks 1, uploads 0\n");
        library_sql(l, "UPDATE task SET status = 'queued', place = NULL");
        assert_ok(task_claim(l->m, TASK_LANE_WORK, 1, &task));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, library_setup, library_teardown)

int main(void)
{
        const struct CMUnitTest tests[] = {
                TEST(test_a_disk_is_where_its_directory_is),
                TEST(test_an_older_catalogue_is_of_its_directory),
                TEST(test_a_disk_elsewhere_is_not_opened_and_its_removal_waits),
                TEST(test_work_that_waits_for_another_host_is_told_and_holds_nothing_up),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: MIT */

/*
 * The index of a WAL was a mapped file: on a full btrfs writing to it was SIGBUS. Now it is memory of this process, so
 * nobody else may have the database open meanwhile; and what sqlite's own VFS does with locks is done here.
 */

#include "model/db/db_vfs.h"

#include <fcntl.h>
#include <pthread.h>
#include <sqlite3.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "model/db/db.h"
#include "tests/lib/expect.h"
#include "tests/lib/tempdir.h"

#define NAME "test.db"

/* ---- memory that ends ---- */

#define REGION_BYTES 32768

static sqlite3_mem_methods real_memory;
static atomic_uint regions_asked, fail_from; /* 0: none fails */

static void *counting_malloc(int n)
{
        if (n >= REGION_BYTES) {
                unsigned asked = atomic_fetch_add(&regions_asked, 1) + 1;

                if (fail_from != 0 && asked >= fail_from)
                        return NULL;
        }
        return real_memory.xMalloc(n);
}

static void fail_region(unsigned n)
{
        atomic_store(&regions_asked, 0);
        atomic_store(&fail_from, n);
}

static void install_memory(void)
{
        sqlite3_mem_methods counting;

        if (sqlite3_config(SQLITE_CONFIG_GETMALLOC, &real_memory) != SQLITE_OK)
                abort();
        counting = real_memory;
        counting.xMalloc = counting_malloc;
        if (sqlite3_config(SQLITE_CONFIG_MALLOC, &counting) != SQLITE_OK)
                abort();
}

/* ---- databases ---- */

struct fixture {
        char dir[TEMPDIR_MAX];
        sqlite3_int64 memory;
};

static int setup(void **state)
{
        struct fixture *f = calloc(1, sizeof(*f));

        if (!f)
                return -1;
        assert_ok(db_vfs_register());
        assert_ok(db_vfs_register());
        tempdir_make(f->dir);
        f->memory = sqlite3_memory_used();
        *state = f;
        return 0;
}

static int teardown(void **state)
{
        struct fixture *f = *state;

        fail_region(0);
        assert_int_equal(sqlite3_memory_used(), f->memory);
        tempdir_remove(f->dir);
        free(f);
        return 0;
}

static sqlite3 *connect_by(struct fixture *f, const char *name, const char *vfs)
{
        char path[TEMPDIR_MAX + 32];
        sqlite3 *conn;

        (void)snprintf(path, sizeof(path), "%s/%s", f->dir, name);
        assert_int_equal(sqlite3_open_v2(path, &conn, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, vfs), SQLITE_OK);
        return conn;
}

static int run(sqlite3 *conn, const char *sql)
{
        return sqlite3_exec(conn, sql, NULL, NULL, NULL);
}

#define assert_run(conn, sql) assert_int_equal(run(conn, sql), SQLITE_OK)

static int take_int(void *ctx, int n, char **values, char **names)
{
        (void)n;
        (void)names;
        *(int *)ctx = values[0] ? atoi(values[0]) : -1;
        return 0;
}

static int ask(sqlite3 *conn, const char *sql)
{
        int value = -1;
        int code = sqlite3_exec(conn, sql, take_int, &value, NULL);

        return code == SQLITE_OK ? value : -code;
}

#define COUNT "SELECT count(*) FROM t"

/* In WAL mode, with one table and no row. */
static sqlite3 *connect_to(struct fixture *f, const char *name)
{
        sqlite3 *conn = connect_by(f, name, DB_VFS);

        assert_run(conn, "PRAGMA journal_mode = WAL; PRAGMA wal_autocheckpoint = 0; PRAGMA synchronous = OFF;"
                         "CREATE TABLE IF NOT EXISTS t (x)");
        return conn;
}

static void disconnect(sqlite3 *conn)
{
        assert_int_equal(sqlite3_close(conn), SQLITE_OK);
}

static bool is_there(struct fixture *f, const char *name)
{
        char path[TEMPDIR_MAX + 32];

        (void)snprintf(path, sizeof(path), "%s/%s", f->dir, name);
        return access(path, F_OK) == 0;
}

static void copy(struct fixture *f, const char *from, const char *to)
{
        static char buf[1 << 20];
        char path[TEMPDIR_MAX + 32];
        int in, out;
        ssize_t n;

        (void)snprintf(path, sizeof(path), "%s/%s", f->dir, from);
        in = open(path, O_RDONLY | O_CLOEXEC);
        (void)snprintf(path, sizeof(path), "%s/%s", f->dir, to);
        out = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
        assert_true(in >= 0 && out >= 0);
        while ((n = read(in, buf, sizeof(buf))) > 0)
                assert_int_equal(write(out, buf, (size_t)n), n);
        assert_int_equal(n, 0);
        (void)close(in);
        (void)close(out);
}

/* ---- connections of this process ---- */

static void test_each_sees_what_the_others_committed(void **state)
{
        struct fixture *f = *state;
        sqlite3 *a = connect_to(f, NAME), *b = connect_by(f, NAME, DB_VFS);

        assert_run(a, "INSERT INTO t VALUES (1)");
        assert_int_equal(ask(b, COUNT), 1);
        assert_run(b, "BEGIN; SELECT * FROM t");
        assert_run(a, "INSERT INTO t VALUES (2)");
        assert_int_equal(ask(b, COUNT), 1); /* one state until its end */
        assert_run(b, "COMMIT");
        assert_int_equal(ask(b, COUNT), 2);
        assert_run(b, "INSERT INTO t VALUES (3)");
        assert_int_equal(ask(a, COUNT), 3);
        assert_true(is_there(f, NAME "-wal"));
        assert_false(is_there(f, NAME "-shm"));
        disconnect(b);
        assert_run(a, "INSERT INTO t VALUES (4)");
        disconnect(a);
        assert_false(is_there(f, NAME "-wal")); /* the last one took it into the database */
        a = connect_to(f, NAME);
        assert_int_equal(ask(a, COUNT), 4);
        disconnect(a);
}

static void test_one_writes_at_a_time(void **state)
{
        struct fixture *f = *state;
        sqlite3 *a = connect_to(f, NAME), *b = connect_by(f, NAME, DB_VFS);

        assert_run(a, "BEGIN IMMEDIATE");
        assert_int_equal(run(b, "BEGIN IMMEDIATE"), SQLITE_BUSY);
        assert_int_equal(ask(b, COUNT), 0);
        assert_run(a, "ROLLBACK");
        assert_run(b, "BEGIN IMMEDIATE; ROLLBACK");
        disconnect(a);
        disconnect(b);
}

/* 1: it was kept from taking all. */
static int checkpoint(sqlite3 *conn)
{
        return ask(conn, "PRAGMA wal_checkpoint(TRUNCATE)");
}

static void test_a_checkpoint_leaves_readers_what_they_see(void **state)
{
        struct fixture *f = *state;
        sqlite3 *a = connect_to(f, NAME), *b = connect_by(f, NAME, DB_VFS);

        assert_run(a, "INSERT INTO t VALUES (1)");
        assert_run(b, "BEGIN; SELECT * FROM t");
        assert_run(a, "INSERT INTO t VALUES (2)");
        assert_int_equal(checkpoint(a), 1);
        assert_int_equal(ask(b, COUNT), 1);
        assert_run(b, "COMMIT");
        assert_int_equal(checkpoint(a), 0);
        assert_int_equal(ask(b, COUNT), 2);
        disconnect(a);
        disconnect(b);
}

/* Journals are what a database begins with, and what the next version of it may be brought up to date with. */
static void test_without_a_wal_locks_hold_too(void **state)
{
        struct fixture *f = *state;
        sqlite3 *a = connect_by(f, NAME, DB_VFS), *b = connect_by(f, NAME, DB_VFS), *c;

        assert_run(a, "PRAGMA synchronous = OFF; CREATE TABLE t (x)");
        assert_run(b, "BEGIN; SELECT * FROM t"); /* SHARED */
        assert_run(a, "BEGIN IMMEDIATE"); /* RESERVED */
        assert_int_equal(run(b, "INSERT INTO t VALUES (0)"), SQLITE_BUSY);
        assert_run(a, "INSERT INTO t VALUES (1)");
        c = connect_by(f, NAME, DB_VFS);
        assert_int_equal(ask(c, COUNT), 0); /* the journal is not one that a crash left */
        disconnect(c);
        assert_int_equal(run(a, "COMMIT"), SQLITE_BUSY); /* PENDING: no more readers */
        assert_int_equal(ask(b, COUNT), 0);
        assert_run(b, "COMMIT");
        assert_int_equal(ask(b, COUNT), -SQLITE_BUSY);
        assert_run(a, "COMMIT");
        assert_int_equal(ask(b, COUNT), 1);
        assert_run(a, "BEGIN EXCLUSIVE");
        assert_int_equal(ask(b, COUNT), -SQLITE_BUSY);
        assert_run(a, "ROLLBACK");
        assert_int_equal(ask(b, COUNT), 1);
        disconnect(a);
        disconnect(b);
}

static void test_databases_have_nothing_in_common(void **state)
{
        struct fixture *f = *state;
        sqlite3 *a = connect_to(f, NAME), *other = connect_to(f, "other.db"), *b;
        char path[TEMPDIR_MAX + 32];

        assert_run(a, "BEGIN IMMEDIATE; INSERT INTO t VALUES (1)");
        assert_run(other, "BEGIN IMMEDIATE; INSERT INTO t VALUES (1), (2); COMMIT");
        assert_int_equal(ask(other, COUNT), 2);
        assert_run(a, "COMMIT");

        /* By another path it is the same one. */
        (void)snprintf(path, sizeof(path), "%s/link.db", f->dir);
        assert_int_equal(symlink(NAME, path), 0);
        b = connect_by(f, "link.db", DB_VFS);
        assert_int_equal(ask(b, COUNT), 1);
        assert_run(a, "BEGIN IMMEDIATE");
        assert_int_equal(run(b, "BEGIN IMMEDIATE"), SQLITE_BUSY);
        disconnect(other);
        disconnect(b);
        disconnect(a);
}

struct work {
        struct fixture *f;
        bool reads;
        int r;
};

#define ROWS 400

static void *work(void *arg)
{
        struct work *w = arg;
        sqlite3 *conn = connect_by(w->f, NAME, DB_VFS);
        int last = 0;

        (void)sqlite3_busy_timeout(conn, 10000);
        (void)run(conn, "PRAGMA synchronous = OFF; PRAGMA wal_autocheckpoint = 5");
        for (int i = 0; w->r == 0 && (w->reads ? last < 2 * ROWS : i < ROWS); i++) {
                if (w->reads) {
                        int n = ask(conn, COUNT);

                        if (n < last)
                                w->r = n < 0 ? n : -1; /* an error, or back in time */
                        last = n;
                } else {
                        w->r = run(conn, "INSERT INTO t VALUES (randomblob(3000))");
                }
        }
        (void)sqlite3_close(conn);
        return NULL;
}

static void test_threads_write_read_and_checkpoint_together(void **state)
{
        struct fixture *f = *state;
        struct work w[4];
        pthread_t threads[4];
        sqlite3 *conn = connect_to(f, NAME);

        for (size_t i = 0; i < 4; i++) {
                w[i] = (struct work){ .f = f, .reads = i % 2 };
                assert_ok(pthread_create(&threads[i], NULL, work, &w[i]));
        }
        for (size_t i = 0; i < 4; i++) {
                assert_ok(pthread_join(threads[i], NULL));
                assert_int_equal(w[i].r, 0);
        }
        assert_int_equal(ask(conn, COUNT), 2 * ROWS);
        assert_int_equal(ask(conn, "SELECT integrity_check = 'ok' FROM pragma_integrity_check"), 1);
        disconnect(conn);
}

/* ---- after a crash ---- */

static void test_what_a_crash_leaves_is_read_again(void **state)
{
        struct fixture *f = *state;
        sqlite3 *a = connect_to(f, NAME), *b;

        assert_run(a, "INSERT INTO t VALUES (1)");
        assert_int_equal(checkpoint(a), 0);
        assert_run(a, "INSERT INTO t VALUES (2), (3)");
        assert_run(a, "BEGIN; INSERT INTO t VALUES (4)"); /* was not committed */
        copy(f, NAME, "copy.db");
        copy(f, NAME "-wal", "copy.db-wal");
        b = connect_by(f, "copy.db", DB_VFS);
        assert_int_equal(ask(b, COUNT), 3);
        assert_run(b, "INSERT INTO t VALUES (5)");
        assert_int_equal(ask(b, "SELECT integrity_check = 'ok' FROM pragma_integrity_check"), 1);
        disconnect(b);
        assert_run(a, "COMMIT");
        assert_int_equal(ask(a, COUNT), 4);
        disconnect(a);
}

/* ---- everybody else ---- */

static void assert_kept_out(struct fixture *f, const char *vfs)
{
        sqlite3 *conn = connect_by(f, NAME, vfs);

        assert_int_equal(ask(conn, COUNT), -SQLITE_BUSY);
        assert_int_equal(run(conn, "INSERT INTO t VALUES (9)"), SQLITE_BUSY);
        assert_int_equal(run(conn, "PRAGMA wal_checkpoint"), SQLITE_BUSY);
        disconnect(conn);
}

static int in_child(struct fixture *f, void (*fn)(struct fixture *f))
{
        pid_t pid = fork();
        int status;

        assert_true(pid >= 0);
        if (pid == 0) {
                fn(f);
                _exit(0);
        }
        assert_int_equal(waitpid(pid, &status, 0), pid);
        return status;
}

/* A program of its own has none of our memory: a child that was forked has, so it looks with sqlite's own VFS. */
static void look(struct fixture *f)
{
        sqlite3 *conn = connect_by(f, NAME, NULL);
        int n = ask(conn, COUNT);

        (void)sqlite3_close(conn);
        _exit(n < 0 ? -n : 100 + n);
}

static void test_others_are_kept_out_until_the_last_is_closed(void **state)
{
        struct fixture *f = *state;
        sqlite3 *a = connect_to(f, NAME), *b = connect_by(f, NAME, DB_VFS);

        assert_run(a, "INSERT INTO t VALUES (1)");
        assert_int_equal(ask(b, COUNT), 1);
        for (int i = 0; i < 2; i++) {
                assert_kept_out(f, NULL);
                assert_kept_out(f, "unix-excl");
                assert_int_equal(WEXITSTATUS(in_child(f, look)), SQLITE_BUSY);
                /* A descriptor that is closed takes no lock with it; those that sqlite takes would be gone. */
                copy(f, NAME, "copy");
                if (i == 0)
                        disconnect(b);
        }
        assert_false(is_there(f, NAME "-shm"));
        assert_int_equal(ask(a, COUNT), 1);
        disconnect(a);
        assert_int_equal(WEXITSTATUS(in_child(f, look)), 101);
}

static void test_busy_while_another_has_it(void **state)
{
        struct fixture *f = *state;
        sqlite3 *a = connect_to(f, NAME), *other;

        disconnect(a);
        other = connect_by(f, NAME, NULL);
        assert_run(other, "INSERT INTO t VALUES (1)"); /* and has a -shm now */
        a = connect_by(f, NAME, DB_VFS);
        assert_int_equal(ask(a, COUNT), -SQLITE_BUSY);
        assert_run(other, "INSERT INTO t VALUES (2)");
        disconnect(other);
        assert_int_equal(ask(a, COUNT), 2);
        disconnect(a);
}

/* ---- out of memory ---- */

/* The WAL's index gets a second region for its 4063rd page. */
#define MANY "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 4200) " \
             "INSERT INTO t SELECT zeroblob(4000) FROM n"

static void test_without_memory_nothing_changes(void **state)
{
        struct fixture *f = *state;
        sqlite3 *a = connect_to(f, NAME), *b;

        assert_run(a, "INSERT INTO t VALUES (1)");
        b = connect_by(f, NAME, DB_VFS);
        assert_int_equal(ask(b, COUNT), 1);
        assert_run(a, "PRAGMA cache_size = 10"); /* so that pages go into the WAL before the commit */
        fail_region(1);
        assert_int_equal(run(a, MANY), SQLITE_NOMEM);
        assert_true(atomic_load(&regions_asked) > 0);
        assert_int_equal(ask(a, COUNT), 1);
        assert_int_equal(ask(b, COUNT), 1);
        fail_region(0);
        assert_run(a, MANY);
        assert_int_equal(ask(b, COUNT), 4201);
        assert_int_equal(ask(b, "SELECT integrity_check = 'ok' FROM pragma_integrity_check"), 1);
        disconnect(a);
        disconnect(b);
}

static void test_a_library_without_memory_is_not_opened(void **state)
{
        static const struct db_statements *const none[] = { NULL };
        const struct db_opts opts = { .tables = none };
        struct fixture *f = *state;
        bool opened = false;
        int dir_fd = open(f->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

        assert_true(dir_fd >= 0);
        for (unsigned n = 1; !opened; n++) {
                struct db *db = NULL;
                int r;

                fail_region(n);
                r = db_open(dir_fd, &opts, &db);
                opened = r == 0 && atomic_load(&regions_asked) < n;
                if (r < 0)
                        assert_err(r, -ENOMEM);
                fail_region(0);
                db_close(db);
                assert_in_range(n, 1, 100);
        }
        (void)close(dir_fd);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
        static const struct CMUnitTest tests[] = {
                TEST(test_each_sees_what_the_others_committed),
                TEST(test_one_writes_at_a_time),
                TEST(test_a_checkpoint_leaves_readers_what_they_see),
                TEST(test_without_a_wal_locks_hold_too),
                TEST(test_databases_have_nothing_in_common),
                TEST(test_threads_write_read_and_checkpoint_together),
                TEST(test_what_a_crash_leaves_is_read_again),
                TEST(test_others_are_kept_out_until_the_last_is_closed),
                TEST(test_busy_while_another_has_it),
                TEST(test_without_memory_nothing_changes),
                TEST(test_a_library_without_memory_is_not_opened),
        };

        install_memory();
        return cmocka_run_group_tests(tests, NULL, NULL);
}

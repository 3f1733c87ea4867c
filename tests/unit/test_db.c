/* SPDX-License-Identifier: MIT */

#include "tests/lib/calls.h" /* first */

#include "model/db/db.h"

#include <dlfcn.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <sqlite3.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "blobstore/base/lock.h"
#include "blobstore/base/thread.h"
#include "model/db/db_vfs.h"
#include "model/db/migrate.h"
#include "tests/lib/expect.h"
#include "tests/lib/fault.h"
#include "tests/lib/tempdir.h"

enum { ADD_STORE, ADD_REGION, COUNT, LIST, REMOVE_STORE, BAD_BLOB, GAP, PATH_OF, LENGTH_OF };

static const char *const test_sql[] = {
        [ADD_STORE] = "INSERT INTO store (path, changed) VALUES (?1, 0)",
        [ADD_REGION] = "INSERT INTO region (handle, store, uid, gid, mode, created, updated) "
                       "VALUES (?1, ?2, 0, 0, 0, 0, 0)",
        [COUNT] = "SELECT count(*) FROM store",
        [LIST] = "SELECT id, path, NULL, x'0102' FROM store ORDER BY id",
        [REMOVE_STORE] = "DELETE FROM store WHERE id = ?1",
        [BAD_BLOB] =
                "INSERT INTO blob (store, key, size, data, clusters, spans, checksum) VALUES (?1, ?2, 0, 0, 0, 0, ?2)",
        [PATH_OF] = "SELECT path FROM store WHERE id = ?1",
        [LENGTH_OF] = "SELECT length(path) FROM store WHERE id = ?1",
};
static const struct db_statements test_statements = DB_STATEMENTS(test_sql);

struct fixture {
        char dir[TEMPDIR_MAX];
        int dir_fd;
        struct db *db;
};

static int open_db(struct fixture *f, bool read_only)
{
        static const struct db_statements *const tables[] = { &test_statements, NULL };
        const struct db_opts opts = { .read_only = read_only, .tables = tables };

        return db_open(f->dir_fd, &opts, &f->db);
}

static int setup(void **state)
{
        struct fixture *f = calloc(1, sizeof(*f));

        if (!f)
                return -1;
        fault_set(FAULT_WRITE, 0, 0);
        fault_set(FAULT_SYNC, 0, 0);
        tempdir_make(f->dir);
        f->dir_fd = open(f->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        *state = f;
        return f->dir_fd < 0 ? -1 : open_db(f, false);
}

static void reopen(struct fixture *f)
{
        db_close(f->db);
        f->db = NULL;
        assert_ok(open_db(f, false));
}

static int teardown(void **state)
{
        struct fixture *f = *state;

        fault_set(FAULT_WRITE, 0, 0);
        fault_set(FAULT_SYNC, 0, 0);
        db_close(f->db);
        (void)close(f->dir_fd);
        tempdir_remove(f->dir);
        free(f);
        return 0;
}

static int add_store(struct fixture *f, const char *path)
{
        DB_TXN(t);
        int r;

        r = db_begin(f->db, DB_WRITE, &t);
        if (r < 0)
                return r;
        r = db_run(&t, test_sql[ADD_STORE], DB_TEXT(path));
        return r < 0 ? r : db_commit(&t);
}

static int64_t count_stores(struct fixture *f)
{
        int64_t n = -1;
        DB_TXN(t);

        assert_ok(db_begin(f->db, DB_READ, &t));
        assert_ok(db_int(&t, test_sql[COUNT], &n));
        return n;
}

static void test_a_commit_is_there_after_reopening(void **state)
{
        struct fixture *f = *state;

        assert_ok(add_store(f, "/a"));
        assert_int_equal(count_stores(f), 1);
        reopen(f);
        assert_int_equal(count_stores(f), 1);
}

static void test_what_is_not_committed_is_rolled_back(void **state)
{
        struct fixture *f = *state;

        {
                DB_TXN(t);

                assert_ok(db_begin(f->db, DB_WRITE, &t));
                assert_int_equal(db_run(&t, test_sql[ADD_STORE], DB_TEXT("/a")), 1);
        }
        assert_int_equal(count_stores(f), 0);
        assert_ok(add_store(f, "/b"));
        assert_int_equal(count_stores(f), 1);
}

static void test_a_reader_sees_one_state_until_its_end(void **state)
{
        struct fixture *f = *state;
        int64_t n;
        DB_TXN(reader);

        assert_ok(db_begin(f->db, DB_READ, &reader));
        assert_ok(db_int(&reader, test_sql[COUNT], &n));
        assert_int_equal(n, 0);
        assert_ok(add_store(f, "/a")); /* does not wait for the reader either */
        assert_ok(db_int(&reader, test_sql[COUNT], &n));
        assert_int_equal(n, 0);
        db_end(&reader);
        assert_int_equal(count_stores(f), 1);
}

static void test_constraints_have_their_errno(void **state)
{
        struct fixture *f = *state;
        uint8_t key[15] = { 0 };
        uint64_t store;
        DB_TXN(t);

        assert_ok(db_begin(f->db, DB_WRITE, &t));
        assert_int_equal(db_run(&t, test_sql[ADD_STORE], DB_TEXT("/a")), 1);
        store = db_last_id(&t);
        assert_err(db_run(&t, test_sql[ADD_STORE], DB_TEXT("/a")), -EEXIST);
        assert_err(db_run(&t, test_sql[ADD_REGION], DB_TEXT("r"), DB_INT(store + 1)), -EBUSY);
        assert_err(db_run(&t, test_sql[ADD_REGION], DB_NULL, DB_INT(store)), -EINVAL);
        assert_err(db_run(&t, test_sql[BAD_BLOB], DB_INT(store), DB_BLOB(key, sizeof(key))), -EINVAL);
        assert_int_equal(db_run(&t, test_sql[ADD_REGION], DB_TEXT("r"), DB_INT(store)), 1);
        assert_err(db_run(&t, test_sql[REMOVE_STORE], DB_INT(store)), -EBUSY);
        assert_int_equal(db_run(&t, test_sql[REMOVE_STORE], DB_INT(store + 1)), 0);
        assert_ok(db_commit(&t));
}

struct seen {
        unsigned n;
        int answer;
};

static int see_row(void *ctx, const struct db_row *row)
{
        struct seen *seen = ctx;
        uint8_t bytes[2] = { 9, 9 }, other[3] = { 9, 9, 9 };
        char cut[3];

        seen->n++;
        assert_int_equal(db_row_int(row, 0), seen->n);
        db_row_text(row, 1, cut, sizeof(cut));
        assert_int_equal(strlen(cut), 2);
        assert_true(db_row_is_null(row, 2));
        assert_int_equal(db_row_int(row, 2), 0);
        assert_string_equal(db_row_str(row, 2), "");
        db_row_blob(row, 3, bytes, sizeof(bytes));
        assert_int_equal(bytes[1], 2);
        db_row_blob(row, 3, other, sizeof(other));
        assert_int_equal(other[2], 0);
        return seen->n == 2 ? seen->answer : 0;
}

static void test_rows_are_walked_until_the_callback_ends_it(void **state)
{
        struct fixture *f = *state;
        struct seen seen = { 0 };
        DB_TXN(t);

        assert_ok(add_store(f, "/aa"));
        assert_ok(add_store(f, "/bb"));
        assert_ok(add_store(f, "/cc"));
        assert_ok(db_begin(f->db, DB_READ, &t));
        assert_ok(db_each(&t, test_sql[LIST], see_row, &seen));
        assert_int_equal(seen.n, 3);
        seen = (struct seen){ .answer = -ECANCELED };
        assert_err(db_each(&t, test_sql[LIST], see_row, &seen), -ECANCELED);
        assert_int_equal(seen.n, 2);
        seen = (struct seen){ .answer = 7 };
        assert_err(db_each(&t, test_sql[LIST], see_row, &seen), 7);
        seen = (struct seen){ 0 };
        assert_ok(db_one(&t, test_sql[LIST], see_row, &seen));
        assert_int_equal(seen.n, 1);
        assert_err(db_one(&t, test_sql[PATH_OF], NULL, NULL, DB_INT(99)), -ENOENT);
        assert_ok(db_one(&t, test_sql[PATH_OF], NULL, NULL, DB_INT(1)));
}

/* ---- whose file it is ---- */

static void run_sql(struct fixture *f, const char *sql)
{
        char path[TEMPDIR_MAX + 16];
        sqlite3 *conn;

        (void)snprintf(path, sizeof(path), "%s/" DB_FILE, f->dir);
        assert_int_equal(sqlite3_open_v2(path, &conn, SQLITE_OPEN_READWRITE, DB_VFS), SQLITE_OK);
        assert_int_equal(sqlite3_exec(conn, sql, NULL, NULL, NULL), SQLITE_OK);
        assert_int_equal(sqlite3_close(conn), SQLITE_OK);
}

static void test_another_version_is_left_alone(void **state)
{
        struct fixture *f = *state;

        db_close(f->db);
        f->db = NULL;
        for (size_t i = 0; i < 2; i++) {
                run_sql(f, i ? "PRAGMA user_version = 1" : "PRAGMA user_version = 99");
                assert_err(open_db(f, false), -EPROTONOSUPPORT);
                assert_err(open_db(f, true), -EPROTONOSUPPORT);
        }
}

static void test_somebody_elses_database_is_left_alone(void **state)
{
        struct fixture *f = *state;

        db_close(f->db);
        f->db = NULL;
        run_sql(f, "PRAGMA application_id = 1");
        assert_err(open_db(f, false), -EUCLEAN);
}

static void test_a_file_that_is_no_database_is_left_alone(void **state)
{
        struct fixture *f = *state;
        int fd;

        db_close(f->db);
        f->db = NULL;
        fd = openat(f->dir_fd, DB_FILE, O_WRONLY | O_TRUNC | O_CLOEXEC);
        assert_true(fd >= 0);
        for (int i = 0; i < 1000; i++)
                assert_int_equal(write(fd, "not a database, ", 16), 16);
        (void)close(fd);
        assert_err(open_db(f, false), -EUCLEAN);
}

/* When the directory, or a file in it, was changed last. */
static int64_t changed_ns(struct fixture *f, const char *name)
{
        struct stat st;

        assert_int_equal(fstatat(f->dir_fd, name, &st, 0), 0);
        return (int64_t)st.st_mtim.tv_sec * 1000000000 + st.st_mtim.tv_nsec;
}

static void test_read_only_reads_and_makes_nothing(void **state)
{
        struct fixture *f = *state;
        int64_t n, dir, file;
        DB_TXN(t);

        assert_ok(add_store(f, "/a"));
        db_close(f->db);
        f->db = NULL;
        dir = changed_ns(f, ".");
        file = changed_ns(f, DB_FILE);
        assert_ok(open_db(f, true));
        assert_err(db_begin(f->db, DB_WRITE, &t), -EROFS);
        assert_ok(db_begin(f->db, DB_READ, &t));
        assert_ok(db_int(&t, test_sql[COUNT], &n));
        assert_int_equal(n, 1);
        db_end(&t);
        db_close(f->db);
        f->db = NULL;
        /* There were a -wal and a -shm afterwards. */
        assert_int_equal(changed_ns(f, "."), dir);
        assert_int_equal(changed_ns(f, DB_FILE), file);
        assert_ok(unlinkat(f->dir_fd, DB_FILE, 0));
        assert_err(open_db(f, true), -ENOENT);
        assert_int_equal(faccessat(f->dir_fd, DB_FILE, F_OK, 0), -1);
}

static void overwrite(struct fixture *f, const char *name, const void *bytes, size_t n, bool cut)
{
        int fd = openat(f->dir_fd, name, O_WRONLY | O_CREAT | (cut ? O_TRUNC : 0) | O_CLOEXEC, 0600);

        assert_true(fd >= 0);
        assert_int_equal(pwrite(fd, bytes, n, 0), n);
        (void)close(fd);
}

/* It may have all that is newest, and went when the database beside it could not be read. */
static void test_the_wal_of_what_cannot_be_opened_stays(void **state)
{
        static const uint8_t garbage[5000] = { 'n', 'o' };
        static const struct {
                size_t n;
                bool cut;
        } damages[] = { { 5000, false }, { 100, false }, { 15, true }, { 5000, true }, { 0, true } };
        struct fixture *f = *state;
        struct stat st;

        for (size_t i = 0; i < 2 * sizeof(damages) / sizeof(damages[0]); i++) {
                int status;
                pid_t pid;

                db_close(f->db);
                f->db = NULL;
                (void)unlinkat(f->dir_fd, DB_FILE, 0);
                (void)unlinkat(f->dir_fd, DB_FILE "-wal", 0);
                pid = fork();
                assert_true(pid >= 0);
                if (pid == 0)
                        _exit(open_db(f, false) == 0 && add_store(f, "/a") == 0 ? 0 : 1);
                assert_int_equal(waitpid(pid, &status, 0), pid);
                assert_int_equal(status, 0);
                assert_ok(fstatat(f->dir_fd, DB_FILE "-wal", &st, 0));
                assert_true(st.st_size > 0);
                overwrite(f, DB_FILE, garbage, damages[i / 2].n, damages[i / 2].cut);
                assert_err(open_db(f, i % 2), -EUCLEAN);
                assert_ok(fstatat(f->dir_fd, DB_FILE "-wal", &st, 0));
                assert_true(st.st_size > 0);
        }
        assert_ok(unlinkat(f->dir_fd, DB_FILE, 0));
        assert_ok(unlinkat(f->dir_fd, DB_FILE "-wal", 0));
        assert_ok(open_db(f, false));
}

/* As after kill -9: the WAL holds the commit, and nobody has taken it into the database. */
/* Each commit made it longer, for which a file system with a journal commits that, and with it what all others wrote. */
static void test_a_commit_makes_no_file_longer(void **state)
{
        struct fixture *f = *state;
        struct stat before, after;
        char path[16];

        assert_ok(add_store(f, "/first"));
        assert_ok(fstatat(f->dir_fd, DB_FILE "-wal", &before, 0));
        assert_true((uint64_t)before.st_blocks * 512 >= (uint64_t)before.st_size); /* no holes, which would be filled */
        for (unsigned i = 0; i < 100; i++) {
                (void)snprintf(path, sizeof(path), "/%u", i);
                assert_ok(add_store(f, path));
        }
        assert_ok(fstatat(f->dir_fd, DB_FILE "-wal", &after, 0));
        assert_int_equal(after.st_size, before.st_size);
}

static void test_read_only_sees_what_a_killed_writer_committed(void **state)
{
        struct fixture *f = *state;
        int64_t dir, file, wal, shm;
        int status, fd;
        pid_t pid;

        db_close(f->db);
        f->db = NULL;
        pid = fork();
        assert_true(pid >= 0);
        if (pid == 0)
                _exit(open_db(f, false) == 0 && add_store(f, "/a") == 0 ? 0 : 1);
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_int_equal(status, 0);
        /* As an earlier version leaves it, of whose index nothing can be believed. */
        fd = openat(f->dir_fd, DB_FILE "-shm", O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
        assert_true(fd >= 0);
        assert_int_equal(write(fd, "not an index", 12), 12);
        (void)close(fd);
        dir = changed_ns(f, ".");
        file = changed_ns(f, DB_FILE);
        wal = changed_ns(f, DB_FILE "-wal");
        shm = changed_ns(f, DB_FILE "-shm");

        assert_ok(open_db(f, true));
        assert_int_equal(count_stores(f), 1);
        db_close(f->db);
        f->db = NULL;
        assert_int_equal(changed_ns(f, "."), dir);
        assert_int_equal(changed_ns(f, DB_FILE), file);
        assert_int_equal(changed_ns(f, DB_FILE "-wal"), wal);
        assert_int_equal(changed_ns(f, DB_FILE "-shm"), shm);
        reopen(f);
        assert_int_equal(count_stores(f), 1);
        assert_int_equal(faccessat(f->dir_fd, DB_FILE "-shm", F_OK, 0), -1);
}

/* Anybody could read password hashes from it, and the WAL has the mode of the database. */
static void test_the_files_are_ours_alone(void **state)
{
        struct fixture *f = *state;
        static const char *const names[] = { DB_FILE, DB_FILE "-wal" };
        mode_t before = umask(0);
        struct stat st;

        db_close(f->db);
        f->db = NULL;
        assert_ok(unlinkat(f->dir_fd, DB_FILE, 0));
        assert_ok(open_db(f, false));
        assert_ok(add_store(f, "/a"));
        (void)umask(before);
        for (size_t i = 0; i < 2; i++) {
                assert_int_equal(fstatat(f->dir_fd, names[i], &st, 0), 0);
                assert_int_equal(st.st_mode & 07777, 0600);
        }
}

static void count_finding(void *ctx, const char *text)
{
        (void)text;
        ++*(unsigned *)ctx;
}

static void test_check_finds_broken_references(void **state)
{
        struct fixture *f = *state;
        unsigned n = 0;

        assert_int_equal(db_check(f->db, count_finding, &n), 0);
        run_sql(f, "PRAGMA foreign_keys = OFF; INSERT INTO region VALUES (1, 'r', 99, 0, 0, 0, 0, 0, 0)");
        assert_int_equal(db_check(f->db, count_finding, &n), 1);
        assert_int_equal(n, 1);
}

/* ---- a failing disk ---- */

static void test_a_failed_sync_ends_all_writing(void **state)
{
        struct fixture *f = *state;

        assert_ok(add_store(f, "/a"));
        assert_false(db_is_degraded(f->db));
        fault_set(FAULT_SYNC, 1, 0);
        assert_err(add_store(f, "/b"), -EIO);
        fault_set(FAULT_SYNC, 0, 0);
        assert_true(db_is_degraded(f->db));
        assert_err(add_store(f, "/c"), -EROFS);
        reopen(f); /* where /b may be or not: nobody was told that it is */
        assert_ok(add_store(f, "/c"));
}

static int try_add_lazily(struct fixture *f, const char *path)
{
        DB_TXN(t);
        int r;

        r = db_begin_lazy(f->db, &t);
        if (r < 0)
                return r;
        assert_int_equal(db_run(&t, test_sql[ADD_STORE], DB_TEXT(path)), 1);
        return db_commit(&t);
}

static void add_lazily(struct fixture *f, const char *path)
{
        assert_ok(try_add_lazily(f, path));
}

/* Who takes bytes away because of what was read did so on the word of a commit that a power cut undid. */
static void test_what_can_be_read_is_made_durable(void **state)
{
        struct fixture *f = *state;

        assert_ok(add_store(f, "/a"));
        fault_set(FAULT_SYNC, 0, 0);
        assert_ok(db_settle(f->db));
        assert_int_equal(fault_count(FAULT_SYNC), 0); /* /a was */
        add_lazily(f, "/b");
        assert_int_equal(fault_count(FAULT_SYNC), 0);
        assert_ok(db_settle(f->db));
        assert_ok(db_settle(f->db));
        assert_int_equal(fault_count(FAULT_SYNC), 1);

        add_lazily(f, "/c");
        fault_set(FAULT_SYNC, 1, 0);
        assert_err(db_settle(f->db), -EIO);
        fault_set(FAULT_SYNC, 0, 0);
        assert_true(db_is_degraded(f->db));
        assert_err(db_settle(f->db), -EIO); /* the kernel takes it for clean now */
}

struct meeting {
        pthread_mutex_t mutex;
        pthread_cond_t came;
        unsigned n;
        bool alone;
};

/* The first to come waits for the second, as long as it takes, but not for ever. */
static void meet(void *ctx)
{
        struct meeting *m = ctx;
        struct timespec end;

        (void)clock_gettime(CLOCK_MONOTONIC, &end);
        end.tv_sec += 60;
        LOCK_SCOPE(&m->mutex);
        m->n++;
        (void)pthread_cond_broadcast(&m->came);
        while (m->n < 2 && !m->alone)
                m->alone = pthread_cond_clockwait(&m->came, &m->mutex, CLOCK_MONOTONIC, &end) != 0;
}

static void *add_one(void *ctx)
{
        return (void *)(intptr_t)add_store(ctx, "/a");
}

/* Who came while the disk was at one waited for its end before anything of the next was on its way. */
static void test_the_next_sync_begins_before_the_last_has_ended(void **state)
{
        struct meeting m = { .mutex = PTHREAD_MUTEX_INITIALIZER, .came = PTHREAD_COND_INITIALIZER };
        struct fixture *f = *state;
        pthread_t first;
        void *r;

        assert_ok(add_store(f, "/0")); /* the first of a log is synced with the writer held */
        fault_watch_syncs(meet, &m);
        assert_ok(pthread_create(&first, NULL, add_one, f));
        lock(&m.mutex);
        while (m.n == 0)
                (void)pthread_cond_wait(&m.came, &m.mutex);
        unlock(&m.mutex);
        assert_ok(add_store(f, "/b"));
        assert_ok(pthread_join(first, &r));
        fault_watch_syncs(NULL, NULL);
        assert_ok((int)(intptr_t)r);
        assert_false(m.alone);
}

static int own_nice(void)
{
        return getpriority(PRIO_PROCESS, (id_t)gettid());
}

static void note_nice(void *ctx)
{
        *(int *)ctx = own_nice();
}

/* An import that came to the processor after all else kept everybody from writing meanwhile, for a hundred times as long. */
static void test_who_has_the_writer_goes_before_requests(void **state)
{
        struct fixture *f = *state;
        const int before = own_nice();
        int syncing = 0;

        if (geteuid() != 0)
                skip(); /* others cannot go back */
        assert_ok(add_store(f, "/0")); /* the first of a log is synced with the writer held */
        thread_set_nice(THREAD_NICE_IDLE);
        {
                DB_TXN(t);

                assert_ok(db_begin(f->db, DB_WRITE, &t));
                assert_int_equal(own_nice(), THREAD_NICE_WRITER);
                assert_int_equal(db_run(&t, test_sql[ADD_STORE], DB_TEXT("/a")), 1);
                fault_watch_syncs(note_nice, &syncing);
                assert_ok(db_commit(&t));
                fault_watch_syncs(NULL, NULL);
        }
        assert_int_equal(syncing, THREAD_NICE_WRITER);
        assert_int_equal(own_nice(), THREAD_NICE_IDLE);
        {
                DB_TXN(t);

                assert_ok(db_begin(f->db, DB_WRITE, &t)); /* and is given up */
        }
        assert_int_equal(own_nice(), THREAD_NICE_IDLE);
        {
                DB_TXN(t);

                assert_ok(db_begin(f->db, DB_READ, &t));
                assert_int_equal(own_nice(), THREAD_NICE_IDLE); /* nobody waits for that */
        }
        assert_ok(setpriority(PRIO_PROCESS, (id_t)gettid(), before));
}

static void test_one_sync_is_for_all_that_came_before_it(void **state)
{
        struct fixture *f = *state;

        add_lazily(f, "/a");
        add_lazily(f, "/b");
        fault_set(FAULT_SYNC, 0, 0);
        assert_ok(add_store(f, "/c"));
        assert_int_equal(fault_count(FAULT_SYNC), 1);
        assert_ok(db_settle(f->db));
        assert_int_equal(fault_count(FAULT_SYNC), 1);
}

static void test_a_failed_write_ends_all_writing(void **state)
{
        struct fixture *f = *state;

        fault_set(FAULT_WRITE, 1, 0);
        assert_err(add_store(f, "/b"), -EIO);
        fault_set(FAULT_WRITE, 0, 0);
        assert_err(add_store(f, "/c"), -EROFS);
        assert_int_equal(count_stores(f), 0);
}

static void test_a_full_disk_refuses_and_recovers(void **state)
{
        struct fixture *f = *state;

        fault_set(FAULT_WRITE, 1, 1);
        assert_err(add_store(f, "/b"), -ENOSPC);
        fault_set(FAULT_WRITE, 0, 0);
        assert_false(db_is_degraded(f->db));
        assert_int_equal(count_stores(f), 0);
        assert_ok(add_store(f, "/c"));
        assert_int_equal(count_stores(f), 1);
}

/* Which sqlite has for a disk that fails; all writing ended. */
static void test_a_quota_of_the_disk_is_like_a_full_disk(void **state)
{
        struct fixture *f = *state;

        for (int n = 1; n <= 2; n++) {
                calls = CALLS_OTHERS;
                fault = FAULT_EDQUOT;
                atomic_store(&countdown, n);
                assert_err(add_store(f, "/b"), -ENOSPC);
                assert_int_equal(atomic_load(&countdown), 0);
                assert_false(db_is_degraded(f->db));
                assert_int_equal(count_stores(f), 0);
        }
        assert_ok(add_store(f, "/c"));
        assert_int_equal(count_stores(f), 1);
}

/* It comes after commits, which stand; but then there are no more. */
static void test_a_failed_checkpoint_ends_all_writing(void **state)
{
        struct fixture *f = *state;
        char path[32];
        int64_t n = 1;
        int r;

        r = add_store(f, "/first"); /* which also syncs the head of a new WAL */
        fault_set(FAULT_SYNC, 1, 0); /* not of those who commit lazily */
        for (int i = 0; r == 0; i++) {
                (void)snprintf(path, sizeof(path), "/%d", i);
                r = try_add_lazily(f, path);
                n += r == 0;
                assert_in_range(i, 0, 100000);
        }
        fault_set(FAULT_SYNC, 0, 0);
        assert_err(r, -EROFS);
        assert_int_equal(count_stores(f), n);
}

/* A sync that lasts until it may end. */
struct slow_sync {
        pthread_mutex_t mutex;
        pthread_cond_t changed;
        bool begun, may_end;
};

static void sync_slowly(void *ctx)
{
        struct slow_sync *s = ctx;
        LOCK_SCOPE(&s->mutex);

        s->begun = true;
        (void)pthread_cond_broadcast(&s->changed);
        while (!s->may_end)
                (void)pthread_cond_wait(&s->changed, &s->mutex);
}

static void test_nobody_waits_for_a_checkpoint(void **state)
{
        struct slow_sync s = { .mutex = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER };
        struct fixture *f = *state;
        char path[32];

        assert_ok(add_store(f, "/first")); /* which also syncs the head of a new WAL */
        fault_watch_syncs(sync_slowly, &s);
        for (int i = 0; i < 2000; i++) { /* the first half is what it takes until one is due */
                (void)snprintf(path, sizeof(path), "/%d", i);
                add_lazily(f, path);
        }
        {
                LOCK_SCOPE(&s.mutex);
                while (!s.begun)
                        (void)pthread_cond_wait(&s.changed, &s.mutex);
                s.may_end = true;
                (void)pthread_cond_broadcast(&s.changed);
        }
        db_close(f->db); /* which it ends before */
        fault_watch_syncs(NULL, NULL);
        assert_ok(open_db(f, false));
        assert_int_equal(count_stores(f), 2001);
}

/* What stands between the library and sqlite's checkpoints. */
static struct {
        pthread_mutex_t mutex;
        pthread_cond_t changed;
        bool hold, held; /* the next is to wait, and does */
        int log, copied; /* what the last one has left, in pages */
        unsigned n, idle; /* how many there were beside who writes, and of those with nothing to copy */
} copies = { .mutex = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER };

int sqlite3_wal_checkpoint_v2(sqlite3 *conn, const char *name, int mode, int *log, int *copied)
{
        int (*real)(sqlite3 *, const char *, int, int *, int *);
        int n_log = 0, n_copied = 0, r;

        *(void **)&real = dlsym(RTLD_NEXT, "sqlite3_wal_checkpoint_v2");
        lock(&copies.mutex);
        while (copies.hold) {
                copies.held = true;
                (void)pthread_cond_broadcast(&copies.changed);
                (void)pthread_cond_wait(&copies.changed, &copies.mutex);
        }
        copies.held = false;
        unlock(&copies.mutex);

        r = real(conn, name, mode, &n_log, &n_copied);
        if (log)
                *log = n_log;
        if (copied)
                *copied = n_copied;

        LOCK_SCOPE(&copies.mutex);
        copies.n++;
        copies.idle += mode == SQLITE_CHECKPOINT_PASSIVE && n_log == copies.copied;
        copies.log = n_log;
        copies.copied = n_copied;
        (void)pthread_cond_broadcast(&copies.changed);
        return r;
}

static void hold_copies(void)
{
        LOCK_SCOPE(&copies.mutex);
        copies.hold = true;
}

static bool is_copy_held(void)
{
        LOCK_SCOPE(&copies.mutex);
        return copies.held;
}

/* What came of the one that was held, and of those after it, if there are any within a second. */
static unsigned count_idle_copies(void)
{
        struct timespec end;
        unsigned n;

        (void)clock_gettime(CLOCK_REALTIME, &end);
        end.tv_sec++;
        LOCK_SCOPE(&copies.mutex);
        n = copies.n + 1;
        copies.idle = 0;
        copies.copied = 0;
        copies.hold = false;
        (void)pthread_cond_broadcast(&copies.changed);
        while (copies.n <= n && pthread_cond_timedwait(&copies.changed, &copies.mutex, &end) == 0)
                ;
        return copies.n < n || copies.copied != copies.log ? UINT_MAX : copies.idle;
}

/* With sqlite before 3.51.3 it could lose what is written at that moment. */
static void test_nothing_is_copied_beside_who_writes_where_nothing_is_left(void **state)
{
        struct fixture *f = *state;
        char path[32];

        hold_copies();
        for (int i = 0; !is_copy_held(); i++) {
                (void)snprintf(path, sizeof(path), "/%d", i);
                add_lazily(f, path);
        }
        for (int i = 0; i < 1500; i++) { /* the next is due before this one has begun, which copies all of it */
                (void)snprintf(path, sizeof(path), "/next-%d", i);
                add_lazily(f, path);
        }
        assert_int_equal(count_idle_copies(), 0);
}

/* ---- threads ---- */

/* Goes through the rows for as long as it is told to. */
struct walker {
        struct fixture *f;
        pthread_mutex_t mutex;
        pthread_cond_t changed;
        bool wanted, there, stop;
};

/* With the mutex held. What waits for others for so long does not come before they are gone. */
static void await(struct walker *w, bool there)
{
        struct timespec end;

        (void)clock_gettime(CLOCK_REALTIME, &end);
        end.tv_nsec += 100000000;
        end.tv_sec += end.tv_nsec / 1000000000;
        end.tv_nsec %= 1000000000;
        while (w->there != there && pthread_cond_timedwait(&w->changed, &w->mutex, &end) == 0)
                ;
}

static void tell(struct walker *w, bool wanted)
{
        LOCK_SCOPE(&w->mutex);
        w->wanted = wanted;
        (void)pthread_cond_broadcast(&w->changed);
        await(w, wanted);
}

static void *walk_when_told(void *arg)
{
        struct walker *w = arg;
        LOCK_SCOPE(&w->mutex);

        for (;;) {
                int64_t n;
                DB_TXN(t);

                while (!w->wanted && !w->stop)
                        (void)pthread_cond_wait(&w->changed, &w->mutex);
                if (w->stop)
                        return NULL;
                unlock(&w->mutex);
                assert_ok(db_begin_scan(w->f->db, &t));
                assert_ok(db_int(&t, test_sql[COUNT], &n));
                lock(&w->mutex);
                w->there = true;
                (void)pthread_cond_broadcast(&w->changed);
                while (w->wanted)
                        (void)pthread_cond_wait(&w->changed, &w->mutex);
                unlock(&w->mutex);
                db_end(&t);
                lock(&w->mutex);
                w->there = false;
                (void)pthread_cond_broadcast(&w->changed);
        }
}

/* Of two there was always one that had begun before the last commit, and the log as long as all that had been written. */
static void test_the_wal_is_bounded_while_somebody_always_reads(void **state)
{
        struct walker w[2];
        pthread_t threads[2];
        char *path = malloc(1 << 20);
        off_t longest = 0;
        struct stat st;

        assert_non_null(path);
        for (int i = 0; i < 2; i++) {
                w[i] = (struct walker){ .f = *state, .mutex = PTHREAD_MUTEX_INITIALIZER,
                                        .changed = PTHREAD_COND_INITIALIZER };
                assert_ok(pthread_create(&threads[i], NULL, walk_when_told, &w[i]));
        }
        for (int i = 0; i < 80; i++) {
                memset(path, 'x', (1 << 20) - 1);
                path[(1 << 20) - 1] = '\0';
                path[i + 1] = '/';
                assert_ok(add_store(w[0].f, path));
                assert_ok(fstatat(w[0].f->dir_fd, DB_FILE "-wal", &st, 0));
                longest = st.st_size > longest ? st.st_size : longest;
                tell(&w[i % 2], true);
                tell(&w[(i + 1) % 2], false);
        }
        for (int i = 0; i < 2; i++) {
                tell(&w[i], false);
                {
                        LOCK_SCOPE(&w[i].mutex);
                        w[i].stop = true;
                        (void)pthread_cond_broadcast(&w[i].changed);
                }
                assert_ok(pthread_join(threads[i], NULL));
        }
        free(path);
        assert_in_range(longest, 0, 64 << 20);
}

struct worker {
        struct fixture *f;
        unsigned number;
        atomic_bool *stop;
        int r;
};

static void *write_stores(void *arg)
{
        struct worker *w = arg;
        char path[32];

        for (int i = 0; i < 50 && w->r == 0; i++) {
                (void)snprintf(path, sizeof(path), "/%u/%d", w->number, i);
                w->r = add_store(w->f, path);
        }
        return NULL;
}

static void *read_stores(void *arg)
{
        struct worker *w = arg;
        int64_t last = 0;

        while (!atomic_load(w->stop)) {
                int64_t n = count_stores(w->f);

                if (n < last)
                        w->r = -EIO; /* went back in time */
                last = n;
        }
        return NULL;
}

struct reader {
        struct db *db;
        unsigned n;
};

static void *read_beside(void *arg)
{
        struct reader *r = arg;
        DB_TXN(t);

        if (db_begin(r->db, DB_READ, &t) == 0)
                r->n++;
        return NULL;
}

#define READERS_AT_ONCE 14 /* lists, listings, what works and what is asked */

/* Each has another one read within its own. */
static void *read_within(void *arg)
{
        struct reader *r = arg;
        pthread_t next;
        DB_TXN(t);

        if (db_begin(r->db, DB_READ, &t) == 0 && ++r->n < READERS_AT_ONCE) {
                assert_ok(pthread_create(&next, NULL, read_within, r));
                assert_ok(pthread_join(next, NULL));
        }
        return NULL;
}

/* All eight were taken by lists and imports, which had the processor last, and a user's quota waited for those. */
static void test_many_read_at_once(void **state)
{
        struct fixture *f = *state;
        struct reader r = { .db = f->db };

        (void)read_within(&r);
        assert_int_equal(r.n, READERS_AT_ONCE);
}

/* One that goes through all rows held up everybody who looked up one. */
static void test_readers_do_not_wait_for_each_other(void **state)
{
        struct fixture *f = *state;
        struct reader r = { .db = f->db };
        pthread_t thread;
        DB_TXN(t);

        assert_ok(db_begin(f->db, DB_READ, &t));
        for (unsigned i = 0; i < 3; i++) {
                assert_ok(pthread_create(&thread, NULL, read_beside, &r));
                assert_ok(pthread_join(thread, NULL));
        }
        assert_int_equal(r.n, 3);
}

/* What this thread has read of files, /proc's among them. */
static uint64_t bytes_read(void)
{
        FILE *io = fopen("/proc/thread-self/io", "re");
        unsigned long long n;

        if (!io)
                skip(); /* this kernel does not count */
        assert_int_equal(fscanf(io, "rchar: %llu", &n), 1);
        (void)fclose(io);
        return n;
}

static void look_at_stores(struct fixture *f, unsigned n)
{
        for (unsigned id = 1; id <= n; id++) {
                int64_t length;
                DB_TXN(t);

                assert_ok(db_begin(f->db, DB_READ, &t));
                assert_ok(db_int(&t, test_sql[LENGTH_OF], &length, DB_INT(id)));
        }
}

/* Each look at one of many images read its pages anew. */
static void test_rows_that_were_looked_at_are_not_read_again(void **state)
{
        enum { ROWS = 3000, LONG = 3000 }; /* a page each, more of them than sqlite keeps by itself */
        struct fixture *f = *state;
        char path[LONG + 1];
        uint64_t before;

        memset(path, 'x', LONG);
        path[LONG] = '\0';
        {
                DB_TXN(t);

                assert_ok(db_begin(f->db, DB_WRITE, &t));
                for (int i = 0; i < ROWS; i++) {
                        (void)snprintf(path, 6, "%05d", i);
                        path[5] = 'x';
                        assert_int_equal(db_run(&t, test_sql[ADD_STORE], DB_TEXT(path)), 1);
                }
                assert_ok(db_commit(&t));
        }
        look_at_stores(f, ROWS);
        before = bytes_read();
        look_at_stores(f, ROWS);
        assert_in_range(bytes_read() - before, 0, 4095);

        /* Who goes through all of them once does that elsewhere. */
        {
                int64_t length;
                DB_TXN(t);

                before = bytes_read();
                assert_ok(db_begin_scan(f->db, &t));
                assert_ok(db_int(&t, test_sql[LENGTH_OF], &length, DB_INT(1)));
                assert_true(bytes_read() - before >= 4096);
        }
}

static void test_threads_write_and_read_together(void **state)
{
        atomic_bool stop = false;
        struct worker w[4];
        pthread_t threads[4];

        for (unsigned i = 0; i < 4; i++) {
                w[i] = (struct worker){ .f = *state, .number = i, .stop = &stop };
                assert_ok(pthread_create(&threads[i], NULL, i < 2 ? write_stores : read_stores, &w[i]));
        }
        for (unsigned i = 0; i < 4; i++) {
                if (i == 2)
                        atomic_store(&stop, true);
                assert_ok(pthread_join(threads[i], NULL));
                assert_ok(w[i].r);
        }
        assert_int_equal(count_stores(*state), 100);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
        const struct CMUnitTest tests[] = {
                TEST(test_a_commit_is_there_after_reopening),
                TEST(test_what_is_not_committed_is_rolled_back),
                TEST(test_a_reader_sees_one_state_until_its_end),
                TEST(test_constraints_have_their_errno),
                TEST(test_rows_are_walked_until_the_callback_ends_it),
                TEST(test_another_version_is_left_alone),
                TEST(test_somebody_elses_database_is_left_alone),
                TEST(test_a_file_that_is_no_database_is_left_alone),
                TEST(test_read_only_reads_and_makes_nothing),
                TEST(test_the_wal_of_what_cannot_be_opened_stays),
                TEST(test_a_commit_makes_no_file_longer),
                TEST(test_read_only_sees_what_a_killed_writer_committed),
                TEST(test_the_files_are_ours_alone),
                TEST(test_check_finds_broken_references),
                TEST(test_a_failed_sync_ends_all_writing),
                TEST(test_what_can_be_read_is_made_durable),
                TEST(test_the_next_sync_begins_before_the_last_has_ended),
                TEST(test_who_has_the_writer_goes_before_requests),
                TEST(test_one_sync_is_for_all_that_came_before_it),
                TEST(test_a_failed_write_ends_all_writing),
                TEST(test_a_full_disk_refuses_and_recovers),
                TEST(test_a_quota_of_the_disk_is_like_a_full_disk),
                TEST(test_a_failed_checkpoint_ends_all_writing),
                TEST(test_nobody_waits_for_a_checkpoint),
                TEST(test_nothing_is_copied_beside_who_writes_where_nothing_is_left),
                TEST(test_the_wal_is_bounded_while_somebody_always_reads),
                TEST(test_readers_do_not_wait_for_each_other),
                TEST(test_many_read_at_once),
                TEST(test_rows_that_were_looked_at_are_not_read_again),
                TEST(test_threads_write_and_read_together),
        };

        fault_install();
        return cmocka_run_group_tests(tests, NULL, NULL);
}

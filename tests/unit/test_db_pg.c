/* SPDX-License-Identifier: MIT */

/* The engine on a server: what db.h promises, and what only a server can do to it. */

#include "model/db/db.h"

#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "blobstore/base/lock.h"
#include "blobstore/base/strbuf.h"
#include "blobstore/base/thread.h"
#include "model/db/db_copy.h"
#include "model/db/db_pg_dialect.h"
#include "model/statements.h"
#include "tests/lib/expect.h"
#include "tests/lib/pg_server.h"

enum {
        ADD_STORE,
        ADD_REGION,
        REMOVE_STORE,
        REMOVE_REGION,
        BAD_SIZE,
        COUNT,
        LIST,
        ROWS,
        OF_KEY,
        BIG,
        RENAME,
        EVENTS,
        STANDBY,
        PID,
        HOST
};

static const char *const test_sql[] = {
        [ADD_STORE] = "INSERT INTO store (path, changed) VALUES (?1, 0)",
        [ADD_REGION] =
                "INSERT INTO region (handle, store, uid, gid, mode, created, updated) VALUES (?1, ?2, 0, 0, 493, 0, 0)",
        [REMOVE_STORE] = "DELETE FROM store WHERE id = ?1",
        [REMOVE_REGION] = "DELETE FROM region WHERE id = ?1",
        [BAD_SIZE] = "INSERT INTO blob (store, key, size, data, clusters, spans) VALUES (?1, ?2, ?3, 0, 0, 0)",
        [COUNT] = "SELECT count(*) FROM store",
        [LIST] = "SELECT id, path, NULL, path <> 'b', 5 IS NOT NULL FROM store ORDER BY path",
        [ROWS] = "SELECT n FROM generate_series(1, ?1) AS n",
        [OF_KEY] = "SELECT key, size FROM blob WHERE key = ?1",
        [BIG] = "SELECT 1 WHERE ?1 > 0",
        [RENAME] = "UPDATE region SET handle = ?2 WHERE id = ?1",
        [STANDBY] = "SELECT set_config('synchronous_commit', 'on', true)",
        [PID] = "SELECT pg_backend_pid()",
        [HOST] = "INSERT INTO host VALUES ('other', '/other', '', 'another', '1', 1, ?1 > 1, clock_timestamp())",
        [EVENTS] = "SELECT what, region, detail FROM event ORDER BY seq",
};
static const struct db_statements test_statements = DB_STATEMENTS(test_sql);
#define POINTER(stem) &stem##_statements,
static const struct db_statements *const tables[] = { &test_statements, STATEMENT_TABLES(POINTER) NULL };

static struct pg_server server;

struct fixture {
        char name[32];
        char url[TEMPDIR_MAX + 128];
        struct db *db;
};

static int open_db(struct fixture *f, bool make)
{
        const struct db_opts opts = { .tables = tables, .url = f->url, .make = make };

        return db_open(-1, &opts, &f->db);
}

/* Each has a database of its own. */
static int setup(void **state)
{
        static unsigned n;
        struct fixture *f = calloc(1, sizeof(*f));
        char sql[64];

        if (!f)
                return -1;
        (void)snprintf(f->name, sizeof(f->name), "test%u", n++);
        (void)snprintf(sql, sizeof(sql), "CREATE DATABASE %s", f->name);
        pg_server_sql(&server, "postgres", sql);
        pg_server_url(&server, f->name, f->url, sizeof(f->url));
        *state = f;
        return open_db(f, true);
}

static int teardown(void **state)
{
        struct fixture *f = *state;

        db_close(f->db);
        free(f);
        return 0;
}

static int add_store(struct fixture *f, const char *path, uint64_t *ret)
{
        DB_TXN(t);
        int r;

        r = db_begin(f->db, DB_WRITE, &t);
        if (r == 0)
                r = db_run(&t, test_sql[ADD_STORE], DB_TEXT(path));
        if (r < 0)
                return r;
        assert_int_equal(r, 1);
        if (ret)
                *ret = db_last_id(&t);
        return db_commit(&t);
}

/* How many there are, or why that cannot be told: who begins to read is told so with the first statement. */
static int64_t try_to_count(struct fixture *f)
{
        int64_t n = 0;
        DB_TXN(t);
        int r;

        r = db_begin(f->db, DB_READ, &t);
        if (r == 0)
                r = db_int(&t, test_sql[COUNT], &n);
        return r < 0 ? r : n;
}

static int64_t count_stores(struct fixture *f)
{
        int64_t n = -1;
        DB_TXN(t);

        assert_ok(db_begin(f->db, DB_READ, &t));
        assert_ok(db_int(&t, test_sql[COUNT], &n));
        return n;
}

static int take_path(void *ctx, const struct db_row *row)
{
        char *out = ctx;

        (void)snprintf(out + strlen(out), 64 - strlen(out), "%s %d%d%lld ", db_row_str(row, 1), db_row_is_null(row, 2),
                       db_row_is_null(row, 1), (long long)db_row_int(row, 3));
        return 0;
}

static void test_rows_and_their_types_are_as_with_the_other_engine(void **state)
{
        struct fixture *f = *state;
        const unsigned char key[16] = { 0, 1, '\\', '\'', 255 };
        char out[64] = "";
        uint64_t a, b;
        int64_t one;
        DB_TXN(t);

        assert_ok(add_store(f, "b", &b));
        assert_ok(add_store(f, "a", &a));
        assert_true(b > 0 && a > b);
        assert_ok(db_begin(f->db, DB_WRITE, &t));
        assert_ok(db_each(&t, test_sql[LIST], take_path, out));
        assert_string_equal(out, "a 101 b 100 ");
        assert_int_equal(db_run(&t, test_sql[BAD_SIZE], DB_INT(a), DB_BLOB(key, sizeof(key)), DB_INT(INT64_MAX)), 1);
        assert_err(db_int(&t, test_sql[OF_KEY], &one, DB_BLOB(key, sizeof(key) - 1)), -ENOENT);
        assert_ok(db_one(&t, test_sql[OF_KEY], NULL, NULL, DB_BLOB(key, sizeof(key))));
        assert_ok(db_int(&t, test_sql[BIG], &one, DB_INT(INT64_MAX))); /* the server takes 0 for a number of 32 bits */
        assert_err(db_int(&t, test_sql[BIG], &one, DB_NULL), -ENOENT);
        assert_ok(db_commit(&t));
}

static int check_key(void *ctx, const struct db_row *row)
{
        unsigned char key[16], shorter[15] = { 1 };

        db_row_blob(row, 0, key, sizeof(key));
        assert_memory_equal(key, ctx, sizeof(key));
        db_row_blob(row, 0, shorter, sizeof(shorter));
        assert_int_equal(shorter[0], 0);
        assert_string_equal(db_row_str(row, 1), "7");
        return 0;
}

static void test_bytes_come_back_as_they_were(void **state)
{
        struct fixture *f = *state;
        unsigned char key[16];
        uint64_t a;
        DB_TXN(t);

        for (size_t i = 0; i < sizeof(key); i++)
                key[i] = (unsigned char)(i * 17);
        assert_ok(add_store(f, "a", &a));
        assert_ok(db_begin(f->db, DB_WRITE, &t));
        assert_int_equal(db_run(&t, test_sql[BAD_SIZE], DB_INT(a), DB_BLOB(key, sizeof(key)), DB_INT(7)), 1);
        assert_ok(db_one(&t, test_sql[OF_KEY], check_key, key, DB_BLOB(key, sizeof(key))));
}

static void test_a_refused_statement_leaves_the_rest_of_its_transaction(void **state)
{
        struct fixture *f = *state;
        uint64_t a;
        DB_TXN(t);

        assert_ok(add_store(f, "a", &a));
        assert_ok(db_begin(f->db, DB_WRITE, &t));
        assert_int_equal(db_run(&t, test_sql[ADD_REGION], DB_TEXT("r"), DB_INT(a)), 1);
        assert_err(db_run(&t, test_sql[ADD_STORE], DB_TEXT("a")), -EEXIST);
        assert_err(db_run(&t, test_sql[REMOVE_STORE], DB_INT(a)), -EBUSY);
        assert_err(db_run(&t, test_sql[BAD_SIZE], DB_INT(a), DB_BLOB("0123456789abcdef", 16), DB_INT(-1)), -EINVAL);
        assert_int_equal(db_run(&t, test_sql[ADD_STORE], DB_TEXT("b")), 1);
        assert_ok(db_commit(&t));
        assert_int_equal(count_stores(f), 2);
}

static void test_what_is_not_committed_is_not_there(void **state)
{
        struct fixture *f = *state;

        {
                DB_TXN(t);

                assert_ok(db_begin(f->db, DB_WRITE, &t));
                assert_int_equal(db_run(&t, test_sql[ADD_STORE], DB_TEXT("a")), 1);
        }
        assert_int_equal(count_stores(f), 0);
}

static void test_a_reader_sees_one_state(void **state)
{
        struct fixture *f = *state;
        int64_t n;
        DB_TXN(t);

        assert_ok(db_begin(f->db, DB_READ, &t));
        assert_ok(db_int(&t, test_sql[COUNT], &n));
        assert_int_equal(n, 0);
        assert_ok(add_store(f, "a", NULL));
        assert_ok(db_int(&t, test_sql[COUNT], &n));
        assert_int_equal(n, 0);
        db_end(&t);
        assert_int_equal(count_stores(f), 1);
}

struct nested {
        struct db_txn *t;
        int64_t sum, stop_at;
};

static int take_nested(void *ctx, const struct db_row *row)
{
        struct nested *n = ctx;
        int64_t count;

        n->sum += db_row_int(row, 0);
        if (db_row_int(row, 0) == 3) /* the rest of the rows is still coming */
                assert_ok(db_int(n->t, test_sql[COUNT], &count));
        return db_row_int(row, 0) == n->stop_at;
}

static void test_statements_run_while_rows_of_another_come(void **state)
{
        struct fixture *f = *state;
        struct nested n = { 0 };
        DB_TXN(t);

        n.t = &t;
        assert_ok(db_begin(f->db, DB_READ, &t));
        assert_ok(db_each(&t, test_sql[ROWS], take_nested, &n, DB_INT(50000)));
        assert_int_equal(n.sum, 50000LL * 50001 / 2);
        n = (struct nested){ .t = &t, .stop_at = 10 };
        assert_int_equal(db_each(&t, test_sql[ROWS], take_nested, &n, DB_INT(50000)), 1);
        assert_int_equal(n.sum, 55);
        n = (struct nested){ .t = &t, .stop_at = 2 };
        assert_int_equal(db_each(&t, test_sql[ROWS], take_nested, &n, DB_INT(50000)), 1);
        assert_ok(db_int(&t, test_sql[COUNT], &n.sum));
}

static int take_event(void *ctx, const struct db_row *row)
{
        char *out = ctx;

        (void)snprintf(out + strlen(out), 128 - strlen(out), "%s %s %s;", db_row_str(row, 0), db_row_str(row, 1),
                       db_row_str(row, 2));
        return 0;
}

static void test_triggers_tell_what_happened(void **state)
{
        struct fixture *f = *state;
        char out[128] = "";
        uint64_t a, region;
        DB_TXN(t);

        assert_ok(add_store(f, "a", &a));
        assert_ok(db_begin(f->db, DB_WRITE, &t));
        assert_int_equal(db_run(&t, test_sql[ADD_REGION], DB_TEXT("r"), DB_INT(a)), 1);
        region = db_last_id(&t);
        assert_int_equal(db_run(&t, test_sql[RENAME], DB_INT(region), DB_TEXT("s")), 1);
        assert_int_equal(db_run(&t, test_sql[REMOVE_REGION], DB_INT(region)), 1);
        assert_ok(db_each(&t, test_sql[EVENTS], take_event, out));
        assert_string_equal(out, "made r ;moved s r;removed s ;");
        assert_ok(db_commit(&t));
}

/* As with sqlite, whose indices end with the number of the row: the last of a ring is found without looking at all of it. */
static void test_rows_of_one_value_are_in_the_order_of_their_numbers(void **state)
{
        struct fixture *f = *state;

        assert_int_equal(pg_server_sql(&server, f->name,
                                       "SELECT count(*) FROM pg_indexes WHERE indexname = 'event_ring' AND indexdef LIKE "
                                       "'%(reach, uid, seq)' OR indexname = 'blob_unread' AND indexdef LIKE '%(id) WHERE%'"),
                         2);
}

static void test_there_is_one_who_has_it_open(void **state)
{
        struct fixture *f = *state;
        struct db *first = f->db;

        f->db = NULL;
        assert_err(open_db(f, false), -EBUSY);
        db_close(first);
        assert_ok(open_db(f, false));
}

/* ---- hosts ---- */

/* The thread that waits for another host to end. */
struct waiting {
        struct fixture f;
        struct db_host host;
        pthread_t thread;
        pthread_mutex_t lock;
        pthread_cond_t changed;
        bool waits, begun; /* begun: it waits, has waited, or need not */
        char who[256];
        int r;
};

static void note_waiting(void *ctx, bool waits, const char *who)
{
        struct waiting *w = ctx;
        LOCK_SCOPE(&w->lock);

        w->waits = waits;
        w->begun = true;
        (void)snprintf(w->who, sizeof(w->who), "%s", who ?: "");
        (void)pthread_cond_broadcast(&w->changed);
}

static int open_as(struct fixture *f, const struct db_host *host, char *trouble, size_t size)
{
        const struct db_opts opts = {
                .tables = tables, .url = f->url, .host = host, .trouble = trouble, .trouble_size = size
        };

        return db_open(-1, &opts, &f->db);
}

static void *open_waiting(void *ctx)
{
        struct waiting *w = ctx;

        w->r = open_as(&w->f, &w->host, NULL, 0);
        LOCK_SCOPE(&w->lock);
        w->begun = true; /* on a slow machine the lease was over before */
        (void)pthread_cond_broadcast(&w->changed);
        return NULL;
}

static void begin_waiting(struct waiting *w, const struct fixture *f)
{
        *w = (struct waiting){ .host = { .name = "b", .directory = "/b", .here = "b", .version = "1", .lease_ms = 60000,
                                         .wait = note_waiting, .wait_ctx = w } };
        (void)strcpy(w->f.url, f->url);
        (void)pthread_mutex_init(&w->lock, NULL);
        cond_init(&w->changed);
        assert_ok(thread_start(&w->thread, open_waiting, w));
        LOCK_SCOPE(&w->lock);
        while (!w->begun)
                (void)pthread_cond_wait(&w->changed, &w->lock);
}

static int take_host(void *ctx, const struct db_row *row)
{
        char *out = ctx;

        (void)snprintf(out + strlen(out), 128 - strlen(out), "%s %s %d %s;", db_row_str(row, 0), db_row_str(row, 3),
                       db_row_int(row, 1) > 0, db_row_str(row, 2));
        return 0;
}

static void each_host(struct db *db, char ret[128])
{
        DB_TXN(t);

        ret[0] = '\0';
        assert_ok(db_begin(db, DB_READ, &t));
        assert_ok(db_each_host(&t, take_host, ret));
}

static void test_another_host_is_refused_and_one_that_waits_is_told(void **state)
{
        const struct db_host a = { .name = "a", .directory = "/it's", .here = "a", .version = "1", .lease_ms = 60000 };
        const struct db_host b = { .name = "b", .directory = "/b", .here = "b", .version = "1" };
        struct fixture *f = *state;
        struct fixture second = { 0 };
        uint64_t before, epoch;
        char trouble[256], hosts[128];
        struct waiting w;

        db_close(f->db);
        assert_ok(open_as(f, &a, NULL, 0));
        (void)strcpy(second.url, f->url);
        assert_err(open_as(&second, &b, trouble, sizeof(trouble)), -EBUSY);
        assert_contains(trouble, "host a serves this library, and has it until 20");
        assert_contains(trouble, "unless it renews that: from /it's");
        begin_waiting(&w, f);
        assert_string_equal(w.who, trouble);
        assert_ok(add_store(f, "a", NULL));
        db_close(f->db);
        f->db = NULL;
        (void)pthread_join(w.thread, NULL);
        assert_ok(w.r);
        assert_false(w.waits);
        assert_int_equal(count_stores(&w.f), 1);
        each_host(w.f.db, hosts);
        assert_string_equal(hosts, "b /b 1 1;?  0 ;a /it's 0 1;");
        db_epochs(w.f.db, &before, &epoch);
        assert_int_equal(epoch, before + 1);
        f->db = w.f.db;
        (void)pthread_cond_destroy(&w.changed);
        (void)pthread_mutex_destroy(&w.lock);
}

/* ---- news ---- */

struct ear {
        pthread_mutex_t lock; /* of what follows */
        pthread_cond_t changed;
        unsigned heard;
        struct fixture *f; /* looked at by who hears */
        int64_t stores;
};

/* A db_news_fn. */
static void note_news(void *ctx)
{
        struct ear *e = ctx;
        int64_t stores = -1;

        {
                DB_TXN(t);

                if (db_begin(e->f->db, DB_READ, &t) == 0) /* else the server is away once more */
                        (void)db_int(&t, test_sql[COUNT], &stores);
        }
        LOCK_SCOPE(&e->lock);
        e->heard++;
        e->stores = stores;
        (void)pthread_cond_broadcast(&e->changed);
}

static void await_news(struct ear *e, unsigned heard)
{
        LOCK_SCOPE(&e->lock);

        while (e->heard < heard)
                (void)pthread_cond_wait(&e->changed, &e->lock);
}

/* What may have changed before is told first. */
static void begin_to_hear(struct ear *e, struct fixture *f)
{
        *e = (struct ear){ .f = f };
        (void)pthread_mutex_init(&e->lock, NULL);
        cond_init(&e->changed);
        assert_ok(db_hear(f->db, note_news, e));
        await_news(e, 1);
}

static void end_hearing(struct ear *e)
{
        db_hear_no_more(e->f->db);
        (void)pthread_cond_destroy(&e->changed);
        (void)pthread_mutex_destroy(&e->lock);
}

static void add_another_host(struct fixture *f)
{
        DB_TXN(t);

        assert_ok(db_begin(f->db, DB_WRITE, &t));
        assert_int_equal(db_run(&t, test_sql[HOST], DB_INT(1)), 1);
        assert_ok(db_commit(&t));
}

static void test_a_commit_is_heard_by_all_others_once_there_are_any(void **state)
{
        struct fixture *f = *state, other = { 0 };
        struct ear here, there;
        const struct db_opts opts = { .tables = tables, .url = f->url, .read_only = true };

        assert_ok(db_open(-1, &opts, &other.db));
        begin_to_hear(&here, f);
        begin_to_hear(&there, &other);
        assert_ok(add_store(f, "a", NULL)); /* which is told nobody */
        add_another_host(f);
        await_news(&there, 2);
        assert_int_equal(there.stores, 1);
        assert_ok(add_store(f, "b", NULL));
        await_news(&there, 3);
        assert_int_equal(there.stores, 2);
        pg_server_sql(&server, f->name, "BEGIN; UPDATE imagefs.store SET changed = 1; NOTIFY imagefs_news, 'a host'; COMMIT");
        await_news(&there, 4);
        await_news(&here, 2);
        assert_int_equal(here.heard, 2); /* its own were not told, as the first was nobody */
        assert_int_equal(there.heard, 4);
        end_hearing(&there);
        end_hearing(&here);
        db_close(other.db);
}

static void test_what_is_not_committed_is_not_heard(void **state)
{
        struct fixture *f = *state;
        struct ear ear;

        add_another_host(f);
        begin_to_hear(&ear, f);
        pg_server_sql(&server, f->name, "BEGIN; NOTIFY imagefs_news, 'a host'; ROLLBACK");
        pg_server_sql(&server, f->name, "NOTIFY imagefs_news, 'a host'");
        await_news(&ear, 2);
        assert_int_equal(ear.heard, 2);
        end_hearing(&ear);
}

/* Nobody keeps what is said meanwhile. */
static void test_anything_may_have_changed_when_the_server_was_out_of_reach(void **state)
{
        struct fixture *f = *state;
        struct ear ear;

        begin_to_hear(&ear, f);
        pg_server_sql(&server, f->name,
                      "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND "
                      "(query LIKE 'LISTEN%' OR query = 'SELECT')");
        await_news(&ear, 2);
        pg_server_crash(&server);
        pg_server_start(&server);
        await_news(&ear, 3);
        pg_server_sql(&server, f->name, "NOTIFY imagefs_news, 'a host'");
        await_news(&ear, 4);
        end_hearing(&ear);
}

static void test_who_hears_does_not_keep_it_from_being_closed(void **state)
{
        struct fixture *f = *state;
        struct ear ear;

        db_hear_no_more(f->db);
        begin_to_hear(&ear, f);
        db_close(TAKE_PTR(f->db));
        (void)pthread_cond_destroy(&ear.changed);
        (void)pthread_mutex_destroy(&ear.lock);
}

/* A process that opens it as HOST, stops in the middle of a transaction, and when it goes on tells what became of that. */
static pid_t stop_in_transaction(const struct fixture *f, const struct db_host *host)
{
        pid_t pid = fork();
        int status;

        if (pid == 0) {
                struct fixture child = *f;
                char why[256] = "";
                DB_TXN(t);

                if (open_as(&child, host, NULL, 0) < 0)
                        _exit(1);
                /* A lease that a slow machine has not renewed in time is renewed a moment later. */
                while (add_store(&child, "kept", NULL) < 0)
                        (void)usleep(10000);
                while (db_begin(child.db, DB_WRITE, &t) < 0)
                        (void)usleep(10000);
                if (db_run(&t, test_sql[ADD_STORE], DB_TEXT("late")) != 1)
                        _exit(1);
                (void)raise(SIGSTOP);
                if (db_commit(&t) != -EIO || add_store(&child, "later", NULL) != -EIO)
                        _exit(2);
                while (!db_is_lost(child.db)) /* which it finds by itself */
                        (void)usleep(10000);
                if (!db_trouble(child.db, why, sizeof(why)) || !strstr(why, "host b has taken over this library"))
                        _exit(3);
                _exit(add_store(&child, "later", NULL) == -EIO ? 42 : 4);
        }
        assert_true(pid > 0);
        assert_int_equal(waitpid(pid, &status, WUNTRACED), pid);
        assert_true(WIFSTOPPED(status));
        return pid;
}

static void goes_on_and_has_lost(pid_t pid)
{
        int status;

        assert_ok(kill(pid, SIGCONT));
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_true(WIFEXITED(status));
        assert_int_equal(WEXITSTATUS(status), 42);
}

static void test_a_host_that_sleeps_longer_than_its_lease_writes_nothing_more(void **state)
{
        const struct db_host a = { .name = "a", .directory = "/a", .here = "a", .version = "1", .lease_ms = 600 };
        struct fixture *f = *state;
        struct waiting w;
        pid_t pid;

        db_close(f->db);
        f->db = NULL;
        pid = stop_in_transaction(f, &a);
        begin_waiting(&w, f);
        (void)pthread_join(w.thread, NULL);
        assert_ok(w.r);
        assert_ok(add_store(&w.f, "b", NULL));
        goes_on_and_has_lost(pid);
        assert_int_equal(count_stores(&w.f), 2);
        f->db = w.f.db;
        (void)pthread_cond_destroy(&w.changed);
        (void)pthread_mutex_destroy(&w.lock);
}

static void test_no_lease_is_waited_for_where_its_holder_has_ended(void **state)
{
        const struct db_host a = { .name = "b", .directory = "/a", .here = "here", .version = "1", .lease_ms = 60000 };
        struct fixture *f = *state;
        pid_t pid;

        db_close(f->db);
        f->db = NULL;
        pid = stop_in_transaction(f, &a);
        assert_ok(open_as(f, &a, NULL, 0));
        assert_int_equal(count_stores(f), 1);
        assert_ok(kill(pid, SIGKILL));
        assert_int_equal(waitpid(pid, NULL, 0), pid);
        /* What is left for the next process is so, too. */
        db_leave(f->db);
        db_close(f->db);
        f->db = NULL;
        assert_err(open_db(f, false), -EBUSY);
        assert_ok(open_as(f, &a, NULL, 0));
}

static void test_nothing_is_written_when_a_lease_cannot_be_renewed_and_all_goes_on_when_it_is(void **state)
{
        const struct db_host a = { .name = "a", .directory = "/a", .here = "a", .version = "1", .lease_ms = 1000 };
        struct fixture *f = *state;
        char why[256] = "";
        DB_TXN(t);

        db_close(f->db);
        assert_ok(open_as(f, &a, NULL, 0));
        assert_false(db_trouble(f->db, why, sizeof(why)));
        pg_server_sql(&server, f->name, "ALTER TABLE host RENAME TO away"); /* the server answers all else */
        while (!db_trouble(f->db, why, sizeof(why)) || !strstr(why, "this host's lease of the library has run out"))
                (void)usleep(10000);
        assert_err(add_store(f, "late", NULL), -EIO);
        assert_int_equal(count_stores(f), 0);
        pg_server_sql(&server, f->name, "ALTER TABLE away RENAME TO host");
        while (db_begin(f->db, DB_WRITE, &t) < 0)
                (void)usleep(10000);
        db_end(&t);
        assert_false(db_is_lost(f->db));
        assert_ok(add_store(f, "a", NULL));
}

static void test_only_a_library_is_opened_and_only_of_our_version(void **state)
{
        struct fixture *f = *state;
        struct fixture other = { 0 };
        char trouble[256] = "";
        const struct db_opts opts = { .tables = tables,
                                      .url = "postgresql:///nowhere?host=/dev/null%1B%5B31m",
                                      .trouble = trouble,
                                      .trouble_size = sizeof(trouble) };

        pg_server_url(&server, "postgres", other.url, sizeof(other.url));
        assert_err(open_db(&other, false), -ENOENT);
        assert_err(db_open(-1, &opts, &other.db), -EIO);
        assert_contains(trouble, "/dev/null?[31m"); /* the log and info/health have it */

        db_close(f->db);
        f->db = NULL;
        assert_err(open_db(f, true), -EEXIST);
        pg_server_sql(&server, f->name, "COMMENT ON SCHEMA imagefs IS 'imagefs 6'");
        assert_err(open_db(f, false), -EPROTONOSUPPORT);
        pg_server_sql(&server, f->name, "COMMENT ON SCHEMA imagefs IS 'somebody else''s'");
        assert_err(open_db(f, false), -EUCLEAN);
}

#define SHAPE                                                                                                          \
        "SELECT hashtext(string_agg(line, ' ')) FROM (SELECT concat_ws(',', table_name, column_name, data_type, "      \
        "is_nullable, collation_name) AS line FROM information_schema.columns WHERE table_schema = 'imagefs' "          \
        "UNION ALL SELECT concat_ws(',', conrelid::regclass, conkey, confrelid::regclass) FROM pg_constraint "          \
        "WHERE contype = 'f' AND connamespace = 'imagefs'::regnamespace "                                               \
        "UNION ALL SELECT concat_ws(',', tgrelid::regclass, regexp_replace(tgname, '^t[0-9]*_', '')) FROM pg_trigger WHERE NOT tgisinternal " \
        "ORDER BY 1) AS lines"

static void test_a_catalogue_of_an_earlier_version_becomes_what_is_made_today(void **state)
{
        extern const char embed_postgresql_8_sql[];
        struct fixture old = { .name = "old" };
        const struct fixture *f = *state;
        const struct db_opts only_read = { .read_only = true, .tables = tables, .url = old.url };

        pg_server_sql(&server, "postgres", "CREATE DATABASE old");
        pg_server_url(&server, old.name, old.url, sizeof(old.url));
        pg_server_sql(&server, old.name, embed_postgresql_8_sql);
        assert_int_not_equal(pg_server_sql(&server, old.name, SHAPE), pg_server_sql(&server, f->name, SHAPE));

        assert_err(db_open(-1, &only_read, &old.db), -ESTALE);
        assert_ok(open_db(&old, false));
        db_close(old.db);
        assert_int_equal(pg_server_sql(&server, old.name, SHAPE), pg_server_sql(&server, f->name, SHAPE));
        assert_int_equal(pg_server_sql(&server, old.name, "SELECT count(*) FROM volume WHERE place IS NULL"), 2);
        assert_ok(db_open(-1, &only_read, &old.db));
        db_close(old.db);

        /* what is removed is remembered with its place */
        pg_server_sql(&server, old.name, "INSERT INTO place (ident, host, directory) VALUES ('p', 'one', '/srv')");
        pg_server_sql(&server, old.name, "UPDATE volume SET place = 1 WHERE id = 2; DELETE FROM volume WHERE id = 2");
        assert_int_equal(pg_server_sql(&server, old.name, "SELECT count(*) FROM trash WHERE place = 1"), 1);
}

/* Of a pause in which nobody is asked. */
static void wait_until_back(struct fixture *f)
{
        DB_TXN(t);

        while (db_begin(f->db, DB_WRITE, &t) < 0)
                (void)usleep(20000);
        db_end(&t);
        while (try_to_count(f) < 0)
                (void)usleep(20000);
}

static void test_what_is_acknowledged_outlives_a_crash_and_all_goes_on_after_it(void **state)
{
        struct fixture *f = *state;
        int64_t n;
        DB_TXN(t);
        DB_TXN(w);

        assert_ok(add_store(f, "a", NULL));
        assert_int_equal(count_stores(f), 1);
        assert_ok(db_begin(f->db, DB_READ, &t));
        assert_ok(db_begin(f->db, DB_WRITE, &w));
        assert_int_equal(db_run(&w, test_sql[ADD_STORE], DB_TEXT("lost")), 1);
        pg_server_crash(&server);
        assert_err(db_int(&t, test_sql[COUNT], &n), -EIO);
        assert_err(db_int(&t, test_sql[COUNT], &n), -EIO);
        assert_err(db_run(&w, test_sql[ADD_STORE], DB_TEXT("lost too")), -EIO);
        assert_err(db_commit(&w), -EIO);
        db_end(&t);
        assert_err(add_store(f, "b", NULL), -EIO);
        assert_err(try_to_count(f), -EIO);
        assert_err(db_settle(f->db), -EIO);
        pg_server_start(&server);
        wait_until_back(f);
        assert_ok(add_store(f, "c", NULL));
        assert_int_equal(count_stores(f), 2);
        assert_ok(db_settle(f->db));
}

static void *start_server(void *ctx)
{
        (void)ctx;
        pg_server_start(&server);
        return NULL;
}

static void crash_before_commit(void *ctx, bool done, bool lazy)
{
        (void)lazy;
        if (done)
                fail_msg("it was not committed");
        pg_server_crash(&server);
        assert_ok(thread_start(ctx, start_server, NULL));
}

static void test_a_commit_that_was_not_done_is_known_to_be_none(void **state)
{
        struct fixture *f = *state;
        pthread_t thread;
        DB_TXN(t);

        db_set_committed(f->db, crash_before_commit, &thread);
        assert_ok(db_begin(f->db, DB_WRITE, &t));
        assert_int_equal(db_run(&t, test_sql[ADD_STORE], DB_TEXT("a")), 1);
        assert_err(db_commit(&t), -EIO);
        (void)pthread_join(thread, NULL);
        db_set_committed(f->db, NULL, NULL);
        wait_until_back(f);
        assert_int_equal(count_stores(f), 0);
}

/* Once a commit waits for a standby that there is not: it has happened, and nobody was told. */
static void *crash_in_commit(void *ctx)
{
        (void)ctx;
        pg_server_sql(&server, "postgres",
                      "DO $$ BEGIN LOOP EXIT WHEN EXISTS (SELECT 1 FROM pg_stat_activity "
                      "WHERE wait_event = 'SyncRep'); PERFORM pg_stat_clear_snapshot(); END LOOP; END $$");
        pg_server_crash(&server);
        pg_server_start(&server);
        return NULL;
}

static void note_committed(void *ctx, bool done, bool lazy)
{
        (void)lazy;
        *(unsigned *)ctx += done ? 10 : 1;
}

static void test_a_commit_whose_answer_was_lost_is_known_to_be_done(void **state)
{
        struct fixture *f = *state;
        unsigned noted = 0;
        pthread_t thread;
        DB_TXN(t);

        pg_server_sql(&server, "postgres", "ALTER ROLE imagefs SET synchronous_commit = local");
        pg_server_sql(&server, "postgres", "ALTER SYSTEM SET synchronous_standby_names = 'nobody'");
        pg_server_crash(&server);
        pg_server_start(&server);
        wait_until_back(f);
        db_set_committed(f->db, note_committed, &noted);
        assert_ok(db_begin(f->db, DB_WRITE, &t));
        assert_int_equal(db_run(&t, test_sql[ADD_STORE], DB_TEXT("a")), 1);
        assert_ok(db_one(&t, test_sql[STANDBY], NULL, NULL));
        assert_ok(thread_start(&thread, crash_in_commit, NULL));
        assert_ok(db_commit(&t));
        (void)pthread_join(thread, NULL);
        assert_int_equal(noted, 11);
        db_set_committed(f->db, NULL, NULL);
        assert_int_equal(count_stores(f), 1);
        pg_server_sql(&server, "postgres", "ALTER SYSTEM RESET synchronous_standby_names");
        pg_server_sql(&server, "postgres", "SELECT pg_reload_conf()");
}

static void test_nobody_waits_for_a_server_that_hangs(void **state)
{
        struct fixture *f = *state;
        const struct db_opts opts = { .tables = tables, .url = f->url, .deadline_ms = 300 };
        int64_t pid, n;
        DB_TXN(t);

        db_close(f->db);
        f->db = NULL;
        assert_ok(db_open(-1, &opts, &f->db));
        assert_ok(db_begin(f->db, DB_READ, &t));
        assert_ok(db_int(&t, test_sql[PID], &pid));
        assert_ok(kill((pid_t)pid, SIGSTOP));
        assert_err(db_int(&t, test_sql[COUNT], &n), -EIO);
        assert_ok(kill((pid_t)pid, SIGCONT));
        db_end(&t);
        wait_until_back(f);
        assert_int_equal(count_stores(f), 0);
}

/* Reads, and ends that while the server hangs. Gives the server's process, which hangs still. */
static pid_t end_while_it_hangs(struct fixture *f)
{
        int64_t pid;
        DB_TXN(t);

        assert_ok(db_begin(f->db, DB_READ, &t));
        assert_ok(db_int(&t, test_sql[PID], &pid));
        assert_ok(kill((pid_t)pid, SIGSTOP));
        db_end(&t);
        assert_false(db_was_away(f->db)); /* which it would be found to be by who waits */
        return (pid_t)pid;
}

static void test_nobody_waits_for_the_end_of_what_only_read(void **state)
{
        struct fixture *f = *state;
        pid_t pid = end_while_it_hangs(f);

        assert_int_equal(count_stores(f), 0); /* by another */
        assert_ok(kill(pid, SIGCONT));
        for (unsigned i = 0; i < 3; i++)
                assert_int_equal(count_stores(f), 0);
}

/* The server's process of a connection that reads, which has nothing to do. */
static pid_t wait_until_idle(struct fixture *f)
{
        char is_idle[128];
        int64_t pid;
        {
                DB_TXN(t);

                assert_ok(db_begin(f->db, DB_READ, &t));
                assert_ok(db_int(&t, test_sql[PID], &pid));
        }
        (void)snprintf(is_idle, sizeof(is_idle), "SELECT count(*) FROM pg_stat_activity WHERE pid = %d AND state = 'idle'", (int)pid);
        while (pg_server_sql(&server, "postgres", is_idle) == 0)
                (void)usleep(10000);
        return (pid_t)pid;
}

static void test_nobody_waits_for_the_beginning_of_what_only_reads(void **state)
{
        struct fixture *f = *state;
        pid_t pid = wait_until_idle(f);
        int64_t n;
        DB_TXN(t);

        assert_ok(kill(pid, SIGSTOP));
        assert_ok(db_begin(f->db, DB_READ, &t));
        db_end(&t); /* for nothing */
        assert_ok(db_begin(f->db, DB_READ, &t));
        assert_ok(kill(pid, SIGCONT));
        assert_ok(db_int(&t, test_sql[PID], &n));
        assert_int_equal(n, pid);
        assert_ok(db_int(&t, test_sql[COUNT], &n));
        db_end(&t);
        assert_ok(kill(wait_until_idle(f), SIGTERM)); /* with the first statement that is found out, and mended */
        assert_int_equal(count_stores(f), 0);
}

static void test_a_connection_that_is_lost_at_an_end_is_made_anew(void **state)
{
        struct fixture *f = *state;
        pid_t pid = end_while_it_hangs(f);
        char is_there[96];

        assert_ok(kill(pid, SIGTERM));
        assert_ok(kill(pid, SIGCONT));
        (void)snprintf(is_there, sizeof(is_there), "SELECT count(*) FROM pg_stat_activity WHERE pid = %d", (int)pid);
        while (pg_server_sql(&server, "postgres", is_there) > 0)
                (void)usleep(10000);
        assert_int_equal(count_stores(f), 0);
}

static void test_who_reads_goes_on_when_the_one_that_writes_is_connected_again(void **state)
{
        struct fixture *f = *state;
        const struct db_opts opts = { .tables = tables, .url = f->url, .deadline_ms = 1000 };
        int64_t pid, n;
        DB_TXN(reads);
        DB_TXN(t);

        db_close(f->db);
        f->db = NULL;
        assert_ok(db_open(-1, &opts, &f->db));
        assert_ok(db_begin(f->db, DB_READ, &reads));
        assert_ok(db_int(&reads, test_sql[COUNT], &n));
        assert_ok(db_begin(f->db, DB_WRITE, &t));
        assert_ok(db_int(&t, test_sql[PID], &pid));
        assert_ok(kill((pid_t)pid, SIGSTOP));
        assert_err(db_int(&t, test_sql[COUNT], &n), -EIO);
        db_end(&t);
        assert_true(db_was_away(f->db));
        do { /* what is left of it is in the way, and told to end */
                (void)usleep(20000);
                assert_err(db_begin(f->db, DB_WRITE, &t), -EIO);
        } while (pg_server_sql(&server, "postgres", "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted") == 0);
        assert_ok(kill((pid_t)pid, SIGCONT));
        while (db_begin(f->db, DB_WRITE, &t) < 0)
                (void)usleep(20000);
        assert_false(db_was_away(f->db));
        assert_ok(db_int(&reads, test_sql[COUNT], &n));
}

static void test_there_are_no_copies_of_what_is_on_a_server(void **state)
{
        struct fixture *f = *state;

        assert_err(db_copy(f->db, -1, "copy", NULL, NULL), -EOPNOTSUPP);
        assert_false(db_is_degraded(f->db));
        db_fill_reserve(f->db);
        assert_ok(db_check(f->db, NULL, NULL));
}

/* Each statement is written once, for both. */
static void test_every_statement_of_the_model_is_one_for_the_server(void **state)
{
        const struct fixture *f = *state;
        CLEANUP_STRBUF struct strbuf all = { 0 };
        unsigned n = 0;

        strbuf_add(&all, "SET search_path = imagefs, pg_catalog;");
        for (size_t i = 0; tables[i]; i++) {
                for (size_t k = 0; k < tables[i]->count; k++) {
                        char *text;

                        if (!tables[i]->sql[k])
                                continue;
                        assert_ok(db_pg_statement(tables[i]->sql[k], &text));
                        strbuf_addf(&all, "PREPARE s%u AS %s;\n", n++, text);
                        free(text);
                }
        }
        assert_true(n > 300);
        pg_server_sql(&server, f->name, strbuf_text(&all));
}

static void test_words_of_the_dialect(void **state)
{
        static const char *const words[][2] = {
                { "SELECT a IS ?1, b IS NOT c -- no\n, d IS NOT NULL, 1 FROM t",
                  "SELECT a IS NOT DISTINCT FROM $1, b IS DISTINCT FROM c, (d IS NOT NULL)::int, 1 FROM t" },
                { "INSERT OR IGNORE INTO fetch SELECT 'it''s IS ?1' FROM (SELECT 1) WHERE x & 1 AND y & 2 = 2",
                  "INSERT INTO \"fetch\" SELECT 'it''s IS ?1' FROM (SELECT 1) AS unnamed_1 WHERE x & 1 <> 0 AND y & 2 "
                  "= 2 "
                  "ON CONFLICT DO NOTHING" },
                { "SELECT 1 FROM a INDEXED BY i CROSS JOIN b ON 1 LIMIT -1", "SELECT 1 FROM a JOIN b ON 1 LIMIT ALL" },
        };
        char *text, *watch;

        (void)state;
        for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
                assert_ok(db_pg_statement(words[i][0], &text));
                assert_string_equal(text, words[i][1]);
                free(text);
        }
        assert_err(db_pg_statement("SELECT 'no end", &text), -EINVAL);
        assert_err(db_pg_statement("SELECT /* no end", &text), -EINVAL);
        assert_ok(db_pg_schema("CREATE TABLE t (a INTEGER PRIMARY KEY, b TEXT REFERENCES u ON DELETE CASCADE, "
                               "c INTEGER, PRIMARY KEY (a, c)) STRICT, WITHOUT ROWID;"
                               "CREATE TRIGGER g AFTER DELETE ON t WHEN old.a IS NOT 1 BEGIN "
                               "INSERT INTO t VALUES (1) ON CONFLICT DO UPDATE SET c = c + 1; END;",
                               &text, &watch));
        assert_string_equal(text,
                            "CREATE TABLE t (\na bigint GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY,\n"
                            "b text COLLATE \"C\",\nc bigint,\nPRIMARY KEY (a, c));\n");
        assert_string_equal(watch,
                            "CREATE FUNCTION g() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN\n"
                            "INSERT INTO t VALUES (1) ON CONFLICT (a, c) DO UPDATE SET c = t.c + 1;\n"
                            "RETURN NULL; END $$;\n"
                            "CREATE TRIGGER t999_g AFTER DELETE ON t FOR EACH ROW WHEN (old.a IS DISTINCT FROM 1) "
                            "EXECUTE FUNCTION g();\n"
                            "ALTER TABLE t ADD FOREIGN KEY (b) REFERENCES u ON DELETE CASCADE;\n");
        free(text);
        free(watch);
        assert_err(db_pg_schema("CREATE TABLE t (a INTEGER)", &text, &watch), -EINVAL);
}

static pid_t pid_of_server(void)
{
        char path[TEMPDIR_MAX + 32];
        long pid;
        FILE *f;

        (void)snprintf(path, sizeof(path), "%s/data/postmaster.pid", server.dir);
        f = fopen(path, "r");
        assert_non_null(f);
        assert_int_equal(fscanf(f, "%ld", &pid), 1);
        (void)fclose(f);
        return (pid_t)pid;
}

/* It outlived a test that was ended for taking too long. */
static void test_a_server_ends_with_the_test_that_has_it(void **state)
{
        struct pollfd ended = { .fd = (int)syscall(SYS_pidfd_open, pid_of_server(), 0), .events = POLLIN };
        pid_t pid = fork();
        int status;

        (void)state;
        if (pid == 0) {
                pg_server_watch(&server);
                (void)raise(SIGSTOP);
                _exit(1);
        }
        assert_true(pid > 0);
        assert_int_equal(waitpid(pid, &status, WUNTRACED), pid);
        assert_true(WIFSTOPPED(status));
        assert_int_equal(kill(pid, SIGKILL), 0);
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_int_equal(poll(&ended, 1, 60000), 1);
        (void)close(ended.fd);
        pg_server_start(&server);
}

int main(void)
{
        static const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_words_of_the_dialect),
                cmocka_unit_test_setup_teardown(test_every_statement_of_the_model_is_one_for_the_server, setup,
                                                teardown),
                cmocka_unit_test_setup_teardown(test_rows_and_their_types_are_as_with_the_other_engine, setup,
                                                teardown),
                cmocka_unit_test_setup_teardown(test_bytes_come_back_as_they_were, setup, teardown),
                cmocka_unit_test_setup_teardown(test_a_refused_statement_leaves_the_rest_of_its_transaction, setup,
                                                teardown),
                cmocka_unit_test_setup_teardown(test_what_is_not_committed_is_not_there, setup, teardown),
                cmocka_unit_test_setup_teardown(test_a_reader_sees_one_state, setup, teardown),
                cmocka_unit_test_setup_teardown(test_statements_run_while_rows_of_another_come, setup, teardown),
                cmocka_unit_test_setup_teardown(test_triggers_tell_what_happened, setup, teardown),
                cmocka_unit_test_setup_teardown(test_rows_of_one_value_are_in_the_order_of_their_numbers, setup, teardown),
                cmocka_unit_test_setup_teardown(test_there_is_one_who_has_it_open, setup, teardown),
                cmocka_unit_test_setup_teardown(test_another_host_is_refused_and_one_that_waits_is_told, setup, teardown),
                cmocka_unit_test_setup_teardown(test_a_commit_is_heard_by_all_others_once_there_are_any, setup, teardown),
                cmocka_unit_test_setup_teardown(test_what_is_not_committed_is_not_heard, setup, teardown),
                cmocka_unit_test_setup_teardown(test_anything_may_have_changed_when_the_server_was_out_of_reach, setup, teardown),
                cmocka_unit_test_setup_teardown(test_who_hears_does_not_keep_it_from_being_closed, setup, teardown),
                cmocka_unit_test_setup_teardown(test_a_host_that_sleeps_longer_than_its_lease_writes_nothing_more, setup, teardown),
                cmocka_unit_test_setup_teardown(test_no_lease_is_waited_for_where_its_holder_has_ended, setup, teardown),
                cmocka_unit_test_setup_teardown(test_nothing_is_written_when_a_lease_cannot_be_renewed_and_all_goes_on_when_it_is, setup, teardown),
                cmocka_unit_test_setup_teardown(test_only_a_library_is_opened_and_only_of_our_version, setup, teardown),
                cmocka_unit_test_setup_teardown(test_a_catalogue_of_an_earlier_version_becomes_what_is_made_today, setup, teardown),
                cmocka_unit_test_setup_teardown(test_what_is_acknowledged_outlives_a_crash_and_all_goes_on_after_it,
                                                setup, teardown),
                cmocka_unit_test_setup_teardown(test_a_commit_that_was_not_done_is_known_to_be_none, setup, teardown),
                cmocka_unit_test_setup_teardown(test_a_commit_whose_answer_was_lost_is_known_to_be_done, setup,
                                                teardown),
                cmocka_unit_test_setup_teardown(test_nobody_waits_for_a_server_that_hangs, setup, teardown),
                cmocka_unit_test_setup_teardown(test_nobody_waits_for_the_end_of_what_only_read, setup, teardown),
                cmocka_unit_test_setup_teardown(test_nobody_waits_for_the_beginning_of_what_only_reads, setup, teardown),
                cmocka_unit_test_setup_teardown(test_a_connection_that_is_lost_at_an_end_is_made_anew, setup, teardown),
                cmocka_unit_test_setup_teardown(test_who_reads_goes_on_when_the_one_that_writes_is_connected_again, setup,
                                                teardown),
                cmocka_unit_test_setup_teardown(test_there_are_no_copies_of_what_is_on_a_server, setup, teardown),
                cmocka_unit_test(test_a_server_ends_with_the_test_that_has_it),
        };
        int failed;

        if (!pg_server_make(&server))
                return 77;
        failed = cmocka_run_group_tests(tests, NULL, NULL);
        pg_server_remove(&server);
        return failed;
}

/* SPDX-License-Identifier: MIT */

/*
 * Which host serves the library. Each that has done so has a row in the table "host", and of one, at most, it says that it serves,
 * until its lease ends. A thread renews that, on a connection of its own; who does not renew it has it no more.
 *
 * Time is the server's where the end of another's lease is judged, and here what has passed since the renewal was sent (while
 * the system slept, too): so this host's ends here before it ends there, and a tenth of it before that nothing is begun that
 * writes. What keeps the catalogue safe is not time, though, but the epoch: whoever takes over does so in a transaction, behind the
 * lock of all that write, and removes the row in which each commit of the one before leaves its number. A commit that does not
 * find its row is none, however late it comes, and whatever its host has slept through.
 *
 * Whoever opens the library where the last one to serve it has ended for sure (the same directory, whose lock it has, since the
 * same start of the system) waits for no lease.
 *
 * The table is made where it is missing: a library that an earlier version made has none. That version keeps others out by a lock
 * of its connection alone, which is taken, too.
 */

#include <errno.h>
#include <libpq-fe.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "blobstore/base/cleanup.h"
#include "blobstore/base/lock.h"
#include "blobstore/base/parse.h"
#include "blobstore/base/strbuf.h"
#include "blobstore/base/thread.h"
#include "model/db/db_pg_priv.h"

#define LEASE_MS 15000
#define MARGIN   10 /* a part of the lease */
#define RENEWALS 3  /* so often in a lease */
#define AGAIN_MS 1000 /* a server that is away is asked whether it is back: nobody tells */

#define MAKE_TABLE                                                                                                     \
        "CREATE TABLE IF NOT EXISTS host (name text NOT NULL, directory text NOT NULL, here text NOT NULL, "           \
        "writer text NOT NULL, version text NOT NULL, epoch bigint NOT NULL, serves boolean NOT NULL, "                \
        "lease timestamptz NOT NULL, PRIMARY KEY (name, directory))"
#define TABLE_IS_THERE "SELECT to_regclass('imagefs.host') IS NOT NULL"

/* Of the last one that served: a line each of its epoch, the milliseconds that it still has, whether it is known to have ended, … */
#define LAST                                                                                                           \
        "SELECT epoch || E'\\n' || CASE WHEN serves THEN ceil(extract(epoch FROM lease - clock_timestamp()) * 1000) "  \
        "ELSE 0 END::bigint || E'\\n' || (here = %s AND here <> '')::int || E'\\n' || writer || E'\\n' || name || "    \
        "E'\\n' || to_char(lease AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"') || E'\\n' || directory "        \
        "FROM host ORDER BY epoch DESC LIMIT 1"
#define BEGIN_TAKING "BEGIN; SELECT pg_advisory_xact_lock(1768777331, 2)"
/* The row of the one before is changed, so that a renewal of it that waits for this finds that it serves no more. */
#define TAKE                                                                                                           \
        "UPDATE host SET serves = false, lease = least(lease, clock_timestamp()) WHERE serves;"                        \
        "INSERT INTO host VALUES (%s, %s, %s, '%s', %s, %llu, true, clock_timestamp() + interval '%u ms')"             \
        " ON CONFLICT (name, directory) DO UPDATE SET here = excluded.here, writer = excluded.writer,"                 \
        " version = excluded.version, epoch = excluded.epoch, serves = true, lease = excluded.lease;"                  \
        "DELETE FROM writer; INSERT INTO writer VALUES ('%s', 0); COMMIT"
#define RENEW                                                                                                          \
        "UPDATE host SET lease = clock_timestamp() + interval '%u ms' WHERE writer = '%s' AND serves RETURNING 'ours'"
#define GIVE_UP                                                                                                        \
        "UPDATE host SET serves = false, lease = clock_timestamp() WHERE writer = '%s' AND serves; NOTIFY imagefs_host"
#define WHO_SERVES "SELECT name FROM host WHERE serves"
#define END_THEIRS "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE application_name = %s"
#define LIST                                                                                                           \
        "SELECT name, CASE WHEN serves THEN (extract(epoch FROM lease) * 1000000)::bigint ELSE 0 END, version, directory "  \
        "FROM host ORDER BY serves DESC, name, directory"

static int64_t now_ms(void)
{
        struct timespec t;

        (void)clock_gettime(CLOCK_BOOTTIME, &t); /* cannot fail with it */
        return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* ---- taking it ---- */

struct last {
        uint64_t epoch;
        int64_t left_ms;
        bool ended;
        const char *writer, *name, *directory, *until; /* in TEXT */
        char text[4096 + 512];
};

/* A text as it stands in a statement. Owned by the caller, release with free(). */
static char *quoted(struct pg_connection *c, const char *text)
{
        char *q = PQescapeLiteral(c->conn, text, strlen(text)), *copy = q ? strdup(q) : NULL;

        PQfreemem(q);
        return copy;
}

/* All zeros where nobody ever has. */
static int find_last(struct pg_connection *c, struct last *ret)
{
        CLEANUP_FREE char *here = quoted(c, c->db->host.here);
        CLEANUP_FREE char *sql = NULL;
        const char *line[7];
        char *at = ret->text;
        int r;

        *ret = (struct last){ .writer = "", .name = "", .directory = "", .until = "" };
        if (!here || asprintf(&sql, LAST, here) < 0)
                return -ENOMEM;
        r = pg_exec(c, sql, ret->text, sizeof(ret->text));
        if (r < 0 || !ret->text[0])
                return r;
        for (size_t i = 0; i < sizeof(line) / sizeof(line[0]); i++)
                line[i] = strsep(&at, "\n") ?: "";
        ret->epoch = strtoull(line[0], NULL, 10); /* which the server wrote */
        ret->left_ms = strtoll(line[1], NULL, 10);
        ret->ended = strcmp(line[2], "1") == 0;
        ret->writer = line[3];
        ret->name = line[4];
        ret->until = line[5];
        ret->directory = line[6];
        return 0;
}

static bool is_taken(const struct last *last)
{
        return last->left_ms > 0 && !last->ended;
}

/* Whatever it still has open is in the way: a transaction that it does not go on with, the lock of its connection. */
static int end_theirs(struct pg_connection *c, const struct last *last)
{
        CLEANUP_FREE char *writer = quoted(c, last->writer);
        CLEANUP_FREE char *sql = NULL;

        if (!last->writer[0])
                return 0;
        if (!writer || asprintf(&sql, END_THEIRS, writer) < 0)
                return -ENOMEM;
        return pg_exec(c, sql, NULL, 0);
}

static int take(struct pg_connection *c, uint64_t epoch)
{
        struct db_pg *db = c->db;
        CLEANUP_FREE char *name = quoted(c, db->host.name);
        CLEANUP_FREE char *directory = quoted(c, db->host.directory);
        CLEANUP_FREE char *here = quoted(c, db->host.here);
        CLEANUP_FREE char *version = quoted(c, db->host.version);
        CLEANUP_FREE char *sql = NULL;

        if (!name || !directory || !here || !version ||
            asprintf(&sql, TAKE, name, directory, here, db->name, version, (unsigned long long)epoch, db->host.lease_ms,
                     db->name) < 0)
                return -ENOMEM;
        return pg_exec(c, sql, NULL, 0);
}

/* 1: somebody has come in between. */
static int take_after(struct pg_connection *c, const struct last *last)
{
        const int64_t since = now_ms();
        struct db_pg *db = c->db;
        struct last again;
        int r;

        r = pg_exec(c, BEGIN_TAKING, NULL, 0);
        if (r == 0)
                r = find_last(c, &again);
        if (r == 0 && (again.epoch != last->epoch || is_taken(&again)))
                r = 1;
        if (r == 0)
                r = take(c, last->epoch + 1);
        if (r != 0 && c->conn)
                (void)pg_exec(c, "ROLLBACK", NULL, 0); /* R says what went wrong */
        if (r != 0)
                return r;
        db->host.epoch_before = last->epoch;
        db->host.epoch = last->epoch + 1;
        atomic_store(&db->host.until_ms, since + db->host.lease_ms);
        return 0;
}

/* Where that cannot be, it ends by itself. */
static void give_up(struct pg_connection *c)
{
        char sql[256];

        (void)snprintf(sql, sizeof(sql), GIVE_UP, c->db->name);
        if (pg_connect(c, false) == 0)
                (void)pg_exec(c, sql, NULL, 0);
        c->db->host.epoch = 0;
}

/* -EBUSY, and LAST says whose it is, for how long. */
static int try_to_take(struct pg_connection *c, struct last *last)
{
        int r;

        do {
                r = find_last(c, last);
                if (r == 0 && is_taken(last))
                        return -EBUSY;
                if (r == 0)
                        r = end_theirs(c, last);
                if (r == 0)
                        r = take_after(c, last);
        } while (r > 0);
        if (r < 0)
                return r;
        r = pg_own(c);
        if (r < 0)
                give_up(c);
        return r;
}

static void say_who(struct db_pg *db, const struct last *last)
{
        char text[sizeof(db->trouble)];

        if (last->left_ms <= 0) { /* one that knows no hosts */
                pg_trouble(db, "");
                return;
        }
        (void)snprintf(text, sizeof(text), "host %s serves this library, and has it until %s unless it renews that: from %s", last->name,
                       last->until, last->directory);
        pg_trouble(db, text);
}

/* Until it is told that it was given up, or that may have ended by itself. */
static void await_end(struct pg_connection *c, int64_t left_ms)
{
        struct pollfd p = { .fd = c->conn ? PQsocket(c->conn) : -1, .events = POLLIN };
        PGnotify *told;

        (void)poll(&p, 1, left_ms > AGAIN_MS || !c->conn ? (int)(c->conn ? left_ms : AGAIN_MS) : (int)left_ms + 1);
        if (!c->conn || !PQconsumeInput(c->conn)) {
                pg_disconnect(c);
                return;
        }
        while ((told = PQnotifies(c->conn)))
                PQfreemem(told);
}

static int listen(struct pg_connection *c)
{
        const int r = pg_connect(c, false);

        return r < 0 ? r : pg_exec(c, "LISTEN imagefs_host", NULL, 0);
}

static int wait_and_take(struct pg_connection *c, const struct db_host *host, struct last *last)
{
        int r;

        host->wait(host->wait_ctx, true, c->db->trouble);
        do {
                r = listen(c); /* first: what is said from here on is heard */
                if (r == 0)
                        r = try_to_take(c, last);
                if (r == -EBUSY || r == -EIO)
                        await_end(c, r == -EBUSY && last->left_ms > 0 ? last->left_ms : AGAIN_MS);
        } while (r == -EBUSY || r == -EIO);
        if (r == 0)
                r = pg_exec(c, "UNLISTEN *", NULL, 0);
        host->wait(host->wait_ctx, false, NULL);
        return r;
}

static int make_table(struct pg_connection *c)
{
        int r = pg_exec(c, MAKE_TABLE, NULL, 0);

        return r == -EEXIST && c->conn ? pg_exec(c, MAKE_TABLE, NULL, 0) : r; /* another host was making it */
}

int pg_host_take(struct pg_connection *c, const struct db_host *host)
{
        static const struct db_host nobody = { .name = "?", .directory = "", .here = "", .version = "" };
        const struct db_host *h = host ? host : &nobody;
        struct db_pg *db = c->db;
        struct last last;
        unsigned due_ms;
        int r;

        db->host.lease_ms = h->lease_ms ?: LEASE_MS;
        due_ms = db->host.lease_ms / RENEWALS;
        db->host.keeper.deadline_ms = due_ms < db->deadline_ms ? due_ms : db->deadline_ms;
        db->host.name = strdup(h->name);
        db->host.directory = strdup(h->directory);
        db->host.here = strdup(h->here);
        db->host.version = strdup(h->version);
        if (!db->host.name || !db->host.directory || !db->host.here || !db->host.version)
                return -ENOMEM;
        r = make_table(c);
        if (r == 0)
                r = try_to_take(c, &last);
        if (r != -EBUSY)
                return r;
        say_who(db, &last);
        return h->wait ? wait_and_take(c, h, &last) : r;
}

/* ---- keeping it ---- */

/* False: it is not known to whom; that is asked again, and what keeps the catalogue safe is the epoch. */
static bool note_lost(struct db_pg *db, struct pg_connection *c)
{
        char name[sizeof(db->host.taker)];

        if (pg_exec(c, WHO_SERVES, name, sizeof(name)) < 0)
                return false;
        LOCK_SCOPE(&db->host.lock);
        (void)snprintf(db->host.taker, sizeof(db->host.taker), "%s", name);
        db->host.lost = true;
        return true;
}

/* False: it is lost. */
static bool renew(struct db_pg *db)
{
        struct pg_connection *c = &db->host.keeper;
        const int64_t since = now_ms();
        char sql[256], answer[8];

        (void)snprintf(sql, sizeof(sql), RENEW, db->host.lease_ms, db->name);
        if (pg_connect(c, false) < 0 || pg_exec(c, sql, answer, sizeof(answer)) < 0)
                return true; /* that is seen by the time that passes */
        if (!answer[0])
                return !note_lost(db, c);
        atomic_store(&db->host.until_ms, since + db->host.lease_ms);
        return true;
}

/* Call with the lock held. */
static void pause_until_due(struct db_pg *db)
{
        struct timespec due;
        unsigned ms = db->host.lease_ms / RENEWALS;

        (void)clock_gettime(CLOCK_MONOTONIC, &due); /* cannot fail with it */
        if (!db->host.keeper.conn) /* the last time it was out of reach */
                ms = ms < AGAIN_MS ? ms : AGAIN_MS;
        due.tv_sec += ms / 1000;
        due.tv_nsec += (long)(ms % 1000) * 1000000;
        if (due.tv_nsec >= 1000000000) {
                due.tv_sec++;
                due.tv_nsec -= 1000000000;
        }
        while (!db->host.stopped && pthread_cond_timedwait(&db->host.stop, &db->host.lock, &due) != ETIMEDOUT)
                ;
}

static void *keep(void *arg)
{
        struct db_pg *db = arg;
        bool ours = true;
        LOCK_SCOPE(&db->host.lock);

        thread_set_name("lease");
        while (ours) {
                pause_until_due(db);
                if (db->host.stopped)
                        break;
                unlock(&db->host.lock);
                ours = renew(db);
                lock(&db->host.lock);
        }
        return NULL;
}

void pg_host_init(struct db_pg *db)
{
        (void)pthread_mutex_init(&db->host.lock, NULL); /* cannot fail without attributes */
        cond_init(&db->host.stop);
        db->host.keeper.db = db;
}

int pg_host_keep(struct db_pg *db)
{
        int r = thread_start(&db->host.thread, keep, db);

        db->host.kept = r == 0;
        return r;
}

static void stop_keeping(struct db_pg *db)
{
        if (!db->host.kept)
                return;
        {
                LOCK_SCOPE(&db->host.lock);
                db->host.stopped = true;
                (void)pthread_cond_signal(&db->host.stop);
        }
        (void)pthread_join(db->host.thread, NULL);
}

void pg_host_close(struct db_pg *db)
{
        struct pg_connection *c = &db->host.keeper;

        stop_keeping(db);
        if (db->host.epoch > 0 && !db->host.lost && !db->host.left)
                give_up(c);
        pg_disconnect(c);
        free(db->host.name);
        free(db->host.directory);
        free(db->host.here);
        free(db->host.version);
        (void)pthread_cond_destroy(&db->host.stop);
        (void)pthread_mutex_destroy(&db->host.lock);
}

/* ---- whose it is ---- */

bool pg_host_is_lost(struct db_pg *db)
{
        LOCK_SCOPE(&db->host.lock);

        return db->host.lost;
}

bool pg_host_trouble(struct db_pg *db, char *buf, size_t size)
{
        if (db->host.epoch == 0)
                return false;
        if (pg_host_is_lost(db)) {
                (void)snprintf(buf, size, "host %s has taken over this library, since this one's lease had run out",
                               db->host.taker[0] ? db->host.taker : "?");
                return true;
        }
        if (now_ms() < atomic_load(&db->host.until_ms) - db->host.lease_ms / MARGIN)
                return false;
        (void)snprintf(buf, size, "this host's lease of the library has run out, since it could not be renewed: another may take it "
                                  "over");
        return true;
}

int pg_host_each(struct pg_connection *c, db_row_fn *fn, void *ctx)
{
        char there[8];
        int r;

        r = pg_exec(c, TABLE_IS_THERE, there, sizeof(there));
        if (r < 0 || there[0] != 't')
                return r;
        return pg_each(c, LIST, fn, ctx);
}

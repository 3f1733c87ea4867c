/* SPDX-License-Identifier: MIT */

/*
 * News of what other hosts commit. A commit says so (NOTIFY) in its transaction where another host has a row in "host", which
 * a library that one host alone has served does not pay for. A host writes its row behind the lock of all that write, and
 * listens after that: what was committed before it listens it is told at once, all in one, and each later commit finds the row.
 *
 * A connection of its own, and a thread, listen. What comes is not kept for who is not connected: so anything may have
 * changed whenever it has been connected anew. A server that is gone without a word says nothing either, so that it is asked
 * now and then whether it is there.
 *
 * What is said is the process's name, by which it tells its own commits.
 */

#include <errno.h>
#include <libpq-fe.h>
#include <poll.h>
#include <stdint.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "blobstore/base/thread.h"
#include "model/db/db_pg_priv.h"

#define ASK_MS   5000 /* so long nothing was heard: is it there? */
#define AGAIN_MS 1000 /* a server that is away is asked whether it is back: nobody tells */

/* False: it is to end. */
static bool wait_for(const struct pg_news *news, int fd, int ms)
{
        struct pollfd p[] = { { .fd = news->stop_fd, .events = POLLIN }, { .fd = fd, .events = POLLIN } };

        (void)poll(p, 2, ms); /* when it is interrupted, too early */
        return !(p[0].revents & POLLIN);
}

/* Takes what has come: is some of it another's? */
static bool take(struct pg_connection *c)
{
        bool others = false;
        PGnotify *told;

        if (!PQconsumeInput(c->conn)) {
                pg_disconnect(c);
                return false;
        }
        while ((told = PQnotifies(c->conn))) {
                others |= strcmp(told->extra, c->db->name) != 0;
                PQfreemem(told);
        }
        return others;
}

static bool has_come(const struct pg_connection *c)
{
        struct pollfd p = { .fd = PQsocket(c->conn), .events = POLLIN };

        return poll(&p, 1, 0) > 0;
}

/* Until it is disconnected, or is to end: which gives false. */
static bool hear(struct pg_news *news)
{
        struct pg_connection *c = &news->connection;

        while (c->conn) {
                if (!wait_for(news, PQsocket(c->conn), ASK_MS))
                        return false;
                if (!has_come(c))
                        (void)pg_exec(c, "SELECT", NULL, 0); /* what comes with the answer is taken, too */
                if (c->conn && take(c))
                        news->fn(news->ctx);
        }
        return true;
}

static void *listen(void *arg)
{
        struct pg_news *news = arg;
        struct pg_connection *c = &news->connection;
        bool goes_on = true;

        thread_set_name("news");
        while (goes_on) {
                if (pg_connect(c, false) == 0 && pg_exec(c, "LISTEN " PG_NEWS, NULL, 0) == 0)
                        news->fn(news->ctx);
                else
                        pg_disconnect(c);
                goes_on = c->conn ? hear(news) : wait_for(news, -1, AGAIN_MS);
        }
        return NULL;
}

int pg_news_start(struct db *base, db_news_fn *fn, void *ctx)
{
        struct db_pg *db = (struct db_pg *)base;
        struct pg_news *news = &db->news;
        int r;

        news->stop_fd = eventfd(0, EFD_CLOEXEC);
        if (news->stop_fd < 0)
                return -errno;
        news->connection.db = db;
        news->connection.deadline_ms = db->deadline_ms;
        news->fn = fn;
        news->ctx = ctx;
        r = thread_start(&news->thread, listen, news);
        news->started = r == 0;
        if (r < 0)
                (void)close(news->stop_fd);
        return r;
}

void pg_news_stop(struct db *base)
{
        struct pg_news *news = &((struct db_pg *)base)->news;
        const uint64_t one = 1;

        if (!news->started)
                return;
        (void)!write(news->stop_fd, &one, sizeof(one)); /* cannot fail: it is the first */
        (void)pthread_join(news->thread, NULL);
        news->started = false;
        pg_disconnect(&news->connection);
        (void)close(news->stop_fd);
}

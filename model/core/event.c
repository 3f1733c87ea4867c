/* SPDX-License-Identifier: MIT */

/*
 * Rows are in rings, one for what its owner alone may see, and one for what others may see, too. A user's events are those
 * of the first of her own, and of all of the second kind what its rows say that she may see. So what others do in private
 * costs her nothing. Each row says which one in its ring was before it: where that is gone, it is known up to where.
 */

#include "model/core/event.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "blobstore/base/cleanup.h"
#include "model/core/state.h"

enum { AFTER, AFTER_ALL, BEFORE, BEFORE_ALL, LAST, GONE, GONE_ALL };

#define COLUMNS "seq, time, what, region, object, ident, uid, gid, mode, readers, detail"
#define RANGE   " seq > ?1 AND seq <= ?2 "
#define SEEN                                                                                                           \
        "SELECT " COLUMNS " FROM event WHERE reach = 0 AND uid = ?3 AND" RANGE                                         \
        "UNION ALL SELECT " COLUMNS " FROM event INDEXED BY event_open WHERE reach = 1 AND" RANGE "ORDER BY seq"
#define ALL "SELECT " COLUMNS " FROM event WHERE ?3 = ?3 AND" RANGE "ORDER BY seq"

/* Whose rings of that REACH there are, by leaps through the index; and what is gone of a ring. */
#define OWNERS(reach)                                                                                                  \
        "(uid) AS (SELECT min(uid) FROM event WHERE reach = " reach " UNION ALL SELECT (SELECT min(uid) FROM event "   \
        "WHERE reach = " reach " AND uid > own.uid) FROM own WHERE uid IS NOT NULL)"
#define GONE_OF(reach, uid) "(SELECT prev FROM event WHERE reach = " reach " AND event.uid = " uid " ORDER BY seq LIMIT 1)"

static const char *const event_sql[] = {
        [AFTER] = SEEN,
        [AFTER_ALL] = ALL,
        [BEFORE] = SEEN " DESC",
        [BEFORE_ALL] = ALL " DESC",
        [LAST] = "SELECT ifnull(max(seq), 0) FROM event",
        [GONE] = "WITH RECURSIVE own" OWNERS("1")
                 " SELECT max(ifnull(max(" GONE_OF("1", "own.uid") "), 0), ifnull(" GONE_OF("0", "?1") ", 0)) FROM own",
        [GONE_ALL] = "WITH RECURSIVE own" OWNERS("?1") " SELECT ifnull(max(" GONE_OF("?1", "own.uid") "), 0) FROM own",
};
const struct db_statements event_statements = DB_STATEMENTS(event_sql);

void events_done(struct events *e)
{
        for (size_t i = 0; i < e->n; i++)
                free((char *)(uintptr_t)e->event[i].what);
        free(e->event);
        *e = (struct events){ 0 };
}

/* ---- who may see it ---- */

static bool is_reader(const char *readers, uid_t uid)
{
        char wanted[16];

        (void)snprintf(wanted, sizeof(wanted), ",%u,", (unsigned)uid);
        return strstr(readers, wanted) != NULL;
}

static bool is_seen(const struct db_row *row, const struct caller *c)
{
        const struct object o = {
                .uid = (uid_t)db_row_int(row, 6),
                .gid = (gid_t)db_row_int(row, 7),
                .mode = (mode_t)db_row_int(row, 8),
        };

        return c->admin || c->uid == o.uid || is_reader(db_row_str(row, 9), c->uid) || object_allows(&o, c, 01);
}

/* ---- reading ---- */

struct walk {
        const struct caller *c;
        size_t max;
        uint64_t from; /* the last that was counted */
        struct events *out; /* NULL: they are counted */
        size_t n;
};

static int fill(struct event *e, const struct db_row *row)
{
        static const int columns[] = { 2, 3, 4, 5, 10 };
        const char **const texts[] = { &e->what, &e->region, &e->object, &e->id, &e->detail };
        size_t size = 0;
        char *at;

        for (size_t i = 0; i < sizeof(columns) / sizeof(columns[0]); i++)
                size += strlen(db_row_str(row, columns[i])) + 1;
        at = malloc(size);
        if (!at)
                return -ENOMEM;
        for (size_t i = 0; i < sizeof(columns) / sizeof(columns[0]); i++) {
                *texts[i] = at;
                at = stpcpy(at, db_row_str(row, columns[i])) + 1;
        }
        e->seq = (uint64_t)db_row_int(row, 0);
        e->time_us = db_row_int(row, 1);
        e->uid = (uid_t)db_row_int(row, 6);
        e->of_user = strcmp(e->what, "owner") == 0 || strcmp(e->what, "shared") == 0 || strcmp(e->what, "unshared") == 0;
        return 0;
}

static int take(void *ctx, const struct db_row *row)
{
        struct walk *w = ctx;
        int r;

        if (!is_seen(row, w->c))
                return 0;
        w->from = (uint64_t)db_row_int(row, 0);
        w->n++;
        if (w->out) {
                struct event *more = reallocarray(w->out->event, w->n, sizeof(*more));

                if (!more)
                        return -ENOMEM;
                w->out->event = more;
                r = fill(&more[w->out->n], row);
                if (r < 0)
                        return r;
                w->out->n++;
        }
        return w->n == w->max;
}

static int walk(struct db_txn *t, struct walk *w, bool back, uint64_t seq, uint64_t last)
{
        const int sql = back ? (w->c->admin ? BEFORE_ALL : BEFORE) : (w->c->admin ? AFTER_ALL : AFTER);
        int r = db_each(t, event_sql[sql], take, w, DB_INT(seq), DB_INT(last), DB_INT(w->c->uid));

        return r < 0 ? r : 0;
}

int events_newest(struct model *m, const struct caller *c, size_t max, struct events *ret)
{
        CLEANUP(events_done) struct events found = { 0 };
        struct walk count = { .c = c, .max = max };
        DB_TXN(t);
        int r;

        r = db_begin(m->db, DB_READ, &t);
        if (r == 0)
                r = walk(&t, &count, true, 0, INT64_MAX);
        if (r == 0 && count.n > 0)
                r = walk(&t, &(struct walk){ .c = c, .max = max, .out = &found }, false, count.from - 1, INT64_MAX);
        if (r < 0)
                return r;
        *ret = found;
        found = (struct events){ 0 };
        return 0;
}

int events_after(struct model *m, const struct caller *c, uint64_t seq, uint64_t last, size_t max, struct events *ret)
{
        CLEANUP(events_done) struct events found = { 0 };
        DB_TXN(t);
        int r;

        r = db_begin(m->db, DB_READ, &t);
        if (r == 0)
                r = walk(&t, &(struct walk){ .c = c, .max = max, .out = &found }, false, seq, last);
        if (r < 0)
                return r;
        *ret = found;
        found = (struct events){ 0 };
        return 0;
}

static int read_last(struct model *m, uint64_t *ret)
{
        int64_t last;
        DB_TXN(t);
        int r;

        r = db_begin(m->db, DB_READ, &t);
        if (r == 0)
                r = db_int(&t, event_sql[LAST], &last);
        if (r == 0)
                *ret = (uint64_t)last;
        return r;
}

int events_last(struct model *m, uint64_t *ret)
{
        uint64_t last;
        int r;

        r = read_last(m, &last);
        if (r == 0)
                r = db_settle(m->db);
        if (r == 0)
                *ret = last;
        return r;
}

int events_check(struct model *m, const struct caller *c, uint64_t seq, struct diag *diag)
{
        int64_t last, gone, gone_open = 0;
        DB_TXN(t);
        int r;

        r = db_begin(m->db, DB_READ, &t);
        if (r == 0)
                r = db_int(&t, event_sql[LAST], &last);
        if (r == 0 && !c->admin)
                r = db_int(&t, event_sql[GONE], &gone, DB_INT(c->uid));
        if (r == 0 && c->admin)
                r = db_int(&t, event_sql[GONE_ALL], &gone, DB_INT(0));
        if (r == 0 && c->admin)
                r = db_int(&t, event_sql[GONE_ALL], &gone_open, DB_INT(1));
        if (r < 0)
                return r;
        if (seq < (uint64_t)(gone > gone_open ? gone : gone_open))
                return diag_set(diag, -ESTALE, "events-after/%llu: what followed is not kept any more: look at what there "
                                "is, and go on after the last line of info/events", (unsigned long long)seq);
        if (seq > (uint64_t)last)
                return diag_set(diag, -ESTALE, "events-after/%llu: there has been no such event, the newest is %lld: look "
                                "at what there is, and go on after the last line of info/events",
                                (unsigned long long)seq, (long long)last);
        return 0;
}

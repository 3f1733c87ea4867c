/* SPDX-License-Identifier: MIT */

/*
 * What was refused, to whom and why: the newest of each user, so that nobody's pushes out another's. It shows in
 * /info/errors, and the newest of an object in its last-error. Both show a user her own alone, of a public object too:
 * sentences name what the one who is told them may see.
 *
 * Anybody can be refused as often as she likes, so that refusals are not synced: a power cut may take the newest.
 */

#include "model/core/refusal.h"

#include <errno.h>
#include <string.h>

#include "blobstore/base/strbuf.h"
#include "model/core/clock.h"
#include "model/core/state.h"

#define REFUSALS_PER_USER "256"

enum { INSERT, TRIM, LAST, EACH };

static const char *const refusal_sql[] = {
        [INSERT] = "INSERT INTO refusal (at, uid, object_kind, object, errno, sentence) "
                   "VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
        [TRIM] = "DELETE FROM refusal WHERE uid = ?1 AND id <= (SELECT id FROM refusal WHERE uid = ?1 "
                 "ORDER BY id DESC LIMIT 1 OFFSET " REFUSALS_PER_USER ")",
        [LAST] = "SELECT sentence, at FROM refusal WHERE object_kind = ?1 AND object = ?2 "
                 "AND (?3 OR uid = ?4) ORDER BY id DESC LIMIT 1",
        [EACH] = "SELECT at, uid, errno, sentence FROM refusal WHERE ?1 OR uid = ?2 ORDER BY id",
};
const struct db_statements refusal_statements = DB_STATEMENTS(refusal_sql);

static const char *const kind_names[] = {
        [OBJECT_NONE] = "",
        [OBJECT_REGION] = "region",
        [OBJECT_IMAGE] = "image",
        [OBJECT_SNAPSHOT] = "snapshot",
        [OBJECT_TASK] = "task",
        [OBJECT_INSTANCE] = "instance",
        [OBJECT_VOLUME] = "volume",
};

static int record(struct model *m, const struct caller *c, enum object_kind kind, uint64_t id, int error,
                  const char *sentence)
{
        bool of_object = kind != OBJECT_NONE;
        DB_TXN(t);
        int r;

        r = db_begin_lazy(m->db, &t);
        if (r == 0)
                r = db_run(&t, refusal_sql[INSERT], DB_INT(clock_now_us()), DB_INT(c->uid),
                           of_object ? DB_TEXT(kind_names[kind]) : DB_NULL, of_object ? DB_INT(id) : DB_NULL,
                           DB_INT(-error), DB_TEXT(sentence));
        if (r >= 0)
                r = db_run(&t, refusal_sql[TRIM], DB_INT(c->uid));
        return r < 0 ? r : db_commit(&t);
}

void refusal_record(struct model *m, const struct caller *c, enum object_kind kind, uint64_t id, int error,
                    const char *sentence)
{
        (void)record(m, c, kind, id, error, sentence); /* the refusal itself is the answer that counts */
}

struct last {
        char *buf;
        size_t size;
        int64_t at_us;
};

static int last_row(void *ctx, const struct db_row *row)
{
        struct last *last = ctx;

        db_row_text(row, 0, last->buf, last->size);
        last->at_us = db_row_int(row, 1);
        return 0;
}

int refusal_last(struct model *m, const struct caller *c, enum object_kind kind, uint64_t id, char *buf, size_t size,
                 int64_t *ret_at_us)
{
        struct last last = { .buf = buf, .size = size };
        DB_TXN(t);
        int r;

        r = db_begin(m->db, DB_READ, &t);
        if (r == 0)
                r = db_one(&t, refusal_sql[LAST], last_row, &last, DB_TEXT(kind_names[kind]), DB_INT(id),
                           DB_INT(c->admin), DB_INT(c->uid));
        if (r == -ENOENT)
                buf[0] = '\0';
        else if (r < 0)
                return r;
        *ret_at_us = last.at_us;
        return 0;
}

/* Refusals, copied out of the database: who sees them may look up users, which may take long. */
struct copied {
        int64_t at_us;
        uid_t uid;
        int error;
        size_t sentence; /* where it begins in the texts */
};

struct copies {
        struct strbuf items; /* of struct copied */
        struct strbuf texts;
};

static void copies_done(struct copies *copies)
{
        strbuf_done(&copies->items);
        strbuf_done(&copies->texts);
}

static int copy_row(void *ctx, const struct db_row *row)
{
        struct copies *copies = ctx;
        const char *sentence = db_row_str(row, 3);
        const struct copied item = {
                .at_us = db_row_int(row, 0),
                .uid = (uid_t)db_row_int(row, 1),
                .error = -(int)db_row_int(row, 2),
                .sentence = copies->texts.len,
        };

        strbuf_add_bytes(&copies->items, &item, sizeof(item));
        strbuf_add_bytes(&copies->texts, sentence, strlen(sentence) + 1);
        return strbuf_error(&copies->items) ? strbuf_error(&copies->items) : strbuf_error(&copies->texts);
}

static int copy_all(struct model *m, const struct caller *c, struct copies *copies)
{
        DB_TXN(t);
        int r;

        r = db_begin(m->db, DB_READ, &t);
        return r < 0 ? r : db_each(&t, refusal_sql[EACH], copy_row, copies, DB_INT(c->admin), DB_INT(c->uid));
}

int refusal_each(struct model *m, const struct caller *c, refusal_fn *fn, void *ctx)
{
        CLEANUP(copies_done) struct copies copies = { 0 };
        const struct copied *item;
        int r;

        r = copy_all(m, c, &copies);
        item = (const struct copied *)copies.items.text;
        for (size_t i = 0; i < copies.items.len / sizeof(*item) && r == 0; i++)
                r = fn(ctx, item[i].at_us, item[i].uid, item[i].error, copies.texts.text + item[i].sentence);
        return r;
}

/* SPDX-License-Identifier: MIT */

/*
 * Which tables and columns there are a new database says, made for that and removed. Statements are made of it, a few for
 * each table, in the dialect of the engine that they are for.
 *
 * What was read and what can be read in the new one are compared as sums of the rows' hashes, which do not depend on the order
 * of rows: of text, each engine has an order of its own.
 */

#include "model/db/db_transfer.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "blobstore/base/cleanup.h"
#include "blobstore/base/strbuf.h"
#include "blobstore/hash/hash.h"
#include "model/db/db_engine.h"

#define TABLES_MAX  64
#define COLUMNS_MAX 64

/* sqlite_sequence: of tables that never give a number out again. */
#define LIST_COLUMNS                                                                                                   \
        "SELECT t.name, c.name, c.type, c.pk, t.sql LIKE '%AUTOINCREMENT%' FROM sqlite_schema AS t, "                  \
        "pragma_table_info(t.name) AS c WHERE t.type = 'table' AND t.name NOT LIKE 'sqlite\\_%' ESCAPE '\\' "           \
        "ORDER BY t.rowid, c.cid"

enum statement { READ, CLEAR, ADD, LAST_NUMBER, FORGET_NUMBER, SET_NUMBER, STATEMENTS };

struct sum {
        uint64_t rows, low, high;
};

struct table {
        char name[64];
        char column[COLUMNS_MAX][64];
        int type[COLUMNS_MAX]; /* as in struct db_value */
        size_t n;
        unsigned n_keys;
        char number[64]; /* the column of its rows' numbers; "": it has none */
        bool never_again; /* it gives none out twice */
        struct sum there, here;
};

/* The statements of one of the two. */
struct side {
        bool is_far;
        char *sql[TABLES_MAX * STATEMENTS];
        struct db_statements statements;
        const struct db_statements *tables[2];
};

struct transfer {
        struct table *table;
        size_t n;
        struct side from, to;
        struct db_txn *source;
        struct db_transferred *told;
};

static void side_done(struct side *s)
{
        for (size_t i = 0; i < TABLES_MAX * STATEMENTS; i++)
                free(s->sql[i]);
}

static void transfer_done(struct transfer *t)
{
        side_done(&t->from);
        side_done(&t->to);
        free(t->table);
}

DEFINE_CLEANUP(struct db *, db_closep, db_close)

/* ---- which tables there are ---- */

static int type_of(const char *name)
{
        return strcmp(name, "INTEGER") == 0 ? DB_TYPE_INT : strcmp(name, "BLOB") == 0 ? DB_TYPE_BLOB : DB_TYPE_TEXT;
}

static int take_column(void *ctx, const struct db_row *row)
{
        struct transfer *t = ctx;
        struct table *table = t->n > 0 ? &t->table[t->n - 1] : NULL;

        if (!table || strcmp(table->name, db_row_str(row, 0)) != 0) {
                if (t->n == TABLES_MAX)
                        return -E2BIG;
                table = &t->table[t->n++];
                db_row_text(row, 0, table->name, sizeof(table->name));
                table->never_again = db_row_int(row, 4) != 0;
        }
        if (table->n == COLUMNS_MAX)
                return -E2BIG;
        db_row_text(row, 1, table->column[table->n], sizeof(table->column[0]));
        table->type[table->n] = type_of(db_row_str(row, 2));
        if (db_row_int(row, 3) > 0) {
                const bool alone = table->n_keys++ == 0 && table->type[table->n] == DB_TYPE_INT;

                (void)snprintf(table->number, sizeof(table->number), "%s", alone ? table->column[table->n] : "");
        }
        table->n++;
        return 0;
}

static int learn_tables(struct transfer *t, int scratch_fd)
{
        static const char *const sql[] = { LIST_COLUMNS };
        static const struct db_statements statements = DB_STATEMENTS(sql);
        static const struct db_statements *const tables[] = { &statements, NULL };
        const struct db_opts opts = { .tables = tables };
        CLEANUP(db_closep) struct db *db = NULL;
        DB_TXN(txn);
        int r;

        t->table = calloc(TABLES_MAX, sizeof(*t->table));
        if (!t->table)
                return -ENOMEM;
        (void)unlinkat(scratch_fd, DB_FILE, 0); /* of a time that was cut off */
        (void)unlinkat(scratch_fd, DB_FILE "-wal", 0);
        r = db_open(scratch_fd, &opts, &db);
        if (r == 0)
                r = db_begin(db, DB_READ, &txn);
        if (r == 0)
                r = db_each(&txn, sql[0], take_column, t);
        db_end(&txn);
        db_close(TAKE_PTR(db));
        (void)unlinkat(scratch_fd, DB_FILE, 0);
        return r;
}

/* ---- statements ---- */

static void add_columns(struct strbuf *s, const struct table *table, bool as_parameters)
{
        for (size_t i = 0; i < table->n; i++) {
                strbuf_add(s, i > 0 ? ", " : "");
                if (as_parameters)
                        strbuf_addf(s, "?%zu", i + 1);
                else
                        strbuf_add(s, table->column[i]);
        }
}

/* "": there is nothing to be done. */
static void make_statement(struct strbuf *s, const struct table *table, enum statement what, bool far)
{
        const char *name = table->name, *number = table->number;

        switch (what) {
        case READ:
                strbuf_add(s, "SELECT ");
                add_columns(s, table, false);
                strbuf_addf(s, " FROM %s", name);
                return;
        case CLEAR:
                strbuf_addf(s, "DELETE FROM %s", name);
                return;
        case ADD:
                strbuf_addf(s, "INSERT INTO %s (", name);
                add_columns(s, table, false);
                strbuf_add(s, ") VALUES (");
                add_columns(s, table, true);
                strbuf_add(s, ")");
                return;
        case LAST_NUMBER:
                if (!*number)
                        return;
                if (far)
                        strbuf_addf(s, "SELECT greatest(coalesce((SELECT max(%s) FROM %s), 0), coalesce("
                                       "pg_sequence_last_value(CAST(pg_get_serial_sequence('%s', '%s') AS regclass)), 0))",
                                    number, name, name, number);
                else
                        strbuf_addf(s, "SELECT max(ifnull((SELECT max(%s) FROM %s), 0), "
                                       "ifnull((SELECT seq FROM sqlite_sequence WHERE name = '%s'), 0))", number, name, name);
                return;
        case FORGET_NUMBER:
                if (table->never_again && !far)
                        strbuf_addf(s, "DELETE FROM sqlite_sequence WHERE name = '%s'", name);
                return;
        case SET_NUMBER:
                if (*number && far)
                        strbuf_addf(s, "SELECT setval(CAST(pg_get_serial_sequence('%s', '%s') AS regclass), ?1)", name,
                                    number);
                else if (table->never_again && !far)
                        strbuf_addf(s, "INSERT INTO sqlite_sequence (name, seq) VALUES ('%s', ?1)", name);
                return;
        case STATEMENTS:
                return;
        }
}

static int make_side(struct transfer *t, struct side *side, bool far, unsigned wanted)
{
        side->is_far = far;
        for (size_t i = 0; i < t->n; i++) {
                for (unsigned what = 0; what < STATEMENTS; what++) {
                        CLEANUP_STRBUF struct strbuf s = { 0 };

                        if (!(wanted & (1U << what)))
                                continue;
                        make_statement(&s, &t->table[i], (enum statement)what, far);
                        if (strbuf_error(&s) < 0)
                                return -ENOMEM;
                        if (s.len > 0)
                                side->sql[i * STATEMENTS + what] = strbuf_take(&s);
                }
        }
        side->statements = (struct db_statements){ (const char *const *)side->sql, t->n * STATEMENTS };
        side->tables[0] = &side->statements;
        return 0;
}

static const char *sql_of(const struct side *side, size_t table, enum statement what)
{
        return side->sql[table * STATEMENTS + what];
}

/* ---- rows ---- */

static struct db_value value_of(const struct db_row *row, int col, int type)
{
        struct db_value v = { .type = DB_TYPE_NULL };

        if (db_row_is_null(row, col))
                return v;
        switch (type) {
        case DB_TYPE_INT:
                return DB_INT(db_row_int(row, col));
        case DB_TYPE_BLOB:
                v.type = DB_TYPE_BLOB;
                v.bytes = row->access->bytes(row, col, &v.n);
                if (!v.bytes)
                        v.bytes = "";
                return v;
        }
        return DB_TEXT(db_row_str(row, col));
}

/* Each engine's bytes are borrowed only until the next column's are asked for. */
struct values {
        struct db_value v[COLUMNS_MAX];
        void *bytes[COLUMNS_MAX];
};

static void values_done(struct values *v)
{
        for (size_t i = 0; i < COLUMNS_MAX; i++)
                free(v->bytes[i]);
}

static int take_values(const struct table *table, const struct db_row *row, struct values *ret)
{
        for (size_t i = 0; i < table->n; i++) {
                struct db_value *v = &ret->v[i];

                *v = value_of(row, (int)i, table->type[i]);
                if (v->type != DB_TYPE_BLOB)
                        continue;
                ret->bytes[i] = malloc(v->n + 1);
                if (!ret->bytes[i])
                        return -ENOMEM;
                v->bytes = memcpy(ret->bytes[i], v->bytes, v->n);
        }
        return 0;
}

static int add_to_sum(struct sum *sum, const struct values *v, size_t n)
{
        CLEANUP_STRBUF struct strbuf all = { 0 };
        uint8_t hash[HASH128_SIZE];
        uint64_t half[2];

        for (size_t i = 0; i < n; i++) {
                const struct db_value *one = &v->v[i];
                const void *bytes = one->type == DB_TYPE_INT ? &one->integer : one->bytes;
                const uint64_t len = one->type == DB_TYPE_INT  ? sizeof(one->integer) :
                                     one->type == DB_TYPE_TEXT ? strlen(one->bytes) :
                                                                 one->n;

                strbuf_add_bytes(&all, &one->type, sizeof(one->type));
                strbuf_add_bytes(&all, &len, sizeof(len));
                if (len > 0)
                        strbuf_add_bytes(&all, bytes, len);
        }
        if (strbuf_error(&all) < 0)
                return -ENOMEM;
        hash128(all.text, all.len, hash);
        memcpy(half, hash, sizeof(half));
        sum->rows++;
        sum->low += half[0];
        sum->high += half[1];
        return 0;
}

struct rows {
        struct transfer *t;
        size_t table;
        struct db_txn *to; /* NULL: they are only looked at */
};

static int take_row(void *ctx, const struct db_row *row)
{
        const struct rows *rows = ctx;
        struct table *table = &rows->t->table[rows->table];
        CLEANUP(values_done) struct values values = { 0 };
        int r;

        r = take_values(table, row, &values);
        if (r == 0)
                r = add_to_sum(rows->to ? &table->there : &table->here, &values, table->n);
        if (r < 0 || !rows->to)
                return r;
        r = db_run_(rows->to, sql_of(&rows->t->to, rows->table, ADD), values.v, table->n);
        return r < 0 ? r : 0;
}

static int move_number(struct transfer *t, size_t i, struct db_txn *to)
{
        const char *read = sql_of(&t->from, i, LAST_NUMBER), *forget = sql_of(&t->to, i, FORGET_NUMBER);
        const char *set = sql_of(&t->to, i, SET_NUMBER);
        int64_t last = 0;
        int r;

        r = read && set ? db_int(t->source, read, &last) : 0;
        if (r < 0 || last == 0)
                return r;
        if (forget)
                r = db_run(to, forget);
        if (r >= 0)
                r = t->to.is_far ? db_one(to, set, NULL, NULL, DB_INT(last)) : db_run(to, set, DB_INT(last));
        return r < 0 ? r : 0;
}

static int move_table(struct transfer *t, size_t i, struct db_txn *to)
{
        struct rows move = { .t = t, .table = i, .to = to }, look = { .t = t, .table = i };
        struct table *table = &t->table[i];
        int r;

        r = db_run(to, sql_of(&t->to, i, CLEAR)); /* a new library's row */
        if (r >= 0)
                r = db_each(t->source, sql_of(&t->from, i, READ), take_row, &move);
        if (r == 0)
                r = move_number(t, i, to);
        if (r == 0)
                r = db_each(to, sql_of(&t->to, i, READ), take_row, &look);
        if (r == 0 && memcmp(&table->there, &table->here, sizeof(table->there)) != 0)
                r = -EILSEQ;
        if (r < 0)
                (void)snprintf(t->told->what, sizeof(t->told->what), "%s", table->name);
        t->told->rows += table->here.rows;
        t->told->tables++;
        return r;
}

/* A db_fill_fn. */
static int move_all(void *ctx, struct db_txn *to)
{
        struct transfer *t = ctx;
        int r = 0;

        for (size_t i = 0; i < t->n && r == 0; i++)
                r = move_table(t, i, to);
        return r;
}

int db_transfer(const struct db_place *from, const struct db_place *to, int scratch_fd, db_use_fn *use, void *ctx,
                const char *name, struct db_transferred *ret)
{
        CLEANUP(transfer_done) struct transfer t = { .told = ret };
        CLEANUP(db_closep) struct db *source = NULL;
        CLEANUP(db_closep) struct db *made = NULL;
        struct db_opts opts;
        DB_TXN(txn);
        int r;

        *ret = (struct db_transferred){ 0 };
        r = learn_tables(&t, scratch_fd);
        if (r == 0)
                r = make_side(&t, &t.from, from->opts.url != NULL, 1U << READ | 1U << LAST_NUMBER);
        if (r == 0)
                r = make_side(&t, &t.to, to->opts.url != NULL,
                              1U << READ | 1U << CLEAR | 1U << ADD | 1U << FORGET_NUMBER | 1U << SET_NUMBER);
        if (r < 0)
                return r;
        ret->failed = "from";
        opts = from->opts;
        opts.tables = t.from.tables;
        r = db_open(from->dir_fd, &opts, &source);
        if (r == 0)
                r = db_begin(source, DB_READ, &txn);
        if (r < 0)
                return r;
        t.source = &txn;
        ret->failed = "to";
        opts = to->opts;
        opts.tables = t.to.tables;
        opts.fill = move_all;
        opts.fill_ctx = &t;
        r = db_open(to->dir_fd, &opts, &made);
        db_end(&txn);
        if (r < 0)
                return r;
        ret->failed = NULL;
        db_close(TAKE_PTR(made));
        if (!t.from.is_far)
                db_close(TAKE_PTR(source)); /* all of it is in the one file then, which gets another name */
        r = use(ctx);
        if (r == 0 && t.from.is_far)
                ret->retired = db_retire(source, name);
        return r;
}

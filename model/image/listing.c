/* SPDX-License-Identifier: MIT */

/*
 * All images of a region, or of all regions, that a user may see, as one table. The columns are one list, and csv, json and xlsx three ways
 * to write a row. Rows are copied out of the database first, as compact as they are there, and written when it is
 * closed again: nobody waits for a hundred thousand of them to be compressed, or for the names of their owners. Neither
 * the copies nor what is written of them is held in memory (core/spool.h), and the rows are read in the order in which
 * an index has them: sorting would hold them all.
 *
 * In csv a cell is what it is, also one that a spreadsheet would take for a formula (=, +, -, @): a list that programs
 * read may not say anything else than the image does, and quoting keeps no spreadsheet from it. Who opens lists in
 * one has images.xlsx, where every text is marked as text.
 */

#include "model/image/listing.h"

#include <errno.h>
#include <string.h>
#include <time.h>

#include "blobstore/base/lock.h"
#include "blobstore/base/thread.h"
#include "model/core/state.h"
#include "model/core/user_name.h"
#include "model/image/image.h"
#include "model/image/listing_priv.h"
#include "model/image/xlsx.h"

enum { REGIONS, ROWS, ROWS_SHARED, VERSION, VERSION_OF_ALL, AUDIENCES };

/* Rows that are read in one transaction, and all of them. */
#define PORTION 1000
#define WHOLE   (-1)

/*
 * Rows of a region that the modes may let the caller see: which groups are his is not for the database to ask. An image
 * that is shared with the caller is so for her in class shared, which is the last. That a region was given another name
 * changes a list that has it in each row (?4).
 */
#define SELECT_ROWS(class, from)                                                                                      \
        "SELECT region.handle, " class ", image.handle, image.ident, image.name, description, labels, status, type, "  \
        "encrypted, features, os, platform, platform_version, architecture, image.size, image.uid, project_group, "    \
        "image.created, image.uid, image.gid, image.mode, iif(?4, max(image.updated, region.updated), image.updated) " \
        "FROM " from " ORDER BY 2, 3"

static const char *const listing_sql[] = {
        [REGIONS] = "SELECT id FROM region ORDER BY handle",
        [ROWS] = SELECT_ROWS("image.class",
                             "image JOIN region ON region.id = image.region WHERE image.region = ?1 "
                             "AND (?2 OR (image.uid = ?3 OR image.mode & 9) "
                             "AND image.id NOT IN (SELECT image FROM share WHERE region = ?1 AND uid = ?3)) "
                             "AND (image.class, image.handle) > (?5, ?6)")
                " LIMIT ?7",
        /* Whatever class it has for its owner. CROSS JOIN: beginning with the few that are shared. */
        [ROWS_SHARED] = SELECT_ROWS("'shared'",
                                    "share CROSS JOIN image ON image.id = share.image "
                                    "JOIN region ON region.id = image.region "
                                    "WHERE share.region = ?1 AND share.uid = ?3 AND NOT ?2"),
        [VERSION] = "SELECT lists FROM region WHERE id = ?1",
        [VERSION_OF_ALL] = "SELECT lists FROM library",
        [AUDIENCES] = "SELECT kind, id, lists FROM audience WHERE region = ?1 AND kind = 'everybody' UNION ALL "
                      "SELECT kind, id, lists FROM audience WHERE region = ?1 AND kind = 'group' UNION ALL "
                      "SELECT kind, id, lists FROM audience WHERE region = ?1 AND kind = 'user' AND id = ?2",
};
const struct db_statements listing_statements = DB_STATEMENTS(listing_sql);

enum column_kind { COLUMN_TEXT, COLUMN_NUMBER, COLUMN_YES_NO, COLUMN_USER, COLUMN_TIME };

/* In the order of the statements; widths are those of a spreadsheet. A list of one region begins with the second. */
static const struct {
        const char *name;
        enum column_kind kind;
        unsigned width;
} columns[] = {
        { "region", COLUMN_TEXT, 14 },
        { "class", COLUMN_TEXT, 12 },
        { "directory", COLUMN_TEXT, 28 },
        { "id", COLUMN_TEXT, 18 },
        { "name", COLUMN_TEXT, 28 },
        { "description", COLUMN_TEXT, 40 },
        { "labels", COLUMN_TEXT, 28 },
        { "status", COLUMN_TEXT, 11 },
        { "type", COLUMN_TEXT, 7 },
        { "encrypted", COLUMN_YES_NO, 10 },
        { "features", COLUMN_TEXT, 20 },
        { "os", COLUMN_TEXT, 9 },
        { "platform", COLUMN_TEXT, 14 },
        { "platform-version", COLUMN_TEXT, 16 },
        { "architecture", COLUMN_TEXT, 12 },
        { "size", COLUMN_NUMBER, 16 },
        { "owner", COLUMN_USER, 14 },
        { "project-group", COLUMN_TEXT, 14 },
        { "created", COLUMN_TIME, 22 },
};
enum { N_COLUMNS = sizeof(columns) / sizeof(columns[0]) };
enum { ROW_CLASS = 1, ROW_HANDLE, ROW_UID = N_COLUMNS, ROW_GID, ROW_MODE, ROW_UPDATED }; /* what says who sees the row; its time */
_Static_assert(IMAGE_TEXT_MAX <= XLSX_TEXT_MAX, "a description must fit into a cell");

void listing_done(struct listing *l)
{
        spool_done(&l->text);
        strbuf_done(&l->groups);
}

/* ---- out of the database ---- */

/* Whom a list is for. */
struct viewer {
        struct caller caller; /* asks in_group() once for each group, and notes what it said */
        const struct caller *who;
        struct strbuf groups; /* of struct listing_group */
        int64_t version; /* what there was for her to see, as read_version() found it */
};

static void viewer_done(struct viewer *v)
{
        strbuf_done(&v->groups);
}

static bool ask_once(const struct caller *c, gid_t gid)
{
        struct viewer *v = (struct viewer *)((char *)c - offsetof(struct viewer, caller));
        const struct listing_group *known = (const struct listing_group *)v->groups.text;
        struct listing_group g = { .gid = gid };

        for (size_t i = 0; i < v->groups.len / sizeof(g); i++) {
                if (known[i].gid == gid)
                        return known[i].in;
        }
        g.in = v->who->in_group && v->who->in_group(v->who, gid);
        strbuf_add_bytes(&v->groups, &g, sizeof(g));
        return g.in;
}

static void viewer_init(struct viewer *v, const struct caller *c)
{
        *v = (struct viewer){ .caller = *c, .who = c };
        v->caller.in_group = ask_once;
}

static int take_audience(void *ctx, const struct db_row *row)
{
        struct viewer *v = ctx;
        const gid_t gid = (gid_t)db_row_int(row, 1);

        if (strcmp(db_row_str(row, 0), "group") != 0 || gid == v->caller.gid || ask_once(&v->caller, gid))
                v->version += db_row_int(row, 2);
        return strbuf_error(&v->groups);
}

/*
 * The administrator sees every change. For anybody else it is the sum of what goes up with those that she sees, and that
 * goes up, too, for as long as she is in the same groups: which they are is noted, also of groups that have no image now.
 */
static int read_version(struct db_txn *t, uint64_t region, struct viewer *v)
{
        int r;

        if (region == LISTING_ALL_REGIONS)
                r = db_int(t, listing_sql[VERSION_OF_ALL], &v->version);
        else
                r = db_int(t, listing_sql[VERSION], &v->version, DB_INT(region));
        if (r < 0 || v->caller.admin)
                return r;
        v->version = 0;
        return db_each(t, listing_sql[AUDIENCES], take_audience, v, DB_INT(region), DB_INT(v->caller.uid));
}

/* Rows: the length of each, then cell after cell: a text ends with its zero byte, anything else is an int64_t. */
struct rows {
        struct spool cells;
        size_t n;
        int first; /* column that they have */
        int64_t changed_us, begun_us;
        struct viewer viewer;
        int64_t n_read; /* of a portion; and where it ended, seen or not */
        char class[16], handle[NAME_LEN_MAX + 1];
};

static void rows_done(struct rows *rows)
{
        spool_done(&rows->cells);
        viewer_done(&rows->viewer);
}

/* As the directory's modes have it, or its owner. */
static bool may_see(struct rows *rows, const struct db_row *row)
{
        const struct object o = {
                .uid = (uid_t)db_row_int(row, ROW_UID),
                .gid = (gid_t)db_row_int(row, ROW_GID),
                .mode = (mode_t)db_row_int(row, ROW_MODE),
        };

        return object_allows(&o, &rows->viewer.caller, 01) || strcmp(db_row_str(row, ROW_CLASS), "shared") == 0;
}

static void add_cell(struct strbuf *cells, int col, const struct db_row *row)
{
        if (columns[col].kind == COLUMN_TEXT) {
                const char *text = db_row_str(row, col);

                strbuf_add_bytes(cells, text, strlen(text) + 1);
        } else {
                int64_t number = db_row_int(row, col);

                strbuf_add_bytes(cells, &number, sizeof(number));
        }
}

static int take_row(void *ctx, const struct db_row *row)
{
        struct rows *rows = ctx;
        struct strbuf *cells = &rows->cells.buf;
        const size_t at = cells->len;
        size_t len = 0;
        int64_t updated = db_row_int(row, ROW_UPDATED);

        rows->n_read++;
        db_row_text(row, ROW_CLASS, rows->class, sizeof(rows->class));
        db_row_text(row, ROW_HANDLE, rows->handle, sizeof(rows->handle));
        if (!may_see(rows, row))
                return 0;
        strbuf_add_bytes(cells, &len, sizeof(len)); /* for now */
        for (int col = rows->first; col < N_COLUMNS; col++)
                add_cell(cells, col, row);
        if (strbuf_error(cells))
                return strbuf_error(cells);
        len = cells->len - at - sizeof(len);
        memcpy(cells->text + at, &len, sizeof(len));
        spool_step(&rows->cells);
        if (updated > rows->changed_us)
                rows->changed_us = updated;
        rows->n++;
        return spool_error(&rows->cells) ? spool_error(&rows->cells) : strbuf_error(&rows->viewer.groups);
}

/* The transaction that the next portion is read in. -EAGAIN: what the portions before it say has changed. */
static int begin_portion(struct model *m, struct db_txn *t, uint64_t list, struct rows *rows)
{
        const int64_t before = rows->viewer.version;
        int r;

        db_end(t);
        r = db_begin_scan(m->db, t);
        if (r == 0)
                r = read_version(t, list, &rows->viewer);
        return r == 0 && rows->viewer.version != before ? -EAGAIN : r;
}

static int take_region(struct model *m, struct db_txn *t, uint64_t list, uint64_t region, int64_t portion,
                       struct rows *rows)
{
        const struct caller *c = rows->viewer.who;
        const bool all = list == LISTING_ALL_REGIONS;
        int r;

        rows->class[0] = rows->handle[0] = '\0';
        for (;;) {
                rows->n_read = 0;
                r = db_each(t, listing_sql[ROWS], take_row, rows, DB_INT(region), DB_INT(c->admin), DB_INT(c->uid),
                            DB_INT(all), DB_TEXT(rows->class), DB_TEXT(rows->handle), DB_INT(portion));
                if (r < 0 || rows->n_read != portion)
                        break;
                r = begin_portion(m, t, list, rows);
                if (r < 0)
                        break;
        }
        if (r < 0)
                return r;
        return db_each(t, listing_sql[ROWS_SHARED], take_row, rows, DB_INT(region), DB_INT(c->admin), DB_INT(c->uid),
                       DB_INT(all));
}

static int take_id(void *ctx, const struct db_row *row)
{
        const uint64_t id = (uint64_t)db_row_int(row, 0);

        strbuf_add_bytes(ctx, &id, sizeof(id));
        return strbuf_error(ctx);
}

static int take_all_regions(struct model *m, struct db_txn *t, int64_t portion, struct rows *rows)
{
        CLEANUP_STRBUF struct strbuf ids = { 0 };
        int r;

        r = db_each(t, listing_sql[REGIONS], take_id, &ids);
        for (size_t at = 0; r == 0 && at < ids.len; at += sizeof(uint64_t)) {
                uint64_t id;

                memcpy(&id, ids.text + at, sizeof(id));
                r = take_region(m, t, LISTING_ALL_REGIONS, id, portion, rows);
        }
        return r;
}

static int try_rows(struct model *m, const struct caller *c, uint64_t list, int64_t portion, struct rows *rows)
{
        const bool all = list == LISTING_ALL_REGIONS;
        DB_TXN(t);
        int r;

        rows->first = all ? 0 : ROW_CLASS;
        viewer_init(&rows->viewer, c);
        r = db_begin_scan(m->db, &t);
        if (r == 0)
                r = read_version(&t, list, &rows->viewer);
        if (r < 0)
                return r;
        return all ? take_all_regions(m, &t, portion, rows) : take_region(m, &t, list, list, portion, rows);
}

/* In one go, of which there is one at a time, since the log grows for as long. */
static int take_rows_whole(struct model *m, const struct caller *c, uint64_t list, pthread_mutex_t *whole,
                           struct rows *rows)
{
        LOCK_SCOPE(whole);

        return try_rows(m, c, list, WHOLE, rows);
}

static int64_t now_us(void)
{
        struct timespec t;

        (void)clock_gettime(CLOCK_MONOTONIC_COARSE, &t); /* cannot fail with it */
        return t.tv_sec * INT64_C(1000000) + t.tv_nsec / 1000;
}

/*
 * A list is what there was at one moment. It is read in portions, since the database's log grows for as long as a
 * transaction looks at it; where its version is the same with the last as it was with the first, they are of one moment.
 * Where it is not, all is read again in one.
 */
static int take_rows(struct model *m, const struct caller *c, uint64_t list, pthread_mutex_t *whole, struct rows *rows)
{
        int r;

        rows->begun_us = now_us();
        r = try_rows(m, c, list, PORTION, rows);
        if (r != -EAGAIN)
                return r;
        rows_done(rows);
        *rows = (struct rows){ .cells = SPOOL_IN(m->dir_fd), .begun_us = now_us() };
        return take_rows_whole(m, c, list, whole, rows);
}

int listing_version(struct model *m, const struct caller *c, uint64_t region, int64_t *ret)
{
        CLEANUP(viewer_done) struct viewer v;
        DB_TXN(t);
        int r;

        viewer_init(&v, c);
        r = db_begin(m->db, DB_READ, &t);
        if (r == 0)
                r = read_version(&t, region, &v);
        if (r == 0)
                *ret = v.version;
        return r;
}

/* ---- into a text ---- */

struct cell {
        const char *text; /* as csv has it; borrowed until the next */
        int64_t number; /* unless the column is one of texts */
};

struct cursor {
        struct model *m;
        struct spool_reader reader;
        const char *next; /* cell of the row */
        struct strbuf buf;
        int64_t user; /* whose name it is; looking one up is slow, and rows of one owner come in runs */
        char user_name[256];
};

static void cursor_done(struct cursor *cur)
{
        spool_reader_done(&cur->reader);
        strbuf_done(&cur->buf);
}

static int next_row(struct cursor *cur)
{
        const char *bytes;
        size_t len;
        int r;

        r = spool_read(&cur->reader, sizeof(len), &bytes);
        if (r < 0)
                return r;
        memcpy(&len, bytes, sizeof(len));
        return spool_read(&cur->reader, len, &cur->next);
}

static const char *name_of(struct cursor *cur, int64_t uid)
{
        if (uid != cur->user || !cur->user_name[0]) {
                user_name(cur->m, (uid_t)uid, cur->user_name, sizeof(cur->user_name));
                cur->user = uid;
        }
        return cur->user_name;
}

static struct cell next_cell(struct cursor *cur, enum column_kind kind)
{
        struct cell cell = { .text = cur->next };

        if (kind == COLUMN_TEXT) {
                cur->next += strlen(cur->next) + 1;
                return cell;
        }
        memcpy(&cell.number, cur->next, sizeof(cell.number));
        cur->next += sizeof(cell.number);
        strbuf_reset(&cur->buf);
        if (kind == COLUMN_NUMBER)
                strbuf_addf(&cur->buf, "%lld", (long long)cell.number);
        else if (kind == COLUMN_YES_NO)
                strbuf_add(&cur->buf, cell.number ? "yes" : "no");
        else if (kind == COLUMN_USER)
                strbuf_add(&cur->buf, name_of(cur, cell.number));
        else
                strbuf_add_time(&cur->buf, cell.number);
        cell.text = strbuf_text(&cur->buf);
        return cell;
}

static int write_csv(const struct rows *rows, struct cursor *cur, struct spool *out)
{
        struct strbuf *to = &out->buf;
        int r = 0;

        for (int col = rows->first; col < N_COLUMNS; col++)
                strbuf_addf(to, "%s%s", col > rows->first ? "," : "", columns[col].name);
        strbuf_add(to, "\n");
        for (size_t i = 0; i < rows->n && (r = next_row(cur)) == 0; i++) {
                for (int col = rows->first; col < N_COLUMNS; col++) {
                        strbuf_add(to, col > rows->first ? "," : "");
                        strbuf_add_csv(to, next_cell(cur, columns[col].kind).text);
                }
                strbuf_add(to, "\n");
                spool_step(out);
        }
        return r;
}

static void add_json_cell(struct strbuf *out, int col, const struct cell *cell)
{
        strbuf_add(out, "\"");
        strbuf_add(out, columns[col].name);
        strbuf_add(out, "\": ");
        if (columns[col].kind == COLUMN_NUMBER)
                strbuf_add(out, cell->text);
        else if (columns[col].kind == COLUMN_YES_NO)
                strbuf_add(out, cell->number ? "true" : "false");
        else
                strbuf_add_json(out, cell->text);
}

static int write_json(const struct rows *rows, struct cursor *cur, struct spool *out)
{
        struct strbuf *to = &out->buf;
        int r = 0;

        strbuf_add(to, "[");
        for (size_t i = 0; i < rows->n && (r = next_row(cur)) == 0; i++) {
                strbuf_add(to, i == 0 ? "\n  {" : ",\n  {");
                for (int col = rows->first; col < N_COLUMNS; col++) {
                        struct cell cell = next_cell(cur, columns[col].kind);

                        strbuf_add(to, col > rows->first ? ", " : "");
                        add_json_cell(to, col, &cell);
                }
                strbuf_add(to, "}");
                spool_step(out);
        }
        strbuf_add(to, rows->n > 0 ? "\n]\n" : "]\n");
        return r;
}

DEFINE_CLEANUP(struct xlsx *, cleanup_xlsx, xlsx_free)

static int write_xlsx(const struct rows *rows, struct cursor *cur, struct spool *out)
{
        CLEANUP(cleanup_xlsx) struct xlsx *x = NULL;
        struct xlsx_column heading[N_COLUMNS];
        int r;

        for (int col = 0; col < N_COLUMNS; col++)
                heading[col] = (struct xlsx_column){ columns[col].name, columns[col].width };
        r = xlsx_new("images", heading + rows->first, (unsigned)(N_COLUMNS - rows->first), out, &x);
        for (size_t i = 0; r == 0 && i < rows->n && (r = next_row(cur)) == 0; i++) {
                for (int col = rows->first; col < N_COLUMNS; col++) {
                        struct cell cell = next_cell(cur, columns[col].kind);

                        if (columns[col].kind == COLUMN_NUMBER)
                                xlsx_add_number(x, cell.number);
                        else
                                xlsx_add_text(x, cell.text);
                }
                r = xlsx_end_row(x);
        }
        return r < 0 ? r : xlsx_finish(x);
}

static int (*const writers[])(const struct rows *rows, struct cursor *cur, struct spool *out) = {
        [LISTING_CSV] = write_csv,
        [LISTING_JSON] = write_json,
        [LISTING_XLSX] = write_xlsx,
};
_Static_assert(sizeof(writers) / sizeof(writers[0]) == LISTING_FORMATS, "each format needs a writer");

int listing_make(struct model *m, const struct caller *c, uint64_t region, enum listing_format format,
                 pthread_mutex_t *whole, struct diag *diag, struct listing *ret)
{
        CLEANUP(rows_done) struct rows rows = { .cells = SPOOL_IN(m->dir_fd) };
        CLEANUP(cursor_done) struct cursor cur = { .m = m, .reader.s = &rows.cells };
        CLEANUP(listing_done) struct listing l = { .text = SPOOL_IN(m->dir_fd) };
        int r;

        if (format == LISTING_XLSX && !xlsx_is_supported())
                return diag_set(diag, -EOPNOTSUPP, "this imagefs was built without zlib, which spreadsheets need: "
                                                   "use images.csv");
        r = take_rows(m, c, region, whole, &rows);
        if (r < 0)
                return r;
        r = writers[format](&rows, &cur, &l.text);
        if (r == -EFBIG)
                return diag_set(diag, r, "%zu images: more than the %d rows of a spreadsheet: use images.csv", rows.n,
                                XLSX_ROWS_MAX);
        if (r == 0)
                r = strbuf_error(&cur.buf);
        if (r == 0)
                r = spool_error(&l.text);
        if (r < 0)
                return r;
        *ret = (struct listing){
                .text = l.text,
                .changed_us = rows.changed_us,
                .begun_us = rows.begun_us,
                .version = rows.viewer.version,
                .groups = rows.viewer.groups,
        };
        l.text = (struct spool)SPOOL_IN_MEMORY;
        rows.viewer.groups = (struct strbuf){ 0 };
        return 0;
}

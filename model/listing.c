/* SPDX-License-Identifier: MIT */

/*
 * All images of a region that a user may see, as one table. The columns are one list, and csv and json two ways to
 * write a row. Rows come straight from the database into the text; no image is loaded whole.
 */

#include <string.h>

#include "blobstore/base/strbuf.h"
#include "model/object.h"

enum { ROWS };

/* An image that is shared with the caller is so for her in class shared. */
#define IS_SHARED "id IN (SELECT image FROM share WHERE region = ?1 AND uid = ?3)"

/* Rows that the modes may let the caller see: which groups are his is not for the database to ask. */
static const char *const listing_sql[] = {
        [ROWS] = "SELECT iif(NOT ?2 AND " IS_SHARED ", 'shared', class), handle, ident, name, status, type, encrypted, "
                 "features, os, platform, platform_version, architecture, (SELECT ifnull(sum(blob.size), 0) "
                 "FROM image_disk LEFT JOIN snapshot ON snapshot.id = image_disk.snapshot "
                 "JOIN blob ON blob.id = ifnull(snapshot.blob, image_disk.blob) "
                 "WHERE image_disk.image = image.id), uid, project_group, created, uid, gid, mode FROM image "
                 "WHERE region = ?1 AND (?2 OR uid = ?3 OR mode & 9 OR " IS_SHARED ") ORDER BY 1, 2",
};
const struct db_statements listing_statements = DB_STATEMENTS(listing_sql);

enum column_kind { COLUMN_TEXT, COLUMN_NUMBER, COLUMN_YES_NO, COLUMN_USER, COLUMN_TIME };

/* In the order of the statement. */
static const struct {
        const char *name;
        enum column_kind kind;
} columns[] = {
        { "class", COLUMN_TEXT },
        { "directory", COLUMN_TEXT },
        { "id", COLUMN_TEXT },
        { "name", COLUMN_TEXT },
        { "status", COLUMN_TEXT },
        { "type", COLUMN_TEXT },
        { "encrypted", COLUMN_YES_NO },
        { "features", COLUMN_TEXT },
        { "os", COLUMN_TEXT },
        { "platform", COLUMN_TEXT },
        { "platform-version", COLUMN_TEXT },
        { "architecture", COLUMN_TEXT },
        { "size", COLUMN_NUMBER },
        { "owner", COLUMN_USER },
        { "project-group", COLUMN_TEXT },
        { "created", COLUMN_TIME },
};
#define N_COLUMNS (sizeof(columns) / sizeof(columns[0]))
enum { ROW_CLASS = 0, ROW_UID = N_COLUMNS, ROW_GID, ROW_MODE }; /* what says who sees the row */

struct listing {
        const struct caller *caller;
        struct strbuf *out;
        struct strbuf cell;
        bool json;
        size_t rows;
        uid_t user; /* whose name it is; looking one up is slow, and rows of one owner come in runs */
        char user_name[256];
};

static void listing_done(struct listing *l)
{
        strbuf_done(&l->cell);
}

static const char *name_of(struct listing *l, uid_t uid)
{
        if (uid != l->user || !l->user_name[0]) {
                user_name(uid, l->user_name, sizeof(l->user_name));
                l->user = uid;
        }
        return l->user_name;
}

static void render_cell(struct listing *l, const struct db_row *row, int col)
{
        strbuf_reset(&l->cell);
        switch (columns[col].kind) {
        case COLUMN_TEXT:
                strbuf_add(&l->cell, db_row_str(row, col));
                break;
        case COLUMN_NUMBER:
                strbuf_addf(&l->cell, "%lld", (long long)db_row_int(row, col));
                break;
        case COLUMN_YES_NO:
                strbuf_add(&l->cell, db_row_int(row, col) ? "yes" : "no");
                break;
        case COLUMN_USER:
                strbuf_add(&l->cell, name_of(l, (uid_t)db_row_int(row, col)));
                break;
        case COLUMN_TIME:
                strbuf_add_time(&l->cell, db_row_int(row, col));
                break;
        }
}

static void add_json_cell(struct listing *l, const struct db_row *row, int col)
{
        strbuf_addf(l->out, "%s\"%s\": ", col > 0 ? ", " : "", columns[col].name);
        if (columns[col].kind == COLUMN_NUMBER)
                strbuf_add(l->out, strbuf_text(&l->cell));
        else if (columns[col].kind == COLUMN_YES_NO)
                strbuf_add(l->out, db_row_int(row, col) ? "true" : "false");
        else
                strbuf_add_json(l->out, strbuf_text(&l->cell));
}

/* As the directory's modes have it, or its owner. */
static bool may_see(const struct listing *l, const struct db_row *row)
{
        const struct object o = {
                .uid = (uid_t)db_row_int(row, ROW_UID),
                .gid = (gid_t)db_row_int(row, ROW_GID),
                .mode = (mode_t)db_row_int(row, ROW_MODE),
        };

        return object_allows(&o, l->caller, 01) || strcmp(db_row_str(row, ROW_CLASS), "shared") == 0;
}

static int add_row(void *ctx, const struct db_row *row)
{
        struct listing *l = ctx;

        if (!may_see(l, row))
                return 0;
        if (l->json)
                strbuf_add(l->out, l->rows == 0 ? "\n  {" : ",\n  {");
        for (int col = 0; col < (int)N_COLUMNS; col++) {
                render_cell(l, row, col);
                if (l->json) {
                        add_json_cell(l, row, col);
                } else {
                        strbuf_add(l->out, col > 0 ? "," : "");
                        strbuf_add_csv(l->out, strbuf_text(&l->cell));
                }
        }
        strbuf_add(l->out, l->json ? "}" : "\n");
        l->rows++;
        return strbuf_error(&l->cell) ? strbuf_error(&l->cell) : strbuf_error(l->out);
}

static int add_rows(struct model *m, const struct caller *c, uint64_t region, struct listing *l)
{
        DB_TXN(t);
        int r;

        r = db_begin(m->db, DB_READ, &t);
        if (r < 0)
                return r;
        l->caller = c;
        return db_each(&t, listing_sql[ROWS], add_row, l, DB_INT(region), DB_INT(c->admin), DB_INT(c->uid));
}

int listing_csv(struct model *m, const struct caller *c, uint64_t region, struct strbuf *out)
{
        CLEANUP(listing_done) struct listing l = { .out = out };
        int r;

        for (size_t i = 0; i < N_COLUMNS; i++)
                strbuf_addf(out, "%s%s", i > 0 ? "," : "", columns[i].name);
        strbuf_add(out, "\n");
        r = add_rows(m, c, region, &l);
        return r < 0 ? r : strbuf_error(out);
}

int listing_json(struct model *m, const struct caller *c, uint64_t region, struct strbuf *out)
{
        CLEANUP(listing_done) struct listing l = { .out = out, .json = true };
        int r;

        strbuf_add(out, "[");
        r = add_rows(m, c, region, &l);
        if (r < 0)
                return r;
        strbuf_add(out, l.rows > 0 ? "\n]\n" : "]\n");
        return strbuf_error(out);
}

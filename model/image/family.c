/* SPDX-License-Identifier: MIT */

/*
 * Which is the newest follows from when images were made, not from when they became available: `latest` goes back for
 * none that took longer. It is asked anew each time, so that there is no moment without one.
 */

#include "model/image/family.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "model/core/object_row.h"
#include "model/image/image_row.h"

enum { GET, FIND, EACH, IMAGES, BY_LINK, IMAGE, LATEST };

/* Where two images of the family have the same handle, one alone has it as its name; and one has that of the link. */
#define LINK                                                                                                                   \
        "image.handle || iif(image.handle = 'latest' OR EXISTS (SELECT 1 FROM image AS other WHERE other.region = image.region "       \
        "AND other.class < image.class AND other.class <> 'recycle' AND other.handle = image.handle "                                  \
        "AND other.family = image.family), '.' || image.class, '')"

#define IS_SHARED "EXISTS (SELECT 1 FROM share WHERE share.image = image.id AND share.uid = ?2)"

/* Less than who may use one: of what the groups of a file may, the row is asked. ?1: admin; ?2: who asks. */
#define SELECT_IMAGES                                                                                                       \
        "SELECT " OBJECT_COLUMNS_IMAGE ", class, " IS_SHARED ", " LINK " FROM image WHERE class <> 'recycle' "              \
        "AND (?1 OR uid = ?2 OR mode & 9 OR " IS_SHARED ") "
#define OF_FAMILY "AND (region, family) = (SELECT region, name FROM family WHERE id = ?3) AND family <> '' "
#define NEWEST    "ORDER BY created DESC, id DESC"

static const char *const family_sql[] = {
        [GET] = "SELECT id, region, name FROM family WHERE id = ?1",
        [FIND] = "SELECT id, region, name FROM family WHERE region = ?1 AND name = ?2",
        [EACH] = "SELECT id, region, name FROM family WHERE region = ?1 ORDER BY name",
        [IMAGES] = SELECT_IMAGES OF_FAMILY NEWEST,
        [BY_LINK] = SELECT_IMAGES OF_FAMILY "AND handle IN (?4, ?5)",
        [IMAGE] = SELECT_IMAGES "AND id = ?3 AND family <> ''",
        [LATEST] = SELECT_IMAGES OF_FAMILY "AND status = 'available' AND lifecycle = 'active' " NEWEST,
};
const struct db_statements family_statements = DB_STATEMENTS(family_sql);

static int fill_family(void *ctx, const struct db_row *row)
{
        struct family *f = ctx;

        f->id = (uint64_t)db_row_int(row, 0);
        f->region = (uint64_t)db_row_int(row, 1);
        db_row_text(row, 2, f->name, sizeof(f->name));
        return 0;
}

/* ---- images ---- */

struct walk {
        const struct caller *c;
        const char *link; /* NULL: any */
        family_image_fn *fn;
        void *ctx;
};

static int image_row(void *ctx, const struct db_row *row)
{
        const struct walk *w = ctx;
        struct family_image i;
        struct object o;
        bool has_share;
        int col = OBJECT_N_COLUMNS;

        object_fill(&o, row);
        i.id = o.id;
        (void)snprintf(i.handle, sizeof(i.handle), "%s", o.handle);
        i.class = image_class_of_word(db_row_str(row, col++));
        has_share = db_row_int(row, col++) != 0;
        db_row_text(row, col, i.link, sizeof(i.link));
        i.shared = !object_allows(&o, w->c, 05) && has_share;
        if (!i.shared && !object_allows(&o, w->c, 05))
                return 0;
        return w->link && strcmp(w->link, i.link) != 0 ? 0 : w->fn(w->ctx, &i);
}

static int take_first(void *ctx, const struct family_image *i)
{
        *(struct family_image *)ctx = *i;
        return 1;
}

/* The first row that the caller may see. */
static int first(struct model *m, const struct caller *c, const char *sql, uint64_t id, struct family_image *ret)
{
        struct walk w = { .c = c, .fn = take_first, .ctx = ret };
        DB_TXN(t);
        int r;

        r = db_begin(m->db, DB_READ, &t);
        if (r == 0)
                r = db_each(&t, sql, image_row, &w, DB_INT(c->admin), DB_INT(c->uid), DB_INT(id));
        return r < 0 ? r : r > 0 ? 0 : -ENOENT;
}

int family_each_image(struct model *m, const struct caller *c, uint64_t family, family_image_fn *fn, void *ctx)
{
        struct walk w = { .c = c, .fn = fn, .ctx = ctx };
        DB_TXN(t);
        int r;

        r = db_begin(m->db, DB_READ, &t);
        return r < 0 ? r : db_each(&t, family_sql[IMAGES], image_row, &w, DB_INT(c->admin), DB_INT(c->uid), DB_INT(family));
}

int family_find_image(struct model *m, const struct caller *c, uint64_t family, const char *link, struct family_image *ret)
{
        struct walk w = { .c = c, .link = link, .fn = take_first, .ctx = ret };
        const char *dot = strrchr(link, '.');
        char handle[NAME_LEN_MAX + 1] = "";
        DB_TXN(t);
        int r;

        /* without its class, if it has that */
        if (dot && (size_t)(dot - link) < sizeof(handle))
                (void)snprintf(handle, sizeof(handle), "%.*s", (int)(dot - link), link);
        r = db_begin(m->db, DB_READ, &t);
        if (r == 0)
                r = db_each(&t, family_sql[BY_LINK], image_row, &w, DB_INT(c->admin), DB_INT(c->uid), DB_INT(family),
                            DB_TEXT(link), DB_TEXT(handle));
        return r < 0 ? r : r > 0 ? 0 : -ENOENT;
}

int family_get_image(struct model *m, const struct caller *c, uint64_t image, struct family_image *ret)
{
        return first(m, c, family_sql[IMAGE], image, ret);
}

int family_get_latest(struct model *m, const struct caller *c, uint64_t family, struct family_image *ret)
{
        return first(m, c, family_sql[LATEST], family, ret);
}

/* ---- families ---- */

int family_get(struct model *m, uint64_t id, struct family *ret)
{
        DB_TXN(t);
        int r;

        r = db_begin(m->db, DB_READ, &t);
        return r < 0 ? r : db_one(&t, family_sql[GET], fill_family, ret, DB_INT(id));
}

/* 1: the caller sees an image of it. */
static int is_seen(struct db_txn *t, const struct caller *c, uint64_t family)
{
        struct family_image any;
        struct walk w = { .c = c, .fn = take_first, .ctx = &any };

        return db_each(t, family_sql[IMAGES], image_row, &w, DB_INT(c->admin), DB_INT(c->uid), DB_INT(family));
}

int family_find(struct model *m, const struct caller *c, uint64_t region, const char *name, struct family *ret)
{
        DB_TXN(t);
        int r;

        r = db_begin(m->db, DB_READ, &t);
        if (r == 0)
                r = db_one(&t, family_sql[FIND], fill_family, ret, DB_INT(region), DB_TEXT(name));
        if (r == 0)
                r = is_seen(&t, c, ret->id);
        else
                return r;
        return r < 0 ? r : r > 0 ? 0 : -ENOENT;
}

struct families {
        struct db_txn *t;
        const struct caller *c;
        family_fn *fn;
        void *ctx;
};

static int family_row(void *ctx, const struct db_row *row)
{
        const struct families *fs = ctx;
        struct family f;
        int r;

        (void)fill_family(&f, row);
        r = is_seen(fs->t, fs->c, f.id);
        return r > 0 ? fs->fn(fs->ctx, &f) : r;
}

int family_each(struct model *m, const struct caller *c, uint64_t region, family_fn *fn, void *ctx)
{
        struct families fs = { .c = c, .fn = fn, .ctx = ctx };
        DB_TXN(t);
        int r;

        fs.t = &t;
        r = db_begin(m->db, DB_READ, &t);
        return r < 0 ? r : db_each(&t, family_sql[EACH], family_row, &fs, DB_INT(region));
}

/* SPDX-License-Identifier: MIT */

#include "model/core/object.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "blobstore/base/cleanup.h"
#include "model/core/changes.h"
#include "model/core/clock.h"
#include "model/core/object_row.h"

void object_fill(struct object *o, const struct db_row *row)
{
        o->id = (uint64_t)db_row_int(row, 0);
        db_row_text(row, 1, o->handle, sizeof(o->handle));
        o->uid = (uid_t)db_row_int(row, 2);
        o->gid = (gid_t)db_row_int(row, 3);
        o->mode = (mode_t)db_row_int(row, 4);
        o->created_us = db_row_int(row, 5);
        o->updated_us = db_row_int(row, 6);
        o->places = (unsigned)db_row_int(row, 7);
        o->size_bytes = (uint64_t)db_row_int(row, 8);
}

int object_load_row(void *ctx, const struct db_row *row)
{
        object_fill(ctx, row);
        return 0;
}

int object_row(void *ctx, const struct db_row *row)
{
        const struct object_walk *walk = ctx;
        struct object o;

        object_fill(&o, row);
        return walk->fn(walk->ctx, &o);
}

int object_get(struct model *m, const char *sql, uint64_t arg, struct object *ret)
{
        DB_TXN(t);
        int r;

        r = db_begin(m->db, DB_READ, &t);
        return r < 0 ? r : db_one(&t, sql, object_load_row, ret, DB_INT(arg));
}

int object_find(struct model *m, const char *sql, uint64_t arg, const char *handle, struct object *ret)
{
        DB_TXN(t);
        int r;

        r = db_begin(m->db, DB_READ, &t);
        return r < 0 ? r : db_one(&t, sql, object_load_row, ret, DB_INT(arg), DB_TEXT(handle));
}

int object_each(struct model *m, const char *sql, uint64_t arg, object_fn *fn, void *ctx)
{
        struct object_walk walk = { .fn = fn, .ctx = ctx };
        DB_TXN(t);
        int r;

        r = db_begin(m->db, DB_READ, &t);
        return r < 0 ? r : db_each(&t, sql, object_row, &walk, DB_INT(arg));
}

static bool is_in_group(const struct object *o, const struct caller *c)
{
        return c->gid == o->gid || (c->in_group && c->in_group(c, o->gid));
}

bool object_allows(const struct object *o, const struct caller *c, mode_t rwx)
{
        bool group = (o->mode >> 3 & rwx) == rwx, others = (o->mode & rwx) == rwx;

        if (c->admin)
                return true;
        if (c->uid == o->uid)
                return (o->mode >> 6 & rwx) == rwx;
        if (group == others)
                return group;
        return is_in_group(o, c) ? group : others;
}

bool object_is_groups(const struct object *o, const struct caller *c)
{
        return !c->admin && c->uid != o->uid && (o->mode & 030) == 030 && is_in_group(o, c);
}

struct caller object_owner(const struct object *o)
{
        return (struct caller){ .uid = o->uid, .gid = o->gid };
}

int object_refuse_other(const struct object *o, const struct caller *c, const char *verb, struct diag *diag)
{
        if (c->admin || c->uid == o->uid || object_is_groups(o, c))
                return 0;
        if ((o->mode & 050) && is_in_group(o, c))
                return diag_set(diag, -EACCES, "%s: its group may not write: its owner, the administrator, and a group "
                                "that may write %s", o->handle, verb);
        return diag_set(diag, -EPERM, "%s: only its owner and the administrator %s", o->handle, verb);
}

int object_check_name(const char *name, const char *what, struct diag *diag)
{
        if (name_is_valid(name))
                return 0;
        return diag_set(diag, -EINVAL, "%s: 1 to %d bytes of UTF-8, no '/', no control characters, no leading '.'",
                        what, NAME_LEN_MAX);
}

int object_check_text(const char *text, size_t max, const char *what, struct diag *diag)
{
        size_t len = strlen(text);

        if (len > max)
                return diag_set(diag, -EINVAL, "%s: %zu bytes, and it takes %zu at most", what, len, max);
        if (text_is_clean_multiline(text, len))
                return 0;
        return diag_set(diag, -EINVAL, "%s: up to %zu bytes of text in UTF-8, without control characters", what, max);
}

static void number_handle(const char *wanted, unsigned number, char *buf)
{
        char suffix[16] = "";

        if (number > 1)
                (void)snprintf(suffix, sizeof(suffix), "-%u", number);
        (void)snprintf(buf, NAME_LEN_MAX + 1, "%.*s%s", (int)text_fit(wanted, NAME_LEN_MAX - strlen(suffix)), wanted,
                       suffix);
}

/* Looks further and further for one that is free, and then back for the first that follows a taken one. */
int object_free_handle(const char *wanted, object_taken_fn *taken, void *ctx, char *buf)
{
        unsigned used = 0, tried = 1, unused = 0;
        char stem[NAME_LEN_MAX + 1];

        (void)snprintf(stem, sizeof(stem), "%s", wanted);
        while (unused != used + 1) {
                int r;

                number_handle(stem, tried, buf);
                r = taken(ctx, buf);
                if (r < 0)
                        return r;
                if (r > 0)
                        used = tried;
                else
                        unused = tried;
                tried = unused ? used + (unused - used) / 2 : 2 * used;
        }
        number_handle(stem, unused, buf);
        return 0;
}

struct place {
        struct db_txn *t;
        const char *find;
        uint64_t arg;
};

static int is_taken(void *ctx, const char *handle)
{
        const struct place *p = ctx;
        struct object o;
        int r;

        r = db_one(p->t, p->find, object_load_row, &o, DB_INT(p->arg), DB_TEXT(handle));
        return r == -ENOENT ? 0 : r < 0 ? r : 1;
}

int object_is_taken(struct db_txn *t, const char *find, uint64_t arg, const char *handle)
{
        struct place place = { .t = t, .find = find, .arg = arg };

        return is_taken(&place, handle);
}

int object_free_handle_of(struct db_txn *t, const char *find, uint64_t arg, const char *wanted, char *buf)
{
        struct place place = { .t = t, .find = find, .arg = arg };

        return object_free_handle(wanted, is_taken, &place, buf);
}

int object_refuse_taken(const char *dir, const char *handle, const char *what, struct diag *diag)
{
        return diag_set(diag, -EEXIST, "%s/%s: there is such %s already: choose another name", dir, handle, what);
}

int object_set_text(struct model *m, enum object_kind kind, const char *set, uint64_t id, const char *text)
{
        DB_TXN(t);
        int r;

        r = db_begin(m->db, DB_WRITE, &t);
        if (r == 0)
                r = db_run_one(&t, set, DB_INT(id), DB_TEXT(text), DB_INT(clock_now_us()));
        if (r == 0)
                r = db_commit(&t);
        if (r == 0)
                changes_send(m, kind, id);
        return r;
}

int object_rename(struct model *m, enum object_kind kind, const char *get, const char *set, const struct caller *c,
                  uint64_t id, const char *handle, struct diag *diag)
{
        struct object o;
        DB_TXN(t);
        int r;

        r = db_begin(m->db, DB_WRITE, &t);
        if (r == 0)
                r = db_one(&t, get, object_load_row, &o, DB_INT(id));
        if (r == 0)
                r = object_refuse_other(&o, c, "rename it", diag);
        if (r < 0 || strcmp(o.handle, handle) == 0)
                return r;
        r = db_run_one(&t, set, DB_INT(id), DB_TEXT(handle), DB_INT(clock_now_us()));
        if (r == 0)
                r = db_commit(&t);
        if (r == 0)
                changes_send(m, kind, id);
        return r;
}

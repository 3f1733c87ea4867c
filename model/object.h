/* SPDX-License-Identifier: MIT */
#ifndef MODEL_OBJECT_H
#define MODEL_OBJECT_H

/* What regions, images and snapshots have in common as rows and as directories. Private to model/. */

#include <errno.h>

#include "model/model_priv.h"

/* The columns of struct object, of TABLE (a string literal). */
#define OBJECT_COLUMNS(table)                                                                            \
        table ".id, " table ".handle, " table ".uid, " table ".gid, " table ".mode, " table ".created, " \
              table ".updated"
#define OBJECT_N_COLUMNS 7

static inline void object_fill(struct object *o, const struct db_row *row)
{
        o->id = (uint64_t)db_row_int(row, 0);
        db_row_text(row, 1, o->handle, sizeof(o->handle));
        o->uid = (uid_t)db_row_int(row, 2);
        o->gid = (gid_t)db_row_int(row, 3);
        o->mode = (mode_t)db_row_int(row, 4);
        o->created_us = db_row_int(row, 5);
        o->updated_us = db_row_int(row, 6);
}

/* A db_row_fn for one struct object. */
static inline int object_load_row(void *ctx, const struct db_row *row)
{
        object_fill(ctx, row);
        return 0;
}

/* A db_row_fn that hands each object on. */
struct object_walk {
        object_fn *fn;
        void *ctx;
};

static inline int object_row(void *ctx, const struct db_row *row)
{
        const struct object_walk *walk = ctx;
        struct object o;

        object_fill(&o, row);
        return walk->fn(walk->ctx, &o);
}

static inline int object_check_name(const char *name, const char *what, struct diag *diag)
{
        if (name_is_valid(name))
                return 0;
        return diag_set(diag, -EINVAL, "%s: 1 to %d bytes of UTF-8, no '/', no control characters, no leading '.'", what,
                        NAME_LEN_MAX);
}

#endif

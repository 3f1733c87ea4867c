/* SPDX-License-Identifier: MIT */
#ifndef MODEL_CORE_OBJECT_ROW_H
#define MODEL_CORE_OBJECT_ROW_H

/* What objects have in common as rows and as directories. Private to model/. */

#include "model/core/state.h"

/* The columns of struct object, of TABLE (a string literal), and those that only images have. */
#define OBJECT_COLUMNS_WITH(table, places, size)                                                         \
        table ".id, " table ".handle, " table ".uid, " table ".gid, " table ".mode, " table ".created, " \
              table ".updated, " places ", " size
#define OBJECT_COLUMNS(table) OBJECT_COLUMNS_WITH(table, "0", "0")
#define OBJECT_COLUMNS_IMAGE  OBJECT_COLUMNS_WITH("image", "image.places", "image.size")
#define OBJECT_N_COLUMNS      9

void object_fill(struct object *o, const struct db_row *row);

/* A db_row_fn that fills a struct object. */
int object_load_row(void *ctx, const struct db_row *row);

/*
 * The rows that a registered statement gives, whose columns are OBJECT_COLUMNS, each in a transaction of its own: the
 * one for ARG, the one for ARG and HANDLE (-ENOENT), all for ARG.
 */
int object_get(struct model *m, const char *sql, uint64_t arg, struct object *ret);
int object_find(struct model *m, const char *sql, uint64_t arg, const char *handle, struct object *ret);
int object_each(struct model *m, const char *sql, uint64_t arg, object_fn *fn, void *ctx);

/* A db_row_fn that hands each object on. */
struct object_walk {
        object_fn *fn;
        void *ctx;
};
int object_row(void *ctx, const struct db_row *row);

/*
 * Does C manage the object as one of the group, which its owner let write and enter? What she makes of it is then the
 * owner's: it counts for her, and has the object's group and modes.
 */
bool object_is_groups(const struct object *o, const struct caller *c);
/* The owner as the one who asks, where it is for her to have what comes of it. */
struct caller object_owner(const struct object *o);
/*
 * Only its owner, the administrator and a group that may write do VERB ("remove it") to an object, whatever its modes
 * let others do: -EPERM, and -EACCES for one of a group that may only read.
 */
int object_refuse_other(const struct object *o, const struct caller *c, const char *verb, struct diag *diag);

/* -EINVAL with a sentence about WHAT where NAME may not be a directory's name; or TEXT no text of up to MAX bytes. */
int object_check_name(const char *name, const char *what, struct diag *diag);
int object_check_text(const char *text, size_t max, const char *what, struct diag *diag);

/* A place in which handles are unique. Gives 1 where the handle is taken in it, 0 where not. */
typedef int object_taken_fn(void *ctx, const char *handle);

/*
 * One of WANTED, WANTED-2, WANTED-3 … that is not taken: the first, unless there are gaps between those that are. A
 * long one is cut to make room. BUF has NAME_LEN_MAX + 1 bytes, and may be WANTED.
 */
int object_free_handle(const char *wanted, object_taken_fn *taken, void *ctx, char *buf);

/* Likewise where FIND gives the object of ARG and a handle, as in object_find(); and whether one is taken there. */
int object_free_handle_of(struct db_txn *t, const char *find, uint64_t arg, const char *wanted, char *buf);
int object_is_taken(struct db_txn *t, const char *find, uint64_t arg, const char *handle);

/* -EEXIST with a sentence: the directory DIR ("snapshots") has WHAT ("a snapshot") of that handle. */
int object_refuse_taken(const char *dir, const char *handle, const char *what, struct diag *diag);

/*
 * Changes of one text, each a transaction of its own, which is told of. The statement SET takes the id, the text and
 * the time. -ENOENT; -EEXIST without a sentence: it is taken.
 */
int object_set_text(struct model *m, enum object_kind kind, const char *set, uint64_t id, const char *text);
/*
 * The handle, by its owner or the administrator (-EPERM), where GET gives the object as it is; nothing if it is that.
 */
int object_rename(struct model *m, enum object_kind kind, const char *get, const char *set, const struct caller *c,
                  uint64_t id, const char *handle, struct diag *diag);

#endif

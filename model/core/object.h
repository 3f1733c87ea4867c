/* SPDX-License-Identifier: MIT */
#ifndef MODEL_CORE_OBJECT_H
#define MODEL_CORE_OBJECT_H

/*
 * What regions, images, snapshots, instances, disks and tasks have in common, who asks for them, and who is told of
 * their changes.
 *
 * Conventions of every function in model/: 0 or a documented positive value on success, a
 * negative errno on failure; `ret` parameters are written on success only. A refusal of a
 * user's request also fills DIAG. A change is durable when the function returns 0. Values
 * are plain structs filled by copy: nothing is borrowed from the model. Functions that are given a callback for rows
 * call it with the database open for reading: it must be quick and must not call the model.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "blobstore/base/parse.h"
#include "model/core/diag.h"

struct model;

#define IDENT_MAX 32 /* bytes of an object's name that never changes, with its end: "img-…" */

/* Who asks. */
struct caller {
        uid_t uid;
        gid_t gid;
        bool admin; /* root, or the user whose mount it is */
        /* Is it one of the caller's supplementary groups? Costs work, so that it is asked last. NULL: none. */
        bool (*in_group)(const struct caller *c, gid_t gid);
};

enum object_kind {
        OBJECT_NONE,
        OBJECT_REGION,
        OBJECT_IMAGE,
        OBJECT_SNAPSHOT,
        OBJECT_TASK,
        OBJECT_INSTANCE,
        OBJECT_VOLUME,
        OBJECT_FOLLOW,
};

/* What a directory of the tree shows of any object. */
struct object {
        uint64_t id; /* never reused */
        char handle[NAME_LEN_MAX + 1]; /* the directory's name */
        uid_t uid;
        gid_t gid;
        mode_t mode; /* permission bits of the directory */
        int64_t created_us;
        int64_t updated_us;
        unsigned places; /* of an image: how often it was removed from where it was, to be there elsewhere */
        uint64_t size_bytes; /* of an image: virtual bytes of its disks */
};

/* Do the modes of the object's directory let C do that? RWX as in the lowest digit of a mode. */
bool object_allows(const struct object *o, const struct caller *c, mode_t rwx);

/* Called for each object of a listing, ordered by handle; a negative errno ends it and is returned. */
typedef int object_fn(void *ctx, const struct object *o);

/* What changed, for whoever keeps views or waits: ID was made, changed or removed; of OBJECT_NONE, anything. No lock is held during the call. */
typedef void model_listener_fn(void *ctx, enum object_kind kind, uint64_t id);

/* A task that was worked on has ended: done, in error or cancelled. Once for each, with no lock held; M may not be open yet. */
struct task;
typedef void model_ended_fn(void *ctx, struct model *m, const struct task *task);

#endif

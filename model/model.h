/* SPDX-License-Identifier: MIT */
#ifndef MODEL_MODEL_H
#define MODEL_MODEL_H

/*
 * The library: regions, images, snapshots, their lives and the work done on them, over one
 * database and one or more blob stores. Any number of threads may use a struct model.
 *
 * Conventions of every function in model/: 0 or a documented positive value on success, a
 * negative errno on failure; `ret` parameters are written on success only. A refusal of a
 * user's request also fills DIAG. A change is durable when the function returns 0. Values
 * are plain structs filled by copy: nothing is borrowed from the model. Functions that are given a callback for rows
 * call it with the database open for reading: it must be quick and must not call the model.
 *
 * Order of durability: bytes first, then the row that names them; a row goes first, its
 * bytes are collected later. Lock order: upload, the gate of volumes, database transaction, runner.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "blobstore/base/parse.h"
#include "blobstore/blobstore.h"
#include "model/core/diag.h"

struct model;

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
};

/* Do the modes of the object's directory let C do that? RWX as in the lowest digit of a mode. */
bool object_allows(const struct object *o, const struct caller *c, mode_t rwx);

/* Called for each object of a listing, ordered by handle; a negative errno ends it and is returned. */
typedef int object_fn(void *ctx, const struct object *o);

/* What changed, for whoever keeps views or waits: ID was made, changed or removed. No lock is held during the call. */
typedef void model_listener_fn(void *ctx, enum object_kind kind, uint64_t id);

struct model_opts {
        bool read_only; /* for checking */
        bool import_private; /* files are fetched from this machine and the networks of the site for everybody */
        unsigned workers; /* threads that run tasks; 0: two */
        uint64_t cache_bytes; /* for each blob store; 0: its default */
        const char *mountpoint; /* no store may lie in it; may be NULL */
        model_listener_fn *listener; /* may be NULL */
        void *listener_ctx;
};

/*
 * Opens the library in directory DIR (made if missing), takes up interrupted work and starts the
 * workers. DIAG says what is wrong and what to do: another daemon has it (-EBUSY), not a library (-EUCLEAN), …
 */
int model_open(const char *dir, const struct model_opts *opts, struct diag *diag, struct model **ret);

/* Stops the workers (what they were doing goes on at the next open) and closes everything. Accepts NULL. */
void model_close(struct model *m);

/* When the library was made. */
int64_t model_born_us(struct model *m);

/* Sum over all stores; the disk's bytes are those of the library's own. */
struct model_stats {
        struct blobstore_stats blobs;
        uint64_t free_bytes, disk_bytes;
        int64_t changed_us; /* when the last blob came or went */
};
int model_get_stats(struct model *m, struct model_stats *ret);

/* Did a sync fail, so that nothing can be changed until the next start? */
bool model_is_degraded(struct model *m);

/*
 * Permission bits and owners of an object's directory, as chmod and chown set them. NULL: unchanged. Handing over
 * takes the quota along: -EDQUOT where the new owner has none left, -EPERM unless admin.
 */
int model_set_access(struct model *m, const struct caller *c, enum object_kind kind, uint64_t id, const mode_t *mode,
                     const uid_t *uid, const gid_t *gid, struct diag *diag);

/* The user's name, or the number where there is none. May take long: with no transaction open, nor a lock held. */
void user_name(uid_t uid, char *buf, size_t size);

/* ---- refusals (refusal.c) ---- */

/* Remembers a refusal; failures to do so are ignored, since the refusal itself is the answer that counts. */
void refusal_record(struct model *m, const struct caller *c, enum object_kind kind, uint64_t id, int error,
                    const char *sentence);

/* The last sentence about an object that the caller (for admin: anybody) was told, "" if there was none, and when. */
int refusal_last(struct model *m, const struct caller *c, enum object_kind kind, uint64_t id, char *buf, size_t size,
                 int64_t *ret_at_us);

/* The caller's refusals (all, for the administrator), oldest first. ERROR 0: a warning. FN may call the model. */
typedef int refusal_fn(void *ctx, int64_t at_us, uid_t uid, int error, const char *sentence);
int refusal_each(struct model *m, const struct caller *c, refusal_fn *fn, void *ctx);

#endif

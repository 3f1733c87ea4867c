/* SPDX-License-Identifier: MIT */
#ifndef MODEL_CORE_REFUSAL_H
#define MODEL_CORE_REFUSAL_H

/* What was refused, to whom and why; since the library was opened. Any thread may call. */

#include "blobstore/base/cleanup.h"
#include "model/core/object.h"

struct refusals;

int refusals_new(struct refusals **ret); /* -ENOMEM */
void refusals_free(struct refusals *rs); /* accepts NULL */

/* As it was told. It never changes. */
struct refusal {
        int64_t at_us;
        uid_t uid;
        int error; /* negative errno */
        const char *path; /* of the directory that OPERATION is said from, in the mount; "": she may not know it */
        const char *operation; /* what she did, in a few words: "mkdir shares/alice" */
        const char *sentence;
};

/* Remembers one; failures to do so are ignored, since the refusal itself is the answer that counts. */
void refusal_record(struct model *m, const struct caller *c, enum object_kind kind, uint64_t id, int error,
                    const char *path, const char *operation, const char *sentence);
/* The same one, for another object that is to say it, too: not among those of refusal_each(). */
void refusal_record_last(struct model *m, const struct caller *c, enum object_kind kind, uint64_t id, int error,
                         const char *operation, const char *sentence);

/*
 * A command of the caller's on the object has succeeded: what she was told last about it is over, and for the
 * administrator what anybody was told. It stays among those of refusal_each().
 */
void refusal_over(struct model *m, const struct caller *c, enum object_kind kind, uint64_t id);
/* Is there anything that refusal_over() could end for her? Saves finding out which object it would be. */
bool refusal_is_told(struct model *m, const struct caller *c);

/*
 * The last that the caller (the administrator: anybody) was told about an object. NULL: nothing. Owned by the caller,
 * release with refusal_unref().
 */
const struct refusal *refusal_last(struct model *m, const struct caller *c, enum object_kind kind, uint64_t id);
void refusal_unref(const struct refusal *r); /* accepts NULL */
DEFINE_CLEANUP(const struct refusal *, cleanup_refusal, refusal_unref)

/* The caller's refusals (all, for the administrator), oldest first. FN may call the model. */
typedef int refusal_fn(void *ctx, const struct refusal *r);
int refusal_each(struct model *m, const struct caller *c, refusal_fn *fn, void *ctx);

#endif

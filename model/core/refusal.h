/* SPDX-License-Identifier: MIT */
#ifndef MODEL_CORE_REFUSAL_H
#define MODEL_CORE_REFUSAL_H

/* What was refused, to whom and why. */

#include "model/core/object.h"

/* Remembers a refusal; failures to do so are ignored, since the refusal itself is the answer that counts. */
void refusal_record(struct model *m, const struct caller *c, enum object_kind kind, uint64_t id, int error,
                    const char *sentence);

/* The last sentence about an object that the caller (for admin: anybody) was told, "" if there was none, and when. */
int refusal_last(struct model *m, const struct caller *c, enum object_kind kind, uint64_t id, char *buf, size_t size,
                 int64_t *ret_at_us);

/* The caller's refusals (all, for the administrator), oldest first. FN may call the model. */
typedef int refusal_fn(void *ctx, int64_t at_us, uid_t uid, int error, const char *sentence);
int refusal_each(struct model *m, const struct caller *c, refusal_fn *fn, void *ctx);

#endif

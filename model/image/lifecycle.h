/* SPDX-License-Identifier: MIT */
#ifndef MODEL_IMAGE_LIFECYCLE_H
#define MODEL_IMAGE_LIFECYCLE_H

/*
 * How long an image is good to be used: `active`; `deprecated`, which says so of what is made from it; `obsolete`, from
 * which nothing new is made. The last two may name the image that takes its place, by its id.
 */

#include "model/image/image_row.h"

/* Is TEXT one of them? -EINVAL. The image named is asked for where it is set: lifecycle_refuse_unknown(), -ENOENT. */
int lifecycle_check(const char *text, struct diag *diag);
int lifecycle_refuse_unknown(struct db_txn *t, const struct image *image, const char *text, struct diag *diag);

/* -EPERM where something new was to be made from one that is obsolete; the sentence names what takes its place. */
int lifecycle_refuse(struct db_txn *t, const struct image *image, struct diag *diag);

/* Adds what is to be said of what was made from IMAGE, without a newline; nothing where it is active. */
int lifecycle_add_warning(struct db_txn *t, const struct image *image, struct strbuf *out);

/* The warnings of SOURCE, and of its lifecycle, to those of RESULT, an image that is made from it. */
int lifecycle_warn(struct db_txn *t, const struct image *source, uint64_t result);

/*
 * Adds a line of what is to be said of an instance that was made from the image, if there is something, and says when the
 * image last changed. -ENOENT.
 */
int lifecycle_get_warning(struct model *m, uint64_t image, struct strbuf *out, int64_t *ret_changed_us);

#endif

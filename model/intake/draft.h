/* SPDX-License-Identifier: MIT */
#ifndef MODEL_INTAKE_DRAFT_H
#define MODEL_INTAKE_DRAFT_H

/*
 * Drafts: files that become images once they have their name, as programs have it that write another name first and rename
 * the file when it is whole. One has no row: it lies among the files of uploads, in the store of its region, and is gone
 * at the latest with the next start. But where the process may be followed by another (supervise.h), that one goes on with
 * those that have a note, in a file beside.
 *
 * Any number of threads may write to one. Its owner counts them, and has them released in time.
 */

#include "model/core/object.h"
#include "model/image/image.h"

struct draft;

/*
 * Of a file for CLASS in REGION, of one who has so many OTHERS there, for each of which an image must be left to her, as
 * for this one. -EDQUOT, -EPERM, -ENOSPC, -EIO. Release with draft_free(), before the model is closed.
 */
int draft_new(struct model *m, const struct caller *c, uint64_t region, enum image_class class, uint64_t others,
              struct diag *diag, struct draft **ret);
/* Of a file for an image that waits for one. What upload_open() refuses. */
int draft_new_for(struct model *m, const struct caller *c, uint64_t image, struct diag *diag, struct draft **ret);
void draft_free(struct draft *d); /* accepts NULL */

/* For the next process: BYTES are its owner's to know. Again, they are others. */
int draft_note(struct draft *d, const void *bytes, size_t n);
/*
 * Calls FN for each that an earlier process has left, in stores that are online, before there are any others. FN takes D over
 * where it gives 0; one that nobody wants is removed.
 */
#define DRAFT_NOTE_MAX 1024
typedef int draft_left_fn(void *ctx, struct draft *d, const void *note, size_t n);
int drafts_take_up(struct model *m, draft_left_fn *fn, void *ctx);
/* Is NAME, of a file in DIR, one that has a note, or the note? */
bool draft_is_noted(int dir, const char *name);

uint64_t draft_store(const struct draft *d); /* in which it lies */
/* The file, to be read. Borrowed until draft_free(). */
int draft_fd(const struct draft *d);

/* -ESTALE: it is an image now, and stays as it is. -EFBIG, -ENOSPC. */
int draft_write(struct draft *d, const void *buf, size_t n, uint64_t off, struct diag *diag);
int draft_truncate(struct draft *d, uint64_t size, struct diag *diag);

/*
 * Accepts the import of an image that waits for a file, which is durable after model_settle(); D has no file any more. What is
 * refused leaves D as it was: -EINVAL where the file shows that it cannot be imported, what upload_open() refuses, and -EBUSY where
 * the image does not wait, or another file is on its way.
 */
int draft_upload(struct draft *d, const struct caller *c, uint64_t image, struct diag *diag);

#endif

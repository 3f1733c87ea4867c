/* SPDX-License-Identifier: MIT */
#ifndef MODEL_INTAKE_UPLOAD_H
#define MODEL_INTAKE_UPLOAD_H

/*
 * Files on their way in, which any number of writers fill in any order; when the last one closes and a byte was
 * written, the import is accepted. What an upload needs of the snapshot quota is taken when it is opened and given
 * back when it is closed without a byte.
 *
 * Any number of threads may write to one upload. An upload whose image was removed meanwhile
 * answers -ESTALE; a crash before the last close ends in status error at the next open.
 */

#include "model/core/object.h"

struct upload;

/* Opens, or joins, the upload of an image that is queued or uploading. -EBUSY, -EDQUOT, -ENOENT. */
int upload_open(struct model *m, const struct caller *c, uint64_t image, struct diag *diag, struct upload **ret);

/*
 * Likewise of a data disk, for the image's import to find: closing it accepts nothing, and what is uploaded a second time
 * is in the place of the first.
 */
int upload_open_disk(struct model *m, const struct caller *c, uint64_t disk, struct diag *diag, struct upload **ret);

/* Called, unless there is an error, when the writer may go on; BUF is needed until the function returns. */
typedef void upload_taken_fn(void *ctx);

/*
 * -EFBIG, -ESTALE, -ENOSPC (some room is left for what must always work). After an error the image ends in status
 * error, unless the upload is truncated to nothing first. One that is met after TAKEN (or NULL) was called is told by
 * the next write, or the close. After that call another thread may close U.
 */
int upload_write(struct upload *u, const void *buf, size_t n, uint64_t off, upload_taken_fn *taken, void *ctx,
                 struct diag *diag);
int upload_truncate(struct upload *u, uint64_t size, struct diag *diag);

uint64_t upload_image(const struct upload *u);
/* Has not a byte come? */
bool upload_is_empty(const struct upload *u);

/*
 * The image was made for the file that is going to be uploaded: it goes some seconds after an upload is closed without a
 * byte, unless that is opened again. -ENOMEM
 */
int upload_expect(struct model *m, uint64_t image);

/* What close(2) should answer: -EINVAL where the header of what was written so far shows that it cannot be imported. */
int upload_check(struct upload *u, struct diag *diag);

/*
 * Who wrote was interrupted: the image ends in status error, whatever has come, unless the upload is truncated to nothing
 * first. Its upload_close() is still to come.
 */
void upload_interrupt(struct upload *u);

/* One writer is done. */
void upload_close(struct upload *u);

#endif

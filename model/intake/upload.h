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

#include <sys/types.h>

#include "model/core/object.h"

struct upload;

/* Opens, or joins, the upload of an image that is queued or uploading. -EBUSY, -EDQUOT, -ENOENT. */
int upload_open(struct model *m, const struct caller *c, uint64_t image, struct diag *diag, struct upload **ret);

/*
 * Goes on with what C had open when the process before this one died, before anybody asks anything. DISK is a data disk's,
 * or 0. -ESTALE: it is not uploading, or not all that it was given is there.
 */
int upload_resume(struct model *m, const struct caller *c, uint64_t image, uint64_t disk, struct upload **ret);

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
uint64_t upload_store(const struct upload *u); /* to which it comes */
/* Where its file ends so far. */
uint64_t upload_end_of(const struct upload *u);

/*
 * Whoever opened it for reading, too: what is written from now on, and what was if it is not being stored already, can be
 * read.
 */
void upload_make_readable(struct upload *u);
/* Opens for reading what can be read and is open. It counts as a writer does. -ENOENT: there is no such upload. */
int upload_join(struct model *m, uint64_t image, struct upload **ret);
/* As pread(2). -EBUSY: its bytes are being stored while they come, and cannot be read. */
ssize_t upload_read(struct upload *u, void *buf, size_t n, uint64_t off, struct diag *diag);
/* Where one that can be read ends; 0: no upload of IMAGE can be. */
uint64_t upload_size(struct model *m, uint64_t image);

/*
 * Was it only made, and will be opened again for its data? So it is without a byte, with a length and nothing else, and
 * where a program that may read it wrote as little as formats have around no data.
 */
bool upload_is_only_made(struct upload *u);

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

/* One writer is done. What was only made waits some seconds to be opened again before it has ended. */
void upload_close(struct upload *u);

#endif

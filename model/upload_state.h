/* SPDX-License-Identifier: MIT */
#ifndef MODEL_UPLOAD_STATE_H
#define MODEL_UPLOAD_STATE_H

/* The image's side of an upload. The caller (upload.c) sees to it that they come one at a time. Private to model/. */

#include "model/work.h"

/* queued to uploading, with the disk that the import will fill; an image that is uploading goes on as it is. */
int upload_begin(struct model *m, const struct caller *c, uint64_t image, struct changes *ch, struct diag *diag);

/* Does the header of the file show that it cannot be imported? Then -EINVAL, and REASON has the sentence. */
int upload_probe(struct model *m, uint64_t image, int fd, struct image_probe *ret, struct strbuf *reason);

/*
 * The last writer has closed: back to queued without a byte, status error where bytes are lost (for LOST, a negative
 * errno, else 0) or the header is refused, and else an import is accepted. *ret_keep: the file is still needed.
 */
int upload_end(struct model *m, uint64_t image, int fd, int lost, struct changes *ch, bool *ret_keep);

/* Where the end could not be recorded: the image ends in status error, for SENTENCE. -EBUSY: it has ended otherwise. */
int upload_fail(struct model *m, uint64_t image, const char *sentence, struct changes *ch);

#endif

/* SPDX-License-Identifier: MIT */
#ifndef FS_OPS_REPLY_H
#define FS_OPS_REPLY_H

/* Answers that several handlers give: refusals, which are recorded, other errors, and what a node is. */

#include "fs/tree/node.h"
#include "fs/tree/req.h"

/*
 * Answers an error. Records the sentence, or a plain one for the errno, as a refusal of what rq->doing says, done to N; of
 * EINTR there is nothing to record.
 */
void reply_refusal(struct req *rq, struct node n, int error);
/* Before a command on N is answered that succeeded: it is logged, and the object's last-error is over. */
void reply_done(struct req *rq, struct node n);
/* Answers an error that is no refusal: nothing there, nothing more to read. 0: done, with nothing to tell. */
void reply_error(struct req *rq, int error);

/* Answers a read with N bytes of a disk, or a write that N bytes of one were taken. */
void reply_data(struct req *rq, const char *bytes, size_t n);
void reply_taken(struct req *rq, size_t n);

/* The path of N, or of what RQ is doing, from the mount on, as it is logged. Of what is gone, what is known. */
void reply_add_path(struct req *rq, struct node n, struct strbuf *out);

/* What the kernel is told about a node; *O, where its id is set, saves asking for it. -ESTALE: it is gone. */
int reply_fill_entry(struct req *rq, struct node n, const struct object *o, struct fuse_entry_param *ret);

#endif

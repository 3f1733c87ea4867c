/* SPDX-License-Identifier: MIT */
#ifndef FS_TREE_USERS_H
#define FS_TREE_USERS_H

/* What uses an object, as the text of a control file of it; each a show function. */

#include "fs/tree/req.h"

/* used-by: a line for each thing that keeps the object from being removed. */
int users_show_of_image(struct req *rq, struct strbuf *out);
int users_show_of_snapshot(struct req *rq, struct strbuf *out);
int users_show_of_instance(struct req *rq, struct strbuf *out);

/* A snapshot's images: "<id> <class>/<handle>" for each that refers to it. */
int users_show_images(struct req *rq, struct strbuf *out);

/* "<id> <class>/<handle>", or the id alone where the caller may not enter the image, or it is gone (ID 0). */
int users_add_image(struct req *rq, struct strbuf *out, uint64_t id, const char *ident);

#endif

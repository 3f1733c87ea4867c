/* SPDX-License-Identifier: MIT */
#ifndef FS_OPS_ATTR_H
#define FS_OPS_ATTR_H

/* What stat(2) says about a node, and for how long the kernel may believe it. */

#include <sys/stat.h>

#include "fs/tree/tree.h"

/* st_blksize of what has many bytes: cp and others read and write so much at once, and the kernel asks for no more. */
#define ATTR_PIECE (1 << 20)

/*
 * OBJECT, where the caller has it at hand, saves asking for it again. *ret_timeout is in seconds. -ESTALE:
 * the object is gone.
 */
int attr_get(struct req *rq, struct node n, const struct object *object, struct stat *ret, double *ret_timeout);

/*
 * Does its text take time to make? Then attributes that come with a name or a listing are without its size (and may not
 * be believed), and who asks for them, or for the text, is answered by a thread for that (later.h).
 */
bool attr_is_long(struct node n);

/* Is it known by reading disks alone? Then who asks for its attributes, or opens it, is answered by such a thread, too. */
bool attr_is_found(struct node n);

/* The same for one that is long, with its size. */
int attr_get_long(struct req *rq, struct node n, struct stat *ret, double *ret_timeout);

/* Makes ST that of a text of that size, which changed then (0: when it says). */
void attr_set_text(struct stat *st, uint64_t size, int64_t changed_us);

/* How long the kernel may believe that N is there by its name, where it may believe what it is for TIMEOUT. */
double attr_entry_timeout(struct node n, double timeout);

/* The text of a control file, a generated child or a link, as read(2) would give it: -ENODATA for what has none. */
int attr_text(struct req *rq, struct node n, struct strbuf *out);

/* The object that a node belongs to: for last-error and ownership. */
int attr_object(struct req *rq, struct node n, struct object *ret);

/* Makes owner and mode of O, the object that the node belongs to, those of the node itself. */
void attr_access(struct req *rq, struct node n, struct object *o);

#endif

/* SPDX-License-Identifier: MIT */
#ifndef BLOBSTORE_BASE_CHILD_LEND_H
#define BLOBSTORE_BASE_CHILD_LEND_H

/*
 * A file of root's that only root may read, lent to a child that is nobody: it opens it again by its descriptor, and
 * everybody else finds it as closed as it was.
 */

#include <stdbool.h>
#include <sys/types.h>

#define CHILD_LEND_UID 65534 /* nobody */

struct child_loan {
        int fd; /* for the child */
        bool given; /* it is nobody's own until the end of the loan */
        uid_t owner; /* before */
};

/* FD is borrowed for the call. Release with child_lend_end(). Where this is not root the child is the same user. */
int child_lend(int fd, struct child_loan *ret);

/* What the child has open stays open. Twice does no harm. */
void child_lend_end(struct child_loan *l);

#endif

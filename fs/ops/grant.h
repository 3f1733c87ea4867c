/* SPDX-License-Identifier: MIT */
#ifndef FS_OPS_GRANT_H
#define FS_OPS_GRANT_H

/*
 * Disks of machines that their user may open: libvirt gives a disk to the user that its machines run as before it starts
 * one, by chown(2), and takes it back after, by another. Here the first is a grant: that user may open this one file, of
 * a machine that is another's, and go through the two directories that lead to it. The owner, her group and what counts
 * for whom stay as they are. A chown to the owner, or to the administrator (libvirt remembers no owner where there are no
 * attributes of its own), ends it. So does the end of the mount, but not the death of the process that serves it: whoever had the file open by it has no longer; and what
 * makes the file another one, or another's: detach, a new system disk or CD, handing over, the end of the machine.
 *
 * stat(2) says that the file is that user's. For the kernel to let through whom we know by more than modes, the two
 * directories show search to all meanwhile, and a file whose owner is not root shows to all what only owner and user
 * may. Who may is asked here at each lookup and each open (permit.h). Any thread may use it.
 */

#include "fs/tree/tree.h"

struct grants;

int grants_new(struct grants **ret);
/*
 * Before there are any: they are to outlive the process, in the file of slots FD, which is borrowed, and those of the process before are
 * there. -ENOMEM.
 */
int grants_last(struct grants *g, int fd);
void grants_free(struct grants *g); /* accepts NULL */

/* To be told of each change of a machine (0: of any): what comes back to it later comes back without grants. No transaction is open. */
void grants_changed(struct fs *fs, uint64_t instance);

/* Is the node a file that chown makes a grant of? */
bool grant_is_of(struct node n);
/* chown(2) of one. -EPERM: the caller is not the owner, or the disk is no machine's; -ENOMEM. */
int grant_chown(struct req *rq, struct node n, uid_t uid);

/* May the caller do RWX to the file, as the one who was given it? */
bool grant_allows(struct req *rq, struct node n, mode_t rwx);
/* May she look up a name in a directory whose modes may show more than they are? FOUND (NULL: nothing) has it. -EACCES, -ESTALE. */
int grant_enter(struct req *rq, struct node dir, const struct node *found);
/* What stat(2) says of a node: changes owner and mode of *O, which has them without grants. */
void grant_show(struct req *rq, struct node n, struct object *o);

#endif

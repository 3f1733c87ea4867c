/* SPDX-License-Identifier: MIT */
#ifndef FS_TREE_SCRATCH_H
#define FS_TREE_SCRATCH_H

/*
 * Temporary files, which programs write before they rename them to what they are to be: rsync, Ansible and browsers for an
 * image, sed -i and configuration tools for a value. In a class of images one is the draft of an image
 * (model/intake/draft.h), beside files that take a value it is a little memory. They are known by their names; each is its
 * maker's, and nobody else sees it; it is gone when it is renamed to what it was for, removed, or a day after the last
 * close, and with the mount. The next process (supervise.h) goes on with them.
 *
 * Any thread may use the list. What is held of a scratch file with scratch_get() stays until scratch_put().
 */

#include <sys/stat.h>

#include "fs/tree/kind.h"

struct draft;
struct scratch;

#define SCRATCH_IDLE_SECONDS 86400

/* Each goes IDLE_SECONDS after its last close. */
int scratches_new(unsigned idle_seconds, struct scratches **ret);
void scratches_free(struct scratches *ss); /* accepts NULL; before the model is closed */

/* There may be a next process; before there are any. And this is one: takes up what the one before it had. */
void scratches_last(struct scratches *ss);
/* And it is to have those of values, too, in the file of slots FD, which is borrowed. -ENOMEM. */
int scratches_last_values(struct scratches *ss, int fd);
int scratches_take_up(struct scratches *ss, struct model *m);

/* Is that how such files are called, and are there any in directories of that kind? */
bool scratch_is_name(const char *name);
bool scratch_goes_in(const struct dir_kind *kind);

/* Makes one for the caller, in DIR of that kind. -EDQUOT: she has too many; -EINVAL: the name; what draft_new() refuses. */
int scratch_make(struct req *rq, const struct dir_kind *kind, fuse_ino_t dir, const char *name, struct node *ret);
/* Of the user alone. */
bool scratch_find(struct scratches *ss, fuse_ino_t dir, const char *name, uid_t uid, struct node *ret);
typedef int scratch_fn(void *ctx, const char *name, struct node n);
int scratch_each(struct scratches *ss, fuse_ino_t dir, uid_t uid, scratch_fn *fn, void *ctx);

/* -ESTALE: it is gone. */
int scratch_get(struct scratches *ss, struct node n, struct scratch **ret);
void scratch_put(struct scratches *ss, struct scratch *s);
void scratch_closed(struct scratches *ss, struct scratch *s); /* its day begins anew */

/* Owner, mode and times; size. -ESTALE. Asks no disk. */
int scratch_describe(struct scratches *ss, struct node n, struct object *ret, uint64_t *ret_size_bytes);
struct draft *scratch_draft(const struct scratch *s); /* NULL: it is no image's */
int scratch_fd(const struct scratch *s);
fuse_ino_t scratch_dir(const struct scratch *s);

/* -EFBIG, and what draft_write() refuses. */
int scratch_write(struct scratch *s, const void *buf, size_t n, uint64_t off, struct diag *diag);
int scratch_truncate(struct scratch *s, uint64_t size, struct diag *diag);

/* Another name in its directory; the file that had it is gone. -ESTALE. And no name at all. */
int scratch_rename(struct scratches *ss, struct scratch *s, const char *name);
void scratch_unlink(struct scratches *ss, struct scratch *s);
/* All that are in a directory which was removed, or in the classes of a region that was. */
void scratch_drop_in(struct scratches *ss, struct node dir);

#endif

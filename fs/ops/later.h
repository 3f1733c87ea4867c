/* SPDX-License-Identifier: MIT */
#ifndef FS_OPS_LATER_H
#define FS_OPS_LATER_H

/*
 * Requests whose answer takes time to make: lists of all images, listings, comparisons; and reading those texts, which
 * are long. They are answered by threads of their own, in turn by user, so that those that answer everything else are
 * never busy with them.
 */

#include "fs/tree/node.h"
#include "fs/tree/req.h"
#include "fs/tree/watch.h"

enum later_lane {
        LATER_LIST, /* goes through many rows */
        LATER_TEXT, /* reads a list that was made, which must not wait for those that are */
        LATER_NAMES, /* what is in a directory, which is quickly told and must not wait for lists */
        LATER_COMPARE, /* reads disks */
        LATER_LOOK, /* reads a little of them */
        LATER_USERS, /* says what users are called, whom the machine may have to ask another for */
        LATER_FIND, /* asks who has a name, which is anybody's to choose */
        LATER_TURNS, /* what takes no time, of who asks for it without end */
        LATER_LANES,
};

int later_new(struct later **ret);
/* Whoever still waits is answered EINTR, as whoever comes later; what is at work ends. Accepts NULL. */
void later_stop(struct later *l);
/* The same, but that nobody is answered: another process is going to be asked. */
void later_leave(struct later *l);
void later_free(struct later *l); /* accepts NULL; stopped */

/* As watch_look(), of those that no thread is at yet. */
unsigned later_look(struct later *l, int64_t limit_us, watch_fn *fn, void *ctx);

/* Refuses who waits for a store that is known to hang. */
void later_refuse_hanging(struct fs *fs);

/* Of a node whose text takes time (attr_is_long()), or which is only found by reading disks. */
enum later_lane later_lane(struct node n);

/* A handler, which replies. SIZE and OFF are those of a read. */
typedef void later_fn(fuse_req_t fuse, fuse_ino_t ino, size_t size, off_t off, struct fuse_file_info *fi);

/*
 * Is this request one of so many that it is for LATER_TURNS (pace.h)? What is there is done in any case: whoever asks may be
 * interrupted, or the mount may end.
 */
bool later_in_turn(fuse_req_t fuse);

/* Has FN called by a thread of the lane, FI (may be NULL) being a copy. */
void later_run(fuse_req_t fuse, enum later_lane lane, later_fn *fn, fuse_ino_t ino, size_t size, off_t off,
               const struct fuse_file_info *fi);

/* Likewise of a name. */
typedef void later_name_fn(fuse_req_t fuse, fuse_ino_t parent, const char *name);
void later_run_name(fuse_req_t fuse, enum later_lane lane, later_name_fn *fn, fuse_ino_t parent, const char *name);

/* Likewise of what is written; BYTES are copied. */
typedef void later_write_fn(fuse_req_t fuse, fuse_ino_t ino, const char *bytes, size_t size, off_t off,
                            struct fuse_file_info *fi);
void later_run_write(fuse_req_t fuse, enum later_lane lane, later_write_fn *fn, fuse_ino_t ino, const char *bytes, size_t size,
                     off_t off, const struct fuse_file_info *fi);

#endif

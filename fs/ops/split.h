/* SPDX-License-Identifier: MIT */
#ifndef FS_OPS_SPLIT_H
#define FS_OPS_SPLIT_H

/*
 * mkdir(2), rmdir(2), and rename(2) within a directory, in two requests. From one of them to its answer the kernel keeps the directory for who asked, and
 * everybody else who lists it or makes something in it waits. Nine tenths of that time a change waits for its commit to be
 * synced, before which it may not be acknowledged. So, in directories that many users make things in, the first request is
 * answered with ESTALE as soon as the change is committed: the kernel gives up the directory, looks all names up again,
 * which is when its thread waits for the sync, and asks a second time, which is answered with what has come of the first.
 *
 * In between who asked finds the directory as it was, since the kernel goes by that: what was made is not there yet, what
 * was renamed has its old name, and in place of what was removed is a directory that nobody else ever sees. All others find
 * it as it is.
 *
 * Not so a rename from one directory to another: to the kernel a directory has one name. When somebody finds it under the
 * new one it goes there, and cannot be brought back to the old one by who keeps both directories.
 *
 * Who says mkdir(2) in the directory itself has no name on the way at which to wait. But before the kernel keeps the directory
 * again it asks for its attributes, if it has none that are still good: so it is told that they are not. Where somebody else
 * has asked for them just then, the thread waits in the second request, and the directory is kept until the sync, but one is
 * for all who had the first of theirs before. (To let nobody's answer be good for longer than the moment would keep that from
 * happening, and costs everybody a request more whenever something is made.)
 *
 * A second request may never come: its thread was killed, or the path leads elsewhere by then. What was noted is for the same
 * system call of the same thread alone, so that whatever else it asks then finds what is there.
 *
 * Only the kernel's own system calls ask a second time. A server of NFS in the kernel would pass ESTALE on, so it is for
 * who is a program, and for users: the administrator's changes are as they were.
 *
 * Any thread may use it.
 */

#include "fs/tree/req.h"

/*
 * As many as may be between their requests; more than these, of a user or of all, are answered in one. Those whose second
 * request does not come are given up when there are so many, or after a while.
 */
#define SPLITS_MAX 256
#define SPLITS_OF_A_USER 64
/* Whose threads wait for a sync: of those that serve requests, most are always left to others. */
#define SPLITS_AT_WORK 16
#define SPLITS_AT_WORK_OF_A_USER 8

/* What of it outlives the process (lasting.h): the next one is asked the second time. */
struct split_slots {
        struct split_slot {
                _Atomic uint32_t used; /* set last, and cleared first */
                uint32_t uid;
                int32_t pid; /* of the thread */
                uint32_t kind; /* enum split_kind */
                uint64_t parent, print, to_print; /* the latter of names */
                uint64_t found; /* as in struct split_change */
        } slot[SPLITS_MAX];
};

/* Goes on with what is in SLOTS, borrowed until splits_free(); NULL: nothing outlives this process. */
int splits_new(struct split_slots *slots, struct splits **ret);
void splits_free(struct splits *s); /* accepts NULL */

enum split_kind { SPLIT_MADE, SPLIT_REMOVED, SPLIT_RENAMED };

/* What RQ is about to do, by this thread, which then calls split_end(). */
struct split_change {
        enum split_kind kind;
        fuse_ino_t parent;
        const char *name, *to; /* the latter of what is renamed, as the next */
        fuse_ino_t found; /* what has the name */
};
void split_begin(struct req *rq, const struct split_change *change);
/* This thread has committed what its users are promised: if it has begun one, the first request is answered. */
void split_committed(void);
/*
 * The change is done, with the result R and what was made. true: its request has been answered, and rq->fuse is NULL; the
 * second request gets that. false: it is to be answered as any.
 */
bool split_end(struct req *rq, int r, uint64_t child);

/* What who asks finds under a name: 1: what it is to remove or rename still; -ENOENT: it is to make it; 0: nothing of that. */
int split_find(struct splits *s, fuse_ino_t parent, const char *name, const struct fuse_ctx *who, struct node *ret);

typedef void split_fn(fuse_req_t fuse, fuse_ino_t parent, const char *name);

/* A name on the way to one that is being made or removed: true where FN is called when that is done. */
bool split_awaits(struct splits *s, fuse_req_t fuse, fuse_ino_t parent, const char *name, split_fn *fn);
/* Likewise for the attributes of what is on the way; FN is called with INO and no name. */
bool split_awaits_at(struct splits *s, fuse_req_t fuse, fuse_ino_t ino, split_fn *fn);
/* Is it the second request? Then FN is called when the first is done, which may be now, and calls split_take(). */
bool split_is_second(struct splits *s, fuse_req_t fuse, fuse_ino_t parent, const char *name, split_fn *fn);

struct split_result {
        int r;
        uint64_t child;
        bool inherited; /* an earlier process did it, of which no more is known than that it was committed */
};
/* What has come of it, once. false: it is too long ago, or there was no memory to wait for it. */
bool split_take(struct splits *s, fuse_ino_t parent, const char *name, const struct fuse_ctx *who,
                struct split_result *ret);

#endif

/* SPDX-License-Identifier: MIT */
#ifndef FS_OPS_FILE_H
#define FS_OPS_FILE_H

/*
 * Open files. What open(2) found out stays with the handle: a control file's text is frozen then, a blob stays open.
 * One set of operations per kind of file; those that a kind leaves out answer as ops_file.c says.
 */

#include "fs/tree/tree.h"

struct file;
struct frozen_as;
struct gate;
struct handle;

struct file_ops {
        bool is_command; /* writing is the command, not opening it to write */
        void (*read)(struct req *rq, struct file *f, size_t size, off_t off); /* replies */
        void (*write)(struct req *rq, struct file *f, const char *bytes, size_t size, off_t off); /* replies */
        bool (*frozen)(const struct file *f, struct frozen_as *ret); /* when it was opened; false: nothing was */
        uint64_t (*print)(const struct file *f); /* of what was frozen: it says whether it is the same */
        int (*flush)(struct req *rq, struct file *f); /* for each close(2) */
        int (*truncate)(struct req *rq, struct file *f, uint64_t size);
        int (*sync)(struct req *rq, struct file *f);
        int (*allocate)(struct req *rq, struct file *f, int mode, off_t off, off_t len); /* as fallocate(2) has them */
        int (*seek)(struct req *rq, struct file *f, off_t off, int whence, off_t *ret);
        /* The same as read, into memory, and bytes of another file that has it: copies that the kernel need not see. */
        ssize_t (*fetch)(struct file *f, void *buf, size_t n, uint64_t off);
        struct blob *(*blob)(struct file *f); /* that it shows as it is; may be NULL */
        ssize_t (*copy)(struct req *rq, struct file *f, uint64_t off, struct file *from, uint64_t from_off, uint64_t n);
        uint64_t (*store)(const struct req *rq, const struct file *f); /* in which its bytes are; 0: in none */
        void (*release)(struct file *f);
};

/* Each kind of file begins with this. */
struct file {
        const struct file_ops *ops;
        struct node node;
        struct gate *gate; /* to its store; NULL: there is none */
        struct handle *how; /* by which the next process knows it, from its first request on */
        bool again; /* opened by an earlier process, and again by this one */
};

/*
 * The open file of a request, which an earlier process may have opened. For reading at OFF, else 0: of what was frozen then
 * nothing but the beginning can be made again, unless it is the same. -ESTALE; -ENODATA: all of it was read; -EIO, with a
 * sentence: it was an upload, and not all of it is there.
 */
int file_of(struct req *rq, const struct fuse_file_info *fi, off_t off, struct file **ret);

/* What the functions below have opened, and put into FI. */
static inline struct file *file_opened(const struct fuse_file_info *fi)
{
        return (struct file *)(uintptr_t)fi->fh;
}

/* What N is decides which kind; FLAGS of FI as open(2) has them. */
int file_open(struct req *rq, struct node n, struct fuse_file_info *fi);

/* Has FI say its number to the kernel, for F that RQ opened by that request (resent.h). -ENOMEM */
int file_number(struct req *rq, struct node n, struct file *f, uint64_t request, struct fuse_file_info *fi);
/*
 * The number by which an earlier process had begun to open a file for that request, sent once more since: nobody was told
 * it, so that nobody closes it. 0: it had not come to that.
 */
uint64_t file_unanswered(struct fs *fs, uint64_t request);
void file_close_unanswered(struct fs *fs, uint64_t number); /* 0: does nothing */
/* By which its requests have to go; NULL: by none. */
struct gate *file_gate(struct fs *fs, const struct fuse_file_info *fi);
/* And opening N. */
struct gate *file_gate_to_open(struct fs *fs, fuse_req_t fuse, struct node n);
/* The blob store that the object of N is in, where that is not the library's own; 0: it is, or in none. */
uint64_t file_store_elsewhere(struct fs *fs, fuse_req_t fuse, struct node n);
/* One that was closed before is closed already. */
void file_close(struct fs *fs, const struct fuse_file_info *fi);

/* ctl.c: control files, generated children, and what waits. FLAGS as open(2) has them. */
int ctl_open(struct req *rq, struct node n, int flags, struct fuse_file_info *fi);
/* Longer than any command; a text is limited by the attribute itself. */
#define CTL_COMMAND_MAX 65536

/* Writes the whole of what a file holds to that one, as one command: what opening and writing it refuse. */
int ctl_put(struct req *rq, struct node n, const char *bytes, size_t size);
/* Makes TEXT of a write(2) what store functions take: without its final newline; refuses what no command can be. */
int ctl_command(const struct entry *entry, const char *text, size_t n, char **ret, struct diag *diag);

/* data.c: blobs */
int data_open(struct req *rq, struct node n, int flags, struct fuse_file_info *fi);

/* guest_file.c: what is in guest/ */
int guest_file_open(struct req *rq, struct node n, struct fuse_file_info *fi);

/* inflow.c: uploads. -ENOENT, to read: there is nothing in it that can be. */
int inflow_open(struct req *rq, struct node n, int flags, struct fuse_file_info *fi);
/* Opened by an earlier process, to write; -ESTALE: not all that it was given is there. */
int inflow_resume(struct req *rq, struct node n, struct fuse_file_info *fi);

/* follow.c: info/events-after/<seq> */
int follow_open(struct req *rq, struct node n, struct fuse_file_info *fi);

/* wait.c: files whose reading blocks */
int wait_open(struct req *rq, struct node n, struct fuse_file_info *fi);

#endif

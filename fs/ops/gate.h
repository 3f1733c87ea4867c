/* SPDX-License-Identifier: MIT */
#ifndef FS_OPS_GATE_H
#define FS_OPS_GATE_H

/*
 * The way into a blob store other than the library's own, for requests on files that are open in it, or are to be. No more of the threads
 * that answer requests are in one at a time than are its share: a disk that does not answer keeps those, and who comes then
 * is parked without a thread until one of them comes back, or is refused, once the store is known to hang. Any thread may
 * use all of this.
 */

#include "fs/tree/node.h"
#include "fs/tree/req.h"

struct gates;
struct gate;

int gates_new(struct gates **ret);
/* Whoever is parked is answered EINTR, as whoever comes later would be; with ANSWER false nobody is: another process is asked. */
void gates_stop(struct gates *gs, bool answer); /* accepts NULL */
void gates_free(struct gates *gs); /* accepts NULL; stopped */

/* Opening has a share of its own: it may wait until another has closed, who must come in then. */
enum gate_for {
        GATE_USE,
        GATE_OPEN,
};
/* To STORE; NULL: anybody may go there, as many as there are. Borrowed until gates_free(). */
struct gate *gates_get(struct fs *fs, uint64_t store, enum gate_for purpose);

/* A request on a file. */
struct gated {
        const char *verb; /* for the refusal; NULL: it is never refused, since it undoes something */
        fuse_ino_t ino;
        struct fuse_file_info fi;
        uint64_t request, unanswered; /* of opening: see file.h */
        size_t size;
        off_t off;
        const char *bytes; /* SIZE of them, borrowed; NULL: none */
        int how; /* whence, mode or the like */
        bool is_open; /* of what can be done to what is not, too: FI is there */
        struct fuse_file_info from_fi; /* of a copy */
        off_t from_off;
};

/* Replies. */
typedef void gate_fn(fuse_req_t fuse, const struct gated *g);
/* Has FN called, now or later; GATE may be NULL. */
void gate_run(fuse_req_t fuse, struct gate *gate, gate_fn *fn, const struct gated *g);

/* Refuses who is parked before stores that hang. Gives how many have been parked for more than LIMIT_US. */
unsigned gates_look(struct fs *fs, int64_t limit_us);

#endif

/* SPDX-License-Identifier: MIT */
#ifndef FS_TREE_COUNTS_H
#define FS_TREE_COUNTS_H

/*
 * What the daemon has done since it was started. Counting costs one instruction and orders nothing, so that it may be done
 * in the way of every read; who reads several counts does not see them at one moment.
 */

#include <stdatomic.h>
#include <stdint.h>

/* The kernel's requests that are counted: all but those that nobody waits for. */
#define COUNTED_REQUESTS(R)                                                                                           \
        R(lookup) R(getattr) R(setattr) R(readlink) R(mknod) R(mkdir) R(unlink) R(rmdir) R(symlink) R(rename) R(link) \
        R(open) R(create) R(read) R(write) R(flush) R(release) R(fsync) R(lseek) R(copy_file_range) R(opendir)        \
        R(readdir) R(readdirplus) R(releasedir) R(fsyncdir) R(fallocate) R(statfs) R(setxattr) R(getxattr)            \
        R(listxattr) R(removexattr)

enum count {
#define COUNT_OF(request) COUNT_##request,
        COUNTED_REQUESTS(COUNT_OF)
#undef COUNT_OF
        COUNT_REQUESTS, /* how many kinds of them */
        COUNT_REFUSALS = COUNT_REQUESTS,
        COUNT_READ_BYTES, /* of disks, as files */
        COUNT_WRITTEN_BYTES,
        COUNT_TASKS_DONE,
        COUNT_TASKS_ERROR,
        COUNT_TASKS_CANCELLED,
        COUNT_IN_TURN, /* requests of who sends them without end */
        COUNT_SLOW, /* requests that took longer than they should */
        COUNT_COUNT,
};

struct counts {
        atomic_uint_fast64_t n[COUNT_COUNT];
        atomic_uint slow; /* of those, the ones that are at work at this moment */
        unsigned slow_seconds; /* from when on they are */
        int64_t begun_us; /* by the clock that only goes forwards; see metrics_begin() */
};

/* "lookup", "read" … (metrics.c) */
const char *count_request_name(enum count request);

static inline void counts_add(struct counts *c, enum count which, uint64_t n)
{
        atomic_fetch_add_explicit(&c->n[which], n, memory_order_relaxed);
}

#endif

/* SPDX-License-Identifier: MIT */
#ifndef FS_TREE_WATCH_H
#define FS_TREE_WATCH_H

/*
 * What each thread that answers requests is at, for who looks for those that take too long (ops/watchdog.h). It is written
 * with each request, without a lock or waiting, and read now and then.
 */

#include <stdbool.h>
#include <sys/types.h>

#include "fs/tree/counts.h"

/* As much of a name as is kept: all of one that could be made. */
#define WATCH_NAME_BYTES 136

struct watched {
        pid_t thread; /* 0: none yet; it waits for one */
        enum count request;
        uint64_t ino; /* what it is done to, or the directory that NAME is in */
        char name[WATCH_NAME_BYTES]; /* "": none */
        uid_t uid;
        int64_t since_us; /* by watch_now_us() */
};

struct watch;
int watch_new(struct watch **ret);
void watch_free(struct watch *w); /* accepts NULL; no thread begins anything any more */

int64_t watch_now_us(void);

/* The calling thread begins a request, or has done with it. NAME may be NULL. */
void watch_begin(struct watch *w, enum count request, uint64_t ino, const char *name, uid_t uid);
void watch_end(struct watch *w);
/* What it is at, for another thread to go on with; SINCE_US 0: nothing. */
void watch_get(struct watch *w, struct watched *ret);
void watch_go_on(struct watch *w, const struct watched *what);

/* A request that has become slow, or one of those that has ended (SLOW_US: what it took, within a look's distance). */
typedef void watch_fn(void *ctx, const struct watched *what, bool ended, int64_t slow_us);
/* For one thread alone: says what changed since its last look, of what takes more than LIMIT_US. Gives how many do. */
unsigned watch_look(struct watch *w, int64_t limit_us, watch_fn *fn, void *ctx);

/* What that thread is at. False: nothing, as far as is known. */
bool watch_find(struct watch *w, pid_t thread, struct watched *ret);

#endif

/* SPDX-License-Identifier: MIT */
#ifndef MODEL_CORE_SPOOL_H
#define MODEL_CORE_SPOOL_H

/*
 * Bytes that come one after the other, however many: once they are more than a few they go to a file without a name, so
 * that what is made of a hundred thousand objects takes no more memory than what is made of one. Adding is to the buffer,
 * with spool_step() after each thing of bounded size; the first error is kept, as a strbuf's is, and shows at the end.
 * Where no file takes them (a full disk, on which people look for what to delete) they stay in memory while they are few
 * enough for that. Not for sharing between threads.
 */

#include <stdint.h>

#include "blobstore/base/strbuf.h"

struct spool {
        int dir_fd; /* where the file is made; borrowed. -1: all stays in memory */
        struct strbuf buf; /* those that are not in the file */
        int fd; /* the others, if there are WRITTEN */
        uint64_t written;
        int error; /* the first */
        int no_file; /* why there is none */
};

#define SPOOL_IN(dir)   { .dir_fd = (dir), .fd = -1 }
#define SPOOL_IN_MEMORY SPOOL_IN(-1)

/* Of memory, where there is no file. */
#define SPOOL_HELD_MAX ((size_t)64 << 20)

/* A file without a name; the caller's, with close(). */
int spool_open_file(int dir_fd);

void spool_done(struct spool *s);
void spool_step(struct spool *s);
/* After the last: what is in a file is all in it, or nothing is. */
void spool_end(struct spool *s);
uint64_t spool_size(const struct spool *s);
/* Overwrites what was added before. */
void spool_patch(struct spool *s, uint64_t at, const void *bytes, size_t n);
int spool_error(const struct spool *s);

/* From the beginning of what was added, which stays as it is meanwhile. */
struct spool_reader {
        const struct spool *s;
        uint64_t off; /* of what follows the window */
        char *window;
        size_t at, len, size; /* in it: what is next, its end; how large it may be */
};

void spool_reader_done(struct spool_reader *r);
/* The next N bytes, which must be there; borrowed until the next call. -EIO, -ENOMEM. */
int spool_read(struct spool_reader *r, size_t n, const char **ret);

#endif

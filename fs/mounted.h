/* SPDX-License-Identifier: MIT */
#ifndef FS_MOUNTED_H
#define FS_MOUNTED_H

/*
 * A library that somebody has mounted, as any other program sees it: by its files. What the caller may not read is left
 * out, as if it were not there.
 */

#include <stdbool.h>
#include <stdint.h>

#include "blobstore/base/strbuf.h"

/* A descriptor of the top of the tree. -ENOTDIR: no library is mounted there. */
int mounted_open(const char *path);

/* The text of a file; what was in OUT is gone. */
int mounted_read(int dir_fd, const char *path, struct strbuf *out);
/* Its first line, without the end; "" where it cannot be read. */
void mounted_read_line(int dir_fd, const char *path, char *buf, size_t size);
/* The number after KEY in a text of `key value` lines; false: there is none. */
bool mounted_find(const struct strbuf *text, const char *key, uint64_t *ret);

/* The entries of a directory but for those that begin with a dot, by name. A negative errno from FN ends it. */
typedef int mounted_fn(void *ctx, int dir_fd, const char *name);
int mounted_each(int dir_fd, const char *path, mounted_fn *fn, void *ctx);

struct mounted_task {
        char id[64], kind[32], status[32], owner[64], image[256];
        uint64_t done_bytes, total_bytes, percent;
};
/* Those that are queued or run, by id. */
typedef int mounted_task_fn(void *ctx, const struct mounted_task *t);
int mounted_each_task(int top_fd, mounted_task_fn *fn, void *ctx);

#endif

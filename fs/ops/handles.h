/* SPDX-License-Identifier: MIT */
#ifndef FS_OPS_HANDLES_H
#define FS_OPS_HANDLES_H

/*
 * The numbers by which the kernel knows open files. How each was opened stands in memory that outlives the process
 * (blobstore/base/kept.h): the next one, which finds the kernel use numbers that it never gave out, opens the same again.
 * No number is used twice: the kernel says once more that a file was closed, where it was not answered before the process
 * died. Any thread may use it.
 */

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "blobstore/base/kept.h"

#define HANDLES_KEPT_BYTES 64

struct handles;

struct handle {
        struct kept_slot slot;
        uint64_t ino;
        int32_t flags; /* as open(2) has them, without those that matter once */
        uint32_t uid, gid; /* who opened it */
        uint32_t turn; /* of the slot: the upper half of the number */
        uint64_t print; /* of what was frozen; two that differ have different ones, as good as always */
        uint64_t size; /* of the same: from there on nothing follows, whatever it is now */
        uint64_t request; /* that opened it (resent.h); 0: none of those */
        _Atomic int32_t writer; /* of an upload, the process that wrote last; 0: nobody knows */
        uint32_t unused;
};
_Static_assert(sizeof(struct handle) == HANDLES_KEPT_BYTES, "as the file of slots was made");

/* FD: a file for slots of HANDLES_KEPT_BYTES, borrowed; -1: nothing is to outlive the process. */
int handles_new(int fd, struct handles **ret);
void handles_free(struct handles *h); /* accepts NULL */
/* Will there be a next process? */
bool handles_last(const struct handles *h);

/* Its number, for FILE that was opened like HOW, whose slot means nothing. -ENOMEM */
int handles_add(struct handles *h, const struct handle *how, void *file, uint64_t *ret_number);
/* Gives the file, which is closed; its number stays the next process's to know. NULL: it was not opened in this one. */
void *handles_close(struct handles *h, uint64_t number);
/* Likewise, and nobody needs to know it any more. */
void *handles_remove(struct handles *h, uint64_t number);

void *handles_file(struct handles *h, uint64_t number); /* likewise */
struct handle *handles_how(struct handles *h, uint64_t number); /* NULL: it was removed */

/* For who opens one again: one at a time. */
pthread_mutex_t *handles_again(struct handles *h);
void handles_set_file(struct handles *h, uint64_t number, void *file);

/* Calls FN for the number of every file that an earlier process had open. */
typedef void handles_fn(void *ctx, uint64_t number);
void handles_each_inherited(struct handles *h, handles_fn *fn, void *ctx);

#endif

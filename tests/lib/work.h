/* SPDX-License-Identifier: MIT */
#ifndef TESTS_LIB_WORK_H
#define TESTS_LIB_WORK_H

/*
 * What tests of uploads and tasks do over and over, on top of a struct library. What goes wrong in here ends the test.
 */

#include "model/core/quota.h"
#include "model/intake/upload.h"
#include "model/work/tasks.h"
#include "tests/lib/expect.h"
#include "tests/lib/library.h"

/* SIZE bytes that depend on SEED alone; a quarter of the blocks are zeros. Release with free(). */
uint8_t *work_bytes(size_t size, uint32_t seed);

/* Opens the image's upload as its only writer, writes, and closes. */
void work_upload(struct library *l, uint64_t image, const void *bytes, size_t size);
/* With its second half first, so that it is a file that is imported when it is complete, and not stored while it comes. */
void work_upload_file(struct library *l, uint64_t image, const void *bytes, size_t size);

/* An image of C's that is available; TYPE NULL: what it is made as. */
uint64_t work_image(struct library *l, const struct caller *c, uint64_t region, const char *handle, const char *type,
                    size_t size, uint32_t seed);

/* Waits until nothing works on the image, which is to be available then. */
void work_wait_available(struct library *l, uint64_t image);

uint64_t work_region(struct library *l, const char *handle);
/* A region with a store of its own, beside the library. */
uint64_t work_far_region(struct library *l, const char *handle);

/* The first disk of the image holds exactly work_bytes(SIZE, SEED). */
void work_assert_bytes(struct library *l, uint64_t image, size_t size, uint32_t seed);

struct image work_get(struct library *l, uint64_t image);
uint64_t work_find(struct library *l, uint64_t region, enum image_class class, const char *handle); /* 0: none */
uint64_t work_used(struct library *l, uint64_t region, const struct caller *c, enum limit q);
uint64_t work_tasks(struct library *l); /* how many are shown */
uint64_t work_snapshots(struct library *l, uint64_t region);

/* Waits until the task has ended, and gives it. -ENOENT comes back as status cancelled. */
struct task work_wait_task(struct library *l, uint64_t id);
/* Waits until COND(l, arg) holds; it is asked after each event. */
typedef bool work_cond(struct library *l, uint64_t arg);
void work_wait(struct library *l, work_cond *cond, uint64_t arg);

/* Waits until a blob store holds N blobs: the upkeep is done. It gives up after some seconds. */
void work_wait_blobs(struct library *l, uint64_t n);

/* Files in the incoming directory of the library's own store. */
unsigned work_incoming(struct library *l);
/* Waits until there are none: a file goes just after its image is available. */
void work_wait_incoming(struct library *l);

/* Closes the library, holds it against itself, and opens it again. */
void work_assert_clean(struct library *l);

/* As assert_err(), and the refusal has left a sentence in l->diag. */
#define assert_refused(l, r, wanted)                                    \
        do {                                                            \
                assert_err(r, wanted);                                  \
                if ((l)->diag.text[0] == '\0')                          \
                        fail_msg("%s: no sentence", #r);                \
        } while (0)

#endif

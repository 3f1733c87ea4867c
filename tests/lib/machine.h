/* SPDX-License-Identifier: MIT */
#ifndef TESTS_LIB_MACHINE_H
#define TESTS_LIB_MACHINE_H

/* What tests of instances and their disks do over and over, on top of tests/lib/work.h. What goes wrong in here ends
 * the test. */

#include <pthread.h>

#include "model/machine/instance.h"
#include "tests/lib/work.h"

#define MACHINE_SIZE 200000

/* An image of alice's with these data disks beside its system disk: "vdb vdd" gives two. The disk vda has seed 1, vdb 2
 * … */
uint64_t machine_image(struct library *l, const char *handle, const char *type, const char *data_disks);

/* An instance of alice's, made from the image; and one without any. */
uint64_t machine_make(struct library *l, uint64_t image, const char *handle);
uint64_t machine_make_empty(struct library *l, const char *handle);

struct instance machine_get(struct library *l, uint64_t id);
/* The instance's volume at that device. */
struct volume machine_disk(struct library *l, uint64_t id, const char *device);
bool machine_has_disk(struct library *l, uint64_t id, const char *device);

/* instance_set() as alice. */
int machine_set(struct library *l, uint64_t id, enum instance_field field, const char *value);

/* Writes N bytes at OFF into the volume, as one that opens it, writes and closes; and holds what is there against
 * BYTES. */
void machine_write(struct library *l, uint64_t volume, const void *bytes, size_t n, uint64_t off);
void machine_assert_bytes(struct library *l, uint64_t volume, const void *bytes, size_t n, uint64_t off);

/* The release of a file that was flushed comes some time after the flush: in a thread, to be joined. */
pthread_t machine_close_later(struct volume_file *f);

/* An empty disk of alice's; SIZE 0: without its size. */
uint64_t machine_volume(struct library *l, const char *handle, uint64_t size);

/* Waits until no task reads the instance's disks, or the volume. */
void machine_wait(struct library *l, uint64_t instance);
void machine_wait_volume(struct library *l, uint64_t volume);

/* How many disks the library's own store holds; waits until there are N. */
void machine_wait_disks(struct library *l, unsigned n);

#endif

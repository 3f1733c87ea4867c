/* SPDX-License-Identifier: MIT */
#ifndef FS_OPS_BACKGROUND_H
#define FS_OPS_BACKGROUND_H

/*
 * How many requests the kernel sends at once that nobody waits for by itself: reading ahead, and what was closed. It is one
 * number for the whole mount, so that those which wait for one blob store's disk would keep all others' from being sent.
 */

#include <pthread.h>

/*
 * Of requests that nobody waits for by itself (read-ahead, asynchronous reads and writes, releases) the kernel sends so
 * many at once, all users' together; its own number is 12. With more of them than there are threads (32, see mount.c)
 * one user's could take all of these. Sixteen readers of cold disks beside one who asks for her quota, on a store that
 * takes 50 ms for each read: p99 18 ms with 12, 9 ms with 24. On a fast one eight readers got the same, within what the
 * machine varies by, and a quarter less with 64.
 */
#define BACKGROUND_MAX    24
#define BACKGROUND_ENOUGH 18 /* from here on the kernel reads ahead less eagerly */

/* Of a mount; zeroed, and the mutex initialised. */
struct background {
        pthread_mutex_t mutex; /* a leaf */
        unsigned steps; /* under the mutex: how far it was raised */
};

/* So many wait for a disk: there is to be room for others beside them. 0: none does. MOUNTPOINT is absolute. Any thread. */
void background_make_room(struct background *b, const char *mountpoint, unsigned waiting);

#endif

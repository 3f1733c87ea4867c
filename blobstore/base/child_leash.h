/* SPDX-License-Identifier: MIT */
#ifndef BLOBSTORE_BASE_CHILD_LEASH_H
#define BLOBSTORE_BASE_CHILD_LEASH_H

/*
 * Ends the children of one piece of work from another thread: whoever waits for an answer of one then has none, at once.
 * A thread takes a leash, and has it in each child that it starts (child.h) until it lets go. Which leash a thread has is
 * the thread's own, as its children are, that end with it.
 */

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>

struct child_on_leash {
        struct child_leash *leash; /* NULL: on none */
        struct child_on_leash *next;
        int pid_fd; /* borrowed until child_leash_remove() */
};

struct child_leash {
        pthread_mutex_t mutex;
        struct child_on_leash *first;
        bool pulled;
};

#define CHILD_LEASH_INIT { .mutex = PTHREAD_MUTEX_INITIALIZER }

/* NULL: lets go. The leash stays where it is as long as it is held, and as there are children on it. */
void child_leash_take(struct child_leash *l);

/* Kills what is on it, and what comes later. From any thread. */
void child_leash_pull(struct child_leash *l);

/* For child.c: puts a child on the leash of this thread, if that has one. */
void child_leash_add(struct child_on_leash *c, int pid_fd);
void child_leash_remove(struct child_on_leash *c);

#endif

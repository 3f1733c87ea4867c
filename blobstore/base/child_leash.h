/* SPDX-License-Identifier: MIT */
#ifndef BLOBSTORE_BASE_CHILD_LEASH_H
#define BLOBSTORE_BASE_CHILD_LEASH_H

/*
 * Ends the children of one piece of work from another thread, and its waiting for what is no child: whoever waits for an answer then
 * has none, at once. A thread takes a leash, and has it in each child that it starts (child.h), and in each wait that asks for it,
 * until it lets go. Which leash a thread has is the thread's own, as its children are, that end with it; who has others work for it
 * hands it on.
 */

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

struct child_on_leash {
        struct child_leash *leash; /* NULL: on none */
        struct child_on_leash *next;
        int pid_fd; /* borrowed until child_leash_remove(); -1: it is a wait */
        pthread_mutex_t *mutex; /* of a wait for a condition */
        pthread_cond_t *cond;
        void (*wake)(void *ctx); /* of another */
        void *ctx;
};

struct child_leash {
        pthread_mutex_t mutex;
        struct child_on_leash *first;
        atomic_bool pulled;
};

#define CHILD_LEASH_INIT { .mutex = PTHREAD_MUTEX_INITIALIZER }

/* NULL: lets go. The leash stays where it is as long as it is held, and as there are children on it. */
void child_leash_take(struct child_leash *l);

/* Kills what is on it, and what comes later. From any thread. */
void child_leash_pull(struct child_leash *l);

/* Has it been pulled? Accepts NULL. */
bool child_leash_is_pulled(const struct child_leash *l);

/* The one that this thread has, or NULL. */
struct child_leash *child_leash_held(void);

/*
 * Who waits for COND in this thread is woken when its leash is pulled, and looks for that by itself. Call both without MUTEX, which
 * may not be held either by who pulls.
 */
void child_leash_add_wait(struct child_on_leash *c, pthread_mutex_t *mutex, pthread_cond_t *cond);
/* Likewise who waits for something else: WAKE is called, with the leash's lock held, and neither blocks nor asks for the leash. */
void child_leash_add_wake(struct child_on_leash *c, void (*wake)(void *ctx), void *ctx);
/* The end of either: WAKE is not called after it. */
void child_leash_remove(struct child_on_leash *c);

/* For child.c: puts a child on the leash of this thread, if that has one. */
void child_leash_add(struct child_on_leash *c, int pid_fd);

#endif

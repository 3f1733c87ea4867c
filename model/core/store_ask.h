/* SPDX-License-Identifier: MIT */
#ifndef MODEL_CORE_STORE_ASK_H
#define MODEL_CORE_STORE_ASK_H

/*
 * Whether a store's disk answers, found out by a thread of the store's own: where it does not, that one waits for it, and who
 * wanted to know can be told. Private to the list of stores.
 */

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

struct blobstore;

struct store_ask {
        pthread_mutex_t mutex; /* of all below; a leaf */
        pthread_cond_t asked_more, answered_more;
        uint64_t asked, answered; /* questions are numbered; one answer is to all before it */
        bool hangs, stop, started;
        struct blobstore *bs;
        pthread_t thread;
};

void store_ask_init(struct store_ask *a);
void store_ask_done(struct store_ask *a);

/* Waits until BS answers. -EIO: it hangs. */
int store_ask(struct store_ask *a, struct blobstore *bs);
/* It does, or does not any more; gives whether it did. */
bool store_ask_set_hangs(struct store_ask *a, bool hangs);

/* The calling thread's work can wait, as long as it takes: store_ask() gives 0 at once. */
void store_ask_never(void);

#endif

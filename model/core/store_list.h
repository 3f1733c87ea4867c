/* SPDX-License-Identifier: MIT */
#ifndef MODEL_CORE_STORE_LIST_H
#define MODEL_CORE_STORE_LIST_H

/*
 * The list of blob stores. It only grows, and what is in it stays where it is until the end; so the lock covers the
 * list and what changes when a store comes back. It is a leaf, taken under transactions too. Private to stores.c.
 */

#include <pthread.h>
#include <stdatomic.h>
#include <sys/queue.h>

#include "blobstore/blobstore.h"
#include "model/core/store_ask.h"

struct former {
        struct former *next;
        char *path;
};

struct store {
        uint64_t id;
        _Atomic(char *) path; /* as in the database; what it was before stays, too */
        struct former *former; /* those */
        struct blobstore *bs; /* NULL: it is offline; set once, under the lock as the rest */
        bool ours;
        char *trouble; /* why it is offline */
        bool hangs; /* it does not answer, and counts as offline until it does */
        struct store_ask ask;
        STAILQ_ENTRY(store) link;
};

struct store_list {
        pthread_mutex_t lock;
        STAILQ_HEAD(, store) stores;
};

void store_list_init(struct store_list *l);
void store_list_done(struct store_list *l); /* closes them all */

/* Takes ownership of BS on success; NULL: it is offline, for which a reason follows before anybody asks. */
int store_list_append(struct store_list *l, uint64_t id, const char *path, struct blobstore *bs, bool ours);

struct store *store_list_find(struct store_list *l, uint64_t id); /* NULL: there is none */
struct store *store_list_find_path(struct store_list *l, const char *path); /* likewise */
uint64_t store_list_id(struct store_list *l, const struct blobstore *bs); /* 0: there is none */
/* The next one after ST, NULL: the first, that is online or not, as wanted. */
struct store *store_list_next(struct store_list *l, struct store *st, bool online);
/* Likewise, online or not. */
struct store *store_list_next_of_all(struct store_list *l, struct store *st);

/* NULL: it is offline, or hangs. */
struct blobstore *store_list_bs(struct store_list *l, const struct store *st);
bool store_list_ours(struct store_list *l, const struct store *st);
/* 1: it is offline, or hangs, and *ret, to be freed, says why; 0: it is not. */
int store_list_trouble(struct store_list *l, const struct store *st, char **ret);

/* One is online from now on. Takes ownership of BS. */
void store_list_set_online(struct store_list *l, struct store *st, struct blobstore *bs, bool ours);
/* Gives whether it did before. */
bool store_list_set_hangs(struct store_list *l, struct store *st, bool hangs);
bool store_list_hangs(struct store_list *l, const struct store *st);
/* Is it in a bucket that is away? */
bool store_list_is_away(struct store_list *l, const struct store *st);
void store_list_stop(struct store_list *l, const struct store *st); /* blobstore_stop() */
/* It is at PATH from now on. Takes ownership. */
int store_list_set_path(struct store_list *l, struct store *st, char *path);
void store_list_set_ours(struct store_list *l, struct store *st);
int store_list_set_trouble(struct store_list *l, struct store *st, const char *sentence);

#endif

/* SPDX-License-Identifier: MIT */

#include "model/core/store_list.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "blobstore/base/cleanup.h"
#include "blobstore/base/lock.h"
#include "blobstore/base/strbuf.h"

/* Call with the lock held. */
static bool is_online(const struct store *st)
{
        return st->bs && !st->hangs && !blobstore_is_away(st->bs, NULL);
}

void store_list_init(struct store_list *l)
{
        if (pthread_mutex_init(&l->lock, NULL) != 0)
                abort();
        STAILQ_INIT(&l->stores);
}

static void free_store(struct store *st)
{
        struct former *f;

        if (!st)
                return;
        store_ask_done(&st->ask);
        blobstore_close(st->bs);
        free(st->trouble);
        while ((f = st->former)) {
                st->former = f->next;
                free(f->path);
                free(f);
        }
        free(st->path);
        free(st);
}

void store_list_done(struct store_list *l)
{
        struct store *st;

        while ((st = STAILQ_FIRST(&l->stores))) {
                STAILQ_REMOVE_HEAD(&l->stores, link);
                free_store(st);
        }
        (void)pthread_mutex_destroy(&l->lock);
}

int store_list_append(struct store_list *l, uint64_t id, const char *path, struct blobstore *bs, bool ours)
{
        struct store *st = calloc(1, sizeof(*st));

        if (!st)
                return -ENOMEM;
        store_ask_init(&st->ask);
        st->path = strdup(path);
        if (!st->path) {
                free_store(st);
                return -ENOMEM;
        }
        st->id = id;
        st->bs = bs;
        st->ours = ours;
        LOCK_SCOPE(&l->lock);
        STAILQ_INSERT_TAIL(&l->stores, st, link);
        return 0;
}

struct store *store_list_find(struct store_list *l, uint64_t id)
{
        struct store *st;
        LOCK_SCOPE(&l->lock);

        STAILQ_FOREACH(st, &l->stores, link) {
                if (st->id == id)
                        return st;
        }
        return NULL;
}

struct store *store_list_find_path(struct store_list *l, const char *path)
{
        struct store *st;
        LOCK_SCOPE(&l->lock);

        STAILQ_FOREACH(st, &l->stores, link) {
                if (strcmp(st->path, path) == 0)
                        return st;
        }
        return NULL;
}

uint64_t store_list_id(struct store_list *l, const struct blobstore *bs)
{
        struct store *st;
        LOCK_SCOPE(&l->lock);

        STAILQ_FOREACH(st, &l->stores, link) {
                if (st->bs == bs)
                        return st->id;
        }
        return 0;
}

struct store *store_list_next_of_all(struct store_list *l, struct store *st)
{
        LOCK_SCOPE(&l->lock);
        return st ? STAILQ_NEXT(st, link) : STAILQ_FIRST(&l->stores);
}

struct store *store_list_next(struct store_list *l, struct store *st, bool online)
{
        LOCK_SCOPE(&l->lock);
        do
                st = st ? STAILQ_NEXT(st, link) : STAILQ_FIRST(&l->stores);
        while (st && is_online(st) != online);
        return st;
}

struct blobstore *store_list_bs(struct store_list *l, const struct store *st)
{
        LOCK_SCOPE(&l->lock);
        return is_online(st) ? st->bs : NULL;
}

bool store_list_ours(struct store_list *l, const struct store *st)
{
        LOCK_SCOPE(&l->lock);
        return st->ours;
}

static char *say_away(const char *path, const struct strbuf *why)
{
        char *text;

        return asprintf(&text, "%s: the bucket does not answer, or refuses: %s; what waits for it goes on as soon as it does not",
                        path, strbuf_text(why)) < 0 ? NULL : text;
}

int store_list_trouble(struct store_list *l, const struct store *st, char **ret)
{
        CLEANUP_STRBUF struct strbuf why = { 0 };

        LOCK_SCOPE(&l->lock);
        if (!st->bs)
                *ret = strdup(st->trouble);
        else if (blobstore_is_away(st->bs, &why))
                *ret = say_away(st->path, &why);
        else if (!st->hangs)
                return 0;
        else if (asprintf(ret, "%s: its disk does not answer; what waits for it goes on as soon as it does", st->path) < 0)
                *ret = NULL;
        return *ret ? 1 : -ENOMEM;
}

void store_list_set_online(struct store_list *l, struct store *st, struct blobstore *bs, bool ours)
{
        LOCK_SCOPE(&l->lock);
        st->bs = bs;
        st->ours = ours;
        free(TAKE_PTR(st->trouble));
}

bool store_list_set_hangs(struct store_list *l, struct store *st, bool hangs)
{
        {
                LOCK_SCOPE(&l->lock);
                st->hangs = hangs;
        }
        return store_ask_set_hangs(&st->ask, hangs);
}

bool store_list_hangs(struct store_list *l, const struct store *st)
{
        LOCK_SCOPE(&l->lock);
        return st->bs && !is_online(st);
}

bool store_list_is_away(struct store_list *l, const struct store *st)
{
        LOCK_SCOPE(&l->lock);
        return st->bs && blobstore_is_away(st->bs, NULL);
}

int store_list_set_path(struct store_list *l, struct store *st, char *path)
{
        struct former *f = malloc(sizeof(*f));

        if (!f) {
                free(path);
                return -ENOMEM;
        }
        LOCK_SCOPE(&l->lock);
        *f = (struct former){ .next = st->former, .path = st->path };
        st->former = f;
        st->path = path;
        return 0;
}

void store_list_stop(struct store_list *l, const struct store *st)
{
        LOCK_SCOPE(&l->lock);
        if (st->bs)
                blobstore_stop(st->bs);
}

void store_list_set_ours(struct store_list *l, struct store *st)
{
        LOCK_SCOPE(&l->lock);
        st->ours = true;
}

int store_list_set_trouble(struct store_list *l, struct store *st, const char *sentence)
{
        char *copy = strdup(sentence);

        if (!copy)
                return -ENOMEM;
        LOCK_SCOPE(&l->lock);
        free(st->trouble);
        st->trouble = copy;
        return 0;
}

/* SPDX-License-Identifier: MIT */

#include "fs/tree/selection.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include "blobstore/base/lock.h"

/* Each is asked for and read at once; further ones are for who has several open. */
#define OF_ONE_USER 16
#define OF_ALL      1024

struct selection {
        TAILQ_ENTRY(selection) link;
        uint64_t number;
        uid_t uid;
        size_t n;
        uint64_t images[];
};

struct selections {
        pthread_mutex_t mutex; /* of all below */
        TAILQ_HEAD(selection_list, selection) list; /* what was used longest ago is the first */
        size_t n;
        uint64_t last; /* number that was given */
};

int selections_new(struct selections **ret)
{
        struct selections *all = calloc(1, sizeof(*all));

        if (!all)
                return -ENOMEM;
        (void)pthread_mutex_init(&all->mutex, NULL); /* cannot fail without attributes */
        TAILQ_INIT(&all->list);
        *ret = all;
        return 0;
}

/* Needs the mutex, as those up to selection_number() do. */
static void forget(struct selections *all, struct selection *s)
{
        TAILQ_REMOVE(&all->list, s, link);
        all->n--;
        free(s);
}

void selections_free(struct selections *all)
{
        if (!all)
                return;
        while (!TAILQ_EMPTY(&all->list))
                forget(all, TAILQ_FIRST(&all->list));
        (void)pthread_mutex_destroy(&all->mutex);
        free(all);
}

static void use(struct selections *all, struct selection *s)
{
        TAILQ_REMOVE(&all->list, s, link);
        TAILQ_INSERT_TAIL(&all->list, s, link);
}

static struct selection *find(struct selections *all, uid_t uid, const uint64_t *images, size_t n)
{
        struct selection *s;

        TAILQ_FOREACH(s, &all->list, link) {
                if (s->uid == uid && s->n == n && memcmp(s->images, images, n * sizeof(*images)) == 0)
                        return s;
        }
        return NULL;
}

static void make_room(struct selections *all, uid_t uid)
{
        struct selection *s, *oldest = NULL;
        size_t own = 0;

        TAILQ_FOREACH(s, &all->list, link) {
                if (s->uid != uid)
                        continue;
                if (own++ == 0)
                        oldest = s;
        }
        if (own >= OF_ONE_USER)
                forget(all, oldest);
        else if (all->n >= OF_ALL)
                forget(all, TAILQ_FIRST(&all->list));
}

int selection_number(struct selections *all, uid_t uid, const uint64_t *images, size_t n, uint64_t *ret)
{
        struct selection *s;
        LOCK_SCOPE(&all->mutex);

        s = find(all, uid, images, n);
        if (s) {
                use(all, s);
                *ret = s->number;
                return 0;
        }
        s = malloc(sizeof(*s) + n * sizeof(*images));
        if (!s)
                return -ENOMEM;
        make_room(all, uid);
        s->number = ++all->last;
        s->uid = uid;
        s->n = n;
        memcpy(s->images, images, n * sizeof(*images));
        TAILQ_INSERT_TAIL(&all->list, s, link);
        all->n++;
        *ret = s->number;
        return 0;
}

int selection_get(struct selections *all, uint64_t number, uint64_t **ret, size_t *ret_n)
{
        struct selection *s;
        LOCK_SCOPE(&all->mutex);

        TAILQ_FOREACH(s, &all->list, link) {
                if (s->number == number)
                        break;
        }
        if (!s)
                return -ENOENT;
        *ret = malloc(s->n * sizeof(**ret));
        if (!*ret)
                return -ENOMEM;
        memcpy(*ret, s->images, s->n * sizeof(**ret));
        *ret_n = s->n;
        use(all, s);
        return 0;
}

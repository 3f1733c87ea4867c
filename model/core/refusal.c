/* SPDX-License-Identifier: MIT */

/*
 * What was refused, to whom and why: the newest show in /info/errors, and the newest of an object in its last-error until
 * a command there succeeds. Both show a user her own alone, of a public object too: sentences name what the one who is
 * told them may see.
 *
 * Anybody can be refused as fast as she can ask, so that it is kept in memory, and little of it: two shelves, of all
 * and of the last of each object. A user has a share of each, and where a shelf is full, who has most there makes room:
 * nobody pushes out what another was told while she herself has more. Nothing is lost by forgetting all of it when the
 * library is closed.
 *
 * A shelf is an array, the newest last: a thousand short entries are looked through in a microsecond.
 */

#include "model/core/refusal.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "blobstore/base/lock.h"
#include "model/core/clock.h"
#include "model/core/state.h"

#define SHELF_MAX       1000
#define SHELF_OF_A_USER 256

/* Counted, since both shelves have it, and readers while they read. */
struct kept {
        struct refusal r;
        atomic_uint refs;
        char text[]; /* path, operation and sentence, each with its end */
};

struct place {
        uint64_t id;
        enum object_kind kind;
        uid_t uid;
        struct kept *kept;
};

struct share {
        uid_t uid;
        size_t n;
};

struct shelf {
        size_t n, n_shares;
        struct place places[SHELF_MAX];
        struct share shares[SHELF_MAX]; /* of those who have something there */
};

struct refusals {
        pthread_mutex_t mutex; /* of both */
        struct shelf all;
        struct shelf last; /* one for each object and user */
};

/* ---- shelves; with the mutex held ---- */

static void kept_unref(struct kept *k)
{
        if (atomic_fetch_sub(&k->refs, 1) == 1)
                free(k);
}

static struct share *shelf_share(struct shelf *s, uid_t uid)
{
        for (size_t i = 0; i < s->n_shares; i++) {
                if (s->shares[i].uid == uid)
                        return &s->shares[i];
        }
        return NULL;
}

static void shelf_drop(struct shelf *s, size_t i)
{
        struct share *share = shelf_share(s, s->places[i].uid);

        if (--share->n == 0)
                *share = s->shares[--s->n_shares];
        kept_unref(s->places[i].kept);
        memmove(&s->places[i], &s->places[i + 1], (--s->n - i) * sizeof(s->places[0]));
}

static void shelf_drop_oldest_of(struct shelf *s, uid_t uid)
{
        for (size_t i = 0; i < s->n; i++) {
                if (s->places[i].uid == uid) {
                        shelf_drop(s, i);
                        return;
                }
        }
}

/* Who has most of a full shelf; where UID has as many, she. */
static uid_t shelf_greatest(struct shelf *s, uid_t uid)
{
        const struct share *own = shelf_share(s, uid), *greatest = own;

        for (size_t i = 0; i < s->n_shares; i++) {
                if (!greatest || s->shares[i].n > greatest->n)
                        greatest = &s->shares[i];
        }
        return greatest->uid;
}

static void shelf_add(struct shelf *s, const struct place *place)
{
        struct share *share = shelf_share(s, place->uid);

        if (share && share->n == SHELF_OF_A_USER)
                shelf_drop_oldest_of(s, place->uid);
        else if (s->n == SHELF_MAX)
                shelf_drop_oldest_of(s, shelf_greatest(s, place->uid));

        share = shelf_share(s, place->uid);
        if (!share) {
                share = &s->shares[s->n_shares++];
                *share = (struct share){ .uid = place->uid };
        }
        share->n++;
        s->places[s->n++] = *place;
        atomic_fetch_add(&place->kept->refs, 1);
}

/* Takes out what UID was told last about an object; ALL: what anybody was. */
static void shelf_forget(struct shelf *s, enum object_kind kind, uint64_t id, uid_t uid, bool all)
{
        for (size_t i = s->n; i-- > 0;) {
                const struct place *p = &s->places[i];

                if (p->id == id && p->kind == kind && (all || p->uid == uid))
                        shelf_drop(s, i);
        }
}

static void shelf_done(struct shelf *s)
{
        for (size_t i = 0; i < s->n; i++)
                kept_unref(s->places[i].kept);
}

/* ---- what others call ---- */

int refusals_new(struct refusals **ret)
{
        struct refusals *rs = calloc(1, sizeof(*rs));

        if (!rs)
                return -ENOMEM;
        (void)pthread_mutex_init(&rs->mutex, NULL); /* cannot fail without attributes */
        *ret = rs;
        return 0;
}

void refusals_free(struct refusals *rs)
{
        if (!rs)
                return;
        shelf_done(&rs->all);
        shelf_done(&rs->last);
        (void)pthread_mutex_destroy(&rs->mutex);
        free(rs);
}

static struct kept *kept_new(uid_t uid, int error, const char *path, const char *operation, const char *sentence)
{
        size_t path_size = strlen(path) + 1, operation_size = strlen(operation) + 1, sentence_size = strlen(sentence) + 1;
        struct kept *k = malloc(sizeof(*k) + path_size + operation_size + sentence_size);
        char *at;

        if (!k)
                return NULL;
        at = mempcpy(k->text, path, path_size);
        at = mempcpy(at, operation, operation_size);
        memcpy(at, sentence, sentence_size);
        atomic_init(&k->refs, 1);
        k->r = (struct refusal){
                .uid = uid,
                .error = error,
                .path = k->text,
                .operation = k->text + path_size,
                .sentence = k->text + path_size + operation_size,
        };
        return k;
}

static void record(struct model *m, const struct caller *c, enum object_kind kind, uint64_t id, struct kept *k, bool in_all)
{
        const struct place place = { .id = id, .kind = kind, .uid = c->uid, .kept = k };
        struct refusals *rs = m->refusals;

        if (!k)
                return;
        {
                LOCK_SCOPE(&rs->mutex);
                k->r.at_us = clock_now_us(); /* here, so that they are in order */
                if (in_all)
                        shelf_add(&rs->all, &place);
                if (kind != OBJECT_NONE) {
                        shelf_forget(&rs->last, kind, id, c->uid, false);
                        shelf_add(&rs->last, &place);
                }
        }
        kept_unref(k);
}

void refusal_record(struct model *m, const struct caller *c, enum object_kind kind, uint64_t id, int error,
                    const char *path, const char *operation, const char *sentence)
{
        record(m, c, kind, id, kept_new(c->uid, error, path, operation, sentence), true);
}

void refusal_record_last(struct model *m, const struct caller *c, enum object_kind kind, uint64_t id, int error,
                         const char *operation, const char *sentence)
{
        record(m, c, kind, id, kept_new(c->uid, error, "", operation, sentence), false);
}

void refusal_over(struct model *m, const struct caller *c, enum object_kind kind, uint64_t id)
{
        LOCK_SCOPE(&m->refusals->mutex);

        shelf_forget(&m->refusals->last, kind, id, c->uid, c->admin);
}

bool refusal_is_told(struct model *m, const struct caller *c)
{
        struct shelf *s = &m->refusals->last;
        LOCK_SCOPE(&m->refusals->mutex);

        return c->admin ? s->n > 0 : shelf_share(s, c->uid) != NULL;
}

const struct refusal *refusal_last(struct model *m, const struct caller *c, enum object_kind kind, uint64_t id)
{
        struct shelf *s = &m->refusals->last;
        LOCK_SCOPE(&m->refusals->mutex);

        for (size_t i = s->n; i-- > 0;) {
                const struct place *p = &s->places[i];

                if (p->id != id || p->kind != kind || !(c->admin || p->uid == c->uid))
                        continue;
                atomic_fetch_add(&p->kept->refs, 1);
                return &p->kept->r;
        }
        return NULL;
}

void refusal_unref(const struct refusal *r)
{
        if (r)
                kept_unref((struct kept *)(uintptr_t)r); /* it begins with it */
}

/* Who sees them may look up users, which may take long: that is without the mutex. */
int refusal_each(struct model *m, const struct caller *c, refusal_fn *fn, void *ctx)
{
        struct shelf *s = &m->refusals->all;
        CLEANUP_FREE struct kept **seen = NULL;
        size_t n = 0;
        int r = 0;

        seen = calloc(SHELF_MAX, sizeof(struct kept *));
        if (!seen)
                return -ENOMEM;
        {
                LOCK_SCOPE(&m->refusals->mutex);
                for (size_t i = 0; i < s->n; i++) {
                        if (!c->admin && s->places[i].uid != c->uid)
                                continue;
                        seen[n] = s->places[i].kept;
                        atomic_fetch_add(&seen[n++]->refs, 1);
                }
        }
        for (size_t i = 0; i < n; i++) {
                if (r == 0)
                        r = fn(ctx, &seen[i]->r);
                kept_unref(seen[i]);
        }
        return r;
}

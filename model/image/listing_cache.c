/* SPDX-License-Identifier: MIT */

/*
 * Lists that were made, for whom, and of which version of what she may see: a file's size is asked for with every `ls`,
 * and is the length of its text. An unchanged list is made once, until others push it out; what another does with images
 * that are closed to her does not change it. For whom is a user and a group, and where the modes of images made that
 * matter, what further groups the caller is in or not.
 *
 * The version is read in the transaction that the rows are read in, so that a list is never kept as newer than it
 * is. What the database does not know, it does not notice: after a user was given another name, lists show the old one
 * until an image changes.
 *
 * A text is shared by all who have it open, and lies in a file when it is long (core/text.h). Those that are kept take
 * TEXT_BYTES_MAX together, or there is one longer one; who has too much open gives up those that are kept for her. Of
 * lists without their text the size is still known.
 *
 * A list is good enough for who asked for it before its rows were begun to be read: where images change all the time,
 * and many wait for lists of them, each would have one made otherwise, of a moment that is over when it is done.
 */

#include "model/image/listing_cache.h"

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

#include "blobstore/base/lock.h"
#include "model/core/state.h"
#include "model/image/listing_priv.h"

#define KEPT_MAX       128
#define TEXT_BYTES_MAX ((size_t)256 << 20)

struct key {
        uint64_t region; /* or LISTING_ALL_REGIONS */
        uid_t uid;
        gid_t gid;
        bool admin;
        enum listing_format format;
};

struct kept {
        struct key key;
        uint64_t used; /* when, by the clock of the cache; 0: free */
        int64_t version, changed_us, begun_us;
        size_t size;
        struct text *text; /* NULL: made, and too long ago */
        struct strbuf groups; /* as the list has them */
};

struct listings {
        pthread_mutex_t whole; /* of listing_make(); before any other lock */
        pthread_mutex_t mutex; /* of all below, for as long as a look or a copy takes */
        struct kept kept[KEPT_MAX];
        size_t text_bytes; /* of all texts */
        uint64_t clock;
};

int listings_new(struct listings **ret)
{
        struct listings *ls = calloc(1, sizeof(*ls));

        if (!ls)
                return -ENOMEM;
        /* cannot fail without attributes */
        (void)pthread_mutex_init(&ls->whole, NULL);
        (void)pthread_mutex_init(&ls->mutex, NULL);
        *ret = ls;
        return 0;
}

void listings_free(struct listings *ls)
{
        if (!ls)
                return;
        for (size_t i = 0; i < KEPT_MAX; i++) {
                text_unref(ls->kept[i].text);
                strbuf_done(&ls->kept[i].groups);
        }
        (void)pthread_mutex_destroy(&ls->mutex);
        (void)pthread_mutex_destroy(&ls->whole);
        free(ls);
}

static bool key_is(const struct key *a, const struct key *b)
{
        return a->region == b->region && a->uid == b->uid && a->gid == b->gid && a->admin == b->admin &&
               a->format == b->format;
}

/* Needs the mutex; so do those up to make(). */
static void drop_text(struct listings *ls, struct kept *k)
{
        if (k->text)
                ls->text_bytes -= k->size;
        text_unref(TAKE_PTR(k->text));
}

/* The place of a list: its own, else a free one, else that of the one that was used longest ago. */
static struct kept *place_of(struct listings *ls, const struct key *key)
{
        struct kept *best = &ls->kept[0];

        for (size_t i = 0; i < KEPT_MAX; i++) {
                struct kept *k = &ls->kept[i];

                if (k->used && key_is(&k->key, key))
                        return k;
                if (k->used < best->used)
                        best = k;
        }
        return best;
}

static void make_room(struct listings *ls, size_t bytes)
{
        while (ls->text_bytes > 0 && ls->text_bytes + bytes > TEXT_BYTES_MAX) {
                struct kept *oldest = NULL;

                for (size_t i = 0; i < KEPT_MAX; i++) {
                        struct kept *k = &ls->kept[i];

                        if (k->text && (!oldest || k->used < oldest->used))
                                oldest = k;
                }
                assert(oldest); /* what was counted is there */
                drop_text(ls, oldest);
        }
}

/* TEXT, which may be NULL, is of LISTING, which loses its groups. */
static void keep(struct listings *ls, const struct key *key, struct listing *listing, size_t size, struct text *text)
{
        struct kept *k = place_of(ls, key);

        drop_text(ls, k);
        strbuf_done(&k->groups);
        *k = (struct kept){
                .key = *key,
                .used = ++ls->clock,
                .version = listing->version,
                .changed_us = listing->changed_us,
                .begun_us = listing->begun_us,
                .size = size,
                .groups = listing->groups,
        };
        listing->groups = (struct strbuf){ 0 };
        if (!text)
                return;
        make_room(ls, k->size);
        k->text = text_ref(text);
        ls->text_bytes += k->size;
}

static void drop_texts_of(struct listings *ls, uid_t uid)
{
        for (size_t i = 0; i < KEPT_MAX; i++) {
                if (ls->kept[i].key.uid == uid)
                        drop_text(ls, &ls->kept[i]);
        }
}

/* What a caller wants of a list. */
struct wanted {
        const struct caller *caller;
        struct text **ret; /* may be NULL */
        int64_t asked_us; /* it was asked for before that is over */
        uint64_t size;
        int64_t changed_us;
};

/* Is the caller in the groups that the list was made for, and in none of the others? */
static bool groups_are(const struct kept *k, const struct caller *c)
{
        const struct listing_group *groups = (const struct listing_group *)k->groups.text;

        for (size_t i = 0; i < k->groups.len / sizeof(*groups); i++) {
                if ((c->in_group && c->in_group(c, groups[i].gid)) != groups[i].in)
                        return false;
        }
        return true;
}

/* True: W is filled from what was kept of this version, or a newer one, or of a moment after it was asked for. */
static bool look(struct listings *ls, const struct key *key, int64_t version, struct wanted *w)
{
        struct kept *k = place_of(ls, key);

        if (!k->used || !key_is(&k->key, key) || (k->version < version && k->begun_us <= w->asked_us) ||
            (w->ret && !k->text) || !groups_are(k, w->caller))
                return false;
        k->used = ++ls->clock;
        w->size = k->size;
        w->changed_us = k->changed_us;
        if (w->ret)
                *w->ret = text_ref(k->text);
        return true;
}

static bool look_safely(struct model *m, const struct key *key, int64_t version, struct wanted *w)
{
        LOCK_SCOPE(&m->listings->mutex);
        return look(m->listings, key, version, w);
}

static int make_text(struct model *m, struct listing *listing, struct diag *diag, const struct wanted *w,
                     struct text **ret)
{
        const uid_t uid = w->caller->uid;
        int r;

        r = text_new_spooled(m, uid, &listing->text, NULL, ret);
        if (r == -EDQUOT) {
                {
                        LOCK_SCOPE(&m->listings->mutex);
                        drop_texts_of(m->listings, uid);
                }
                r = text_new_spooled(m, uid, &listing->text, w->ret ? diag : NULL, ret);
        }
        return w->ret ? r : 0; /* who only wants to know the size needs none */
}

DEFINE_CLEANUP(struct text *, text_unrefp, text_unref)

static int make(struct model *m, const struct key *key, struct diag *diag, struct wanted *w)
{
        CLEANUP(listing_done) struct listing listing = { .text = SPOOL_IN(m->dir_fd) };
        CLEANUP(text_unrefp) struct text *text = NULL;
        int r;

        r = listing_make(m, w->caller, key->region, key->format, &m->listings->whole, diag, &listing);
        if (r < 0)
                return r;
        w->size = (size_t)spool_size(&listing.text);
        w->changed_us = listing.changed_us;
        r = make_text(m, &listing, diag, w, &text);
        if (r < 0)
                return r;
        {
                LOCK_SCOPE(&m->listings->mutex);
                keep(m->listings, key, &listing, w->size, text);
        }
        if (w->ret)
                *w->ret = TAKE_PTR(text);
        return 0;
}

static int want(struct model *m, uint64_t region, enum listing_format format, struct diag *diag, struct wanted *w)
{
        const struct caller *c = w->caller;
        const struct key key = { .region = region, .uid = c->uid, .gid = c->gid, .admin = c->admin, .format = format };
        int64_t version;
        int r;

        r = listing_version(m, c, region, &version);
        if (r < 0)
                return r;
        return look_safely(m, &key, version, w) ? 0 : make(m, &key, diag, w);
}

int listing_get(struct model *m, const struct caller *c, uint64_t region, enum listing_format format, int64_t asked_us,
                struct diag *diag, struct text **ret, int64_t *ret_changed_us)
{
        struct wanted w = { .caller = c, .ret = ret, .asked_us = asked_us };
        int r;

        r = want(m, region, format, diag, &w);
        if (r == 0)
                *ret_changed_us = w.changed_us;
        return r;
}

int listing_measure(struct model *m, const struct caller *c, uint64_t region, enum listing_format format,
                    int64_t asked_us, struct diag *diag, uint64_t *ret_size, int64_t *ret_changed_us)
{
        struct wanted w = { .caller = c, .asked_us = asked_us };
        int r;

        r = want(m, region, format, diag, &w);
        if (r < 0)
                return r;
        *ret_size = w.size;
        *ret_changed_us = w.changed_us;
        return 0;
}

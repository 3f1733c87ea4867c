/* SPDX-License-Identifier: MIT */
/*
 * A list of what the short form made and has no byte yet, each open, or due to go. The row decides: an image goes only
 * if it is queued in the transaction that removes it, so that whoever opens its upload first keeps it.
 */

#include "model/intake/brief.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

#include "blobstore/base/lock.h"
#include "model/core/clock.h"
#include "model/core/jobs.h"
#include "model/image/image_row.h"

/* As long as tools take between making a file and opening it again; its name lives a second less (fs/ops/alias.c). */
#define EMPTY_US (INT64_C(4) * 1000000)

#define QUEUED_US (INT64_C(86400) * 1000000)

enum { BRIEF_NEXT_QUEUED, BRIEF_FIRST_QUEUED };

static const char *const brief_sql[] = {
        [BRIEF_NEXT_QUEUED] = "SELECT id FROM image WHERE status = 'queued' AND updated <= ?1 ORDER BY updated LIMIT 1",
        [BRIEF_FIRST_QUEUED] = "SELECT ifnull(min(updated), 0) FROM image WHERE status = 'queued'",
};

const struct db_statements brief_statements = DB_STATEMENTS(brief_sql);

struct brief {
        struct brief *next;
        uint64_t image;
        int64_t due_us; /* 0: its upload is open */
};

struct briefs {
        pthread_mutex_t mutex;
        struct brief *first; /* as many as files being copied in */
};

int briefs_new(struct briefs **ret)
{
        struct briefs *b;

        b = calloc(1, sizeof(*b));
        if (!b)
                return -ENOMEM;

        pthread_mutex_init(&b->mutex, NULL);
        *ret = b;
        return 0;
}

void briefs_free(struct briefs *b)
{
        if (!b)
                return;

        for (struct brief *i = b->first, *next; i; i = next) {
                next = i->next;
                free(i);
        }
        pthread_mutex_destroy(&b->mutex);
        free(b);
}

/* The link to it, or to NULL. The mutex is held. */
static struct brief **find(struct briefs *b, uint64_t image)
{
        struct brief **p = &b->first;

        while (*p && (*p)->image != image)
                p = &(*p)->next;
        return p;
}

static void drop(struct brief **p)
{
        struct brief *i = *p;

        if (!i)
                return;
        *p = i->next;
        free(i);
}

int brief_add(struct model *m, uint64_t image)
{
        struct briefs *b = m->briefs;
        struct brief *i;

        i = calloc(1, sizeof(*i));
        if (!i)
                return -ENOMEM;
        i->image = image;

        LOCK_SCOPE(&b->mutex);

        i->next = b->first;
        b->first = i;
        return 0;
}

void brief_opened(struct briefs *b, uint64_t image)
{
        struct brief *i;
        LOCK_SCOPE(&b->mutex);

        i = *find(b, image);
        if (i)
                i->due_us = 0;
}

void brief_closed(struct model *m, uint64_t image, bool empty)
{
        struct briefs *b = m->briefs;
        struct brief **p;

        {
                LOCK_SCOPE(&b->mutex);

                p = find(b, image);
                if (!*p)
                        return;
                if (empty)
                        (*p)->due_us = clock_now_us() + EMPTY_US;
                else
                        drop(p);
        }

        if (empty)
                jobs_wake(m); /* the upkeep has a new time to be there */
}

void brief_forget(struct briefs *b, uint64_t image)
{
        LOCK_SCOPE(&b->mutex);

        drop(find(b, image));
}

/* ---- the upkeep's ---- */

/* Takes one that is due from the list, 0: there is none; *ret_due_us is when the next one is. */
static uint64_t take_due(struct briefs *b, int64_t *ret_due_us)
{
        const int64_t now_us = clock_now_us();
        uint64_t image = 0;
        LOCK_SCOPE(&b->mutex);

        *ret_due_us = 0;
        for (struct brief **p = &b->first; *p; p = &(*p)->next) {
                const int64_t due_us = (*p)->due_us;

                /* Further away than any is: the clock was set back. */
                if (due_us && (due_us <= now_us || due_us > now_us + EMPTY_US)) {
                        image = (*p)->image;
                        drop(p);
                        break;
                }
                if (due_us && (*ret_due_us == 0 || due_us < *ret_due_us))
                        *ret_due_us = due_us;
        }
        return image;
}

/* Where it is queued still. */
static int remove_image(struct model *m, uint64_t id)
{
        const struct caller nobody = { .admin = true };
        struct changes changes = { 0 };
        struct image image;
        int r;

        {
                DB_TXN(t);

                r = db_begin(m->db, DB_WRITE, &t);
                if (r < 0)
                        return r;

                r = image_load(&t, id, &image);
                if (r < 0)
                        return r;
                if (image.status != IMAGE_QUEUED)
                        return 0;

                r = image_remove_in(&t, &nobody, &image, &changes, NULL);
                if (r < 0)
                        return r;

                r = db_commit(&t);
                if (r < 0)
                        return r;
        }

        image_tell_gone(m, id, image.region, image.ident);
        changes_tell(m, &changes);
        return 0;
}

static int next_queued(struct model *m, uint64_t *ret, int64_t *ret_due_us)
{
        int64_t first_us, id;
        int r;
        DB_TXN(t);

        *ret_due_us = 0;

        r = db_begin(m->db, DB_READ, &t);
        if (r < 0)
                return r;

        r = db_int(&t, brief_sql[BRIEF_NEXT_QUEUED], &id, DB_INT(clock_now_us() - QUEUED_US));
        if (r == 0)
                *ret = (uint64_t)id;
        if (r != -ENOENT)
                return r;

        r = db_int(&t, brief_sql[BRIEF_FIRST_QUEUED], &first_us);
        if (r < 0)
                return r;

        *ret_due_us = first_us ? first_us + QUEUED_US : 0;
        return -ENOENT;
}

int64_t briefs_expire(struct model *m)
{
        int64_t empty_us, queued_us = 0;
        uint64_t image;

        while ((image = take_due(m->briefs, &empty_us)))
                (void)remove_image(m, image); /* else it goes in a day */

        while (!jobs_is_stopping(m) && next_queued(m, &image, &queued_us) == 0)
                if (remove_image(m, image) < 0)
                        break; /* the next round tries again */

        return empty_us && (queued_us == 0 || empty_us < queued_us) ? empty_us : queued_us;
}

/* SPDX-License-Identifier: MIT */

/*
 * What is kept of the catalogue goes by versions that lie in it, and holds; it is who waits that must be told. What was
 * changed is not said: all look.
 */

#include "model/core/news.h"

#include <errno.h>

#include "model/core/changes.h"
#include "model/core/jobs.h"
#include "model/core/state.h"
#include "model/core/task_row.h"

/* A task that was cancelled, or whose image is gone, elsewhere. One that cannot be read now is looked at with the next news. */
static void end_what_has_ended(struct model *m)
{
        for (uint64_t id = 0; (id = jobs_next(m, id));) {
                struct task task;
                DB_TXN(t);
                int r;

                r = db_begin(m->db, DB_READ, &t);
                if (r == 0)
                        r = task_load(&t, id, &task);
                if (r == -ENOENT || (r == 0 && task.status != TASK_RUNNING))
                        jobs_cancel(m, id);
        }
}

/* A db_news_fn. */
static void hear(void *ctx)
{
        struct model *m = ctx;

        end_what_has_ended(m);
        changes_send(m, OBJECT_NONE, 0);
        jobs_wake(m);
}

int news_start(struct model *m)
{
        return db_hear(m->db, hear, m);
}

void news_stop(struct model *m)
{
        if (m->db)
                db_hear_no_more(m->db);
}

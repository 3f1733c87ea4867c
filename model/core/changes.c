/* SPDX-License-Identifier: MIT */

#include "model/core/changes.h"

#include <assert.h>

#include "model/core/jobs.h"
#include "model/core/task_row.h"

void changes_send(struct model *m, enum object_kind kind, uint64_t id)
{
        if (m->listener)
                m->listener(m->listener_ctx, kind, id);
}

static int load_task(struct model *m, uint64_t id, struct task *ret)
{
        int r;
        DB_TXN(t);

        r = db_begin(m->db, DB_READ, &t);
        return r < 0 ? r : task_load(&t, id, ret);
}

void changes_send_end(struct model *m, uint64_t id)
{
        struct task task;

        if (m->ended && load_task(m, id, &task) == 0 && task.status != TASK_QUEUED && task.status != TASK_RUNNING)
                m->ended(m->listener_ctx, m, &task);
}

void changes_add_ended(struct changes *ch, uint64_t task)
{
        changes_add(ch, OBJECT_TASK, task);
        ch->ended = task;
}

void changes_add(struct changes *ch, enum object_kind kind, uint64_t id)
{
        if (id == 0)
                return;

        for (size_t i = 0; i < ch->n; i++)
                if (ch->item[i].kind == kind && ch->item[i].id == id)
                        return;

        assert(ch->n < CHANGES_MAX);
        ch->item[ch->n].kind = kind;
        ch->item[ch->n].id = id;
        ch->n++;
}

void changes_tell(struct model *m, const struct changes *ch)
{
        for (size_t i = 0; i < ch->n; i++)
                changes_send(m, ch->item[i].kind, ch->item[i].id);
        if (ch->ended)
                changes_send_end(m, ch->ended);
        jobs_wake(m);
}

/* SPDX-License-Identifier: MIT */

#include "model/core/changes.h"

#include <assert.h>

#include "model/core/jobs.h"

void changes_send(struct model *m, enum object_kind kind, uint64_t id)
{
        if (m->listener)
                m->listener(m->listener_ctx, kind, id);
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
        jobs_wake(m);
}

/* SPDX-License-Identifier: MIT */

#include "model/core/life.h"

#include <strings.h>

const struct life_row *life_find(const struct life *l, unsigned verb, unsigned holds)
{
        for (size_t i = 0; i < l->n_rows; i++) {
                if (l->rows[i].verb == verb && (holds & ~l->rows[i].from) == 0)
                        return &l->rows[i];
        }
        return NULL;
}

const struct life_row *life_through(const struct life *l, unsigned state)
{
        for (size_t i = 0; i < l->n_rows; i++) {
                if (l->rows[i].via == state)
                        return &l->rows[i];
        }
        return NULL;
}

unsigned life_hindrances(const struct life *l, unsigned verb)
{
        unsigned from = 0;

        for (size_t i = 0; i < l->n_rows; i++) {
                if (l->rows[i].verb == verb)
                        from |= l->rows[i].from;
        }
        return ~from;
}

int life_ask(const struct life *l, const struct life_subject *s, unsigned verb, unsigned holds, struct diag *diag,
             const struct life_row **ret)
{
        const struct life_row *row = life_find(l, verb, holds);
        int r;

        if (!row)
                return l->refuse(s, verb, (unsigned)ffs((int)(holds & life_hindrances(l, verb))) - 1, diag);
        r = row->guard ? row->guard(s, diag) : 0;
        if (r == 0)
                *ret = row;
        return r;
}

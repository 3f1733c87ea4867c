/* SPDX-License-Identifier: MIT */

#include "blobstore/objects/scans.h"

/* The kernel asks for what it reads ahead in several requests at once, which come in any order. */
#define OUT_OF_ORDER 2

static uint32_t least(uint32_t a, uint32_t b)
{
        return a < b ? a : b;
}

/*
 * In whole steps, which are fetched together, unless that would come late: the rest of one is asked for with what follows.
 */
static void move_on(const struct scans *all, struct scan *s, uint32_t number, uint32_t most, uint32_t *ret_from, uint32_t *ret_to)
{
        uint32_t to;

        s->at = number;
        if (s->asked <= number)
                s->asked = number + 1;
        s->window = s->window ? least(2 * s->window, all->window) : 2;
        to = least(least(number + 1 + s->window, s->end), s->asked + most);
        if (to < s->end && s->asked > number + all->step)
                to -= to % all->step;
        *ret_from = s->asked;
        if (to > s->asked)
                s->asked = to;
        *ret_to = s->asked;
}

void scans_note(struct scans *s, uint32_t id, uint32_t number, uint32_t most, uint32_t *ret_from, uint32_t *ret_to)
{
        struct scan *set = s->scans[id % SCANS_SETS], *oldest = set;

        *ret_from = *ret_to = 0;
        s->clock++;
        for (struct scan *scan = set; scan < set + SCANS_WAYS; scan++) {
                if (scan->used < oldest->used)
                        oldest = scan;
                if (scan->used == 0 || scan->id != id || number + OUT_OF_ORDER < scan->at || number > scan->at + OUT_OF_ORDER)
                        continue;
                scan->used = s->clock;
                if (number > scan->at)
                        move_on(s, scan, number, most, ret_from, ret_to);
                return;
        }
        *oldest = (struct scan){ .id = id, .at = number, .asked = number + 1, .used = s->clock };
}

void scans_set_end(struct scans *s, uint32_t id, uint32_t end)
{
        struct scan *set = s->scans[id % SCANS_SETS];

        for (struct scan *scan = set; scan < set + SCANS_WAYS; scan++) {
                if (scan->used != 0 && scan->id == id)
                        scan->end = end;
        }
}

/* SPDX-License-Identifier: MIT */

#include "fs/ops/resent.h"

#include <stddef.h>

/* Of the request that the thread serves: one after the other, from reading to answering or handing on. */
static _Thread_local struct resent now; /* NOTES NULL: it serves none, or nothing outlives the process */

static bool is_noted(const _Atomic uint64_t *notes, uint64_t number)
{
        for (unsigned i = 0; i < RESENT_NOTES; i++)
                if (atomic_load(&notes[i]) == number)
                        return true;
        return false;
}

void resent_begin(struct resent_notes *notes, uint64_t number, bool is_resent)
{
        now.notes = notes;
        now.number = number;
        now.part = false;
        now.is_resent = is_resent;
        now.was_done = is_resent && is_noted(notes->done, number);
        now.was_begun = is_resent && is_noted(notes->begun, number);
}

struct resent resent_get(void)
{
        return now;
}

void resent_go_on(const struct resent *what)
{
        now = *what;
}

void resent_is_part(bool part)
{
        now.part = part;
}

void resent_note(void *ctx, bool done)
{
        struct resent_notes *n = now.notes;

        (void)ctx;
        if (n && done && !now.part)
                atomic_store(&n->done[atomic_fetch_add(&n->next, 1) % RESENT_NOTES], now.number);
        else if (n && !done)
                atomic_store(&n->begun[atomic_fetch_add(&n->next_begun, 1) % RESENT_NOTES], now.number);
}

uint64_t resent_number(void)
{
        return now.notes ? now.number : 0;
}

bool resent_is(void)
{
        return now.is_resent;
}

bool resent_may_be_done(void)
{
        return now.was_begun || now.was_done;
}

bool resent_was_done(void)
{
        return now.was_done;
}

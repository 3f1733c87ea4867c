/* SPDX-License-Identifier: MIT */

#include "fs/ops/resent.h"

#include <stddef.h>

/* Of the request that the thread serves: one after the other, from reading to answering or handing on. */
static _Thread_local struct {
        struct resent_notes *notes; /* NULL: it serves none, or nothing outlives the process */
        uint64_t number;
        bool was_done;
} now;

void resent_begin(struct resent_notes *notes, uint64_t number, bool is_resent)
{
        now.notes = notes;
        now.number = number;
        now.was_done = false;
        for (unsigned i = 0; is_resent && i < RESENT_NOTES && !now.was_done; i++)
                now.was_done = atomic_load(&notes->done[i]) == number;
}

void resent_note(void *ctx)
{
        (void)ctx;
        if (now.notes)
                atomic_store(&now.notes->done[atomic_fetch_add(&now.notes->next, 1) % RESENT_NOTES], now.number);
}

bool resent_was_done(void)
{
        return now.was_done;
}

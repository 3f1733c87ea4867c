/* SPDX-License-Identifier: MIT */
#ifndef MODEL_WORK_HISTORY_H
#define MODEL_WORK_HISTORY_H

/*
 * What the library held, day by day (of UTC), and what that took. A day's rows say how it was when the day ended, or the
 * library was closed for the last time on it. One on which it was not in use has none.
 */

#include <stdbool.h>
#include <stdint.h>

struct model;
struct history;

struct history_row {
        int64_t day; /* since 1970 */
        const char *region; /* as it was called then; "": the whole library. Borrowed during the call */
        uint64_t images, snapshots;
        /* Of both, each disk by itself, whoever else has the same bytes: as guests see it, and without holes. */
        uint64_t size_bytes, data_bytes;
        /* Of the whole library only, since regions share what is stored, and unknown while a store is offline. */
        bool stored_known;
        uint64_t unique_bytes, stored_bytes;
};
typedef int history_fn(void *ctx, const struct history_row *row);

/* All days, the oldest first, of each the library before its regions by name; the last is today, as it is now. */
int history_each(struct model *m, history_fn *fn, void *ctx);

/* Keeps how it is now as how it was on DAY; what then is older than the newest HISTORY_DAYS days goes. */
#define HISTORY_DAYS 3653 /* ten years: some 100 bytes for each day and region */
int history_write(struct model *m, int64_t day);

/* For the keeper (runner.c), from time to time: when a day has ended. Gives when the next one will have. */
int64_t history_turn(struct model *m);
/* At the end, when nothing works any more. */
void history_end(struct model *m);

int history_new(struct history **ret);
void history_free(struct history *h); /* accepts NULL */

#endif

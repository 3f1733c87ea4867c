/* SPDX-License-Identifier: MIT */
#ifndef FS_OPS_RESENT_H
#define FS_OPS_RESENT_H

/*
 * Requests that the kernel sends once more, because the process that served them died before it answered. Most are simply
 * served again. What changes the library must be done once: a second mkdir(2) of the same name is EEXIST. So it is noted in
 * memory that outlives the process, when a change is committed, whose request it was for.
 *
 * Between the write to the catalogue's log that makes a commit one, and the note, there is a moment. Who dies in it leaves
 * the note alone that a commit had begun: then what is refused because it is as it was to become counts as done.
 */

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

/* More than are committed while one is on its way from its commit to its answer. */
#define RESENT_NOTES 1024

struct resent_notes {
        _Atomic uint32_t next;
        _Atomic uint32_t next_begun;
        _Atomic uint64_t done[RESENT_NOTES], begun[RESENT_NOTES]; /* numbers of requests */
};

/* This thread is going to serve the request of that number. NOTES is borrowed until the next. */
void resent_begin(struct resent_notes *notes, uint64_t number, bool is_resent);

/* What this thread serves, for another one to go on with; zeroed: nothing. */
struct resent {
        struct resent_notes *notes;
        uint64_t number;
        bool is_resent, was_done, was_begun, part;
};
struct resent resent_get(void);
void resent_go_on(const struct resent *what);

/* What this thread commits until that is taken back is only a part of what it was asked for: begun, and not done. */
void resent_is_part(bool part);

/* Of a model_committed_fn. */
void resent_note(void *ctx, bool done);

/* The number of the request that this thread has read, and serves now; 0: nothing outlives the process. */
uint64_t resent_number(void);
/* Is it sent once more? */
bool resent_is(void);

/* Was what this thread's request asks for done by an earlier process, so that only the answer is missing? */
bool resent_was_done(void);
/* Was an earlier process at it, and may have done it? Or did it. */
bool resent_may_be_done(void);

#endif

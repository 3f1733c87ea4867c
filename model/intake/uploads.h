/* SPDX-License-Identifier: MIT */
#ifndef MODEL_INTAKE_UPLOADS_H
#define MODEL_INTAKE_UPLOADS_H

/* What the rooms above ask of all uploads together. Private to model/. */

#include "model/image/image_row.h"

struct uploads;

int uploads_open(struct model *m, struct uploads **ret);
void uploads_close(struct uploads *u); /* accepts NULL */

/* The room's answers to what images ask. */
extern const struct image_hooks uploads_hooks;

/* What came of the file that is being uploaded, and how much will come: 0 where that is not known, or there is none. */
void upload_progress(struct model *m, uint64_t image, uint64_t *ret_done_bytes, uint64_t *ret_total_bytes);
/*
 * For the import of a file that was streamed in part: brings all of its bytes into the file. PROGRESS may end it with a
 * negative errno. 1: done; 0: there was nothing to do.
 */
int uploads_settle_file(struct model *m, uint64_t image, int (*progress)(void *ctx), void *ctx);
/* Where there will be no import. */
void uploads_drop_file(struct model *m, uint64_t image);

/*
 * Of data disks, with the mutex held (uploads_mutex()). Is one being written that was not closed since? One is removed;
 * those of an image are going to be read: who has them open is told so by the next write.
 */
bool uploads_write_disk(struct model *m, uint64_t disk);
void uploads_drop_disk(struct model *m, uint64_t disk);
void uploads_drop_disks(struct model *m, uint64_t image);

/* Ends those that have waited to be opened again, for the upkeep; when to call it again, 0: there is no need. */
int64_t uploads_end_due(struct model *m);
/* Ends all of them: nobody will open one again. */
void uploads_end_waiting(struct model *m);
/* Records ends that could not be recorded when they came, if there is space now. */
void uploads_settle(struct model *m);
/* Has streams that have gone on for long keep less from being collected. Is anything being streamed? */
bool uploads_renew(struct model *m);
/*
 * Ends uploads that a crash cut off, at start. GOES_ON: once this process has gone on with those that an earlier one had
 * open; what was only made, and nobody has open, waits once more to be opened again.
 */
int uploads_recover(struct model *m, bool goes_on);

#endif

/* SPDX-License-Identifier: MIT */
#ifndef MODEL_DB_DB_SYNC_H
#define MODEL_DB_DB_SYNC_H

/*
 * Makes commits durable, those of several threads by one sync. A commit has written its pages into the WAL when it ends,
 * and the next one can begin; it counts when the WAL has been synced, for which nothing is held. A sync makes durable
 * what was committed before it began, in their order: where a commit survives, all those before it do.
 */

#include <stdint.h>

struct connection;
struct db_sync;

/*
 * WRITER has its WAL open, has written nothing yet, and is open for longer than this one is used. DIR_FD: where it lies.
 * -ENOMEM, and as db_errno().
 */
int db_sync_new(struct connection *writer, int dir_fd, struct db_sync **ret);
void db_sync_free(struct db_sync *s); /* accepts NULL */

/* Another commit is in the WAL; who calls this is the only writer. Gives what db_sync_wait() is to be asked with. */
uint64_t db_sync_note(struct db_sync *s);

/* All that was noted until now. */
uint64_t db_sync_newest(struct db_sync *s);

/*
 * Returns when commit NUMBER, and all before it, are durable. -EIO: they are not, and never will be, as all later ones:
 * after a sync that failed the kernel takes what it could not write for clean.
 */
int db_sync_wait(struct db_sync *s, uint64_t number);

#endif

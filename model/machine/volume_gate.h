/* SPDX-License-Identifier: MIT */
#ifndef MODEL_MACHINE_VOLUME_GATE_H
#define MODEL_MACHINE_VOLUME_GATE_H

/*
 * Which volumes are open, who writes to them, and the gate.
 *
 * Who starts to write to a disk and who begins something that needs disks as they are (a snapshot, growing, attaching,
 * removing) must not pass each other: both hold the gate, from the look at what the other does until their own
 * transaction has ended. It is taken before the transaction. Private to model/.
 */

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "blobstore/base/lock.h"
#include "model/core/object.h"
#include "model/db/db.h"

struct model;
struct volume_file;
struct volumes;

int volumes_open(struct volumes **ret);
/* Accepts NULL. */
void volumes_close(struct volumes *vs);

/*
 * To be taken by the caller, who is about to do something with that object. Of an instance, or of a disk and the
 * instance that it is in, it waits for writers that are leaving, so not within a transaction.
 */
pthread_mutex_t *volumes_gate(struct model *m, enum object_kind kind, uint64_t id);
/* That wait alone, for who takes a first look. */
void volumes_settle(struct model *m, enum object_kind kind, uint64_t id);

/* Is it open for writing, but for FILE (may be NULL)? The answer holds as long as the caller has the gate. */
bool volume_is_written(struct model *m, uint64_t id, const struct volume_file *file);
/* Is any disk of the instance? */
bool volumes_are_written(struct model *m, uint64_t instance, const struct volume_file *file);
/* The same, to be shown: without those that are leaving, and for a flush that has just come its release is waited for
 * no longer than a look may take. */
bool volumes_seem_written(struct model *m, uint64_t instance);

#endif
